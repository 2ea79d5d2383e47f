/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request_reader — gives a request head to the parser in every way it can arrive: whole, in two
 * parts cut at every byte, and byte by byte, each time right before an inaccessible page; all
 * must end the same. For the tests of http_request, http_fields and http_target.
 */
#pragma once

#include "http/http_request.h"

/* A request head from its first line to the empty one. */
#define REQUEST(line, fields) line "\r\n" fields "\r\n"
#define GET "GET / HTTP/1.1"
#define HOST "Host: example.com\r\n"
#define WITH(fields) REQUEST("POST /hook HTTP/1.1", HOST fields)

/* A head that is refused, and why. Text may hold NUL, so its size is taken from the array. */
struct refusal {
	const char *text;
	size_t size;
	enum http_fault fault;
};
#define REFUSED(fault, text) \
	{ (text), sizeof(text) - 1, HTTP_FAULT_##fault }

/* A head that is taken, and what it says. */
struct reading {
	const char *text;
	const char *method, *target, *path, *query, *host;
	enum http_body body;
	uint64_t content_length;
	uint8_t minor_version;
	bool keep_alive, expect_continue;
	uint32_t field_count;
};

/* What was read last. */
extern struct http_request request_last;

/* Reads the head once, whole: NONE when it was taken. It must be complete or too long. */
enum http_fault request_read(struct bytes head);
/* Reads the head in every way and fails the test unless the verdict is always `fault`. */
void request_expect_fault(struct bytes head, enum http_fault fault, size_t case_number);
void request_expect_refusals(const struct refusal *rows, size_t count);
void request_expect_readings(const struct reading *rows, size_t count);

/* To be called before and after a group of tests. */
int request_reader_set_up(void **state);
int request_reader_tear_down(void **state);

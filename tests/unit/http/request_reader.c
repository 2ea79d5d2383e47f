/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit/http/request_reader.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/guard.h"

struct http_request request_last;

static struct guard guard;

struct verdict {
	enum http_parse parse;
	enum http_fault fault;
};

static bool same_fields(const struct http_fields *a, const struct http_fields *b)
{
	if (a->count != b->count) return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (!bytes_equal(a->field[i].name, b->field[i].name)) return false;
		if (!bytes_equal(a->field[i].value, b->field[i].value)) return false;
	}
	return true;
}

/* In one pass: the same request, and only when there is one. */
static void expect_at_once(struct bytes given, bool there, size_t size)
{
	static struct http_request request;
	size_t size_at_once = 0;
	const uint8_t *at = guard_place(&guard, given);

	assert_int_equal(http_request_parse_at_once(bytes_of(at, given.size), &request,
				 &size_at_once),
		there);
	if (!there) return;
	assert_int_equal(size_at_once, size);
	/* The last one's views lead to where this one's bytes are now. */
	at = guard_place(&guard, bytes_of(given.data, size));
	assert_true(http_request_parse_at_once(bytes_of(at, size), &request, &size_at_once));
	assert_true(bytes_equal(request.method, request_last.method));
	assert_true(bytes_equal(request.target, request_last.target));
	assert_true(bytes_equal(request.path, request_last.path));
	assert_true(bytes_equal(request.query, request_last.query));
	assert_true(bytes_equal(request.host, request_last.host));
	assert_int_equal(request.minor_version, request_last.minor_version);
	assert_int_equal(request.body, request_last.body);
	assert_int_equal(request.content_length, request_last.content_length);
	assert_int_equal(request.keep_alive, request_last.keep_alive);
	assert_int_equal(request.expect_continue, request_last.expect_continue);
	assert_true(same_fields(&request.fields, &request_last.fields));
}

/* Reads on with what is given so far; once the head is there, parses it at the guard page. */
static struct verdict read_on(struct bytes given, size_t *scanned)
{
	struct verdict verdict = { HTTP_PARSE_MORE, HTTP_FAULT_NONE };
	size_t size = 0;
	const uint8_t *at = guard_place(&guard, given);

	verdict.parse = http_head_find(bytes_of(at, given.size), scanned, &size, &verdict.fault);
	if (verdict.parse == HTTP_PARSE_DONE) {
		at = guard_place(&guard, bytes_of(given.data, size));
		verdict.parse =
			http_request_parse(bytes_of(at, size), &request_last, &verdict.fault);
		assert_true(verdict.parse != HTTP_PARSE_MORE);
	}
	expect_at_once(given, verdict.parse == HTTP_PARSE_DONE, size);
	return verdict;
}

static void expect_verdict(struct verdict verdict, enum http_fault fault, size_t case_number)
{
	if (verdict.fault != fault) {
		fail_msg("case %zu: %s instead of %s", case_number, http_fault_code(verdict.fault),
			http_fault_code(fault));
	}
	assert_int_equal(verdict.parse,
		fault == HTTP_FAULT_NONE ? HTTP_PARSE_DONE : HTTP_PARSE_BAD);
}

enum http_fault request_read(struct bytes head)
{
	size_t scanned = 0;
	struct verdict verdict = read_on(head, &scanned);

	assert_true(verdict.parse != HTTP_PARSE_MORE);
	expect_verdict(verdict, verdict.fault, 0);
	return verdict.fault;
}

void request_expect_fault(struct bytes input, enum http_fault fault, size_t case_number)
{
	for (size_t cut = 0; cut <= input.size; cut++) {
		size_t scanned = 0;
		struct verdict verdict = read_on(bytes_of(input.data, cut), &scanned);
		if (verdict.parse == HTTP_PARSE_MORE) verdict = read_on(input, &scanned);
		expect_verdict(verdict, fault, case_number);
	}

	struct verdict verdict = { HTTP_PARSE_MORE, HTTP_FAULT_NONE };
	size_t scanned = 0;
	for (size_t size = 0; size <= input.size && verdict.parse == HTTP_PARSE_MORE; size++) {
		verdict = read_on(bytes_of(input.data, size), &scanned);
	}
	expect_verdict(verdict, fault, case_number);
}

void request_expect_refusals(const struct refusal *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		request_expect_fault(bytes_of(rows[i].text, rows[i].size), rows[i].fault, i);
	}
}

static void expect_reading(const struct reading *row, size_t case_number)
{
	request_expect_fault(bytes_of_text(row->text), HTTP_FAULT_NONE, case_number);
	assert_true(bytes_equal(request_last.method, bytes_of_text(row->method)));
	assert_true(bytes_equal(request_last.target, bytes_of_text(row->target)));
	assert_true(bytes_equal(request_last.path, bytes_of_text(row->path)));
	assert_true(bytes_equal(request_last.query, bytes_of_text(row->query)));
	assert_true(bytes_equal(request_last.host, bytes_of_text(row->host)));
	assert_int_equal(request_last.body, row->body);
	assert_int_equal(request_last.content_length, row->content_length);
	assert_int_equal(request_last.minor_version, row->minor_version);
	assert_int_equal(request_last.keep_alive, row->keep_alive);
	assert_int_equal(request_last.expect_continue, row->expect_continue);
	assert_int_equal(request_last.fields.count, row->field_count);
}

void request_expect_readings(const struct reading *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) expect_reading(&rows[i], i);
}

int request_reader_set_up(void **state)
{
	(void)state;
	guard_init(&guard, 2 * HTTP_HEAD_SIZE_MAX);
	return 0;
}

int request_reader_tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}

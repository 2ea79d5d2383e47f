/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_internal — what the files of this folder share and no other folder may include. */
#pragma once

#include "http/http_request.h"

/* What a byte may be part of. One table, one look per byte. */
enum {
	CHAR_TOKEN = 1u << 0, /* tchar (RFC 9110 §5.6.2): methods, field names */
	CHAR_TEXT = 1u << 1,  /* field values, reason phrases: VCHAR, obs-text, SP, HTAB */
	CHAR_PATH = 1u << 2,  /* pchar and "/" (RFC 3986 §3.3); escapes are judged apart */
	CHAR_QUERY = 1u << 3, /* what a query may hold; see http_chars.c */
	CHAR_HOST = 1u << 4,  /* of a host name: unreserved (RFC 3986 §2.3) */
	CHAR_HEX = 1u << 5,
	CHAR_DIGIT = 1u << 6,
};

extern const uint8_t http_chars[256];

static inline bool http_char_is(uint8_t c, unsigned what)
{
	return (http_chars[c] & what) != 0;
}

/* Not empty, and every byte is of that kind. */
bool http_text_is(struct bytes text, unsigned what);
/* The first byte from `at` on that may not stand in a field value; `end` when all may. */
const uint8_t *http_text_end(const uint8_t *at, const uint8_t *end);

/* A head as http_head_find() delimits it: an empty line ends it. */
bool http_head_is_complete(struct bytes head);
/* Takes the first line, without its CRLF, off *rest. BARE_LF or BARE_CR when the line holds
 * either; HEAD_SIZE when there is no line feed in *rest. */
enum http_fault http_line_take(struct bytes *rest, struct bytes *ret_line);
/* "HTTP/1.1" and "HTTP/1.0" pass; VERSION for any other; `malformed` for what is none. */
enum http_fault http_version_parse(struct bytes text, enum http_fault malformed,
	uint8_t *ret_minor);

/* The fields that frame and route a message, collected while all are parsed, so that nobody
 * searches for them afterwards. */
struct http_known {
	struct bytes host;
	struct bytes length;
	struct bytes coding;
	uint32_t host_count;
	uint32_t length_count;
	uint32_t coding_count;
	uint32_t expect_count;
	bool expect_continue; /* false once anything else was expected */
	bool close;
	bool keep_alive;
};

/* Takes field lines and the empty line behind them off *lines. HEAD_SIZE when there is no such
 * line. */
enum http_fault http_fields_parse(struct bytes *lines, struct http_fields *ret_fields,
	struct http_known *ret_known);

/* What Content-Length and Transfer-Encoding say together. NONE with length 0 when neither
 * is there or the length is zero. */
enum http_fault http_body_parse(const struct http_known *known, uint8_t minor_version,
	enum http_body *ret_body, uint64_t *ret_length);
/* Whether the connection outlives the message (RFC 9112 §9.3). */
bool http_known_keep_alive(const struct http_known *known, uint8_t minor_version);

/* host[:port]: a name, an IPv4 address or an IPv6 literal, not empty. */
bool http_host_is_valid(struct bytes host);
/* Cuts request->target up into path, query and, for the absolute form, host. */
enum http_fault http_target_parse(struct http_request *request);

/* Any of the three formats of RFC 9110 §5.6.7. `now_s` decides the century of the second. */
MUST_USE enum result http_date_parse(struct bytes text, uint64_t now_s, uint64_t *ret_unix_seconds);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Response heads: as strict as for requests, and what follows them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/http_response.h"
#include "lib/guard.h"

#define RESPONSE(line, fields) line "\r\n" fields "\r\n"
#define OK(fields) RESPONSE("HTTP/1.1 200 OK", fields)

static struct guard guard;
static struct http_response response;

static enum http_parse read_on(struct bytes given, bool head_method, size_t *scanned,
	enum http_fault *ret_fault)
{
	size_t size;
	const uint8_t *at = guard_place(&guard, given);
	enum http_parse parse = http_head_find(bytes_of(at, given.size), scanned, &size, ret_fault);
	if (parse != HTTP_PARSE_DONE) return parse;

	at = guard_place(&guard, bytes_of(given.data, size));
	return http_response_parse(bytes_of(at, size), head_method, &response, ret_fault);
}

/* In two parts cut at every byte, which includes whole. */
static void expect(struct bytes input, bool head_method, enum http_fault fault)
{
	for (size_t cut = 0; cut <= input.size; cut++) {
		enum http_fault seen = HTTP_FAULT_NONE;
		size_t scanned = 0;
		enum http_parse parse =
			read_on(bytes_of(input.data, cut), head_method, &scanned, &seen);
		if (parse == HTTP_PARSE_MORE) parse = read_on(input, head_method, &scanned, &seen);
		if (seen != fault) {
			fail_msg("%.40s: %s instead of %s", (const char *)input.data,
				http_fault_code(seen), http_fault_code(fault));
		}
		assert_int_equal(parse,
			fault == HTTP_FAULT_NONE ? HTTP_PARSE_DONE : HTTP_PARSE_BAD);
	}
}

/* What cannot be framed beyond doubt is refused. */
static void bad_responses_are_refused(void **state)
{
	static const struct {
		enum http_fault fault;
		const char *text;
	} rows[] = {
		{ HTTP_FAULT_STATUS_LINE, "\r\n\r\n" },
		{ HTTP_FAULT_STATUS_LINE, "\r\nHTTP/1.1 200 OK\r\n\r\n" },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 200", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1  200 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE(" HTTP/1.1 200 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1\t200\tOK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("http/1.1 200 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 20 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 2000 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 +20 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 20x OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 099 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 600 OK", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("HTTP/1.1 200 O\x01K", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("GET / HTTP/1.1", "") },
		{ HTTP_FAULT_STATUS_LINE, RESPONSE("ICY 200 OK", "") },
		{ HTTP_FAULT_VERSION, RESPONSE("HTTP/2.0 200 OK", "") },
		{ HTTP_FAULT_VERSION, RESPONSE("HTTP/1.2 200 OK", "") },
		{ HTTP_FAULT_BARE_CR, RESPONSE("HTTP/1.1 200 O\rK", "") },
		{ HTTP_FAULT_BARE_LF, "HTTP/1.1 200 OK\n\n" },
		{ HTTP_FAULT_FIELD_NAME, OK(" A: b\r\n") },
		{ HTTP_FAULT_FIELD_NAME, OK("A : b\r\n") },
		{ HTTP_FAULT_FIELD_FOLD, OK("A: b\r\n c\r\n") },
		{ HTTP_FAULT_CONTROL, OK("A: \x01\r\n") },
		{ HTTP_FAULT_LENGTH_AND_CODING,
			OK("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n") },
		{ HTTP_FAULT_LENGTH_DUPLICATE, OK("Content-Length: 1\r\nContent-Length: 1\r\n") },
		{ HTTP_FAULT_LENGTH_INVALID, OK("Content-Length: 1, 1\r\n") },
		{ HTTP_FAULT_LENGTH_INVALID, OK("Content-Length: -1\r\n") },
		{ HTTP_FAULT_CODING_INVALID, OK("Transfer-Encoding: gzip, chunked\r\n") },
		{ HTTP_FAULT_CODING_INVALID, OK("Transfer-Encoding: identity\r\n") },
		{ HTTP_FAULT_CODING_VERSION,
			RESPONSE("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n") },
		{ HTTP_FAULT_CODING_INVALID,
			RESPONSE("HTTP/1.1 100 Continue", "Transfer-Encoding: chunked\r\n") },
		{ HTTP_FAULT_LENGTH_INVALID,
			RESPONSE("HTTP/1.1 103 Early Hints", "Content-Length: 5\r\n") },
		{ HTTP_FAULT_LENGTH_INVALID,
			RESPONSE("HTTP/1.1 204 No Content", "Content-Length: x\r\n") },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		expect(bytes_of_text(rows[i].text), false, rows[i].fault);
	}
}

/* What follows a response is decided by the method, the status and the fields, in that order,
 * and a connection is kept only where that is beyond doubt. */
static void framing_is_read(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
		bool head_method;
		enum http_body body;
		uint64_t content_length;
		bool keep_alive;
	} rows[] = {
		{ OK(""), 200, false, HTTP_BODY_CLOSE, 0, false },
		{ OK("Connection: keep-alive\r\n"), 200, false, HTTP_BODY_CLOSE, 0, false },
		{ OK("Content-Length: 0\r\n"), 200, false, HTTP_BODY_NONE, 0, true },
		{ OK("Content-Length: 5\r\n"), 200, false, HTTP_BODY_LENGTH, 5, true },
		{ OK("Transfer-Encoding: Chunked\r\n"), 200, false, HTTP_BODY_CHUNKED, 0, true },
		{ OK("Content-Length: 5\r\nConnection: close\r\n"), 200, false, HTTP_BODY_LENGTH, 5,
			false },
		{ OK(""), 200, true, HTTP_BODY_NONE, 0, true },
		{ OK("Content-Length: 5\r\n"), 200, true, HTTP_BODY_NONE, 5, true },
		{ OK("Transfer-Encoding: chunked\r\n"), 200, true, HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.0 200 OK", "Content-Length: 5\r\n"), 200, false,
			HTTP_BODY_LENGTH, 5, false },
		{ RESPONSE("HTTP/1.0 200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n"),
			200, false, HTTP_BODY_LENGTH, 5, true },
		{ RESPONSE("HTTP/1.1 200 ", "Content-Length: 0\r\n"), 200, false, HTTP_BODY_NONE, 0,
			true },
		{ RESPONSE("HTTP/1.1 599 \xc3\xa9\t ?", "Content-Length: 0\r\n"), 599, false,
			HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.1 100 Continue", ""), 100, false, HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.1 100 Continue", "Content-Length: 0\r\n"), 100, false,
			HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.1 204 No Content", ""), 204, false, HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.1 204 No Content", "Content-Length: 0\r\n"), 204, false,
			HTTP_BODY_NONE, 0, true },
		{ RESPONSE("HTTP/1.1 204 No Content", "Content-Length: 5\r\n"), 204, false,
			HTTP_BODY_NONE, 5, false },
		{ RESPONSE("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked\r\n"), 204, false,
			HTTP_BODY_NONE, 0, false },
		{ RESPONSE("HTTP/1.1 304 Not Modified", "Content-Length: 5\r\n"), 304, false,
			HTTP_BODY_NONE, 5, true },
		{ RESPONSE("HTTP/1.1 205 Reset Content", "Content-Length: 5\r\n"), 205, false,
			HTTP_BODY_LENGTH, 5, true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		expect(bytes_of_text(rows[i].text), rows[i].head_method, HTTP_FAULT_NONE);
		assert_int_equal(response.status, rows[i].status);
		assert_int_equal(response.body, rows[i].body);
		assert_int_equal(response.content_length, rows[i].content_length);
		assert_int_equal(response.keep_alive, rows[i].keep_alive);
	}
}

/* A response that was refused says nothing of the one before it. */
static void refused_response_is_cleared(void **state)
{
	(void)state;

	expect(BYTES_LITERAL(OK("Content-Length: 5\r\n")), false, HTTP_FAULT_NONE);
	expect(BYTES_LITERAL(RESPONSE("HTTP/1.1", "")), false, HTTP_FAULT_STATUS_LINE);
	assert_int_equal(response.status, 0);
	assert_int_equal(response.minor_version, 0);
	assert_int_equal(response.body, HTTP_BODY_NONE);
	assert_int_equal(response.content_length, 0);
	assert_false(response.keep_alive);
	assert_int_equal(response.fields.count, 0);
}

#define NOW_S UINT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static enum result retry_after(const char *value, uint64_t now_s, uint64_t *ret_seconds)
{
	static const struct http_fields none = { .count = 0 };
	struct http_fields one = { .count = 1 };

	if (value == NULL) return http_retry_after(&none, now_s, ret_seconds);
	const uint8_t *at = guard_place(&guard, bytes_of_text(value));
	one.field[0].name = BYTES_LITERAL("retry-after");
	one.field[0].value = bytes_of(at, strlen(value));
	return http_retry_after(&one, now_s, ret_seconds);
}

/* Retry-After is read as seconds or as a date in any of the three formats. */
static void retry_after_is_read(void **state)
{
	static const struct {
		const char *value;
		uint64_t now_s;
		uint64_t seconds;
	} rows[] = {
		{ "0", NOW_S, 0 },
		{ "120", NOW_S, 120 },
		{ "18446744073709551615", NOW_S, UINT64_MAX },
		{ "Thu, 01 Jan 1970 00:00:10 GMT", 0, 10 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", NOW_S, 0 },
		{ "Sun, 06 Nov 1994 08:49:38 GMT", NOW_S, 1 },
		{ "Sun, 06 Nov 1994 08:49:36 GMT", NOW_S, 0 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", NOW_S, 0 },
		{ "Wed, 31 Dec 1969 23:59:59 GMT", NOW_S, 0 },
		{ "Sat, 01 Jan 0000 00:00:00 GMT", NOW_S, 0 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799, 0 },
		{ "Sun, 06 Nov 1994 09:49:60 GMT", NOW_S, 3623 },
		{ "Sunday, 06-Nov-94 08:49:39 GMT", NOW_S, 2 },
		{ "Sun Nov  6 08:49:40 1994", NOW_S, 3 },
		{ "Wed Nov 16 08:49:37 1994", NOW_S, 864000 },
		/* A leap day, and the year 2100 without one. */
		{ "Tue, 29 Feb 2000 00:00:00 GMT", 951782399, 1 },
		{ "Mon, 01 Mar 2100 00:00:00 GMT", 4107542399, 1 },
		/* Two digits of a year are at most 50 years ahead. */
		{ "Monday, 01-Jan-01 00:00:00 GMT", 978307199, 1 },
		{ "Friday, 01-Jan-45 00:00:00 GMT", NOW_S, 0 },
		{ "Friday, 01-Jan-44 00:00:00 GMT", NOW_S, 1551107423 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t seconds = 99;
		assert_int_equal(retry_after(rows[i].value, rows[i].now_s, &seconds), RESULT_OK);
		assert_int_equal(seconds, rows[i].seconds);
	}
}

/* What is no number of seconds and no date is refused, and nothing is written then. */
static void bad_retry_after_is_refused(void **state)
{
	static const char *const values[] = { "", "-1", "+1", "1.5", "1 ", "soon",
		"18446744073709551616", "Sun", "Sun,", "Sun, ", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"sun, 06 Nov 1994 08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1995 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
		"Sonday, 06-Nov-94 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994", "Sunday Nov  6 08:49:37 1994",
		"Sun Nov  6 08:49:37 94" };
	uint64_t seconds = 99;
	(void)state;

	assert_int_equal(retry_after(NULL, NOW_S, &seconds), RESULT_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		assert_int_equal(retry_after(values[i], NOW_S, &seconds), RESULT_MALFORMED);
		assert_int_equal(seconds, 99);
	}
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, HTTP_HEAD_SIZE_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_responses_are_refused),
		cmocka_unit_test(framing_is_read),
		cmocka_unit_test(refused_response_is_cleared),
		cmocka_unit_test(retry_after_is_read),
		cmocka_unit_test(bad_retry_after_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Request heads as a whole: the first line, framing, and requests made to be misread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "unit/http/request_reader.h"

static char long_text[2 * HTTP_HEAD_SIZE_MAX];

static const struct refusal bad_request_lines[] = {
	REFUSED(REQUEST_LINE, "\r\n\r\n"),
	REFUSED(REQUEST_LINE, REQUEST("GET", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET /", HOST)), /* HTTP/0.9 */
	REFUSED(REQUEST_LINE, REQUEST("GET  / HTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET /  HTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1.1 ", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET  HTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / a HTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET\t/\tHTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET /\tHTTP/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / http/1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1.", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1.1x", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/01.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1.01", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1,1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/x.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP/1.x", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTP /1.1", HOST)),
	REFUSED(REQUEST_LINE, REQUEST("GET / HTTPS/1.1", HOST)),
	REFUSED(METHOD, REQUEST(" GET / HTTP/1.1", HOST)),
	REFUSED(METHOD, REQUEST("\tGET / HTTP/1.1", HOST)),
	REFUSED(METHOD, REQUEST("GE(T / HTTP/1.1", HOST)),
	REFUSED(METHOD, REQUEST("G\xc3\x89T / HTTP/1.1", HOST)),
	REFUSED(METHOD, REQUEST("G\0T / HTTP/1.1", HOST)),
	REFUSED(METHOD, REQUEST("GET: / HTTP/1.1", HOST)),
	REFUSED(VERSION, REQUEST("GET / HTTP/2.0", HOST)),
	REFUSED(VERSION, REQUEST("GET / HTTP/0.9", HOST)),
	REFUSED(VERSION, REQUEST("GET / HTTP/1.2", HOST)),
	REFUSED(VERSION, REQUEST("GET / HTTP/3.1", HOST)),
	REFUSED(VERSION, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	REFUSED(BARE_CR, REQUEST("GET / HTTP/1.1\r", HOST)),
	REFUSED(BARE_CR, REQUEST("GET /\r HTTP/1.1", HOST)),
	REFUSED(BARE_CR, REQUEST("GET\r/\rHTTP/1.1", HOST)),
	REFUSED(BARE_CR, "\r\r\n\r\n"),
	REFUSED(BARE_LF, "GET / HTTP/1.1\n" HOST "\r\n"),
	REFUSED(BARE_LF, "\nGET / HTTP/1.1\r\n" HOST "\r\n"),
};

/* Requests made to be framed one way by us and another way by somebody else. */
static const struct refusal attacks[] = {
	REFUSED(LENGTH_AND_CODING, WITH("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(LENGTH_AND_CODING, WITH("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n")),
	REFUSED(LENGTH_AND_CODING, WITH("Transfer-Encoding: xchunked\r\ncontent-length: 6\r\n")),
	REFUSED(LENGTH_AND_CODING, WITH("Transfer-Encoding:\r\nContent-Length: +\r\n")),
	REFUSED(LENGTH_AND_CODING,
		REQUEST("POST / HTTP/1.0", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(CODING_VERSION, REQUEST("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n")),
	REFUSED(CODING_VERSION, REQUEST("POST / HTTP/1.0", "Transfer-Encoding: identity\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding:\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: xchunked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunkedx\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: identity\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: gzip\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunked, identity\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: identity, chunked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: gzip, chunked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunked, chunked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunked,\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: ,chunked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunked;a=b\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: \"chunked\"\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chun ked\r\n")),
	REFUSED(CODING_INVALID, WITH("Transfer-Encoding: chunked\xa0\r\n")),
	REFUSED(CODING_INVALID,
		WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(CODING_INVALID,
		WITH("Transfer-Encoding: identity\r\nTransfer-encoding: chunked\r\n")),
	REFUSED(CONTROL,
		WITH("Transfer-Encoding: \x0b"
		     "chunked\r\n")),
	REFUSED(CONTROL, WITH("Transfer-Encoding: chunked\x0c\r\n")),
	REFUSED(CONTROL, WITH("Transfer-Encoding: chunked\0\r\n")),
	REFUSED(FIELD_NAME, WITH("Transfer-Encoding : chunked\r\n")),
	REFUSED(FIELD_NAME, WITH("Transfer-Encoding\t: chunked\r\n")),
	REFUSED(FIELD_NAME, WITH("Content-Length : 5\r\n")),
	REFUSED(FIELD_FOLD, WITH("Transfer-Encoding:\r\n chunked\r\n")),
	REFUSED(FIELD_FOLD, WITH("X: y\r\n Transfer-Encoding: chunked\r\n")),
	REFUSED(BARE_LF, WITH("X: y\nTransfer-Encoding: chunked\r\n")),
	REFUSED(BARE_CR, WITH("X: y\rTransfer-Encoding: chunked\r\n")),
	REFUSED(LENGTH_DUPLICATE, WITH("Content-Length: 5\r\nContent-Length: 5\r\n")),
	REFUSED(LENGTH_DUPLICATE, WITH("Content-Length: 5\r\nContent-Length: 6\r\n")),
	REFUSED(LENGTH_DUPLICATE, WITH("content-length: 0\r\nA: b\r\nCONTENT-LENGTH: 0\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length:\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: \t\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: +5\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: -5\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: -0\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 0x5\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 5a\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 1 2\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 1_000\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 5, 5\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 5,\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 5.0\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: \"5\"\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 00\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 0200\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 18446744073709551616\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 18446744073709551621\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: 99999999999999999999999999999999\r\n")),
	REFUSED(LENGTH_INVALID, WITH("Content-Length: \xd9\xa5\r\n")), /* an Arabic five */
	REFUSED(EXPECTATION, WITH("Expect:\r\n")),
	REFUSED(EXPECTATION, WITH("Expect: 200-ok\r\n")),
	REFUSED(EXPECTATION, WITH("Expect: 100-continue, 100-continue\r\n")),
	REFUSED(EXPECTATION, WITH("Expect: 100-continue\r\nExpect: other\r\n")),
	REFUSED(EXPECTATION, WITH("Expect: other\r\nExpect: 100-continue\r\n")),
};

/* A request line that is not exactly three parts and two spaces is refused. */
static void bad_request_lines_are_refused(void **state)
{
	(void)state;
	request_expect_refusals(bad_request_lines, ARRAY_COUNT(bad_request_lines));
}

/* Smuggling finds no second way to read where a request ends. */
static void attacks_are_refused(void **state)
{
	(void)state;
	request_expect_refusals(attacks, ARRAY_COUNT(attacks));
}

/* A head of HTTP_HEAD_SIZE_MAX bytes is taken, one byte more is not. */
static void head_is_bounded(void **state)
{
	static char value[HTTP_HEAD_SIZE_MAX];
	const char start[] = GET "\r\n" HOST "A: ";
	const size_t frame_size = sizeof start - 1 + 4;
	(void)state;

	memset(value, 'v', sizeof value);
	for (size_t over = 0; over < 2; over++) {
		struct writer writer = writer_of(long_text, sizeof long_text);
		write_text(&writer, start);
		write_bytes(&writer, bytes_of(value, HTTP_HEAD_SIZE_MAX - frame_size + over));
		write_text(&writer, "\r\n");
		write_text(&writer, "\r\n");
		assert_false(writer.failed);
		assert_int_equal(request_read(writer_bytes(&writer)),
			over > 0 ? HTTP_FAULT_HEAD_SIZE : HTTP_FAULT_NONE);
	}
}

/* How the body is framed, whether the connection stays, whether the client waits for 100. */
static void framing_is_read(void **state)
{
#define ROW(version, fields, body, length, minor, keep_alive, expect_continue, count) \
	{ REQUEST("POST / HTTP/" version, HOST fields), "POST", "/", "/", "", "example.com", body, \
		length, minor, keep_alive, expect_continue, 1 + count }
	static const struct reading rows[] = {
		ROW("1.1", "", HTTP_BODY_NONE, 0, 1, true, false, 0),
		ROW("1.0", "", HTTP_BODY_NONE, 0, 0, false, false, 0),
		ROW("1.1", "Content-Length: 0\r\n", HTTP_BODY_NONE, 0, 1, true, false, 1),
		ROW("1.1", "content-length:7\r\n", HTTP_BODY_LENGTH, 7, 1, true, false, 1),
		ROW("1.0", "Content-Length: \t7 \r\n", HTTP_BODY_LENGTH, 7, 0, false, false, 1),
		ROW("1.1", "Content-Length: 18446744073709551615\r\n", HTTP_BODY_LENGTH, UINT64_MAX,
			1, true, false, 1),
		ROW("1.1", "Transfer-Encoding: chunked\r\n", HTTP_BODY_CHUNKED, 0, 1, true, false,
			1),
		ROW("1.1", "transfer-encoding:\tChunKED \r\n", HTTP_BODY_CHUNKED, 0, 1, true, false,
			1),
		/* Not the fields they look like. */
		ROW("1.1", "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n", HTTP_BODY_NONE, 0,
			1, true, false, 2),
		ROW("1.1", "Connection: close\r\n", HTTP_BODY_NONE, 0, 1, false, false, 1),
		ROW("1.1", "Connection: CLOSE\r\n", HTTP_BODY_NONE, 0, 1, false, false, 1),
		ROW("1.1", "Connection: a, ,\tclose ,b\r\n", HTTP_BODY_NONE, 0, 1, false, false, 1),
		ROW("1.1", "Connection: a\r\nConnection: close\r\n", HTTP_BODY_NONE, 0, 1, false,
			false, 2),
		ROW("1.1", "Connection: closed, xclose\r\n", HTTP_BODY_NONE, 0, 1, true, false, 1),
		ROW("1.1", "Keep-Alive: close\r\n", HTTP_BODY_NONE, 0, 1, true, false, 1),
		ROW("1.1", "Connection:\r\n", HTTP_BODY_NONE, 0, 1, true, false, 1),
		ROW("1.0", "Connection: Keep-Alive\r\n", HTTP_BODY_NONE, 0, 0, true, false, 1),
		ROW("1.0", "Connection: keep-alive, close\r\n", HTTP_BODY_NONE, 0, 0, false, false,
			1),
		ROW("1.0", "Connection: close\r\nConnection: keep-alive\r\n", HTTP_BODY_NONE, 0, 0,
			false, false, 2),
		ROW("1.1", "Expect: 100-continue\r\n", HTTP_BODY_NONE, 0, 1, true, false, 1),
		ROW("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", HTTP_BODY_LENGTH, 1, 1,
			true, true, 2),
		ROW("1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n",
			HTTP_BODY_LENGTH, 1, 1, true, true, 3),
		ROW("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", HTTP_BODY_LENGTH, 1, 0,
			false, false, 2),
	};
#undef ROW
	(void)state;

	request_expect_readings(rows, ARRAY_COUNT(rows));
}

/* A 1.0 request needs no Host, and one empty line before a request is skipped. */
static void old_clients_are_served(void **state)
{
	static const struct reading rows[] = {
		{ "GET / HTTP/1.0\r\n\r\n", "GET", "/", "/", "", "", HTTP_BODY_NONE, 0, 0, false,
			false, 0 },
		{ "GET http://a:1 HTTP/1.0\r\n\r\n", "GET", "http://a:1", "/", "", "a:1",
			HTTP_BODY_NONE, 0, 0, false, false, 0 },
		{ "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", "/", "", "a", HTTP_BODY_NONE,
			0, 1, true, false, 1 },
	};
	(void)state;

	request_expect_readings(rows, ARRAY_COUNT(rows));
}

/* A request that was refused says nothing of the one before it. */
static void refused_request_is_cleared(void **state)
{
	(void)state;

	assert_int_equal(request_read(BYTES_LITERAL(WITH("Content-Length: 5\r\n"
							 "Expect: 100-continue\r\n"))),
		HTTP_FAULT_NONE);
	assert_true(request_last.expect_continue);
	assert_int_equal(request_read(BYTES_LITERAL("\r\n\r\n")), HTTP_FAULT_REQUEST_LINE);
	assert_int_equal(request_last.method.size + request_last.target.size +
			request_last.path.size,
		0);
	assert_int_equal(request_last.query.size + request_last.host.size, 0);
	assert_int_equal(request_last.minor_version, 0);
	assert_int_equal(request_last.body, HTTP_BODY_NONE);
	assert_int_equal(request_last.content_length, 0);
	assert_false(request_last.keep_alive);
	assert_false(request_last.expect_continue);
	assert_int_equal(request_last.fields.count, 0);
}

/* The parser does not count on http_head_find() having looked for bare line feeds. */
static void bare_line_feeds_are_seen_twice(void **state)
{
	static const char *const heads[] = { "GET / HTTP/1.1\nHost: a\r\n\r\n",
		"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n", "GET / HTTP/1.1\r\nHost\n: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\nHost: a\r\n\r\n" };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
		enum http_fault fault = HTTP_FAULT_NONE;
		assert_int_equal(http_request_parse(bytes_of_text(heads[i]), &request_last, &fault),
			HTTP_PARSE_BAD);
		assert_int_equal(fault, HTTP_FAULT_BARE_LF);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_request_lines_are_refused),
		cmocka_unit_test(attacks_are_refused),
		cmocka_unit_test(head_is_bounded),
		cmocka_unit_test(framing_is_read),
		cmocka_unit_test(old_clients_are_served),
		cmocka_unit_test(refused_request_is_cleared),
		cmocka_unit_test(bare_line_feeds_are_seen_twice),
	};
	return cmocka_run_group_tests(tests, request_reader_set_up, request_reader_tear_down);
}

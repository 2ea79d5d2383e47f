/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written is exact, fits or fails as a whole, and cannot be split by what is in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/http_response.h"
#include "http/http_write.h"
#include "lib/bug.h"
#include "lib/guard.h"

enum { CAPACITY = 4096 };

static struct guard guard;
static uint8_t memory[CAPACITY];

static void expect_text(const struct writer *writer, const char *text)
{
	assert_false(writer->failed);
	assert_int_equal(writer->size, strlen(text));
	assert_memory_equal(writer->data, text, writer->size);
}

/* Every registered status has its phrase, and any other number has one too. */
static void reasons_are_known(void **state)
{
	(void)state;

	assert_string_equal(http_reason(0), "Status");
	assert_string_equal(http_reason(99), "Status");
	assert_string_equal(http_reason(100), "Continue");
	assert_string_equal(http_reason(200), "OK");
	assert_string_equal(http_reason(202), "Accepted");
	assert_string_equal(http_reason(306), "Status");
	assert_string_equal(http_reason(431), "Request Header Fields Too Large");
	assert_string_equal(http_reason(503), "Service Unavailable");
	assert_string_equal(http_reason(511), "Network Authentication Required");
	assert_string_equal(http_reason(512), "Status");
	assert_string_equal(http_reason(4000000000), "Status");
}

/* Each status that a fault is answered with has a phrase of its own. */
static void statuses_of_faults_have_reasons(void **state)
{
	(void)state;

	for (unsigned i = 0; i < HTTP_FAULT_COUNT; i++) {
		assert_string_not_equal(http_reason(http_fault_status((enum http_fault)i)),
			"Status");
	}
}

/* A head is written line by line. */
static void heads_are_written(void **state)
{
	struct writer writer = writer_of(memory, sizeof memory);
	(void)state;

	http_write_status(&writer, 202);
	http_write_field(&writer, BYTES_LITERAL("A"), BYTES_LITERAL(""));
	http_write_field(&writer, BYTES_LITERAL("B"), BYTES_LITERAL("c d"));
	http_write_field_decimal(&writer, "Content-Length", 0);
	http_write_field_decimal(&writer, "E", UINT64_MAX);
	http_write_end(&writer);
	expect_text(&writer,
		"HTTP/1.1 202 Accepted\r\nA: \r\nB: c d\r\nContent-Length: 0\r\n"
		"E: 18446744073709551615\r\n\r\n");

	writer = writer_of(memory, sizeof memory);
	http_write_request_line(&writer, "POST", BYTES_LITERAL("/a?b"), BYTES_LITERAL("c:8080"));
	http_write_end(&writer);
	expect_text(&writer, "POST /a?b HTTP/1.1\r\nHost: c:8080\r\n\r\n");
}

static void write_as_value(void *owner)
{
	const struct bytes *text = owner;
	struct writer writer = writer_of(memory, sizeof memory);
	http_write_field(&writer, BYTES_LITERAL("A"), *text);
}

static void write_as_name(void *owner)
{
	const struct bytes *text = owner;
	struct writer writer = writer_of(memory, sizeof memory);
	http_write_field(&writer, *text, BYTES_LITERAL("a"));
}

static void write_as_target(void *owner)
{
	const struct bytes *text = owner;
	struct writer writer = writer_of(memory, sizeof memory);
	http_write_request_line(&writer, "POST", *text, BYTES_LITERAL("a"));
}

static void write_as_host(void *owner)
{
	const struct bytes *text = owner;
	struct writer writer = writer_of(memory, sizeof memory);
	http_write_request_line(&writer, "POST", BYTES_LITERAL("/"), *text);
}

/* Text that would end a line never leaves: response splitting is a CHECK, not a field. */
static void lines_cannot_be_split(void **state)
{
	void (*const writes[])(void *) = { write_as_value, write_as_name, write_as_target,
		write_as_host };
	struct bytes good = BYTES_LITERAL("a\x01\xff");
	struct bytes no_target = BYTES_LITERAL("/a b");
	struct bytes bad[] = { BYTES_LITERAL("\r"), BYTES_LITERAL("\n"), BYTES_LITERAL("\0"),
		BYTES_LITERAL("a\r\nSet-Cookie: b"), BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\n") };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(writes); i++) {
		assert_false(is_a_bug(writes[i], &good));
		for (size_t j = 0; j < ARRAY_COUNT(bad); j++)
			assert_true(is_a_bug(writes[i], &bad[j]));
	}
	assert_true(is_a_bug(write_as_target, &no_target));
}

/* A problem is a whole response whose length is that of its body. */
static void problems_are_written(void **state)
{
	struct writer writer = writer_of(memory, sizeof memory);
	(void)state;

	http_write_problem(&writer,
		&(struct http_problem){ .status = 503, .code = "overloaded", .title = "Too much" });
	expect_text(&writer,
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 94\r\n\r\n"
		"{\"type\":\"urn:penstock:problem:overloaded\",\"title\":\"Too much\","
		"\"status\":503,\"code\":\"overloaded\"}");

	writer = writer_of(memory, sizeof memory);
	struct http_problem problem = { .status = 400,
		.code = "bad",
		.title = "\"Bad\"",
		.detail = "a\nb",
		.instance = "/x",
		.date = "Sun, 06 Nov 1994 08:49:37 GMT",
		.challenge = "Signature realm=\"a\"",
		.connection = "close",
		.retry_after_s = 5 };
	http_write_problem(&writer, &problem);
	expect_text(&writer,
		"HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		"Content-Type: application/problem+json\r\nContent-Length: 111\r\n"
		"WWW-Authenticate: Signature realm=\"a\"\r\n"
		"Retry-After: 5\r\nConnection: close\r\n\r\n"
		"{\"type\":\"urn:penstock:problem:bad\",\"title\":\"\\\"Bad\\\"\",\"status\":400,"
		"\"code\":\"bad\",\"detail\":\"a\\nb\",\"instance\":\"/x\"}");

	/* To a HEAD the same head, without the body. */
	size_t whole_size = writer.size;
	problem.head_method = true;
	writer = writer_of(memory, sizeof memory);
	http_write_problem(&writer, &problem);
	assert_int_equal(writer.size, whole_size - 111);
	assert_memory_equal(writer.data + writer.size - 4, "\r\n\r\n", 4);
}

/* Our own parser takes what we write. */
static void problems_are_read_back(void **state)
{
	static struct http_response response;
	struct writer writer = writer_of(memory, sizeof memory);
	enum http_fault fault;
	uint64_t retry_after_s;
	size_t scanned = 0;
	size_t size;
	(void)state;

	http_write_problem(&writer,
		&(struct http_problem){
			.status = 413, .code = "a", .title = "b", .retry_after_s = 7 });
	struct bytes whole = writer_bytes(&writer);
	assert_int_equal(http_head_find(whole, &scanned, &size, &fault), HTTP_PARSE_DONE);
	assert_int_equal(http_response_parse(bytes_of(whole.data, size), false, &response, &fault),
		HTTP_PARSE_DONE);
	assert_int_equal(response.status, 413);
	assert_int_equal(response.body, HTTP_BODY_LENGTH);
	assert_int_equal(response.content_length, whole.size - size);
	assert_int_equal(http_retry_after(&response.fields, 0, &retry_after_s), RESULT_OK);
	assert_int_equal(retry_after_s, 7);
}

/* With one byte too little room a problem fails, and nothing is written beyond the room. */
static void problems_fit_or_fail(void **state)
{
	const struct http_problem problem = { .status = 400, .code = "bad", .title = "Bad" };
	struct writer measure = writer_of(memory, sizeof memory);
	(void)state;

	http_write_problem(&measure, &problem);
	for (size_t room = 0; room <= measure.size; room++) {
		uint8_t *at = guard_place(&guard, bytes_of(memory, room));
		struct writer writer = writer_of(at, room);
		http_write_problem(&writer, &problem);
		assert_int_equal(writer.failed, room < measure.size);

		/* What was written before it stays. */
		writer = writer_of(at, room);
		write_text(&writer, "abc");
		http_write_problem(&writer, &problem);
		assert_true(writer.failed);
		if (room >= 3) assert_memory_equal(at, "abc", 3);
	}
}

/* A length that could not be measured is not sent, not even to a HEAD. */
static void unmeasured_problem_fails(void **state)
{
	char detail[300];
	const struct http_problem problem = {
		.status = 400, .code = "bad", .title = "Bad", .detail = detail, .head_method = true
	};
	(void)state;

	memset(detail, 'd', sizeof detail - 1);
	detail[sizeof detail - 1] = '\0';
	struct writer writer = writer_of(memory, 200);
	http_write_problem(&writer, &problem);
	assert_true(writer.failed);
	writer = writer_of(memory, 400);
	http_write_problem(&writer, &problem);
	assert_false(writer.failed);
}

/* A JSON string holds any bytes: escapes where JSON wants them, U+FFFD for what is no UTF-8. */
static void json_strings_are_written(void **state)
{
#define FFFD "\xef\xbf\xbd"
#define ROW(text, json) \
	{ \
		(text), sizeof(text) - 1, (json) \
	}
	static const struct {
		const char *text;
		size_t size;
		const char *json;
	} rows[] = {
		ROW("", "\"\""),
		ROW("abc /<>&'", "\"abc /<>&'\""),
		ROW("\"", "\"\\\"\""),
		ROW("\\", "\"\\\\\""),
		ROW("a\r\n\tb", "\"a\\r\\n\\tb\""),
		ROW("\0\x01\b\x1f \x7f", "\"\\u0000\\u0001\\u0008\\u001f \x7f\""),
		ROW("\xc2\x80\xdf\xbf", "\"\xc2\x80\xdf\xbf\""),
		ROW("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
			"\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""),
		ROW("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
		/* Cut off, lone, overlong, surrogate, too high, no first byte. */
		ROW("\xc3", "\"" FFFD "\""),
		ROW("\xe2\x82", "\"" FFFD FFFD "\""),
		ROW("\xf0\x9f\x98", "\"" FFFD FFFD FFFD "\""),
		ROW("a\x80z", "\"a" FFFD "z\""),
		ROW("\xc3(", "\"" FFFD "(\""),
		ROW("\xc3\"", "\"" FFFD "\\\"\""),
		ROW("\xe2\x28\xa1", "\"" FFFD "(" FFFD "\""),
		ROW("\xe2\x82\x28", "\"" FFFD FFFD "(\""),
		ROW("\xc0\xaf", "\"" FFFD FFFD "\""),
		ROW("\xc1\xbf", "\"" FFFD FFFD "\""),
		ROW("\xe0\x9f\xbf", "\"" FFFD FFFD FFFD "\""),
		ROW("\xf0\x8f\xbf\xbf", "\"" FFFD FFFD FFFD FFFD "\""),
		ROW("\xed\xa0\x80", "\"" FFFD FFFD FFFD "\""),
		ROW("\xf4\x90\x80\x80", "\"" FFFD FFFD FFFD FFFD "\""),
		ROW("\xf5\x80\x80\x80", "\"" FFFD FFFD FFFD FFFD "\""),
		ROW("\xff\xfe", "\"" FFFD FFFD "\""),
	};
#undef ROW
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct writer writer = writer_of(memory, sizeof memory);
		const uint8_t *at = guard_place(&guard, bytes_of(rows[i].text, rows[i].size));
		http_write_json_string(&writer, bytes_of(at, rows[i].size));
		expect_text(&writer, rows[i].json);
	}
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, CAPACITY);
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
		cmocka_unit_test(reasons_are_known),
		cmocka_unit_test(statuses_of_faults_have_reasons),
		cmocka_unit_test(heads_are_written),
		cmocka_unit_test(lines_cannot_be_split),
		cmocka_unit_test(problems_are_written),
		cmocka_unit_test(problems_are_read_back),
		cmocka_unit_test(problems_fit_or_fail),
		cmocka_unit_test(unmeasured_problem_fails),
		cmocka_unit_test(json_strings_are_written),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

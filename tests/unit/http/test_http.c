/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What requests and responses share: faults, fields, the end of a head, dates. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "http/http.h"
#include "lib/guard.h"

static struct guard guard;

struct head_verdict {
	enum http_parse parse;
	enum http_fault fault;
	size_t size;
};

/* Gives http_head_find() `step` bytes more each time, until it is content or all is given. */
static struct head_verdict find_in_steps(struct bytes input, size_t step)
{
	struct head_verdict verdict = { HTTP_PARSE_MORE, HTTP_FAULT_NONE, 0 };
	size_t scanned = 0;

	for (size_t given = 0; given < input.size && verdict.parse == HTTP_PARSE_MORE;) {
		given = input.size - given < step ? input.size : given + step;
		struct bytes part = bytes_of(input.data, given);
		verdict.parse = http_head_find(bytes_of(guard_place(&guard, part), part.size),
			&scanned, &verdict.size, &verdict.fault);
		/* What was looked at is not looked at again. */
		if (verdict.parse == HTTP_PARSE_MORE) assert_int_equal(scanned, given);
	}
	return verdict;
}

static void expect_head(struct bytes input, struct head_verdict expected)
{
	for (size_t step = input.size; step > 0; step--) {
		struct head_verdict verdict = find_in_steps(input, step);
		assert_int_equal(verdict.parse, expected.parse);
		assert_int_equal(verdict.fault, expected.fault);
		assert_int_equal(verdict.size, expected.size);
	}
}

/* The head ends with the first empty line, wherever the input was cut. */
static void head_ends_with_first_empty_line(void **state)
{
	static const struct {
		const char *text;
		enum http_parse parse;
		enum http_fault fault;
		size_t size;
	} cases[] = {
		{ "\n", HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 },
		{ "\r", HTTP_PARSE_MORE, HTTP_FAULT_NONE, 0 },
		{ "\r\n", HTTP_PARSE_MORE, HTTP_FAULT_NONE, 0 },
		{ "\r\n\r", HTTP_PARSE_MORE, HTTP_FAULT_NONE, 0 },
		{ "\r\n\r\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 4 },
		{ "\r\n\n", HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 },
		{ "\n\n", HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 },
		{ "\r\r\n\r\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 5 },
		{ "a\r\n\r\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 5 },
		{ "a\r\n\r\nb\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 5 },
		{ "a\r\n\r\n\r\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 5 },
		{ "a\r\nb\r\n\r\nbody", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 8 },
		{ "a\r\nb\n\r\n", HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 },
		{ "a\nb\r\n\r\n", HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 },
		{ "\r\na\r\n\r\n", HTTP_PARSE_DONE, HTTP_FAULT_NONE, 7 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		expect_head(bytes_of_text(cases[i].text),
			(struct head_verdict){ cases[i].parse, cases[i].fault, cases[i].size });
	}
}

static void put(uint8_t *at, const char *text)
{
	for (; *text != '\0'; text++) *at++ = (uint8_t)*text;
}

/* Byte by byte, as RFC 9112 §2.2 says it. */
static struct head_verdict find_plainly(struct bytes input)
{
	for (size_t i = 0; i < input.size; i++) {
		if (input.data[i] != '\n') continue;
		if (i == 0 || input.data[i - 1] != '\r') {
			return (struct head_verdict){ HTTP_PARSE_BAD, HTTP_FAULT_BARE_LF, 0 };
		}
		if (i >= 3 && memcmp(input.data + i - 3, "\r\n\r\n", 4) == 0) {
			return (struct head_verdict){ HTTP_PARSE_DONE, HTTP_FAULT_NONE, i + 1 };
		}
	}
	return (struct head_verdict){ HTTP_PARSE_MORE, HTTP_FAULT_NONE, 0 };
}

/* Line breaks of any kind at any place, most of them within the first few hundred bytes: it is
 * looked for in pieces of 64. */
static void head_is_found_anywhere(void **state)
{
	static const char *const pieces[] = { "\r\n", "\r\n\r\n", "\r\n\r", "\n", "\r", "\n\r\n" };
	struct random random = { .state = 31 };
	uint8_t text[300];
	(void)state;

	for (unsigned round = 0; round < 20000; round++) {
		size_t size = random_below(&random, sizeof text) + 1;
		memset(text, 'a', sizeof text);
		uint64_t count = random_below(&random, 6);
		/* A bare line feed ends the search: in most rounds there is none. */
		uint64_t kinds = round % 4 == 0 ? ARRAY_COUNT(pieces) : 3;
		for (uint64_t i = 0; i < count; i++) {
			put(text + random_below(&random, sizeof text - 4),
				pieces[random_below(&random, kinds)]);
		}
		struct bytes input = bytes_of(text, size);
		struct head_verdict expected = find_plainly(input);
		struct head_verdict whole = find_in_steps(input, size);
		struct head_verdict cut = find_in_steps(input, random_below(&random, size) + 1);
		assert_int_equal(whole.parse, expected.parse);
		assert_int_equal(whole.fault, expected.fault);
		assert_int_equal(whole.size, expected.size);
		assert_int_equal(cut.parse, expected.parse);
		assert_int_equal(cut.fault, expected.fault);
		assert_int_equal(cut.size, expected.size);
	}
}

/* A head of HTTP_HEAD_SIZE_MAX bytes passes, one byte more does not, and nothing is read
 * after that. */
static void head_is_bounded(void **state)
{
	static uint8_t text[HTTP_HEAD_SIZE_MAX + 1];
	size_t size = 0;
	size_t scanned = 0;
	enum http_fault fault = HTTP_FAULT_NONE;
	(void)state;

	memset(text, 'a', sizeof text);
	put(text + HTTP_HEAD_SIZE_MAX - 4, "\r\n\r\n");
	const uint8_t *at = guard_place(&guard, bytes_of(text, HTTP_HEAD_SIZE_MAX));
	assert_int_equal(http_head_find(bytes_of(at, HTTP_HEAD_SIZE_MAX), &scanned, &size, &fault),
		HTTP_PARSE_DONE);
	assert_int_equal(size, HTTP_HEAD_SIZE_MAX);

	memset(text, 'a', sizeof text);
	put(text + HTTP_HEAD_SIZE_MAX - 3, "\r\n\r\n");
	for (size_t step = 1; step < sizeof text; step += step) {
		struct head_verdict verdict = find_in_steps(bytes_of(text, sizeof text), step);
		assert_int_equal(verdict.parse, HTTP_PARSE_BAD);
		assert_int_equal(verdict.fault, HTTP_FAULT_HEAD_SIZE);
	}
	scanned = 0;
	at = guard_place(&guard, bytes_of(text, HTTP_HEAD_SIZE_MAX - 1));
	assert_int_equal(http_head_find(bytes_of(at, HTTP_HEAD_SIZE_MAX - 1), &scanned, &size,
				 &fault),
		HTTP_PARSE_MORE);
}

/* Every fault has an error status, a code of its own and a sentence; NONE has none of these. */
static void faults_are_described(void **state)
{
	(void)state;

	assert_int_equal(http_fault_status(HTTP_FAULT_NONE), 200);
	for (unsigned i = HTTP_FAULT_NONE + 1; i < HTTP_FAULT_COUNT; i++) {
		unsigned status = http_fault_status((enum http_fault)i);
		assert_true(status >= 400 && status <= 599);
		assert_true(strlen(http_fault_text((enum http_fault)i)) > 0);
		for (unsigned other = 0; other < i; other++) {
			assert_string_not_equal(http_fault_code((enum http_fault)i),
				http_fault_code((enum http_fault)other));
		}
	}
	assert_int_equal(http_fault_status(HTTP_FAULT_TARGET_SIZE), 414);
	assert_int_equal(http_fault_status(HTTP_FAULT_BODY_SIZE), 413);
	assert_int_equal(http_fault_status(HTTP_FAULT_EXPECTATION), 417);
	assert_int_equal(http_fault_status(HTTP_FAULT_VERSION), 505);
	assert_string_equal(http_fault_code(HTTP_FAULT_BODY_SIZE), "body_too_large");
}

/* Fields are found by name without case, the first of several first. */
static void fields_are_found(void **state)
{
	static const struct http_fields fields = {
		.count = 3, /* the fourth is left over from an earlier head */
		.field = {
			{ { (const uint8_t *)"A", 1 }, { (const uint8_t *)"1", 1 } },
			{ { (const uint8_t *)"x-b", 3 }, { (const uint8_t *)"2", 1 } },
			{ { (const uint8_t *)"a", 1 }, { (const uint8_t *)"3", 1 } },
			{ { (const uint8_t *)"d", 1 }, { (const uint8_t *)"4", 1 } },
		},
	};
	static const struct http_fields none = { .count = 0 };
	(void)state;

	assert_null(http_field_find(&none, BYTES_LITERAL("a")));
	assert_int_equal(http_field_count(&none, BYTES_LITERAL("a")), 0);
	assert_null(http_field_find(&fields, BYTES_LITERAL("")));
	assert_null(http_field_find(&fields, BYTES_LITERAL("x-")));
	assert_null(http_field_find(&fields, BYTES_LITERAL("d")));
	assert_int_equal(http_field_count(&fields, BYTES_LITERAL("d")), 0);
	assert_ptr_equal(http_field_find(&fields, BYTES_LITERAL("a")), &fields.field[0]);
	assert_ptr_equal(http_field_find(&fields, BYTES_LITERAL("X-B")), &fields.field[1]);
	assert_int_equal(http_field_count(&fields, BYTES_LITERAL("a")), 2);
	assert_int_equal(http_field_count(&fields, BYTES_LITERAL("X-b")), 1);
}

/* Dates have the weekday, leap days and turns of years right. */
static void dates_are_written(void **state)
{
	static const struct {
		uint64_t unix_seconds;
		const char *text;
	} cases[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782399, "Mon, 28 Feb 2000 23:59:59 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 978307199, "Sun, 31 Dec 2000 23:59:59 GMT" },
		{ 978307200, "Mon, 01 Jan 2001 00:00:00 GMT" },
		{ 2147483648, "Tue, 19 Jan 2038 03:14:08 GMT" },
		{ 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
		{ 4107542399, "Sun, 28 Feb 2100 23:59:59 GMT" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[HTTP_DATE_SIZE];
		http_date(cases[i].unix_seconds, text);
		assert_string_equal(text, cases[i].text);
	}
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, HTTP_HEAD_SIZE_MAX + 1);
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
		cmocka_unit_test(head_ends_with_first_empty_line),
		cmocka_unit_test(head_is_found_anywhere),
		cmocka_unit_test(head_is_bounded),
		cmocka_unit_test(faults_are_described),
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(dates_are_written),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

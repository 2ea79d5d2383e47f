/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two pure parts of control: its JSON writer and its parameters. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "control/control_json.h"
#include "control/control_query.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

static void test_json_shapes(void **state)
{
	(void)state;
	char text[512] = { 0 };
	struct writer writer = writer_of(text, sizeof text - 1);
	struct json json = json_of(&writer);
	json_object(&json, NULL);
	json_array(&json, "empty");
	json_array_end(&json);
	json_array(&json, "list");
	json_number(&json, NULL, 0);
	json_number(&json, NULL, UINT64_MAX);
	json_object(&json, NULL);
	json_object_end(&json);
	json_bool(&json, NULL, true);
	json_null(&json, NULL);
	json_array_end(&json);
	assert_false(json_complete(&json));
	json_object(&json, "object");
	json_text(&json, "text", "a\"b\\c\n\x01");
	json_bytes(&json, "bytes", bytes_of("\xff\0z", 3));
	json_object_end(&json);
	json_text_or_null(&json, "none", BYTES_EMPTY);
	json_hex(&json, "hex", bytes_of("\x01\xab", 2));
	json_raw(&json, "raw", BYTES_LITERAL("[1]"));
	json_object_end(&json);
	assert_true(json_complete(&json));
	assert_string_equal(text,
		"{\"empty\":[],\"list\":[0,18446744073709551615,{},true,null],"
		"\"object\":{\"text\":\"a\\\"b\\\\c\\n\\u0001\","
		"\"bytes\":\"\xef\xbf\xbd\\u0000z\"},"
		"\"none\":null,\"hex\":\"01ab\",\"raw\":[1]}");
}

static void test_json_times(void **state)
{
	(void)state;
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{ 0, "null" },
		{ 1, "\"1970-01-01T00:00:00.000001Z\"" },
		{ UINT64_C(951868799999999), "\"2000-02-29T23:59:59.999999Z\"" },
		{ UINT64_C(1790000000000000), "\"2026-09-21T14:13:20.000000Z\"" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[64] = { 0 };
		struct writer writer = writer_of(text, sizeof text - 1);
		struct json json = json_of(&writer);
		json_time(&json, NULL, (wall_t){ cases[i].us });
		assert_string_equal(text, cases[i].text);
	}
}

/* An answer that does not fit is not taken for a whole one, at whatever byte it was cut. */
static void test_json_that_does_not_fit(void **state)
{
	(void)state;
	static const size_t whole = sizeof "{\"a\":\"b\",\"c\":[1]}" - 1;
	for (size_t capacity = 0; capacity <= whole; capacity++) {
		char text[64];
		struct writer writer = writer_of(text, capacity);
		struct json json = json_of(&writer);
		json_object(&json, NULL);
		json_text(&json, "a", "b");
		json_array(&json, "c");
		json_number(&json, NULL, 1);
		json_array_end(&json);
		json_object_end(&json);
		assert_int_equal(json_complete(&json), capacity == whole);
	}
}

/* ---- Parameters ------------------------------------------------------------------------------ */

static bool parse(struct control_query *query, const char *text, const char *allowed)
{
	char error[160] = "";
	bool good = control_query_parse(query, bytes_of_text(text), allowed, error, sizeof error);
	assert_int_equal(good, error[0] == '\0');
	return good;
}

static void test_parameters(void **state)
{
	(void)state;
	static struct control_query query;
	assert_true(parse(&query, "", ""));
	assert_null(control_query_get(&query, "a"));
	assert_true(parse(&query, "limit=5&after=a%2Fb%20c%C3%A4+", "limit after x"));
	assert_string_equal(control_query_get(&query, "limit"), "5");
	/* "+" is a plus: these are no HTML forms. */
	assert_string_equal(control_query_get(&query, "after"), "a/b c\xc3\xa4+");
	assert_null(control_query_get(&query, "x"));
	assert_true(parse(&query, "x=a=b", "x"));
	assert_string_equal(control_query_get(&query, "x"), "a=b");
}

static void test_wrong_parameters(void **state)
{
	(void)state;
	static struct control_query query;
	static const char *const wrong[] = { "y=1", "X=1", "x", "x=", "=1", "&", "x=1&&z=1",
		"x=1&x=2", "x=%", "x=%4", "x=%4g", "x=%00", "x=%0d", "x=%7f", "lim=1", "x =1",
		"%78=1" };
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		if (parse(&query, wrong[i], "x z limit")) fail_msg("taken: %s", wrong[i]);
	}
	assert_false(parse(&query, "x=1", ""));
	assert_false(parse(&query, "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1", "a b c d e f g h i"));
}

static void test_parameters_that_do_not_fit(void **state)
{
	(void)state;
	static struct control_query query;
	static char text[CONTROL_QUERY_SIZE_MAX + 64];
	memset(text, 'a', sizeof text - 1);
	text[0] = 'x';
	text[1] = '=';
	assert_false(parse(&query, text, "x"));
	/* Name and value with a NUL each: "x", then what fits. */
	text[CONTROL_QUERY_SIZE_MAX - 1] = '\0';
	assert_true(parse(&query, text, "x"));
	text[CONTROL_QUERY_SIZE_MAX - 1] = 'a';
	text[CONTROL_QUERY_SIZE_MAX] = '\0';
	assert_false(parse(&query, text, "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_shapes),
		cmocka_unit_test(test_json_times),
		cmocka_unit_test(test_json_that_does_not_fit),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_wrong_parameters),
		cmocka_unit_test(test_parameters_that_do_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

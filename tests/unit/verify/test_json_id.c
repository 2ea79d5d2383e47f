/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The top-level member is found wherever it stands, nothing else is taken for it, and what
 * cannot be followed gives nothing. */
#include "verify/json_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lib/guard.h"

#define NAME BYTES_LITERAL("id")

static const struct {
	const char *json;
	const char *id; /* "": none */
} cases[] = {
	/* 1 */ { "{\"id\":\"evt_1\"}", "evt_1" },
	/* 2 */ { " \t\r\n{ \"id\" \t:\n \"evt_1\" } ", "evt_1" },
	/* 3 */
	{ "{\"object\":\"event\",\"live\":true,\"n\":-1.5e+3,\"x\":null,\"id\":\"evt_1\"}",
		"evt_1" },
	/* 4: nested members of that name are somebody else's */
	{ "{\"data\":{\"id\":\"inner\"},\"list\":[{\"id\":\"x\"},[\"id\",\"y\"]],\"id\":\"outer\"}",
		"outer" },
	/* 5 */ { "{\"data\":{\"id\":\"inner\"}}", "" },
	/* 6: the name as a value, and inside of strings */
	{ "{\"type\":\"id\",\"text\":\"\\\"id\\\":\\\"no\\\"\",\"id\":\"yes\"}", "yes" },
	/* 7: brackets inside of strings, a backslash before the closing quote */
	{ "{\"a\":{\"b\":\"}]{[\",\"c\":\"\\\\\"},\"id\":\"yes\"}", "yes" },
	/* 8: an escaped quote does not end a string */
	{ "{\"a\":\"\\\\\\\"\",\"id\":\"yes\"}", "yes" },
	/* 9: the first of two counts */
	{ "{\"id\":\"first\",\"id\":\"second\"}", "first" },
	/* 10: other names that look alike */
	{ "{\"ID\":\"a\",\"id \":\"b\",\"_id\":\"c\",\"i\":\"d\",\"\":\"e\",\"\\u0069d\":\"f\"}",
		"" },
	{ "{\"\\u0069d\":\"a\",\"id\":\"b\"}", "" },
	/* 12: not a string */
	{ "{\"id\":1,\"id\":\"x\"}", "" },
	{ "{\"id\":null}", "" },
	{ "{\"id\":[\"x\"]}", "" },
	{ "{\"id\":{\"id\":\"x\"}}", "" },
	/* 16: odd strings */
	{ "{\"id\":\"\"}", "" },
	{ "{\"id\":\"a\\u0041\"}", "" },
	{ "{\"id\":\"a\\\"b\"}", "" },
	{ "{\"id\":\"a\nb\"}", "" },
	/* 20: not an object */
	{ "", "" },
	{ " ", "" },
	{ "[]", "" },
	{ "[{\"id\":\"x\"}]", "" },
	{ "\"id\"", "" },
	{ "null", "" },
	{ "\xef\xbb\xbf{\"id\":\"x\"}", "" },
	{ "id=x", "" },
	/* 28: not well formed before the member */
	{ "{id:\"x\"}", "" },
	{ "{\"id\"\"x\"}", "" },
	{ "{\"id\":}", "" },
	{ "{\"a\":1 \"id\":\"x\"}", "" },
	{ "{\"a\":[}],\"id\":\"x\"}", "" },
	{ "{\"a\":{]},\"id\":\"x\"}", "" },
	{ "{\"a\":,\"id\":\"x\"}", "" },
	{ "{\"a\":\"\x01\",\"id\":\"x\"}", "" },
	{ "{,\"id\":\"x\"}", "" },
	{ "{}", "" },
	{ "{},\"id\":\"x\"", "" },
	{ "{\"a\":[1,2],}", "" },
	/* 40: cut off */
	{ "{", "" },
	{ "{\"", "" },
	{ "{\"id", "" },
	{ "{\"id\"", "" },
	{ "{\"id\":", "" },
	{ "{\"id\":\"x", "" },
	{ "{\"id\":\"x\\", "" },
	{ "{\"a\":[[{\"b\":1", "" },
	/* 48: what follows does not matter */
	{ "{\"id\":\"x\",,,]", "x" },
};

/* Each case against a guard page: reading one byte past the end is fatal. */
static void test_cases(void **state)
{
	struct guard guard;
	(void)state;
	guard_init(&guard, 4096);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct bytes json = bytes_of_text(cases[i].json);
		json.data = guard_place(&guard, json);
		struct bytes id = json_id_find(json, NAME);
		if (!bytes_equal(id, bytes_of_text(cases[i].id))) {
			fail_msg("%s: \"%.*s\" instead of \"%s\"", cases[i].json, (int)id.size,
				(const char *)id.data, cases[i].id);
		}
	}
	guard_done(&guard);
}

/* A document cut anywhere before the member's end gives nothing. */
static void test_every_prefix(void **state)
{
	static const char json[] = "{\"a\":[{\"id\":\"no\"},\"\\\\\"],\"b\":-0.1,\"id\":\"yes\"}";
	size_t end = sizeof json - 1 - strlen("}");
	struct guard guard;

	(void)state;
	guard_init(&guard, sizeof json);
	for (size_t size = 0; size < sizeof json; size++) {
		struct bytes cut = bytes_of(guard_place(&guard, bytes_of(json, size)), size);
		struct bytes id = json_id_find(cut, NAME);
		assert_true(bytes_equal(id, size >= end ? BYTES_LITERAL("yes") : BYTES_EMPTY));
	}
	guard_done(&guard);
}

static void test_depth_is_bounded(void **state)
{
	(void)state;
	for (size_t depth = JSON_ID_DEPTH_MAX - 1; depth <= JSON_ID_DEPTH_MAX + 1; depth++) {
		char json[512];
		struct writer writer = writer_of(json, sizeof json);
		write_text(&writer, "{\"a\":");
		for (size_t i = 0; i < depth; i++)
			write_text(&writer, i % 2 == 0 ? "[" : "{\"a\":");
		write_text(&writer, "1");
		for (size_t i = depth; i > 0; i--) write_text(&writer, i % 2 == 1 ? "]" : "}");
		write_text(&writer, ",\"id\":\"x\"}");
		assert_false(writer.failed);
		size_t wanted = depth <= JSON_ID_DEPTH_MAX ? 1 : 0;
		assert_int_equal(json_id_find(writer_bytes(&writer), NAME).size, wanted);
	}
}

/* What stands behind the scanned part is not found, not even half of it. */
static void test_the_scan_is_bounded(void **state)
{
	static char json[JSON_ID_SCAN_SIZE_MAX + 64];
	static const char member[] = "\",\"id\":\"x\"}";

	(void)state;
	for (int shift = -20; shift <= 20; shift++) {
		size_t filler =
			(size_t)(JSON_ID_SCAN_SIZE_MAX - 6 - (int)sizeof member + 1 + shift);
		memset(json, 'x', sizeof json);
		memcpy(json, "{\"a\":\"", 6);
		memcpy(json + 6 + filler, member, sizeof member - 1);
		size_t size = 6 + filler + sizeof member - 1;
		/* The closing brace may fall off. */
		size_t wanted = size - 1 <= JSON_ID_SCAN_SIZE_MAX ? 1 : 0;
		assert_int_equal(json_id_find(bytes_of(json, size), NAME).size, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_depth_is_bounded),
		cmocka_unit_test(test_the_scan_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "lib/guard.h"

#define B(text) BYTES_LITERAL(text)

static struct guard guard;

/* Views without bytes are equal wherever they point, and no comparison reads them. */
static void empty_views_are_equal(void **state)
{
	const struct bytes nowhere = bytes_of(guard_place(&guard, BYTES_EMPTY), 0);
	(void)state;

	assert_true(bytes_equal(BYTES_EMPTY, nowhere));
	assert_true(bytes_equal_ignore_case(nowhere, BYTES_EMPTY));
	assert_true(bytes_equal_constant_time(nowhere, BYTES_EMPTY));
	assert_true(bytes_starts_with(nowhere, BYTES_EMPTY));
	assert_true(bytes_starts_with(B("a"), nowhere));
	assert_false(bytes_starts_with(nowhere, B("a")));
	assert_int_equal(bytes_find(nowhere, 'a'), 0);
	assert_int_equal(bytes_trim(nowhere).size, 0);
	assert_int_equal(bytes_of_text("").size, 0);
}

/* Sizes and contents decide, and of letters' case only the ASCII ones. */
static void views_are_compared(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal, equal_ignore_case;
	} rows[] = {
		{ "", "a", false, false },
		{ "a", "", false, false },
		{ "a", "a", true, true },
		{ "a", "A", false, true },
		{ "aZ", "Az", false, true },
		{ "ab", "aB ", false, false },
		{ "abc", "abd", false, false },
		{ "bbc", "abc", false, false },
		{ "@", "`", false, false }, /* one bit apart, as letters are, but none */
		{ "[", "{", false, false },
		{ "\xc3\x84", "\xc3\xa4", false, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes a = bytes_of_text(rows[i].a);
		struct bytes b = bytes_of_text(rows[i].b);
		assert_int_equal(bytes_equal(a, b), rows[i].equal);
		assert_int_equal(bytes_equal_constant_time(a, b), rows[i].equal);
		assert_int_equal(bytes_equal_ignore_case(a, b), rows[i].equal_ignore_case);
	}
	assert_false(bytes_equal_constant_time(bytes_of("\0", 1), bytes_of("\x80", 1)));
	assert_true(bytes_starts_with(B("abc"), B("ab")));
	assert_true(bytes_starts_with(B("abc"), B("abc")));
	assert_false(bytes_starts_with(B("abc"), B("abcd")));
	assert_false(bytes_starts_with(B("abc"), B("b")));
}

/* Wherever two texts of some words and a rest differ, and in whatever, it counts. */
static void a_difference_counts_in_every_place(void **state)
{
	static const size_t sizes[] = { 1, 3, 4, 7, 8, 13, 21 };
	uint8_t a[21];
	uint8_t b[21];
	(void)state;

	for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
		size_t size = sizes[s];
		for (size_t at = 0; at < size; at++) {
			for (unsigned c = 0; c < 256 * 256; c++) {
				unsigned other = c >> 8;
				memset(a, 'x', size);
				memset(b, 'X', size);
				a[at] = (uint8_t)c;
				b[at] = (uint8_t)other;
				struct bytes a_text = bytes_of(a, size);
				struct bytes b_text = bytes_of(b, size);
				bool equal = tolower((int)(c & 255)) == tolower((int)other);
				assert_int_equal(bytes_equal_ignore_case(a_text, b_text), equal);
				memset(b, 'x', size);
				b[at] = (uint8_t)other;
				assert_int_equal(bytes_equal_constant_time(a_text, b_text),
					(c & 255) == other);
			}
		}
	}
}

/* A view is cut at an offset, and past its end nothing is left. */
static void views_are_cut(void **state)
{
	(void)state;

	assert_true(bytes_equal(bytes_from(B("abc"), 0), B("abc")));
	assert_true(bytes_equal(bytes_from(B("abc"), 2), B("c")));
	assert_int_equal(bytes_from(B("abc"), 3).size, 0);
	assert_int_equal(bytes_from(B("abc"), SIZE_MAX).size, 0);
	assert_int_equal(bytes_from(BYTES_EMPTY, 0).size, 0);
}

/* Spaces and tabs go at both ends, and nothing else does. */
static void white_space_is_trimmed(void **state)
{
	(void)state;

	assert_int_equal(bytes_trim(B(" \t \t")).size, 0);
	assert_true(bytes_equal(bytes_trim(B("a")), B("a")));
	assert_true(bytes_equal(bytes_trim(B("\t a b\t ")), B("a b")));
	assert_true(bytes_equal(bytes_trim(B("\na\r")), B("\na\r")));
	assert_true(bytes_equal(bytes_trim(bytes_of("\0 ", 2)), bytes_of("\0", 1)));
}

/* A search finds the first such byte, or the size. */
static void bytes_are_found(void **state)
{
	(void)state;

	assert_int_equal(bytes_find(B("abcb"), 'a'), 0);
	assert_int_equal(bytes_find(B("abcb"), 'b'), 1);
	assert_int_equal(bytes_find(B("abcb"), 'd'), 4);
	assert_int_equal(bytes_find(bytes_of("a\0b", 3), '\0'), 1);
	const uint8_t *at = guard_place(&guard, B("abc"));
	assert_int_equal(bytes_find(bytes_of(at, 3), 'd'), 3);
}

/* A split gives what stands before the first separator and what stands after it. */
static void views_are_split(void **state)
{
	static const struct {
		const char *whole;
		bool found;
		const char *head, *rest;
	} rows[] = {
		{ "", false, "", "" },
		{ ",", true, "", "" },
		{ "a", false, "a", "" },
		{ "a,", true, "a", "" },
		{ ",a", true, "", "a" },
		{ "a,b,c", true, "a", "b,c" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes head;
		struct bytes rest;
		bool found = bytes_split(bytes_of_text(rows[i].whole), ',', &head, &rest);
		assert_int_equal(found, rows[i].found);
		assert_true(bytes_equal(head, bytes_of_text(rows[i].head)));
		assert_true(bytes_equal(rest, bytes_of_text(rows[i].rest)));
	}

	/* The view that is cut up may be the one that takes the rest. */
	struct bytes head;
	struct bytes rest = B("a,b");
	assert_true(bytes_split(rest, ',', &head, &rest));
	assert_true(bytes_equal(head, B("a")) && bytes_equal(rest, B("b")));
}

/* Numbers are digits and nothing else, up to the largest, and a refusal writes nothing. */
static void numbers_are_parsed(void **state)
{
	static const char *const refused[] = { "", "-0", "+1", " 1", "1 ", "1a", "0x1", "1.0",
		"1,0", "18446744073709551616", "18446744073709551620", "28446744073709551615",
		"99999999999999999999", "100000000000000000000", "\xd9\xa1", "/", ":" };
	static const struct {
		const char *text;
		uint64_t value;
	} taken[] = {
		{ "0", 0 },
		{ "00", 0 },
		{ "7", 7 },
		{ "0000000000000000000000000042", 42 },
		{ "4294967296", UINT64_C(4294967296) },
		{ "18446744073709551615", UINT64_MAX },
		{ "18446744073709551609", UINT64_MAX - 6 },
	};
	uint64_t value = 99;
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
		assert_int_equal(bytes_parse_u64(bytes_of_text(refused[i]), &value),
			RESULT_MALFORMED);
		assert_int_equal(value, 99);
	}
	for (size_t i = 0; i < ARRAY_COUNT(taken); i++) {
		size_t size = strlen(taken[i].text);
		const uint8_t *at = guard_place(&guard, bytes_of(taken[i].text, size));
		assert_int_equal(bytes_parse_u64(bytes_of(at, size), &value), RESULT_OK);
		assert_int_equal(value, taken[i].value);
	}
}

/* Text is copied with its NUL, or cut so that the NUL fits. */
static void text_is_copied(void **state)
{
	char *to = (char *)guard_place(&guard, bytes_of("xxxx", 4));
	(void)state;

	assert_true(bytes_to_text(B("abc"), to, 4));
	assert_string_equal(to, "abc");
	assert_false(bytes_to_text(B("defg"), to, 4));
	assert_string_equal(to, "def");
	assert_true(bytes_to_text(BYTES_EMPTY, to, 4));
	assert_string_equal(to, "");
	assert_false(bytes_to_text(B("a"), to + 3, 1));
	assert_string_equal(to + 3, "");
}

/* A secret is gone after it was wiped, and its neighbours are not. */
static void secrets_are_wiped(void **state)
{
	uint8_t memory[4] = { 1, 2, 3, 4 };
	const uint8_t wiped[4] = { 1, 0, 0, 4 };
	(void)state;

	bytes_wipe(memory + 1, 2);
	assert_memory_equal(memory, wiped, sizeof wiped);
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, 64);
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
		cmocka_unit_test(empty_views_are_equal),
		cmocka_unit_test(views_are_compared),
		cmocka_unit_test(a_difference_counts_in_every_place),
		cmocka_unit_test(views_are_cut),
		cmocka_unit_test(white_space_is_trimmed),
		cmocka_unit_test(bytes_are_found),
		cmocka_unit_test(views_are_split),
		cmocka_unit_test(numbers_are_parsed),
		cmocka_unit_test(text_is_copied),
		cmocka_unit_test(secrets_are_wiped),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "lib/guard.h"

static struct guard guard;
static struct guard output;

/* Hex is written in lower case, two characters a byte, and no NUL. */
static void hex_is_written(void **state)
{
	char *to = (char *)guard_place(&output, BYTES_LITERAL("xxxxxxxx"));
	(void)state;

	hex_encode(BYTES_EMPTY, to);
	hex_encode(bytes_of("\x00\x0f\xa0\xff", 4), to);
	assert_memory_equal(to, "000fa0ff", 8);
}

/* Each pair of characters decodes as the C library reads it, in either case, or is refused. */
static void every_hex_pair_is_judged(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	static const uint8_t values[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 10,
		11, 12, 13, 14, 15 };
	(void)state;

	for (unsigned first = 0; first < 256; first++) {
		for (unsigned second = 0; second < 256; second++) {
			const uint8_t text[2] = { (uint8_t)first, (uint8_t)second };
			const char *high = first == 0 ? NULL : strchr(digits, (int)first);
			const char *low = second == 0 ? NULL : strchr(digits, (int)second);
			uint8_t byte = 0;
			size_t size = 99;
			enum result result = hex_decode(bytes_of(text, 2), &byte, 1, &size);
			if (high == NULL || low == NULL) {
				assert_int_equal(result, RESULT_MALFORMED);
				assert_int_equal(size, 99);
				continue;
			}
			assert_int_equal(result, RESULT_OK);
			assert_int_equal(size, 1);
			assert_int_equal(byte, values[high - digits] * 16 + values[low - digits]);
		}
	}
}

/* Where a character stands does not matter, and which letters count is the caller's choice: each
 * one, in each place of a text of some words and a rest, decodes as the pair it is part of. */
static void every_character_is_judged_in_every_place(void **state)
{
	static const enum hex_letters all_letters[] = { HEX_ANY, HEX_LOWER, HEX_UPPER };
	enum { SIZE = 30 };
	(void)state;

	for (size_t l = 0; l < ARRAY_COUNT(all_letters); l++) {
		for (unsigned c = 0; c < 256; c++) {
			bool lower = c >= 'a' && c <= 'f';
			bool upper = c >= 'A' && c <= 'F';
			bool good = (c >= '0' && c <= '9') ||
				(lower && all_letters[l] != HEX_UPPER) ||
				(upper && all_letters[l] != HEX_LOWER);
			for (size_t at = 0; at < SIZE; at++) {
				uint8_t text[] = "012345678998765432104703265819";
				uint8_t expected[SIZE / 2];
				size_t size = 99;
				text[at] = (uint8_t)c;
				const uint8_t *from = guard_place(&guard, bytes_of(text, SIZE));
				uint8_t *to = guard_place(&output, bytes_of(text, SIZE / 2));
				enum result result = hex_decode_of(all_letters[l],
					bytes_of(from, SIZE), to, SIZE / 2, &size);
				if (!good) {
					assert_int_equal(result, RESULT_MALFORMED);
					assert_int_equal(size, 99);
					continue;
				}
				assert_int_equal(result, RESULT_OK);
				assert_int_equal(size, SIZE / 2);
				for (size_t i = 0; i < SIZE; i += 2) {
					assert_int_equal(hex_decode(bytes_of(text + i, 2),
								 &expected[i / 2], 1, &size),
						RESULT_OK);
				}
				assert_memory_equal(to, expected, SIZE / 2);
			}
		}
	}
}

/* Hex of odd length is refused, and so is a result that does not fit. */
static void hex_sizes_are_judged(void **state)
{
	uint8_t *to = guard_place(&output, bytes_of("xx", 2));
	size_t size = 99;
	(void)state;

	assert_int_equal(hex_decode(BYTES_LITERAL("a"), to, 2, &size), RESULT_MALFORMED);
	assert_int_equal(hex_decode(BYTES_LITERAL("abc"), to, 2, &size), RESULT_MALFORMED);
	assert_int_equal(hex_decode(BYTES_LITERAL("abcdef"), to, 2, &size), RESULT_FULL);
	assert_int_equal(size, 99);
	assert_int_equal(hex_decode(BYTES_EMPTY, to, 0, &size), RESULT_OK);
	assert_int_equal(size, 0);
	assert_int_equal(hex_decode(BYTES_LITERAL("aBCd"), to, 2, &size), RESULT_OK);
	assert_memory_equal(to, "\xab\xcd", 2);
}

static enum result decode(enum base64_alphabet alphabet, const char *text, size_t room,
	size_t *ret_size, uint8_t **ret_data)
{
	size_t size = strlen(text);
	const uint8_t *from = guard_place(&guard, bytes_of(text, size));

	*ret_data = guard_place(&output, bytes_of("xxxxxxxxxxxxxxxx", room));
	return base64_decode(alphabet, bytes_of(from, size), *ret_data, room, ret_size);
}

/* The vectors of RFC 4648 §10, written and read, with their padding and without. */
static void base64_vectors(void **state)
{
	static const struct {
		const char *plain, *padded, *bare;
	} rows[] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "+/+/", "+/+/" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bytes plain = bytes_of_text(rows[i].plain);
		size_t size = base64_encoded_size(plain.size);
		uint8_t *data;
		assert_int_equal(size, strlen(rows[i].padded));
		data = guard_place(&output, bytes_of("xxxxxxxx", size));
		assert_int_equal(base64_encode(plain, (char *)data), size);
		assert_memory_equal(data, rows[i].padded, size);

		for (unsigned padded = 0; padded < 2; padded++) {
			const char *text = padded == 1 ? rows[i].padded : rows[i].bare;
			assert_int_equal(decode(BASE64_STANDARD, text, plain.size, &size, &data),
				RESULT_OK);
			assert_int_equal(size, plain.size);
			assert_true(bytes_equal(bytes_of(data, size), plain));
			if (plain.size == 0) continue;
			assert_int_equal(decode(BASE64_STANDARD, text, plain.size - 1, &size,
						 &data),
				RESULT_FULL);
		}
	}
}

/* The two alphabets differ in two characters and take only their own. */
static void base64_alphabets_are_kept_apart(void **state)
{
	uint8_t *data;
	size_t size;
	(void)state;

	assert_int_equal(decode(BASE64_URL, "-_-_", 3, &size, &data), RESULT_OK);
	assert_memory_equal(data, "\xfb\xff\xbf", 3);
	assert_int_equal(decode(BASE64_URL, "+/+/", 3, &size, &data), RESULT_MALFORMED);
	assert_int_equal(decode(BASE64_STANDARD, "-_-_", 3, &size, &data), RESULT_MALFORMED);

	for (unsigned c = 1; c < 256; c++) {
		const char text[5] = { 'A', (char)c, 'A', 'A', '\0' };
		bool common = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9');
		enum result standard = decode(BASE64_STANDARD, text, 3, &size, &data);
		enum result url = decode(BASE64_URL, text, 3, &size, &data);
		assert_int_equal(standard == RESULT_OK, common || c == '+' || c == '/');
		assert_int_equal(url == RESULT_OK, common || c == '-' || c == '_');
	}
}

/* Every value has one spelling: wrong padding, set unused bits and foreign bytes are refused. */
static void base64_has_one_spelling(void **state)
{
	static const char *const refused[] = { "=", "==", "===", "====", "A", "A=", "A==", "A===",
		"AA=", "AAA==", "AAAA=", "AAAA==", "AAAA====", "AA==AA==", "AA=A", "=AAA", "AB",
		"AB==", "AAB", "AAB=", "AA AA", "AAAA\n", " AAAA", "AA*A", "\xc3\x84ZZ" };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
		uint8_t *data;
		size_t size = 99;
		assert_int_equal(decode(BASE64_STANDARD, refused[i], 16, &size, &data),
			RESULT_MALFORMED);
		assert_int_equal(size, 99);
	}
}

/* Any bytes come back from base64 and hex as they were. */
static void any_bytes_come_back(void **state)
{
	uint8_t bytes[256];
	char text[512];
	uint8_t back[256];
	size_t size;
	(void)state;

	for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 167 + 13);
	for (size_t count = 0; count <= sizeof bytes; count++) {
		size_t written = base64_encode(bytes_of(bytes, count), text);
		assert_int_equal(base64_decode(BASE64_STANDARD, bytes_of(text, written), back,
					 sizeof back, &size),
			RESULT_OK);
		assert_int_equal(size, count);
		assert_memory_equal(back, bytes, count);

		hex_encode(bytes_of(bytes, count), text);
		assert_int_equal(hex_decode(bytes_of(text, 2 * count), back, sizeof back, &size),
			RESULT_OK);
		assert_int_equal(size, count);
		assert_memory_equal(back, bytes, count);
	}
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, 64);
	guard_init(&output, 64);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	guard_done(&output);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_is_written),
		cmocka_unit_test(every_hex_pair_is_judged),
		cmocka_unit_test(every_character_is_judged_in_every_place),
		cmocka_unit_test(hex_sizes_are_judged),
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(base64_alphabets_are_kept_apart),
		cmocka_unit_test(base64_has_one_spelling),
		cmocka_unit_test(any_bytes_come_back),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

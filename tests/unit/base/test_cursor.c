/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lib/guard.h"

static struct guard guard;

/* All that can be written, in one row. */
static void write_all(struct writer *writer)
{
	write_u8(writer, 0x01);
	write_u16(writer, 0x0203);
	write_u32(writer, 0x04050607);
	write_u64(writer, UINT64_C(0x08090a0b0c0d0e0f));
	write_u16_be(writer, 0x0203);
	write_u32_be(writer, 0x04050607);
	write_u64_be(writer, UINT64_C(0x08090a0b0c0d0e0f));
	write_bytes(writer, BYTES_LITERAL("ab"));
	write_text(writer, "cd");
	write_sized(writer, BYTES_LITERAL("efg"));
	write_decimal(writer, 65536);
	write_format(writer, "%s", "h");
	write_u8(writer, 0xff);
}

static const uint8_t all[] = "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08"
			     "\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
			     "abcd\x03\x00"
			     "efg65536h\xff";
enum { ALL_SIZE = sizeof all - 1 };

/* Integers, text and sized bytes stand as they are documented to. */
static void everything_is_written(void **state)
{
	uint8_t *at = guard_place(&guard, bytes_of(all, ALL_SIZE));
	(void)state;

	memset(at, 0, ALL_SIZE);
	struct writer writer = writer_of(at, ALL_SIZE);
	write_all(&writer);
	assert_false(writer.failed);
	assert_true(bytes_equal(writer_bytes(&writer), bytes_of(all, ALL_SIZE)));
}

/* With too little room the writer fails, writes nothing beyond the room, and stays failed. */
static void writer_fails_and_stays_failed(void **state)
{
	(void)state;

	for (size_t room = 0; room < ALL_SIZE; room++) {
		struct writer writer = writer_of(guard_place(&guard, bytes_of(all, room)), room);
		write_all(&writer);
		assert_true(writer.failed);
		assert_true(writer.size <= room);

		size_t size = writer.size;
		write_bytes(&writer, BYTES_EMPTY);
		write_format(&writer, "%s", "");
		write_sized(&writer, BYTES_EMPTY);
		assert_null(write_reserve(&writer, 0));
		assert_true(writer.failed);
		assert_int_equal(writer.size, size);
	}
}

/* Writing no bytes needs no room. */
static void nothing_fits_anywhere(void **state)
{
	struct writer writer = writer_of(guard_place(&guard, BYTES_EMPTY), 0);
	(void)state;

	write_bytes(&writer, BYTES_EMPTY);
	write_text(&writer, "");
	assert_non_null(write_reserve(&writer, 0));
	assert_false(writer.failed);
	assert_null(write_reserve(&writer, SIZE_MAX));
	assert_true(writer.failed);
}

/* A reservation is as large as asked for and is counted as written. */
static void room_is_reserved(void **state)
{
	uint8_t *at = guard_place(&guard, BYTES_LITERAL("xxxx"));
	struct writer writer = writer_of(at, 4);
	(void)state;

	write_u8(&writer, 'a');
	assert_ptr_equal(write_reserve(&writer, 3), at + 1);
	assert_int_equal(writer.size, 4);
	assert_null(write_reserve(&writer, 1));
	assert_true(writer.failed);
}

/* Sized bytes have a 16-bit size: the largest fits, one byte more fails the writer. */
static void sized_bytes_are_bounded(void **state)
{
	static uint8_t content[UINT16_MAX + 1];
	static uint8_t memory[UINT16_MAX + 16];
	(void)state;

	struct writer writer = writer_of(memory, sizeof memory);
	write_sized(&writer, bytes_of(content, UINT16_MAX));
	assert_false(writer.failed);
	assert_int_equal(writer.size, UINT16_MAX + 2);
	struct reader reader = reader_of(writer_bytes(&writer));
	assert_int_equal(read_sized(&reader).size, UINT16_MAX);
	assert_true(reader_complete(&reader));

	writer = writer_of(memory, sizeof memory);
	write_sized(&writer, bytes_of(content, UINT16_MAX + 1));
	assert_true(writer.failed);
	assert_int_equal(writer.size, 0);
}

/* Decimal digits, from one to twenty. */
static void decimals_are_written(void **state)
{
	static const struct {
		uint64_t value;
		const char *text;
	} rows[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 1000, "1000" },
		{ UINT64_MAX, "18446744073709551615" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t size = strlen(rows[i].text);
		uint8_t *at = guard_place(&guard, bytes_of(rows[i].text, size));
		struct writer writer = writer_of(at, size);
		memset(at, 'x', size);
		write_decimal(&writer, rows[i].value);
		assert_false(writer.failed);
		assert_true(bytes_equal(writer_bytes(&writer), bytes_of_text(rows[i].text)));
	}
}

/* Formatted text is whole or fails the writer; its NUL needs room for a moment. */
static void formats_are_whole(void **state)
{
	(void)state;

	for (size_t room = 0; room < 8; room++) {
		struct writer writer = writer_of(guard_place(&guard, bytes_of(all, room)), room);
		write_format(&writer, "%d-%s", 12, "ab");
		assert_int_equal(writer.failed, room < 6);
		assert_int_equal(writer.size, room < 6 ? 0 : 5);
		if (room >= 6) assert_memory_equal(writer.data, "12-ab", 5);
	}
}

/* What was written is read back, and then nothing is left. */
static void everything_is_read_back(void **state)
{
	struct reader reader =
		reader_of(bytes_of(guard_place(&guard, bytes_of(all, ALL_SIZE)), ALL_SIZE));
	(void)state;

	assert_int_equal(read_u8(&reader), 0x01);
	assert_int_equal(read_u16(&reader), 0x0203);
	assert_int_equal(read_u32(&reader), 0x04050607);
	assert_int_equal(read_u64(&reader), UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(read_u16_be(&reader), 0x0203);
	assert_int_equal(read_u32_be(&reader), 0x04050607);
	assert_int_equal(read_u64_be(&reader), UINT64_C(0x08090a0b0c0d0e0f));
	assert_true(bytes_equal(read_bytes(&reader, 4), BYTES_LITERAL("abcd")));
	assert_true(bytes_equal(read_sized(&reader), BYTES_LITERAL("efg")));
	assert_false(reader_complete(&reader));
	assert_true(bytes_equal(read_bytes(&reader, 7), BYTES_LITERAL("65536h\xff")));
	assert_true(reader_complete(&reader));
	assert_int_equal(read_bytes(&reader, 0).size, 0);
	assert_true(reader_complete(&reader));
	assert_int_equal(read_u8(&reader), 0);
	assert_true(reader.failed);
}

/* With too few bytes a reader fails, gives zeros and empty views, and stays failed. */
static void reader_fails_and_stays_failed(void **state)
{
	(void)state;

	for (size_t size = 0; size < 8; size++) {
		struct reader reader =
			reader_of(bytes_of(guard_place(&guard, bytes_of(all, size)), size));
		assert_int_equal(read_u64(&reader), 0);
		assert_true(reader.failed);
		assert_false(reader_complete(&reader));
		assert_int_equal(read_u8(&reader), 0);
		assert_int_equal(read_bytes(&reader, 0).size, 0);
		assert_int_equal(read_sized(&reader).size, 0);
		assert_true(reader.failed);
	}

	/* A size that promises more than there is. */
	struct reader reader = reader_of(bytes_of("\x04\x00"
						  "abc",
		5));
	assert_int_equal(read_sized(&reader).size, 0);
	assert_true(reader.failed);
	reader = reader_of(bytes_of("\x00", 1));
	assert_int_equal(read_sized(&reader).size, 0);
	assert_true(reader.failed);
	reader = reader_of(BYTES_LITERAL("abc"));
	assert_int_equal(read_bytes(&reader, SIZE_MAX).size, 0);
	assert_true(reader.failed);
}

/* An empty input is complete as it is, and reading nothing from it is allowed. */
static void nothing_is_read_from_nothing(void **state)
{
	struct reader reader = reader_of(BYTES_EMPTY);
	(void)state;

	assert_true(reader_complete(&reader));
	assert_int_equal(read_bytes(&reader, 0).size, 0);
	assert_true(reader_complete(&reader));
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, 256);
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
		cmocka_unit_test(everything_is_written),
		cmocka_unit_test(writer_fails_and_stays_failed),
		cmocka_unit_test(nothing_fits_anywhere),
		cmocka_unit_test(room_is_reserved),
		cmocka_unit_test(sized_bytes_are_bounded),
		cmocka_unit_test(decimals_are_written),
		cmocka_unit_test(formats_are_whole),
		cmocka_unit_test(everything_is_read_back),
		cmocka_unit_test(reader_fails_and_stays_failed),
		cmocka_unit_test(nothing_is_read_from_nothing),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

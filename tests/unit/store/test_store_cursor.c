/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A walk finds every row once, in order, from wherever it starts, either way. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lib/folder.h"

enum { ROWS = 500, STRIDE = 10 };

static struct store *store;
static char folder[FOLDER_PATH_SIZE];

struct key {
	uint8_t bytes[4];
};

static struct key key_of(uint32_t number)
{
	struct key key;
	struct writer writer = writer_of(key.bytes, sizeof key.bytes);
	write_u32_be(&writer, number);
	return key;
}

static uint32_t number_of(struct bytes key)
{
	struct reader reader = reader_of(key);
	uint32_t number = read_u32_be(&reader);
	assert_true(reader_complete(&reader));
	return number;
}

/* Rows 10, 20, … 5000. */
static int begin(void **state)
{
	char error[256] = "";
	struct store_txn txn;
	struct store_config config = { .path = folder, .quota_size = UINT64_C(64) << 20 };

	folder_make(folder);
	assert_int_equal(store_open(&config, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	for (uint32_t i = 1; i <= ROWS; i++) {
		struct key key = key_of(i * STRIDE);
		struct bytes value = bytes_of(key.bytes, sizeof key.bytes);
		store_append(&txn, STORE_DEAD, value, &value, 1);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	*state = NULL;
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	folder_remove(folder);
	return 0;
}

static void test_whole_table_both_ways(void **state)
{
	(void)state;
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	struct key zero = key_of(0);

	store_read_begin(&txn, store);
	store_cursor_open(&cursor, &txn, STORE_DEAD);
	uint32_t expected = STRIDE;
	bool found = store_cursor_seek(&cursor, bytes_of(zero.bytes, sizeof zero.bytes));
	for (; found; found = store_cursor_next(&cursor)) {
		assert_int_equal(number_of(cursor.key), expected);
		assert_true(bytes_equal(cursor.key, cursor.value));
		expected += STRIDE;
	}
	assert_int_equal(expected, (ROWS + 1) * STRIDE);
	expected = ROWS * STRIDE;
	for (found = store_cursor_last(&cursor); found; found = store_cursor_previous(&cursor)) {
		assert_int_equal(number_of(cursor.key), expected);
		expected -= STRIDE;
	}
	assert_int_equal(expected, 0);
	assert_int_equal(txn.result, RESULT_OK);
	store_cursor_close(&cursor);
	store_read_done(&txn);
}

static void test_seek_from_anywhere(void **state)
{
	(void)state;
	/* 0: not found */
	static const struct {
		uint32_t from;
		uint32_t forward;
		uint32_t backward;
	} cases[] = {
		{ 0, 10, 0 },
		{ 9, 10, 0 },
		{ 10, 10, 10 },
		{ 11, 20, 10 },
		{ 1234, 1240, 1230 },
		{ 2500, 2500, 2500 },
		{ 4999, 5000, 4990 },
		{ 5000, 5000, 5000 },
		{ 5001, 0, 5000 },
		{ UINT32_MAX, 0, 5000 },
	};
	struct store_txn txn = { 0 };
	struct store_cursor cursor;

	store_read_begin(&txn, store);
	store_cursor_open(&cursor, &txn, STORE_DEAD);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct key key = key_of(cases[i].from);
		struct bytes from = bytes_of(key.bytes, sizeof key.bytes);
		bool found = store_cursor_seek(&cursor, from);
		assert_int_equal(found ? number_of(cursor.key) : 0, cases[i].forward);
		found = store_cursor_seek_backward(&cursor, from);
		assert_int_equal(found ? number_of(cursor.key) : 0, cases[i].backward);
	}
	store_cursor_close(&cursor);
	store_read_done(&txn);
}

static void test_empty_table(void **state)
{
	(void)state;
	struct store_txn txn = { 0 };
	struct store_cursor cursor;

	store_read_begin(&txn, store);
	store_cursor_open(&cursor, &txn, STORE_SCHEDULE);
	assert_false(store_cursor_seek(&cursor, BYTES_LITERAL("\0")));
	assert_false(store_cursor_seek_backward(&cursor, BYTES_LITERAL("\xff")));
	assert_false(store_cursor_last(&cursor));
	assert_false(store_cursor_next(&cursor));
	assert_false(store_cursor_previous(&cursor));
	assert_int_equal(txn.result, RESULT_OK);
	store_cursor_close(&cursor);
	store_read_done(&txn);
}

/* Deleting while walking, seeking again after each change, as retention does. */
static void test_delete_on_the_way(void **state)
{
	(void)state;
	struct store_txn txn;
	struct store_cursor cursor;
	unsigned deleted = 0;

	store_write_begin(&txn, store);
	for (uint32_t next = 0;;) {
		struct key from = key_of(next);
		store_cursor_open(&cursor, &txn, STORE_DEAD);
		bool found = store_cursor_seek(&cursor, bytes_of(from.bytes, sizeof from.bytes));
		uint32_t number = found ? number_of(cursor.key) : 0;
		store_cursor_close(&cursor);
		if (!found) break;
		struct key key = key_of(number);
		if (number % 20 == 0) {
			assert_true(store_delete(&txn, STORE_DEAD,
				bytes_of(key.bytes, sizeof key.bytes)));
			deleted++;
		}
		next = number + 1;
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	assert_int_equal(deleted, ROWS / 2);
	struct store_txn read = { 0 };
	store_read_begin(&read, store);
	assert_int_equal(store_row_count(&read, STORE_DEAD), ROWS / 2);
	store_read_done(&read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole_table_both_ways, begin, end),
		cmocka_unit_test_setup_teardown(test_seek_from_anywhere, begin, end),
		cmocka_unit_test_setup_teardown(test_empty_table, begin, end),
		cmocka_unit_test_setup_teardown(test_delete_on_the_way, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

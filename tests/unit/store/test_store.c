/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is committed is read back as it was, by whom it belongs to, or not at all. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/folder.h"
#include "store/store_internal.h"

struct fixture {
	char folder[FOLDER_PATH_SIZE];
	struct store_config config;
	struct store *store;
	char error[256];
};

static enum result open_store(struct fixture *fixture)
{
	fixture->store = NULL;
	fixture->error[0] = '\0';
	return store_open(&fixture->config, &fixture->store, fixture->error, sizeof fixture->error);
}

static int begin(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	folder_make(fixture.folder);
	fixture.config.path = fixture.folder;
	fixture.config.shard = 3;
	fixture.config.quota_size = UINT64_C(64) << 20;
	assert_int_equal(open_store(&fixture), RESULT_OK);
	*state = &fixture;
	return 0;
}

static int end(void **state)
{
	struct fixture *fixture = *state;
	if (fixture->store != NULL) store_close(fixture->store);
	folder_remove(fixture->folder);
	return 0;
}

static void reopen(struct fixture *fixture)
{
	store_close(fixture->store);
	assert_int_equal(open_store(fixture), RESULT_OK);
}

static void put_text(struct fixture *fixture, const char *key, const char *value)
{
	struct store_txn txn;
	struct bytes bytes = bytes_of_text(value);
	store_write_begin(&txn, fixture->store);
	store_put(&txn, STORE_NAMES, bytes_of_text(key), &bytes, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

static void assert_text(struct fixture *fixture, const char *key, const char *value)
{
	struct store_txn txn = { 0 };
	struct bytes found;
	store_read_begin(&txn, fixture->store);
	assert_int_equal(store_get(&txn, STORE_NAMES, bytes_of_text(key), &found), RESULT_OK);
	assert_int_equal(found.size, strlen(value));
	assert_memory_equal(found.data, value, found.size);
	store_read_done(&txn);
}

/* Every size up to the largest comes back, over parts, over a restart. */
static void test_values_of_every_size(void **state)
{
	struct fixture *fixture = *state;
	static uint8_t content[STORE_EVENT_VALUE_SIZE_MAX];
	static const size_t sizes[] = { 1, 2, 7, 8, 9, 100, 4000, 4096,
		STORE_EVENT_VALUE_SIZE_MAX - 1, STORE_EVENT_VALUE_SIZE_MAX };

	for (size_t i = 0; i < sizeof content; i++) content[i] = (uint8_t)(i * 13 + i / 256);
	struct store_txn txn;
	store_write_begin(&txn, fixture->store);
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		const uint8_t key[8] = { [7] = (uint8_t)i };
		const struct bytes parts[] = {
			bytes_of(content, sizes[i] / 3),
			BYTES_EMPTY,
			bytes_of(content + sizes[i] / 3, sizes[i] - sizes[i] / 3),
		};
		store_append(&txn, STORE_EVENTS, bytes_of(key, sizeof key), parts, 3);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	reopen(fixture);

	struct store_txn read = { 0 };
	store_read_begin(&read, fixture->store);
	assert_int_equal(store_row_count(&read, STORE_EVENTS), ARRAY_COUNT(sizes));
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		const uint8_t key[8] = { [7] = (uint8_t)i };
		struct bytes value;
		assert_int_equal(store_get(&read, STORE_EVENTS, bytes_of(key, sizeof key), &value),
			RESULT_OK);
		assert_int_equal(value.size, sizes[i]);
		assert_memory_equal(value.data, content, sizes[i]);
	}
	store_read_done(&read);
}

/* What is overwritten, deleted or absent is what a reader finds; tables do not mix. */
static void test_put_over_and_delete(void **state)
{
	struct fixture *fixture = *state;
	put_text(fixture, "a", "first");
	put_text(fixture, "b", "other");
	put_text(fixture, "a", "second and longer");
	assert_text(fixture, "a", "second and longer");

	struct store_txn txn;
	store_write_begin(&txn, fixture->store);
	assert_true(store_delete(&txn, STORE_NAMES, BYTES_LITERAL("a")));
	assert_false(store_delete(&txn, STORE_NAMES, BYTES_LITERAL("a")));
	assert_false(store_delete(&txn, STORE_DEAD, BYTES_LITERAL("b")));
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	struct store_txn read = { 0 };
	struct bytes value;
	store_read_begin(&read, fixture->store);
	assert_int_equal(store_get(&read, STORE_NAMES, BYTES_LITERAL("a"), &value),
		RESULT_NOT_FOUND);
	assert_int_equal(store_get(&read, STORE_DEAD, BYTES_LITERAL("b"), &value),
		RESULT_NOT_FOUND);
	assert_int_equal(read.result, RESULT_OK);
	store_read_done(&read);
	assert_text(fixture, "b", "other");
}

/* An aborted transaction leaves nothing; a reader sees the state it began with. */
static void test_abort_and_snapshot(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn;
	struct bytes value = BYTES_LITERAL("new");
	put_text(fixture, "a", "old");

	store_write_begin(&txn, fixture->store);
	store_put(&txn, STORE_NAMES, BYTES_LITERAL("a"), &value, 1);
	store_write_abort(&txn);
	assert_text(fixture, "a", "old");

	struct store_txn read = { 0 };
	struct bytes found;
	store_read_begin(&read, fixture->store);
	put_text(fixture, "a", "new");
	assert_int_equal(store_get(&read, STORE_NAMES, BYTES_LITERAL("a"), &found), RESULT_OK);
	assert_true(bytes_equal(found, BYTES_LITERAL("old")));
	store_read_end(&read);
	store_read_begin(&read, fixture->store);
	assert_int_equal(store_get(&read, STORE_NAMES, BYTES_LITERAL("a"), &found), RESULT_OK);
	assert_true(bytes_equal(found, BYTES_LITERAL("new")));
	store_read_done(&read);
}

/* After the first error nothing is done any more, and the commit says what it was. */
static void test_errors_stick(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn;
	struct bytes value = BYTES_LITERAL("x");
	struct bytes found;
	struct store_cursor cursor;

	store_write_begin(&txn, fixture->store);
	store_put(&txn, STORE_NAMES, BYTES_LITERAL("a"), &value, 1);
	store_txn_fail(&txn, "test", MDB_MAP_FULL);
	store_put(&txn, STORE_NAMES, BYTES_LITERAL("b"), &value, 1);
	assert_false(store_delete(&txn, STORE_NAMES, BYTES_LITERAL("a")));
	assert_int_equal(store_get(&txn, STORE_NAMES, BYTES_LITERAL("a"), &found), RESULT_SPACE);
	assert_int_equal(store_row_count(&txn, STORE_NAMES), 0);
	store_cursor_open(&cursor, &txn, STORE_NAMES);
	assert_false(store_cursor_last(&cursor));
	store_cursor_close(&cursor);
	assert_int_equal(store_write_commit(&txn), RESULT_SPACE);

	put_text(fixture, "c", "still works after a lack of space");
	store_write_begin(&txn, fixture->store);
	store_txn_fail(&txn, "test", 5 /* EIO */);
	assert_int_equal(store_write_commit(&txn), RESULT_DISK);
	store_write_begin(&txn, fixture->store);
	store_put(&txn, STORE_NAMES, BYTES_LITERAL("d"), &value, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_DISK);
	assert_text(fixture, "c", "still works after a lack of space");
}

/* One flipped bit in the file, in a key's value: that row is refused, others are not. */
static void test_a_flipped_bit_is_found(void **state)
{
	struct fixture *fixture = *state;
	static const char first[] = "the first value, to be spoilt";
	char path[FOLDER_PATH_SIZE];

	put_text(fixture, "a", first);
	put_text(fixture, "b", "second");
	store_close(fixture->store);
	folder_path(path, fixture->folder, "data.mdb");
	unsigned flipped = 0;
	while (folder_flip(path, first, sizeof first - 1, 0, flipped % 20)) flipped++;
	assert_true(flipped > 0);
	assert_int_equal(open_store(fixture), RESULT_OK);

	struct store_txn read = { 0 };
	struct bytes value;
	store_read_begin(&read, fixture->store);
	assert_int_equal(store_get(&read, STORE_NAMES, BYTES_LITERAL("a"), &value),
		RESULT_MALFORMED);
	assert_int_equal(value.size, 0);
	assert_int_equal(read.result, RESULT_OK);
	struct store_cursor cursor;
	store_cursor_open(&cursor, &read, STORE_NAMES);
	assert_true(store_cursor_seek(&cursor, BYTES_LITERAL("a")));
	assert_true(bytes_equal(cursor.key, BYTES_LITERAL("a")));
	assert_int_equal(cursor.value.size, 0);
	assert_true(store_cursor_next(&cursor));
	assert_true(bytes_equal(cursor.value, BYTES_LITERAL("second")));
	store_cursor_close(&cursor);
	store_read_done(&read);
}

static void close_with_schema(struct fixture *fixture, uint8_t schema)
{
	struct store_txn txn;
	const uint8_t number[] = { schema, 0, 0, 0 };
	struct bytes value = bytes_of(number, sizeof number);

	store_write_begin(&txn, fixture->store);
	store_put(&txn, STORE_META, BYTES_LITERAL("schema"), &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(fixture->store);
}

/* Another shard's folder, a newer version's and one in use are refused with a sentence. */
static void test_wrong_stores_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct store *again = NULL;
	char error[256] = "";
	assert_int_equal(store_open(&fixture->config, &again, error, sizeof error), RESULT_BUSY);
	assert_non_null(strstr(error, "open in another process"));

	store_close(fixture->store);
	fixture->config.shard = 4;
	assert_int_equal(open_store(fixture), RESULT_VERSION);
	assert_non_null(strstr(fixture->error, "belongs to shard 3"));
	fixture->config.shard = 3;
	assert_int_equal(open_store(fixture), RESULT_OK);

	close_with_schema(fixture, STORE_SCHEMA_VERSION + 1);
	assert_int_equal(open_store(fixture), RESULT_VERSION);
	assert_non_null(strstr(fixture->error, "newer version"));
	assert_null(fixture->store);
}

/* No step leads from schema 1, of before the journal; it stays as it is. */
static void test_a_schema_without_a_step_is_refused(void **state)
{
	struct fixture *fixture = *state;

	close_with_schema(fixture, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_store(fixture), RESULT_VERSION);
		assert_non_null(strstr(fixture->error, "cannot be brought from schema 1 to 2"));
		assert_null(fixture->store);
	}
}

/* A cut-off file and one that is no store are refused, and not read until they fault. */
static void test_damaged_files_are_refused(void **state)
{
	struct fixture *fixture = *state;
	char path[FOLDER_PATH_SIZE];
	for (char key[] = "a"; key[0] <= 'z'; key[0]++) put_text(fixture, key, "value");
	store_close(fixture->store);
	folder_path(path, fixture->folder, "data.mdb");
	assert_int_equal(truncate(path, 3 * 4096), 0);
	assert_int_equal(open_store(fixture), RESULT_MALFORMED);
	assert_non_null(strstr(fixture->error, "cut off"));

	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < 4096; i++) fputs("no store at all ", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(open_store(fixture), RESULT_MALFORMED);
	assert_null(fixture->store);
}

static enum result step_one(struct store_txn *txn)
{
	struct bytes value = BYTES_LITERAL("migrated");
	store_put(txn, STORE_NAMES, BYTES_LITERAL("from-1"), &value, 1);
	return txn->result;
}

static enum result step_two(struct store_txn *txn)
{
	struct bytes value;
	TRY(store_get(txn, STORE_NAMES, BYTES_LITERAL("from-1"), &value));
	store_put(txn, STORE_NAMES, BYTES_LITERAL("from-2"), &value, 1);
	return txn->result;
}

/* Steps run in order, in one transaction; a missing step is an error. */
static void test_migration_steps(void **state)
{
	struct fixture *fixture = *state;
	const struct store_migration steps[] = {
		{ .from = 2, .step = step_two },
		{ .from = 1, .step = step_one },
	};
	struct store_txn txn;

	store_write_begin(&txn, fixture->store);
	assert_int_equal(store_migrate_steps(&txn, 1, 4, steps, 2), RESULT_VERSION);
	store_write_abort(&txn);
	store_write_begin(&txn, fixture->store);
	assert_int_equal(store_migrate_steps(&txn, 1, 3, steps, 2), RESULT_OK);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	assert_text(fixture, "from-2", "migrated");
	struct store_txn read = { 0 };
	struct bytes value;
	store_read_begin(&read, fixture->store);
	assert_int_equal(store_get(&read, STORE_META, BYTES_LITERAL("schema"), &value), RESULT_OK);
	assert_int_equal(value.data[0], 3);
	store_read_done(&read);
}

/* A folder nobody may make, and one that cannot be reached. */
static void test_unreachable_folder(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = NULL;
	char error[256] = "";
	char path[FOLDER_PATH_SIZE];
	struct store_config config = fixture->config;

	folder_path(path, fixture->folder, "data.mdb/inside");
	config.path = path;
	assert_int_equal(store_open(&config, &store, error, sizeof error), RESULT_DISK);
	assert_non_null(strstr(error, "data.mdb/inside"));
	folder_path(path, fixture->folder, "sub");
	assert_int_equal(store_open(&config, &store, error, sizeof error), RESULT_OK);
	struct stat folder;
	assert_int_equal(stat(path, &folder), 0);
	assert_int_equal(folder.st_mode & 0777, 0700);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values_of_every_size, begin, end),
		cmocka_unit_test_setup_teardown(test_put_over_and_delete, begin, end),
		cmocka_unit_test_setup_teardown(test_abort_and_snapshot, begin, end),
		cmocka_unit_test_setup_teardown(test_errors_stick, begin, end),
		cmocka_unit_test_setup_teardown(test_a_flipped_bit_is_found, begin, end),
		cmocka_unit_test_setup_teardown(test_wrong_stores_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_a_schema_without_a_step_is_refused, begin,
			end),
		cmocka_unit_test_setup_teardown(test_damaged_files_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_migration_steps, begin, end),
		cmocka_unit_test_setup_teardown(test_unreachable_folder, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

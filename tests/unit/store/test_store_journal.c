/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal in front of LMDB: what it alone has comes back, its end is where the power failed and
 * nowhere else, segments are used again only when nobody reads in them.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/log.h"
#include "lib/folder.h"
#include "store/store_internal.h"

enum { VALUE_SIZE = 50000, KEY_SIZE = 8, QUOTA_SIZE = 32 << 20 };

struct fixture {
	char folder[FOLDER_PATH_SIZE];
	struct store_config config;
	struct store *store;
	char error[256];
	uint64_t next; /* key of the next event */
	uint64_t batches;
};

static enum result open_store(struct fixture *fixture)
{
	fixture->store = NULL;
	return store_open(&fixture->config, &fixture->store, fixture->error, sizeof fixture->error);
}

static int begin(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ .next = 1 };
	log_set_level(LOG_ERROR);
	folder_make(fixture.folder);
	fixture.config = (struct store_config){
		.path = fixture.folder,
		.shard = 3,
		.quota_size = QUOTA_SIZE,
	};
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

/* Without a checkpoint, as a crash leaves it. */
static void crash(struct fixture *fixture)
{
	store_close(fixture->store);
	fixture->store = NULL;
}

static void reopen(struct fixture *fixture)
{
	crash(fixture);
	assert_int_equal(open_store(fixture), RESULT_OK);
}

static struct bytes key_of(uint64_t number)
{
	static uint8_t memory[KEY_SIZE];
	struct writer writer = writer_of(memory, sizeof memory);
	write_u64_be(&writer, number);
	return writer_bytes(&writer);
}

static struct bytes value_of(uint64_t number, size_t size)
{
	static uint8_t memory[STORE_EVENT_VALUE_SIZE_MAX];
	for (size_t i = 0; i < size; i++) memory[i] = (uint8_t)(number * 7 + i * 13 + i / 251);
	return bytes_of(memory, size);
}

static void add(struct fixture *fixture, struct store_txn *txn, size_t size)
{
	struct bytes value = value_of(fixture->next, size);
	store_append(txn, STORE_EVENTS, key_of(fixture->next), &value, 1);
	fixture->next++;
}

/* A batch of events, and a row that only the journal has until the checkpoint. */
static void commit(struct fixture *fixture, unsigned count)
{
	struct store_txn txn;
	struct bytes row = BYTES_LITERAL("a row of the batch");

	store_write_begin(&txn, fixture->store);
	store_append(&txn, STORE_LEAVES, key_of(fixture->batches++), &row, 1);
	for (unsigned i = 0; i < count; i++) add(fixture, &txn, VALUE_SIZE);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

static void assert_event(struct store_txn *txn, uint64_t number)
{
	struct bytes found;
	assert_int_equal(store_get(txn, STORE_EVENTS, key_of(number), &found), RESULT_OK);
	assert_true(bytes_equal(found, value_of(number, VALUE_SIZE)));
}

/* Events `first` to the last are there and no others, whichever way one looks. */
static void assert_events(struct fixture *fixture, uint64_t first)
{
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	struct bytes found;

	store_read_begin(&txn, fixture->store);
	for (uint64_t i = first; i < fixture->next; i++) assert_event(&txn, i);
	assert_int_equal(store_get(&txn, STORE_EVENTS, key_of(fixture->next), &found),
		RESULT_NOT_FOUND);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	bool there = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (uint64_t i = first; i < fixture->next; i++, there = store_cursor_next(&cursor)) {
		assert_true(there);
		assert_true(bytes_equal(cursor.key, key_of(i)));
		assert_true(bytes_equal(cursor.value, value_of(i, VALUE_SIZE)));
	}
	assert_false(there);
	there = store_cursor_last(&cursor);
	for (uint64_t i = fixture->next; i-- > first; there = store_cursor_previous(&cursor)) {
		assert_true(there);
		assert_true(bytes_equal(cursor.key, key_of(i)));
	}
	assert_false(there);
	store_cursor_close(&cursor);
	store_read_done(&txn);
}

static uint64_t row_count(struct fixture *fixture, enum store_table table)
{
	struct store_txn txn = { 0 };
	store_read_begin(&txn, fixture->store);
	uint64_t count = store_row_count(&txn, table);
	store_read_done(&txn);
	return count;
}

/* ---- Coming back ----------------------------------------------------------------------------- */

/* Over many segments, with checkpoints in between and without: nothing is missing. */
static void test_what_the_log_has_comes_back(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned i = 1; i <= 60; i++) {
		commit(fixture, i % 4);
		if (i % 7 == 0) assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
		if (i % 5 == 0) assert_events(fixture, 1);
		if (i % 11 == 0) reopen(fixture);
	}
	assert_true(fixture->store->journal.segment_count > 3);
	reopen(fixture);
	assert_events(fixture, 1);
	assert_int_equal(row_count(fixture, STORE_LEAVES), 60);
	assert_int_equal(row_count(fixture, STORE_EVENTS), fixture->next - 1);
}

/* A batch that is given up leaves no trace, in either place, also when it went on to a segment. */
static void test_a_batch_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn;

	commit(fixture, 3);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t next = fixture->next;
		store_write_begin(&txn, fixture->store);
		for (unsigned j = 0; j < 50; j++) add(fixture, &txn, VALUE_SIZE);
		store_write_abort(&txn);
		fixture->next = next;
		assert_events(fixture, 1);
		commit(fixture, 4);
		if (i % 3 == 0) reopen(fixture);
	}
	assert_events(fixture, 1);
	reopen(fixture);
	assert_events(fixture, 1);
	assert_int_equal(row_count(fixture, STORE_EVENTS), fixture->next - 1);
}

/* A batch that LMDB commits, because it touches a table that is read at once. */
static void test_rows_that_are_read_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn;
	struct bytes row = BYTES_LITERAL("waits");

	for (unsigned i = 0; i < 20; i++) {
		commit(fixture, 2);
		store_write_begin(&txn, fixture->store);
		store_put(&txn, STORE_DEAD, key_of(i), &row, 1);
		if (i % 2 == 0) add(fixture, &txn, VALUE_SIZE);
		assert_int_equal(store_write_commit(&txn), RESULT_OK);
		assert_int_equal(row_count(fixture, STORE_DEAD), i + 1);
		assert_events(fixture, 1);
		if (i % 6 == 0) reopen(fixture);
	}
	reopen(fixture);
	assert_events(fixture, 1);
}

/* ---- The end of the journal ----------------------------------------------------------------- */

static void change_byte(const struct fixture *fixture, uint64_t position)
{
	char name[32];
	char path[FOLDER_PATH_SIZE];
	uint8_t byte;
	struct journal *journal = &fixture->store->journal;

	snprintf(name, sizeof name, "journal-%u",
		(unsigned)journal_segment_of(journal, position)->file);
	folder_path(path, fixture->folder, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	off_t offset = (off_t)(position % journal->segment_size);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

/* The last batch is not whole, wherever it is damaged: as if it had not been. */
static void test_a_torn_end(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned i = 0; i < 20; i++) {
		commit(fixture, 1);
		uint64_t next = fixture->next;
		uint64_t from = fixture->store->journal.position;
		commit(fixture, 1);
		uint64_t size = fixture->store->journal.position - from;
		if (size > VALUE_SIZE + JOURNAL_PAGE_SIZE) continue; /* in two segments */
		/* Behind the COMMIT is nothing but padding. */
		change_byte(fixture, from + i * (VALUE_SIZE / 20));
		fixture->next = next;
		reopen(fixture);
		assert_events(fixture, 1);
	}
}

/* One before the last is damaged: the disk has lost what was acknowledged. Nothing is opened. */
static void test_damage_is_not_an_end(void **state)
{
	struct fixture *fixture = *state;
	commit(fixture, 1);
	uint64_t position = fixture->store->journal.position;
	commit(fixture, 1);
	commit(fixture, 1);
	change_byte(fixture, position + 1000);
	crash(fixture);
	assert_int_equal(open_store(fixture), RESULT_MALFORMED);
	assert_non_null(strstr(fixture->error, "damaged at byte"));
	assert_non_null(strstr(fixture->error, "later ones are there"));
	assert_null(fixture->store);
}

/* What has been taken over long ago and rots is one value, shown as such. */
static void test_rot_of_one_value(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn = { 0 };
	struct bytes found;

	commit(fixture, 1);
	uint64_t position = fixture->store->journal.position;
	commit(fixture, 1);
	commit(fixture, 1);
	assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	change_byte(fixture, position + 1000);
	reopen(fixture);
	store_read_begin(&txn, fixture->store);
	assert_event(&txn, 1);
	assert_int_equal(store_get(&txn, STORE_EVENTS, key_of(2), &found), RESULT_MALFORMED);
	assert_event(&txn, 3);
	store_read_done(&txn);
}

/* A payload that is the image of a whole batch is no batch. */
static void test_a_payload_that_looks_like_a_batch(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn txn;
	static uint8_t image[STORE_EVENT_VALUE_SIZE_MAX];

	commit(fixture, 1);
	commit(fixture, 1);
	const struct journal *journal = &fixture->store->journal;
	memcpy(image, journal->segments[0].map + JOURNAL_HEADER_SIZE, sizeof image);
	for (size_t shift = 0; shift < 512; shift += 8) {
		struct bytes value = bytes_of(image + shift, sizeof image - shift);
		store_write_begin(&txn, fixture->store);
		store_append(&txn, STORE_EVENTS, key_of(1000 + shift), &value, 1);
		assert_int_equal(store_write_commit(&txn), RESULT_OK);
	}
	reopen(fixture);
	assert_int_equal(row_count(fixture, STORE_EVENTS), 2 + 512 / 8);
}

static void test_a_missing_segment(void **state)
{
	struct fixture *fixture = *state;
	char path[FOLDER_PATH_SIZE];

	for (unsigned i = 0; i < 30; i++) commit(fixture, 2);
	assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	crash(fixture);
	folder_path(path, fixture->folder, "journal-1");
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(open_store(fixture), RESULT_MALFORMED);
	assert_non_null(strstr(fixture->error, "journal-1 of the store is cut off"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_store(fixture), RESULT_MALFORMED);
	assert_non_null(strstr(fixture->error, "is missing"));
}

/* ---- Segments used again --------------------------------------------------------------------- */

static void delete_below(struct fixture *fixture, uint64_t *first, uint64_t end_key)
{
	struct store_txn txn;
	store_write_begin(&txn, fixture->store);
	for (; *first < end_key; (*first)++) {
		assert_true(store_delete(&txn, STORE_EVENTS, key_of(*first)));
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

/* As old ones go, new ones take their place: the files do not become more. */
static void test_segments_are_used_again(void **state)
{
	struct fixture *fixture = *state;
	uint64_t first = 1;
	uint32_t files = 0;

	for (unsigned i = 0; i < 400; i++) {
		commit(fixture, 2);
		if (fixture->next > 60) delete_below(fixture, &first, fixture->next - 60);
		if (i % 8 == 0) assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
		if (i == 100) files = fixture->store->journal.segment_count;
		if (i % 60 == 0) reopen(fixture);
		if (i % 20 != 0) continue;
		/* What is deleted is seen until then. */
		assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
		assert_events(fixture, first);
	}
	assert_true(files > 0 && fixture->store->journal.segment_count <= files + 1);
	assert_true(fixture->store->journal.current->number > 2 * (uint64_t)files);
	reopen(fixture);
	assert_events(fixture, first);
	struct store_space space = store_space(fixture->store);
	assert_true(space.used_size < 60 * VALUE_SIZE + 4 * JOURNAL_SEGMENT_SIZE_MIN);
}

/* Who began to read before they were deleted sees them to the end. */
static void test_readers_keep_segments(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn old = { 0 };
	uint64_t first = 1;

	for (unsigned i = 0; i < 40; i++) commit(fixture, 2);
	assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	store_read_begin(&old, fixture->store);
	uint64_t last = fixture->next;
	delete_below(fixture, &first, last);
	assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	for (unsigned i = 0; i < 60; i++) {
		commit(fixture, 2);
		assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	}
	for (uint64_t i = 1; i < last; i++) assert_event(&old, i);
	uint32_t files = fixture->store->journal.segment_count;
	store_read_done(&old);
	for (unsigned i = 0; i < 40; i++) {
		commit(fixture, 2);
		assert_int_equal(store_checkpoint(fixture->store), RESULT_OK);
	}
	/* Now they are given up, from the next checkpoint on. */
	assert_in_range(fixture->store->journal.segment_count, files, files + 1);
	assert_events(fixture, last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_the_log_has_comes_back, begin, end),
		cmocka_unit_test_setup_teardown(test_a_batch_given_up, begin, end),
		cmocka_unit_test_setup_teardown(test_rows_that_are_read_at_once, begin, end),
		cmocka_unit_test_setup_teardown(test_a_torn_end, begin, end),
		cmocka_unit_test_setup_teardown(test_damage_is_not_an_end, begin, end),
		cmocka_unit_test_setup_teardown(test_rot_of_one_value, begin, end),
		cmocka_unit_test_setup_teardown(test_a_payload_that_looks_like_a_batch, begin, end),
		cmocka_unit_test_setup_teardown(test_a_missing_segment, begin, end),
		cmocka_unit_test_setup_teardown(test_segments_are_used_again, begin, end),
		cmocka_unit_test_setup_teardown(test_readers_keep_segments, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal in front of LMDB: what it alone has comes back, its end is where the power failed and
 * nowhere else, segments are used again only when nobody reads in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bug.h"
#include "lib/journal_rig.h"

/* ---- Coming back ----------------------------------------------------------------------------- */

/* Over many segments, with checkpoints in between and without: nothing is missing. */
static void test_what_the_log_has_comes_back(void **state)
{
	struct journal_rig *rig = *state;
	for (unsigned i = 1; i <= 60; i++) {
		journal_rig_commit(rig, i % 4);
		if (i % 7 == 0) journal_rig_checkpoint(rig);
		if (i % 5 == 0) journal_rig_assert_events(rig, 1);
		if (i % 11 == 0) journal_rig_reopen(rig);
	}
	assert_true(rig->store->journal.segment_count > 3);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_LEAVES), 60);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), rig->next - 1);
}

static uint32_t places_left(const struct journal_rig *rig)
{
	const struct recents *recents = &rig->store->recents;
	return recents->added_count - recents->taken_count;
}

/* Once many places have gathered LMDB's transaction gets them, before a checkpoint; who reads finds
 * each event once all the time. */
static void test_places_are_put_between_batches(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	store_checkpoint_prepare(rig->store); /* nothing there at all */
	journal_rig_commit(rig, STORE_TAKE_OVER_ROWS - 1);
	store_checkpoint_prepare(rig->store);
	assert_int_equal(places_left(rig), STORE_TAKE_OVER_ROWS - 1);
	journal_rig_commit(rig, 1);
	store_checkpoint_prepare(rig->store);
	assert_int_equal(places_left(rig), 0);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), 0);
	journal_rig_commit(rig, 3);
	store_checkpoint_prepare(rig->store);
	assert_int_equal(places_left(rig), 3);
	journal_rig_assert_events(rig, 1);
	journal_rig_checkpoint(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), STORE_TAKE_OVER_ROWS + 3);

	/* What was put and not committed comes again from the journal. */
	journal_rig_commit(rig, STORE_TAKE_OVER_ROWS);
	store_checkpoint_prepare(rig->store);
	assert_int_equal(places_left(rig), 0);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	store_write_abort(&txn);
	rig->next = next;
	journal_rig_assert_events(rig, 1);
	journal_rig_checkpoint(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), rig->next - 1);
	journal_rig_commit(rig, STORE_TAKE_OVER_ROWS);
	store_checkpoint_prepare(rig->store);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), rig->next - 1);
}

/* A batch that is given up leaves no trace, in either place, also when it went on to a segment. */
static void test_a_batch_given_up(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 3);
	for (unsigned i = 0; i < 10; i++) {
		uint64_t next = rig->next;
		store_write_begin(&txn, rig->store);
		for (unsigned j = 0; j < 50; j++)
			journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
		store_write_abort(&txn);
		rig->next = next;
		journal_rig_assert_events(rig, 1);
		journal_rig_commit(rig, 4);
		if (i % 3 == 0) journal_rig_reopen(rig);
	}
	journal_rig_assert_events(rig, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), rig->next - 1);
}

static void assert_shows(bool there, const struct store_cursor *cursor, uint64_t number)
{
	assert_true(there);
	assert_true(bytes_equal(cursor->key, journal_rig_key(number)));
}

/* What the journal alone has is there for a batch that looks, whichever end it begins at. */
static void test_a_batch_sees_what_is_recent(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;
	struct store_cursor cursor;

	journal_rig_commit(rig, 2);
	store_write_begin(&txn, rig->store);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	assert_shows(store_cursor_next(&cursor), &cursor, 1);
	assert_shows(store_cursor_next(&cursor), &cursor, 2);
	assert_false(store_cursor_next(&cursor));
	store_cursor_close(&cursor);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);

	journal_rig_commit(rig, 2);
	store_write_begin(&txn, rig->store);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	assert_shows(store_cursor_last(&cursor), &cursor, 4);
	assert_shows(store_cursor_previous(&cursor), &cursor, 3);
	store_cursor_close(&cursor);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

struct append {
	struct store_txn txn;
	uint64_t number;
};

static void append(void *owner)
{
	struct append *append = owner;
	struct bytes value = BYTES_LITERAL("an event");
	store_append(&append->txn, STORE_EVENTS, journal_rig_key(append->number), &value, 1);
}

/* Also behind a checkpoint, long before LMDB would notice. */
static void test_appending_out_of_order_is_a_bug(void **state)
{
	struct journal_rig *rig = *state;
	struct append next = { .number = 3 };

	journal_rig_commit(rig, 2);
	journal_rig_checkpoint(rig);
	store_write_begin(&next.txn, rig->store);
	assert_false(is_a_bug(append, &next));
	next.number = 2;
	assert_true(is_a_bug(append, &next));
	store_write_abort(&next.txn);
}

/* A batch that LMDB commits, because it touches a table that is read at once. */
static void test_rows_that_are_read_at_once(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;
	struct bytes row = BYTES_LITERAL("waits");

	for (unsigned i = 0; i < 20; i++) {
		journal_rig_commit(rig, 2);
		store_write_begin(&txn, rig->store);
		store_put(&txn, STORE_DEAD, journal_rig_key(i), &row, 1);
		if (i % 2 == 0) journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
		assert_int_equal(store_write_commit(&txn), RESULT_OK);
		assert_int_equal(journal_rig_row_count(rig, STORE_DEAD), i + 1);
		journal_rig_assert_events(rig, 1);
		if (i % 6 == 0) journal_rig_reopen(rig);
	}
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* Its events are those of the last epoch, whose tail who reads looks into first: until the next
 * checkpoint nobody sees that they have rotted on the disk. */
static void test_rows_of_lmdb_are_read_from_memory(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;
	struct bytes found;
	struct bytes row = BYTES_LITERAL("waits");

	journal_rig_commit(rig, 2);
	uint64_t position = rig->store->journal.position;
	store_write_begin(&txn, rig->store);
	store_put(&txn, STORE_DEAD, journal_rig_key(1), &row, 1);
	journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	/* LMDB has it all. */
	assert_int_equal(journal_rig_row_count(rig, STORE_DEAD), 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), 4);
	journal_rig_change_byte(rig, position + 1000);
	journal_rig_change_byte(rig, position + JOURNAL_RIG_VALUE_SIZE + 1000);
	journal_rig_assert_events(rig, 1);
	journal_rig_checkpoint(rig);
	txn = (struct store_txn){ 0 };
	store_read_begin(&txn, rig->store);
	for (uint64_t i = 3; i <= 4; i++) {
		assert_int_equal(store_get(&txn, STORE_EVENTS, journal_rig_key(i), &found),
			RESULT_MALFORMED);
	}
	store_read_done(&txn);
}

/* ---- The end of the journal ----------------------------------------------------------------- */

/* The last batch is not whole, wherever it is damaged: as if it had not been. */
static void test_a_torn_end(void **state)
{
	struct journal_rig *rig = *state;
	for (unsigned i = 0; i < 20; i++) {
		journal_rig_commit(rig, 1);
		uint64_t next = rig->next;
		uint64_t from = rig->store->journal.position;
		journal_rig_commit(rig, 1);
		uint64_t size = rig->store->journal.position - from;
		if (size > JOURNAL_RIG_VALUE_SIZE + JOURNAL_PAGE_SIZE)
			continue; /* in two segments */
		/* Behind the COMMIT is nothing but padding. */
		journal_rig_change_byte(rig, from + i * (JOURNAL_RIG_VALUE_SIZE / 20));
		rig->next = next;
		journal_rig_reopen(rig);
		journal_rig_assert_events(rig, 1);
	}
}

/* One before the last is damaged: the disk has lost what was acknowledged. Nothing is opened. */
static void test_damage_is_not_an_end(void **state)
{
	struct journal_rig *rig = *state;
	journal_rig_commit(rig, 1);
	uint64_t position = rig->store->journal.position;
	journal_rig_commit(rig, 1);
	journal_rig_commit(rig, 1);
	journal_rig_change_byte(rig, position + 1000);
	journal_rig_crash(rig);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "damaged at byte"));
	assert_non_null(strstr(rig->error, "later ones are there"));
	assert_null(rig->store);
}

/* What has been taken over long ago and rots is one value, shown as such. */
static void test_rot_of_one_value(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn = { 0 };
	struct bytes found;

	journal_rig_commit(rig, 1);
	uint64_t position = rig->store->journal.position;
	journal_rig_commit(rig, 1);
	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	journal_rig_change_byte(rig, position + 1000);
	journal_rig_reopen(rig);
	store_read_begin(&txn, rig->store);
	journal_rig_assert_event(&txn, 1);
	assert_int_equal(store_get(&txn, STORE_EVENTS, journal_rig_key(2), &found),
		RESULT_MALFORMED);
	journal_rig_assert_event(&txn, 3);
	store_read_done(&txn);
}

/* A payload that is the image of a whole batch is no batch. */
static void test_a_payload_that_looks_like_a_batch(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;
	static uint8_t image[STORE_EVENT_VALUE_SIZE_MAX];

	journal_rig_commit(rig, 1);
	journal_rig_commit(rig, 1);
	const struct journal *journal = &rig->store->journal;
	memcpy(image, journal->segments[0].map + JOURNAL_HEADER_SIZE, sizeof image);
	for (size_t shift = 0; shift < 512; shift += 8) {
		struct bytes value = bytes_of(image + shift, sizeof image - shift);
		store_write_begin(&txn, rig->store);
		store_append(&txn, STORE_EVENTS, journal_rig_key(1000 + shift), &value, 1);
		assert_int_equal(store_write_commit(&txn), RESULT_OK);
	}
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), 2 + 512 / 8);
}

static void test_a_missing_segment(void **state)
{
	struct journal_rig *rig = *state;
	char path[FOLDER_PATH_SIZE];

	for (unsigned i = 0; i < 30; i++) journal_rig_commit(rig, 2);
	journal_rig_checkpoint(rig);
	journal_rig_crash(rig);
	folder_path(path, rig->folder, "journal-1");
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "journal-1 of the store is cut off"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "is missing"));
}

/* ---- Segments used again --------------------------------------------------------------------- */

/* As old ones go, new ones take their place: the files do not become more. */
static void test_segments_are_used_again(void **state)
{
	struct journal_rig *rig = *state;
	uint64_t first = 1;
	uint32_t files = 0;

	for (unsigned i = 0; i < 400; i++) {
		journal_rig_commit(rig, 2);
		if (rig->next > 60) journal_rig_delete_below(rig, &first, rig->next - 60);
		if (i % 8 == 0) journal_rig_checkpoint(rig);
		if (i == 100) files = rig->store->journal.segment_count;
		if (i % 60 == 0) journal_rig_reopen(rig);
		if (i % 20 != 0) continue;
		/* What is deleted is seen until then. */
		journal_rig_checkpoint(rig);
		journal_rig_assert_events(rig, first);
	}
	assert_true(files > 0 && rig->store->journal.segment_count <= files + 1);
	assert_true(rig->store->journal.current->number > 2 * (uint64_t)files);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, first);
	struct store_space space = store_space(rig->store);
	assert_true(space.used_size < 60 * JOURNAL_RIG_VALUE_SIZE + 4 * JOURNAL_SEGMENT_SIZE_MIN);
}

/* Who began to read before they were deleted sees them to the end. */
static void test_readers_keep_segments(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn old = { 0 };
	uint64_t first = 1;

	for (unsigned i = 0; i < 40; i++) journal_rig_commit(rig, 2);
	journal_rig_checkpoint(rig);
	store_read_begin(&old, rig->store);
	uint64_t last = rig->next;
	journal_rig_delete_below(rig, &first, last);
	journal_rig_checkpoint(rig);
	for (unsigned i = 0; i < 60; i++) {
		journal_rig_commit(rig, 2);
		journal_rig_checkpoint(rig);
	}
	for (uint64_t i = 1; i < last; i++) journal_rig_assert_event(&old, i);
	uint32_t files = rig->store->journal.segment_count;
	store_read_done(&old);
	for (unsigned i = 0; i < 40; i++) {
		journal_rig_commit(rig, 2);
		journal_rig_checkpoint(rig);
	}
	/* Now they are given up, from the next checkpoint on. */
	assert_in_range(rig->store->journal.segment_count, files, files + 1);
	journal_rig_assert_events(rig, last);
}

/* A restored store has the files that were in use, whatever numbers they had. */
static void test_all_files_count_over_gaps(void **state)
{
	struct journal_rig *rig = *state;
	char paths[2][FOLDER_PATH_SIZE];

	journal_rig_commit(rig, 1);
	journal_rig_fill_segment(rig);
	int folder_fd = rig->store->folder_fd;
	uint64_t size = journal_files_size(folder_fd);
	assert_true(size >= JOURNAL_SEGMENT_SIZE_MIN);
	journal_rig_path(rig, 0, paths[0]);
	journal_rig_path(rig, JOURNAL_SEGMENTS_MAX - 1, paths[1]);
	assert_int_equal(rename(paths[0], paths[1]), 0);
	assert_int_equal(journal_files_size(folder_fd), size);
	/* None of ours. */
	folder_path(paths[0], rig->folder, "journal-00");
	assert_int_equal(rename(paths[1], paths[0]), 0);
	assert_true(journal_files_size(folder_fd) < size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_places_are_put_between_batches,
			journal_rig_begin, journal_rig_end),
		cmocka_unit_test_setup_teardown(test_what_the_log_has_comes_back, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_a_batch_given_up, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_a_batch_sees_what_is_recent, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_appending_out_of_order_is_a_bug,
			journal_rig_begin, journal_rig_end),
		cmocka_unit_test_setup_teardown(test_rows_that_are_read_at_once, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_rows_of_lmdb_are_read_from_memory,
			journal_rig_begin, journal_rig_end),
		cmocka_unit_test_setup_teardown(test_a_torn_end, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_damage_is_not_an_end, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_rot_of_one_value, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_a_payload_that_looks_like_a_batch,
			journal_rig_begin, journal_rig_end),
		cmocka_unit_test_setup_teardown(test_a_missing_segment, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_segments_are_used_again, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_readers_keep_segments, journal_rig_begin,
			journal_rig_end),
		cmocka_unit_test_setup_teardown(test_all_files_count_over_gaps, journal_rig_begin,
			journal_rig_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

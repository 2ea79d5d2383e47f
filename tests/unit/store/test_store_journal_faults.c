/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal when the disk or the kernel fails under it: what was acknowledged is there after the
 * next start, and what could not be written was not acknowledged.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "lib/journal_rig.h"
#include "lib/store_faults.h"

static int begin(void **state)
{
	memset(&fault, 0, sizeof fault);
	return journal_rig_begin(state);
}

static int end(void **state)
{
	memset(&fault, 0, sizeof fault);
	return journal_rig_end(state);
}

/* ---- Helpers ------------------------------------------------------------------------------- */

static const struct bytes row = BYTES_LITERAL("a row");

static void put(struct store_txn *txn, enum store_table table, uint64_t number)
{
	store_put(txn, table, journal_rig_key(number), &row, 1);
}

static void add(struct journal_rig *rig, struct store_txn *txn, unsigned count)
{
	for (unsigned i = 0; i < count; i++) journal_rig_add(rig, txn, JOURNAL_RIG_VALUE_SIZE);
}

/* ---- A batch that does without the journal ------------------------------------------------- */

/* Its first row found no segment, a later one did: the first must not be forgotten. */
static void test_space_comes_back_within_a_batch(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_fill_segment(rig);
	journal_rig_checkpoint(rig);
	store_write_begin(&txn, rig->store);
	fault.fallocate_errno = ENOSPC;
	put(&txn, STORE_ATTEMPTS, 1);
	fault.fallocate_errno = 0;
	add(rig, &txn, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 1);
	journal_rig_assert_events(rig, 1);
}

/* The batch after one that went without is a batch of the journal again. */
static void test_space_comes_back_with_the_next_batch(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_fill_segment(rig);
	fault.fallocate_errno = ENOSPC;
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_ATTEMPTS, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	fault.fallocate_errno = 0;
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_ATTEMPTS, 2);
	add(rig, &txn, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 2);
	journal_rig_assert_events(rig, 1);
}

/* A journal that cannot be written to for lack of space does not hold up what LMDB has room for. */
static void test_no_space_to_write_in_the_journal(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	fault.journal_full = true;
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_ATTEMPTS, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	fault.journal_full = false;
	journal_rig_commit(rig, 1);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 1);
	journal_rig_assert_events(rig, 1);
}

/* Nor does one that has just gone on to a new segment. */
static void test_no_space_to_write_in_a_new_segment(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_fill_segment(rig);
	fault.journal_full = true;
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_ATTEMPTS, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	fault.journal_full = false;
	journal_rig_commit(rig, 3);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 1);
	journal_rig_assert_events(rig, 1);
}

/* A number that is in a file and cannot be taken out is an end, whatever the reason. */
static void test_no_space_to_give_a_segment_back(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	for (unsigned i = 0; i < 300; i++) {
		struct bytes value = journal_rig_value(i, 4000);
		store_put(&txn, STORE_ATTEMPTS, journal_rig_key(i), &value, 1);
	}
	assert_int_equal(rig->store->journal.current->number, 3);
	fault.journal_full = true;
	assert_int_equal(store_write_commit(&txn), RESULT_DISK);
	fault.journal_full = false;
	store_write_begin(&txn, rig->store);
	assert_int_equal(txn.result, RESULT_DISK);
	rig->next = next;
	journal_rig_reopen(rig);
	journal_rig_commit(rig, 1);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 0);
	journal_rig_assert_events(rig, 1);
}

/* No space for a row just where a segment ends, and for the events behind it there is: one segment
 * is taken into use, not two of the same number. */
static void test_no_space_at_the_end_of_a_segment(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	store_write_begin(&txn, rig->store);
	fault.journal_full = true;
	for (unsigned i = 0; i < 40; i++) {
		struct bytes value = journal_rig_value(i, 4000);
		store_put(&txn, STORE_ATTEMPTS, journal_rig_key(i), &value, 1);
	}
	assert_true(rig->store->journal.overflow);
	fault.journal_full = false;
	add(rig, &txn, 25);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	assert_int_equal(rig->store->journal.current->number, 3);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 40);
}

/* ---- LMDB finds no space ------------------------------------------------------------------- */

/* While it does not, nothing is let in. So somebody must ask again, even with nothing pending. */
static void test_a_refused_commit_is_asked_for_again(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	fault.data_full = true;
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_DEAD, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_SPACE);
	fault.data_full = false;
	assert_false(store_has_room(rig->store, 1));
	assert_true(store_checkpoint_wanted(rig->store));
	assert_false(store_checkpoint_due(rig->store));
	rig->store->checkpoint_refused_us -= STORE_CHECKPOINT_US; /* a second later */
	assert_true(store_checkpoint_due(rig->store));
	journal_rig_checkpoint(rig);
	assert_true(store_has_room(rig->store, 1));
	journal_rig_commit(rig, 1);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_DEAD), 0);
	journal_rig_assert_events(rig, 1);
}

/* So many pages more than there are; 0: what it has at other times. */
static void limit_map(struct store *store, size_t page_count)
{
	MDB_envinfo info;
	assert_int_equal(mdb_env_info(store->env, &info), 0);
	size_t size = (info.me_last_pgno + 1 + page_count) * store->page_size;
	if (page_count == 0) size = store_map_size(store);
	assert_int_equal(mdb_env_set_mapsize(store->env, size), 0);
}

static enum result add_small(struct journal_rig *rig, unsigned count)
{
	struct store_txn txn;
	store_write_begin(&txn, rig->store);
	for (unsigned i = 0; i < count; i++) journal_rig_add(rig, &txn, 100);
	enum result result = store_write_commit(&txn);
	if (result != RESULT_OK) rig->next -= count;
	return result;
}

static unsigned count_events(struct journal_rig *rig)
{
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	unsigned count = 0;

	store_read_begin(&txn, rig->store);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	bool there = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (; there; there = store_cursor_next(&cursor)) {
		assert_int_equal(cursor.value.size, 100);
		count++;
	}
	store_cursor_close(&cursor);
	store_read_done(&txn);
	return count;
}

/* Places of events that were acknowledged long ago find none, when the writer looks for events, a
 * checkpoint puts them, or they are put before it: nothing is missed meanwhile, and all is there
 * when there is space again. */
static void test_no_space_for_places(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_checkpoint(rig);
	limit_map(rig->store, 12);
	assert_int_equal(add_small(rig, 2000), RESULT_OK);
	store_write_begin(&txn, rig->store);
	assert_int_equal(txn.result, RESULT_OK);
	assert_int_equal(store_row_count(&txn, STORE_EVENTS), 0);
	assert_int_equal(store_write_commit(&txn), RESULT_SPACE);
	assert_null(rig->store->pending);
	assert_false(store_checkpoint_refused(rig->store));
	assert_int_equal(add_small(rig, 1), RESULT_SPACE);
	assert_true(store_checkpoint_refused(rig->store));
	assert_int_equal(count_events(rig), 2000);

	limit_map(rig->store, 0);
	journal_rig_checkpoint(rig);
	limit_map(rig->store, 12);
	assert_int_equal(add_small(rig, 2000), RESULT_OK);
	assert_int_equal(store_checkpoint(rig->store), RESULT_SPACE);
	assert_true(store_checkpoint_refused(rig->store));
	assert_int_equal(count_events(rig), 4000);

	limit_map(rig->store, 0);
	assert_int_equal(add_small(rig, 1), RESULT_OK);
	journal_rig_checkpoint(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), 4001);

	limit_map(rig->store, 12);
	assert_int_equal(add_small(rig, 2000), RESULT_OK);
	assert_false(store_checkpoint_refused(rig->store));
	store_checkpoint_prepare(rig->store);
	assert_null(rig->store->pending);
	assert_true(store_checkpoint_refused(rig->store));
	assert_false(store_has_room(rig->store, 100));
	assert_int_equal(add_small(rig, 1), RESULT_SPACE);
	atomic_store(&rig->store->checkpoint_refused, false);
	assert_int_equal(store_checkpoint(rig->store), RESULT_SPACE);
	assert_true(store_checkpoint_refused(rig->store));
	assert_int_equal(count_events(rig), 6001);
	limit_map(rig->store, 0);
	assert_int_equal(add_small(rig, 1), RESULT_OK);
	journal_rig_checkpoint(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_EVENTS), 6002);
	journal_rig_reopen(rig);
	assert_int_equal(count_events(rig), 6002);
}

/* LMDB fails before a checkpoint, and not for lack of space: the store has failed, and who would
 * wait a second for space does not. */
static void test_lmdb_fails_before_a_checkpoint(void **state)
{
	struct journal_rig *rig = *state;
	MDB_txn *child;

	journal_rig_commit(rig, STORE_TAKE_OVER_ROWS);
	/* With a child its transaction takes nothing any more: MDB_BAD_TXN. */
	assert_int_equal(mdb_txn_begin(rig->store->env, rig->store->pending, 0, &child), 0);
	store_checkpoint_prepare(rig->store);
	assert_null(rig->store->pending);
	assert_true(rig->store->failed);
	assert_false(store_checkpoint_refused(rig->store));
	assert_true(store_checkpoint_wanted(rig->store));
	assert_int_equal(store_checkpoint(rig->store), RESULT_DISK);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* ---- LMDB's meta page fails ---------------------------------------------------------------- */

/* A commit over two segments that LMDB has an error for, although it is on the disk: nothing is
 * touched of what it may speak of. */
static void fail_meta(struct journal_rig *rig, bool disk_is_full)
{
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	journal_rig_checkpoint(rig);
	store_write_begin(&txn, rig->store);
	put(&txn, STORE_DEAD, 1);
	add(rig, &txn, 5);
	fault.meta = META_ON_DISK_WITH_EIO;
	fault.disk_is_full = disk_is_full;
	assert_int_equal(store_write_commit(&txn), RESULT_DISK);
	assert_int_equal(fault.meta, META_FAILS);
	fault.meta = META_FINE;
	fault.disk_is_full = false;
	store_write_begin(&txn, rig->store);
	assert_int_equal(txn.result, RESULT_DISK);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_DEAD), 1);
	journal_rig_assert_events(rig, 1);
}

static void test_a_meta_page_with_an_error_on_disk(void **state)
{
	fail_meta(*state, false);
}

/* Nor is it taken for a lack of space. */
static void test_a_meta_page_with_an_error_on_a_full_disk(void **state)
{
	fail_meta(*state, true);
}

/* ---- The kernel has no more ---------------------------------------------------------------- */

/* Segments to go on in, not in use. */
static void make_free_segments(struct journal_rig *rig)
{
	struct store_txn txn;
	uint64_t next = rig->next;

	store_write_begin(&txn, rig->store);
	add(rig, &txn, 30);
	store_write_abort(&txn);
	rig->next = next;
}

static void test_no_descriptor_at_a_change_of_segment(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	make_free_segments(rig);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	store_write_begin(&txn, rig->store);
	fault.opens_to_fail = 1;
	add(rig, &txn, 3);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	fault.opens_to_fail = 0;
	journal_rig_commit(rig, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

static uint32_t ready_spares(struct journal_spares *spares)
{
	pthread_mutex_lock(&spares->lock);
	uint32_t count = spares->ready_count;
	uint64_t refused_at = spares->refused_at;
	pthread_mutex_unlock(&spares->lock);
	assert_int_equal(refused_at, 0);
	return count;
}

/* A spare is there but cannot be opened, while the helper is at the next one: the batch finds no
 * space, and no file is made beside the helper's. The spare is used when it can be. */
static void test_no_descriptor_for_a_spare(void **state)
{
	struct journal_rig *rig = *state;
	struct journal *journal = &rig->store->journal;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_start_helper(journal, -1);
	assert_true(journal->spares.running);
	journal_want_spares(journal);
	while (ready_spares(&journal->spares) == 0) sched_yield();
	uint32_t count = journal->segment_count;
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	fault.opens_to_fail = 1;
	add(rig, &txn, 30);
	assert_int_equal(fault.opens_to_fail, 0);
	assert_int_equal(store_write_commit(&txn), RESULT_SPACE);
	assert_int_equal(journal->segment_count, count);
	assert_true(ready_spares(&journal->spares) > 0);

	rig->next = next;
	journal_rig_commit(rig, 30);
	assert_true(journal->segment_count > count);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

static void make_spares(struct journal_rig *rig)
{
	struct journal *journal = &rig->store->journal;

	journal_rig_commit(rig, 1);
	assert_int_equal(journal->segment_count, 1);
	journal_start_helper(journal, -1);
	journal_want_spares(journal);
	while (ready_spares(&journal->spares) < JOURNAL_SPARES) sched_yield();
}

/* While zeros are written to a spare, commits write the segment in use and then the next spare:
 * neither has its inode in the same block. */
static void test_spares_have_no_neighbours(void **state)
{
	fault.new_inode = 1;
	make_spares(*state);
	/* The first block is that of the segment in use, and for the other three spares the second
	 * one that of the first. */
	assert_int_equal(fault.files_aside,
		JOURNAL_INODES_PER_BLOCK + 3 * 2 * JOURNAL_INODES_PER_BLOCK);
}

static bool is_there(const struct journal_rig *rig, const char *name)
{
	char path[FOLDER_PATH_SIZE];
	struct stat status;

	folder_path(path, rig->folder, name);
	return stat(path, &status) == 0;
}

static void leave(const struct journal_rig *rig, const char *name)
{
	int fd = openat(rig->store->folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* All inodes are in one block: one of them it is, and the others are given back. */
static void test_spares_with_neighbours(void **state)
{
	struct journal_rig *rig = *state;

	fault.same_inode = true;
	make_spares(rig);
	assert_int_equal(fault.files_aside, JOURNAL_SPARES * JOURNAL_INODES_ASIDE_MAX);
	for (unsigned i = 0; i < JOURNAL_INODES_ASIDE_MAX; i++) {
		char name[JOURNAL_FILE_NAME_SIZE];
		snprintf(name, sizeof name, JOURNAL_ASIDE_PREFIX "%u", i);
		assert_false(is_there(rig, name));
	}
}

/* The file system has no inode for one more than two: without those that are held it does. */
static void test_no_inode_to_hold(void **state)
{
	struct journal_rig *rig = *state;

	fault.same_inode = true;
	fault.refused_new_open = 3;
	make_spares(rig);
	assert_int_equal(fault.refused_new_open, 0);
	assert_int_equal(fault.files_aside, 2 + (JOURNAL_SPARES - 1) * JOURNAL_INODES_ASIDE_MAX);
	assert_false(is_there(rig, JOURNAL_ASIDE_PREFIX "0"));
	assert_false(is_there(rig, JOURNAL_ASIDE_PREFIX "1"));
}

/* No file can get another name: each spare is made at once, where its inode happens to be. */
static void test_no_name_to_hold_an_inode(void **state)
{
	fault.same_inode = true;
	fault.refuses_aside = true;
	make_spares(*state);
	assert_int_equal(fault.files_aside, JOURNAL_SPARES);
}

/* What a kill has left of files that were being made is removed at the next start. */
static void test_no_unfinished_file_stays(void **state)
{
	static const char *const names[] = { JOURNAL_NEW_NAME, JOURNAL_NOW_NAME,
		JOURNAL_ASIDE_PREFIX "0", JOURNAL_ASIDE_PREFIX "31" };
	struct journal_rig *rig = *state;

	journal_rig_commit(rig, 1);
	for (unsigned i = 0; i < ARRAY_COUNT(names); i++) leave(rig, names[i]);
	journal_rig_reopen(rig);
	for (unsigned i = 0; i < ARRAY_COUNT(names); i++) assert_false(is_there(rig, names[i]));
	journal_rig_assert_events(rig, 1);
}

/* No memory to map a new segment: that batch finds no space, the next one is on the disk. */
static void test_a_segment_cannot_be_mapped(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	fault.maps_to_fail = 1;
	add(rig, &txn, 3);
	assert_int_equal(fault.maps_to_fail, 0);
	assert_int_equal(store_write_commit(&txn), RESULT_SPACE);
	rig->next = next;
	journal_rig_commit(rig, 3);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* The writer's thread must not allocate, and has to write zeros where there is no fallocate(). */
static void test_a_file_system_without_fallocate(void **state)
{
	struct journal_rig *rig = *state;

	fault.fallocate_errno = EOPNOTSUPP;
	alloc_thread_is_hot();
	for (unsigned i = 0; i < 30; i++) journal_rig_commit(rig, 2);
	alloc_thread_is_cold();
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_space_comes_back_within_a_batch),
		TEST(test_space_comes_back_with_the_next_batch),
		TEST(test_no_space_to_write_in_the_journal),
		TEST(test_no_space_to_write_in_a_new_segment),
		TEST(test_no_space_to_give_a_segment_back),
		TEST(test_no_space_at_the_end_of_a_segment),
		TEST(test_a_refused_commit_is_asked_for_again),
		TEST(test_no_space_for_places),
		TEST(test_lmdb_fails_before_a_checkpoint),
		TEST(test_a_meta_page_with_an_error_on_disk),
		TEST(test_a_meta_page_with_an_error_on_a_full_disk),
		TEST(test_no_descriptor_at_a_change_of_segment),
		TEST(test_no_descriptor_for_a_spare),
		TEST(test_spares_have_no_neighbours),
		TEST(test_spares_with_neighbours),
		TEST(test_no_inode_to_hold),
		TEST(test_no_name_to_hold_an_inode),
		TEST(test_no_unfinished_file_stays),
		TEST(test_a_segment_cannot_be_mapped),
		TEST(test_a_file_system_without_fallocate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

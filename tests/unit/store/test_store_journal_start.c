/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts on a journal as a kill, a loss of power or rot leave it: what was acknowledged is there,
 * or the store says that it is not and is not opened.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

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

static void read_journal(const struct journal_rig *rig, uint32_t file, uint8_t *ret)
{
	char path[FOLDER_PATH_SIZE];

	memset(ret, 0, JOURNAL_SEGMENT_SIZE_MIN);
	journal_rig_path(rig, file, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return;
	assert_int_equal(pread(fd, ret, JOURNAL_SEGMENT_SIZE_MIN, 0), JOURNAL_SEGMENT_SIZE_MIN);
	close(fd);
}

static void write_file(const char *path, const uint8_t *bytes, size_t size, off_t offset)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(syscall(SYS_pwrite64, fd, bytes, size, offset), size);
	close(fd);
}

static void write_journal(const struct journal_rig *rig, uint32_t file, const uint8_t *bytes)
{
	char path[FOLDER_PATH_SIZE];
	journal_rig_path(rig, file, path);
	write_file(path, bytes, JOURNAL_SEGMENT_SIZE_MIN, 0);
}

/* Another process opens the store and does `work`, in which a fault must kill it. */
static void in_killed_process(struct journal_rig *rig, void (*work)(struct journal_rig *rig))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (journal_rig_open(rig) != RESULT_OK) _exit(1);
		work(rig);
		_exit(2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), KILLED);
}

/* ---- Killed, started again, and then the power fails --------------------------------------- */

static void commit_unflushed(struct journal_rig *rig)
{
	fault.killing_sync = 1;
	journal_rig_commit(rig, 1);
}

/* What the start has done again is on disk before LMDB says so. */
static void test_what_was_not_flushed_is_flushed_at_start(void **state)
{
	struct journal_rig *rig = *state;
	static uint8_t flushed[JOURNAL_SEGMENT_SIZE_MIN];

	journal_rig_commit(rig, 1);
	journal_rig_crash(rig);
	read_journal(rig, 0, flushed);
	in_killed_process(rig, commit_unflushed);
	fault.journal_syncs = 0;
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	rig->next = 3;
	journal_rig_assert_events(rig, 1);
	journal_rig_crash(rig);
	if (fault.journal_syncs == 0) write_journal(rig, 0, flushed);
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal_rig_assert_events(rig, 1);
}

/* The same, with the batch in a segment that it was the first in. */
static void test_a_new_segment_is_flushed_at_start(void **state)
{
	struct journal_rig *rig = *state;
	static uint8_t flushed[2][JOURNAL_SEGMENT_SIZE_MIN];

	journal_rig_commit(rig, 1);
	journal_rig_fill_segment(rig);
	journal_rig_crash(rig);
	for (uint32_t i = 0; i < 2; i++) read_journal(rig, i, flushed[i]);
	in_killed_process(rig, commit_unflushed);
	fault.journal_syncs = 0;
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	rig->next = 3;
	journal_rig_assert_events(rig, 1);
	journal_rig_crash(rig);
	if (fault.journal_syncs == 0) {
		for (uint32_t i = 0; i < 2; i++) write_journal(rig, i, flushed[i]);
	}
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal_rig_assert_events(rig, 1);
}

enum { META_PAGES_SIZE = 2 * 4096 };

static void checkpoint_unflushed(struct journal_rig *rig)
{
	struct store_txn txn;

	store_write_begin(&txn, rig->store);
	put(&txn, STORE_DEAD, 1);
	add(rig, &txn, 1);
	fault.meta = META_KILLS;
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

/* Nor does the journal go on behind what only LMDB says is part of it, before that is on disk. */
static void test_a_meta_page_that_was_not_flushed(void **state)
{
	struct journal_rig *rig = *state;
	uint8_t flushed[META_PAGES_SIZE];
	char path[FOLDER_PATH_SIZE];

	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	journal_rig_crash(rig);
	folder_path(path, rig->folder, "data.mdb");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, flushed, sizeof flushed, 0), sizeof flushed);
	close(fd);
	in_killed_process(rig, checkpoint_unflushed);
	fault.data_syncs = 0;
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	rig->next = 3;
	journal_rig_assert_events(rig, 1);
	journal_rig_commit(rig, 1);
	journal_rig_crash(rig);
	if (fault.data_syncs == 0) write_file(path, flushed, sizeof flushed, 0);
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal_rig_assert_events(rig, 1);
}

/* ---- Headers and numbers ------------------------------------------------------------------- */

/* A segment that is kept while so many others come and go that a number could come again. */
static void test_a_segment_older_than_all_numbers(void **state)
{
	struct journal_rig *rig = *state;
	struct journal *journal = &rig->store->journal;

	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	journal->current = NULL;
	journal->before = NULL;
	journal->position = (uint64_t)JOURNAL_SEGMENTS_MAX * journal->segment_size +
		2 * JOURNAL_PAGE_SIZE;
	journal_rig_checkpoint(rig);
	journal_rig_commit(rig, 1);
	assert_int_equal(journal->position / journal->segment_size, JOURNAL_SEGMENTS_MAX + 1);
	journal_rig_checkpoint(rig);
	journal_rig_assert_events(rig, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

enum { SECOND_COPY = JOURNAL_HEADER_SIZE / 2, NUMBER = 10 };

/* A header is there twice. */
static void test_a_header_rots(void **state)
{
	struct journal_rig *rig = *state;
	uint64_t segment = 2 * (uint64_t)rig->store->journal.segment_size;

	journal_rig_checkpoint(rig);
	for (unsigned i = 0; i < 60; i++) journal_rig_commit(rig, 1);
	assert_true(rig->store->journal.current->number >= 3);
	journal_rig_change_byte(rig, segment + NUMBER);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* With neither copy the segment is not taken for a free one, nor for the end of the journal. */
static void test_both_copies_of_a_header_rot(void **state)
{
	struct journal_rig *rig = *state;
	uint64_t segment = 2 * (uint64_t)rig->store->journal.segment_size;

	journal_rig_checkpoint(rig);
	for (unsigned i = 0; i < 60; i++) journal_rig_commit(rig, 1);
	journal_rig_change_byte(rig, segment + NUMBER);
	journal_rig_change_byte(rig, segment + SECOND_COPY + NUMBER);
	journal_rig_crash(rig);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "journal-1 of the store has a damaged header"));
}

static void test_two_files_of_one_number(void **state)
{
	struct journal_rig *rig = *state;
	static uint8_t image[JOURNAL_SEGMENT_SIZE_MIN];

	journal_rig_commit(rig, 1);
	journal_rig_crash(rig);
	read_journal(rig, 0, image);
	write_journal(rig, 1, image);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "has the same number as another file"));
}

static void test_a_journal_without_its_data(void **state)
{
	struct journal_rig *rig = *state;
	char path[FOLDER_PATH_SIZE];

	journal_rig_commit(rig, 1);
	journal_rig_crash(rig);
	folder_path(path, rig->folder, "data.mdb");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(journal_rig_open(rig), RESULT_MALFORMED);
	assert_non_null(strstr(rig->error, "is there without its data.mdb"));
}

/* ---- Batches that are not whole ------------------------------------------------------------ */

enum { PAIR_ROWS = 4, SECTOR = JOURNAL_SECTOR_SIZE };

/* BEGIN and the first row fill one sector, the others two each. */
static void put_pair(struct journal_rig *rig, uint8_t what)
{
	struct store_txn txn;
	uint8_t memory[2 * SECTOR];
	const size_t head_size = JOURNAL_RECORD_HEAD_SIZE + 8;

	memset(memory, what, sizeof memory);
	store_write_begin(&txn, rig->store);
	for (unsigned i = 0; i < PAIR_ROWS; i++) {
		size_t size = i == 0 ? SECTOR - 2 * head_size : 2 * SECTOR - head_size;
		struct bytes value = bytes_of(memory, size);
		store_put(&txn, STORE_ATTEMPTS, journal_rig_key(i), &value, 1);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

/* Two batches of the same number and shape at the same place: of the first all reached the disk but
 * its COMMIT, of the second all but what the first has. Together they are none. */
static void test_two_batches_do_not_make_one(void **state)
{
	struct journal_rig *rig = *state;
	static uint8_t first[16 * 1024];
	static const uint8_t zeros[SECTOR];
	char path[FOLDER_PATH_SIZE];

	journal_rig_commit(rig, 1);
	uint64_t position = rig->store->journal.position;
	off_t offset = (off_t)(position % rig->store->journal.segment_size);
	put_pair(rig, 'A');
	uint64_t end_position = rig->store->journal.position;
	size_t size = (size_t)(end_position - position);
	journal_rig_path(rig, 0, path);
	write_file(path, zeros, SECTOR, offset + (off_t)size - SECTOR);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, first, size, offset), size);
	close(fd);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 0);
	put_pair(rig, 'B');
	assert_int_equal(rig->store->journal.position, end_position);
	size_t missing_size = 4 * (size_t)SECTOR;
	write_file(path, first + SECTOR, missing_size, offset + SECTOR);
	journal_rig_reopen(rig);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), 0);
	journal_rig_assert_events(rig, 1);
}

/* The first batch of a new store, over several segments: there is none to go back to. */
static void test_the_first_batch_is_given_up(void **state)
{
	struct journal_rig *rig = *state;
	const struct journal *journal = &rig->store->journal;
	struct store_txn txn;
	unsigned in_use_count = 0;

	store_write_begin(&txn, rig->store);
	add(rig, &txn, 50);
	store_write_abort(&txn);
	rig->next = 1;
	journal_rig_commit(rig, 1);
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		in_use_count += journal->segments[i].number != 0;
	}
	assert_int_equal(in_use_count, 1);
	assert_int_equal(journal->current->number, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* The number of a segment that was given up cannot be taken out of it: then nothing is written any
 * more, or it would be there twice. */
static void test_a_segment_cannot_be_given_back(void **state)
{
	struct journal_rig *rig = *state;
	const struct journal *journal = &rig->store->journal;
	struct store_txn txn;
	uint64_t first = 1;

	while (journal->current == NULL || journal->current->number < 3) journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	journal_rig_checkpoint(rig);
	journal_rig_delete_below(rig, &first, 25);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	add(rig, &txn, 25);
	assert_int_equal(journal->current->number, 5);
	fault.wipe_fails = true;
	store_write_abort(&txn);
	fault.wipe_fails = false;
	rig->next = next;
	store_write_begin(&txn, rig->store);
	assert_int_equal(txn.result, RESULT_DISK);
	store_write_abort(&txn);
	journal_rig_reopen(rig);
	for (unsigned i = 0; i < 30; i++) journal_rig_commit(rig, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, first);
}

static void begin_a_segment(struct journal_rig *rig)
{
	struct store_txn txn;

	store_write_begin(&txn, rig->store);
	/* The first one is of the old segment. */
	fault.killing_sync = 2;
	add(rig, &txn, 25);
	store_write_abort(&txn);
}

/* A segment that a batch had begun when the process was killed gives its number to another file
 * after the start: the first has it no more. */
static void test_a_number_comes_again_in_another_file(void **state)
{
	struct journal_rig *rig = *state;
	const struct journal *journal = &rig->store->journal;
	uint64_t first = 1;
	uint64_t ends[4] = { 0 }; /* by number: behind the last event in the segment */

	do {
		journal_rig_commit(rig, 1);
		ends[journal->current->number] = rig->next;
	} while (journal->current->number < 3);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	uint64_t second = ends[1];
	journal_rig_delete_below(rig, &second, ends[2]);
	journal_rig_checkpoint(rig);
	assert_int_equal(journal->segments[1].number, 0);
	journal_rig_crash(rig);
	in_killed_process(rig, begin_a_segment);
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal = &rig->store->journal;
	journal_rig_delete_below(rig, &first, ends[1]);
	journal_rig_checkpoint(rig);
	while (journal->current->number < 4) journal_rig_commit(rig, 1);
	assert_int_equal(journal->current->file, 0);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, ends[2]);
}

/* Nor is the store opened when that cannot be done. */
static void test_a_begun_segment_cannot_be_given_back(void **state)
{
	struct journal_rig *rig = *state;

	journal_rig_commit(rig, 1);
	journal_rig_approach_end(rig, 2 * JOURNAL_RIG_VALUE_SIZE);
	journal_rig_crash(rig);
	in_killed_process(rig, begin_a_segment);
	fault.wipe_fails = true;
	assert_int_equal(journal_rig_open(rig), RESULT_DISK);
	assert_non_null(strstr(rig->error, "the journal of the store cannot be written"));
	fault.wipe_fails = false;
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal_rig_assert_events(rig, 1);
}

/* ---- Time ---------------------------------------------------------------------------------- */

static uint64_t cpu_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What a segment held before are payloads that look like heads of large records: hashing each would
 * be 64 GiB. */
static void test_a_start_is_not_made_slow(void **state)
{
	struct journal_rig *rig = *state;
	char path[FOLDER_PATH_SIZE];

	journal_rig_renew(rig, UINT64_C(256) << 20);
	journal_rig_commit(rig, 1);
	uint32_t size = rig->store->journal.segment_size;
	uint64_t position = rig->store->journal.position;
	journal_rig_crash(rig);
	journal_rig_path(rig, 0, path);
	for (uint32_t at = (uint32_t)(position % size); at + SECTOR < size; at += SECTOR) {
		uint8_t sector[SECTOR] = { 0 };
		uint32_t record_size = size - at;
		memcpy(sector + 8, &record_size, sizeof record_size);
		sector[12] = JOURNAL_PUT;
		write_file(path, sector, sizeof sector, at);
	}
	uint64_t before_ms = cpu_ms();
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	assert_true(cpu_ms() - before_ms < 2000);
	journal_rig_assert_events(rig, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_not_flushed_is_flushed_at_start),
		TEST(test_a_new_segment_is_flushed_at_start),
		TEST(test_a_meta_page_that_was_not_flushed),
		TEST(test_a_segment_older_than_all_numbers),
		TEST(test_a_header_rots),
		TEST(test_both_copies_of_a_header_rot),
		TEST(test_two_files_of_one_number),
		TEST(test_a_journal_without_its_data),
		TEST(test_two_batches_do_not_make_one),
		TEST(test_the_first_batch_is_given_up),
		TEST(test_a_segment_cannot_be_given_back),
		TEST(test_a_number_comes_again_in_another_file),
		TEST(test_a_begun_segment_cannot_be_given_back),
		TEST(test_a_start_is_not_made_slow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

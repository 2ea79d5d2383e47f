/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes past the page cache, on a file system that has them: all of the journal's are such, and
 * one that is refused is made again through the cache, and loses nothing.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Whether the kernel says that pages will do. */
static bool takes_pages(const struct journal_rig *rig)
{
	struct statx found;
	char path[FOLDER_PATH_SIZE];

	journal_rig_path(rig, rig->store->journal.current->file, path);
	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_DIOALIGN, &found), 0);
	if ((found.stx_mask & STATX_DIOALIGN) == 0) return false;
	if (found.stx_dio_offset_align == 0 || found.stx_dio_mem_align == 0) return false;
	return JOURNAL_PAGE_SIZE % found.stx_dio_offset_align == 0 &&
		JOURNAL_PAGE_SIZE % found.stx_dio_mem_align == 0;
}

static void skip_without(struct journal_rig *rig)
{
	journal_rig_commit(rig, 1);
	if (takes_pages(rig)) return;
	print_message("%s takes no direct writes\n", rig->folder);
	skip();
}

static bool journal_is_direct(const struct journal_rig *rig)
{
	return is_direct(rig->store->journal.current->fd);
}

/* Batches of every kind: small, over a segment's end, larger than what is kept in memory, given up,
 * and LMDB's own. */
static void write_all_kinds(struct journal_rig *rig, unsigned round)
{
	struct store_txn txn;
	struct bytes row = BYTES_LITERAL("waits");

	journal_rig_commit(rig, 0);
	journal_rig_commit(rig, round % 4);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	for (unsigned i = 0; i < 30; i++) journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	store_write_abort(&txn);
	rig->next = next;
	journal_rig_commit(rig, 30);
	store_write_begin(&txn, rig->store);
	store_put(&txn, STORE_DEAD, journal_rig_key(rig->next), &row, 1);
	journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

static void test_all_writes_are_direct(void **state)
{
	struct journal_rig *rig = *state;
	uint64_t first = 1;

	skip_without(rig);
	for (unsigned i = 0; i < 12; i++) {
		write_all_kinds(rig, i);
		assert_true(journal_is_direct(rig));
		assert_int_equal(fault.kernel_refusals, 0);
		journal_rig_assert_events(rig, first);
		if (i % 5 == 4) journal_rig_reopen(rig);
		journal_rig_delete_below(rig, &first, rig->next - 5);
		journal_rig_checkpoint(rig);
	}
	assert_true(fault.direct_writes > 12 * 5);
}

/* Without a checkpoint in between, what does not fit into the tail goes through another buffer. */
static void test_a_full_tail_is_written_direct(void **state)
{
	struct journal_rig *rig = *state;

	skip_without(rig);
	journal_rig_renew(rig, UINT64_C(256) << 20);
	while (rig->store->journal.buffer != rig->store->journal.scratch) {
		journal_rig_commit(rig, 3);
	}
	for (unsigned i = 0; i < 5; i++) {
		journal_rig_commit(rig, 3);
		journal_rig_commit(rig, 0);
	}
	assert_int_equal(fault.kernel_refusals, 0);
	assert_true(journal_is_direct(rig));
}

/* A story with that fault in its n-th direct write; whether it came to that. */
static bool write_with_fault(struct journal_rig *rig, unsigned *which, unsigned nth)
{
	journal_rig_renew(rig, rig->config.quota_size);
	rig->next = 1;
	journal_rig_commit(rig, 1);
	*which = nth;
	write_all_kinds(rig, 2);
	bool came = *which == 0;
	*which = 0;
	journal_rig_assert_events(rig, 1);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_DEAD), 1);
	return came;
}

static void test_a_refused_write_loses_nothing(void **state)
{
	struct journal_rig *rig = *state;
	unsigned nth = 1;

	skip_without(rig);
	while (write_with_fault(rig, &fault.refused_direct_write, nth)) nth++;
	assert_true(nth > 5);
	assert_int_equal(fault.kernel_refusals, 0);
}

/* That file is written through the cache from then on, the next one is not. */
static void test_a_refused_write_ends_direct_writes_of_its_file(void **state)
{
	struct journal_rig *rig = *state;

	skip_without(rig);
	fault.refused_direct_write = 1;
	journal_rig_commit(rig, 1);
	assert_false(journal_is_direct(rig));
	unsigned direct_writes = fault.direct_writes;
	journal_rig_commit(rig, 1);
	assert_int_equal(fault.direct_writes, direct_writes);
	journal_rig_fill_segment(rig);
	journal_rig_commit(rig, 1);
	assert_true(journal_is_direct(rig));
	assert_true(fault.direct_writes > direct_writes);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* What is left of it is no whole number of sectors: the kernel itself refuses that. */
static void test_a_write_that_is_cut_off_loses_nothing(void **state)
{
	struct journal_rig *rig = *state;
	unsigned nth = 1;

	skip_without(rig);
	while (write_with_fault(rig, &fault.cut_direct_write, nth)) nth++;
	assert_true(nth > 5);
	assert_int_equal(fault.kernel_refusals, nth - 1);
}

/* Refused through the cache, too, is an end, and not tried for ever. */
static void test_a_write_that_is_always_refused(void **state)
{
	struct journal_rig *rig = *state;
	struct store_txn txn;

	skip_without(rig);
	uint64_t next = rig->next;
	store_write_begin(&txn, rig->store);
	journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	fault.refuses_all = true;
	assert_int_equal(store_write_commit(&txn), RESULT_DISK);
	fault.refuses_all = false;
	rig->next = next;
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

/* Not in memory, as other tests: where this program is, unless somebody says otherwise. */
static void choose_file_system(void)
{
	char path[PATH_MAX];

	ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
	CHECK(size > 0);
	path[size] = '\0';
	*strrchr(path, '/') = '\0';
	CHECK(setenv("TMPDIR", path, 0) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_writes_are_direct),
		TEST(test_a_full_tail_is_written_direct),
		TEST(test_a_refused_write_loses_nothing),
		TEST(test_a_refused_write_ends_direct_writes_of_its_file),
		TEST(test_a_write_that_is_cut_off_loses_nothing),
		TEST(test_a_write_that_is_always_refused),
	};
	choose_file_system();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

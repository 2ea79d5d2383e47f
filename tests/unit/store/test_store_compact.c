/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compacting a store: it is smaller and has the same rows, and wherever it is cut off the next one
 * who opens it finds all of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/journal_rig.h"
#include "store/store_compact.h"

enum { KILLED = 9, ROWS = 3000, ROW_SIZE = 2000, ROWS_LEFT = 30, EVENTS = 5 };

/* What goes wrong; all zeros: nothing. */
static struct {
	bool counting;
	unsigned killing_step;  /* the n-th write, flush, removal or renaming from now: before it */
	unsigned failing_write; /* the n-th from now has ENOSPC */
	uint64_t disk_free_pages;
} fault;

static void step(void)
{
	if (fault.counting && fault.killing_step > 0 && --fault.killing_step == 0) _exit(KILLED);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	if (fd > STDERR_FILENO) step();
	if (fd > STDERR_FILENO && fault.failing_write > 0 && --fault.failing_write == 0) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, bytes, size);
}

int fsync(int fd)
{
	step();
	return (int)syscall(SYS_fsync, fd);
}

int unlinkat(int fd, const char *name, int flags)
{
	step();
	return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int renameat(int old_fd, const char *old_name, int new_fd, const char *new_name)
{
	step();
	return (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, 0);
}

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	uint64_t pages = fault.disk_free_pages != 0 ? fault.disk_free_pages : 1 << 20;
	*ret = (struct statvfs){ .f_frsize = 4096, .f_bavail = pages };
	return 0;
}

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

/* Rows that were there and are deleted again, a few that stay, events, and a batch that only the
 * journal has. Closed. */
static void fill(struct journal_rig *rig)
{
	static const uint8_t row[ROW_SIZE] = { 1 };
	struct bytes value = bytes_of(row, sizeof row);
	struct store_txn txn;

	store_write_begin(&txn, rig->store);
	for (uint64_t i = 0; i < ROWS; i++) {
		store_put(&txn, STORE_ATTEMPTS, journal_rig_key(i), &value, 1);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	journal_rig_checkpoint(rig);
	store_write_begin(&txn, rig->store);
	for (uint64_t i = ROWS_LEFT; i < ROWS; i++) {
		store_delete(&txn, STORE_ATTEMPTS, journal_rig_key(i));
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	journal_rig_checkpoint(rig);
	journal_rig_commit(rig, EVENTS);
	journal_rig_crash(rig);
}

/* LMDB has all from here on. */
static void open_and_close(struct journal_rig *rig)
{
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	journal_rig_crash(rig);
}

static uint64_t file_size(const struct journal_rig *rig, const char *name)
{
	char path[FOLDER_PATH_SIZE];
	struct stat status;
	folder_path(path, rig->folder, name);
	return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* Opens it; all is there and more can be added. */
static void assert_whole(struct journal_rig *rig)
{
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
	assert_int_equal(file_size(rig, STORE_COMPACT_NAME), 0);
	journal_rig_assert_events(rig, 1);
	assert_int_equal(journal_rig_row_count(rig, STORE_ATTEMPTS), ROWS_LEFT);
	journal_rig_commit(rig, 1);
	journal_rig_checkpoint(rig);
	journal_rig_reopen(rig);
	journal_rig_assert_events(rig, 1);
}

static enum result compact(struct journal_rig *rig, struct store_compact_report *ret)
{
	return store_compact(&rig->config, ret, rig->error, sizeof rig->error);
}

static void test_it_is_smaller_and_has_the_same_rows(void **state)
{
	struct journal_rig *rig = *state;
	struct store_compact_report report;

	fill(rig);
	uint64_t size = file_size(rig, "data.mdb");
	assert_true(size > (uint64_t)ROWS * ROW_SIZE);
	assert_int_equal(compact(rig, &report), RESULT_OK);
	assert_true(report.size_before >= size);
	assert_int_equal(report.size_after, file_size(rig, "data.mdb"));
	assert_true(report.size_after < size / 10);
	assert_whole(rig);

	journal_rig_crash(rig);
	assert_int_equal(compact(rig, &report), RESULT_OK); /* once more */
	assert_whole(rig);
}

static void test_an_open_one_is_left_alone(void **state)
{
	struct journal_rig *rig = *state;
	struct store_compact_report report = { .size_after = 7 };

	assert_int_equal(compact(rig, &report), RESULT_BUSY);
	assert_non_null(strstr(rig->error, "open in another process"));
	assert_int_equal(report.size_after, 7);
}

static void test_it_says_how_much_space_is_missing(void **state)
{
	struct journal_rig *rig = *state;
	struct store_compact_report report;

	fill(rig);
	open_and_close(rig);
	uint64_t size = file_size(rig, "data.mdb");
	fault.disk_free_pages = 3;
	assert_int_equal(compact(rig, &report), RESULT_SPACE);
	assert_non_null(strstr(rig->error, "the copy needs "));
	assert_non_null(strstr(rig->error, " bytes and the file system has 12288 free"));
	fault.disk_free_pages = 0;
	assert_true(file_size(rig, "data.mdb") >= size);
	assert_whole(rig);
}

static void test_a_full_disk_leaves_the_old_file(void **state)
{
	struct journal_rig *rig = *state;
	struct store_compact_report report;

	fill(rig);
	open_and_close(rig);
	uint64_t size = file_size(rig, "data.mdb");
	fault.failing_write = 1;
	assert_int_equal(compact(rig, &report), RESULT_SPACE);
	assert_int_equal(fault.failing_write, 0);
	assert_int_equal(file_size(rig, STORE_COMPACT_NAME), 0);
	assert_int_equal(file_size(rig, "data.mdb"), size);
	assert_whole(rig);
}

/* True: it was killed in its n-th step. */
static bool kill_in_step(struct journal_rig *rig, unsigned number)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct store_compact_report report;
		fault.counting = true;
		fault.killing_step = number;
		_exit(compact(rig, &report) == RESULT_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 0) return false;
	assert_int_equal(WEXITSTATUS(status), KILLED);
	return true;
}

static void test_killed_anywhere_it_is_whole(void **state)
{
	struct journal_rig *rig = *state;
	bool left_a_copy = false;
	unsigned number = 1;

	fill(rig);
	for (; kill_in_step(rig, number); number++) {
		left_a_copy |= file_size(rig, STORE_COMPACT_NAME) > 0;
		assert_whole(rig);
		journal_rig_crash(rig);
	}
	/* Opening's two flushes and its removal, a write, a flush, a removal, the renaming, a
	 * flush. */
	assert_true(number > 8);
	assert_true(left_a_copy);
	assert_whole(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_it_is_smaller_and_has_the_same_rows, begin,
			end),
		cmocka_unit_test_setup_teardown(test_an_open_one_is_left_alone, begin, end),
		cmocka_unit_test_setup_teardown(test_it_says_how_much_space_is_missing, begin, end),
		cmocka_unit_test_setup_teardown(test_a_full_disk_leaves_the_old_file, begin, end),
		cmocka_unit_test_setup_teardown(test_killed_anywhere_it_is_whole, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

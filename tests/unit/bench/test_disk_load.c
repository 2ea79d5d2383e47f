/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk is kept busy within bounds, and nothing is left behind on it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/folder.h"

/* The programs' own sources are in no library. */
#include "../../../bench/disk_load.c"

static struct disk_load load;
static cpu_set_t cpus;

static unsigned entry_count(const char *path)
{
	unsigned count = 0;
	DIR *folder = opendir(path);

	assert_non_null(folder);
	while (readdir(folder) != NULL) count++;
	closedir(folder);
	return count - 2; /* . and .. */
}

static uint64_t file_size(void)
{
	struct stat status;
	assert_int_equal(fstat(load.fd, &status), 0);
	return (uint64_t)status.st_size;
}

static void wait_for_flushes(uint64_t count)
{
	uint64_t until = load.flush_count + count;
	while (load.flush_count < until) sched_yield();
}

static void test_it_writes_within_its_bounds(void **state)
{
	char folder[FOLDER_PATH_SIZE];

	(void)state;
	folder_make(folder);
	assert_int_equal(disk_load_open(&load, folder, &cpus, 1), RESULT_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(disk_load_begin(&load), RESULT_OK);
		/* Once round, and on. */
		wait_for_flushes(DISK_LOAD_FILE_SIZE / DISK_LOAD_BLOCK_SIZE + 10);
		assert_int_equal(file_size(), DISK_LOAD_FILE_SIZE);
		assert_int_equal(entry_count(folder), 0);
		disk_load_end(&load);
		join(&load);
		assert_int_equal(file_size(), 0);
		uint64_t flush_count = load.flush_count;
		sched_yield();
		assert_int_equal(load.flush_count, flush_count);
	}
	disk_load_close(&load);
	folder_remove(folder);
}

/* Closed while it writes, and closed twice. */
static void test_it_ends_when_it_is_closed(void **state)
{
	char folder[FOLDER_PATH_SIZE];

	(void)state;
	folder_make(folder);
	assert_int_equal(disk_load_open(&load, folder, &cpus, 1), RESULT_OK);
	assert_int_equal(disk_load_begin(&load), RESULT_OK);
	wait_for_flushes(1);
	disk_load_close(&load);
	disk_load_close(&load);
	assert_int_equal(entry_count(folder), 0);
	folder_remove(folder);
}

static void test_a_folder_that_takes_no_file(void **state)
{
	(void)state;
	assert_int_equal(disk_load_open(&load, "/nonexistent", &cpus, 1), RESULT_KERNEL);
	assert_int_equal(errno, ENOENT);
	disk_load_close(&load);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_writes_within_its_bounds),
		cmocka_unit_test(test_it_ends_when_it_is_closed),
		cmocka_unit_test(test_a_folder_that_takes_no_file),
	};
	CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk is full, and the journal has segments of its own to go on in while LMDB's file cannot
 * grow: ingest is refused before LMDB is, so that what is there can be settled, and taken back at a
 * start.
 *
 * The system calls of the store are caught here: the program's own functions of these names come
 * before libc's.
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
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "lib/world.h"
#include "store/store_internal.h"

enum {
	TARGET = 5,
	PAST_EVENTS = 200,
	PAST_PAYLOAD_SIZE = 140000,
	PAYLOAD_SIZE = 40,
	EVENTS_MAX = 60000,
	RETRIES = 1000,
	POLL_US = 10000,
};

/* ---- The full disk ------------------------------------------------------------------------- */

static bool disk_is_full;

/* Whether a write would make LMDB's file longer. */
static bool grows(int fd, off_t end)
{
	char link[64];
	char path[FOLDER_PATH_SIZE];
	struct stat status;

	if (!disk_is_full || fstat(fd, &status) != 0 || end <= status.st_size) return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(link, path, sizeof path - 1);
	if (size < 0) return false;
	path[size] = '\0';
	return strstr(path, "/data.mdb") != NULL;
}

static int no_space(void)
{
	errno = ENOSPC;
	return -1;
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	if (disk_is_full) return no_space();
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){ .f_frsize = 4096, .f_bavail = disk_is_full ? 0 : 1 << 20 };
	return 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (grows(fd, offset + (off_t)size)) return no_space();
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	off_t end = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);

	for (int i = 0; i < part_count; i++) end += (off_t)parts[i].iov_len;
	if (grows(fd, end)) return no_space();
	return syscall(SYS_writev, fd, parts, part_count);
}

/* ---- The test ------------------------------------------------------------------------------ */

/* Large events that came and went: their segments are free, LMDB's file is small. */
static void live_a_past(struct world *world)
{
	for (unsigned i = 0; i < PAST_EVENTS; i++) {
		assert_int_equal(world_append(world, PAST_PAYLOAD_SIZE, 1, TARGET), RESULT_OK);
	}
	world_deliver_all(world, TARGET, 1, PAST_EVENTS);
	for (unsigned i = 0; i < 60; i++) {
		world->now_us += 2 * US_PER_S;
		shard_expire(world->shard, (wall_t){ world->now_us });
		world_run(world);
	}
	assert_int_equal(store_writer_flush(shard_writer(world->shard)), RESULT_OK);
	assert_int_equal(shard_counters(world->shard).events_expired, PAST_EVENTS);
}

/* Small events: some, and when the disk is full as many as are taken. How many there are. */
static uint64_t fill(struct world *world)
{
	struct store *store = shard_store(world->shard);
	uint64_t accepted = 0;

	for (; accepted < RETRIES; accepted++) {
		assert_int_equal(world_append(world, PAYLOAD_SIZE, 1, TARGET), RESULT_OK);
	}
	disk_is_full = true;
	/* Asked once a second. */
	while (store_space(store).disk_free_size > 0) usleep(POLL_US);
	while (world_append(world, PAYLOAD_SIZE, 1, TARGET) == RESULT_OK) {
		accepted++;
		assert_true(accepted < EVENTS_MAX);
		assert_false(store_checkpoint_refused(store));
	}
	assert_false(store_checkpoint_refused(store));
	return accepted;
}

static void retry_some(struct world *world)
{
	for (unsigned i = 0; i < RETRIES; i++) {
		struct delivery *delivery;
		while ((delivery = queue_lease(world->queue, TARGET)) == NULL) world_run(world);
		world_settle(world, delivery, ATTEMPT_RETRY, world->now_us + 3600 * US_PER_S);
		if (i % 16 == 0) world_run(world);
	}
	world_run(world);
	assert_int_equal(queue_usage(world->queue).settling, 0);
	assert_int_equal(shard_counters(world->shard).attempts, PAST_EVENTS + RETRIES);
	assert_int_equal(world->failed, RESULT_OK);
}

static void test_ingest_is_refused_before_lmdb_is(void **state)
{
	struct world world = { 0 };

	(void)state;
	log_set_level(LOG_ERROR);
	world.config.store.quota_size = UINT64_C(64) << 20;
	world.config.retention_us = US_PER_S;
	world_open(&world);
	live_a_past(&world);
	uint64_t accepted = fill(&world);
	retry_some(&world);
	world_reopen(&world);
	assert_int_equal(shard_counters(world.shard).next_sequence, PAST_EVENTS + accepted + 1);
	assert_int_equal(world_row_count(&world, STORE_EVENTS), accepted);
	disk_is_full = false;
	while (store_space(shard_store(world.shard)).disk_free_size == 0) usleep(POLL_US);
	assert_int_equal(world_append(&world, PAYLOAD_SIZE, 1, TARGET), RESULT_OK);
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ingest_is_refused_before_lmdb_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk fails at the n-th write or sync, for every n, or is full: what was acknowledged is
 * there after a restart, and what could not be written was not acknowledged.
 *
 * LMDB's system calls are caught here: the program's own functions of these names come before
 * libc's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "lib/world.h"

/* ---- The failing disk ---------------------------------------------------------------------- */

enum fault { FAULT_NONE, FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT };

static struct {
	enum fault fault;
	unsigned countdown; /* the call that fails; 0: none */
	bool stays;         /* and all after it */
	unsigned calls;     /* since the disk was armed */
	bool no_fallocate;
	bool full_fallocate;
} disk;

static void disk_arm(enum fault fault, unsigned nth, bool stays)
{
	disk.fault = fault;
	disk.countdown = nth;
	disk.stays = stays;
	disk.calls = 0;
}

static enum fault disk_call(void)
{
	disk.calls++;
	if (disk.fault == FAULT_NONE || disk.countdown == 0) return FAULT_NONE;
	bool hit = disk.stays ? disk.calls >= disk.countdown : disk.calls == disk.countdown;
	return hit ? disk.fault : FAULT_NONE;
}

static ssize_t disk_error(enum fault fault)
{
	errno = fault == FAULT_ENOSPC ? ENOSPC : EIO;
	return -1;
}

/* Declared by libc; defined again here on purpose. */
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	enum fault fault = disk_call();
	if (fault == FAULT_SHORT) size = size / 2;
	if (fault == FAULT_EIO || fault == FAULT_ENOSPC) return disk_error(fault);
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	enum fault fault = disk_call();
	if (fault == FAULT_SHORT) part_count = (part_count + 1) / 2;
	if (fault == FAULT_EIO || fault == FAULT_ENOSPC) return disk_error(fault);
	return syscall(SYS_writev, fd, parts, part_count);
}

int fdatasync(int fd)
{
	enum fault fault = disk_call();
	if (fault == FAULT_EIO || fault == FAULT_ENOSPC) return (int)disk_error(fault);
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	if (disk.no_fallocate || disk.full_fallocate) {
		errno = disk.no_fallocate ? EOPNOTSUPP : ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

/* ---- Helpers ------------------------------------------------------------------------------- */

/* All of 1 … last are there with their payload, and the log agrees. */
static void assert_events(struct world *world, uint64_t last, size_t payload_size)
{
	static uint8_t expected[WORLD_PAYLOAD_SIZE_MAX];
	struct store_txn txn = { 0 };
	struct audit_report report;

	shard_read_begin(world->shard, &txn);
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		struct event event;
		struct bytes part;
		assert_int_equal(shard_event_read(&txn, sequence, &event), RESULT_OK);
		assert_int_equal(event.payload_size, payload_size);
		world_payload(sequence, expected, payload_size);
		for (size_t at = 0; at < payload_size; at += part.size) {
			assert_int_equal(shard_payload_read(&txn, &event, at, &part), RESULT_OK);
			assert_true(part.size > 0 && at + part.size <= payload_size);
			assert_memory_equal(part.data, expected + at, part.size);
		}
	}
	store_read_done(&txn);
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
	world_check_ledger(world);
	assert_int_equal(report.expired_count, 0);
}

static int begin(void **state)
{
	(void)state;
	memset(&disk, 0, sizeof disk);
	log_set_level(LOG_ERROR);
	return 0;
}

/* ---- Tests --------------------------------------------------------------------------------- */

enum { EVENTS = 6, PAYLOAD_SIZE = 5000 };

/* One run with the n-th call failing; returns whether n was beyond the last call. */
static bool run_with_fault(enum fault fault, unsigned nth, bool stays)
{
	struct world world = { 0 };
	uint64_t acked = 0;
	bool stopped = false;

	world_open(&world);
	assert_int_equal(world_append(&world, PAYLOAD_SIZE, 1, 5), RESULT_OK);
	acked = 1;
	disk_arm(fault, nth, stays);
	for (unsigned i = 0; i < EVENTS; i++) {
		enum result result = world_append(&world, PAYLOAD_SIZE, 1, 5);
		if (result == RESULT_OK) {
			assert_false(stopped);
			acked++;
			/* Something to settle in the next commits. */
			queue_work(world.queue, (wall_t){ world.now_us });
			world_settle(&world, world_lease(&world, 5), ATTEMPT_RETRY,
				world.now_us + 1);
			continue;
		}
		/* The one that meets the error may be told of a lack of space: LMDB gives up only
		 * with the transaction after a failed meta page. */
		if (stopped) assert_int_equal(result, RESULT_DISK);
		if (world.failed == RESULT_OK) assert_int_equal(result, RESULT_SPACE);
		stopped = world.failed != RESULT_OK;
	}
	bool beyond = disk.calls < nth;
	if (beyond) assert_int_equal(acked, 1 + EVENTS);
	if (fault != FAULT_ENOSPC && !beyond) assert_true(stopped);

	disk_arm(FAULT_NONE, 0, false);
	world_reopen(&world);
	struct shard_counters counters = shard_counters(world.shard);
	assert_true(counters.next_sequence - 1 >= acked);
	assert_true(counters.next_sequence - 1 <= 1 + EVENTS);
	assert_events(&world, counters.next_sequence - 1, PAYLOAD_SIZE);
	assert_int_equal(world_append(&world, PAYLOAD_SIZE, 1, 5), RESULT_OK);
	world_end(&world);
	return beyond;
}

static void run_all(enum fault fault, bool stays)
{
	unsigned nth = 1;
	while (!run_with_fault(fault, nth, stays)) nth++;
	/* A commit is at least a write, a sync and the meta page. */
	assert_true(nth > 3 * EVENTS);
}

static void test_nth_call_fails_with_eio(void **state)
{
	(void)state;
	run_all(FAULT_EIO, false);
}

static void test_all_calls_from_the_nth_fail_with_eio(void **state)
{
	(void)state;
	run_all(FAULT_EIO, true);
}

static void test_nth_call_finds_no_space(void **state)
{
	(void)state;
	run_all(FAULT_ENOSPC, false);
}

static void test_all_calls_from_the_nth_find_no_space(void **state)
{
	(void)state;
	run_all(FAULT_ENOSPC, true);
}

/* A sync cannot be cut short, so those calls pass. */
static void test_nth_write_is_cut_short(void **state)
{
	(void)state;
	for (unsigned nth = 1; nth < 40; nth++) {
		struct world world = { 0 };
		world_open(&world);
		disk_arm(FAULT_SHORT, nth, false);
		uint64_t acked = 0;
		for (unsigned i = 0; i < EVENTS; i++) {
			acked += world_append(&world, PAYLOAD_SIZE, 1, 5) == RESULT_OK;
		}
		assert_true(world.failed == RESULT_OK ? acked == EVENTS : acked < EVENTS);
		disk_arm(FAULT_NONE, 0, false);
		world_reopen(&world);
		assert_true(shard_counters(world.shard).next_sequence - 1 >= acked);
		assert_events(&world, shard_counters(world.shard).next_sequence - 1, PAYLOAD_SIZE);
		world_end(&world);
	}
}

/* After an error every job fails, the owner hears of it once, and reading goes on. */
static void test_an_error_stops_the_shard(void **state)
{
	(void)state;
	struct world world = { 0 };
	world_open(&world);
	assert_int_equal(world_append(&world, 100, 1, 5), RESULT_OK);
	world_settle(&world, world_lease(&world, 5), ATTEMPT_DELIVERED, 0);
	disk_arm(FAULT_EIO, 1, false);
	assert_int_equal(world_append(&world, 100, 1, 5), RESULT_DISK);
	assert_int_equal(world.failed, RESULT_DISK);
	disk_arm(FAULT_NONE, 0, false);
	assert_int_equal(world_append(&world, 100, 1, 5), RESULT_DISK);
	assert_int_equal(world_remember_name(world.shard, 't', 5, "five"), RESULT_DISK);
	assert_events(&world, 1, 100);
	assert_int_equal(shard_counters(world.shard).deliveries_delivered, 0);
	world_run(&world);
	assert_int_equal(queue_usage(world.queue).settling, 1);
	world_reopen(&world);
	assert_int_equal(shard_counters(world.shard).next_sequence, 2);
	world_run(&world);
	assert_int_equal(world_deliver(&world, 5), 1); /* at least once */
	world_end(&world);
}

/* The part of a child's work that runs on a small disk. Exits 0 when nothing was lost. */
static void fill_and_drain(const char *folder, uint64_t quota_size)
{
	struct world world = { 0 };
	uint64_t acked = 0;
	bool full = false;

	world.config.store.shard = 7;
	world.config.cpu = -1;
	world.config.store.quota_size = quota_size;
	world.config.retention_us = 1;
	world.now_us = UINT64_C(1790000000000000);
	snprintf(world.folder, sizeof world.folder, "%s", folder);
	assert_int_equal(world_open_at(&world, folder), RESULT_OK);
	for (unsigned i = 0; i < 20000 && !full; i++) {
		enum result result = world_append(&world, PAYLOAD_SIZE, 1, 5);
		assert_true(result == RESULT_OK || result == RESULT_SPACE);
		if (result == RESULT_OK) acked++;
		full = result == RESULT_SPACE;
	}
	assert_true(full);
	assert_int_equal(world.failed, RESULT_OK);
	assert_events(&world, acked, PAYLOAD_SIZE);

	/* Settling goes on although it is full, and frees what lets ingest go on. */
	for (uint64_t i = 0; i < acked / 2; i++) {
		struct delivery *delivery;
		while ((delivery = queue_lease(world.queue, 5)) == NULL) world_run(&world);
		world_settle(&world, delivery, ATTEMPT_DELIVERED, 0);
		if (i % 16 == 0) world_run(&world);
	}
	world_run(&world);
	assert_int_equal(shard_counters(world.shard).deliveries_delivered, acked / 2);
	world.now_us += 10 * US_PER_S;
	for (unsigned i = 0; i < 400; i++) {
		shard_expire(world.shard, (wall_t){ world.now_us });
		world_run(&world);
	}
	assert_true(shard_counters(world.shard).events_expired > 0);
	assert_int_equal(world_append(&world, PAYLOAD_SIZE, 1, 5), RESULT_OK);
	world_close(&world);
}

/* In a child, because a mount or a limit stays. 77: not possible here. */
static int in_child(void (*work)(void))
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static char child_folder[FOLDER_PATH_SIZE];

static void small_file_system(void)
{
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(77);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(77);
	if (mount("none", child_folder, "tmpfs", 0, "size=24m") != 0) _exit(77);
}

static void full_file_system(void)
{
	char folder[FOLDER_PATH_SIZE];
	small_file_system();
	folder_path(folder, child_folder, "store");
	fill_and_drain(folder, 0);
}

/* Then LMDB finds out in the middle of its writes. */
static void full_file_system_without_fallocate(void)
{
	disk.no_fallocate = true;
	full_file_system();
}

static void limited_file_size(void)
{
	const struct rlimit limit = { .rlim_cur = 12 << 20, .rlim_max = 12 << 20 };
	char folder[FOLDER_PATH_SIZE];
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	folder_path(folder, child_folder, "store");
	fill_and_drain(folder, UINT64_C(32) << 20);
}

static void test_full_file_system(void **state)
{
	(void)state;
	folder_make(child_folder);
	int code = in_child(full_file_system);
	if (code != 77) assert_int_equal(code, 0);
	code = in_child(full_file_system_without_fallocate);
	if (code != 77) assert_int_equal(code, 0);
	folder_remove(child_folder);
	if (code == 77) skip();
}

static void test_limited_file_size(void **state)
{
	(void)state;
	folder_make(child_folder);
	assert_int_equal(in_child(limited_file_size), 0);
	folder_remove(child_folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nth_call_fails_with_eio, begin),
		cmocka_unit_test_setup(test_all_calls_from_the_nth_fail_with_eio, begin),
		cmocka_unit_test_setup(test_nth_call_finds_no_space, begin),
		cmocka_unit_test_setup(test_all_calls_from_the_nth_find_no_space, begin),
		cmocka_unit_test_setup(test_nth_write_is_cut_short, begin),
		cmocka_unit_test_setup(test_an_error_stops_the_shard, begin),
		cmocka_unit_test_setup(test_full_file_system, begin),
		cmocka_unit_test_setup(test_limited_file_size, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

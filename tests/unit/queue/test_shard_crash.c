/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power fails in the middle of a commit: whatever part of what was written since the last
 * sync has reached the disk, in whatever order, what was acknowledged is there, and a batch is
 * there as a whole or not at all.
 *
 * LMDB's writes and syncs are caught here: the program's own functions of these names come
 * before libc's. At every sync, and before every write of the meta page, images of the disk are
 * made: what was synced, and of the rest nothing, all, the first part, or random pages or
 * sectors. Each image is opened as after a restart.
 * usage: test_shard_crash [SEEDS [FIRST]]
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "lib/world.h"

enum {
	IMAGE_SIZE_MAX = 16 << 20,
	ARENA_SIZE = 16 << 20,
	WRITES_MAX = 4096,
	PAGE_SIZE = 4096,
	SECTOR_SIZE = 512,
	STEPS = 40,
	PAYLOAD_SIZE = 5000,
	TARGET = 5,
};

/* ---- The disk ------------------------------------------------------------------------------ */

struct disk_write {
	size_t offset;
	size_t size;
	const uint8_t *bytes; /* in the arena */
};

static struct {
	bool recording;
	uint8_t *durable;
	size_t durable_size;
	uint8_t *arena;
	size_t arena_used;
	struct disk_write writes[WRITES_MAX]; /* since the last sync */
	unsigned write_count;
	void (*crash)(void);
} disk;

static void disk_record(size_t offset, const void *bytes, size_t size)
{
	CHECK(disk.write_count < WRITES_MAX && disk.arena_used + size <= ARENA_SIZE);
	uint8_t *copy = disk.arena + disk.arena_used;
	memcpy(copy, bytes, size);
	disk.arena_used += size;
	disk.writes[disk.write_count++] = (struct disk_write){ offset, size, copy };
}

static void apply(uint8_t *image, size_t *image_size, const struct disk_write *write, size_t from,
	size_t size)
{
	CHECK(write->offset + from + size <= IMAGE_SIZE_MAX);
	memcpy(image + write->offset + from, write->bytes + from, size);
	if (write->offset + from + size > *image_size) *image_size = write->offset + from + size;
}

static void disk_sync(void)
{
	for (unsigned i = 0; i < disk.write_count; i++) {
		apply(disk.durable, &disk.durable_size, &disk.writes[i], 0, disk.writes[i].size);
	}
	disk.write_count = 0;
	disk.arena_used = 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (disk.recording) {
		bool synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
		disk_record((size_t)offset, bytes, size);
		if (synchronous) {
			disk.crash();
			disk_sync();
		}
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	if (disk.recording) {
		size_t offset = (size_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
		for (int i = 0; i < part_count; i++) {
			disk_record(offset, parts[i].iov_base, parts[i].iov_len);
			offset += parts[i].iov_len;
		}
	}
	return syscall(SYS_writev, fd, parts, part_count);
}

int fdatasync(int fd)
{
	if (disk.recording) {
		disk.crash();
		disk_sync();
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- Images -------------------------------------------------------------------------------- */

enum surviving { SURVIVES_NOTHING, SURVIVES_ALL, SURVIVES_START, SURVIVES_PAGES, SURVIVES_SECTORS };

static struct random chance;

/* The meta page is written as one sector, or not. */
static size_t grain_of(enum surviving surviving)
{
	return surviving == SURVIVES_SECTORS ? SECTOR_SIZE : PAGE_SIZE;
}

static void make_image(enum surviving surviving, uint8_t *image, size_t *image_size)
{
	uint64_t start_count = random_below(&chance, disk.write_count + 1);
	size_t grain = grain_of(surviving);

	memcpy(image, disk.durable, disk.durable_size);
	*image_size = disk.durable_size;
	if (surviving == SURVIVES_NOTHING) return;
	for (unsigned i = 0; i < disk.write_count; i++) {
		const struct disk_write *write = &disk.writes[i];
		if (surviving == SURVIVES_START && i >= start_count) break;
		for (size_t from = 0; from < write->size; from += grain) {
			size_t size = write->size - from < grain ? write->size - from : grain;
			bool some = surviving == SURVIVES_PAGES || surviving == SURVIVES_SECTORS;
			if (some && random_below(&chance, 2) == 0) continue;
			apply(image, image_size, write, from, size);
		}
	}
}

static void write_image(const char *folder, const uint8_t *image, size_t size)
{
	char path[FOLDER_PATH_SIZE];
	folder_path(path, folder, "data.mdb");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(syscall(SYS_pwrite64, fd, image, size, 0) == (long)size);
	close(fd);
}

/* ---- What was promised --------------------------------------------------------------------- */

static struct {
	struct world world;
	/* Acknowledged, and with the batch that is being committed. */
	uint64_t events;
	uint64_t events_with_batch;
	uint64_t settled;
	uint64_t settled_with_batch;
	unsigned images;
	unsigned images_with_batch;
} run;

static void assert_events(struct world *world, uint64_t last)
{
	static uint8_t expected[PAYLOAD_SIZE];
	struct store_txn txn = { 0 };
	struct audit_report report;

	store_read_begin(&txn, shard_store(world->shard));
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		struct event event;
		struct bytes part;
		assert_int_equal(shard_event_read(&txn, sequence, &event), RESULT_OK);
		world_payload(sequence, expected, PAYLOAD_SIZE);
		for (size_t at = 0; at < PAYLOAD_SIZE; at += part.size) {
			assert_int_equal(shard_payload_read(&txn, &event, at, &part), RESULT_OK);
			assert_true(part.size > 0);
			assert_memory_equal(part.data, expected + at, part.size);
		}
	}
	store_read_done(&txn);
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
}

static void check_image(enum surviving surviving)
{
	static uint8_t *image;
	static struct world world;
	size_t image_size;

	if (image == NULL) image = alloc_map(IMAGE_SIZE_MAX);
	make_image(surviving, image, &image_size);
	world = (struct world){ .config = run.world.config, .now_us = run.world.now_us };
	folder_make(world.folder);
	write_image(world.folder, image, image_size);
	assert_int_equal(world_open_at(&world, world.folder), RESULT_OK);

	struct shard_counters counters = shard_counters(world.shard);
	uint64_t events = counters.next_sequence - 1;
	bool batch = events == run.events_with_batch &&
		counters.deliveries_delivered == run.settled_with_batch;
	bool before = events == run.events && counters.deliveries_delivered == run.settled;
	assert_true(before || batch);
	assert_events(&world, events);
	/* What is not settled comes again, and it can go on. */
	world_run(&world);
	assert_int_equal(queue_usage(world.queue).ready, events - counters.deliveries_delivered);
	assert_int_equal(world_append(&world, 10, 1, TARGET), RESULT_OK);
	world_end(&world);
	run.images++;
	run.images_with_batch += batch && !before;
}

static void crash(void)
{
	disk.recording = false;
	for (enum surviving i = SURVIVES_NOTHING; i <= SURVIVES_SECTORS; i++) check_image(i);
	check_image(SURVIVES_PAGES);
	disk.recording = true;
}

/* ---- The run ------------------------------------------------------------------------------- */

enum { BATCH_MAX = 6 };

static void commit_batch(void)
{
	static uint8_t payloads[BATCH_MAX][PAYLOAD_SIZE];
	static struct shard_append appends[BATCH_MAX];
	struct world *world = &run.world;
	unsigned append_count = (unsigned)random_below(&chance, BATCH_MAX + 1);
	unsigned settle_count = (unsigned)random_below(&chance, BATCH_MAX);

	run.events_with_batch = run.events + append_count;
	run.settled_with_batch = run.settled;
	for (unsigned i = 0; i < append_count; i++) {
		world_payload(run.events + i + 1, payloads[i], PAYLOAD_SIZE);
		appends[i] = (struct shard_append){
			.job = { .complete = world_append_done },
			.event = {
				.received = { world->now_us },
				.target_count = 1,
				.target_ids = { TARGET },
			},
			.payload = bytes_of(payloads[i], PAYLOAD_SIZE),
			.identity = { run.events + i + 1, 1 },
			.replay_expires = { world->now_us + US_PER_S },
		};
		hash_sha256(appends[i].payload, appends[i].event.payload_sha256);
		shard_append_submit(world->shard, &appends[i]);
	}
	for (unsigned i = 0; i < settle_count; i++) {
		struct delivery *delivery = queue_lease(world->queue, TARGET);
		if (delivery == NULL) break;
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		run.settled_with_batch++;
	}
	store_writer_step(shard_writer(world->shard));
	run.events = run.events_with_batch;
	run.settled = run.settled_with_batch;
	for (unsigned i = 0; i < append_count; i++) {
		assert_int_equal(appends[i].job.result, RESULT_OK);
		queue_appended(world->queue, &appends[i].event);
	}
	queue_work(world->queue, (wall_t){ world->now_us });
}

static uint64_t seed_first = 1;
static uint64_t seed_count = 3;

static void begin_run(uint64_t seed)
{
	char path[FOLDER_PATH_SIZE];
	unsigned images = run.images;
	unsigned images_with_batch = run.images_with_batch;

	memset(&run, 0, sizeof run);
	run.images = images;
	run.images_with_batch = images_with_batch;
	chance.state = seed;
	world_open(&run.world);
	folder_path(path, run.world.folder, "data.mdb");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	ssize_t size = pread(fd, disk.durable, IMAGE_SIZE_MAX, 0);
	close(fd);
	CHECK(size > 0);
	disk.durable_size = (size_t)size;
	disk.write_count = 0;
	disk.arena_used = 0;
	disk.crash = crash;
}

static void test_power_fails_in_commits(void **state)
{
	(void)state;
	disk.durable = alloc_map(IMAGE_SIZE_MAX);
	disk.arena = alloc_map(ARENA_SIZE);
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		begin_run(seed);
		disk.recording = true;
		for (unsigned i = 0; i < STEPS; i++) commit_batch();
		disk.recording = false;
		assert_true(run.events > STEPS);
		world_end(&run.world);
	}
	print_message("%u images, %u of them with the batch\n", run.images, run.images_with_batch);
	/* Most of the meta page's images have it, no other may. */
	assert_true(run.images_with_batch > seed_count * STEPS);
	assert_true(run.images_with_batch < run.images / 2);
	alloc_unmap(disk.durable, IMAGE_SIZE_MAX);
	alloc_unmap(disk.arena, ARENA_SIZE);
}

int main(int argc, char **argv)
{
	if (argc > 1) seed_count = strtoull(argv[1], NULL, 10);
	if (argc > 2) seed_first = strtoull(argv[2], NULL, 10);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_fails_in_commits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

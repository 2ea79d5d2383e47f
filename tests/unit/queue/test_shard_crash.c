/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power fails in the middle of a commit: whatever part of what was written since the last
 * sync has reached the disk, in whatever order, what was acknowledged is there, and a batch is
 * there as a whole or not at all.
 *
 * The writes and syncs of LMDB and the journal are caught here: the program's own functions of
 * these names come before libc's. At every sync, and before every write of the meta page, images
 * of the disk are made: what was synced, and of the rest nothing, all, the first part, or random
 * pages or sectors. Each image is opened as after a restart. usage: test_shard_crash [SEEDS
 * [FIRST]]
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "lib/world.h"

enum {
	FILES_MAX = 4,
	IMAGE_SIZE_MAX = 4 << 20,
	ARENA_SIZE = 16 << 20,
	WRITES_MAX = 4096,
	PAGE_SIZE = 4096,
	SECTOR_SIZE = 512,
	STEPS = 40,
	PAYLOAD_SIZE = 5000,
	FILL_EVENTS = 16,
	FILL_PAYLOAD_SIZE = 55000,
	TARGET = 5,
};

/* ---- The disk ------------------------------------------------------------------------------ */

struct disk_file {
	char name[16];
	ino_t inode;
	uint8_t *durable;
	size_t durable_size;
};

struct disk_write {
	struct disk_file *file;
	size_t offset;
	size_t size;
	const uint8_t *bytes; /* in the arena */
};

static struct {
	bool recording;
	struct disk_file files[FILES_MAX];
	unsigned file_count;
	uint8_t *arena;
	size_t arena_used;
	struct disk_write writes[WRITES_MAX]; /* not synced, in their order */
	unsigned write_count;
	void (*crash)(void);
} disk;

/* What it has now is durable: a new file was synced by whoever made it. */
static struct disk_file *disk_file_of(int fd)
{
	char link[64];
	char path[256];
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	for (unsigned i = 0; i < disk.file_count; i++) {
		if (disk.files[i].inode == status.st_ino) return &disk.files[i];
	}
	CHECK(disk.file_count < FILES_MAX && status.st_size <= IMAGE_SIZE_MAX);
	struct disk_file *file = &disk.files[disk.file_count++];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(link, path, sizeof path - 1);
	CHECK(size > 0);
	path[size] = '\0';
	snprintf(file->name, sizeof file->name, "%.15s", strrchr(path, '/') + 1);
	file->inode = status.st_ino;
	file->durable_size = (size_t)status.st_size;
	if (file->durable == NULL) file->durable = alloc_map(IMAGE_SIZE_MAX);
	CHECK(pread(fd, file->durable, IMAGE_SIZE_MAX, 0) == status.st_size);
	return file;
}

static void disk_record(int fd, size_t offset, const void *bytes, size_t size)
{
	CHECK(disk.write_count < WRITES_MAX && disk.arena_used + size <= ARENA_SIZE);
	uint8_t *copy = disk.arena + disk.arena_used;
	memcpy(copy, bytes, size);
	disk.arena_used += size;
	disk.writes[disk.write_count++] =
		(struct disk_write){ disk_file_of(fd), offset, size, copy };
}

static void apply(uint8_t *image, size_t *image_size, const struct disk_write *write, size_t from,
	size_t size)
{
	CHECK(write->offset + from + size <= IMAGE_SIZE_MAX);
	memcpy(image + write->offset + from, write->bytes + from, size);
	if (write->offset + from + size > *image_size) *image_size = write->offset + from + size;
}

/* Only what was written to this file. */
static void disk_sync(struct disk_file *file)
{
	unsigned left = 0;
	for (unsigned i = 0; i < disk.write_count; i++) {
		struct disk_write *write = &disk.writes[i];
		if (write->file == file) {
			apply(file->durable, &file->durable_size, write, 0, write->size);
		} else {
			disk.writes[left++] = *write;
		}
	}
	disk.write_count = left;
	if (left == 0) disk.arena_used = 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (disk.recording) {
		bool synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
		disk_record(fd, (size_t)offset, bytes, size);
		if (synchronous) {
			disk.crash();
			disk_sync(disk_file_of(fd));
		}
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	if (disk.recording) {
		size_t offset = (size_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
		for (int i = 0; i < part_count; i++) {
			disk_record(fd, offset, parts[i].iov_base, parts[i].iov_len);
			offset += parts[i].iov_len;
		}
	}
	return syscall(SYS_writev, fd, parts, part_count);
}

int fdatasync(int fd)
{
	if (disk.recording) {
		disk.crash();
		disk_sync(disk_file_of(fd));
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

static void make_image(const struct disk_file *file, enum surviving surviving, uint64_t start_count,
	uint8_t *image, size_t *image_size)
{
	size_t grain = grain_of(surviving);

	memcpy(image, file->durable, file->durable_size);
	*image_size = file->durable_size;
	if (surviving == SURVIVES_NOTHING) return;
	for (unsigned i = 0; i < disk.write_count; i++) {
		const struct disk_write *write = &disk.writes[i];
		if (surviving == SURVIVES_START && i >= start_count) break;
		if (write->file != file) continue;
		for (size_t from = 0; from < write->size; from += grain) {
			size_t size = write->size - from < grain ? write->size - from : grain;
			bool some = surviving == SURVIVES_PAGES || surviving == SURVIVES_SECTORS;
			if (some && random_below(&chance, 2) == 0) continue;
			apply(image, image_size, write, from, size);
		}
	}
}

static void write_images(const char *folder, enum surviving surviving)
{
	static uint8_t *image;
	uint64_t start_count = random_below(&chance, disk.write_count + 1);
	char path[FOLDER_PATH_SIZE];
	size_t size;

	if (image == NULL) image = alloc_map(IMAGE_SIZE_MAX);
	for (unsigned i = 0; i < disk.file_count; i++) {
		make_image(&disk.files[i], surviving, start_count, image, &size);
		folder_path(path, folder, disk.files[i].name);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		CHECK(syscall(SYS_pwrite64, fd, image, size, 0) == (long)size);
		close(fd);
	}
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
	static uint8_t expected[FILL_PAYLOAD_SIZE];
	struct store_txn txn = { 0 };
	struct audit_report report;

	shard_read_begin(world->shard, &txn);
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		struct event event;
		struct bytes part;
		assert_int_equal(shard_event_read(&txn, sequence, &event), RESULT_OK);
		size_t size = sequence <= FILL_EVENTS ? FILL_PAYLOAD_SIZE : PAYLOAD_SIZE;
		assert_int_equal(event.payload_size, size);
		world_payload(sequence, expected, size);
		for (size_t at = 0; at < size; at += part.size) {
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
	static struct world world;

	world = (struct world){ .config = run.world.config, .now_us = run.world.now_us };
	folder_make(world.folder);
	write_images(world.folder, surviving);
	assert_int_equal(world_open_at(&world, world.folder), RESULT_OK);

	struct shard_counters counters = shard_counters(world.shard);
	uint64_t events = counters.next_sequence - 1;
	bool batch = events == run.events_with_batch && counters.attempts == run.settled_with_batch;
	bool before = events == run.events && counters.attempts == run.settled;
	assert_true(before || batch);
	assert_events(&world, events);
	/* What is not settled comes again, and it can go on. */
	world_run(&world);
	assert_int_equal(queue_usage(world.queue).ready, events - counters.attempts);
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
		/* A retry is a row that is read at once: then LMDB commits, not the journal. */
		bool retry = random_below(&chance, 8) == 0;
		world_settle(world, delivery, retry ? ATTEMPT_RETRY : ATTEMPT_DELIVERED,
			retry ? world->now_us + 3600 * US_PER_S : 0);
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

/* Up to near the end of the journal's first segment, so that the run goes on into the next. */
static void fill(void)
{
	while (run.events < FILL_EVENTS) {
		assert_int_equal(world_append(&run.world, FILL_PAYLOAD_SIZE, 1, TARGET), RESULT_OK);
		run.events++;
	}
}

static void begin_run(uint64_t seed)
{
	char path[FOLDER_PATH_SIZE];
	unsigned images = run.images;
	unsigned images_with_batch = run.images_with_batch;

	memset(&run, 0, sizeof run);
	run.images = images;
	run.images_with_batch = images_with_batch;
	chance.state = seed;
	run.world.config.store.quota_size = UINT64_C(32) << 20;
	world_open(&run.world);
	fill();
	disk.file_count = 0;
	disk.write_count = 0;
	disk.arena_used = 0;
	disk.crash = crash;
	for (unsigned i = 0; i < 2; i++) {
		folder_path(path, run.world.folder, i == 0 ? "data.mdb" : "journal-0");
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		CHECK(fd >= 0);
		disk_file_of(fd);
		close(fd);
	}
}

static void test_power_fails_in_commits(void **state)
{
	(void)state;
	disk.arena = alloc_map(ARENA_SIZE);
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		begin_run(seed);
		disk.recording = true;
		for (unsigned i = 0; i < STEPS; i++) commit_batch();
		disk.recording = false;
		assert_true(run.events > STEPS);
		assert_true(disk.file_count > 2);
		world_end(&run.world);
	}
	print_message("%u images, %u of them with the batch\n", run.images, run.images_with_batch);
	/* Of a commit to the journal the image with all that was written has it, and no other may;
	 * of LMDB's the most of those of its meta page. */
	assert_true(run.images_with_batch > seed_count * STEPS / 2);
	assert_true(run.images_with_batch < run.images / 2);
	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (disk.files[i].durable != NULL) {
			alloc_unmap(disk.files[i].durable, IMAGE_SIZE_MAX);
		}
	}
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

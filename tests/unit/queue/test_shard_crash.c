/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power fails in the middle of a commit: whatever part of what was written since the last
 * sync has reached the disk, in whatever order, what was acknowledged is there, and a batch is
 * there as a whole or not at all.
 *
 * The writes and syncs of LMDB and the journal are caught here: the program's own functions of
 * these names come before libc's. At every sync, and before every write of the meta page, images
 * of the disk are made: what was synced, and of the rest nothing, all, the first part, or random
 * pages or sectors. Each image is opened as after a restart.
 *
 * Now and then the process is only killed there, and started again on what the kernel has, before
 * the power fails: what was not synced then may still be lost later. And now and then a batch finds
 * no space in the middle, and is given up.
 *
 * usage: test_shard_crash [SEEDS [FIRST]]
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include "base/log.h"
#include "base/random.h"
#include "lib/world.h"
#include "store/store_internal.h"

enum {
	FILES_MAX = 12,
	IMAGE_SIZE_MAX = 4 << 20,
	ARENA_SIZE = 16 << 20,
	WRITES_MAX = 4096,
	PAGE_SIZE = 4096,
	SECTOR_SIZE = 512,
	STEPS = 32,
	PAYLOAD_SIZE = 5000,
	FILL_EVENTS = 16,
	LARGE_PAYLOAD_SIZE = 55000,
	LARGE_EVERY = 8,
	STEPS_PER_ABORT = 6,
	ABORTED_EVENTS = 40, /* more than two segments */
	CRASHES_PER_RESTART = 5,
	STEPS_OF_RESTART = 2,
	RETRIES_ARE = 6, /* one of so many */
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

struct disk {
	bool recording;
	struct disk_file files[FILES_MAX];
	unsigned file_count;
	uint8_t *arena;
	size_t arena_used;
	struct disk_write writes[WRITES_MAX]; /* not synced, in their order */
	unsigned write_count;
	void (*crash)(void);
};

/* Of the process, and of the one that is started when it is killed. */
static struct disk disks[2];
static struct disk *disk = &disks[0];
static unsigned segments_left = UINT_MAX; /* that the file system has space for */

/* What it has now is durable: a new file was synced by whoever made it. */
static struct disk_file *disk_file_of(int fd)
{
	char link[64];
	char path[256];
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	for (unsigned i = 0; i < disk->file_count; i++) {
		if (disk->files[i].inode == status.st_ino) return &disk->files[i];
	}
	CHECK(disk->file_count < FILES_MAX && status.st_size <= IMAGE_SIZE_MAX);
	struct disk_file *file = &disk->files[disk->file_count++];
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
	CHECK(disk->write_count < WRITES_MAX && disk->arena_used + size <= ARENA_SIZE);
	uint8_t *copy = disk->arena + disk->arena_used;
	memcpy(copy, bytes, size);
	disk->arena_used += size;
	disk->writes[disk->write_count++] =
		(struct disk_write){ disk_file_of(fd), offset, size, copy };
}

static void apply(uint8_t *image, size_t *image_size, const struct disk_write *write, size_t from,
	size_t size)
{
	CHECK(write->offset + from + size <= IMAGE_SIZE_MAX);
	memcpy(image + write->offset + from, write->bytes + from, size);
	if (write->offset + from + size > *image_size) *image_size = write->offset + from + size;
}

/* What was written to this file, from the given write on. */
static void disk_sync(struct disk_file *file, unsigned first)
{
	unsigned left = first;
	for (unsigned i = first; i < disk->write_count; i++) {
		struct disk_write *write = &disk->writes[i];
		if (write->file == file) {
			apply(file->durable, &file->durable_size, write, 0, write->size);
		} else {
			disk->writes[left++] = *write;
		}
	}
	disk->write_count = left;
	if (left == 0) disk->arena_used = 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (disk->recording) {
		bool synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
		disk_record(fd, (size_t)offset, bytes, size);
		if (synchronous) {
			disk->crash();
			disk_sync(disk_file_of(fd), disk->write_count - 1);
		}
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	if (disk->recording) {
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
	if (disk->recording) {
		disk->crash();
		disk_sync(disk_file_of(fd), 0);
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	/* LMDB's file grows from its end. */
	bool is_segment = offset == 0;
	if (is_segment && segments_left == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (is_segment) segments_left--;
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
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
	for (unsigned i = 0; i < disk->write_count; i++) {
		const struct disk_write *write = &disk->writes[i];
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
	uint64_t start_count = random_below(&chance, disk->write_count + 1);
	char path[FOLDER_PATH_SIZE];
	size_t size;

	if (image == NULL) image = alloc_map(IMAGE_SIZE_MAX);
	for (unsigned i = 0; i < disk->file_count; i++) {
		make_image(&disk->files[i], surviving, start_count, image, &size);
		folder_path(path, folder, disk->files[i].name);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		CHECK(syscall(SYS_pwrite64, fd, image, size, 0) == (long)size);
		close(fd);
	}
}

/* ---- What was promised --------------------------------------------------------------------- */

struct run {
	struct world world;
	/* Acknowledged, and with the batch that is being committed. */
	uint64_t events;
	uint64_t events_with_batch;
	uint64_t settled;
	uint64_t settled_with_batch;
};

static struct run runs[2];
static struct run *run = &runs[0];

static struct {
	unsigned images;
	unsigned images_with_batch;
	unsigned aborts;
	unsigned restarts;
	unsigned images_of_restarts;
} counted;

static size_t payload_size(uint64_t sequence)
{
	bool large = sequence <= FILL_EVENTS || sequence % LARGE_EVERY == 0;
	return large ? LARGE_PAYLOAD_SIZE : PAYLOAD_SIZE;
}

static void assert_events(struct world *world, uint64_t last)
{
	static uint8_t expected[LARGE_PAYLOAD_SIZE];
	struct store_txn txn = { 0 };
	struct audit_report report;

	shard_read_begin(world->shard, &txn);
	for (uint64_t sequence = 1; sequence <= last; sequence++) {
		struct event event;
		struct bytes part;
		assert_int_equal(shard_event_read(&txn, sequence, &event), RESULT_OK);
		size_t size = payload_size(sequence);
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

/* What a world shows is what was promised. Whether the batch is in it that was being committed. */
static bool shows_batch(struct world *world)
{
	struct shard_counters counters = shard_counters(world->shard);
	uint64_t events = counters.next_sequence - 1;
	bool before = events == run->events && counters.attempts == run->settled;
	bool batch = events == run->events_with_batch &&
		counters.attempts == run->settled_with_batch;
	assert_true(before || batch);
	assert_events(world, events);
	return batch && !before;
}

static void check_image(enum surviving surviving)
{
	static struct world world;

	world = (struct world){ .config = run->world.config, .now_us = run->world.now_us };
	folder_make(world.folder);
	write_images(world.folder, surviving);
	assert_int_equal(world_open_at(&world, world.folder), RESULT_OK);
	counted.images++;
	counted.images_with_batch += shows_batch(&world);
	/* What is not settled comes again, and it can go on. */
	world_run(&world);
	struct shard_counters counters = shard_counters(world.shard);
	assert_int_equal(queue_usage(world.queue).ready,
		counters.next_sequence - 1 - counters.attempts);
	assert_int_equal(world_append(&world, 10, 1, TARGET), RESULT_OK);
	world_end(&world);
}

static void check_images(const enum surviving *surviving, size_t count)
{
	unsigned left = segments_left;

	disk->recording = false;
	segments_left = UINT_MAX;
	for (size_t i = 0; i < count; i++) check_image(surviving[i]);
	segments_left = left;
	disk->recording = true;
}

static void check_few_images(void)
{
	static const enum surviving few[] = { SURVIVES_NOTHING, SURVIVES_PAGES, SURVIVES_SECTORS };
	check_images(few, ARRAY_COUNT(few));
}

/* ---- The run ------------------------------------------------------------------------------- */

enum { BATCH_MAX = 6 };

static void append_done(struct store_job *job)
{
	if (job->result != RESULT_OK) return;
	run->events = run->events_with_batch;
	run->settled = run->settled_with_batch;
}

static void submit(struct shard_append *append, struct bytes payload, struct hash128 identity)
{
	*append = (struct shard_append){
		.job = { .complete = append_done },
		.event = {
			.received = { run->world.now_us },
			.target_count = 1,
			.target_ids = { TARGET },
		},
		.payload = payload,
		.identity = identity,
		.replay_expires = { run->world.now_us + US_PER_S },
	};
	hash_sha256(append->payload, append->event.payload_sha256);
	shard_append_submit(run->world.shard, append);
}

static void settle_some(void)
{
	struct world *world = &run->world;
	unsigned count = (unsigned)random_below(&chance, BATCH_MAX);

	for (unsigned i = 0; i < count; i++) {
		struct delivery *delivery = queue_lease(world->queue, TARGET);
		if (delivery == NULL) break;
		/* A retry is a row that is read at once: then LMDB commits, not the journal. */
		bool retry = random_below(&chance, RETRIES_ARE) == 0;
		world_settle(world, delivery, retry ? ATTEMPT_RETRY : ATTEMPT_DELIVERED,
			retry ? world->now_us + 3600 * US_PER_S : 0);
		run->settled_with_batch++;
	}
}

static void commit_batch(void)
{
	static uint8_t payloads[2][BATCH_MAX][LARGE_PAYLOAD_SIZE];
	static struct shard_append appends[2][BATCH_MAX];
	struct world *world = &run->world;
	const size_t own = (size_t)(run - runs);
	unsigned append_count = (unsigned)random_below(&chance, BATCH_MAX + 1);

	run->events_with_batch = run->events + append_count;
	run->settled_with_batch = run->settled;
	for (unsigned i = 0; i < append_count; i++) {
		uint64_t sequence = run->events + i + 1;
		size_t size = payload_size(sequence);
		world_payload(sequence, payloads[own][i], size);
		submit(&appends[own][i], bytes_of(payloads[own][i], size),
			(struct hash128){ sequence, 1 });
	}
	settle_some();
	store_writer_step(shard_writer(world->shard));
	run->settled = run->settled_with_batch;
	for (unsigned i = 0; i < append_count; i++) {
		assert_int_equal(appends[own][i].job.result, RESULT_OK);
		queue_appended(world->queue, &appends[own][i].event);
	}
	assert_int_equal(run->events, run->events_with_batch);
	queue_work(world->queue, (wall_t){ world->now_us });
}

static bool has_free_segment(const struct journal *journal)
{
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		if (journal->segments[i].number == 0) return true;
	}
	return false;
}

/* Goes on into a segment and finds none to go on behind that. What is settled is done again without
 * the events. */
static void abort_batch(void)
{
	static uint8_t payload[LARGE_PAYLOAD_SIZE];
	static struct shard_append appends[2][ABORTED_EVENTS];
	struct journal *journal = &shard_store(run->world.shard)->journal;
	const size_t own = (size_t)(run - runs);
	unsigned refused = 0;

	run->events_with_batch = run->events;
	run->settled_with_batch = run->settled;
	for (unsigned i = 0; i < ABORTED_EVENTS; i++) {
		submit(&appends[own][i], bytes_of(payload, sizeof payload),
			(struct hash128){ counted.aborts * UINT64_C(1000) + i, 2 });
	}
	settle_some();
	segments_left = !has_free_segment(journal);
	store_writer_step(shard_writer(run->world.shard));
	segments_left = UINT_MAX;
	journal->extend_refused_at = 0; /* a second later */
	run->settled = run->settled_with_batch;
	for (unsigned i = 0; i < ABORTED_EVENTS; i++) {
		refused += appends[own][i].job.result == RESULT_SPACE;
	}
	assert_int_equal(refused, ABORTED_EVENTS);
	queue_work(run->world.queue, (wall_t){ run->world.now_us });
	counted.aborts++;
}

static void step(void)
{
	if (random_below(&chance, STEPS_PER_ABORT) == 0) {
		abort_batch();
	} else {
		commit_batch();
	}
}

/* ---- Killed, and started again ------------------------------------------------------------- */

/* The last write may have been cut short by it. */
static void cut_last_write(void)
{
	if (disk->write_count == 0 || random_below(&chance, 4) != 0) return;
	struct disk_write *last = &disk->writes[disk->write_count - 1];
	size_t page_count = (last->size + PAGE_SIZE - 1) / PAGE_SIZE;
	size_t size = random_below(&chance, page_count + 1) * PAGE_SIZE;
	if (size < last->size) last->size = size;
}

static void copy_disk(struct disk *to, const struct disk *from)
{
	to->file_count = from->file_count;
	for (unsigned i = 0; i < from->file_count; i++) {
		uint8_t *durable = to->files[i].durable;
		if (durable == NULL) durable = alloc_map(IMAGE_SIZE_MAX);
		memcpy(durable, from->files[i].durable, from->files[i].durable_size);
		to->files[i] = from->files[i];
		to->files[i].durable = durable;
	}
	memcpy(to->arena, from->arena, from->arena_used);
	to->arena_used = from->arena_used;
	to->write_count = from->write_count;
	for (unsigned i = 0; i < from->write_count; i++) {
		to->writes[i] = from->writes[i];
		to->writes[i].file = &to->files[from->writes[i].file - from->files];
		to->writes[i].bytes = to->arena + (from->writes[i].bytes - from->arena);
	}
}

/* The files as the kernel has them are those of the disk now. */
static void write_kernel_image(const char *folder)
{
	char path[FOLDER_PATH_SIZE];
	struct stat status;

	write_images(folder, SURVIVES_ALL);
	for (unsigned i = 0; i < disk->file_count; i++) {
		folder_path(path, folder, disk->files[i].name);
		CHECK(stat(path, &status) == 0);
		disk->files[i].inode = status.st_ino;
	}
}

static void start_again(void)
{
	struct world *world = &run->world;
	unsigned images = counted.images;

	*world = (struct world){ .config = runs[0].world.config, .now_us = runs[0].world.now_us };
	folder_make(world->folder);
	cut_last_write();
	write_kernel_image(world->folder);
	disk->recording = true;
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	/* What it shows it has promised. */
	if (shows_batch(world)) {
		run->events = run->events_with_batch;
		run->settled = run->settled_with_batch;
	}
	queue_work(world->queue, (wall_t){ world->now_us });
	for (unsigned i = 0; i < STEPS_OF_RESTART; i++) step();
	disk->recording = false;
	world_end(world);
	counted.restarts++;
	counted.images_of_restarts += counted.images - images;
}

static void restart(void)
{
	unsigned left = segments_left;

	disk->recording = false;
	segments_left = UINT_MAX;
	copy_disk(&disks[1], &disks[0]);
	runs[1] = runs[0];
	disk = &disks[1];
	run = &runs[1];
	start_again();
	disk = &disks[0];
	run = &runs[0];
	segments_left = left;
	disk->recording = true;
}

static void crash(void)
{
	static const enum surviving all[] = { SURVIVES_NOTHING, SURVIVES_ALL, SURVIVES_START,
		SURVIVES_PAGES, SURVIVES_PAGES, SURVIVES_SECTORS };

	check_images(all, ARRAY_COUNT(all));
	if (random_below(&chance, CRASHES_PER_RESTART) == 0) restart();
}

static uint64_t seed_first = 1;
static uint64_t seed_count = 2;

/* Up to near the end of the journal's first segment, so that the run goes on into the next. */
static void fill(void)
{
	while (run->events < FILL_EVENTS) {
		assert_int_equal(world_append(&run->world, LARGE_PAYLOAD_SIZE, 1, TARGET),
			RESULT_OK);
		run->events++;
	}
}

static void begin_run(uint64_t seed)
{
	char path[FOLDER_PATH_SIZE];

	memset(runs, 0, sizeof runs);
	chance.state = seed;
	run->world.config.store.quota_size = UINT64_C(32) << 20;
	world_open(&run->world);
	fill();
	disk->file_count = 0;
	disk->write_count = 0;
	disk->arena_used = 0;
	disk->crash = crash;
	disks[1].crash = check_few_images;
	for (unsigned i = 0; i < 2; i++) {
		folder_path(path, run->world.folder, i == 0 ? "data.mdb" : "journal-0");
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		CHECK(fd >= 0);
		disk_file_of(fd);
		close(fd);
	}
}

static void test_power_fails_in_commits(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	for (unsigned i = 0; i < 2; i++) disks[i].arena = alloc_map(ARENA_SIZE);
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		begin_run(seed);
		disk->recording = true;
		for (unsigned i = 0; i < STEPS; i++) step();
		disk->recording = false;
		assert_true(run->events > STEPS);
		assert_true(disk->file_count > 2);
		world_end(&run->world);
	}
	print_message("%u images, %u of them with the batch; %u batches given up; %u restarts, %u "
		      "images of them\n",
		counted.images, counted.images_with_batch, counted.aborts, counted.restarts,
		counted.images_of_restarts);
	/* Of a commit to the journal the image with all that was written has it, and no other may;
	 * of LMDB's the most of those of its meta page. */
	assert_true(counted.images_with_batch > seed_count * STEPS / 2);
	assert_true(counted.images_with_batch < counted.images / 2);
	assert_true(counted.aborts > seed_count && counted.restarts > seed_count);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < FILES_MAX; j++) {
			if (disks[i].files[j].durable == NULL) continue;
			alloc_unmap(disks[i].files[j].durable, IMAGE_SIZE_MAX);
		}
		alloc_unmap(disks[i].arena, ARENA_SIZE);
	}
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power fails in the middle of a commit: whatever part of what was written since the last
 * sync has reached the disk, in whatever order, what was acknowledged is there, and a batch is
 * there as a whole or not at all.
 *
 * At every sync of LMDB and the journal, and before every write of the meta page, images of the
 * disk are made (lib/crash_disk.h): what was synced, and of the rest nothing, all, the first part,
 * or random pages or sectors. Each image is opened as after a restart.
 *
 * Now and then the process is only killed there, and started again on what the kernel has, before
 * the power fails: what was not synced then may still be lost later. And now and then a batch finds
 * no space in the middle, and is given up.
 *
 * usage: test_shard_crash [SEEDS [FIRST]]
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "lib/crash_disk.h"
#include "lib/world.h"
#include "store/store_internal.h"

enum {
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
	world_check_ledger(world);
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever happens in whatever order, and wherever it is cut off: after a restart exactly those
 * deliveries are there that are not settled, each once, with the attempts it has had.
 *
 * A random run beside a model that knows only what was committed. Now and then the folder is
 * copied as it is on disk and opened: that is a restart after a crash at this point.
 * usage: test_queue_model [SEEDS [FIRST]]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "lib/world.h"

enum {
	TARGETS = 4,
	STEPS = 500,
	ENTRIES_MAX = STEPS * 3,
	HELD_MAX = 24,
	SUBMITTED_MAX = 256,
};

/* One (event, target). */
struct entry {
	uint64_t sequence;
	uint32_t target_id;
	enum delivery_state state;
	uint16_t number; /* of the coming attempt */
	uint16_t tries;
	uint64_t due_us;
	bool held;
	bool seen;
};

/* What will be true of an entry once the writer has committed. */
struct change {
	struct entry *entry;
	struct entry after;
};

struct run {
	struct random random;
	struct world world;
	struct entry entries[ENTRIES_MAX];
	unsigned entry_count;
	struct change submitted[SUBMITTED_MAX];
	unsigned submitted_count;
	struct delivery *held[HELD_MAX];
	unsigned held_count;
	uint64_t event_count;
	uint64_t attempt_count;
	uint64_t replay_count;
	bool lacks_space;   /* at times, in every other run */
	uint64_t latest_us; /* the clock goes back at times */
	unsigned copies;
	uint64_t deferred_rows_max;
};

static uint64_t seed_now;
static uint64_t seed_first = 1;
static uint64_t seed_count = 12;

static struct entry *entry_of(struct run *run, uint64_t sequence, uint32_t target_id)
{
	for (unsigned i = 0; i < run->entry_count; i++) {
		struct entry *entry = &run->entries[i];
		if (entry->sequence == sequence && entry->target_id == target_id) return entry;
	}
	fail_msg("unknown delivery");
	return NULL;
}

/* Of what was handed to the writer, what is on disk now: what found no space is tried again. */
static void committed(struct run *run)
{
	struct store_txn txn = { 0 };
	unsigned left = 0;

	shard_read_begin(run->world.shard, &txn);
	for (unsigned i = 0; i < run->submitted_count; i++) {
		const struct change *change = &run->submitted[i];
		struct attempt attempt;
		enum result result = shard_attempt_next(&txn, change->entry->sequence,
			change->entry->target_id, (uint16_t)(change->entry->number - 1), &attempt);
		if (result == RESULT_OK) {
			*change->entry = change->after;
			run->attempt_count++;
		} else {
			assert_true(run->lacks_space);
			run->submitted[left++] = *change;
		}
	}
	store_read_done(&txn);
	run->submitted_count = left;
}

static void commit(struct run *run)
{
	while (store_writer_step(shard_writer(run->world.shard)) > 0) continue;
	committed(run);
}

static enum result commit_or_no_space(void *owner, struct store_txn *txn)
{
	struct run *run = owner;
	if (random_below(&run->random, 5) != 0) return store_write_commit(txn);
	store_write_abort(txn);
	return RESULT_SPACE;
}

static struct entry *submit(struct run *run, struct entry *entry)
{
	assert_true(run->submitted_count < SUBMITTED_MAX);
	struct change *change = &run->submitted[run->submitted_count++];
	change->entry = entry;
	change->after = *entry;
	return &change->after;
}

/* ---- What may happen ----------------------------------------------------------------------- */

static void do_append(struct run *run)
{
	uint32_t targets[3];
	unsigned count = 0;
	uint32_t first = (uint32_t)random_below(&run->random, TARGETS);
	/* The first target gets the most. */
	if (random_below(&run->random, 2) == 0) first = 0;
	unsigned wanted = (unsigned)random_below(&run->random, 4);
	run->world.untold = random_below(&run->random, 10) == 0;
	for (; count < wanted && count < 3; count++) targets[count] = 1 + (first + count) % TARGETS;

	size_t size = random_below(&run->random, 8) == 0 ? 9000 : 20;
	enum result result =
		world_append(&run->world, size, count, targets[0], targets[1], targets[2]);
	committed(run);
	if (run->lacks_space && result == RESULT_SPACE) return;
	assert_int_equal(result, RESULT_OK);
	run->event_count++;
	for (unsigned i = 0; i < count; i++) {
		assert_true(run->entry_count < ENTRIES_MAX);
		run->entries[run->entry_count++] = (struct entry){
			.sequence = run->event_count,
			.target_id = targets[i],
			.state = DELIVERY_PENDING,
			.number = 1,
		};
	}
}

static void do_lease(struct run *run)
{
	if (run->held_count == HELD_MAX) return;
	uint32_t target_id = 1 + (uint32_t)random_below(&run->random, TARGETS);
	/* The first target is slow. */
	if (target_id == 1 && random_below(&run->random, 8) != 0) return;
	struct delivery *delivery = queue_lease(run->world.queue, target_id);
	if (delivery == NULL) return;

	struct entry *entry = entry_of(run, delivery->sequence, target_id);
	assert_false(entry->held);
	assert_true(entry->state == DELIVERY_PENDING || entry->state == DELIVERY_RETRY);
	assert_int_equal(delivery->attempt_number, entry->number);
	assert_int_equal(delivery->tries, entry->tries);
	assert_true(entry->due_us <= run->latest_us);
	entry->held = true;
	run->held[run->held_count++] = delivery;
}

static struct delivery *take_held(struct run *run)
{
	if (run->held_count == 0) return NULL;
	unsigned index = (unsigned)random_below(&run->random, run->held_count);
	struct delivery *delivery = run->held[index];
	run->held[index] = run->held[--run->held_count];
	return delivery;
}

static void do_settle(struct run *run)
{
	struct delivery *delivery = take_held(run);
	if (delivery == NULL) return;
	struct entry *entry = entry_of(run, delivery->sequence, delivery->target_id);
	uint64_t due_us = run->world.now_us + random_below(&run->random, 3) * US_PER_S;
	/* A clock that went back. */
	if (random_below(&run->random, 10) == 0) due_us -= 20 * US_PER_S;

	struct entry *after = submit(run, entry);
	after->held = false;
	after->number++;
	uint64_t pick = random_below(&run->random, 10);
	if (pick < 6) {
		after->state = DELIVERY_DELIVERED;
		world_settle(&run->world, delivery, ATTEMPT_DELIVERED, 0);
	} else if (pick < 9) {
		after->state = DELIVERY_RETRY;
		after->tries++;
		after->due_us = due_us;
		world_settle(&run->world, delivery, ATTEMPT_RETRY, due_us);
	} else {
		after->state = DELIVERY_DEAD;
		world_settle(&run->world, delivery, ATTEMPT_DEAD, 0);
	}
}

static void do_release(struct run *run)
{
	struct delivery *delivery = take_held(run);
	if (delivery == NULL) return;
	entry_of(run, delivery->sequence, delivery->target_id)->held = false;
	queue_release(run->world.queue, delivery);
}

static void replay_complete(struct store_job *job)
{
	CHECK(job->result == RESULT_OK || job->result == RESULT_SPACE);
}

static void do_replay(struct run *run)
{
	if (run->entry_count == 0) return;
	struct entry *entry = &run->entries[random_below(&run->random, run->entry_count)];
	commit(run);
	struct queue_dead_job job = {
		.job = { .complete = replay_complete },
		.sequence = entry->sequence,
		.target_id = entry->target_id,
		.now = { run->world.now_us },
		.actor = "model",
	};
	queue_dead_replay(run->world.queue, &job);
	commit(run);
	if (job.job.result != RESULT_OK) return;
	assert_int_equal(job.found, entry->state == DELIVERY_DEAD);
	if (!job.found) return;
	entry->state = DELIVERY_RETRY;
	entry->tries = 0;
	entry->due_us = run->world.now_us;
	run->replay_count++;
}

/* From within queue_work(), before it reads and while it does: writer and control do not wait. */
static void commit_meanwhile(void *owner, uint32_t target_id)
{
	struct run *run = CONTAINER_OF(owner, struct run, world);
	CHECK(target_id != 0);
	if (random_below(&run->random, 3) == 0) commit(run);
	if (random_below(&run->random, 10) == 0) do_replay(run);
}

static void open_run(struct run *run)
{
	run->world.queue->events.ready = commit_meanwhile;
	if (run->lacks_space) {
		store_writer_set_commit(shard_writer(run->world.shard), commit_or_no_space, run);
	}
}

/* One round. At times the last letters of the writer come too late for it, although all is on disk;
 * and at times it is told again what is ready, between collecting and reading. */
static void do_work(struct run *run)
{
	struct queue *queue = run->world.queue;
	struct mail *late = NULL;

	/* A dead letter that was replayed has become one by a letter that is in the box. */
	bool replayed = atomic_load(&queue->reschedule_us) != UINT64_MAX;
	if (!replayed && random_below(&run->random, 3) == 0) {
		struct mail *mail = mailbox_take_all(&queue->done);
		while (mail != NULL && random_below(&run->random, 3) != 0) {
			struct mail *next = mail->next;
			mailbox_push(&queue->done, mail);
			mail = next;
		}
		late = mail;
	}
	if (random_below(&run->random, 3) == 0) queue->announced = false;
	queue_work(queue, (wall_t){ run->world.now_us });
	/* What was committed meanwhile came after these. */
	struct mail *newest = mailbox_take_all(&queue->done);
	for (struct mail *next; late != NULL; late = next) {
		next = late->next;
		mailbox_push(&queue->done, late);
	}
	for (struct mail *next; newest != NULL; newest = next) {
		next = newest->next;
		mailbox_push(&queue->done, newest);
	}
}

static void do_pass_time(struct run *run)
{
	run->world.now_us += random_below(&run->random, 3 * US_PER_S);
	if (random_below(&run->random, 20) == 0) run->world.now_us -= 10 * US_PER_S;
	if (run->world.now_us > run->latest_us) run->latest_us = run->world.now_us;
}

/* ---- What must be true --------------------------------------------------------------------- */

static void assert_counters(struct run *run, struct world *world)
{
	struct shard_counters counters = shard_counters(world->shard);
	uint64_t delivered = 0;
	uint64_t dead = 0;
	for (unsigned i = 0; i < run->entry_count; i++) {
		delivered += run->entries[i].state == DELIVERY_DELIVERED;
		dead += run->entries[i].state == DELIVERY_DEAD;
	}
	assert_int_equal(counters.events_accepted, run->event_count);
	assert_int_equal(counters.deliveries_created, run->entry_count);
	assert_int_equal(counters.deliveries_delivered, delivered);
	assert_int_equal(counters.deliveries_dead, dead);
	assert_int_equal(counters.dead_replayed, run->replay_count);
	assert_int_equal(counters.attempts, run->attempt_count);
	assert_int_equal(counters.leaf_count,
		run->event_count + run->attempt_count + run->replay_count);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
	world_check_ledger(world);
}

static void assert_states(struct run *run, struct world *world)
{
	struct store_txn txn = { 0 };
	struct dead_letter letter = { 0 };
	shard_read_begin(world->shard, &txn);
	for (unsigned i = 0; i < run->entry_count; i++) {
		const struct entry *entry = &run->entries[i];
		assert_int_equal(shard_delivery_state(&txn, entry->sequence, entry->target_id),
			entry->state);
	}
	while (shard_dead_next(&txn, letter.sequence, letter.target_id, &letter) == RESULT_OK) {
		const struct entry *entry = entry_of(run, letter.sequence, letter.target_id);
		assert_int_equal(entry->state, DELIVERY_DEAD);
		assert_int_equal(letter.attempt_count, entry->number - 1);
	}
	store_read_done(&txn);
}

/* Opens the copy and leases all there is, far in the future. */
static void assert_restart(struct run *run)
{
	static struct world copy;
	char path[FOLDER_PATH_SIZE];
	unsigned waiting = 0;
	unsigned leased = 0;

	copy = (struct world){ .config = run->world.config };
	copy.now_us = run->world.now_us + 3600 * US_PER_S;
	int size = snprintf(path, sizeof path, "%s-copy", run->world.folder);
	assert_true(size > 0 && size < (int)sizeof path);
	folder_copy(run->world.folder, path);
	snprintf(copy.folder, sizeof copy.folder, "%s", path);
	assert_int_equal(world_open_at(&copy, copy.folder), RESULT_OK);
	assert_counters(run, &copy);
	assert_states(run, &copy);
	for (unsigned i = 0; i < run->entry_count; i++) {
		struct entry *entry = &run->entries[i];
		entry->seen = false;
		waiting += entry->state == DELIVERY_PENDING || entry->state == DELIVERY_RETRY;
	}
	for (unsigned round = 0; round < 3; round++) {
		world_run(&copy);
		for (uint32_t target_id = 1; target_id <= TARGETS; target_id++) {
			struct delivery *delivery;
			while ((delivery = queue_lease(copy.queue, target_id)) != NULL) {
				struct entry *entry = entry_of(run, delivery->sequence, target_id);
				assert_false(entry->seen);
				assert_true(entry->state == DELIVERY_PENDING ||
					entry->state == DELIVERY_RETRY);
				assert_int_equal(delivery->attempt_number, entry->number);
				assert_int_equal(delivery->tries, entry->tries);
				entry->seen = true;
				leased++;
			}
		}
	}
	assert_int_equal(leased, waiting);
	world_end(&copy);
	run->copies++;
}

static void note_deferred(struct run *run)
{
	struct store_txn txn = { 0 };
	shard_read_begin(run->world.shard, &txn);
	uint64_t rows = store_row_count(&txn, STORE_DEFERRED);
	if (rows > run->deferred_rows_max) run->deferred_rows_max = rows;
	store_read_done(&txn);
}

static void do_restart(struct run *run)
{
	commit(run);
	world_close(&run->world);
	/* What has found no space until now is as if it had not been. */
	run->submitted_count = 0;
	for (unsigned i = 0; i < run->entry_count; i++) run->entries[i].held = false;
	run->held_count = 0;
	assert_int_equal(world_open_at(&run->world, run->world.folder), RESULT_OK);
	open_run(run);
}

/* In the end all is settled. */
static void finish(struct run *run)
{
	for (unsigned rounds = 0;; rounds++) {
		assert_true(rounds < 10000);
		while (run->held_count > 0) do_settle(run);
		commit(run);
		run->world.now_us += 10 * US_PER_S;
		if (run->world.now_us > run->latest_us) run->latest_us = run->world.now_us;
		world_run(&run->world);
		committed(run);
		for (unsigned i = 0; i < 4 * HELD_MAX; i++) do_lease(run);
		unsigned waiting = 0;
		for (unsigned i = 0; i < run->entry_count; i++) {
			const struct entry *entry = &run->entries[i];
			waiting += entry->state == DELIVERY_PENDING ||
				entry->state == DELIVERY_RETRY;
		}
		if (waiting == 0) break;
	}
	world_run(&run->world);
	assert_counters(run, &run->world);
	assert_int_equal(queue_usage(run->world.queue).window_events, 0);
	assert_int_equal(queue_usage(run->world.queue).ready, 0);
	assert_int_equal(queue_usage(run->world.queue).settling, 0);
}

static void step(struct run *run)
{
	uint64_t pick = random_below(&run->random, 100);
	if (pick < 20) {
		do_append(run);
	} else if (pick < 50) {
		do_lease(run);
	} else if (pick < 65) {
		do_settle(run);
	} else if (pick < 68) {
		do_release(run);
	} else if (pick < 70) {
		do_replay(run);
	} else if (pick < 75) {
		do_pass_time(run);
	} else if (pick < 90) {
		do_work(run);
	} else if (pick < 97) {
		commit(run);
	} else if (pick < 99) {
		commit(run);
		assert_restart(run);
	} else {
		do_restart(run);
	}
}

static void test_random_runs(void **state)
{
	(void)state;
	static struct run run;
	unsigned copies = 0;
	unsigned deferring_runs = 0;

	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		seed_now = seed;
		run = (struct run){ .random = { seed } };
		/* A window that events fill soon, and little room for rows. */
		run.world.limits = (struct queue_limits){ 16, { 32, 12, 12 }, 6 };
		world_open(&run.world);
		run.latest_us = run.world.now_us;
		run.lacks_space = seed % 2 == 0;
		open_run(&run);
		for (unsigned i = 0; i < STEPS; i++) {
			step(&run);
			note_deferred(&run);
		}
		commit(&run);
		assert_restart(&run);
		finish(&run);
		world_end(&run.world);
		copies += run.copies;
		deferring_runs += run.deferred_rows_max > 0;
		if (seed_count > 100 && seed % 100 == 0)
			fprintf(stderr, "seed %u\n", (unsigned)seed);
	}
	print_message("%u runs, %u restarts from copies, %u runs deferred\n", (unsigned)seed_count,
		copies, deferring_runs);
	if (seed_count >= 10) assert_true(deferring_runs > seed_count / 4);
}

int main(int argc, char **argv)
{
	if (argc > 1) seed_count = strtoull(argv[1], NULL, 10);
	if (argc > 2) seed_first = strtoull(argv[2], NULL, 10);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_runs),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed != 0) fprintf(stderr, "seed %llu\n", (unsigned long long)seed_now);
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is accepted is delivered, tried again when it is due, or parked, over restarts. */
#include "queue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

static void assert_audit_valid(struct world *world, uint64_t leaf_count)
{
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
	assert_int_equal(report.leaf_count, leaf_count);
	assert_int_equal(report.checked_count + report.expired_count, leaf_count);
	assert_int_equal(report.mismatch_count, 0);
}

/* One event that cannot be read does not keep the others from being read. */
static void test_one_unreadable_event(void **state)
{
	struct world *world = *state;
	struct delivery gone = { .sequence = 1000, .target_id = 11 };
	struct event event;

	assert_int_equal(world_append(world, 10, 1, 11), RESULT_OK);
	world_run(world);
	struct delivery *delivery = world_lease(world, 11);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(queue_read_begin(world->queue, &gone, &event), RESULT_NOT_FOUND);
		assert_int_equal(queue_read_begin(world->queue, delivery, &event), RESULT_OK);
		queue_read_end(world->queue);
	}
	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	world_run(world);
}

/* It is passed over, and counted; what is behind it is delivered. */
static void test_a_damaged_key_among_events(void **state)
{
	struct world *world = *state;
	uint8_t key[9] = { 0 };
	struct row_key second = row_event_key(2, 0);

	world->untold = true;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(world_append(world, 10, 1, 11), RESULT_OK);
	}
	memcpy(key, second.memory, second.size);
	world_put_damaged_key(world, STORE_EVENTS, bytes_of(key, sizeof key));
	world_run(world);
	world_run(world);
	for (uint64_t i = 1; i <= 4; i++) assert_int_equal(world_deliver(world, 11), i);
	world_run(world);
	assert_int_equal(queue_usage(world->queue).damaged_keys, 1);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
}

/* And where the event's own key is the one that is damaged, it alone is missing. */
static void test_an_event_whose_key_is_damaged(void **state)
{
	struct world *world = *state;
	struct row_key second = row_event_key(2, 0);
	struct store_txn txn;

	world->untold = true;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(world_append(world, 10, 1, 11), RESULT_OK);
	}
	world_put_damaged_key(world, STORE_EVENTS, bytes_of(second.memory, second.size - 1));
	store_write_begin(&txn, world->shard->store);
	assert_true(store_delete(&txn, STORE_EVENTS, row_key_bytes(&second)));
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	world_run(world);
	world_run(world);
	assert_int_equal(world_deliver(world, 11), 1);
	assert_int_equal(world_deliver(world, 11), 3);
	assert_int_equal(world_deliver(world, 11), 4);
	world_run(world);
	assert_int_equal(queue_usage(world->queue).damaged_keys, 1);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
}

/* An event that is delivered leaves an attempt and two leaves, and nothing to do. */
static void test_delivered(void **state)
{
	struct world *world = *state;
	static uint8_t expected[WORLD_PAYLOAD_SIZE_MAX];
	const size_t size = 140000; /* three chunks */

	assert_int_equal(world_append(world, size, 2, 11, 12), RESULT_OK);
	world_run(world);
	assert_int_equal(world->ready_calls, 2);

	struct delivery *delivery = world_lease(world, 11);
	assert_null(queue_lease(world->queue, 11));
	struct event event;
	assert_int_equal(queue_read_begin(world->queue, delivery, &event), RESULT_OK);
	assert_int_equal(event.sequence, 1);
	assert_int_equal(event.target_count, 2);
	assert_int_equal(event.payload_size, size);
	world_payload(1, expected, size);
	size_t offset = 0;
	while (offset < size) {
		struct bytes part;
		assert_int_equal(queue_read_payload(world->queue, &event, offset, &part),
			RESULT_OK);
		assert_true(part.size > 0);
		assert_memory_equal(part.data, expected + offset, part.size);
		offset += part.size;
	}
	assert_int_equal(offset, size);
	queue_read_end(world->queue);

	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_int_equal(shard_counters(world->shard).low_water, 1);
	world_deliver(world, 12);
	world_run(world);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	struct shard_counters counters = shard_counters(world->shard);
	assert_int_equal(counters.deliveries_delivered, 2);
	assert_int_equal(counters.attempts, 2);
	assert_int_equal(counters.leaf_count, 3);
	assert_audit_valid(world, 3);
	world_reopen(world);
	world_run(world);
	assert_null(queue_lease(world->queue, 11));
	assert_null(queue_lease(world->queue, 12));
}

/* A failed delivery comes again at its time and not before, also after a restart. */
static void test_retry_at_its_time(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 100, 1, 5), RESULT_OK);
	const uint64_t due_us = world->now_us + 60 * US_PER_S;
	world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, due_us);
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	assert_true(world->due_us == due_us);
	world_reopen(world);
	world_run(world);
	assert_true(world->due_us == due_us);
	world->now_us = due_us - 1;
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	world->now_us = due_us;
	world_run(world);
	struct delivery *delivery = world_lease(world, 5);
	assert_int_equal(delivery->attempt_number, 2);
	assert_int_equal(delivery->tries, 1);
	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_true(world->due_us == UINT64_MAX);
	assert_null(queue_lease(world->queue, 5));
	assert_audit_valid(world, 3);
}

/* A dead letter stays, over restarts, until a person replays it: then it comes at once, with a
 * fresh budget, and its attempts are counted on. */
static void replay_complete(struct store_job *job)
{
	CHECK(job->result == RESULT_OK);
}

static bool replay_dead(struct world *world, uint64_t sequence, uint32_t target_id)
{
	struct queue_dead_job job = {
		.job = { .complete = replay_complete },
		.sequence = sequence,
		.target_id = target_id,
		.now = { world->now_us },
		.actor = "operator",
	};
	queue_dead_replay(world->queue, &job);
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	return job.found;
}

static void test_dead_and_replayed(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 100, 1, 5), RESULT_OK);
	world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us);
	world_run(world);
	struct delivery *delivery = world_lease(world, 5);
	assert_int_equal(delivery->tries, 1);
	world_settle(world, delivery, ATTEMPT_DEAD, 0);
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	assert_int_equal(shard_counters(world->shard).deliveries_dead, 1);
	world_reopen(world);
	world->now_us += 100 * US_PER_S;
	world_run(world);
	assert_null(queue_lease(world->queue, 5));

	assert_false(replay_dead(world, 1, 6));
	assert_false(replay_dead(world, 2, 5));
	world->wakes = 0;
	assert_true(replay_dead(world, 1, 5));
	assert_true(world->wakes > 0);
	assert_false(replay_dead(world, 1, 5));
	world_run(world);
	delivery = world_lease(world, 5);
	assert_int_equal(delivery->attempt_number, 3);
	assert_int_equal(delivery->tries, 0);
	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	world_run(world);
	struct shard_counters counters = shard_counters(world->shard);
	assert_int_equal(counters.deliveries_dead, 0);
	assert_int_equal(counters.dead_replayed, 1);
	assert_int_equal(counters.deliveries_delivered, 1);
	/* Event, three attempts, one action. */
	assert_audit_valid(world, 5);
	world_reopen(world);
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	assert_audit_valid(world, 5);
}

/* From within queue_work(): control and writer do all they have to do meanwhile. */
static void replay_meanwhile(void *owner, uint32_t target_id)
{
	struct world *world = owner;
	if (target_id != 6) return;
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	assert_true(replay_dead(world, 1, 5));
}

/* A dead letter is put back while the worker reads: its transaction is too old to see the row, and
 * the next one has to look. */
static void test_replayed_while_the_schedule_is_read(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_settle(world, world_lease(world, 5), ATTEMPT_DEAD, 0);
	world_run(world);
	/* An event to be read back, so that ready() is called while the transaction is open. */
	world->untold = true;
	assert_int_equal(world_append(world, 10, 1, 6), RESULT_OK);
	queue_work(world->queue, (wall_t){ world->now_us });
	world->queue->events.ready = replay_meanwhile;
	queue_work(world->queue, (wall_t){ world->now_us });
	assert_int_equal(shard_counters(world->shard).dead_replayed, 1);
	world_run(world);
	assert_int_equal(queue_target_ready(world->queue, 5), 1);
	struct delivery *delivery = world_lease(world, 5);
	assert_int_equal(delivery->attempt_number, 2);
}

/* A dead letter is put back after the worker has looked into its mailbox and before it reads: what
 * made it dead has not been collected, and hides the row until then. */
static void test_replayed_before_its_end_is_collected(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us);
	assert_int_equal(world_append(world, 10, 1, 6), RESULT_OK);
	world_run(world);
	world_settle(world, world_lease(world, 5), ATTEMPT_DEAD, 0);
	/* The first round tells what is ready between the two. */
	world->queue->announced = false;
	world->queue->events.ready = replay_meanwhile;
	queue_work(world->queue, (wall_t){ world->now_us });
	assert_int_equal(shard_counters(world->shard).dead_replayed, 1);
	world_run(world);
	assert_int_equal(queue_target_ready(world->queue, 5), 1);
	struct delivery *delivery = world_lease(world, 5);
	assert_int_equal(delivery->attempt_number, 3);
	assert_null(queue_lease(world->queue, 5));
}

/* Rows that come due before the place where reading stopped are found: a retry that is due in
 * the past, a replay, a clock that went back. */
static void test_rows_before_the_place_read_to(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 3; i++) assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_settle(world, world_lease(world, 5), ATTEMPT_DEAD, 0);
	world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us + 50);
	struct delivery *third = world_lease(world, 5);
	world_run(world);
	world->now_us += 100;
	world_run(world);
	struct delivery *second = world_lease(world, 5);
	assert_int_equal(second->sequence, 2);
	/* Due long ago, while the row behind it is leased. */
	world_settle(world, third, ATTEMPT_RETRY, world->now_us - 90);
	world_run(world);
	third = world_lease(world, 5);
	assert_int_equal(third->sequence, 3);
	assert_null(queue_lease(world->queue, 5));
	world->now_us -= 95;
	assert_true(replay_dead(world, 1, 5));
	world_run(world);
	struct delivery *first = world_lease(world, 5);
	assert_int_equal(first->sequence, 1);
	assert_null(queue_lease(world->queue, 5));
	world_settle(world, first, ATTEMPT_RETRY, world->now_us + 1);
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	world->now_us += 1;
	world_run(world);
	assert_int_equal(world_deliver(world, 5), 1);
	world_settle(world, second, ATTEMPT_DELIVERED, 0);
	world_settle(world, third, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 3);
	world->now_us += 200;
	world_run(world);
	assert_null(queue_lease(world->queue, 5));
	assert_true(world->due_us == UINT64_MAX);
}

/* Given back unsent, it is the next one. */
static void test_released(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 3; i++) assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	struct delivery *delivery = world_lease(world, 5);
	assert_int_equal(queue_usage(world->queue).leased, 1);
	queue_release(world->queue, delivery);
	assert_int_equal(queue_usage(world->queue).leased, 0);
	assert_int_equal(queue_usage(world->queue).ready, 3);
	for (uint64_t i = 1; i <= 3; i++) assert_int_equal(world_deliver(world, 5), i);
}

/* `ready` is called when there is something where there was nothing, also after a restart. */
static void test_ready_is_called_once(void **state)
{
	struct world *world = *state;
	world_run(world);
	assert_int_equal(world->ready_calls, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(world_append(world, 10, 2, 5, 6), RESULT_OK);
		assert_int_equal(world->ready_calls, 2);
	}
	for (unsigned i = 0; i < 4; i++) world_deliver(world, 5);
	assert_int_equal(world_append(world, 10, 2, 5, 6), RESULT_OK);
	assert_int_equal(world->ready_calls, 3);
	world_run(world);
	world->ready_calls = 0;
	world_reopen(world);
	assert_int_equal(world->ready_calls, 0);
	world_run(world);
	assert_int_equal(world->ready_calls, 2);
}

/* Events without targets are settled at once; a target that is named twice gets it once. */
static void test_no_target_and_twice_the_same(void **state)
{
	struct world *world = *state;
	world->limits = (struct queue_limits){ 8, { 64, 64, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i < 30; i++) assert_int_equal(world_append(world, 10, 0), RESULT_OK);
	assert_int_equal(world_append(world, 10, 3, 5, 5, 6), RESULT_OK);
	assert_int_equal(world_deliver(world, 5), 31);
	assert_null(queue_lease(world->queue, 5));
	assert_int_equal(world_deliver(world, 6), 31);
	world_run(world);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	assert_int_equal(queue_usage(world->queue).backlog, 0);
}

/* What does not fit into the window is read back as it empties, in order, none twice. */
static void test_longer_than_the_window(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 500 };
	world->limits = (struct queue_limits){ 32, { 64, 16, 16 }, 8 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		/* Some with several chunks. */
		assert_int_equal(world_append(world, i % 7 == 0 ? 9000 : 10, 1, 5), RESULT_OK);
	}
	assert_int_equal(queue_usage(world->queue).window_events, 32);
	assert_int_equal(queue_usage(world->queue).backlog, EVENTS - 32);
	for (uint64_t i = 1; i <= EVENTS; i++) {
		struct delivery *delivery;
		while ((delivery = queue_lease(world->queue, 5)) == NULL) world_run(world);
		assert_int_equal(delivery->sequence, i);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		if (i == EVENTS / 2) {
			world_run(world);
			world_reopen(world);
			world_run(world);
		}
	}
	world_run(world);
	assert_int_equal(queue_usage(world->queue).backlog, 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, EVENTS);
	struct store_txn txn = { 0 };
	shard_read_begin(world->shard, &txn);
	assert_int_equal(store_row_count(&txn, STORE_DEFERRED), 0);
	store_read_done(&txn);
}

/* An event the queue was never told of is found all the same. */
static void test_untold_events(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_run(world);
	world->untold = true;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world->untold = false;
	assert_int_equal(world_deliver(world, 5), 1);
	assert_null(queue_lease(world->queue, 5));
	world_run(world);
	world_run(world);
	assert_int_equal(world_deliver(world, 5), 2);
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	assert_int_equal(world_deliver(world, 5), 3);
	assert_int_equal(world_deliver(world, 5), 4);
}

/* One that is committed after the transaction began is not in it: it is left to the next one, and
 * not passed over as missing. */
static void test_an_untold_event_newer_than_the_transaction(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_run(world);
	world->untold = true;
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	queue_work(world->queue, (wall_t){ world->now_us });
	/* The next round, and the writer commits in the middle of it. */
	shard_read_begin(world->shard, &world->queue->work_txn);
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	window_fill(world->queue, QUEUE_WORK_MAX);
	store_read_end(&world->queue->work_txn);
	for (unsigned i = 0; i < 4; i++) world_run(world);
	assert_int_equal(queue_target_ready(world->queue, 5), 3);
}

static enum result no_space(void *owner, struct store_txn *txn)
{
	(void)owner;
	store_write_abort(txn);
	return RESULT_SPACE;
}

/* What found no space is tried again a moment later, also when the clock has gone back since. */
static void test_no_space_and_a_clock_that_goes_back(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 64 };
	world->limits = (struct queue_limits){ EVENTS, { 2 * EVENTS, 64, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++)
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	struct delivery *straggler = world_lease(world, 5);
	struct delivery *settled = world_lease(world, 5);
	for (unsigned i = 0; i < EVENTS - 2; i++) world_deliver(world, 5);
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	store_writer_set_commit(shard_writer(world->shard), no_space, NULL);
	world_settle(world, settled, ATTEMPT_DELIVERED, 0);
	world_run(world);
	store_writer_set_commit(shard_writer(world->shard), NULL, NULL);
	world->now_us -= 3600 * US_PER_S;
	world_run(world);
	assert_int_equal(queue_usage(world->queue).settling, 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, EVENTS - 1);
	/* It has a row, and does not hold up the window. */
	assert_int_equal(straggler->sequence, 1);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
}

/* Whatever was accepted before the store was full can be settled, with all its attempts. */
static void test_a_full_store_settles_all(void **state)
{
	struct world *world = *state;
	enum { TRIES = 3 };
	uint64_t events = 0;

	world_close(world);
	world->config.store.quota_size = 8 << 20;
	folder_remove(world->folder);
	folder_make(world->folder);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	while (world_append(world, 50, 1, 5) == RESULT_OK) events++;
	assert_true(events > 2500);
	for (unsigned try = 1; try <= TRIES; try++) {
		for (uint64_t i = 0; i < events; i++) {
			struct delivery *delivery;
			while ((delivery = queue_lease(world->queue, 5)) == NULL) world_run(world);
			assert_int_equal(delivery->attempt_number, try);
			world_settle(world, delivery,
				try < TRIES ? ATTEMPT_RETRY : ATTEMPT_DELIVERED,
				world->now_us + US_PER_S);
			if (i % 100 == 0) world_run(world);
		}
		world_run(world);
		world->now_us += 2 * US_PER_S;
	}
	world_run(world);
	assert_int_equal(shard_counters(world->shard).attempts, TRIES * events);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_unreadable_event, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_key_among_events, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_an_event_whose_key_is_damaged, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_delivered, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_retry_at_its_time, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_dead_and_replayed, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_replayed_while_the_schedule_is_read,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_replayed_before_its_end_is_collected,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_rows_before_the_place_read_to, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_released, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_ready_is_called_once, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_no_target_and_twice_the_same, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_longer_than_the_window, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_untold_events, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_an_untold_event_newer_than_the_transaction,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_space_and_a_clock_that_goes_back,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_store_settles_all, world_setup,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

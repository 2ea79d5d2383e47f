/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A slow target, or a slow answer, does not hold up the others, and loses nothing by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

enum { SLOW = 5, FAST = 6, WINDOW = 64 };

static int begin(void **state)
{
	static struct world world;
	world = (struct world){ 0 };
	world.limits = (struct queue_limits){ WINDOW, { 4 * WINDOW, 64, 64 }, 32 };
	world_open(&world);
	*state = &world;
	return 0;
}

static int end(void **state)
{
	world_end(*state);
	return 0;
}

static uint64_t row_count(struct world *world, enum store_table table)
{
	struct store_txn txn = { 0 };
	store_read_begin(&txn, shard_store(world->shard));
	uint64_t count = store_row_count(&txn, table);
	store_read_done(&txn);
	return count;
}

/* A second passes, in which everything is done that can be. */
static void pass_a_second(struct world *world)
{
	world_run(world);
	world->now_us += US_PER_S;
	world_run(world);
}

/* Those of the target are delivered, each once, in order. */
static void deliver_some(struct world *world, uint32_t target_id, uint64_t first, uint64_t last)
{
	for (uint64_t sequence = first; sequence <= last; sequence++) {
		struct delivery *delivery = queue_lease(world->queue, target_id);
		for (unsigned i = 0; delivery == NULL && i < 100; i++) {
			pass_a_second(world);
			delivery = queue_lease(world->queue, target_id);
		}
		if (delivery == NULL) fail_msg("nothing at %u", (unsigned)sequence);
		assert_int_equal(delivery->sequence, sequence);
		assert_int_equal(delivery->attempt_number, 1);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	}
	world_run(world);
}

static void deliver_all(struct world *world, uint32_t target_id, uint64_t first, uint64_t last)
{
	deliver_some(world, target_id, first, last);
	assert_null(queue_lease(world->queue, target_id));
}

/* Nobody takes what is for the slow target; the fast one gets all of its own all the same. Then
 * the slow one comes back and gets its own, in order. */
static void test_a_target_that_does_not_take(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 1000 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	deliver_all(world, FAST, 1, EVENTS);
	pass_a_second(world);
	assert_int_equal(queue_usage(world->queue).backlog, 0);
	assert_true(row_count(world, STORE_DEFERRED) > EVENTS - WINDOW);
	/* New ones come in and get in line. */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	deliver_all(world, FAST, EVENTS + 1, EVENTS + 10);
	deliver_all(world, SLOW, 1, EVENTS + 10);
	pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	/* It has caught up: nothing goes to disk any more. */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	deliver_all(world, SLOW, EVENTS + 11, EVENTS + 20);
	deliver_all(world, FAST, EVENTS + 11, EVENTS + 20);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * (EVENTS + 20));
}

/* The same over restarts. */
static void test_a_target_that_does_not_take_over_restarts(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 300 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	deliver_some(world, FAST, 1, EVENTS / 2);
	world_reopen(world);
	deliver_some(world, SLOW, 1, 40);
	world_reopen(world);
	deliver_all(world, FAST, EVENTS / 2 + 1, EVENTS);
	world_reopen(world);
	deliver_all(world, SLOW, 41, EVENTS);
	world_reopen(world);
	pass_a_second(world);
	assert_null(queue_lease(world->queue, SLOW));
	assert_null(queue_lease(world->queue, FAST));
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * EVENTS);
}

/* With one target there is nobody to make room for: the window waits, nothing is deferred. */
static void test_one_target_alone(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 500 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < 10; i++) pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(queue_usage(world->queue).window_events, WINDOW);
	assert_int_equal(queue_usage(world->queue).backlog, EVENTS - WINDOW);
	deliver_all(world, SLOW, 1, EVENTS);
}

/* A target that hangs has all of the window to itself, and more of its own lies behind. The one
 * event for another target is seen all the same, wherever it lies: nobody has heard of that target
 * before. What was written for the one that hung is delivered when it is back, in order. */
static void let_through(struct world *world, unsigned slow_count, bool restart)
{
	for (unsigned i = 0; i < slow_count; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	assert_int_equal(queue_usage(world->queue).window_events, WINDOW);
	for (unsigned i = 0; i < 5; i++) pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	if (restart) world_reopen(world);
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	deliver_all(world, FAST, slow_count + 1, slow_count + 1);
	deliver_all(world, SLOW, 1, slow_count);
	pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, slow_count + 1);
}

static void test_a_target_that_fills_the_window_alone(void **state)
{
	let_through(*state, WINDOW, false);
}

static void test_a_target_that_has_all_behind_the_window_too(void **state)
{
	let_through(*state, WINDOW + 3 * QUEUE_WORK_MAX, false);
}

static void test_a_target_that_fills_the_window_after_a_restart(void **state)
{
	let_through(*state, WINDOW + 3 * QUEUE_WORK_MAX, true);
}

/* The same when all of it is being sent, and nothing is ready. */
static void test_a_target_that_has_taken_the_whole_window(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < WINDOW; i++) world_lease(world, SLOW);
	for (unsigned i = 0; i < 5; i++) pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	deliver_all(world, FAST, 2 * WINDOW + 1, 2 * WINDOW + 1);
}

/* A target that was there once does not count: nothing of it waits. */
static void test_one_target_left(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	deliver_all(world, FAST, 1, 1);
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < 5; i++) pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
}

/* When the slow one is out of the way the window moves, and it is full of what is for the others:
 * they are not slow. */
static void test_the_others_after_a_slow_target(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 500 };
	for (unsigned i = 0; i < WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	unsigned delivered = 0;
	for (unsigned rounds = 0; delivered < EVENTS; rounds++) {
		assert_true(rounds < 1000);
		world->now_us += US_PER_S / 10;
		world_run(world);
		for (unsigned i = 0; i < 20 && queue_target_ready(world->queue, FAST) > 0; i++) {
			assert_int_equal(world_deliver(world, FAST), WINDOW + ++delivered);
		}
		const struct queue_target *fast = target_find(world->queue, FAST);
		assert_true(fast == NULL || !fast->spilling);
	}
	pass_a_second(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), WINDOW + EVENTS);
}

/* A backlog that moves is only a backlog: nothing is deferred, with several targets. */
static void test_a_backlog_that_moves(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 1000 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	unsigned done = 0;
	while (done < 2 * EVENTS) {
		struct delivery *delivery = queue_lease(world->queue, done % 2 == 0 ? SLOW : FAST);
		if (delivery == NULL) {
			world_run(world);
			world->now_us += 100000;
			continue;
		}
		done++;
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	}
}

/* Neither does a burst after a quiet time: nothing has moved because there was nothing. */
static void test_a_burst_after_a_quiet_time(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 1000 };
	for (unsigned i = 0; i < 10; i++) pass_a_second(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	unsigned done = 0;
	while (done < 2 * EVENTS) {
		struct delivery *delivery = queue_lease(world->queue, done % 2 == 0 ? SLOW : FAST);
		if (delivery == NULL || done % 50 == 0) {
			world_run(world);
			world->now_us += 100000;
		}
		if (delivery == NULL) continue;
		done++;
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	}
}

/* An answer that takes for ever: the row of its delivery is on disk while it is under way, and
 * the window goes on, with one target too. Its settling leaves nothing behind. */
static void straggle(struct world *world, bool restart, enum attempt_outcome outcome)
{
	enum { EVENTS = 500 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	deliver_all(world, FAST, 2, EVENTS);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	assert_int_equal(row_count(world, STORE_DEFERRED), 1);
	if (restart) {
		world_reopen(world);
		world_run(world);
		straggler = world_lease(world, FAST);
	}
	assert_int_equal(straggler->sequence, 1);
	assert_int_equal(straggler->attempt_number, 1);
	world_settle(world, straggler, outcome, world->now_us + 5);
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(row_count(world, STORE_SCHEDULE), outcome == ATTEMPT_RETRY);
	assert_int_equal(row_count(world, STORE_DEAD), outcome == ATTEMPT_DEAD);
	world->now_us += 10;
	world_reopen(world);
	world_run(world);
	if (outcome == ATTEMPT_RETRY) assert_int_equal(world_deliver(world, FAST), 1);
	assert_null(queue_lease(world->queue, FAST));
}

static void test_a_straggler_is_delivered(void **state)
{
	straggle(*state, false, ATTEMPT_DELIVERED);
}

static void test_a_straggler_is_tried_again(void **state)
{
	straggle(*state, false, ATTEMPT_RETRY);
}

static void test_a_straggler_over_a_restart(void **state)
{
	straggle(*state, true, ATTEMPT_DEAD);
}

/* It is settled while its row is on the way to disk. */
static void test_a_straggler_settled_meanwhile(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	struct delivery *released = world_lease(world, FAST);
	for (unsigned i = 2; i < WINDOW; i++) world_deliver(world, FAST);
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	queue_work(world->queue, (wall_t){ world->now_us });
	assert_int_equal(world->queue->defer.count, 2);
	world_settle(world, straggler, ATTEMPT_DELIVERED, 0);
	queue_release(world->queue, released);
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 1);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	assert_int_equal(world_deliver(world, FAST), 2);
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, WINDOW);
}

/* The writer's mail as it is when the worker looks into the box after all but the last one has been
 * put in; gives back the last one. */
static struct mail *hold_last_mail(struct world *world)
{
	struct mail *mail = mailbox_take_all(&world->queue->done);
	while (mail->next != NULL) {
		struct mail *next = mail->next;
		mailbox_push(&world->queue->done, mail);
		mail = next;
	}
	return mail;
}

/* The row of a straggler is on disk, and read by a refill, before the worker hears of it: that is
 * the delivery that is under way, not one more. */
static void test_a_row_that_is_read_before_its_job_is_back(void **state)
{
	struct world *world = *state;
	enum { SLOW_EVENTS = 60, STRAGGLER = 40, SETTLED = 20, ALL = 91 };
	struct delivery *leased[STRAGGLER + 1];
	unsigned deliveries = 0;

	for (unsigned i = 0; i < SLOW_EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 1; i <= STRAGGLER; i++) leased[i] = world_lease(world, SLOW);
	for (unsigned i = STRAGGLER - 1; i >= 1; i--) queue_release(world->queue, leased[i]);
	for (unsigned i = SLOW_EVENTS + 1; i <= ALL - 5; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	deliver_all(world, FAST, SLOW_EVENTS + 1, ALL - 5);
	assert_int_equal(row_count(world, STORE_DEFERRED), SLOW_EVENTS - 1);
	/* A few more, and it has become a straggler. */
	for (unsigned i = ALL - 4; i <= ALL; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	for (unsigned i = 0; i < SETTLED; i++) deliveries += world_deliver(world, SLOW) > 0;
	queue_work(world->queue, (wall_t){ world->now_us });
	assert_int_equal(world->queue->defer.count, 1);
	assert_ptr_equal(world->queue->defer.items[0], leased[STRAGGLER]);
	/* One commit of the settlings and the row; the row's mail comes last. */
	assert_int_equal(store_writer_step(shard_writer(world->shard)), SETTLED + 1);
	struct mail *last = hold_last_mail(world);
	assert_ptr_equal(last, &world->queue->defer.job.mail);
	queue_work(world->queue, (wall_t){ world->now_us });
	mailbox_push(&world->queue->done, last);
	world_run(world);
	for (struct delivery *next; (next = queue_lease(world->queue, SLOW)) != NULL;) {
		assert_int_not_equal(next->sequence, STRAGGLER);
		world_settle(world, next, ATTEMPT_DELIVERED, 0);
		world_run(world);
		deliveries++;
	}
	assert_int_equal(deliveries, SLOW_EVENTS - 1);
	world_settle(world, leased[STRAGGLER], ATTEMPT_DELIVERED, 0);
	deliver_all(world, FAST, ALL - 4, ALL);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, ALL);
}

/* One round of the worker, then one of the writer. What is ready of the target is delivered; how
 * much that was. */
static unsigned deliver_round(struct world *world, uint32_t target_id)
{
	unsigned count = 0;
	queue_work(world->queue, (wall_t){ world->now_us });
	for (; queue_target_ready(world->queue, target_id) > 0; count++) {
		world_deliver(world, target_id);
	}
	store_writer_step(shard_writer(world->shard));
	return count;
}

/* A slow target spills all the time, with many retries to be taken to DEFERRED one after the other:
 * the straggler that holds up the window is seen to all the same. */
static void test_a_straggler_while_a_target_spills(void **state)
{
	struct world *world = *state;
	enum { RETRIES = 5000, EVENTS = 200 };
	for (unsigned i = 0; i <= RETRIES; i++) {
		uint32_t target_id = i == WINDOW ? FAST : SLOW;
		assert_int_equal(world_append(world, 10, 1, target_id), RESULT_OK);
		world_settle(world, world_lease(world, target_id), ATTEMPT_RETRY,
			world->now_us + 10 + i);
		world_run(world);
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	world->now_us += 2 * RETRIES;
	/* All but the straggler, and the retry. */
	unsigned delivered = 0;
	for (unsigned rounds = 0; delivered < EVENTS; rounds++) {
		assert_true(rounds < 20);
		delivered += deliver_round(world, FAST);
	}
	assert_true(row_count(world, STORE_SCHEDULE) > RETRIES / 2);
	world_settle(world, straggler, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED) + row_count(world, STORE_SCHEDULE),
		RETRIES);
}

/* Slow targets have all the room there is for what is deferred: the straggler takes none. */
static void test_a_straggler_without_room(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 300, ROOM = 8 };
	world->limits = (struct queue_limits){ WINDOW, { 4 * WINDOW, 64, ROOM }, 4 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, 100 + i % (2 * ROOM), FAST), RESULT_OK);
	}
	deliver_all(world, FAST, 1, EVENTS);
	for (unsigned i = 0; i < 5; i++) pass_a_second(world);
	assert_int_equal(world->queue->origin_counts[ORIGIN_DEFERRED], ROOM);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	deliver_all(world, FAST, EVENTS + 2, 2 * EVENTS);
	world_settle(world, straggler, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * EVENTS);
}

/* And many of them leave what room there is to those who read back. */
static void test_many_stragglers_leave_room(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 200, ROOM = 8, STRAGGLERS = 10 };
	world->limits = (struct queue_limits){ WINDOW, { 4 * WINDOW, 64, ROOM }, 4 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	deliver_all(world, FAST, 1, EVENTS);
	pass_a_second(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	for (unsigned i = 0; i < STRAGGLERS; i++) world_lease(world, FAST);
	deliver_all(world, FAST, EVENTS + STRAGGLERS + 1, 2 * EVENTS);
	assert_int_equal(world->queue->origin_counts[ORIGIN_STRAGGLER], STRAGGLERS);
	deliver_all(world, SLOW, 1, EVENTS);
}

/* The same when another one hangs, and fills the window. */
static void test_a_full_window_while_a_target_spills(void **state)
{
	struct world *world = *state;
	enum { RETRIES = 5000, EVENTS = 20 };
	for (unsigned i = 0; i <= RETRIES; i++) {
		uint32_t target_id = i == WINDOW ? FAST : SLOW;
		assert_int_equal(world_append(world, 10, 1, target_id), RESULT_OK);
		world_settle(world, world_lease(world, target_id), ATTEMPT_RETRY,
			world->now_us + 10 + i);
		world_run(world);
	}
	for (unsigned i = 0; i < WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW + 100), RESULT_OK);
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	unsigned delivered = 0;
	for (unsigned rounds = 0; delivered < EVENTS + 1; rounds++) {
		assert_true(rounds < 40);
		world->now_us += US_PER_S / 10;
		delivered += deliver_round(world, FAST);
	}
	assert_true(row_count(world, STORE_SCHEDULE) > 0);
	world_run(world);
	assert_int_equal(row_count(world, STORE_DEFERRED) + row_count(world, STORE_SCHEDULE),
		RETRIES + WINDOW);
}

static bool is_delivered(struct world *world, uint64_t sequence, uint32_t target_id)
{
	struct store_txn txn = { 0 };
	store_read_begin(&txn, shard_store(world->shard));
	enum delivery_state state = shard_delivery_state(&txn, sequence, target_id);
	store_read_done(&txn);
	return state == DELIVERY_DELIVERED;
}

/* And the other way round: what spills comes from the window, and due retries of others have taken
 * all their room. */
static void test_full_schedule_while_a_target_spills(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 5000, SLOW_TARGETS = 3 };
	/* Two less for each than would make it spill. */
	unsigned retries = SLOW_TARGETS * 30;
	for (unsigned i = 0; i <= retries; i++) {
		uint32_t target_id = i < retries ? SLOW + 100 + i % SLOW_TARGETS : FAST;
		assert_int_equal(world_append(world, 10, 1, target_id), RESULT_OK);
		world_settle(world, world_lease(world, target_id), ATTEMPT_RETRY,
			world->now_us + 5 * US_PER_S + i);
		world_run(world);
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, i % 2 == 0 ? SLOW : FAST), RESULT_OK);
	}
	for (unsigned i = 0; row_count(world, STORE_DEFERRED) == 0; i++) {
		assert_true(i < 40);
		world->now_us += US_PER_S / 10;
		deliver_round(world, FAST);
	}
	world->now_us += 5 * US_PER_S;
	unsigned rounds = 0;
	while (!is_delivered(world, retries + 1, FAST)) {
		assert_true(++rounds < 40);
		world->now_us += US_PER_S / 10;
		deliver_round(world, FAST);
	}
	assert_true(queue_usage(world->queue).backlog > 0);
}

static void settle_one(struct world *world, uint32_t target_id)
{
	struct delivery *delivery = queue_lease(world->queue, target_id);
	for (unsigned tries = 0; delivery == NULL && tries < 50; tries++) {
		pass_a_second(world);
		delivery = queue_lease(world->queue, target_id);
	}
	if (delivery == NULL) fail_msg("nothing for %u", (unsigned)target_id);
	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
}

/* Many slow targets, with more deferred than may be in memory: the log goes on, and in the end
 * all get theirs, whichever comes back first. */
static void test_many_slow_targets(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 600, TARGETS = 12 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, 100 + i % TARGETS, FAST), RESULT_OK);
	}
	for (unsigned i = 0; i < 200 && queue_usage(world->queue).backlog > 0; i++) {
		pass_a_second(world);
	}
	assert_int_equal(queue_usage(world->queue).backlog, 0);
	for (unsigned i = 0; i < EVENTS; i++) settle_one(world, FAST);
	for (unsigned i = 0; i < 3 * EVENTS / TARGETS; i++) settle_one(world, 101 + i % 3);
	world_reopen(world);
	world_run(world);
	for (uint32_t target_id = 100; target_id < 100 + TARGETS; target_id++) {
		struct delivery *delivery;
		do {
			pass_a_second(world);
			delivery = queue_lease(world->queue, target_id);
			if (delivery != NULL) world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		} while (delivery != NULL);
	}
	pass_a_second(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * EVENTS);
	assert_int_equal(row_count(world, STORE_DEFERRED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_target_that_does_not_take, begin, end),
		cmocka_unit_test_setup_teardown(test_a_target_that_does_not_take_over_restarts,
			begin, end),
		cmocka_unit_test_setup_teardown(test_one_target_alone, begin, end),
		cmocka_unit_test_setup_teardown(test_a_target_that_fills_the_window_alone, begin,
			end),
		cmocka_unit_test_setup_teardown(test_a_target_that_has_all_behind_the_window_too,
			begin, end),
		cmocka_unit_test_setup_teardown(test_a_target_that_fills_the_window_after_a_restart,
			begin, end),
		cmocka_unit_test_setup_teardown(test_a_target_that_has_taken_the_whole_window,
			begin, end),
		cmocka_unit_test_setup_teardown(test_one_target_left, begin, end),
		cmocka_unit_test_setup_teardown(test_the_others_after_a_slow_target, begin, end),
		cmocka_unit_test_setup_teardown(test_a_backlog_that_moves, begin, end),
		cmocka_unit_test_setup_teardown(test_a_burst_after_a_quiet_time, begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_is_delivered, begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_is_tried_again, begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_over_a_restart, begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_settled_meanwhile, begin, end),
		cmocka_unit_test_setup_teardown(test_a_row_that_is_read_before_its_job_is_back,
			begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_while_a_target_spills, begin, end),
		cmocka_unit_test_setup_teardown(test_a_straggler_without_room, begin, end),
		cmocka_unit_test_setup_teardown(test_many_stragglers_leave_room, begin, end),
		cmocka_unit_test_setup_teardown(test_a_full_window_while_a_target_spills, begin,
			end),
		cmocka_unit_test_setup_teardown(test_full_schedule_while_a_target_spills, begin,
			end),
		cmocka_unit_test_setup_teardown(test_many_slow_targets, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

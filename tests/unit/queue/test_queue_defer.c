/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A slow target does not hold up the others, and loses nothing by it. */
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

/* Nobody takes what is for the slow target; the fast one gets all of its own all the same. Then
 * the slow one comes back and gets its own, in order. */
static void test_a_target_that_does_not_take(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 1000 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	world_deliver_all(world, FAST, 1, EVENTS);
	world_pass_a_second(world);
	assert_int_equal(queue_usage(world->queue).backlog, 0);
	assert_true(world_row_count(world, STORE_DEFERRED) > EVENTS - WINDOW);
	/* New ones come in and get in line. */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	world_deliver_all(world, FAST, EVENTS + 1, EVENTS + 10);
	world_deliver_all(world, SLOW, 1, EVENTS + 10);
	world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	/* It has caught up: nothing goes to disk any more. */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(world_append(world, 10, 2, SLOW, FAST), RESULT_OK);
	}
	world_run(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	world_deliver_all(world, SLOW, EVENTS + 11, EVENTS + 20);
	world_deliver_all(world, FAST, EVENTS + 11, EVENTS + 20);
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
	world_deliver_some(world, FAST, 1, EVENTS / 2);
	world_reopen(world);
	world_deliver_some(world, SLOW, 1, 40);
	world_reopen(world);
	world_deliver_all(world, FAST, EVENTS / 2 + 1, EVENTS);
	world_reopen(world);
	world_deliver_all(world, SLOW, 41, EVENTS);
	world_reopen(world);
	world_pass_a_second(world);
	assert_null(queue_lease(world->queue, SLOW));
	assert_null(queue_lease(world->queue, FAST));
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * EVENTS);
}

/* A row whose key is too long, before those of its target: which is found all the same. */
static void test_a_damaged_key_among_the_deferred(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 300, OTHER = SLOW - 1 };
	const uint8_t damaged[13] = { 0, 0, 0, SLOW };
	const struct bytes value = BYTES_LITERAL("rotten");
	struct store_txn txn;

	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 3, SLOW, FAST, OTHER), RESULT_OK);
	}
	world_deliver_all(world, FAST, 1, EVENTS);
	store_write_begin(&txn, world->shard->store);
	store_put(&txn, STORE_DEFERRED, bytes_of(damaged, sizeof damaged), &value, 1);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	world_reopen(world);
	assert_int_equal(queue_usage(world->queue).damaged_keys, 1);
	world_deliver_all(world, OTHER, 1, EVENTS);
	world_deliver_all(world, SLOW, 1, EVENTS);
}

/* With one target there is nobody to make room for: the window waits, nothing is deferred. */
static void test_one_target_alone(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 500 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < 10; i++) world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(queue_usage(world->queue).window_events, WINDOW);
	assert_int_equal(queue_usage(world->queue).backlog, EVENTS - WINDOW);
	world_deliver_all(world, SLOW, 1, EVENTS);
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
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	if (restart) world_reopen(world);
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	world_deliver_all(world, FAST, slow_count + 1, slow_count + 1);
	world_deliver_all(world, SLOW, 1, slow_count);
	world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
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

/* Whoever waits behind a long backlog is known at once, after a restart too. */
static void test_a_backlog_is_not_read_to_find_others(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < WINDOW + 3 * QUEUE_WORK_MAX; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	world_reopen(world);
	assert_false(look_behind_window(world->queue, SLOW));
	assert_true(look_behind_window(world->queue, FAST));
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	world_reopen(world);
	assert_true(look_behind_window(world->queue, SLOW));
	assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	assert_true(look_behind_window(world->queue, SLOW));
}

/* As it was written before it held the latest events. */
static void make_state_old(struct world *world)
{
	enum { LATEST_SIZE = 2 * (8 + 8) };
	const struct bytes key = BYTES_LITERAL("state");
	uint8_t memory[STORE_PAYLOAD_SIZE_MAX];
	struct store_txn txn = { 0 };
	struct store *store;
	struct bytes value;
	char error[256];

	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	assert_int_equal(store_get(&txn, STORE_META, key, &value), RESULT_OK);
	memcpy(memory, value.data, value.size);
	memory[0] = 1;
	value = bytes_of(memory, value.size - LATEST_SIZE);
	store_put(&txn, STORE_META, key, &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
}

/* Nobody knows whose its events are: it gives way, and knows from then on. */
static void test_a_store_from_before_it_knew_whose_events_are(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	world_close(world);
	make_state_old(world);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_true(look_behind_window(world->queue, SLOW));
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	world_check_ledger(world);
	world_deliver_all(world, SLOW, 1, 2 * WINDOW);
	assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	assert_false(look_behind_window(world->queue, SLOW));
	world_deliver_all(world, SLOW, 2 * WINDOW + 1, 2 * WINDOW + 1);
}

static void test_an_event_for_both_is_for_another(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	assert_int_equal(world_append(world, 10, 2, FAST, SLOW), RESULT_OK);
	assert_true(look_behind_window(world->queue, SLOW));
	assert_true(look_behind_window(world->queue, FAST));
}

/* The same when all of it is being sent, and nothing is ready. */
static void test_a_target_that_has_taken_the_whole_window(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < WINDOW; i++) world_lease(world, SLOW);
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	world_deliver_all(world, FAST, 2 * WINDOW + 1, 2 * WINDOW + 1);
}

/* A target that was there once does not count: nothing of it waits. */
static void test_one_target_left(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	world_deliver_all(world, FAST, 1, 1);
	for (unsigned i = 0; i < 2 * WINDOW; i++) {
		assert_int_equal(world_append(world, 10, 1, SLOW), RESULT_OK);
	}
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
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
	world_pass_a_second(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), WINDOW + EVENTS);
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
		assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	}
}

/* Neither does a burst after a quiet time: nothing has moved because there was nothing. */
static void test_a_burst_after_a_quiet_time(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 1000 };
	for (unsigned i = 0; i < 10; i++) world_pass_a_second(world);
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
		assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	}
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
		delivered += world_deliver_round(world, FAST);
	}
	assert_true(world_row_count(world, STORE_SCHEDULE) > 0);
	world_run(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED) +
			world_row_count(world, STORE_SCHEDULE),
		RETRIES + WINDOW);
}

static bool is_delivered(struct world *world, uint64_t sequence, uint32_t target_id)
{
	struct store_txn txn = { 0 };
	shard_read_begin(world->shard, &txn);
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
	for (unsigned i = 0; world_row_count(world, STORE_DEFERRED) == 0; i++) {
		assert_true(i < 40);
		world->now_us += US_PER_S / 10;
		world_deliver_round(world, FAST);
	}
	world->now_us += 5 * US_PER_S;
	unsigned rounds = 0;
	while (!is_delivered(world, retries + 1, FAST)) {
		assert_true(++rounds < 40);
		world->now_us += US_PER_S / 10;
		world_deliver_round(world, FAST);
	}
	assert_true(queue_usage(world->queue).backlog > 0);
}

static void settle_one(struct world *world, uint32_t target_id)
{
	struct delivery *delivery = queue_lease(world->queue, target_id);
	for (unsigned tries = 0; delivery == NULL && tries < 50; tries++) {
		world_pass_a_second(world);
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
		world_pass_a_second(world);
	}
	assert_int_equal(queue_usage(world->queue).backlog, 0);
	for (unsigned i = 0; i < EVENTS; i++) settle_one(world, FAST);
	for (unsigned i = 0; i < 3 * EVENTS / TARGETS; i++) settle_one(world, 101 + i % 3);
	world_reopen(world);
	world_run(world);
	for (uint32_t target_id = 100; target_id < 100 + TARGETS; target_id++) {
		struct delivery *delivery;
		do {
			world_pass_a_second(world);
			delivery = queue_lease(world->queue, target_id);
			if (delivery != NULL) world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
		} while (delivery != NULL);
	}
	world_pass_a_second(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, 2 * EVENTS);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_target_that_does_not_take, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_target_that_does_not_take_over_restarts,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_key_among_the_deferred, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_one_target_alone, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_target_that_fills_the_window_alone, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_target_that_has_all_behind_the_window_too,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_backlog_is_not_read_to_find_others, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_store_from_before_it_knew_whose_events_are,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_an_event_for_both_is_for_another, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_target_that_fills_the_window_after_a_restart,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_target_that_has_taken_the_whole_window,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_target_left, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_the_others_after_a_slow_target, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_backlog_that_moves, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_burst_after_a_quiet_time, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_window_while_a_target_spills, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_full_schedule_while_a_target_spills, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_many_slow_targets, begin, world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

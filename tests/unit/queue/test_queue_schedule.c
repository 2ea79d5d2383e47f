/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Retries of a slow target do not stand before those of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

/* A backlog of one target's retries does not stand before another's. */
static void test_retries_of_a_slow_target(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 100 };
	world->limits = (struct queue_limits){ 1024, { 1024, 64, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++)
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	assert_int_equal(world_append(world, 10, 1, 6), RESULT_OK);
	for (unsigned i = 0; i < EVENTS; i++) {
		world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us + 10 + i);
	}
	world_settle(world, world_lease(world, 6), ATTEMPT_RETRY, world->now_us + 500);
	world_run(world);
	world->now_us += 1000;
	world_run(world);
	assert_int_equal(world_deliver(world, 6), EVENTS + 1);
	world_run(world);
	bool seen[EVENTS + 1] = { false };
	for (unsigned i = 0; i < EVENTS; i++) {
		struct delivery *delivery;
		while ((delivery = queue_lease(world->queue, 5)) == NULL) world_run(world);
		assert_false(seen[delivery->sequence]);
		seen[delivery->sequence] = true;
		assert_int_equal(delivery->attempt_number, 2);
		assert_int_equal(delivery->tries, 1);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	}
	world_run(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, EVENTS + 1);
}

/* The same when the other target was never heard of since the start: its row is found behind more
 * rows than are looked at in one round. Before there is such a row, nothing is written. */
static void test_a_retry_behind_a_slow_target_after_a_restart(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 3 * QUEUE_WORK_MAX };
	world->limits = (struct queue_limits){ 4096, { 4096, 64, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
		world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us + 10 + i);
	}
	assert_int_equal(world_append(world, 10, 1, 6), RESULT_OK);
	world_settle(world, world_lease(world, 6), ATTEMPT_RETRY, world->now_us + 2 * EVENTS);
	world_run(world);
	world->now_us += 2 * EVENTS - 1;
	world_reopen(world);
	world_run(world);
	assert_int_equal(queue_usage(world->queue).ready, 16);
	/* It comes due with no settling to notice it. */
	assert_true(world->due_us <= world->now_us + US_PER_S);
	world->now_us = world->due_us;
	world_run(world);
	assert_int_equal(world_deliver(world, 6), EVENTS + 1);
	for (unsigned i = 0; i < EVENTS; i++) {
		struct delivery *delivery;
		while ((delivery = queue_lease(world->queue, 5)) == NULL) world_run(world);
		assert_int_equal(delivery->attempt_number, 2);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	}
	world_run(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, EVENTS + 1);
}

/* Retries of several targets that keep up only wait for their turn: nothing is written. */
static void test_many_retries_that_move(void **state)
{
	struct world *world = *state;
	enum { TARGETS = 5, EVENTS = 60 * TARGETS };
	world->limits = (struct queue_limits){ 1024, { 1024, 32, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		uint32_t target_id = 10 + i % TARGETS;
		assert_int_equal(world_append(world, 10, 1, target_id), RESULT_OK);
		world_settle(world, world_lease(world, target_id), ATTEMPT_RETRY,
			world->now_us + 10 + i);
	}
	world_run(world);
	world->now_us += 1000;
	for (unsigned delivered = 0; delivered < EVENTS;) {
		world->now_us += US_PER_S / 4;
		world_run(world);
		for (unsigned i = 0; i < 2 * TARGETS; i++) {
			if (queue_target_ready(world->queue, 10 + i % TARGETS) == 0) continue;
			world_deliver(world, 10 + i % TARGETS);
			delivered++;
		}
		assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	}
}

/* Several slow targets have all the room there is for retries, none of them more than it may: they
 * do not stand before another's either. */
static void test_retries_of_several_slow_targets(void **state)
{
	struct world *world = *state;
	enum { SLOW_TARGETS = 5, EVENTS = 8 * SLOW_TARGETS };
	world->limits = (struct queue_limits){ 1024, { 1024, 32, 64 }, 16 };
	world_reopen(world);
	for (unsigned i = 0; i <= EVENTS; i++) {
		uint32_t target_id = i == EVENTS ? 20 : 10 + i % SLOW_TARGETS;
		assert_int_equal(world_append(world, 10, 1, target_id), RESULT_OK);
		world_settle(world, world_lease(world, target_id), ATTEMPT_RETRY,
			world->now_us + 10 + i);
	}
	world_run(world);
	world->now_us += 1000;
	world_run(world);
	for (unsigned i = 0; i < 3 && queue_target_ready(world->queue, 20) == 0; i++) {
		assert_true(world->due_us <= world->now_us + US_PER_S);
		world->now_us = world->due_us;
		world_run(world);
	}
	assert_int_equal(queue_target_ready(world->queue, 20), 1);
	assert_int_equal(world_deliver(world, 20), EVENTS + 1);
	for (unsigned i = 0; i < EVENTS; i++) {
		struct delivery *delivery = queue_lease(world->queue, 10 + i % SLOW_TARGETS);
		for (unsigned tries = 0; delivery == NULL && tries < 3; tries++) {
			world_run(world);
			delivery = queue_lease(world->queue, 10 + i % SLOW_TARGETS);
		}
		assert_non_null(delivery);
		assert_int_equal(delivery->attempt_number, 2);
		assert_int_equal(delivery->tries, 1);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	}
	world_run(world);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, EVENTS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_retries_of_a_slow_target, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_retry_behind_a_slow_target_after_a_restart,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_many_retries_that_move, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_retries_of_several_slow_targets, world_setup,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

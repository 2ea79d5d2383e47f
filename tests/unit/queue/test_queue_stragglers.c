/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A slow answer does not hold up what comes after it; its delivery is neither lost nor doubled. */
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

/* An answer that takes for ever: the row of its delivery is on disk while it is under way, and
 * the window goes on, with one target too. Its settling leaves nothing behind. */
static void straggle(struct world *world, bool restart, enum attempt_outcome outcome)
{
	enum { EVENTS = 500 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	world_deliver_all(world, FAST, 2, EVENTS);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 1);
	if (restart) {
		world_reopen(world);
		world_run(world);
		straggler = world_lease(world, FAST);
	}
	assert_int_equal(straggler->sequence, 1);
	assert_int_equal(straggler->attempt_number, 1);
	world_settle(world, straggler, outcome, world->now_us + 5);
	world_run(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(world_row_count(world, STORE_SCHEDULE), outcome == ATTEMPT_RETRY);
	assert_int_equal(world_row_count(world, STORE_DEAD), outcome == ATTEMPT_DEAD);
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
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 1);
	assert_int_equal(queue_usage(world->queue).window_events, 0);
	assert_int_equal(world_deliver(world, FAST), 2);
	world_run(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
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
	world_deliver_all(world, FAST, SLOW_EVENTS + 1, ALL - 5);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), SLOW_EVENTS - 1);
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
	world_deliver_all(world, FAST, ALL - 4, ALL);
	assert_int_equal(world_row_count(world, STORE_DEFERRED), 0);
	assert_int_equal(shard_counters(world->shard).deliveries_delivered, ALL);
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
		delivered += world_deliver_round(world, FAST);
	}
	assert_true(world_row_count(world, STORE_SCHEDULE) > RETRIES / 2);
	world_settle(world, straggler, ATTEMPT_DELIVERED, 0);
	world_run(world);
	assert_int_equal(world_row_count(world, STORE_DEFERRED) +
			world_row_count(world, STORE_SCHEDULE),
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
	world_deliver_all(world, FAST, 1, EVENTS);
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	assert_int_equal(world->queue->origin_counts[ORIGIN_DEFERRED], ROOM);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	struct delivery *straggler = world_lease(world, FAST);
	world_deliver_all(world, FAST, EVENTS + 2, 2 * EVENTS);
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
	world_deliver_all(world, FAST, 1, EVENTS);
	world_pass_a_second(world);
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, FAST), RESULT_OK);
	}
	for (unsigned i = 0; i < STRAGGLERS; i++) world_lease(world, FAST);
	world_deliver_all(world, FAST, EVENTS + STRAGGLERS + 1, 2 * EVENTS);
	assert_int_equal(world->queue->origin_counts[ORIGIN_STRAGGLER], STRAGGLERS);
	world_deliver_all(world, SLOW, 1, EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_straggler_is_delivered, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_straggler_is_tried_again, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_straggler_over_a_restart, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_straggler_settled_meanwhile, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_row_that_is_read_before_its_job_is_back,
			begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_straggler_while_a_target_spills, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_straggler_without_room, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_many_stragglers_leave_room, begin,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is accepted is delivered, tried again when it is due, or parked, over restarts. */
#include "queue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

static int begin(void **state)
{
	static struct world world;
	world = (struct world){ 0 };
	world_open(&world);
	*state = &world;
	return 0;
}

static int end(void **state)
{
	world_end(*state);
	return 0;
}

static void assert_audit_valid(struct world *world, uint64_t leaf_count)
{
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
	assert_int_equal(report.leaf_count, leaf_count);
	assert_int_equal(report.checked_count + report.expired_count, leaf_count);
	assert_int_equal(report.mismatch_count, 0);
}

/* An event that is delivered leaves an attempt and two leaves, and nothing to do. */
static void test_delivered(void **state)
{
	struct world *world = *state;
	static uint8_t expected[WORLD_PAYLOAD_SIZE_MAX];
	const size_t size = 10000; /* three chunks */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delivered, begin, end),
		cmocka_unit_test_setup_teardown(test_retry_at_its_time, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

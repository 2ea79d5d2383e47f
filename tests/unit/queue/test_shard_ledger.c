/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ledger: what was accepted is delivered, pending or parked, for each endpoint, before and
 * after a restart; and a count of the rows finds out when it is not so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"

enum { ORDERS = 11, MAIL = 12 };
/* Event 1 is the second endpoint's, 2 the third's, 3 the first's. */
enum { FIRST = WORLD_ENDPOINT_FIRST, SECOND, THIRD };

static void assert_account(struct world *world, uint32_t endpoint_id, uint64_t delivered,
	uint64_t pending, uint64_t parked)
{
	struct account account = world_account(world, endpoint_id);
	assert_int_equal(account.delivered, delivered);
	assert_int_equal(account.pending, pending);
	assert_int_equal(account.parked, parked);
	assert_int_equal(account.accepted, delivered + pending + parked);
}

static void settle(struct world *world, uint32_t target_id, enum attempt_outcome outcome)
{
	world_settle(world, world_lease(world, target_id), outcome, world->now_us + 1);
	world_run(world);
}

static void replay(struct world *world, uint64_t sequence, uint32_t target_id)
{
	struct queue_dead_job dead = {
		.job = { .complete = world_append_done },
		.sequence = sequence,
		.target_id = target_id,
		.now = { world->now_us },
		.actor = "test",
	};
	queue_dead_replay(world->queue, &dead);
	world_run(world);
	assert_true(dead.found);
}

/* Event 1 to both targets: delivered and parked. 2: retried. 3: nothing yet. */
static void fill(struct world *world)
{
	assert_int_equal(world_append(world, 10, 2, ORDERS, MAIL), RESULT_OK);
	assert_int_equal(world_append(world, 10, 1, ORDERS), RESULT_OK);
	assert_int_equal(world_append(world, 10, 1, ORDERS), RESULT_OK);
	settle(world, ORDERS, ATTEMPT_DELIVERED);
	settle(world, MAIL, ATTEMPT_DEAD);
	settle(world, ORDERS, ATTEMPT_RETRY);
}

static void assert_filled(struct world *world)
{
	assert_account(world, SECOND, 1, 0, 1);
	assert_account(world, THIRD, 0, 1, 0);
	assert_account(world, FIRST, 0, 1, 0);
	assert_account(world, ACCOUNT_OTHERS, 0, 0, 0);
	world_check_ledger(world);
}

static void test_every_delivery_is_in_one_place(void **state)
{
	struct world *world = *state;
	fill(world);
	assert_filled(world);
	world_reopen(world);
	assert_filled(world);
	struct shard_ledger_check check;
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_OK);
	assert_int_equal(check.pending, 2);
	assert_int_equal(check.parked, 1);
}

/* Neither the replay nor what it leads to reads who the delivery is of from anywhere but disk. */
static void test_a_replayed_dead_letter_is_pending_again(void **state)
{
	struct world *world = *state;
	fill(world);
	world_reopen(world);
	replay(world, 1, MAIL);
	assert_account(world, SECOND, 1, 1, 0);
	world_check_ledger(world);
	settle(world, MAIL, ATTEMPT_DELIVERED);
	assert_account(world, SECOND, 2, 0, 0);
	world_check_ledger(world);
}

/* A target that an event names twice is delivered to once. */
static void test_a_repeated_target_is_one_delivery(void **state)
{
	struct world *world = *state;
	assert_int_equal(world_append(world, 10, 3, ORDERS, MAIL, ORDERS), RESULT_OK);
	assert_account(world, SECOND, 0, 2, 0);
	world_check_ledger(world);
	settle(world, ORDERS, ATTEMPT_DELIVERED);
	settle(world, MAIL, ATTEMPT_DELIVERED);
	assert_account(world, SECOND, 2, 0, 0);
}

/* What waits on disk for a target that is slow is pending as well. */
static void test_deferred_deliveries_are_counted(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < DELIVER_READY_PER_TARGET + 500; i++) {
		assert_int_equal(world_append(world, 10, 1, ORDERS), RESULT_OK);
	}
	for (unsigned i = 0; i < 5; i++) world_pass_a_second(world);
	world_check_ledger(world);
	world_reopen(world);
	world_check_ledger(world);
	struct shard_ledger_check check;
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_OK);
	assert_int_equal(check.pending, DELIVER_READY_PER_TARGET + 500);
}

/* ---- On disk --------------------------------------------------------------------------------- */

/* In a folder that is closed: `change` one row of META. */
static void change_row(struct world *world, struct bytes key, size_t at, uint8_t byte, size_t cut)
{
	uint8_t memory[STORE_PAYLOAD_SIZE_MAX];
	struct store_txn txn = { 0 };
	struct store *store;
	struct bytes value;
	char error[256];

	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	assert_int_equal(store_get(&txn, STORE_META, key, &value), RESULT_OK);
	memcpy(memory, value.data, value.size);
	memory[at] = byte;
	value = bytes_of(memory, value.size - cut);
	store_put(&txn, STORE_META, key, &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
}

/* A store from before there was a ledger: what waits and what is dead is found, what was delivered
 * is nobody's any more; and it stays like that over the next restart. */
static void test_an_older_store_gets_a_ledger(void **state)
{
	struct world *world = *state;
	fill(world);
	world_close(world);
	change_row(world, BYTES_LITERAL("state"), 0, 2, 0);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_account(world, SECOND, 0, 0, 1);
		assert_account(world, THIRD, 0, 1, 0);
		assert_account(world, FIRST, 0, 1 + (i > 0), 0);
		assert_account(world, ACCOUNT_OTHERS, 1, 0, 0);
		world_check_ledger(world);
		world_reopen(world);
		if (i > 0) continue;
		/* Event 4 is the second's, and so on: the first one that is the first's is 6. */
		for (unsigned event = 4; event <= 6; event++) {
			assert_int_equal(world_append(world, 10, event == 6, ORDERS), RESULT_OK);
		}
	}
}

static void test_a_wrong_account_is_found(void **state)
{
	struct world *world = *state;
	struct shard_ledger_check check;
	struct row_key key = row_ledger_key(THIRD);

	fill(world);
	world_close(world);
	change_row(world, row_key_bytes(&key), 1 + 2 * 8, 9, 0); /* pending */
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_OK);
	assert_int_equal(check.wrong, 1);
	assert_int_equal(check.wrong_endpoint_id, THIRD);
	assert_true(check.totals_agree);

	world_close(world);
	change_row(world, row_key_bytes(&key), 1 + 8, 9, 0); /* delivered */
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_OK);
	assert_false(check.totals_agree);
}

/* What it said nobody knows; events are delivered all the same. */
static void test_a_damaged_account_is_passed_over(void **state)
{
	struct world *world = *state;
	struct shard_ledger_check check;
	struct row_key key = row_ledger_key(THIRD);

	fill(world);
	world_close(world);
	change_row(world, row_key_bytes(&key), 0, 1, 1);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_account(world, SECOND, 1, 0, 1);
	assert_account(world, THIRD, 0, 0, 0);
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_OK);
	assert_int_equal(check.wrong, 1);
	assert_int_equal(check.wrong_endpoint_id, THIRD);
	settle(world, ORDERS, ATTEMPT_DELIVERED);
	world_close(world);
	change_row(world, row_key_bytes(&key), 0, 2, 0); /* of a format that is not known */
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_account(world, THIRD, 0, 0, 0);
}

/* More than may be looked at while events come in. */
static void test_too_much_is_not_counted(void **state)
{
	struct world *world = *state;
	struct shard_ledger_check check;
	struct store_txn txn = { 0 };
	const struct row_waiting waiting = { .attempt_number = 1 };

	fill(world);
	world_close(world);
	struct store *store;
	char error[256];
	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	for (uint32_t i = 0; i <= LEDGER_COUNT_ROWS_MAX; i++) {
		struct row_key key = row_schedule_key(world->now_us * 2 + i, 3, MAIL);
		row_put_waiting(&txn, STORE_SCHEDULE, &key, waiting);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_int_equal(shard_ledger_check(world->shard, &check), RESULT_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_delivery_is_in_one_place, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_replayed_dead_letter_is_pending_again,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_repeated_target_is_one_delivery, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_deferred_deliveries_are_counted, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_an_older_store_gets_a_ledger, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_wrong_account_is_found, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_account_is_passed_over, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_too_much_is_not_counted, world_setup,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

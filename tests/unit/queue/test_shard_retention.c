/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is settled goes after its time, with all that belongs to it; what is not stays; the audit
 * log knows the difference. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/world.h"
#include "queue/row.h"

#define HOUR_US (3600 * US_PER_S)

static int begin(void **state)
{
	static struct world world;
	world = (struct world){ 0 };
	world.config.retention_us = 10 * HOUR_US;
	/* Segments of the log as small as they can be. */
	world.config.store.quota_size = UINT64_C(32) << 20;
	world_open(&world);
	*state = &world;
	return 0;
}

static uint64_t row_count(struct world *world, enum store_table table)
{
	struct store_txn txn = { 0 };
	shard_read_begin(world->shard, &txn);
	uint64_t count = store_row_count(&txn, table);
	store_read_done(&txn);
	return count;
}

static bool event_is_there(struct world *world, uint64_t sequence)
{
	struct store_txn txn = { 0 };
	struct event event;
	shard_read_begin(world->shard, &txn);
	enum result result = shard_event_read(&txn, sequence, &event);
	store_read_done(&txn);
	assert_true(result == RESULT_OK || result == RESULT_NOT_FOUND);
	return result == RESULT_OK;
}

static void expire(struct world *world)
{
	world_run(world);
	for (unsigned i = 0; i < 20; i++) {
		shard_expire(world->shard, (wall_t){ world->now_us });
		world_run(world);
	}
}

static struct audit_report verify(struct world *world)
{
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	if (!report.valid) fail_msg("%s", report.error);
	world_check_ledger(world);
	return report;
}

static void test_a_damaged_key_keeps_nothing_behind_it(void **state)
{
	struct world *world = *state;
	uint8_t key[9] = { 0 };
	struct row_key second = row_event_key(2, 0);

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
		world_deliver(world, 5);
	}
	memcpy(key, second.memory, second.size);
	world_put_damaged_key(world, STORE_EVENTS, bytes_of(key, sizeof key));
	world->now_us += 11 * HOUR_US;
	expire(world);
	for (uint64_t i = 1; i <= 4; i++) assert_false(event_is_there(world, i));
}

static void test_a_damaged_key_hides_no_dead_letters(void **state)
{
	struct world *world = *state;
	uint8_t key[13] = { 0 };
	struct row_key first = row_dead_key(1, 6);
	struct dead_letter letter = { 0 };
	struct store_txn txn = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
		world_settle(world, world_lease(world, 5), ATTEMPT_DEAD, 0);
		world_run(world);
	}
	memcpy(key, first.memory, first.size);
	world_put_damaged_key(world, STORE_DEAD, bytes_of(key, sizeof key));
	shard_read_begin(world->shard, &txn);
	for (uint64_t i = 1; i <= 2; i++) {
		assert_int_equal(shard_dead_next(&txn, letter.sequence, letter.target_id, &letter),
			RESULT_OK);
		assert_int_equal(letter.sequence, i);
	}
	store_read_done(&txn);
}

static void test_settled_events_go(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 50 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 140000, 2, 5, 6), RESULT_OK);
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		world_deliver(world, 5);
		world_deliver(world, 6);
	}
	world->now_us += 9 * HOUR_US;
	expire(world);
	assert_int_equal(row_count(world, STORE_EVENTS), 3 * EVENTS);
	uint64_t used_size = store_space(shard_store(world->shard)).used_size;
	world->now_us += 2 * HOUR_US;
	expire(world);
	assert_int_equal(row_count(world, STORE_EVENTS), 0);
	assert_int_equal(row_count(world, STORE_ATTEMPTS), 0);
	assert_int_equal(row_count(world, STORE_REPLAY), 0);
	/* But for the segment that is written to. */
	uint64_t freed_size = EVENTS * UINT64_C(140000) - JOURNAL_SEGMENT_SIZE_MIN;
	assert_true(store_space(shard_store(world->shard)).used_size < used_size - freed_size);
	assert_int_equal(shard_counters(world->shard).events_expired, EVENTS);
	struct audit_report report = verify(world);
	assert_int_equal(report.leaf_count, 3 * EVENTS);
	assert_int_equal(report.expired_count, 3 * EVENTS);

	/* The shard goes on from there, also after a restart. */
	world_reopen(world);
	assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
	world_run(world);
	assert_int_equal(world_deliver(world, 5), EVENTS + 1);
	world_run(world);
	assert_int_equal(verify(world).checked_count, 2);
}

/* A dead letter, a retry that waits and an event nobody has tried keep their events, and only
 * theirs; once they are settled these go too. */
static void test_what_is_not_settled_stays(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(world_append(world, 10, 2, 5, 6), RESULT_OK);
		world_deliver(world, 6);
	}
	world_deliver(world, 5);
	world_settle(world, world_lease(world, 5), ATTEMPT_DEAD, 0);
	world_deliver(world, 5);
	world_settle(world, world_lease(world, 5), ATTEMPT_RETRY, world->now_us + 100 * HOUR_US);
	world_deliver(world, 5);
	world_run(world);
	world->now_us += 20 * HOUR_US;
	expire(world);
	static const bool kept[] = { false, true, false, true, false, true };
	for (unsigned i = 0; i < ARRAY_COUNT(kept); i++) {
		assert_int_equal(event_is_there(world, i + 1), kept[i]);
	}
	assert_int_equal(shard_counters(world->shard).events_expired, 3);
	struct audit_report report = verify(world);
	assert_int_equal(report.expired_count, 3 * 3);
	assert_int_equal(report.checked_count, 3 * 2 + 2);

	world_deliver(world, 5);
	world->now_us += 90 * HOUR_US;
	world_run(world);
	world_deliver(world, 5);
	world_run(world);
	world->now_us += HOUR_US;
	expire(world);
	assert_false(event_is_there(world, 4));
	assert_false(event_is_there(world, 6));
	assert_true(event_is_there(world, 2));
	verify(world);
	world_reopen(world);
	verify(world);
	assert_int_equal(row_count(world, STORE_DEAD), 1);
}

/* What has expired while nothing came in goes on one call, in as many commits as it takes. */
static void test_much_has_expired_in_an_idle_shard(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 3 * SHARD_EXPIRE_ROWS_MAX };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
		world_deliver(world, 5);
	}
	world_run(world);
	world->now_us += 11 * HOUR_US;
	shard_expire(world->shard, (wall_t){ world->now_us });
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	assert_int_equal(row_count(world, STORE_EVENTS), 0);
}

/* Flips a byte of the payload where the journal has it. Payloads of 256 events in a row differ. */
static void damage_payload(struct world *world, uint64_t sequence, size_t size)
{
	static uint8_t file[4 << 20];
	uint8_t payload[1024];
	char path[FOLDER_PATH_SIZE + 32];

	assert_true(size <= sizeof payload);
	world_payload(sequence, payload, size);
	snprintf(path, sizeof path, "%s/journal-0", world->folder);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = read(fd, file, sizeof file);
	assert_true(got > 0);
	const uint8_t *found = memmem(file, (size_t)got, payload, size);
	assert_non_null(found);
	payload[0] ^= 1;
	assert_int_equal(pwrite(fd, payload, 1, found - file), 1);
	close(fd);
}

/* How old they are, and whether they are settled, their attempts say; but for the first one. */
static void test_delivered_events_are_not_read(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 240, DAMAGED = 200, PAYLOAD_SIZE = 300 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, PAYLOAD_SIZE, 2, 5, 6), RESULT_OK);
		world_deliver(world, 5);
		world_deliver(world, 6);
	}
	world_run(world);
	world_close(world);
	for (unsigned i = 2; i < DAMAGED; i++) damage_payload(world, i, PAYLOAD_SIZE);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	world->now_us += 11 * HOUR_US;
	expire(world);
	assert_int_equal(row_count(world, STORE_EVENTS), 0);
	assert_int_equal(row_count(world, STORE_ATTEMPTS), 0);
	assert_int_equal(shard_counters(world->shard).events_expired, EVENTS);
	assert_int_equal(verify(world).expired_count, 3 * EVENTS);
}

/* Some are too young, one is dead, one is large. */
static void test_only_what_is_old_and_settled_goes(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 400, DEAD = 50, LARGE = 60, YOUNG = 301 };
	for (unsigned i = 1; i <= EVENTS; i++) {
		if (i == YOUNG) world->now_us += 2 * HOUR_US;
		size_t size = i == LARGE ? 140000 : 10;
		assert_int_equal(world_append(world, size, 1, 5), RESULT_OK);
		enum attempt_outcome outcome = i == DEAD ? ATTEMPT_DEAD : ATTEMPT_DELIVERED;
		world_settle(world, world_lease(world, 5), outcome, 0);
	}
	world_run(world);
	world->now_us += 9 * HOUR_US;
	expire(world);
	assert_int_equal(row_count(world, STORE_EVENTS), 1 + EVENTS - YOUNG + 1);
	assert_true(event_is_there(world, DEAD));
	assert_true(event_is_there(world, YOUNG));
	assert_false(event_is_there(world, YOUNG - 1));
	world->now_us += 2 * HOUR_US;
	expire(world);
	assert_int_equal(row_count(world, STORE_EVENTS), 1);
	verify(world);
}

/* An event that was deleted by somebody else before its time is missed. */
static void test_deleted_by_hand(void **state)
{
	struct world *world = *state;
	char error[256];
	struct store *store;
	struct store_txn txn;
	struct audit_report report;

	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(world_append(world, 10, 1, 5), RESULT_OK);
		world_deliver(world, 5);
		if (i == 4) world->now_us += 20 * HOUR_US;
	}
	expire(world);
	assert_int_equal(shard_counters(world->shard).events_expired, 5);
	assert_int_equal(verify(world).expired_count, 10);
	world_close(world);
	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	struct row_key key = row_event_key(8, 0);
	assert_true(store_delete(&txn, STORE_EVENTS, row_key_bytes(&key)));
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_false(report.valid);
	assert_int_equal(report.mismatch_count, 1);
}

/* Without being asked: as new ones come in, old ones go. The store stays as large as it is. */
static void test_a_steady_flow(void **state)
{
	struct world *world = *state;
	uint64_t size_max = 0;
	for (unsigned i = 0; i < 2000; i++) {
		world->now_us += 10 * HOUR_US / 200;
		assert_int_equal(world_append(world, 1000, 1, 5), RESULT_OK);
		world_deliver(world, 5);
		world_run(world);
		if (i == 500) size_max = store_space(shard_store(world->shard)).used_size;
	}
	world_run(world);
	assert_in_range(row_count(world, STORE_EVENTS), 195, 215);
	assert_in_range(row_count(world, STORE_ATTEMPTS), 195, 215);
	/* But for the leaves, which stay. */
	uint64_t leaves_size = 4000 * 100;
	assert_true(store_space(shard_store(world->shard)).used_size <
		size_max + leaves_size + 64 * 4096 + 2 * JOURNAL_SEGMENT_SIZE_MIN);
	struct audit_report report = verify(world);
	assert_int_equal(report.leaf_count, 4000);
	assert_in_range(report.checked_count, 390, 430);
}

/* An event with more rows than a commit deletes goes in pieces; none of them is seen as an event,
 * and all are gone in the end. */
static void test_a_large_event_goes_in_pieces(void **state)
{
	struct world *world = *state;
	static uint8_t payload[5 * 1024 * 1024];
	struct shard_append append = {
		.job = { .complete = world_append_done },
		.event = { .received = { world->now_us }, .target_count = 0 },
		.payload = bytes_of(payload, sizeof payload),
	};
	hash_sha256(append.payload, append.event.payload_sha256);
	shard_append_submit(world->shard, &append);
	world_run(world);
	assert_int_equal(append.job.result, RESULT_OK);
	queue_appended(world->queue, &append.event);
	world_run(world);
	verify(world);
	uint64_t rows = row_count(world, STORE_EVENTS);
	assert_int_equal(rows, sizeof payload / STORE_EVENT_VALUE_SIZE_MAX + 1);
	/* The mark goes to disk with the next commit; retention sees it with the one after. */
	expire(world);
	world->now_us += 11 * HOUR_US;
	unsigned commits = 0;
	while (rows > commits) {
		/* One new row, and some old ones less. */
		assert_int_equal(world_append(world, 10, 0), RESULT_OK);
		commits++;
		uint64_t left = row_count(world, STORE_EVENTS);
		assert_true(left <= rows);
		assert_in_range(rows + 1 - left, 1, 100);
		rows = left;
		assert_false(event_is_there(world, 1));
		assert_int_equal(verify(world).expired_count, 1);
	}
	assert_true(commits > 1);
	assert_int_equal(shard_counters(world->shard).events_expired, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_damaged_key_keeps_nothing_behind_it, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_key_hides_no_dead_letters, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_settled_events_go, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_settled_stays, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_much_has_expired_in_an_idle_shard, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_delivered_events_are_not_read, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_only_what_is_old_and_settled_goes, begin,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_deleted_by_hand, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_steady_flow, begin, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_large_event_goes_in_pieces, begin,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is appended can be read, comes back after a restart with its replay memory, and cannot
 * be changed afterwards without the audit finding it. */
#include "queue/shard.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/world.h"
#include "queue/row.h"

static void assert_payload(struct world *world, uint64_t sequence, size_t size)
{
	static uint8_t expected[WORLD_PAYLOAD_SIZE_MAX];
	struct store_txn txn = { 0 };
	struct event event;
	struct bytes part;

	shard_read_begin(world->shard, &txn);
	assert_int_equal(shard_event_read(&txn, sequence, &event), RESULT_OK);
	assert_int_equal(event.sequence, sequence);
	assert_int_equal(event.shard, 7);
	assert_int_equal(event.payload_size, size);
	world_payload(sequence, expected, size);
	for (size_t offset = 0; offset < size; offset += part.size) {
		assert_int_equal(shard_payload_read(&txn, &event, offset, &part), RESULT_OK);
		assert_true(part.size > 0 && part.size <= STORE_EVENT_VALUE_SIZE_MAX);
		assert_memory_equal(part.data, expected + offset, part.size);
	}
	assert_int_equal(shard_payload_read(&txn, &event, size, &part), RESULT_OK);
	assert_int_equal(part.size, 0);
	/* From the middle of a part too. */
	if (size > 10) {
		assert_int_equal(shard_payload_read(&txn, &event, size - 3, &part), RESULT_OK);
		assert_int_equal(part.size, 3);
		assert_memory_equal(part.data, expected + size - 3, 3);
	}
	assert_int_equal(shard_event_read(&txn, sequence + 1000, &event), RESULT_NOT_FOUND);
	assert_int_equal(shard_event_read(&txn, UINT64_MAX, &event), RESULT_NOT_FOUND);
	store_read_done(&txn);
}

static void test_payloads_of_every_size(void **state)
{
	struct world *world = *state;
	size_t sizes[64];
	unsigned count = 0;

	for (size_t size = 0; size < 3; size++) sizes[count++] = size;
	/* Around where the first chunk ends, and later ones: the header has some 170 bytes. */
	for (size_t size = STORE_EVENT_VALUE_SIZE_MAX - 175; size < STORE_EVENT_VALUE_SIZE_MAX + 2;
		size += 6) {
		sizes[count++] = size;
	}
	sizes[count++] = 2 * STORE_EVENT_VALUE_SIZE_MAX;
	sizes[count++] = WORLD_PAYLOAD_SIZE_MAX;
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(world_append(world, sizes[i], 1, 1), RESULT_OK);
	}
	for (unsigned i = 0; i < count; i++) assert_payload(world, i + 1, sizes[i]);
	world_reopen(world);
	for (unsigned i = 0; i < count; i++) assert_payload(world, i + 1, sizes[i]);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_true(report.valid);
	assert_int_equal(report.checked_count, count);
}

static void test_counters_survive(void **state)
{
	struct world *world = *state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(world_append(world, 100, 3, 1, 2, 3), RESULT_OK);
	}
	for (unsigned i = 0; i < 5; i++) world_deliver(world, 1);
	for (unsigned i = 0; i < 4; i++) {
		world_settle(world, world_lease(world, 2), ATTEMPT_DEAD, 0);
	}
	world_run(world);
	struct shard_counters before = shard_counters(world->shard);
	assert_int_equal(before.events_accepted, 20);
	assert_int_equal(before.deliveries_created, 60);
	assert_int_equal(before.deliveries_delivered, 5);
	assert_int_equal(before.deliveries_dead, 4);
	assert_int_equal(before.attempts, 9);
	assert_int_equal(before.next_sequence, 21);
	assert_int_equal(before.leaf_count, 29);
	world_reopen(world);
	struct shard_counters after = shard_counters(world->shard);
	assert_memory_equal(&before, &after, sizeof before);
}

/* After a restart a replayed event is known, with where its original is, until it expires. */
static void test_replay_memory_survives(void **state)
{
	struct world *world = *state;
	enum { EVENTS = 250 };
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 10, 1, 1), RESULT_OK);
	}
	const uint64_t received_us = world->now_us;
	world_reopen(world);
	for (uint64_t sequence = 1; sequence <= EVENTS; sequence++) {
		struct hash128 identity = { .low = sequence, .high = 42 };
		struct replay_place place = { 0 };
		assert_int_equal(replay_reserve(world->replay, identity, sequence * 3,
					 (wall_t){ received_us + US_PER_S }, &place),
			REPLAY_DUPLICATE);
		assert_int_equal(place.sequence, sequence);
		assert_int_equal(place.shard, 7);
		assert_true(place.received_us == received_us);
		assert_int_equal(replay_reserve(world->replay, identity, 1,
					 (wall_t){ received_us + US_PER_S }, &place),
			REPLAY_CONFLICT);
	}
	struct hash128 first = { .low = 1, .high = 42 };
	struct replay_place place;
	assert_int_equal(replay_reserve(world->replay, first, 3,
				 (wall_t){ received_us + 3602 * US_PER_S }, &place),
		REPLAY_NEW);
	replay_release(world->replay, first);
}

static void test_names(void **state)
{
	struct world *world = *state;
	char name[NAME_SIZE_MAX + 1];
	char longest[NAME_SIZE_MAX + 1];
	struct store_txn txn = { 0 };

	memset(longest, 'n', NAME_SIZE_MAX);
	longest[NAME_SIZE_MAX] = '\0';
	assert_int_equal(world_remember_name(world->shard, 't', 1, "orders"), RESULT_OK);
	assert_int_equal(world_remember_name(world->shard, 't', 1, "orders"), RESULT_OK);
	assert_int_equal(world_remember_name(world->shard, 'e', 1, "github"), RESULT_OK);
	assert_int_equal(world_remember_name(world->shard, 't', 2, longest), RESULT_OK);
	assert_int_equal(world_remember_name(world->shard, 't', 1, "invoices"), RESULT_OK);
	world_reopen(world);
	shard_read_begin(world->shard, &txn);
	shard_name(&txn, 't', 1, name);
	assert_string_equal(name, "invoices");
	shard_name(&txn, 'e', 1, name);
	assert_string_equal(name, "github");
	shard_name(&txn, 't', 2, name);
	assert_string_equal(name, longest);
	shard_name(&txn, 't', 3, name);
	assert_string_equal(name, "?");
	store_read_done(&txn);
}

/* A start with thousands of endpoints is one commit, the next with the same ones none. */
static void test_many_names_are_one_commit(void **state)
{
	enum { COUNT = 3000 };
	struct world *world = *state;
	static struct shard_name names[COUNT];
	static char texts[COUNT][16];
	char name[NAME_SIZE_MAX + 1];
	struct store_txn txn = { 0 };

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof texts[i], "endpoint-%u", i);
		names[i] = (struct shard_name){ 'e', i + 1, texts[i] };
	}
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(shard_remember_names(world->shard, names, COUNT), RESULT_OK);
		assert_int_equal(store_writer_statistics(shard_writer(world->shard)).commits, 1);
	}
	shard_read_begin(world->shard, &txn);
	for (unsigned i = 0; i < COUNT; i++) {
		shard_name(&txn, 'e', i + 1, name);
		assert_string_equal(name, texts[i]);
	}
	store_read_done(&txn);
}

static void test_attempts_and_dead_letters_are_listed(void **state)
{
	struct world *world = *state;
	struct store_txn txn = { 0 };
	struct attempt attempt;
	struct dead_letter letter;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(world_append(world, 10, 2, 5, UINT32_MAX), RESULT_OK);
	}
	for (unsigned try = 0; try < 3; try++) {
		struct delivery *delivery = world_lease(world, 5);
		assert_int_equal(delivery->attempt_number, 1);
		world_settle(world, delivery, try == 2 ? ATTEMPT_DEAD : ATTEMPT_RETRY,
			world->now_us + 5);
		world_settle(world, world_lease(world, UINT32_MAX), ATTEMPT_DEAD, 0);
	}
	world_run(world);
	world->now_us += 10;
	world_run(world);
	struct delivery *second = world_lease(world, 5);
	assert_int_equal(second->sequence, 1);
	world_settle(world, second, ATTEMPT_DELIVERED, 0);
	world_run(world);

	shard_read_begin(world->shard, &txn);
	assert_int_equal(shard_attempt_next(&txn, 1, 5, 0, &attempt), RESULT_OK);
	assert_int_equal(attempt.number, 1);
	assert_int_equal(attempt.outcome, ATTEMPT_RETRY);
	assert_int_equal(attempt.sequence, 1);
	assert_int_equal(attempt.target_id, 5);
	assert_true(bytes_equal(attempt.detail, BYTES_LITERAL("the answer was 503")));
	assert_true(bytes_equal(attempt.excerpt, BYTES_LITERAL("try later")));
	assert_int_equal(shard_attempt_next(&txn, 1, 5, 1, &attempt), RESULT_OK);
	assert_int_equal(attempt.number, 2);
	assert_int_equal(attempt.outcome, ATTEMPT_DELIVERED);
	assert_int_equal(shard_attempt_next(&txn, 1, 5, 2, &attempt), RESULT_NOT_FOUND);
	assert_int_equal(shard_attempt_next(&txn, 1, 5, UINT16_MAX, &attempt), RESULT_NOT_FOUND);
	assert_int_equal(shard_attempt_next(&txn, 1, 6, 0, &attempt), RESULT_NOT_FOUND);

	static const struct {
		uint64_t sequence;
		uint32_t target_id;
	} dead[] = { { 1, UINT32_MAX }, { 2, UINT32_MAX }, { 3, 5 }, { 3, UINT32_MAX } };
	letter = (struct dead_letter){ 0 };
	for (size_t i = 0; i < ARRAY_COUNT(dead); i++) {
		assert_int_equal(shard_dead_next(&txn, letter.sequence, letter.target_id, &letter),
			RESULT_OK);
		assert_int_equal(letter.sequence, dead[i].sequence);
		assert_int_equal(letter.target_id, dead[i].target_id);
		assert_int_equal(letter.attempt_count, 1);
		assert_int_equal(letter.status, 503);
	}
	assert_int_equal(shard_dead_next(&txn, letter.sequence, letter.target_id, &letter),
		RESULT_NOT_FOUND);
	assert_int_equal(shard_delivery_state(&txn, 1, 5), DELIVERY_DELIVERED);
	assert_int_equal(shard_delivery_state(&txn, 2, 5), DELIVERY_RETRY);
	assert_int_equal(shard_delivery_state(&txn, 3, 5), DELIVERY_DEAD);
	assert_int_equal(shard_delivery_state(&txn, 3, 6), DELIVERY_PENDING);
	assert_string_equal(delivery_state_code(DELIVERY_DEAD), "dead");
	store_read_done(&txn);
}

/* ---- What was changed afterwards ----------------------------------------------------------- */

enum { EVENTS = 10, CHANGED = 4 };

static void fill(struct world *world)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(world_append(world, 70000, 1, 5), RESULT_OK);
	}
	for (unsigned i = 0; i < EVENTS; i++) world_deliver(world, 5);
	world_run(world);
}

/* With the right checksums: as somebody would who knows the format. */
static void change(struct world *world, enum store_table table, struct row_key key, size_t offset,
	uint8_t bits)
{
	char error[256];
	static uint8_t memory[STORE_EVENT_VALUE_SIZE_MAX];
	struct store *store;
	struct store_txn txn;
	struct bytes value;

	world_close(world);
	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	if (bits == 0) {
		assert_true(store_delete(&txn, table, row_key_bytes(&key)));
	} else {
		assert_int_equal(store_get(&txn, table, row_key_bytes(&key), &value), RESULT_OK);
		memcpy(memory, value.data, value.size);
		assert_true(offset < value.size);
		memory[offset] ^= bits;
		value.data = memory;
		assert_true(store_delete(&txn, table, row_key_bytes(&key)));
		store_put(&txn, table, row_key_bytes(&key), &value, 1);
		store_write_through(&txn);
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
}

static void assert_found(struct world *world, uint64_t index)
{
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_false(report.valid);
	assert_int_equal(report.first_bad_index, index);
	assert_true(report.error[0] != '\0');
}

/* Offset 11: in tenant_id, after format, size and time. */
static void test_changed_header(void **state)
{
	fill(*state);
	change(*state, STORE_EVENTS, row_event_key(CHANGED, 0), 11, 1);
	assert_found(*state, CHANGED - 1);
}

static void test_changed_payload(void **state)
{
	fill(*state);
	change(*state, STORE_EVENTS, row_event_key(CHANGED, 1), 1000, 0x80);
	assert_found(*state, CHANGED - 1);
}

static void test_missing_event(void **state)
{
	fill(*state);
	change(*state, STORE_EVENTS, row_event_key(CHANGED, 0), 0, 0);
	assert_found(*state, CHANGED - 1);
}

static void test_missing_payload(void **state)
{
	fill(*state);
	change(*state, STORE_EVENTS, row_event_key(CHANGED, 1), 0, 0);
	assert_found(*state, CHANGED - 1);
}

/* The outcome, say. */
static void test_changed_attempt(void **state)
{
	fill(*state);
	change(*state, STORE_ATTEMPTS, row_attempt_key(CHANGED, 5, 1), 3, 1);
	assert_found(*state, EVENTS + CHANGED - 1);
}

static void test_missing_attempt(void **state)
{
	fill(*state);
	change(*state, STORE_ATTEMPTS, row_attempt_key(CHANGED, 5, 1), 0, 0);
	assert_found(*state, EVENTS + CHANGED - 1);
}

/* A shard whose tables do not fit together is not opened. */
static void test_missing_tail(void **state)
{
	struct world *world = *state;
	char error[256] = "";
	struct store *store;
	struct store_txn txn;

	fill(world);
	world_close(world);
	assert_int_equal(store_open(&world->config.store, &store, error, sizeof error), RESULT_OK);
	store_write_begin(&txn, store);
	for (uint16_t chunk = 0; chunk < 2; chunk++) {
		struct row_key key = row_event_key(EVENTS, chunk);
		assert_true(store_delete(&txn, STORE_EVENTS, row_key_bytes(&key)));
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	store_close(store);
	assert_int_equal(world_open_at(world, world->folder), RESULT_MALFORMED);
}

/* ---- With threads -------------------------------------------------------------------------- */

struct reader_thread {
	struct shard *shard;
	atomic_bool stop;
	uint64_t events_read;
};

/* Whatever the counters say is committed can be read, at any time. */
static void *read_all_the_time(void *argument)
{
	struct reader_thread *thread = argument;
	struct store_txn txn = { 0 };
	uint64_t last = 0;

	while (!atomic_load(&thread->stop)) {
		struct shard_counters counters = shard_counters(thread->shard);
		CHECK(counters.next_sequence - 1 >= last);
		CHECK(counters.events_accepted == counters.next_sequence - 1);
		last = counters.next_sequence - 1;
		shard_read_begin(thread->shard, &txn);
		for (uint64_t i = last > 3 ? last - 3 : 1; i <= last; i++) {
			struct event event;
			struct bytes part;
			CHECK(shard_event_read(&txn, i, &event) == RESULT_OK);
			CHECK(shard_payload_read(&txn, &event, 0, &part) == RESULT_OK);
			thread->events_read++;
		}
		store_read_end(&txn);
	}
	store_read_done(&txn);
	return NULL;
}

struct append_thread {
	struct shard_append append;
	atomic_bool done;
};

static void append_thread_done(struct store_job *job)
{
	struct append_thread *thread = CONTAINER_OF(job, struct append_thread, append.job);
	CHECK(job->result == RESULT_OK);
	atomic_store(&thread->done, true);
}

static void test_appending_and_reading_at_once(void **state)
{
	struct world *world = *state;
	enum { FLIGHTS = 16, ROUNDS = 100 };
	static struct append_thread appends[FLIGHTS];
	static const uint8_t payload[6000];
	char error[256];
	pthread_t thread;

	world_close(world);
	struct shard_config config = world->config;
	config.replay = NULL;
	config.threaded = true;
	assert_int_equal(shard_open(&config, &world->shard, error, sizeof error), RESULT_OK);
	struct reader_thread reader = { .shard = world->shard };
	assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &reader), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < FLIGHTS; i++) {
			appends[i] = (struct append_thread){
				.append = {
					.job = { .complete = append_thread_done },
					.event = { .received = { world->now_us } },
					.payload = bytes_of(payload, sizeof payload),
				},
			};
			hash_sha256(appends[i].append.payload,
				appends[i].append.event.payload_sha256);
			shard_append_submit(world->shard, &appends[i].append);
		}
		for (unsigned i = 0; i < FLIGHTS; i++) {
			while (!atomic_load(&appends[i].done)) sched_yield();
		}
	}
	atomic_store(&reader.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(world_remember_name(world->shard, 't', 5, "five"), RESULT_OK);
	assert_int_equal(shard_counters(world->shard).events_accepted, FLIGHTS * ROUNDS);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_true(report.valid);
	shard_close(world->shard);
	world->shard = NULL;
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void action_done(struct store_job *job)
{
	assert_int_equal(job->result, RESULT_OK);
}

/* Two of them, in one commit. */
static void act(struct world *world)
{
	struct shard_action actions[2];
	for (unsigned i = 0; i < ARRAY_COUNT(actions); i++) {
		actions[i] = (struct shard_action){
			.job.complete = action_done,
			.kind = i == 0 ? SHARD_ACTION_RELOAD : SHARD_ACTION_STOP,
			.when = { world->now_us + i },
			.actor = "alice uid 1000 pid 4711",
			.text = "generation 2",
		};
		shard_action_submit(world->shard, &actions[i]);
	}
	world_run(world);
}

static void test_actions_are_kept_with_a_leaf(void **state)
{
	struct world *world = *state;
	struct store_txn txn = { 0 };
	struct shard_action_row row;

	shard_read_begin(world->shard, &txn);
	assert_int_equal(shard_action_before(&txn, 0, &row), RESULT_NOT_FOUND);
	store_read_done(&txn);
	fill(world);
	act(world);
	world_reopen(world);
	act(world);
	shard_read_begin(world->shard, &txn);
	uint64_t before = 0;
	for (unsigned left = 4; left > 0; left--) {
		assert_int_equal(shard_action_before(&txn, before, &row), RESULT_OK);
		assert_int_equal(row.counter, left);
		assert_string_equal(shard_action_text(row.kind), left % 2 == 1 ? "reload" : "stop");
		assert_true(bytes_equal(row.actor, BYTES_LITERAL("alice uid 1000 pid 4711")));
		assert_true(bytes_equal(row.text, BYTES_LITERAL("generation 2")));
		before = row.counter;
	}
	assert_int_equal(shard_action_before(&txn, before, &row), RESULT_NOT_FOUND);
	store_read_done(&txn);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_true(report.valid);
	assert_int_equal(report.checked_count, 2 * EVENTS + 4);
}

static void test_changed_action(void **state)
{
	fill(*state);
	act(*state);
	change(*state, STORE_ACTIONS, row_action_key(2), 12, 1);
	assert_found(*state, 2 * EVENTS + 1);
}

/* Nothing excuses a missing one: retention never takes them. */
static void test_missing_action(void **state)
{
	struct world *world = *state;
	act(world);
	fill(world);
	world_close(world);
	world->config.retention_us = US_PER_S;
	assert_int_equal(world_open_at(world, world->folder), RESULT_OK);
	world->now_us += 10 * US_PER_S;
	for (unsigned i = 0; i < 2 * EVENTS; i++) {
		shard_expire(world->shard, (wall_t){ world->now_us });
		world_run(world);
	}
	assert_true(shard_counters(world->shard).events_expired > 0);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(world->shard, NULL, NULL, &report), RESULT_OK);
	assert_true(report.valid);
	change(world, STORE_ACTIONS, row_action_key(1), 0, 0);
	assert_found(world, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_payloads_of_every_size, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_counters_survive, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_replay_memory_survives, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_names, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_many_names_are_one_commit, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_attempts_and_dead_letters_are_listed,
			world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_changed_header, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_changed_payload, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_missing_event, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_actions_are_kept_with_a_leaf, world_setup,
			world_teardown),
		cmocka_unit_test_setup_teardown(test_changed_action, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_missing_action, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_missing_payload, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_changed_attempt, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_missing_attempt, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_missing_tail, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_appending_and_reading_at_once, world_setup,
			world_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

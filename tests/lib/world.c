/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/world.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"

/* Some time in 2026. */
#define WORLD_START_US UINT64_C(1790000000000000)

static void on_ready(void *owner, uint32_t target_id)
{
	struct world *world = owner;
	CHECK(target_id != 0);
	world->ready_calls++;
}

static void on_wake(void *owner)
{
	struct world *world = owner;
	world->wakes++;
}

static void on_due(void *owner, wall_t when)
{
	struct world *world = owner;
	world->due_us = when.us;
}

static void on_failed(void *owner, enum result result)
{
	struct world *world = owner;
	CHECK(world->failed == RESULT_OK);
	world->failed = result;
}

enum result world_open_at(struct world *world, const char *folder)
{
	char error[256] = "";
	const struct queue_events events = {
		.ready = on_ready,
		.wake = on_wake,
		.due = on_due,
		.owner = world,
	};

	world->config.store.path = folder;
	world->config.failed = on_failed;
	world->config.owner = world;
	world->due_us = UINT64_MAX;
	world->failed = RESULT_OK;
	enum result result = replay_open(4096, (struct hash128){ 1, 2 }, &world->replay);
	CHECK(result == RESULT_OK);
	world->config.replay = world->replay;
	result = shard_open(&world->config, &world->shard, error, sizeof error);
	if (result == RESULT_OK) {
		const wall_t now = { world->now_us };
		result = world->limits.window_events == 0
			? queue_open(world->shard, &events, now, &world->queue)
			: queue_open_limited(world->shard, &events, now, &world->limits,
				  &world->queue);
		CHECK(result == RESULT_OK);
	} else {
		fprintf(stderr, "world: %s\n", error);
		world->shard = NULL;
		replay_close(world->replay);
	}
	return result;
}

void world_open(struct world *world)
{
	folder_make(world->folder);
	world->config.store.shard = 7;
	if (world->config.store.quota_size == 0) {
		world->config.store.quota_size = UINT64_C(256) << 20;
	}
	world->config.cpu = -1;
	world->now_us = WORLD_START_US;
	CHECK(world_open_at(world, world->folder) == RESULT_OK);
}

void world_close(struct world *world)
{
	queue_close(world->queue);
	shard_close(world->shard);
	replay_close(world->replay);
	world->queue = NULL;
	world->shard = NULL;
}

void world_reopen(struct world *world)
{
	world_close(world);
	CHECK(world_open_at(world, world->folder) == RESULT_OK);
}

void world_end(struct world *world)
{
	if (world->shard != NULL) world_close(world);
	folder_remove(world->folder);
}

int world_setup(void **state)
{
	static struct world world;

	world = (struct world){ 0 };
	world_open(&world);
	*state = &world;
	return 0;
}

int world_teardown(void **state)
{
	world_end(*state);
	return 0;
}

void world_payload(uint64_t sequence, uint8_t *payload, size_t size)
{
	for (size_t i = 0; i < size; i++) payload[i] = (uint8_t)(sequence * 31 + i * 7 + i / 251);
}

void world_append_done(struct store_job *job)
{
	CHECK(job->result < RESULT_COUNT);
}

enum result world_append(struct world *world, size_t payload_size, unsigned target_count, ...)
{
	static uint8_t payload[WORLD_PAYLOAD_SIZE_MAX];
	uint64_t sequence = shard_counters(world->shard).next_sequence;
	uint32_t endpoint_id = WORLD_ENDPOINT_FIRST + (uint32_t)(sequence % WORLD_ENDPOINTS);
	struct shard_append append = {
		.job = { .complete = world_append_done },
		.event = {
			.received = { world->now_us },
			.tenant_id = 1,
			.endpoint_id = endpoint_id,
			.flow_version = 3,
			.target_count = (uint8_t)target_count,
			.content_type = BYTES_LITERAL("application/json"),
			.provider_event_id = BYTES_LITERAL("evt-of-provider"),
			.forward_fields = BYTES_LITERAL("x-topic: orders\r\n"),
		},
		.payload = bytes_of(payload, payload_size),
		.identity = { .low = sequence, .high = 42 },
		.body_hash = sequence * 3,
		.replay_expires = { world->now_us + 3600 * US_PER_S },
	};
	va_list targets;

	CHECK(payload_size <= sizeof payload);
	world_payload(sequence, payload, payload_size);
	hash_sha256(append.payload, append.event.payload_sha256);
	va_start(targets, target_count);
	for (unsigned i = 0; i < target_count; i++) {
		append.event.target_ids[i] = va_arg(targets, unsigned);
	}
	va_end(targets);
	shard_append_submit(world->shard, &append);
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	if (append.job.result == RESULT_OK) {
		CHECK(append.event.sequence == sequence);
		if (!world->untold) queue_appended(world->queue, &append.event);
	}
	return append.job.result;
}

void world_run(struct world *world)
{
	unsigned committed;
	do {
		world->wakes = 0;
		queue_work(world->queue, (wall_t){ world->now_us });
		committed = store_writer_step(shard_writer(world->shard));
	} while (committed > 0 || world->wakes > 0);
}

struct delivery *world_lease(struct world *world, uint32_t target_id)
{
	struct delivery *delivery = queue_lease(world->queue, target_id);
	CHECK(delivery != NULL);
	CHECK(delivery->target_id == target_id);
	return delivery;
}

void world_settle(struct world *world, struct delivery *delivery, enum attempt_outcome outcome,
	uint64_t next_due_us)
{
	const struct attempt attempt = {
		.outcome = outcome,
		.error = outcome == ATTEMPT_DELIVERED ? ATTEMPT_ERROR_NONE : ATTEMPT_ERROR_STATUS,
		.status = outcome == ATTEMPT_DELIVERED ? 200 : 503,
		.started = { world->now_us },
		.duration_us = 1500,
		.next_due = { next_due_us },
		.detail = BYTES_LITERAL("the answer was 503"),
		.excerpt = BYTES_LITERAL("try later"),
	};
	queue_settle(world->queue, delivery, &attempt);
}

uint64_t world_deliver(struct world *world, uint32_t target_id)
{
	struct delivery *delivery = world_lease(world, target_id);
	uint64_t sequence = delivery->sequence;
	world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	return sequence;
}

void world_pass_a_second(struct world *world)
{
	world_run(world);
	world->now_us += US_PER_S;
	world_run(world);
}

void world_deliver_some(struct world *world, uint32_t target_id, uint64_t first, uint64_t last)
{
	for (uint64_t sequence = first; sequence <= last; sequence++) {
		for (unsigned i = 0; queue_target_ready(world->queue, target_id) == 0; i++) {
			CHECK(i < 100);
			/* Those of a target that spills are asked for by leasing. */
			struct delivery *none = queue_lease(world->queue, target_id);
			CHECK(none == NULL);
			world_pass_a_second(world);
		}
		struct delivery *delivery = world_lease(world, target_id);
		CHECK(delivery->sequence == sequence);
		CHECK(delivery->attempt_number == 1);
		world_settle(world, delivery, ATTEMPT_DELIVERED, 0);
	}
	world_run(world);
}

void world_deliver_all(struct world *world, uint32_t target_id, uint64_t first, uint64_t last)
{
	world_deliver_some(world, target_id, first, last);
	CHECK(queue_lease(world->queue, target_id) == NULL);
}

unsigned world_deliver_round(struct world *world, uint32_t target_id)
{
	unsigned count = 0;
	queue_work(world->queue, (wall_t){ world->now_us });
	for (; queue_target_ready(world->queue, target_id) > 0; count++) {
		world_deliver(world, target_id);
	}
	store_writer_step(shard_writer(world->shard));
	return count;
}

uint64_t world_row_count(struct world *world, enum store_table table)
{
	struct store_txn txn = { 0 };
	shard_read_begin(world->shard, &txn);
	uint64_t count = store_row_count(&txn, table);
	store_read_done(&txn);
	return count;
}

enum result world_remember_name(struct shard *shard, char kind, uint32_t id, const char *text)
{
	const struct shard_name name = { kind, id, text };
	return shard_remember_names(shard, &name, 1);
}

void world_put_damaged_key(struct world *world, enum store_table table, struct bytes key)
{
	struct store_txn txn;
	struct bytes value = BYTES_LITERAL("rotten");

	store_write_begin(&txn, world->shard->store);
	store_put(&txn, table, key, &value, 1);
	store_write_through(&txn);
	CHECK(store_write_commit(&txn) == RESULT_OK);
}

void world_check_ledger(struct world *world)
{
	struct shard_ledger_check check;
	enum result result = shard_ledger_check(world->shard, &check);
	CHECK(result == RESULT_OK);
	CHECK(check.wrong == 0);
	CHECK(check.totals_agree);
}

struct account world_account(struct world *world, uint32_t endpoint_id)
{
	struct account accounts[WORLD_ENDPOINTS + 1];
	uint32_t count = shard_ledger_copy(world->shard, accounts, WORLD_ENDPOINTS + 1);
	for (uint32_t i = 0; i < count; i++) {
		if (accounts[i].endpoint_id == endpoint_id) return accounts[i];
	}
	return (struct account){ .endpoint_id = endpoint_id };
}

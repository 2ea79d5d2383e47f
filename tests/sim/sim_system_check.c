/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of the simulated daemon, held against the ledger. */
#include "sim/sim_system.h"

#include "base/alloc.h"
#include "base/check.h"

/* A world's clock starts before this. */
#define SIM_START_US_MAX (1001 * US_PER_S)
/* The clocks of the loops, and what the wall clock was shifted by. */
#define CLOCK_ERROR_US (120 * US_PER_S)
#define REPLAY_WINDOW_US (REPLAY_WINDOW_S_DEFAULT * US_PER_S)

static void read_payload(struct store_txn *txn, const struct event *event, struct writer *to)
{
	struct bytes piece;

	for (uint64_t offset = 0;; offset += piece.size) {
		CHECK(shard_payload_read(txn, event, offset, &piece) == RESULT_OK);
		if (piece.size == 0) break;
		write_bytes(to, piece);
	}
	CHECK(!to->failed);
}

/* Deliveries of an event by state. */
static void count_states(struct system *system, struct store_txn *txn, const struct event *event,
	uint32_t number, uint64_t counts[static DELIVERY_DEAD + 1])
{
	const struct ledger_event *entry = &system->ledger.events[number];

	for (uint32_t i = 0; i < event->target_count; i++) {
		const struct flow_target *target =
			flow_target_by_id(system->flow, event->target_ids[i]);
		CHECK(target != NULL);
		enum delivery_state state =
			shard_delivery_state(txn, event->sequence, event->target_ids[i]);
		counts[state]++;
		/* Delivered means that the target said so. */
		if (state == DELIVERY_DELIVERED && entry->taken[target->index] == 0) {
			sim_violation(system->world, "event %u is not at target %s", number,
				target->name);
		}
	}
}

/* Returns false when retention has taken it. */
static bool check_event(struct system *system, struct store_txn *txn, uint32_t shard,
	uint64_t sequence, bool *seen, uint64_t *counts)
{
	static uint8_t memory[LEDGER_BODY_SIZE_MAX + 256];
	struct writer payload = writer_of(memory, sizeof memory);
	struct event event = { .shard = (uint16_t)shard };
	char id[EVENT_ID_TEXT_SIZE];

	enum result result = shard_event_read(txn, sequence, &event);
	if (result == RESULT_NOT_FOUND && system->plan.retention_us > 0) return false;
	if (result != RESULT_OK) {
		sim_violation(system->world, "event %llu of shard %u cannot be read: %s",
			(unsigned long long)sequence, shard, result_text(result));
	}
	event.shard = (uint16_t)shard;
	read_payload(txn, &event, &payload);
	uint32_t number = ledger_identify(&system->ledger, writer_bytes(&payload), "the store");
	if (seen[number]) sim_violation(system->world, "event %u is stored twice", number);
	seen[number] = true;
	event_id_format(&event, id);
	ledger_name(&system->ledger, number, bytes_of_text(id), "the store");
	count_states(system, txn, &event, number, counts);
	return true;
}

static void check_counters(struct system *system, uint32_t shard,
	const uint64_t counts[static DELIVERY_DEAD + 1])
{
	struct shard_counters counters = shard_counters(system->daemon.workers[shard].shard);
	uint64_t outstanding = counts[DELIVERY_PENDING] + counts[DELIVERY_RETRY];

	bool delivered = counters.events_expired == 0
		? counters.deliveries_delivered == counts[DELIVERY_DELIVERED]
		: counters.deliveries_delivered > counts[DELIVERY_DELIVERED];
	if (!delivered || counters.deliveries_dead != counts[DELIVERY_DEAD] ||
		counters.deliveries_created !=
			counters.deliveries_delivered + counters.deliveries_dead + outstanding) {
		sim_violation(system->world,
			"shard %u counts created %llu, delivered %llu, dead %llu; there are %llu"
			" delivered, %llu dead, %llu outstanding",
			shard, (unsigned long long)counters.deliveries_created,
			(unsigned long long)counters.deliveries_delivered,
			(unsigned long long)counters.deliveries_dead,
			(unsigned long long)counts[DELIVERY_DELIVERED],
			(unsigned long long)counts[DELIVERY_DEAD], (unsigned long long)outstanding);
	}
}

static void check_audit(struct system *system, uint32_t shard)
{
	struct audit_report report;
	enum result result =
		shard_audit_verify(system->daemon.workers[shard].shard, NULL, NULL, &report);

	if (result != RESULT_OK || !report.valid) {
		sim_violation(system->world, "the audit log of shard %u: %s, %s", shard,
			result_text(result), report.error);
	}
}

static void check_ledger(struct system *system, uint32_t shard)
{
	struct shard_ledger_check check;
	enum result result = shard_ledger_check(system->daemon.workers[shard].shard, &check);

	if (result != RESULT_OK || check.wrong > 0 || !check.totals_agree) {
		sim_violation(system->world,
			"the ledger of shard %u: %s, %llu accounts are wrong, totals %s", shard,
			result_text(result), (unsigned long long)check.wrong,
			check.totals_agree ? "agree" : "differ");
	}
}

static uint64_t check_shard(struct system *system, uint32_t index, bool *seen)
{
	struct shard *shard = system->daemon.workers[index].shard;
	uint64_t counts[DELIVERY_DEAD + 1] = { 0 };
	struct shard_counters counters = shard_counters(shard);
	uint64_t expired_count = 0;
	struct store_txn txn = { 0 };

	/* Not by a job: the world stands still. */
	CHECK(store_checkpoint(shard_store(shard)) == RESULT_OK);
	store_read_begin(&txn, shard_store(shard));
	CHECK(txn.result == RESULT_OK);
	for (uint64_t sequence = 1; sequence < counters.next_sequence; sequence++) {
		expired_count += !check_event(system, &txn, index, sequence, seen, counts);
	}
	store_read_done(&txn);
	if (expired_count != counters.events_expired) {
		sim_violation(system->world, "of shard %u %llu events are missing, %llu expired",
			index, (unsigned long long)expired_count,
			(unsigned long long)counters.events_expired);
	}
	check_counters(system, index, counts);
	check_audit(system, index);
	check_ledger(system, index);
	return counts[DELIVERY_PENDING] + counts[DELIVERY_RETRY] + counts[DELIVERY_DEAD];
}

/* An event that is not in the store any more: because it was delivered, long ago. */
static bool was_expired(const struct system *system, const struct ledger_event *entry)
{
	struct event event = { 0 };
	uint64_t now_us = io_wall(system->provider_loop.io).us;
	bool taken = false;

	if (system->plan.retention_us == 0 || entry->id[0] == '\0') return false;
	CHECK(event_id_parse(bytes_of_text(entry->id), &event) == RESULT_OK);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) taken = taken || entry->taken[i] > 0;
	return taken && event.received.us + system->plan.retention_us < now_us + CLOCK_ERROR_US;
}

static void check_lost(const struct system *system, const bool *seen)
{
	for (uint32_t number = 0; number < system->ledger.event_count; number++) {
		const struct ledger_event *entry = &system->ledger.events[number];
		if (seen[number] || was_expired(system, entry)) continue;
		if (entry->acked) {
			sim_violation(system->world, "event %u was acknowledged and is lost",
				number);
		}
		/* What a target was given was on disk before. */
		if (entry->id[0] != '\0') {
			sim_violation(system->world, "event %u is known as %s and is lost", number,
				entry->id);
		}
	}
}

/* No reservation is left behind, and every fingerprint is there until it expires. */
static void check_replay(const struct system *system)
{
	uint64_t used_count = replay_usage(system->daemon.replay).used_count;
	uint64_t stored_count = 0;
	bool expired = sim_world_now(system->world).us > SIM_START_US_MAX + REPLAY_WINDOW_US;

	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		stored_count += shard_counters(system->daemon.workers[i].shard).events_accepted;
	}
	if (used_count > stored_count || (!expired && used_count < stored_count)) {
		sim_violation(system->world, "%llu events in the replay memory, %llu in the store",
			(unsigned long long)used_count, (unsigned long long)stored_count);
	}
}

void system_check_store(struct system *system, bool settled)
{
	struct ledger *ledger = &system->ledger;
	bool *seen = alloc_array(ledger->event_count, sizeof *seen);
	uint64_t left = 0;

	for (uint32_t i = 0; i < SIM_WORKERS; i++) left += check_shard(system, i, seen);
	check_lost(system, seen);
	alloc_free(seen);
	if (!settled) return;
	if (left > 0) {
		sim_violation(system->world, "%llu deliveries are left over",
			(unsigned long long)left);
	}
	check_replay(system);
}

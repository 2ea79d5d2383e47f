/* SPDX-License-Identifier: GPL-2.0-or-later */
/* row — keys of the shard's tables and the small values in them. Keys are big-endian so that
 * they sort; which table has which: store.h. Pure.
 */
#pragma once

#include "queue/accounts.h"
#include "queue/shard.h"
#include "queue/shard_action.h"

enum { ROW_KEY_SIZE_MAX = 20 };

struct row_key {
	uint8_t memory[ROW_KEY_SIZE_MAX];
	size_t size;
};

static inline struct bytes row_key_bytes(const struct row_key *key)
{
	return bytes_of(key->memory, key->size);
}

struct row_key row_event_key(uint64_t sequence, uint16_t chunk);
/* Attempts and actions. */
struct row_key row_attempt_key(uint64_t sequence, uint32_t target_id, uint16_t number);
struct row_key row_schedule_key(uint64_t due_us, uint64_t sequence, uint32_t target_id);
struct row_key row_deferred_key(uint32_t target_id, uint64_t sequence);
struct row_key row_dead_key(uint64_t sequence, uint32_t target_id);
struct row_key row_name_key(char kind, uint32_t id);
struct row_key row_replay_key(uint64_t sequence);
/* In META. All of them begin with ROW_LEDGER_PREFIX. */
#define ROW_LEDGER_PREFIX BYTES_LITERAL("ledger")
struct row_key row_ledger_key(uint32_t endpoint_id);

/* What the key of a row says; all that the table has no place for is 0. False for a key that
 * is none of ours. */
struct row_place {
	uint64_t due_us;
	uint64_t sequence;
	uint32_t target_id;
	uint16_t number; /* or chunk */
};
bool row_parse(enum store_table table, struct bytes key, struct row_place *ret);

/* Value of a schedule or deferred row. */
struct row_waiting {
	uint16_t attempt_number; /* of the coming attempt */
	uint16_t tries;
};
void row_put_waiting(struct store_txn *txn, enum store_table table, const struct row_key *key,
	struct row_waiting waiting);
MUST_USE enum result row_waiting_decode(struct bytes value, struct row_waiting *ret);

/* Value of a dead row; sequence and target are in the key. */
void row_put_dead(struct store_txn *txn, const struct dead_letter *letter);
MUST_USE enum result row_dead_decode(struct bytes value, struct dead_letter *ret);

/* Value of a ledger row. */
enum { ROW_ACCOUNT_SIZE = 33 };
void row_account_encode(const struct account *account, struct writer *writer);
/* False for what is no ledger row: key and value. */
bool row_account_decode(struct bytes key, struct bytes value, struct account *ret);

/* Value of an action row, and the record its audit leaf commits to. */
enum { ROW_ACTION_SIZE_MAX = 9 + 2 * 2 + SHARD_ACTOR_SIZE + SHARD_ACTION_TEXT_SIZE };
/* `text` NULL: an action on a delivery, which its key names. */
void row_action_encode(enum shard_action_kind kind, wall_t when, const char *actor,
	const char *text, struct writer *writer);
/* Those that are about no delivery stand under sequence 0, which no event has, and a counter of
 * 48 bits. */
struct row_key row_action_key(uint64_t counter);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard — one worker's part of the durable state: store, writer thread, event tail, audit log,
 * counters. Everything that must commit together commits here.
 */
#pragma once

#include "audit/audit.h"
#include "queue/event.h"
#include "queue/accounts.h"
#include "store/store_writer.h"
#include "verify/replay.h"

struct shard;

struct shard_config {
	struct store_config store;
	struct replay *replay; /* process-wide; restored from this shard's rows at open */
	uint64_t retention_us; /* settled events older than that are deleted, little by little */
	int cpu;               /* for the writer thread, or -1 */
	bool threaded;
	void (*failed)(void *owner, enum result result); /* writer thread: the disk has failed */
	void *owner;
};

MUST_USE enum result shard_open(const struct shard_config *config, struct shard **ret, char *error,
	size_t error_size);
void shard_close(struct shard *shard);
struct store *shard_store(struct shard *shard);
struct store_writer *shard_writer(struct shard *shard);
uint16_t shard_number(const struct shard *shard);

/* Committed together with what they count, so exact over crashes. Any thread (a consistent
 * copy of the last commit). */
struct shard_counters {
	uint64_t events_accepted;
	uint64_t deliveries_created; /* events times their targets */
	uint64_t deliveries_delivered;
	uint64_t deliveries_dead; /* in the dead letter queue now */
	uint64_t attempts;
	uint64_t dead_replayed;  /* taken out of the dead letter queue again */
	uint64_t events_expired; /* deleted by retention */
	uint64_t next_sequence;
	uint64_t low_water; /* all before it is settled or has a row of its own */
	uint64_t leaf_count;
	/* The last event for a target, and the last one for any other: whether all that came in
	 * after some event is for one target is known without reading it. */
	struct shard_latest {
		uint64_t target_id;
		uint64_t sequence; /* 0: there was none */
	} latest[2];
};
struct shard_counters shard_counters(const struct shard *shard);

/* The accounts of the ledger as of the last commit, copied: as many as there is room for, of
 * shard_ledger_size() or more by now. Those of endpoints that came and went stay. Any thread. */
uint32_t shard_ledger_size(const struct shard *shard);
uint32_t shard_ledger_copy(const struct shard *shard, struct account *to, uint32_t count_max);

/* Counts again, from the rows of what waits and of what is dead, and compares with the accounts of
 * the same commit. Cold thread. RESULT_FULL: there is too much to count while events come in. */
struct shard_ledger_check {
	uint64_t accounts; /* that were compared */
	uint64_t pending;  /* as counted */
	uint64_t parked;
	uint64_t wrong;             /* accounts that do not balance, or say another number */
	uint32_t wrong_endpoint_id; /* one of them */
	bool totals_agree;          /* the sums of all accounts are what the shard's counters say */
};
MUST_USE enum result shard_ledger_check(struct shard *shard, struct shard_ledger_check *ret);

/* ---- Appending an event ---------------------------------------------------------------------- */

/* Embedded in the request; one transaction: event rows, replay fingerprint, audit leaf. The
 * views of `event` and `payload` stay untouched until complete(). */
struct shard_append {
	struct store_job
		job; /* apply and size are set by shard_append_submit(); complete by the caller */
	struct shard *shard;
	struct event event; /* sequence and shard number are set when applied */
	struct bytes payload;
	struct hash128 identity;
	uint64_t body_hash;
	wall_t replay_expires;
	uint64_t leaf_index; /* set when applied */
};
void shard_append_submit(struct shard *shard, struct shard_append *append);

/* Retention is tied to commits: each deletes some rows that have expired. This makes one more
 * commit happen, for a shard that is idle or full, and as many as it takes when much has expired,
 * so many at most; call it every half a minute or so. One is under way at most. Any thread. */
enum { SHARD_EXPIRE_ROWS_MAX = 512, SHARD_EXPIRE_COMMITS_MAX = 1024 };
void shard_expire(struct shard *shard, wall_t now);

/* Remembers what ids are called, for people; those that are not known yet, in one commit. Kind 'e'
 * endpoint, 't' target. Blocking: cold thread. */
struct shard_name {
	char kind;
	uint32_t id;
	const char *text; /* 1 … NAME_SIZE_MAX */
};
MUST_USE enum result shard_remember_names(struct shard *shard, const struct shard_name *names,
	size_t count);

/* ---- Reading (any thread, own transaction) --------------------------------------------------- */

/* store_read_begin() that waits until all that was committed can be seen: for people. Cold thread;
 * the worker sees events, and what waits, without it (store.h). */
void shard_read_begin(struct shard *shard, struct store_txn *txn);
/* Decodes the record; views are into the store until the read ends. */
MUST_USE enum result shard_event_read(struct store_txn *txn, uint64_t sequence, struct event *ret);
/* Payload bytes from `offset` on, one stored chunk at most: empty at the end. */
MUST_USE enum result shard_payload_read(struct store_txn *txn, const struct event *event,
	uint64_t offset, struct bytes *ret);
/* RESULT_NOT_FOUND after the last. Start with number 0 to get the first of that target. */
MUST_USE enum result shard_attempt_next(struct store_txn *txn, uint64_t sequence,
	uint32_t target_id, uint16_t number, struct attempt *ret);
/* The name for an id, or "?" */
void shard_name(struct store_txn *txn, char kind, uint32_t id, char to[static NAME_SIZE_MAX + 1]);

struct dead_letter {
	uint64_t sequence;
	uint32_t target_id;
	wall_t since;
	uint16_t attempt_count;
	enum attempt_error error;
	uint16_t status;
};
/* The next one after (sequence, target_id); (0, 0) starts: sequences start from 1. */
MUST_USE enum result shard_dead_next(struct store_txn *txn, uint64_t sequence, uint32_t target_id,
	struct dead_letter *ret);
/* State of one delivery, for people. */
enum delivery_state {
	DELIVERY_PENDING,
	DELIVERY_RETRY,
	DELIVERY_DELIVERED,
	DELIVERY_DEAD,
};
const char *delivery_state_code(enum delivery_state state);
enum delivery_state shard_delivery_state(struct store_txn *txn, uint64_t sequence,
	uint32_t target_id);

/* Every delivery that is neither delivered nor dead, by its endpoint. Looks at `budget` events and
 * rows at most; false: there are more. Long. */
typedef void shard_left_visit(void *owner, uint32_t endpoint_id);
bool shard_left(struct shard *shard, uint64_t budget, shard_left_visit *visit, void *owner);

/* Recomputes the audit log of the shard; see audit.h. Long. `progress` may be NULL; when it returns
 * false the walk ends with RESULT_CLOSED. */
MUST_USE enum result shard_audit_verify(struct shard *shard,
	bool (*progress)(void *owner, uint64_t done, uint64_t all), void *owner,
	struct audit_report *ret);

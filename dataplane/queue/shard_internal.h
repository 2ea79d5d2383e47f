/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_internal — the shard as its own files and those of the queue see it.
 *
 * Between shard_open() and shard_close() everything without another word belongs to the writer
 * thread: it is touched in jobs and hooks only.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "queue/row.h"
#include "queue/shard.h"

/* A replay fingerprint on its way into the batch's row. */
struct fingerprint {
	struct hash128 identity;
	uint64_t body_hash;
	uint64_t sequence;
	uint64_t received_us;
	uint32_t keep_s; /* from received on */
};

/* All that a batch changes and that must be as before when it is aborted. */
struct shard_state {
	struct shard_counters counters;
	/* Retention has been past all events before this: a missing one was deleted by it. */
	uint64_t expired_below;
	bool ledger_counted; /* its rows are not there yet, all accounts are to be written */

	/* Not stored: where retention stands. */
	uint64_t retention_next;       /* sequence it looks at next */
	uint64_t retention_due_us;     /* nothing expires before */
	uint64_t retention_started_us; /* the present walk over all events */
	uint64_t replay_due_us;        /* no replay row expires before */
	uint64_t now_us;               /* latest time any job has seen */
};

struct shard {
	struct store *store;
	struct store_writer *writer;
	uint16_t number;
	bool threaded;
	uint64_t retention_us;
	void (*failed)(void *owner, enum result result);
	void *owner;

	struct audit audit;
	struct accounts *accounts;
	struct shard_state state;
	struct shard_state state_at_begin;
	struct fingerprint fingerprints[STORE_BATCH_JOBS_MAX];
	uint32_t fingerprint_count;
	uint32_t appended_count; /* events in this batch */

	struct store_job expire_job;
	atomic_bool expire_busy;
	bool expire_more; /* the last one left something */
	uint32_t expire_commits;
	atomic_bool closing;
	atomic_uint_fast64_t expire_now_us;

	/* Handed from the worker to the writer, and back. */
	atomic_uint_fast64_t low_water;
	atomic_uint_fast64_t committed_next; /* sequence */

	pthread_mutex_t published_lock;
	struct shard_counters published; /* of the last commit */
	struct accounts *published_accounts;
};

/* ---- shard.c --------------------------------------------------------------------------------- */

/* A job learned what time it is. */
void shard_note_time(struct shard *shard, uint64_t now_us);
/* Worker: everything before this sequence is settled on disk; goes out with the next commit. */
void shard_set_low_water(struct shard *shard, uint64_t sequence);
uint64_t shard_committed_next(const struct shard *shard);

/* The counters, the Merkle frontier and the retention mark as the "state" row holds them.
 * RESULT_NOT_FOUND in a new shard. */
MUST_USE enum result shard_state_read(struct store_txn *txn, struct shard_state *ret,
	struct audit *ret_audit);

/* ---- shard_ledger.c -------------------------------------------------------------------------- */

/* At open, with the state read: the accounts from their rows. A shard from before it had a ledger
 * gets one: what waits and what is dead is counted, and what was delivered is the others'. */
MUST_USE enum result shard_ledger_load(struct shard *shard, struct store_txn *txn);
/* Writes what the batch touched. */
void shard_ledger_finish(struct shard *shard, struct store_txn *txn);
/* After a commit, with published_lock: what the batch touched is seen by others. */
void shard_ledger_publish(struct shard *shard);
/* Whose event this is; ACCOUNT_OTHERS when it cannot be read. */
uint32_t shard_ledger_endpoint(struct store_txn *txn, uint64_t sequence);

/* ---- shard_replay.c -------------------------------------------------------------------------- */

/* Writes the rows of the batch's fingerprints. */
void shard_replay_finish(struct shard *shard, struct store_txn *txn);
/* At open: fills the process's table from the rows. */
MUST_USE enum result shard_replay_restore(struct shard *shard, struct replay *replay);
/* Deletes rows in which all has expired. */
void shard_replay_expire(struct shard *shard, struct store_txn *txn);

/* ---- shard_retention.c ----------------------------------------------------------------------- */

/* Deletes a bounded number of expired rows. Returns whether there may be more. */
bool shard_retention_step(struct shard *shard, struct store_txn *txn, unsigned rows_max);

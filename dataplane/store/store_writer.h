/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_writer — the one thread that writes a shard: takes whatever jobs have queued up while
 * the last commit ran, applies them in one transaction, commits, reports (group commit, no
 * timer, no polling).
 *
 * A commit costs the same for one job and for a hundred, so it begins when the worker has nothing
 * else at hand: as long as it has, more jobs are coming. Who answers to a commit often brings the
 * next request at once; they come to one commit together, while a single one waits for nobody.
 *
 * A job is embedded in its owner and knows how to apply itself; the writer knows no events.
 * Hooks run around each batch for rows that are written once per commit (leaves,
 * fingerprints, state). An I/O error on commit stops the writer: every job from then on fails
 * with RESULT_DISK, and `failed` is called once so that the process can say so and exit.
 */
#pragma once

#include "base/mailbox.h"
#include "store/store.h"

struct store_job {
	struct mail mail;
	/* Writer thread, inside the transaction. Errors are the transaction's. May be applied
	 * again in a smaller batch after a batch failed for space: it must start from scratch. */
	void (*apply)(struct store_job *job, struct store_txn *txn);
	/* Writer thread, after the commit, with `result` set: hand the job back to its owner's
	 * thread and be quick. */
	void (*complete)(struct store_job *job);
	uint32_t size; /* bytes it will add, roughly: for the batch bound and the quota */
	/* Jobs that free space or settle what was accepted are applied although the quota is
	 * reached. */
	bool uses_reserve;
	/* Of the worker that gathers (store_writer_gather()): the writer need not know at once. */
	bool may_wait;
	/* In complete(): another job of the batch completes by the same function right after this
	 * one. Who wakes a thread may leave it to that. */
	bool followed;
	enum result result;
};

struct store_hooks {
	/* Before the first job: remember state, for abort. */
	void (*begin)(void *owner);
	/* After the last job, before the commit: write the per-commit rows. */
	void (*finish)(void *owner, struct store_txn *txn);
	/* Undo what was remembered: the batch did not happen. */
	void (*abort)(void *owner);
	/* After RESULT_OK, before the jobs complete. */
	void (*committed)(void *owner);
	/* The shard cannot write any more; called once. */
	void (*failed)(void *owner, enum result result);
	void *owner;
};

struct store_writer;

/* cpu: where to pin the thread, or -1. threaded false (simulation): no thread is made, the
 * test calls store_writer_step(). */
MUST_USE enum result store_writer_start(struct store *store, const struct store_hooks *hooks,
	int cpu, bool threaded, struct store_writer **ret);
/* Finishes what is queued, then stops the thread. */
void store_writer_stop(struct store_writer *writer);

/* Any thread. The job is the writer's until complete() was called. */
void store_writer_submit(struct store_writer *writer, struct store_job *job);

/* The worker's thread, whose jobs may wait: from now on the writer is called for them by
 * store_writer_rest(), or when they are STORE_GATHER_JOBS_MAX. Off again before it ends. */
void store_writer_gather(struct store_writer *writer, bool gather);
/* The worker would sleep now. `looked`: it has just looked for something to do, and there was
 * nothing. `coming`: jobs that it has not made of its requests yet. Returns for how long it may
 * before it asks again: 0, to look first, when there are jobs that the writer has not been called
 * for; soon it is. */
uint64_t store_writer_rest(struct store_writer *writer, bool looked, uint32_t coming,
	uint64_t now_us);

/* Waits until LMDB has all that was committed, for a reader who wants the present: people's, and
 * tests. Cold thread. SPACE or DISK: it has not. */
MUST_USE enum result store_writer_flush(struct store_writer *writer);

/* Simulation: one batch, on the calling thread. Returns the number of jobs done. */
unsigned store_writer_step(struct store_writer *writer);
/* Simulation: whether a step would find something to do. */
bool store_writer_waiting(struct store_writer *writer);
/* Simulation: what is called in place of store_write_commit(), to take time or to fail. */
void store_writer_set_commit(struct store_writer *writer,
	enum result (*commit)(void *owner, struct store_txn *txn), void *owner);
/* Simulation: the process dies. Jobs that wait are forgotten, none of them completes,
 * and no checkpoint is made at the end. */
void store_writer_abandon(struct store_writer *writer);

struct store_writer_statistics {
	uint64_t commits;
	uint64_t jobs;
	uint64_t commit_us_total;
	uint64_t commit_us_max;
	uint64_t cpu_us; /* CPU time of the thread */
};
struct store_writer_statistics store_writer_statistics(const struct store_writer *writer);

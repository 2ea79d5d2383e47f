/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue — what is to be delivered next, per target: the worker's side of the durable queue.
 *
 * New events are delivered from a window over the event log that is read once, in order, and
 * never written; what goes wrong leaves the window for a row of its own (schedule for a later
 * try, dead letters, deferred when a slow target or a slow answer would hold up the others).
 * So the log needs no per-event bookkeeping, a low-water mark bounds what a restart reads (at
 * most DELIVER_WINDOW_EVENTS), and a backlog costs no memory.
 *
 *   appended ──► window ──► leased ──► delivered
 *                  │           ├─────► schedule ──► leased …        (retry, at its due time)
 *                  │           └─────► dead letters ──► schedule    (replayed by a person)
 *                  └─► deferred ──► leased …                        (slow target, window full)
 *
 * One worker thread. At least once: a delivery whose settling was not committed before a crash
 * is delivered again.
 */
#pragma once

#include "base/list.h"
#include "queue/shard.h"

struct queue;

/* One (event, target) that is to be sent. Belongs to the queue; leased to deliver between
 * queue_lease() and queue_settle() or queue_release(). */
struct delivery {
	struct list node; /* for whoever holds it: the queue's lists, or deliver's while leased */
	struct queue *queue;
	uint64_t sequence;
	uint32_t target_id;
	uint16_t attempt_number; /* of the coming attempt, from 1, over replays */
	uint16_t tries;          /* spent of the present budget (a replay starts a new one) */
	uint32_t endpoint_id;    /* whose event it is, … */
	bool endpoint_known;     /* … once it has been read */

	/* The rest is private to the queue. */
	uint8_t state;
	uint8_t origin;      /* what stands for it on disk: window, schedule or deferred */
	bool deferring;      /* a row in DEFERRED is on its way to disk */
	uint64_t row_due_us; /* key of its schedule row */
	struct queue_target *target;
	struct list window_node;
	struct delivery *row_next;
	/* Settling; the writer's while the job is. */
	struct store_job job;
	struct attempt attempt;
	bool delete_scheduled;
	bool delete_deferred;
	uint8_t attempt_text[ATTEMPT_DETAIL_SIZE_MAX + ATTEMPT_EXCERPT_SIZE_MAX];
};

struct queue_events {
	/* This target has something ready where it had nothing before. From within
	 * queue_appended() and queue_work(); not for what queue_release() gave back. */
	void (*ready)(void *owner, uint32_t target_id);
	/* From any thread: have queue_work() called soon on the worker (loop_post). */
	void (*wake)(void *owner);
	/* Worker thread: call queue_work() at this time (earliest due row), UINT64_MAX: never. */
	void (*due)(void *owner, wall_t when);
	void *owner;
};

/* On the worker's thread after shard_open(). Reads the window from the low-water mark: at most
 * DELIVER_WINDOW_EVENTS events. `ready` is first called by the first queue_work(), which a
 * `wake` asks for. */
MUST_USE enum result queue_open(struct shard *shard, const struct queue_events *events, wall_t now,
	struct queue **ret);
/* Waits for what is being settled. Deliveries that are still leased become void: they are
 * delivered again after the next start. Before shard_close(). */
void queue_close(struct queue *queue);

/* An event of this shard was committed (the worker learns it from its append's completion):
 * it enters the window at once when there is room, without being read back. */
void queue_appended(struct queue *queue, const struct event *event);

/* Reads ahead, takes due rows, collects finished settlings, defers for slow targets. Called
 * after wake(), at due(), and every second or so (that finds events whose queue_appended() was
 * never called). Bounded work per call; asks for another by wake() when there is more. */
void queue_work(struct queue *queue, wall_t now);

/* The next ready delivery of a target, or NULL. */
struct delivery *queue_lease(struct queue *queue, uint32_t target_id);
/* Unsent: back to the front of the ready list (or of what waits on disk for a slow target). */
void queue_release(struct queue *queue, struct delivery *delivery);
/* Tried (or given up without a try, error TARGET_REMOVED): writes the attempt record, its audit
 * leaf and what follows from `attempt->outcome` in one transaction. Copies what `attempt`
 * points to. Sequence, target and number are filled in by the queue. */
void queue_settle(struct queue *queue, struct delivery *delivery, const struct attempt *attempt);

/* Event and payload for a leased delivery: views until queue_read_end(). Call both in the same
 * turn, no I/O between. When begin fails there is nothing to end. */
MUST_USE enum result queue_read_begin(struct queue *queue, struct delivery *delivery,
	struct event *ret);
MUST_USE enum result queue_read_payload(struct queue *queue, const struct event *event,
	uint64_t offset, struct bytes *ret);
void queue_read_end(struct queue *queue);

struct queue_usage {
	uint64_t window_events;
	uint64_t ready;
	uint64_t leased;
	uint64_t settling;
	uint64_t backlog;      /* committed, not yet in the window */
	uint64_t damaged_keys; /* of rows passed over since the start */
};
struct queue_usage queue_usage(const struct queue *queue);
/* Of one target: what is ready to be leased. */
uint32_t queue_target_ready(const struct queue *queue, uint32_t target_id);

/* ---- Dead letters (any thread: a job to the writer, then the queue is woken) ----------------- */

struct queue_dead_job {
	struct store_job job; /* complete by the caller */
	struct queue *queue;
	uint64_t sequence;
	uint32_t target_id;
	wall_t now;
	bool found;                              /* set when applied */
	char actor[64];                          /* who asked, for the audit leaf */
	void (*complete)(struct store_job *job); /* private: the caller's, while it is under way */
};
/* Dead letter → schedule, due now, with a fresh budget of tries. */
void queue_dead_replay(struct queue *queue, struct queue_dead_job *dead);

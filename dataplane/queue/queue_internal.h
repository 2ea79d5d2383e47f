/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_internal — the worker's side of a shard's queue, as its files share it.
 *
 * Everything belongs to the worker, except `done` and `reschedule_us`, which other threads put
 * things into. A delivery is in one state at a time:
 *
 *   ready      in its target's ready list
 *   leased     in deliver's hands
 *   settling   its job is at the writer, or waits in `unsettled` for space
 *   spilling   in its target's spill list, or in the defer job: on its way to DEFERRED
 *
 * Its origin says what on disk stands for it: a place in the window, or a row in SCHEDULE or
 * DEFERRED. Those of rows are in the table `rows` too, so that no row is leased twice. The rule
 * that makes it right: finished jobs are collected before a read transaction begins, never
 * while one is open, so that a row whose delivery was forgotten is not read any more.
 */
#pragma once

#include "base/pool.h"
#include "queue/queue.h"
#include "queue/shard_internal.h"

/* Rows looked at by one part of one queue_work(). */
enum { QUEUE_WORK_MAX = 512 };
/* Deliveries in one defer job. */
enum { QUEUE_DEFER_MAX = 256 };
enum { QUEUE_TARGET_BUCKETS = 16384, QUEUE_ROW_BUCKETS = 16384 };
/* A settling that found no space, or a due row that found no room, is tried again after this. */
#define QUEUE_RETRY_US US_PER_S

enum delivery_state_in_memory {
	DELIVERY_IS_READY,
	DELIVERY_IS_LEASED,
	DELIVERY_IS_SETTLING,
	DELIVERY_IS_SPILLING,
};
enum delivery_origin {
	ORIGIN_WINDOW,
	ORIGIN_SCHEDULE,
	ORIGIN_DEFERRED,  /* read back from there */
	ORIGIN_STRAGGLER, /* has a row in DEFERRED, and was in memory before */
	ORIGIN_COUNT,
};

/* From bounds.h; tests take smaller ones. */
struct queue_limits {
	uint32_t window_events;
	/* Deliveries in memory, by origin. None for stragglers: they keep what they have, and as
	 * many as can be under way are not many. */
	uint32_t origins[ORIGIN_COUNT];
	uint32_t rows_per_target; /* of them, from SCHEDULE or DEFERRED, of one target */
};

struct queue_target {
	struct list bucket_node;
	struct list known_node;
	uint32_t id;
	uint32_t delivery_count; /* in memory, in any state */
	struct list ready;
	uint32_t ready_count;
	struct list spill;
	struct list spill_node; /* in queue.spilled while the spill list has something */
	uint32_t origin_counts[ORIGIN_COUNT];
	/* It has rows in DEFERRED that are not in memory: whatever arrives for it goes there
	 * too, behind them. */
	bool spilling;
	uint64_t deferred_next;  /* sequence to read back from */
	struct list refill_node; /* in queue.refill when it wants rows read back */
};

struct queue_defer {
	struct store_job job;
	struct delivery *items[QUEUE_DEFER_MAX];
	unsigned count;
	bool busy;
	uint64_t retry_us; /* not before, after it found no space */
	/* How fast the window moves, sampled every so often. */
	uint64_t sampled_us;
	uint64_t sampled_low;
	bool sampled_full;
	bool window_crawls;
	/* The same for due rows, while they find no room. */
	uint64_t schedule_sampled_us;
	uint64_t schedule_sampled_taken;
};

/* How far the schedule has been looked through for others behind a target. */
struct queue_look {
	uint32_t target_id;
	uint64_t due_us;
	uint64_t sequence;
};

struct queue {
	struct shard *shard;
	struct queue_events events;
	struct queue_limits limits;
	uint64_t now_us;   /* of the last queue_work() */
	uint64_t told_due; /* what events.due was told last */
	bool announced;    /* `ready` may be called */
	bool working;      /* in queue_work() */
	bool more;         /* something is left for another queue_work() */

	struct mailbox done;                /* jobs that came back */
	atomic_uint_fast64_t reschedule_us; /* others put a row with this due time */
	uint64_t jobs_count;                /* at the writer */

	struct pool deliveries;
	struct pool targets;
	uint32_t origin_counts[ORIGIN_COUNT];
	uint64_t ready_count;
	uint64_t leased_count;
	uint64_t settling_count;

	/* The window: deliveries of events before `next`, by sequence. */
	struct list window;
	uint64_t next;
	uint64_t low_told;      /* oldest unsettled event, as the shard was told */
	uint64_t known_next;    /* events before this are known to be committed */
	uint64_t lagging_next;  /* known_next when the shard was last seen to be ahead of it */
	uint64_t checked_until; /* events before this may have rows from before the start */

	struct list unsettled; /* settlings that found no space … */
	uint64_t unsettled_retry_us;

	struct list *target_buckets;
	struct list known;   /* all targets; the last one used last */
	struct list refill;  /* targets that want deferred rows read back */
	struct list spilled; /* targets with a spill list */
	uint32_t spilling_count;
	uint32_t spilled_counts[ORIGIN_COUNT]; /* in the spill lists, by what they give room of */
	struct delivery **row_buckets;

	struct row_place schedule_next; /* all rows before are in memory */
	uint64_t schedule_due_us;       /* nothing is due before */
	uint64_t schedule_taken;        /* rows that came due and into memory, ever */
	struct queue_defer defer;
	struct queue_look schedule_look;
	uint64_t damaged_keys; /* met by queue_place_at() */

	struct store_txn work_txn;
	struct store_txn read_txn; /* between queue_read_begin() and queue_read_end() */
};

/* ---- queue.c ------------------------------------------------------------------------------- */

MUST_USE enum result queue_open_limited(struct shard *shard, const struct queue_events *events,
	wall_t now, const struct queue_limits *limits, struct queue **ret);

/* Whether the time to try again has not come. A clock that goes back does not put it off. */
bool queue_waits_until(const struct queue *queue, uint64_t retry_us);

/* Have queue_work() called soon, or again. */
void queue_want_work(struct queue *queue);

/* The place of the cursor's row, or of the next one: a key that is none of its table's is passed
 * over, counted, and said once. `found`: the cursor is at a row. False: there is no more. */
bool queue_place_at(struct queue *queue, struct store_cursor *cursor, bool found,
	struct row_place *ret);

/* ---- queue_target.c -------------------------------------------------------------------------- */

struct queue_target *target_find(const struct queue *queue, uint32_t target_id);
/* Made when unknown; NULL when there is no room for one more. */
struct queue_target *target_take(struct queue *queue, uint32_t target_id);

/* ---- queue_delivery.c ------------------------------------------------------------------------ */

bool delivery_room(const struct queue *queue, enum delivery_origin origin, uint32_t count);
/* For its first attempt, in no list yet. There must be room. */
struct delivery *delivery_take(struct queue *queue, struct queue_target *target,
	enum delivery_origin origin, uint64_t sequence);
/* Forgets it; what stands for it on disk is another matter. */
void delivery_drop(struct queue *queue, struct delivery *delivery);
/* While its row in DEFERRED is on the way to disk: whoever comes across the row must not take it
 * for another delivery. */
void delivery_defer(struct queue *queue, struct delivery *delivery);
void delivery_defer_end(struct queue *queue, struct delivery *delivery);
/* Its row in DEFERRED is on disk: that stands for it now. */
void delivery_to_straggler(struct queue *queue, struct delivery *delivery);
/* Whether a row in DEFERRED stands for it. */
bool delivery_is_deferred(const struct delivery *delivery);
/* To the ready list; to the spill list when its target is spilling. */
void delivery_ready(struct queue *queue, struct delivery *delivery);
/* Out of the ready list. */
void delivery_unready(struct queue *queue, struct delivery *delivery);
/* To the end of its target's spill list; it is in no list. */
void delivery_spill(struct queue *queue, struct delivery *delivery);
/* The first of the target's spill list, taken out; NULL when there is none. */
struct delivery *delivery_take_spilled(struct queue *queue, struct queue_target *target);
/* Whether the row of a delivery is in memory. */
bool delivery_of_row(const struct queue *queue, uint64_t sequence, uint32_t target_id);

/* ---- queue_window.c -------------------------------------------------------------------------- */

/* Sequence of the oldest event that is not settled. */
uint64_t window_low(const struct queue *queue);
/* Hands it to the shard: it goes to disk with the next commit. The window never spans more than
 * window_events from what the shard was told, which bounds what a restart reads. */
void window_tell_low(struct queue *queue);
bool window_span_is_full(const struct queue *queue);
/* Events the worker was never told of, because a request was lost on its way back: found when
 * nothing was heard of them for a whole round. Before work_txn begins: an event that is known is
 * taken for missing when the transaction does not have it. */
void window_notice_untold(struct queue *queue);
/* Reads events on from window.next in work_txn. */
void window_fill(struct queue *queue, unsigned events_max);

/* ---- queue_settle.c -------------------------------------------------------------------------- */

void settle_collect(struct queue *queue, struct delivery *delivery);
/* Those that found no space. */
void settle_again(struct queue *queue);

/* ---- queue_schedule.c ------------------------------------------------------------------------ */

/* A row was put with this due time. */
void schedule_note(struct queue *queue, uint64_t due_us);
/* Reads due rows in work_txn. */
void schedule_fill(struct queue *queue, unsigned rows_max);

/* ---- queue_look.c ---------------------------------------------------------------------------- */

/* Whether an event behind the window is for another target, too. */
bool look_behind_window(const struct queue *queue, uint32_t target_id);
/* The same for rows that are due, behind what is read. In work_txn. False may mean that the answer
 * takes another queue_work(), which is asked for then. */
bool look_behind_schedule(struct queue *queue, uint32_t target_id);
/* A row was put with this due time: it may lie where has been looked already. */
void look_again_from(struct queue *queue, uint64_t due_us);

/* ---- queue_defer.c --------------------------------------------------------------------------- */

/* At start, in work_txn: which targets have deferred rows. */
void defer_open(struct queue *queue);
void defer_collect(struct queue *queue);
/* Reads deferred rows back in work_txn. */
void defer_refill(struct queue *queue, unsigned rows_max);
/* When it has few ready deliveries left. */
void defer_want_refill(struct queue *queue, struct queue_target *target);
/* From now on what arrives for the target goes to disk. */
void defer_spill_target(struct queue *queue, struct queue_target *target);
/* Makes room when there has been none for due rows for a while: those of one target that wait in
 * memory go to DEFERRED. */
void defer_scheduled(struct queue *queue);
/* Makes room when the window is held up, and sends off a job with what is to be deferred. In
 * work_txn. */
void defer_work(struct queue *queue);

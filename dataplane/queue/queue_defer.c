/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_defer — keeps a slow target, or a slow answer, from holding up everybody else.
 *
 * The window spans so many events from the oldest unsettled one. Two things keep that one from
 * being settled:
 *
 *   a slow target  Most of the window waits for it. It starts to spill: what is ready for it
 *                  and what arrives goes to DEFERRED, and is read back in order as it catches
 *                  up. It ends when all is read back. Not when all behind the window is its
 *                  own (queue_look.c): then there is nobody to make room for. The same when
 *                  retries that are due have taken all their room in memory.
 *   stragglers     Most of the window is settled, but some deliveries that are under way take
 *                  long. Each gets a row in DEFERRED while it stays leased, and the window
 *                  goes on without it; its settling deletes the row. They need no room
 *                  in memory, and take none of what there is to read back into.
 */
#include <stdio.h>

#include "queue/queue_internal.h"

/* A row, and the schedule row that goes. */
enum { DEFER_SIZE = 64 };
/* Deliveries at the head of the window that are looked at to find what holds it up. */
enum { LOOK_MAX = 2048 };
/* A window that moves by less than this part of it in the sampled time crawls: others wait
 * behind it for seconds. One that is full and moves faster is only a backlog, and spilling would
 * make it slower. */
#define SAMPLE_US US_PER_S
enum { CRAWL_PART = 4 };
/* Targets served by one defer_refill(). */
enum { REFILL_TARGETS_MAX = 64 };
/* A target with no more ready than this part when all its rows are read back has caught up. */
enum { CAUGHT_UP_PART = 32 }; /* of rows_per_target */

/* ---- To disk --------------------------------------------------------------------------------- */

static void defer_apply(struct store_job *job, struct store_txn *txn)
{
	struct queue_defer *defer = CONTAINER_OF(job, struct queue_defer, job);

	for (unsigned i = 0; i < defer->count; i++) {
		const struct delivery *item = defer->items[i];
		const struct row_waiting waiting = {
			.attempt_number = item->attempt_number,
			.tries = item->tries,
		};
		if (item->origin == ORIGIN_SCHEDULE) {
			struct row_key old =
				row_schedule_key(item->row_due_us, item->sequence, item->target_id);
			store_delete(txn, STORE_SCHEDULE, row_key_bytes(&old));
		}
		struct row_key key = row_deferred_key(item->target_id, item->sequence);
		row_put_waiting(txn, STORE_DEFERRED, &key, waiting);
	}
}

/* Writer thread. */
static void defer_complete(struct store_job *job)
{
	struct queue *queue = CONTAINER_OF(job, struct queue, defer.job);
	struct queue_events events = queue->events;
	mailbox_push(&queue->done, &job->mail);
	events.wake(events.owner);
}

static void start(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;
	if (defer->count == 0) return;
	defer->busy = true;
	defer->job.apply = defer_apply;
	defer->job.complete = defer_complete;
	defer->job.size = defer->count * DEFER_SIZE;
	defer->job.uses_reserve = true;
	defer->job.may_wait = true;
	queue->jobs_count++;
	store_writer_submit(queue->shard->writer, &defer->job);
}

static void take_spilled(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;

	while (defer->count < QUEUE_DEFER_MAX && !list_empty(&queue->spilled)) {
		struct queue_target *target =
			LIST_ENTRY(queue->spilled.next, struct queue_target, spill_node);
		struct delivery *item = delivery_take_spilled(queue, target);
		delivery_defer(queue, item);
		defer->items[defer->count++] = item;
	}
}

/* What one target may have in memory from DEFERRED: an equal share. */
static uint32_t refill_max(const struct queue *queue)
{
	uint32_t share = queue->limits.origins[ORIGIN_DEFERRED] / (queue->spilling_count + 1);
	if (share == 0) return 1;
	return share < queue->limits.rows_per_target ? share : queue->limits.rows_per_target;
}

void defer_want_refill(struct queue *queue, struct queue_target *target)
{
	if (!list_empty(&target->refill_node)) return;
	if (target->ready_count > refill_max(queue) / 2) return;
	/* The first one asks for a queue_work(). */
	if (list_empty(&queue->refill)) queue_want_work(queue);
	list_append(&queue->refill, &target->refill_node);
}

/* A delivery whose row in DEFERRED is read back when its turn comes. */
static void forget(struct queue *queue, struct delivery *delivery)
{
	struct queue_target *target = delivery->target;

	if (!target->spilling) defer_spill_target(queue, target);
	if (delivery->sequence < target->deferred_next) target->deferred_next = delivery->sequence;
	delivery->state = DELIVERY_IS_SPILLING;
	delivery_drop(queue, delivery);
	defer_want_refill(queue, target);
}

void defer_collect(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;
	enum result result = defer->job.result;

	defer->busy = false;
	/* The shard has failed: all stays as it is. */
	if (result != RESULT_OK && result != RESULT_SPACE) return;
	if (result == RESULT_SPACE) defer->retry_us = queue->now_us + QUEUE_RETRY_US;
	for (unsigned i = 0; i < defer->count; i++) {
		struct delivery *item = defer->items[i];
		delivery_defer_end(queue, item);
		bool spilled = item->state == DELIVERY_IS_SPILLING;
		if (result == RESULT_SPACE) {
			if (spilled) delivery_spill(queue, item);
		} else if (spilled) {
			forget(queue, item);
		} else {
			delivery_to_straggler(queue, item);
		}
	}
	defer->count = 0;
}

/* ---- Deciding -------------------------------------------------------------------------------- */

void defer_spill_target(struct queue *queue, struct queue_target *target)
{
	CHECK(!target->spilling);
	target->spilling = true;
	target->deferred_next = UINT64_MAX;
	queue->spilling_count++;

	struct list *next;
	for (struct list *node = target->ready.next; node != &target->ready; node = next) {
		struct delivery *delivery = LIST_ENTRY(node, struct delivery, node);
		next = node->next;
		if (delivery->origin != ORIGIN_WINDOW || delivery->deferring) continue;
		delivery_unready(queue, delivery);
		delivery_spill(queue, delivery);
	}
}

/* Takes what is ready from SCHEDULE to DEFERRED too. */
static void spill_scheduled(struct queue *queue, struct queue_target *target)
{
	struct list *next;
	for (struct list *node = target->ready.next; node != &target->ready; node = next) {
		struct delivery *delivery = LIST_ENTRY(node, struct delivery, node);
		next = node->next;
		if (delivery->origin != ORIGIN_SCHEDULE) continue;
		delivery_unready(queue, delivery);
		delivery_spill(queue, delivery);
	}
}

/* Whether due rows that found no room come in so slowly that they hold up others; as with the
 * window. */
static bool schedule_crawls(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;
	uint64_t taken = queue->schedule_taken - defer->schedule_sampled_taken;

	if (taken >= queue->limits.origins[ORIGIN_SCHEDULE] / CRAWL_PART ||
		queue->now_us < defer->schedule_sampled_us) {
		defer->schedule_sampled_us = queue->now_us;
		defer->schedule_sampled_taken = queue->schedule_taken;
	}
	return queue->now_us - defer->schedule_sampled_us >= SAMPLE_US;
}

/* The target with most deliveries from SCHEDULE, of those that have any waiting. */
static struct queue_target *find_largest_scheduled(struct queue *queue)
{
	struct queue_target *largest = NULL;
	uint32_t most = 0;

	for (struct list *node = queue->known.next; node != &queue->known; node = node->next) {
		struct queue_target *target = LIST_ENTRY(node, struct queue_target, known_node);
		uint32_t count = target->origin_counts[ORIGIN_SCHEDULE];
		if (target->ready_count == 0 || count <= most) continue;
		most = count;
		largest = target;
	}
	return largest;
}

void defer_scheduled(struct queue *queue)
{
	/* Room is on its way. */
	if (queue->defer.busy || queue->spilled_counts[ORIGIN_SCHEDULE] > 0) return;
	if (!schedule_crawls(queue)) return;
	struct queue_target *largest = find_largest_scheduled(queue);
	if (largest == NULL) return;
	if (!largest->spilling) defer_spill_target(queue, largest);
	spill_scheduled(queue, largest);
}

/* What is under way among the oldest deliveries joins the job. */
static void take_stragglers(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;
	struct list *node = queue->window.next;

	for (unsigned i = 0; i < LOOK_MAX && node != &queue->window; i++, node = node->next) {
		struct delivery *item = LIST_ENTRY(node, struct delivery, window_node);
		if (item->state != DELIVERY_IS_LEASED || item->deferring) continue;
		if (defer->count == QUEUE_DEFER_MAX) break;
		delivery_defer(queue, item);
		defer->items[defer->count++] = item;
	}
}

static bool window_is_full(const struct queue *queue)
{
	return window_span_is_full(queue) ||
		!delivery_room(queue, ORIGIN_WINDOW, TARGETS_PER_ENDPOINT_MAX);
}

/* Whether it has moved since the last sample as far as one that does not crawl does in all of
 * the time. */
static bool window_has_moved(const struct queue *queue)
{
	return window_low(queue) - queue->defer.sampled_low >=
		queue->limits.window_events / CRAWL_PART;
}

static void sample_speed(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;

	if (queue->now_us >= defer->sampled_us && queue->now_us - defer->sampled_us < SAMPLE_US)
		return;
	bool full = window_is_full(queue);
	/* One that had room does not say how fast it could have moved. */
	defer->window_crawls = full && defer->sampled_full && !window_has_moved(queue);
	defer->sampled_full = full;
	defer->sampled_us = queue->now_us;
	defer->sampled_low = window_low(queue);
}

/* The oldest delivery in that state, among the first. */
static struct delivery *oldest_in(struct queue *queue, enum delivery_state_in_memory state)
{
	struct list *node = queue->window.next;
	for (unsigned i = 0; i < LOOK_MAX && node != &queue->window; i++, node = node->next) {
		struct delivery *item = LIST_ENTRY(node, struct delivery, window_node);
		if (item->state == state && !item->deferring) return item;
	}
	return NULL;
}

/* What holds up events that lie behind the window: a delivery that waits for its target, or else
 * one that is under way. NULL when nothing does. */
static struct delivery *find_blocker(struct queue *queue)
{
	if (!queue->defer.window_crawls || !window_is_full(queue)) return NULL;
	/* It did crawl; what it is full of now has only just come in. */
	if (window_has_moved(queue)) return NULL;
	struct delivery *blocker = oldest_in(queue, DELIVERY_IS_READY);
	if (blocker == NULL) blocker = oldest_in(queue, DELIVERY_IS_LEASED);
	if (blocker == NULL || !look_behind_window(queue, blocker->target_id)) return NULL;
	return blocker;
}

static bool is_mostly_settled(const struct queue *queue)
{
	return queue->origin_counts[ORIGIN_WINDOW] < queue->limits.window_events / 2;
}

static bool is_held_by_stragglers(const struct queue *queue)
{
	uint64_t span = queue->next - queue->low_told;
	return is_mostly_settled(queue) && span >= queue->limits.window_events / 4 * 3;
}

static void judge(struct queue *queue)
{
	/* Room is on its way. */
	if (queue->spilled_counts[ORIGIN_WINDOW] > 0) return;
	if (is_held_by_stragglers(queue)) take_stragglers(queue);
	if (queue->defer.count > 0) return;
	struct delivery *blocker = find_blocker(queue);
	if (blocker == NULL) return;
	if (blocker->state == DELIVERY_IS_LEASED) {
		if (!is_mostly_settled(queue)) take_stragglers(queue);
	} else if (blocker->target->spilling) {
		/* It came back after a job that found no space. */
		delivery_unready(queue, blocker);
		delivery_spill(queue, blocker);
	} else {
		defer_spill_target(queue, blocker->target);
	}
}

void defer_work(struct queue *queue)
{
	struct queue_defer *defer = &queue->defer;

	sample_speed(queue);
	if (defer->busy || queue_waits_until(queue, defer->retry_us)) return;
	judge(queue);
	take_spilled(queue);
	start(queue);
}

/* ---- Back from disk -------------------------------------------------------------------------- */

/* Somebody else has taken more than its share: what is ready of it is forgotten, its rows are
 * read back later. Returns whether there was any. */
static bool reclaim(struct queue *queue)
{
	struct queue_target *largest = NULL;
	uint32_t most = refill_max(queue);

	for (struct list *node = queue->known.next; node != &queue->known; node = node->next) {
		struct queue_target *target = LIST_ENTRY(node, struct queue_target, known_node);
		if (target->origin_counts[ORIGIN_DEFERRED] <= most) continue;
		most = target->origin_counts[ORIGIN_DEFERRED];
		largest = target;
	}
	if (largest == NULL) return false;
	if (!largest->spilling) defer_spill_target(queue, largest);

	struct list *previous;
	bool reclaimed = false;
	for (struct list *node = largest->ready.previous; node != &largest->ready;
		node = previous) {
		struct delivery *delivery = LIST_ENTRY(node, struct delivery, node);
		previous = node->previous;
		if (largest->origin_counts[ORIGIN_DEFERRED] <= refill_max(queue)) break;
		if (delivery->origin != ORIGIN_DEFERRED) continue;
		delivery_unready(queue, delivery);
		forget(queue, delivery);
		reclaimed = true;
	}
	return reclaimed;
}

static bool has_items_on_their_way(const struct queue *queue, const struct queue_target *target)
{
	for (unsigned i = 0; i < queue->defer.count; i++) {
		const struct delivery *item = queue->defer.items[i];
		if (item->target == target && item->state == DELIVERY_IS_SPILLING) return true;
	}
	return false;
}

/* All rows are read back: when the target keeps up, what waits to be spilled is ready instead. */
static void stop_spilling(struct queue *queue, struct queue_target *target)
{
	struct delivery *delivery;

	if (has_items_on_their_way(queue, target)) return;
	if (!list_empty(&target->spill) &&
		target->ready_count > queue->limits.rows_per_target / CAUGHT_UP_PART)
		return;
	target->spilling = false;
	queue->spilling_count--;
	while ((delivery = delivery_take_spilled(queue, target)) != NULL) {
		delivery_ready(queue, delivery);
	}
}

static void read_back(struct queue *queue, struct queue_target *target,
	const struct store_cursor *cursor, const struct row_place *place)
{
	struct row_waiting waiting;

	if (delivery_of_row(queue, place->sequence, place->target_id)) return;
	if (row_waiting_decode(cursor->value, &waiting) != RESULT_OK) {
		waiting = (struct row_waiting){ .attempt_number = 1 };
	}
	struct delivery *delivery = delivery_take(queue, target, ORIGIN_DEFERRED, place->sequence);
	delivery->attempt_number = waiting.attempt_number;
	delivery->tries = waiting.tries;
	delivery_ready(queue, delivery);
}

enum refill { REFILL_DONE, REFILL_ENOUGH, REFILL_NO_ROOM };

static enum refill refill_target(struct queue *queue, struct queue_target *target,
	struct store_cursor *cursor, unsigned *rows_left)
{
	struct row_place place;
	struct row_key from = row_deferred_key(target->id, target->deferred_next);
	uint32_t deferred_max = refill_max(queue);

	bool found = store_cursor_seek(cursor, row_key_bytes(&from));
	for (; found; found = store_cursor_next(cursor)) {
		if (!row_parse(STORE_DEFERRED, cursor->key, &place)) continue;
		if (place.target_id != target->id) break;
		if (target->origin_counts[ORIGIN_DEFERRED] >= deferred_max) return REFILL_ENOUGH;
		if (!delivery_room(queue, ORIGIN_DEFERRED, 1) || *rows_left == 0)
			return REFILL_NO_ROOM;
		(*rows_left)--;
		read_back(queue, target, cursor, &place);
		target->deferred_next = place.sequence + 1;
	}
	return queue->work_txn.result == RESULT_OK ? REFILL_DONE : REFILL_NO_ROOM;
}

void defer_refill(struct queue *queue, unsigned rows_max)
{
	struct store_cursor cursor;
	unsigned rows_left = rows_max;
	bool stuck = false;

	if (list_empty(&queue->refill)) return;
	store_cursor_open(&cursor, &queue->work_txn, STORE_DEFERRED);
	for (unsigned i = 0; i < REFILL_TARGETS_MAX && !list_empty(&queue->refill); i++) {
		struct queue_target *target =
			LIST_ENTRY(queue->refill.next, struct queue_target, refill_node);
		enum refill refill = refill_target(queue, target, &cursor, &rows_left);
		if (refill == REFILL_NO_ROOM) {
			/* Then the next settling makes room. */
			stuck = rows_left > 0 && !reclaim(queue);
			break;
		}
		list_remove(&target->refill_node);
		if (refill == REFILL_DONE) stop_spilling(queue, target);
	}
	store_cursor_close(&cursor);
	if (!stuck && !list_empty(&queue->refill)) queue->more = true;
}

void defer_open(struct queue *queue)
{
	struct store_cursor cursor;
	struct row_place place;
	struct row_key from = row_deferred_key(0, 0);

	/* From the first row of one target to the first of the next. */
	store_cursor_open(&cursor, &queue->work_txn, STORE_DEFERRED);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	while (queue_place_at(queue, &cursor, found, &place)) {
		struct queue_target *target = target_take(queue, place.target_id);
		if (target == NULL) break;
		defer_spill_target(queue, target);
		target->deferred_next = 0;
		list_append(&queue->refill, &target->refill_node);
		if (place.target_id == UINT32_MAX) break;
		from = row_deferred_key(place.target_id + 1, 0);
		found = store_cursor_seek(&cursor, row_key_bytes(&from));
	}
	store_cursor_close(&cursor);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_window — new events become deliveries, in order: at once when they are told of, or read
 * back later when there was no room then.
 */
#include <inttypes.h>

#include "base/log.h"
#include "queue/queue_internal.h"

uint64_t window_low(const struct queue *queue)
{
	if (list_empty(&queue->window)) return queue->next;
	return LIST_ENTRY(queue->window.next, struct delivery, window_node)->sequence;
}

void window_tell_low(struct queue *queue)
{
	queue->low_told = window_low(queue);
	shard_set_low_water(queue->shard, queue->low_told);
}

bool window_span_is_full(const struct queue *queue)
{
	return queue->next - queue->low_told >= queue->limits.window_events;
}

/* Whether it was tried or deferred before the start: then a row stands for it, or none has to.
 * Only in work_txn. */
static bool was_handled(struct queue *queue, uint64_t sequence, uint32_t target_id)
{
	struct store_txn *txn = &queue->work_txn;
	struct attempt attempt;
	struct bytes value;

	enum result result = shard_attempt_next(txn, sequence, target_id, 0, &attempt);
	if (result == RESULT_OK || result == RESULT_MALFORMED) return true;
	if (store_row_count(txn, STORE_DEFERRED) == 0) return false;
	struct row_key key = row_deferred_key(target_id, sequence);
	return store_get(txn, STORE_DEFERRED, row_key_bytes(&key), &value) != RESULT_NOT_FOUND;
}

/* All targets of the event, or none when there is no room for one. */
static bool take_targets(struct queue *queue, const struct event *event,
	struct queue_target **targets)
{
	unsigned taken = 0;
	for (; taken < event->target_count; taken++) {
		targets[taken] = target_take(queue, event->target_ids[taken]);
		if (targets[taken] == NULL) break;
		targets[taken]->delivery_count++; /* not to be recycled for the next one */
	}
	for (unsigned i = 0; i < taken; i++) targets[i]->delivery_count--;
	return taken == event->target_count;
}

/* The event at queue->next enters the window. False when there is no room. */
static bool enter(struct queue *queue, const struct event *event)
{
	struct queue_target *targets[TARGETS_PER_ENDPOINT_MAX];

	CHECK(event->sequence == queue->next);
	if (window_span_is_full(queue)) {
		/* The mark follows settlings; events without targets have none. */
		window_tell_low(queue);
		if (window_span_is_full(queue)) return false;
	}
	if (!delivery_room(queue, ORIGIN_WINDOW, event->target_count)) return false;
	if (!take_targets(queue, event, targets)) return false;

	queue->next++;
	for (unsigned i = 0; i < event->target_count; i++) {
		if (event_target_is_repeated(event, i)) continue;
		if (event->sequence < queue->checked_until &&
			was_handled(queue, event->sequence, event->target_ids[i])) {
			continue;
		}
		struct delivery *delivery =
			delivery_take(queue, targets[i], ORIGIN_WINDOW, event->sequence);
		delivery->endpoint_id = event->endpoint_id;
		delivery->endpoint_known = true;
		delivery_ready(queue, delivery);
	}
	return true;
}

void queue_appended(struct queue *queue, const struct event *event)
{
	if (event->sequence >= queue->known_next) queue->known_next = event->sequence + 1;
	/* Read back already, or not its turn yet, or to be looked at closely. */
	if (event->sequence != queue->next || event->sequence < queue->checked_until) return;
	bool entered = enter(queue, event);
	MAYBE(!entered); /* queue_work() reads it back when there is room */
}

void window_notice_untold(struct queue *queue)
{
	uint64_t committed_next = shard_committed_next(queue->shard);
	if (committed_next <= queue->known_next) return;
	if (queue->lagging_next == queue->known_next) queue->known_next = committed_next;
	queue->lagging_next = queue->known_next;
}

static void skip_missing(struct queue *queue, uint64_t until)
{
	log_error("events cannot be read and are not delivered shard=%u from=%" PRIu64
		  " to=%" PRIu64,
		(unsigned)queue->shard->number, queue->next, until - 1);
	queue->next = until;
}

/* The event under the cursor. False when there is no room for it. */
static bool enter_row(struct queue *queue, const struct store_cursor *cursor,
	const struct row_place *place)
{
	struct event event = { .sequence = place->sequence, .shard = queue->shard->number };
	size_t header_size;

	if (event_decode(cursor->value, &event, &header_size) != RESULT_OK) {
		skip_missing(queue, place->sequence + 1);
		return true;
	}
	return enter(queue, &event);
}

static bool seek_event(struct queue *queue, struct store_cursor *cursor, struct row_place *ret)
{
	struct row_key key = row_event_key(queue->next, 0);
	bool found = store_cursor_seek(cursor, row_key_bytes(&key));
	return queue_place_at(queue, cursor, found, ret);
}

/* The next event's first row: the next one as a rule, unless the payload has more chunks. */
static bool next_event(struct queue *queue, struct store_cursor *cursor, struct row_place *ret)
{
	if (!queue_place_at(queue, cursor, store_cursor_next(cursor), ret)) return false;
	if (ret->sequence == queue->next && ret->number == 0) return true;
	return seek_event(queue, cursor, ret);
}

void window_fill(struct queue *queue, unsigned events_max)
{
	struct store_cursor cursor;
	struct row_place place;

	if (queue->next >= queue->known_next) return;
	if (window_span_is_full(queue)) window_tell_low(queue);
	if (window_span_is_full(queue)) return;

	store_cursor_open(&cursor, &queue->work_txn, STORE_EVENTS);
	bool found = seek_event(queue, &cursor, &place);
	bool room = true;
	for (unsigned i = 0; i < events_max && room && queue->next < queue->known_next; i++) {
		if (queue->work_txn.result != RESULT_OK) break;
		if (!found || place.sequence > queue->next || place.number != 0) {
			uint64_t until = found && place.sequence > queue->next ? place.sequence
									       : queue->next + 1;
			if (!found || until > queue->known_next) until = queue->known_next;
			skip_missing(queue, until);
			found = found && seek_event(queue, &cursor, &place);
			continue;
		}
		room = enter_row(queue, &cursor, &place);
		if (room) found = next_event(queue, &cursor, &place);
	}
	store_cursor_close(&cursor);
	if (room && queue->next < queue->known_next) queue->more = true;
}

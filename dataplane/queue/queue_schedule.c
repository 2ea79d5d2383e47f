/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_schedule — retries that have come due, read in the order of their time.
 *
 * Reading goes on where it stopped. A row put before that place (a retry due at once, a dead
 * letter replayed, a clock that went back) moves the place back; rows that are in memory are
 * known and passed over.
 */
#include "queue/queue_internal.h"

void schedule_note(struct queue *queue, uint64_t due_us)
{
	if (due_us <= queue->schedule_next.due_us) {
		queue->schedule_next = (struct row_place){ .due_us = due_us };
	}
	if (due_us < queue->schedule_due_us) queue->schedule_due_us = due_us;
	look_again_from(queue, due_us);
}

/* The row under the cursor, which is due. False when there is no room for it. */
static bool lease_row(struct queue *queue, const struct store_cursor *cursor,
	const struct row_place *place)
{
	struct row_waiting waiting;

	if (delivery_of_row(queue, place->sequence, place->target_id)) return true;
	/* Rotten: it has been tried at least once, and that is all that is lost. */
	if (row_waiting_decode(cursor->value, &waiting) != RESULT_OK) {
		waiting = (struct row_waiting){ .attempt_number = 2, .tries = 1 };
	}
	if (!delivery_room(queue, ORIGIN_SCHEDULE, 1)) {
		defer_scheduled(queue);
		return false;
	}
	struct queue_target *target = target_take(queue, place->target_id);
	if (target == NULL) return false;
	if (target->origin_counts[ORIGIN_SCHEDULE] >= queue->limits.rows_per_target &&
		!target->spilling) {
		/* It has enough to do; what is behind may be for others. */
		if (!look_behind_schedule(queue, target->id)) return false;
		defer_spill_target(queue, target);
	}
	struct delivery *delivery = delivery_take(queue, target, ORIGIN_SCHEDULE, place->sequence);
	delivery->attempt_number = waiting.attempt_number;
	delivery->tries = waiting.tries;
	delivery->row_due_us = place->due_us;
	queue->schedule_taken++;
	delivery_ready(queue, delivery);
	return true;
}

void schedule_fill(struct queue *queue, unsigned rows_max)
{
	struct store_cursor cursor;
	struct row_place place;

	if (queue->schedule_due_us > queue->now_us) return;

	struct row_key from = row_schedule_key(queue->schedule_next.due_us,
		queue->schedule_next.sequence, queue->schedule_next.target_id);
	store_cursor_open(&cursor, &queue->work_txn, STORE_SCHEDULE);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	unsigned rows = 0;
	for (; found && rows < rows_max; found = store_cursor_next(&cursor), rows++) {
		if (!row_parse(STORE_SCHEDULE, cursor.key, &place)) continue;
		if (place.due_us > queue->now_us) {
			queue->schedule_due_us = place.due_us;
			break;
		}
		if (!lease_row(queue, &cursor, &place)) break;
		queue->schedule_next = place;
	}
	store_cursor_close(&cursor);
	if (!found && queue->work_txn.result == RESULT_OK) queue->schedule_due_us = UINT64_MAX;
	if (rows == rows_max) queue->more = true;
}

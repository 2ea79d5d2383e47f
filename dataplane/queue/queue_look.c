/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_look — whether anybody waits on disk behind a target that has taken what room there is.
 *
 * Room is made by writing, and when all that lies behind is the target's own, nobody is helped by
 * it. Of events the shard knows it without reading any: a backlog is larger than memory, and
 * reading it once would cost more than taking it in. Whose a row of the schedule is, its key says:
 * a bounded number of them is looked at a time, from where the last look ended, so each once.
 */
#include "queue/queue_internal.h"

/* Rows for one call; more of them are left to the next queue_work(). */
static bool look_on(struct queue *queue, unsigned *rows)
{
	if (++*rows <= QUEUE_WORK_MAX) return true;
	queue->more = true;
	return false;
}

bool look_behind_window(const struct queue *queue, uint32_t target_id)
{
	struct shard_counters counters = shard_counters(queue->shard);
	const struct shard_latest *latest = counters.latest;
	unsigned other = latest[0].target_id == target_id ? 1 : 0;

	return latest[other].sequence >= queue->next;
}

bool look_behind_schedule(struct queue *queue, uint32_t target_id)
{
	struct queue_look *look = &queue->schedule_look;
	struct store_cursor cursor;
	struct row_place place;
	unsigned rows = 0;
	bool waits = false;

	if (look->target_id != target_id || look->due_us < queue->schedule_next.due_us) {
		*look = (struct queue_look){
			.target_id = target_id,
			.due_us = queue->schedule_next.due_us,
			.sequence = queue->schedule_next.sequence,
		};
	}
	struct row_key from = row_schedule_key(look->due_us, look->sequence, 0);
	store_cursor_open(&cursor, &queue->work_txn, STORE_SCHEDULE);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	for (; found && !waits && look_on(queue, &rows); found = store_cursor_next(&cursor)) {
		if (!row_parse(STORE_SCHEDULE, cursor.key, &place)) continue;
		if (place.due_us > queue->now_us) break;
		look->due_us = place.due_us;
		look->sequence = place.sequence;
		waits = place.target_id != target_id &&
			!delivery_of_row(queue, place.sequence, place.target_id);
	}
	store_cursor_close(&cursor);
	return waits;
}

void look_again_from(struct queue *queue, uint64_t due_us)
{
	if (due_us <= queue->schedule_look.due_us) queue->schedule_look = (struct queue_look){ 0 };
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_left — which deliveries are neither delivered nor dead: those of the log from the low-water
 * mark on, and the rows of what went wrong before it. For people; any thread.
 */
#include "queue/row.h"
#include "queue/shard_internal.h"

struct looking {
	struct store_txn txn;
	shard_left_visit *visit;
	void *owner;
	uint64_t budget; /* events and rows that may still be looked at */
};

static void event_look(struct looking *looking, uint64_t sequence)
{
	struct event event;

	if (shard_event_read(&looking->txn, sequence, &event) != RESULT_OK) return;
	for (uint8_t i = 0; i < event.target_count; i++) {
		enum delivery_state state =
			shard_delivery_state(&looking->txn, sequence, event.target_ids[i]);
		if (state == DELIVERY_DELIVERED || state == DELIVERY_DEAD) continue;
		looking->visit(looking->owner, event.endpoint_id);
	}
}

/* What is behind the mark is found by its row; what is not was met in the log. */
static void rows_look(struct looking *looking, enum store_table table, struct row_key from,
	uint64_t low_water)
{
	struct store_cursor cursor;
	struct row_place place;
	struct event event;

	store_cursor_open(&cursor, &looking->txn, table);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	for (; found && looking->budget > 0; found = store_cursor_next(&cursor)) {
		looking->budget--;
		if (!row_parse(table, cursor.key, &place) || place.sequence >= low_water) continue;
		if (shard_event_read(&looking->txn, place.sequence, &event) != RESULT_OK) continue;
		looking->visit(looking->owner, event.endpoint_id);
	}
	store_cursor_close(&cursor);
}

bool shard_left(struct shard *shard, uint64_t budget, shard_left_visit *visit, void *owner)
{
	struct looking looking = { .visit = visit, .owner = owner, .budget = budget };

	/* The counters after the read began may be newer: then an event is looked for in vain. */
	shard_read_begin(shard, &looking.txn);
	struct shard_counters counters = shard_counters(shard);
	rows_look(&looking, STORE_SCHEDULE, row_schedule_key(0, 0, 0), counters.low_water);
	rows_look(&looking, STORE_DEFERRED, row_deferred_key(0, 0), counters.low_water);
	uint64_t sequence = counters.low_water;
	for (; sequence < counters.next_sequence && looking.budget > 0; sequence++) {
		looking.budget--;
		event_look(&looking, sequence);
	}
	store_read_done(&looking.txn);
	return sequence == counters.next_sequence;
}

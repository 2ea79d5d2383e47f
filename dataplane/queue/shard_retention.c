/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_retention — deletes what has been settled for longer than the retention time, a bounded
 * number of rows per commit.
 *
 * A walk over the events in order: one that is too young ends the walk; one that is still
 * wanted (a dead letter, a retry that waits) is passed over and looked at again in the next
 * walk. An event is settled when the last attempt at each of its targets was a success: what
 * is dead, scheduled or deferred has another last attempt, or none. So two tables tell.
 *
 * The values of old events have long left the memory, and reading each from the disk would cost as
 * much as writing it did. So its attempts are asked first, which are small and have to be found
 * anyway: the time of an event that was delivered counts from the first of them.
 *
 * Audit leaves stay: a receipt must be provable for longer than the event is kept.
 */
#include "queue/shard_internal.h"

/* A walk passes over all that is kept, so it does not start more often than this. */
#define WALK_INTERVAL_US (UINT64_C(3600) * 1000000)

enum { DELETE_KEYS_MAX = 64 };

/* Deletes all rows of one event in a table keyed by sequence first; returns how many. */
static unsigned delete_rows_of(struct store_txn *txn, enum store_table table, uint64_t sequence)
{
	struct store_cursor cursor;
	struct row_key keys[DELETE_KEYS_MAX];
	struct row_key first = row_attempt_key(sequence, 0, 0);
	unsigned deleted_count = 0;
	unsigned key_count;

	if (store_row_count(txn, table) == 0) return 0;
	do {
		key_count = 0;
		store_cursor_open(&cursor, txn, table);
		bool found = store_cursor_seek(&cursor, row_key_bytes(&first));
		for (; found && key_count < DELETE_KEYS_MAX; found = store_cursor_next(&cursor)) {
			struct row_place place;
			if (!row_parse(table, cursor.key, &place) || place.sequence != sequence)
				break;
			keys[key_count++] =
				row_attempt_key(sequence, place.target_id, place.number);
		}
		store_cursor_close(&cursor);
		for (unsigned i = 0; i < key_count; i++) {
			store_delete(txn, table, row_key_bytes(&keys[i]));
		}
		deleted_count += key_count;
	} while (key_count == DELETE_KEYS_MAX && txn->result == RESULT_OK);
	return deleted_count;
}

static bool is_settled(struct store_txn *txn, const struct event *event)
{
	for (unsigned i = 0; i < event->target_count; i++) {
		if (shard_delivery_state(txn, event->sequence, event->target_ids[i]) !=
			DELIVERY_DELIVERED) {
			return false;
		}
	}
	return txn->result == RESULT_OK;
}

/* The event's first row and its attempts are deleted. */
static void forget(struct shard *shard, struct store_txn *txn, uint64_t sequence, unsigned *rows)
{
	struct shard_state *state = &shard->state;
	struct row_key second = row_event_key(sequence, 1);

	*rows += delete_rows_of(txn, STORE_ACTIONS, sequence);
	state->counters.events_expired++;
	if (sequence >= state->expired_below) state->expired_below = sequence + 1;
	/* When there is more of its payload, it is found from here. */
	bool has_more = store_delete(txn, STORE_EVENTS, row_key_bytes(&second));
	state->retention_next = has_more ? sequence : sequence + 1;
	if (has_more) (*rows)++;
}

/* Notes when it will not be any more. */
static bool is_young(struct shard *shard, uint64_t since_us)
{
	uint64_t due_us = since_us + shard->retention_us;

	if (due_us <= shard->state.now_us) return false;
	shard->state.retention_due_us = due_us;
	return true;
}

/* ---- By its attempts ------------------------------------------------------------------------- */

struct attempts {
	struct row_key keys[DELETE_KEYS_MAX];
	unsigned count;
	bool complete;       /* there are no more */
	bool last_delivered; /* the last one was a success */
	bool delivered;      /* the last one at each target was a success */
	uint64_t first_us;   /* when the first one started */
};

static void attempts_add(struct attempts *attempts, const struct store_cursor *cursor,
	const struct row_place *place)
{
	struct attempt attempt = { 0 };

	attempts->keys[attempts->count++] =
		row_attempt_key(place->sequence, place->target_id, place->number);
	enum result result = attempt_decode(cursor->value, &attempt);
	attempts->last_delivered = result == RESULT_OK && attempt.outcome == ATTEMPT_DELIVERED;
	if (attempt.started.us < attempts->first_us) attempts->first_us = attempt.started.us;
}

static void attempts_read(struct store_txn *txn, uint64_t sequence, struct attempts *ret)
{
	struct store_cursor cursor;
	struct row_place place;
	struct row_key from = row_attempt_key(sequence, 0, 0);
	uint32_t target_id = 0;

	*ret = (struct attempts){
		.delivered = true,
		.last_delivered = true,
		.first_us = UINT64_MAX,
	};
	store_cursor_open(&cursor, txn, STORE_ATTEMPTS);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	for (; found && ret->count < DELETE_KEYS_MAX; found = store_cursor_next(&cursor)) {
		if (!row_parse(STORE_ATTEMPTS, cursor.key, &place) || place.sequence != sequence)
			break;
		if (place.target_id != target_id) ret->delivered &= ret->last_delivered;
		target_id = place.target_id;
		attempts_add(ret, &cursor, &place);
	}
	store_cursor_close(&cursor);
	ret->complete = ret->count < DELETE_KEYS_MAX;
	ret->delivered &= ret->last_delivered;
}

/* The event at retention_next. False when it has to be looked at itself: it is not there, or not
 * known to be settled. (A target without an attempt has a row in DEFERRED.) */
static bool step_by_attempts(struct shard *shard, struct store_txn *txn, unsigned *rows,
	bool *ret_more)
{
	uint64_t sequence = shard->state.retention_next;
	struct attempts attempts;

	if (sequence >= shard->state.counters.low_water) return false;
	if (store_row_count(txn, STORE_DEFERRED) > 0) return false;
	attempts_read(txn, sequence, &attempts);
	if (attempts.count == 0 || !attempts.complete || !attempts.delivered) return false;
	*ret_more = !is_young(shard, attempts.first_us);
	if (!*ret_more) return true;
	struct row_key key = row_event_key(sequence, 0);
	if (!store_delete(txn, STORE_EVENTS, row_key_bytes(&key))) return false;
	for (unsigned i = 0; i < attempts.count; i++) {
		store_delete(txn, STORE_ATTEMPTS, row_key_bytes(&attempts.keys[i]));
	}
	*rows += 1 + attempts.count;
	forget(shard, txn, sequence, rows);
	return true;
}

/* ---- By itself ------------------------------------------------------------------------------- */

enum verdict { VERDICT_DELETE, VERDICT_KEEP, VERDICT_YOUNG };

static enum verdict judge(struct shard *shard, struct store_txn *txn,
	const struct store_cursor *cursor, const struct row_place *place)
{
	struct event event = { .sequence = place->sequence };
	size_t header_size;

	if (place->sequence >= shard->state.counters.low_water) return VERDICT_YOUNG;
	/* The event's first chunk was deleted in an earlier step. */
	if (place->number != 0) return VERDICT_DELETE;
	/* Rotten: kept, for whoever wants to find out. */
	if (event_decode(cursor->value, &event, &header_size) != RESULT_OK) return VERDICT_KEEP;
	if (is_young(shard, event.received.us)) return VERDICT_YOUNG;
	return is_settled(txn, &event) ? VERDICT_DELETE : VERDICT_KEEP;
}

static void end_walk(struct shard *shard)
{
	struct shard_state *state = &shard->state;
	if (state->now_us - state->retention_started_us < WALK_INTERVAL_US) return;
	state->retention_started_us = state->now_us;
	state->retention_next = 0;
}

/* One row, or one event with what belongs to it. False when the walk is at its end. */
static bool step_by_event(struct shard *shard, struct store_txn *txn, unsigned *rows)
{
	struct store_cursor cursor;
	struct row_place place;
	struct shard_state *state = &shard->state;
	struct row_key from = row_event_key(state->retention_next, 0);
	enum verdict verdict = VERDICT_YOUNG;

	store_cursor_open(&cursor, txn, STORE_EVENTS);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	/* A damaged key's row is kept, as a damaged row is; it does not keep those behind it. */
	while (found && !row_parse(STORE_EVENTS, cursor.key, &place)) {
		found = store_cursor_next(&cursor);
	}
	if (found) verdict = judge(shard, txn, &cursor, &place);
	store_cursor_close(&cursor);
	(*rows)++;
	if (verdict == VERDICT_YOUNG) return false;
	if (verdict == VERDICT_KEEP) {
		state->retention_next = place.sequence + 1;
		return true;
	}
	struct row_key key = row_event_key(place.sequence, place.number);
	store_delete(txn, STORE_EVENTS, row_key_bytes(&key));
	state->retention_next = place.sequence;
	if (place.number == 0) {
		*rows += delete_rows_of(txn, STORE_ATTEMPTS, place.sequence);
		forget(shard, txn, place.sequence, rows);
	}
	return true;
}

static bool step(struct shard *shard, struct store_txn *txn, unsigned *rows)
{
	bool more;

	if (step_by_attempts(shard, txn, rows, &more)) return more;
	return step_by_event(shard, txn, rows);
}

bool shard_retention_step(struct shard *shard, struct store_txn *txn, unsigned rows_max)
{
	shard_replay_expire(shard, txn);
	if (shard->retention_us == 0) return false;
	if (shard->state.now_us < shard->state.retention_due_us) return false;

	unsigned rows = 0;
	while (rows < rows_max && txn->result == RESULT_OK) {
		if (step(shard, txn, &rows)) continue;
		end_walk(shard);
		return false;
	}
	return txn->result == RESULT_OK;
}

/* ---- On request ------------------------------------------------------------------------------ */

/* The work is in the hook that runs before every commit; this only makes a commit happen. */
static void expire_apply(struct store_job *job, struct store_txn *txn)
{
	struct shard *shard = CONTAINER_OF(job, struct shard, expire_job);
	shard_note_time(shard, atomic_load(&shard->expire_now_us));
	shard->expire_more = shard_retention_step(shard, txn, SHARD_EXPIRE_ROWS_MAX);
}

static void expire_complete(struct store_job *job)
{
	struct shard *shard = CONTAINER_OF(job, struct shard, expire_job);
	bool go_on = job->result == RESULT_OK && shard->expire_more &&
		++shard->expire_commits < SHARD_EXPIRE_COMMITS_MAX;

	if (go_on && !atomic_load(&shard->closing)) {
		store_writer_submit(shard->writer, job);
	} else {
		atomic_store(&shard->expire_busy, false);
	}
}

void shard_expire(struct shard *shard, wall_t now)
{
	if (atomic_exchange(&shard->expire_busy, true)) return;
	atomic_store(&shard->expire_now_us, now.us);
	shard->expire_commits = 0;
	shard->expire_job.apply = expire_apply;
	shard->expire_job.complete = expire_complete;
	shard->expire_job.uses_reserve = true;
	shard->expire_job.size = 0;
	store_writer_submit(shard->writer, &shard->expire_job);
}

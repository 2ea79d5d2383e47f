/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_read — looking at events, attempts, dead letters and names; any thread, in a read
 * transaction of its own.
 */
#include <stdio.h>

#include "queue/shard_internal.h"

void shard_read_begin(struct shard *shard, struct store_txn *txn)
{
	enum result result = store_writer_flush(shard->writer);
	MAYBE(result != RESULT_OK); /* then what was there before is seen */
	store_read_begin(txn, shard->store);
}

/* Chunk 0 with its header decoded. */
static enum result read_head(struct store_txn *txn, uint64_t sequence, struct event *ret,
	struct bytes *ret_payload)
{
	struct bytes record;
	size_t header_size;

	if (sequence >> 48 != 0) return RESULT_NOT_FOUND;
	struct row_key key = row_event_key(sequence, 0);
	TRY(store_get(txn, STORE_EVENTS, row_key_bytes(&key), &record));
	*ret = (struct event){ .sequence = sequence, .shard = store_shard(txn->store) };
	TRY(event_decode(record, ret, &header_size));
	*ret_payload = bytes_from(record, header_size);
	return RESULT_OK;
}

enum result shard_event_read(struct store_txn *txn, uint64_t sequence, struct event *ret)
{
	struct bytes payload;
	return read_head(txn, sequence, ret, &payload);
}

enum result shard_payload_read(struct store_txn *txn, const struct event *event, uint64_t offset,
	struct bytes *ret)
{
	struct event head;
	struct bytes first;

	*ret = BYTES_EMPTY;
	if (offset >= event->payload_size) return RESULT_OK;
	TRY(read_head(txn, event->sequence, &head, &first));
	if (offset < first.size) {
		*ret = bytes_from(first, (size_t)offset);
		return RESULT_OK;
	}
	uint64_t chunk = 1 + (offset - first.size) / STORE_EVENT_VALUE_SIZE_MAX;
	size_t skip = (size_t)((offset - first.size) % STORE_EVENT_VALUE_SIZE_MAX);
	if (chunk > UINT16_MAX) return RESULT_MALFORMED;
	struct row_key key = row_event_key(event->sequence, (uint16_t)chunk);
	struct bytes value;
	enum result result = store_get(txn, STORE_EVENTS, row_key_bytes(&key), &value);
	if (result == RESULT_NOT_FOUND || (result == RESULT_OK && value.size <= skip)) {
		return RESULT_MALFORMED;
	}
	if (result == RESULT_OK) *ret = bytes_from(value, skip);
	return result;
}

enum result shard_attempt_next(struct store_txn *txn, uint64_t sequence, uint32_t target_id,
	uint16_t number, struct attempt *ret)
{
	struct store_cursor cursor;
	struct row_place place;
	enum result result = RESULT_NOT_FOUND;

	if (number == UINT16_MAX) return RESULT_NOT_FOUND;
	struct row_key from = row_attempt_key(sequence, target_id, (uint16_t)(number + 1));
	store_cursor_open(&cursor, txn, STORE_ATTEMPTS);
	if (store_cursor_seek(&cursor, row_key_bytes(&from)) &&
		row_parse(STORE_ATTEMPTS, cursor.key, &place) && place.sequence == sequence &&
		place.target_id == target_id) {
		*ret = (struct attempt){ 0 };
		result = attempt_decode(cursor.value, ret);
		ret->sequence = sequence;
		ret->target_id = target_id;
		ret->number = place.number;
	}
	store_cursor_close(&cursor);
	return txn->result != RESULT_OK ? txn->result : result;
}

void shard_name(struct store_txn *txn, char kind, uint32_t id, char to[static NAME_SIZE_MAX + 1])
{
	struct row_key key = row_name_key(kind, id);
	struct bytes name;

	if (store_get(txn, STORE_NAMES, row_key_bytes(&key), &name) != RESULT_OK) {
		name = BYTES_LITERAL("?");
	}
	if (!bytes_to_text(name, to, NAME_SIZE_MAX + 1)) to[NAME_SIZE_MAX] = '\0';
}

enum result shard_dead_next(struct store_txn *txn, uint64_t sequence, uint32_t target_id,
	struct dead_letter *ret)
{
	struct store_cursor cursor;
	struct row_place place;
	enum result result = RESULT_NOT_FOUND;

	/* The smallest key greater than this one. */
	uint32_t next_target_id = target_id + 1;
	struct row_key from = row_dead_key(sequence + (next_target_id == 0), next_target_id);
	store_cursor_open(&cursor, txn, STORE_DEAD);
	bool found = store_cursor_seek(&cursor, row_key_bytes(&from));
	/* A damaged key does not hide those behind it. */
	while (found && !row_parse(STORE_DEAD, cursor.key, &place)) {
		found = store_cursor_next(&cursor);
	}
	if (found) {
		*ret = (struct dead_letter){ 0 };
		result = row_dead_decode(cursor.value, ret);
		ret->sequence = place.sequence;
		ret->target_id = place.target_id;
	}
	store_cursor_close(&cursor);
	return txn->result != RESULT_OK ? txn->result : result;
}

const char *delivery_state_code(enum delivery_state state)
{
	switch (state) {
	case DELIVERY_PENDING: return "pending";
	case DELIVERY_RETRY: return "retry";
	case DELIVERY_DELIVERED: return "delivered";
	case DELIVERY_DEAD: return "dead";
	}
	UNREACHABLE();
}

/* The last attempt's outcome. RESULT_NOT_FOUND when there was none. */
static enum result last_outcome(struct store_txn *txn, uint64_t sequence, uint32_t target_id,
	enum attempt_outcome *ret)
{
	struct store_cursor cursor;
	struct row_place place;
	struct attempt attempt = { 0 };
	enum result result = RESULT_NOT_FOUND;

	struct row_key from = row_attempt_key(sequence, target_id, UINT16_MAX);
	store_cursor_open(&cursor, txn, STORE_ATTEMPTS);
	if (store_cursor_seek_backward(&cursor, row_key_bytes(&from)) &&
		row_parse(STORE_ATTEMPTS, cursor.key, &place) && place.sequence == sequence &&
		place.target_id == target_id) {
		result = attempt_decode(cursor.value, &attempt);
		*ret = attempt.outcome;
	}
	store_cursor_close(&cursor);
	return txn->result != RESULT_OK ? txn->result : result;
}

enum delivery_state shard_delivery_state(struct store_txn *txn, uint64_t sequence,
	uint32_t target_id)
{
	enum attempt_outcome outcome;
	struct bytes value;

	if (last_outcome(txn, sequence, target_id, &outcome) != RESULT_OK) return DELIVERY_PENDING;
	if (outcome == ATTEMPT_DELIVERED) return DELIVERY_DELIVERED;
	if (outcome == ATTEMPT_RETRY) return DELIVERY_RETRY;
	/* Dead, unless a person has put it back into the schedule. */
	struct row_key key = row_dead_key(sequence, target_id);
	enum result result = store_get(txn, STORE_DEAD, row_key_bytes(&key), &value);
	return result == RESULT_NOT_FOUND ? DELIVERY_RETRY : DELIVERY_DEAD;
}

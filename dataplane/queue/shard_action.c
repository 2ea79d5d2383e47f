/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "queue/shard_action.h"

#include "base/check.h"
#include "base/cursor.h"
#include "queue/shard_internal.h"

/* The record, its leaf, and the room that pages leave. */
enum { ACTION_SIZE = 2 * ROW_ACTION_SIZE_MAX };

#define COUNTER_MAX ((UINT64_C(1) << 48) - 1)

const char *shard_action_text(uint8_t kind)
{
	switch (kind) {
#define X(name, number, text) \
	case number: return text;
		SHARD_ACTION_TABLE(X)
#undef X
	default: return "?"; /* stored by a newer version */
	}
}

/* The last counter that is less than `before`; 0: there is none. *ret_value is its row's. */
static uint64_t last_before(struct store_txn *txn, uint64_t before, struct bytes *ret_value)
{
	struct store_cursor cursor;
	struct row_place place;
	uint64_t counter = 0;
	struct row_key key = row_action_key(before - 1);

	*ret_value = BYTES_EMPTY;
	store_cursor_open(&cursor, txn, STORE_ACTIONS);
	if (store_cursor_seek_backward(&cursor, row_key_bytes(&key)) &&
		row_parse(STORE_ACTIONS, cursor.key, &place) && place.sequence == 0) {
		counter = (uint64_t)place.target_id << 16 | place.number;
		*ret_value = cursor.value;
	}
	store_cursor_close(&cursor);
	return counter;
}

static void apply(struct store_job *job, struct store_txn *txn)
{
	struct shard_action *action = CONTAINER_OF(job, struct shard_action, job);
	uint8_t memory[ROW_ACTION_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	struct bytes last;

	action->counter = last_before(txn, COUNTER_MAX, &last) + 1;
	CHECK(action->counter < COUNTER_MAX);
	row_action_encode(action->kind, action->when, action->actor, action->text, &writer);
	CHECK(!writer.failed);
	struct bytes record = writer_bytes(&writer);
	struct row_key key = row_action_key(action->counter);
	store_put(txn, STORE_ACTIONS, row_key_bytes(&key), &record, 1);
	const struct audit_subject subject = {
		.kind = AUDIT_ACTION,
		.sequence = 0,
		.target_id = (uint32_t)(action->counter >> 16),
		.number = (uint16_t)action->counter,
	};
	audit_append(&action->shard->audit, txn, subject, record);
	shard_note_time(action->shard, action->when.us);
}

void shard_action_submit(struct shard *shard, struct shard_action *action)
{
	action->actor[sizeof action->actor - 1] = '\0';
	action->text[sizeof action->text - 1] = '\0';
	action->shard = shard;
	action->job.apply = apply;
	action->job.size = ACTION_SIZE;
	action->job.uses_reserve = true;
	store_writer_submit(shard->writer, &action->job);
}

enum result shard_action_before(struct store_txn *txn, uint64_t before,
	struct shard_action_row *ret)
{
	struct bytes value;

	*ret = (struct shard_action_row){ 0 };
	if (before == 1) return RESULT_NOT_FOUND;
	ret->counter = last_before(txn, before == 0 || before > COUNTER_MAX ? COUNTER_MAX : before,
		&value);
	if (txn->result != RESULT_OK) return txn->result;
	if (ret->counter == 0) return RESULT_NOT_FOUND;
	struct reader reader = reader_of(value);
	ret->kind = read_u8(&reader);
	ret->when.us = read_u64(&reader);
	ret->actor = read_sized(&reader);
	ret->text = read_sized(&reader);
	return reader_complete(&reader) ? RESULT_OK : RESULT_MALFORMED;
}

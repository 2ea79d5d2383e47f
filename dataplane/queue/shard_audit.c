/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_audit — supplies audit_verify() with the records of a shard as they are now.
 *
 * The record of an event holds the SHA-256 of its payload: here it is encoded again with the
 * hash of the payload that is really there, so a changed payload is a changed record. A
 * record that is missing is excused only when retention has been past its event.
 */
#include "queue/shard_internal.h"

enum { PAYLOAD_PARTS_MAX = RECEIVE_BODY_SIZE_LIMIT / STORE_EVENT_VALUE_SIZE_MAX + 2 };

struct records {
	uint64_t expired_below; /* as far as known; grows while we walk */
};

static bool payload_hash(struct store_txn *txn, const struct event *event,
	uint8_t hash[static SHA256_SIZE])
{
	struct bytes parts[PAYLOAD_PARTS_MAX];
	size_t part_count = 0;

	for (uint64_t offset = 0; offset < event->payload_size;) {
		struct bytes *part = &parts[part_count++];
		if (part_count > PAYLOAD_PARTS_MAX) return false;
		if (shard_payload_read(txn, event, offset, part) != RESULT_OK) return false;
		if (part->size == 0) return false;
		offset += part->size;
		if (offset > event->payload_size) return false;
	}
	hash_sha256_parts(parts, part_count, hash);
	return true;
}

static bool is_expired(struct records *records, struct store_txn *txn, uint64_t sequence)
{
	struct shard_state state;
	struct audit audit;
	struct event event;

	if (sequence == 0) return false; /* no event's: retention never takes it */
	if (sequence >= records->expired_below) {
		if (shard_state_read(txn, &state, &audit) != RESULT_OK) return false;
		records->expired_below = state.expired_below;
	}
	return sequence < records->expired_below &&
		shard_event_read(txn, sequence, &event) == RESULT_NOT_FOUND;
}

/* Leaves the record empty when it is missing or unreadable. */
static void read_event(struct store_txn *txn, uint64_t sequence, struct writer *record)
{
	struct event event;
	if (shard_event_read(txn, sequence, &event) != RESULT_OK) return;
	if (payload_hash(txn, &event, event.payload_sha256)) event_encode(&event, record);
}

static bool read_record(void *owner, struct store_txn *txn, const struct audit_subject *subject,
	struct writer *record)
{
	struct bytes value;

	if (subject->kind == AUDIT_EVENT) {
		read_event(txn, subject->sequence, record);
	} else {
		enum store_table table = subject->kind == AUDIT_ACTION ? STORE_ACTIONS
								       : STORE_ATTEMPTS;
		struct row_key key =
			row_attempt_key(subject->sequence, subject->target_id, subject->number);
		enum result result = store_get(txn, table, row_key_bytes(&key), &value);
		if (result == RESULT_OK) write_bytes(record, value);
	}
	return record->size > 0 || !is_expired(owner, txn, subject->sequence);
}

enum result shard_audit_verify(struct shard *shard,
	bool (*progress)(void *owner, uint64_t done, uint64_t all), void *owner,
	struct audit_report *ret)
{
	struct store_txn txn = { 0 };
	struct shard_state state;
	struct audit audit;
	struct records records = { 0 };
	const struct audit_verifier verifier = {
		.record = read_record,
		.record_owner = &records,
		.progress = progress,
		.progress_owner = owner,
	};

	*ret = (struct audit_report){ 0 };
	shard_read_begin(shard, &txn);
	/* Nothing was written yet: the empty log. */
	enum result result = shard_state_read(&txn, &state, &audit);
	if (result == RESULT_NOT_FOUND) result = RESULT_OK;
	if (result == RESULT_OK) {
		records.expired_below = state.expired_below;
		result = audit_verify(&txn, shard->number, &audit.tree, &verifier, ret);
	}
	store_read_done(&txn);
	return result;
}

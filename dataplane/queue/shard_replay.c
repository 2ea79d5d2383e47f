/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_replay — the replay memory of a shard on disk: each commit's fingerprints in one row or
 * few, read back at start.
 *
 * Row: format(1) expires_s(8), the latest of all in it, then for each fingerprint identity(16)
 * body_hash(8) received_us(8) keep_s(4) sequence(2, after the key's).
 */
#include <inttypes.h>

#include "base/log.h"
#include "queue/shard_internal.h"

enum {
	ROW_FORMAT = 1,
	ROW_HEAD_SIZE = 1 + 8,
	ROW_ENTRY_SIZE = 16 + 8 + 8 + 4 + 2,
	ROW_ENTRIES_MAX = (STORE_PAYLOAD_SIZE_MAX - ROW_HEAD_SIZE) / ROW_ENTRY_SIZE,
	EXPIRE_ROWS_MAX = 8,
	US_PER_SECOND = 1000000,
};

static uint64_t expires_s(const struct fingerprint *fingerprint)
{
	return fingerprint->received_us / US_PER_SECOND + 1 + fingerprint->keep_s;
}

static void put_row(struct store_txn *txn, const struct fingerprint *fingerprints, uint32_t count)
{
	uint8_t memory[STORE_PAYLOAD_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	uint64_t latest_s = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (expires_s(&fingerprints[i]) > latest_s) latest_s = expires_s(&fingerprints[i]);
	}
	write_u8(&writer, ROW_FORMAT);
	write_u64(&writer, latest_s);
	for (uint32_t i = 0; i < count; i++) {
		const struct fingerprint *fingerprint = &fingerprints[i];
		write_u64(&writer, fingerprint->identity.low);
		write_u64(&writer, fingerprint->identity.high);
		write_u64(&writer, fingerprint->body_hash);
		write_u64(&writer, fingerprint->received_us);
		write_u32(&writer, fingerprint->keep_s);
		write_u16(&writer, (uint16_t)(fingerprint->sequence - fingerprints[0].sequence));
	}
	CHECK(!writer.failed);
	struct row_key key = row_replay_key(fingerprints[0].sequence);
	struct bytes value = writer_bytes(&writer);
	store_append(txn, STORE_REPLAY, row_key_bytes(&key), &value, 1);
}

void shard_replay_finish(struct shard *shard, struct store_txn *txn)
{
	for (uint32_t done = 0; done < shard->fingerprint_count;) {
		uint32_t count = shard->fingerprint_count - done;
		if (count > ROW_ENTRIES_MAX) count = ROW_ENTRIES_MAX;
		put_row(txn, &shard->fingerprints[done], count);
		done += count;
	}
}

/* Counts what did not decode or did not fit. */
static uint64_t restore_row(const struct shard *shard, struct replay *replay,
	const struct store_cursor *cursor)
{
	struct row_place place;
	struct reader reader = reader_of(cursor->value);
	uint64_t missing = 0;

	if (!row_parse(STORE_REPLAY, cursor->key, &place)) return 1;
	if (read_u8(&reader) != ROW_FORMAT) return 1;
	read_u64(&reader);
	while (!reader.failed && reader.rest.size > 0) {
		struct hash128 identity = { .low = read_u64(&reader) };
		identity.high = read_u64(&reader);
		uint64_t body_hash = read_u64(&reader);
		struct replay_place original = { .shard = shard->number };
		original.received_us = read_u64(&reader);
		uint64_t keep_us = (uint64_t)read_u32(&reader) * US_PER_SECOND;
		original.sequence = place.sequence + read_u16(&reader);
		wall_t expires = { original.received_us + keep_us };
		if (reader.failed) {
			missing++;
		} else if (!replay_restore(replay, identity, body_hash, original, expires)) {
			missing++;
		}
	}
	return missing;
}

enum result shard_replay_restore(struct shard *shard, struct replay *replay)
{
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	uint64_t missing = 0;

	if (replay == NULL) return RESULT_OK;
	store_read_begin(&txn, shard->store);
	store_cursor_open(&cursor, &txn, STORE_REPLAY);
	/* Newest first: should the table be too small now, the oldest are left out, which expire
	 * soonest. */
	for (bool found = store_cursor_last(&cursor); found;
		found = store_cursor_previous(&cursor)) {
		missing += restore_row(shard, replay, &cursor);
	}
	store_cursor_close(&cursor);
	enum result result = txn.result;
	store_read_done(&txn);
	if (missing > 0) {
		log_warning(
			"replay memory is too small for what is on disk shard=%u missing=%" PRIu64,
			(unsigned)shard->number, missing);
	}
	return result;
}

void shard_replay_expire(struct shard *shard, struct store_txn *txn)
{
	struct store_cursor cursor;
	struct row_key keys[EXPIRE_ROWS_MAX];
	unsigned key_count = 0;
	uint64_t now_s = shard->state.now_us / US_PER_SECOND;

	if (shard->state.now_us < shard->state.replay_due_us) return;
	store_cursor_open(&cursor, txn, STORE_REPLAY);
	bool found = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (; found && key_count < EXPIRE_ROWS_MAX; found = store_cursor_next(&cursor)) {
		struct reader reader = reader_of(cursor.value);
		bool known = read_u8(&reader) == ROW_FORMAT;
		uint64_t latest_s = read_u64(&reader);
		/* A row that cannot be read protects nothing. */
		if (known && !reader.failed && latest_s >= now_s) {
			shard->state.replay_due_us = (latest_s + 1) * US_PER_SECOND;
			break;
		}
		struct row_key *key = &keys[key_count++];
		CHECK(cursor.key.size <= sizeof key->memory);
		memcpy(key->memory, cursor.key.data, cursor.key.size);
		key->size = cursor.key.size;
	}
	store_cursor_close(&cursor);
	for (unsigned i = 0; i < key_count; i++) {
		store_delete(txn, STORE_REPLAY, row_key_bytes(&keys[i]));
	}
}

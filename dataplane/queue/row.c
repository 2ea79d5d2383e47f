/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "queue/row.h"

/* 48 bits of sequence are 89 years at 100,000 events per second. */
enum { EVENT_SEQUENCE_BITS = 48 };

static struct row_key finish(struct row_key *key, const struct writer *writer)
{
	CHECK(!writer->failed);
	key->size = writer->size;
	return *key;
}

struct row_key row_event_key(uint64_t sequence, uint16_t chunk)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	CHECK(sequence >> EVENT_SEQUENCE_BITS == 0);
	write_u64_be(&writer, sequence << 16 | chunk);
	return finish(&key, &writer);
}

struct row_key row_attempt_key(uint64_t sequence, uint32_t target_id, uint16_t number)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u64_be(&writer, sequence);
	write_u32_be(&writer, target_id);
	write_u16_be(&writer, number);
	return finish(&key, &writer);
}

struct row_key row_schedule_key(uint64_t due_us, uint64_t sequence, uint32_t target_id)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u64_be(&writer, due_us);
	write_u64_be(&writer, sequence);
	write_u32_be(&writer, target_id);
	return finish(&key, &writer);
}

struct row_key row_deferred_key(uint32_t target_id, uint64_t sequence)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u32_be(&writer, target_id);
	write_u64_be(&writer, sequence);
	return finish(&key, &writer);
}

struct row_key row_dead_key(uint64_t sequence, uint32_t target_id)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u64_be(&writer, sequence);
	write_u32_be(&writer, target_id);
	return finish(&key, &writer);
}

struct row_key row_name_key(char kind, uint32_t id)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u8(&writer, (uint8_t)kind);
	write_u32_be(&writer, id);
	return finish(&key, &writer);
}

struct row_key row_replay_key(uint64_t sequence)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_u64_be(&writer, sequence);
	return finish(&key, &writer);
}

struct row_key row_ledger_key(uint32_t endpoint_id)
{
	struct row_key key;
	struct writer writer = writer_of(key.memory, sizeof key.memory);
	write_bytes(&writer, ROW_LEDGER_PREFIX);
	write_u32_be(&writer, endpoint_id);
	return finish(&key, &writer);
}

bool row_parse(enum store_table table, struct bytes key, struct row_place *ret)
{
	struct reader reader = reader_of(key);

	*ret = (struct row_place){ 0 };
	switch (table) {
	case STORE_EVENTS:
		ret->sequence = read_u64_be(&reader);
		ret->number = (uint16_t)ret->sequence;
		ret->sequence >>= 16;
		break;
	case STORE_ATTEMPTS:
	case STORE_ACTIONS:
		ret->sequence = read_u64_be(&reader);
		ret->target_id = read_u32_be(&reader);
		ret->number = read_u16_be(&reader);
		break;
	case STORE_SCHEDULE:
		ret->due_us = read_u64_be(&reader);
		ret->sequence = read_u64_be(&reader);
		ret->target_id = read_u32_be(&reader);
		break;
	case STORE_DEFERRED:
		ret->target_id = read_u32_be(&reader);
		ret->sequence = read_u64_be(&reader);
		break;
	case STORE_DEAD:
		ret->sequence = read_u64_be(&reader);
		ret->target_id = read_u32_be(&reader);
		break;
	case STORE_REPLAY: ret->sequence = read_u64_be(&reader); break;
	case STORE_META:
	case STORE_NAMES:
	case STORE_LEAVES:
	case STORE_SEGMENTS:
	case STORE_TABLE_COUNT: UNREACHABLE();
	}
	return reader_complete(&reader);
}

void row_put_waiting(struct store_txn *txn, enum store_table table, const struct row_key *key,
	struct row_waiting waiting)
{
	uint8_t memory[4];
	struct writer writer = writer_of(memory, sizeof memory);

	write_u16(&writer, waiting.attempt_number);
	write_u16(&writer, waiting.tries);
	struct bytes value = writer_bytes(&writer);
	store_put(txn, table, row_key_bytes(key), &value, 1);
}

enum result row_waiting_decode(struct bytes value, struct row_waiting *ret)
{
	struct reader reader = reader_of(value);
	ret->attempt_number = read_u16(&reader);
	ret->tries = read_u16(&reader);
	return reader_complete(&reader) ? RESULT_OK : RESULT_MALFORMED;
}

void row_put_dead(struct store_txn *txn, const struct dead_letter *letter)
{
	uint8_t memory[16];
	struct writer writer = writer_of(memory, sizeof memory);

	write_u64(&writer, letter->since.us);
	write_u16(&writer, letter->attempt_count);
	write_u8(&writer, (uint8_t)letter->error);
	write_u16(&writer, letter->status);
	struct row_key key = row_dead_key(letter->sequence, letter->target_id);
	struct bytes value = writer_bytes(&writer);
	store_put(txn, STORE_DEAD, row_key_bytes(&key), &value, 1);
}

enum result row_dead_decode(struct bytes value, struct dead_letter *ret)
{
	struct reader reader = reader_of(value);
	ret->since.us = read_u64(&reader);
	ret->attempt_count = read_u16(&reader);
	unsigned error = read_u8(&reader);
	ret->status = read_u16(&reader);
	if (!reader_complete(&reader) || error >= ATTEMPT_ERROR_COUNT) return RESULT_MALFORMED;
	ret->error = (enum attempt_error)error;
	return RESULT_OK;
}

void row_action_encode(enum shard_action_kind kind, wall_t when, const char *actor,
	const char *text, struct writer *writer)
{
	write_u8(writer, (uint8_t)kind);
	write_u64(writer, when.us);
	write_sized(writer, bytes_of_text(actor));
	if (text != NULL) write_sized(writer, bytes_of_text(text));
}

struct row_key row_action_key(uint64_t counter)
{
	CHECK(counter >> 48 == 0);
	return row_attempt_key(0, (uint32_t)(counter >> 16), (uint16_t)counter);
}

enum { ACCOUNT_FORMAT = 1 };

void row_account_encode(const struct account *account, struct writer *writer)
{
	write_u8(writer, ACCOUNT_FORMAT);
	write_u64(writer, account->accepted);
	write_u64(writer, account->delivered);
	write_u64(writer, account->pending);
	write_u64(writer, account->parked);
}

bool row_account_decode(struct bytes key, struct bytes value, struct account *ret)
{
	if (!bytes_starts_with(key, ROW_LEDGER_PREFIX)) return false;

	struct reader name = reader_of(bytes_from(key, ROW_LEDGER_PREFIX.size));
	struct reader reader = reader_of(value);
	ret->endpoint_id = read_u32_be(&name);
	uint8_t format = read_u8(&reader);
	ret->accepted = read_u64(&reader);
	ret->delivered = read_u64(&reader);
	ret->pending = read_u64(&reader);
	ret->parked = read_u64(&reader);
	return reader_complete(&name) && reader_complete(&reader) && format == ACCOUNT_FORMAT;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* audit_append — the writer thread's side of the log: leaves gather during a batch and become
 * one or few rows before its commit.
 */
#include "audit/audit.h"

#include <string.h>

#include "base/check.h"

enum { KEY_SIZE = 8 };

void audit_init(struct audit *audit, uint16_t shard)
{
	*audit = (struct audit){ .shard = shard };
}

enum result audit_load(struct audit *audit, struct reader *state)
{
	return tree_decode(&audit->tree, state);
}

void audit_save(const struct audit *audit, struct writer *state)
{
	tree_encode(&audit->tree, state);
}

enum result audit_check(const struct audit *audit, struct store_txn *txn)
{
	struct store_cursor cursor;
	uint64_t end = 0;
	bool whole = true;

	store_cursor_open(&cursor, txn, STORE_LEAVES);
	if (store_cursor_last(&cursor)) {
		struct reader key = reader_of(cursor.key);
		end = read_u64_be(&key) + cursor.value.size / AUDIT_ROW_LEAF_SIZE;
		whole = reader_complete(&key) && cursor.value.size > 0 &&
			cursor.value.size % AUDIT_ROW_LEAF_SIZE == 0;
	}
	store_cursor_close(&cursor);
	if (txn->result != RESULT_OK) return txn->result;
	return whole && end == audit->tree.leaf_count ? RESULT_OK : RESULT_MALFORMED;
}

void audit_begin(struct audit *audit)
{
	audit->tree_at_begin = audit->tree;
	audit->pending_first = audit->tree.leaf_count;
	audit->pending_count = 0;
	audit->unhashed.count = 0;
}

void audit_abort(struct audit *audit)
{
	audit->tree = audit->tree_at_begin;
	audit->pending_count = 0;
	audit->unhashed.count = 0;
}

static void hash_waiting(struct audit *audit)
{
	hash_sha256_each(audit->unhashed.message, audit->unhashed.count);
	audit->unhashed.count = 0;
}

static void hash_or_wait(struct audit *audit, uint32_t index, struct bytes record)
{
	const struct audit_subject *subject = &audit->pending_subjects[index];
	struct audit_unhashed *unhashed = &audit->unhashed;
	uint8_t *hash = audit->pending_hashes[index];

	if (record.size > AUDIT_UNHASHED_SIZE_MAX - LEAF_PREFIX_SIZE) {
		leaf_hash(audit->shard, subject, record, hash);
		return;
	}
	struct leaf_prefix prefix = leaf_prefix(audit->shard, subject);
	uint8_t *text = unhashed->text[unhashed->count];
	memcpy(text, prefix.data, sizeof prefix.data);
	if (record.size > 0) memcpy(text + sizeof prefix.data, record.data, record.size);
	unhashed->message[unhashed->count++] = (struct hash_message){
		.text = text,
		.size = sizeof prefix.data + record.size,
		.digest = hash,
	};
	if (unhashed->count == HASH_MESSAGES_MAX) hash_waiting(audit);
}

uint64_t audit_append(struct audit *audit, struct store_txn *txn, struct audit_subject subject,
	struct bytes record)
{
	if (audit->pending_count == AUDIT_PENDING_MAX) audit_finish(audit, txn);

	uint32_t index = audit->pending_count++;
	audit->pending_subjects[index] = subject;
	hash_or_wait(audit, index, record);
	return audit->pending_first + index;
}

void audit_finish(struct audit *audit, struct store_txn *txn)
{
	uint8_t key_memory[KEY_SIZE];
	uint8_t row_memory[AUDIT_PENDING_MAX * AUDIT_ROW_LEAF_SIZE];
	struct writer key = writer_of(key_memory, sizeof key_memory);
	struct writer row = writer_of(row_memory, sizeof row_memory);

	if (audit->pending_count == 0) return;
	hash_waiting(audit);
	CHECK(audit->pending_first == audit->tree.leaf_count);
	tree_append_all(&audit->tree, audit->pending_hashes, audit->pending_count);
	write_u64_be(&key, audit->pending_first);
	for (uint32_t i = 0; i < audit->pending_count; i++) {
		const struct audit_subject *subject = &audit->pending_subjects[i];
		write_u8(&row, subject->kind);
		write_u64(&row, subject->sequence);
		write_u32(&row, subject->target_id);
		write_u16(&row, subject->number);
		write_bytes(&row, bytes_of(audit->pending_hashes[i], SHA256_SIZE));
	}
	CHECK(!key.failed && !row.failed);
	struct bytes value = writer_bytes(&row);
	store_append(txn, STORE_LEAVES, writer_bytes(&key), &value, 1);
	audit->pending_first = audit->tree.leaf_count;
	audit->pending_count = 0;
}

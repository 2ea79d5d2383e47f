/* SPDX-License-Identifier: GPL-2.0-or-later */
/* audit_verify — recomputes the log of a shard and says where it first went wrong.
 *
 * What it finds: a record that differs from what was logged, a leaf that was changed, rows
 * that are missing or overlap, a log that is shorter than the state says or has another root.
 */
#include <inttypes.h>
#include <stdio.h>

#include "audit/audit.h"
#include "base/check.h"

enum { KEY_SIZE = 8, ROWS_PER_TRANSACTION = 256 };

struct walk {
	struct store_txn *txn;
	uint16_t shard;
	const struct audit_verifier *verifier;
	struct tree tree;
	struct audit_report *report;
};

static void found_bad(struct walk *walk, uint64_t index, const char *what)
{
	struct audit_report *report = walk->report;
	if (!report->valid) return;
	report->valid = false;
	report->first_bad_index = index;
	snprintf(report->error, sizeof report->error, "leaf %" PRIu64 ": %s", index, what);
}

static void verify_leaf(struct walk *walk, struct reader *row)
{
	uint8_t record_memory[AUDIT_RECORD_SIZE_MAX];
	struct writer record = writer_of(record_memory, sizeof record_memory);
	uint8_t hash[SHA256_SIZE];
	struct audit_report *report = walk->report;
	uint64_t index = walk->tree.leaf_count;

	struct audit_subject subject = { .kind = read_u8(row) };
	subject.sequence = read_u64(row);
	subject.target_id = read_u32(row);
	subject.number = read_u16(row);
	struct bytes stored = read_bytes(row, SHA256_SIZE);
	CHECK(!row->failed);

	tree_append(&walk->tree, stored.data);
	report->leaf_count++;
	if (!walk->verifier->record(walk->verifier->record_owner, walk->txn, &subject, &record)) {
		report->expired_count++;
		return;
	}
	struct bytes bytes = writer_bytes(&record);
	leaf_hash(walk->shard, &subject, bytes, hash);
	if (bytes_equal(bytes_of(hash, sizeof hash), stored)) {
		report->checked_count++;
		return;
	}
	report->mismatch_count++;
	found_bad(walk, index,
		bytes.size > 0 ? "the record is not what was logged"
			       : "the record is missing or unreadable");
}

/* False when there is no sense in going on. */
static bool verify_row(struct walk *walk, const struct store_cursor *cursor)
{
	struct reader key = reader_of(cursor->key);
	uint64_t first = read_u64_be(&key);

	if (!reader_complete(&key) || first != walk->tree.leaf_count) {
		found_bad(walk, walk->tree.leaf_count, "the rows of the log have a gap or overlap");
		return false;
	}
	if (cursor->value.size == 0 || cursor->value.size % AUDIT_ROW_LEAF_SIZE != 0) {
		found_bad(walk, first, "the row of the log is damaged");
		return false;
	}
	struct reader row = reader_of(cursor->value);
	while (row.rest.size > 0) verify_leaf(walk, &row);
	return true;
}

static bool row_key_at(struct store_cursor *cursor, uint64_t index)
{
	uint8_t memory[KEY_SIZE];
	struct writer key = writer_of(memory, sizeof memory);
	write_u64_be(&key, index);
	return store_cursor_seek(cursor, writer_bytes(&key));
}

/* Some rows in one transaction. False at the end. */
static bool verify_rows(struct walk *walk, const struct tree *expected)
{
	struct store_cursor cursor;
	bool going = true;

	store_cursor_open(&cursor, walk->txn, STORE_LEAVES);
	bool found = row_key_at(&cursor, walk->tree.leaf_count);
	for (unsigned i = 0; i < ROWS_PER_TRANSACTION && going; i++) {
		if (walk->tree.leaf_count >= expected->leaf_count) {
			going = false;
		} else if (!found) {
			found_bad(walk, walk->tree.leaf_count, "the log ends too early");
			going = false;
		} else {
			going = verify_row(walk, &cursor);
			found = store_cursor_next(&cursor);
		}
	}
	store_cursor_close(&cursor);
	return going && walk->txn->result == RESULT_OK;
}

enum result audit_verify(struct store_txn *txn, uint16_t shard, const struct tree *expected,
	const struct audit_verifier *verifier, struct audit_report *ret)
{
	uint8_t expected_root[SHA256_SIZE];
	struct walk walk = { .txn = txn, .shard = shard, .verifier = verifier, .report = ret };

	*ret = (struct audit_report){ .valid = true };
	while (verify_rows(&walk, expected)) {
		if (verifier->progress != NULL &&
			!verifier->progress(verifier->progress_owner, ret->leaf_count,
				expected->leaf_count)) {
			found_bad(&walk, ret->leaf_count, "stopped before the end");
			return RESULT_CLOSED;
		}
		struct store *store = txn->store;
		store_read_end(txn);
		store_read_begin(txn, store);
	}
	if (txn->result != RESULT_OK) return txn->result;

	tree_root(&walk.tree, ret->root);
	tree_root(expected, expected_root);
	if (ret->valid && walk.tree.leaf_count != expected->leaf_count) {
		found_bad(&walk, expected->leaf_count, "the log is longer than its last row says");
	}
	if (ret->valid && memcmp(ret->root, expected_root, SHA256_SIZE) != 0) {
		found_bad(&walk, 0, "the root is not the one that was committed");
	}
	return RESULT_OK;
}

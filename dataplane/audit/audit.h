/* SPDX-License-Identifier: GPL-2.0-or-later */
/* audit — the log of what happened: one leaf per accepted event, per attempt and per
 * operator's action, in the same transaction as the thing itself.
 *
 * What a leaf commits to: leaf.h. The rows keep for each leaf what it is about and its hash:
 * audit_verify() recomputes all of it. The struct belongs to the shard's writer thread.
 */
#pragma once

#include "audit/leaf.h"
#include "audit/tree.h"
#include "store/store.h"

/* A leaf in a row: kind(1) sequence(8) target(4) number(2) hash(32). */
enum { AUDIT_ROW_LEAF_SIZE = 15 + SHA256_SIZE };
/* Leaves of one commit, beyond which rows are written early: what fits into a row. */
enum { AUDIT_PENDING_MAX = 84 };
BOUND((int)AUDIT_PENDING_MAX <= (int)TREE_APPEND_MAX);
/* Prefix and record of a leaf that waits for others: all but those with long texts. */
enum { AUDIT_UNHASHED_SIZE_MAX = 448 };
/* Leaves that are not hashed yet, but together: that costs half as much. */
struct audit_unhashed {
	uint32_t count;
	struct hash_message message[HASH_MESSAGES_MAX];
	uint8_t text[HASH_MESSAGES_MAX][AUDIT_UNHASHED_SIZE_MAX + HASH_ROOM];
};
BOUND(AUDIT_PENDING_MAX *AUDIT_ROW_LEAF_SIZE <= STORE_PAYLOAD_SIZE_MAX);

struct audit {
	uint16_t shard;
	struct tree tree;
	struct tree tree_at_begin; /* for abort */
	/* Leaves that are neither in the tree nor in a row yet. */
	uint64_t pending_first;
	uint32_t pending_count;
	struct audit_subject pending_subjects[AUDIT_PENDING_MAX];
	uint8_t pending_hashes[AUDIT_PENDING_MAX][SHA256_SIZE];
	struct audit_unhashed unhashed;
};

/* The empty log of a new shard. */
void audit_init(struct audit *audit, uint16_t shard);
/* From the stored state row's reader (see shard state); after audit_init(). */
MUST_USE enum result audit_load(struct audit *audit, struct reader *state);
void audit_save(const struct audit *audit, struct writer *state);

void audit_begin(struct audit *audit);
void audit_abort(struct audit *audit);
/* `record` is what the leaf commits to. Returns the leaf's index; in the tree it is not before
 * audit_finish(). */
uint64_t audit_append(struct audit *audit, struct store_txn *txn, struct audit_subject subject,
	struct bytes record);
/* Writes the rows of the leaves since audit_begin(), and puts them into the tree. */
void audit_finish(struct audit *audit, struct store_txn *txn);

/* Whether the last row ends where the tree does: one look, at start. */
MUST_USE enum result audit_check(const struct audit *audit, struct store_txn *txn);

/* Walks the leaves of a shard up to `expected` (the tree of the same transaction's state row),
 * recomputes every hash whose record is still there, the tree and its root. The callback
 * supplies the record bytes of a subject (false: gone by retention, as it may be; a record
 * that is missing otherwise is given empty). Any thread; long: progress is reported per row,
 * and the read transaction is begun anew now and then, so that it does not pin the file. */
struct audit_report {
	uint64_t leaf_count;
	uint64_t checked_count;   /* record present and hash right */
	uint64_t expired_count;   /* record gone by retention */
	uint64_t mismatch_count;  /* record present, hash wrong */
	uint64_t first_bad_index; /* meaningful when !valid */
	bool valid;
	char error[160];
	uint8_t root[SHA256_SIZE];
};
typedef bool audit_record_fn(void *owner, struct store_txn *txn,
	const struct audit_subject *subject, struct writer *record);
struct audit_verifier {
	audit_record_fn *record;
	void *record_owner;
	bool (*progress)(void *owner, uint64_t done, uint64_t all); /* or NULL; false: stop */
	void *progress_owner;
};
enum { AUDIT_RECORD_SIZE_MAX = STORE_VALUE_SIZE_MAX };
MUST_USE enum result audit_verify(struct store_txn *txn, uint16_t shard,
	const struct tree *expected, const struct audit_verifier *verifier,
	struct audit_report *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* audit — the log of what happened: one leaf per accepted event, per attempt and per
 * operator's action, in the same transaction as the thing itself.
 *
 * A leaf is SHA-256(0x00 || kind || record), so whoever has the record can check it. The rows
 * keep for each leaf what it is about and its hash: audit_verify() recomputes all of it.
 * The struct belongs to the shard's writer thread.
 */
#pragma once

#include "audit/tree.h"
#include "store/store.h"

enum audit_kind { AUDIT_EVENT = 1, AUDIT_ATTEMPT = 2, AUDIT_DEAD = 3, AUDIT_ACTION = 4 };

/* What a leaf is about: enough to find its record. */
struct audit_subject {
	uint8_t kind;
	uint64_t sequence;
	uint32_t target_id; /* 0 for events */
	uint16_t number;    /* of the attempt */
};

/* Leaves of one commit, beyond which rows are written early. */
enum { AUDIT_PENDING_MAX = 84 };

struct audit {
	struct tree tree;
	struct tree tree_at_begin; /* for abort */
	uint64_t pending_first;
	uint32_t pending_count;
	struct audit_subject pending_subjects[AUDIT_PENDING_MAX];
	uint8_t pending_hashes[AUDIT_PENDING_MAX][SHA256_SIZE];
};

/* From the stored state row's reader (see shard state). */
MUST_USE enum result audit_load(struct audit *audit, struct reader *state);
void audit_save(const struct audit *audit, struct writer *state);

void audit_begin(struct audit *audit);
void audit_abort(struct audit *audit);
/* `record` parts are what the leaf commits to. Returns the leaf's index. */
uint64_t audit_append(struct audit *audit, struct store_txn *txn, struct audit_subject subject,
	const struct bytes *record, size_t part_count);
/* Writes the rows of the leaves since audit_begin(). */
void audit_finish(struct audit *audit, struct store_txn *txn);

/* Walks all leaves of a shard in a read transaction, recomputes every hash whose record is
 * still there, the tree and its root. The callback supplies the record bytes of a subject
 * (false: gone by retention). Any thread; long: progress is reported per row. */
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
typedef bool audit_record_fn(void *owner, struct store_txn *txn, const struct audit_subject *subject,
	struct writer *record);
MUST_USE enum result audit_verify(struct store_txn *txn, audit_record_fn *record, void *owner,
	void (*progress)(void *owner, uint64_t done, uint64_t all), struct audit_report *ret);

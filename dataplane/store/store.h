/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store — one LMDB environment (a shard's), its tables, and transactions with a sticky error.
 * The only folder that includes lmdb.h. In front of LMDB is a journal (store_journal.h): a commit
 * is one write and one flush there, and LMDB has it at the next checkpoint.
 *
 * LMDB's caveats that bind us: open an environment once per process and never open its files
 * elsewhere in the process (POSIX locks die with the first close); never hold a read
 * transaction across I/O (it pins freed pages and the file grows); never use it after fork.
 * Default sync always: no NOSYNC, WRITEMAP, DUPSORT.
 *
 * Every value is stored as XXH3-64 of (key, value), then the value: rot shows as
 * RESULT_MALFORMED on read, never as wrong bytes.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "bounds.h"

/* Bumped when a table's layout changes; store_migrate.c has a step for each old version. */
enum { STORE_SCHEMA_VERSION = 2 };

/* name, what a row is. Keys are big-endian so that they sort. Who reads sees at once what a commit
 * did to NAMES, SCHEDULE, DEFERRED, DEAD and ACTIONS, and what it appended to EVENTS; all else from
 * the next checkpoint on. The values of EVENTS stay in the journal, and may be larger. */
#define STORE_TABLE_TABLE(X) \
	X(META,     "meta",     "name → schema version, shard identity, state, ledger") \
	X(NAMES,    "names",    "kind(1) id(4) → name: what an id in a record was called") \
	X(EVENTS,   "events",   "sequence(6) chunk(2) → record header and first payload bytes, or more payload") \
	X(ATTEMPTS, "attempts", "sequence(8) target(4) number(2) → attempt record") \
	X(SCHEDULE, "schedule", "due_us(8) sequence(8) target(4) → what waits for its next try") \
	X(DEFERRED, "deferred", "target(4) sequence(8) → what a slow target left on disk") \
	X(DEAD,     "dead",     "sequence(8) target(4) → dead letter") \
	X(ACTIONS,  "actions",  "sequence(8) target(4) number(2) → what a person did to a delivery; sequence 0: to the daemon") \
	X(REPLAY,   "replay",   "first sequence(8) → a commit's replay fingerprints") \
	X(LEAVES,   "leaves",   "first leaf index(8) → a commit's audit leaves") \
	X(SEGMENTS, "segments", "number(8) → what a segment of the journal holds")

enum store_table {
#define X(name, text, row) STORE_##name,
	STORE_TABLE_TABLE(X)
#undef X
	STORE_TABLE_COUNT
};

struct store;

struct store_config {
	const char *path;    /* folder of this shard; made with mode 0700 when missing */
	uint16_t shard;      /* must be what the shard was created as: RESULT_VERSION otherwise */
	uint64_t quota_size; /* bytes this shard may use; 0: what the file system has */
};

/* Cold thread. RESULT_VERSION for a newer schema (refused) or another shard's folder;
 * RESULT_BUSY when another process has it open (flock on <path>/lock of our own);
 * RESULT_DISK, RESULT_SPACE, RESULT_PERMISSION. `error` gets a sentence. */
MUST_USE enum result store_open(const struct store_config *config, struct store **ret, char *error,
	size_t error_size);
void store_close(struct store *store);
uint16_t store_shard(const struct store *store);
/* For people: its name in LMDB. Any thread. */
const char *store_table_name(enum store_table table);

/* ---- Transactions --------------------------------------------------------------------------
 * After the first error every call does nothing and `result` keeps it: check once, at commit. */

struct store_epoch;
struct store_txn {
	struct store *store;
	void *handle; /* MDB_txn */
	enum result result;
	bool writable;
	/* Private. */
	bool unlogged;    /* what it writes is in the journal already, or has no place there */
	uint32_t touched; /* a bit for each table written to */
	struct store_epoch *epoch;
	struct store_epoch *last_epoch;
};

/* The writer thread only; one at a time. Its results are RESULT_OK, RESULT_SPACE (only this
 * transaction is lost) and RESULT_DISK (nothing can be written any more). */
void store_write_begin(struct store_txn *txn, struct store *store);
/* RESULT_OK: on disk, whatever happens next. RESULT_SPACE: nothing was written, the store is
 * as before. RESULT_DISK: a write or sync failed: the store refuses all further writes. */
MUST_USE enum result store_write_commit(struct store_txn *txn);
void store_write_abort(struct store_txn *txn);
/* Have LMDB commit it, with all that is pending, so that who reads sees it at once. */
void store_write_through(struct store_txn *txn);

/* LMDB takes over what only the journal has; by itself now and then. Writer thread, between
 * transactions. RESULT_SPACE: not now, nothing is lost. */
MUST_USE enum result store_checkpoint(struct store *store);
/* Does of the next one what can be done before, once there is enough of it. Writer thread, between
 * transactions. */
void store_checkpoint_prepare(struct store *store);
/* Whether there is something to take over, or the last one found no space. Any thread. */
bool store_checkpoint_wanted(const struct store *store);
/* Whether it should be done now: enough has gathered, or for long enough. Writer thread. */
bool store_checkpoint_due(const struct store *store);
/* Whether the last one found no space. Writer thread. */
bool store_checkpoint_refused(const struct store *store);

/* Any thread. A reader slot is kept per struct: begin again after end is cheap (mdb_txn_renew).
 * Zero the struct before the first begin; store_read_done() at the very end. */
void store_read_begin(struct store_txn *txn, struct store *store);
void store_read_end(struct store_txn *txn);
void store_read_done(struct store_txn *txn);

/* `value` parts are concatenated; together 1 … STORE_PAYLOAD_SIZE_MAX bytes, in EVENTS up to
 * STORE_EVENT_VALUE_SIZE_MAX. */
enum { STORE_PAYLOAD_SIZE_MAX = STORE_VALUE_SIZE_MAX - 8 };
void store_put(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count);
/* For keys greater than all in the table: cheaper, and fills pages. CHECKs the order. In EVENTS,
 * whose keys have 8 bytes, what is put otherwise must not be there yet, and is seen from the next
 * checkpoint on. */
void store_append(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count);
/* No error when absent. Returns whether it was there. */
bool store_delete(struct store_txn *txn, enum store_table table, struct bytes key);
/* A view valid until the transaction ends (or writes). RESULT_NOT_FOUND and RESULT_MALFORMED
 * (this value has rotted) are not sticky: one bad row must not stop the others. In a transaction
 * that writes, looking for an event may write, too: a view does not outlive it. */
MUST_USE enum result store_get(struct store_txn *txn, enum store_table table, struct bytes key,
	struct bytes *ret_value);

/* Walks a table in key order from the first key ≥ `from` (or backwards from the last ≤ it).
 * A value that has rotted is shown as empty (stored values never are), so that a walk gets
 * past it. LMDB allocates some hundred bytes for each open cursor. In a transaction that
 * writes, seek again after every change. */
struct store_cursor {
	struct store_txn *txn;
	void *handle; /* MDB_cursor */
	enum store_table table;
	struct bytes key;
	struct bytes value;
	/* Private: it stands on this row that LMDB does not have yet. */
	bool is_recent;
	uint32_t recent;
	uint8_t recent_key[8];
};
void store_cursor_open(struct store_cursor *cursor, struct store_txn *txn, enum store_table table);
void store_cursor_close(struct store_cursor *cursor);
/* False at the end of the table, and on error (then txn->result is set). */
bool store_cursor_seek(struct store_cursor *cursor, struct bytes from);
bool store_cursor_seek_backward(struct store_cursor *cursor, struct bytes from);
bool store_cursor_last(struct store_cursor *cursor);
bool store_cursor_next(struct store_cursor *cursor);
bool store_cursor_previous(struct store_cursor *cursor);

/* Rows in a table; O(1). */
uint64_t store_row_count(struct store_txn *txn, enum store_table table);

struct store_space {
	uint64_t used_size; /* non-free pages */
	uint64_t file_size;
	uint64_t quota_size;
	uint64_t disk_free_size;
};
/* Cheap enough for every batch (statvfs is cached for a second). */
struct store_space store_space(struct store *store);
/* What has been accepted needs so much more until it is settled: attempts, leaves, rows. Kept
 * from ingest beside STORE_RESERVE_PERCENT. Writer thread. */
void store_set_promised(struct store *store, uint64_t size);
/* Whether ingest of `size` more bytes leaves the reserve and what is promised alone. Writer
 * thread. */
bool store_has_room(struct store *store, uint64_t size);
/* Whether it had room for an event of a few KiB after the last batch or checkpoint. Any thread. */
bool store_had_room(const struct store *store);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_internal — what the files of store/ share: the open environment and LMDB's errors.
 */
#pragma once

#include <lmdb.h>
#include <stdatomic.h>

#include "store/store_journal.h"
#include "store/store_recent.h"

/* Whoever reads must see these as they were committed: the queue takes rows back into memory and
 * trusts that one it has deleted is gone. A commit that touches one is LMDB's. */
#define STORE_WRITE_THROUGH (1u << 31)
#define STORE_PROMPT_TABLES \
	(1u << STORE_NAMES | 1u << STORE_SCHEDULE | 1u << STORE_DEFERRED | 1u << STORE_DEAD | \
		1u << STORE_ACTIONS | STORE_WRITE_THROUGH)

/* LMDB's own two trees, beside our tables: free pages and the names of tables. */
enum { STORE_LMDB_TREES = 2, STORE_CHECKSUM_SIZE = 8 };

struct store {
	MDB_env *env;
	MDB_dbi tables[STORE_TABLE_COUNT];
	uint32_t page_size;
	uint16_t shard;
	uint64_t quota_size;
	uint64_t reserve_size; /* of the quota, kept for what uses_reserve */
	int folder_fd;
	int lock_fd;
	int data_fd; /* LMDB's */
	atomic_bool failed;

	struct journal journal;
	struct recents recents;

	/* Writer thread only: what has been committed to the journal since the last checkpoint. */
	MDB_txn *pending; /* or NULL */
	uint32_t pending_touched;
	uint64_t pending_since_us;
	bool rebuild;                   /* `pending` was lost: the journal has it all */
	uint64_t pending_size;          /* bytes of its rows, and of those it is to have */
	uint64_t checkpoint_refused_us; /* there was no space for it */
	atomic_bool checkpoint_refused;
	atomic_bool checkpoint_wanted;
	atomic_bool had_room; /* for people */

	/* Writer thread only. */
	uint64_t tree_pages[STORE_TABLE_COUNT + STORE_LMDB_TREES]; /* at the last commit */
	uint64_t file_end;          /* the file is allocated up to here */
	bool no_fallocate;          /* the file system does not know it */
	uint64_t extend_refused_at; /* second at which the file system refused to extend it */

	atomic_uint_fast64_t used_size;
	atomic_uint_fast64_t promised_size;
	atomic_uint_fast64_t file_size;
	atomic_uint_fast64_t disk_free_size;
	atomic_uint_fast64_t disk_free_second; /* when it was asked */
};

/* CLOCK_MONOTONIC; any thread. Seconds are coarse, and cost next to nothing. */
uint64_t store_clock_us(void);
uint64_t store_clock_second(void);

/* Maps LMDB's or the system's error; the sentence is mdb_strerror()'s. */
enum result store_result(int code);

/* Fails the transaction for good, and the store when a write transaction fails other than for
 * space. */
void store_txn_fail(struct store_txn *txn, const char *what, int code);
/* Checks and takes off the checksum, and finds the value of a place. RESULT_MALFORMED: *ret_value
 * is empty. */
enum result store_value_open(const struct store_txn *txn, enum store_table table, MDB_val key,
	MDB_val data, struct bytes *ret_value);
/* The value of a recent row. */
enum result store_recent_open(const struct store_txn *txn, uint32_t recent, uint8_t key[static 8],
	struct bytes *ret_value);

/* store_pending.c */
/* At open: the journal, and what it has that LMDB has not. */
enum result store_journal_open(struct store *store, char *error, size_t error_size);
/* The transaction that everything goes into until the next checkpoint; begun when there is none. */
enum result store_pending_begin(struct store *store);
/* What the transaction of a batch did is to be forgotten: all since the last checkpoint is, and
 * comes again from the journal. */
void store_pending_lose(struct store *store);
/* store_checkpoint_prepare(), however little there is. */
void store_prepare(struct store *store);
/* A checkpoint, or what goes before it, has found no space, or failed: it is tried again a second
 * later, and until then nothing comes in. */
void store_refuse_checkpoint(struct store *store, enum result result);
/* A batch is in the journal, LMDB's part of it is pending. */
void store_pending_note(struct store *store, uint32_t touched);

/* store_txn.c: the row of a value that is in the journal. */
void store_put_place(struct store_txn *txn, struct bytes key, struct journal_place place);
/* LMDB's pending transaction gets the places of the recent events: when many have gathered, at a
 * checkpoint, or because the writer asks LMDB for events. Cheaper than one at a time as they come,
 * and until then nobody misses them there: readers have the recent rows. */
void store_take_over(struct store_txn *txn);

/* store_space.c; writer thread (or store_open). */
/* The configured quota, or for 0 what the file has and can get. Before the environment opens. */
void store_space_quota(struct store *store, uint64_t configured_size);
/* After it: counts what is used. */
enum result store_space_open(struct store *store);
/* The size of LMDB's map: never the first limit to be met. */
uint64_t store_map_size(const struct store *store);
/* What the file system behind the descriptor has left for us. */
uint64_t store_disk_free(int fd);
/* Of the file system, what ingest leaves alone. */
uint64_t store_disk_reserve(const struct store *store);
/* Allocates file space ahead of the transaction that begins, so that running out of it shows
 * before anything is written. */
void store_space_extend(struct store *store);
/* Notes whether there is room, for who asks in another thread. */
void store_space_note_room(struct store *store);
/* Counts pages of the tables the transaction has touched; call before its commit … */
void store_space_count(const struct store *store, struct store_txn *txn, uint64_t *tree_pages);
/* … and publish them after. */
void store_space_publish(struct store *store, const uint64_t *tree_pages);

/* store_compact.c: a copy that was never finished. Whoever has the store's lock removes it. */
#define STORE_COMPACT_NAME "data.mdb.new"
void store_compact_clear(int folder_fd);

/* store_migrate.c */
struct store_migration {
	uint32_t from; /* schema version this step reads; it leaves from + 1 */
	enum result (*step)(struct store_txn *txn);
};
/* Brings an open write transaction from the stored schema to STORE_SCHEMA_VERSION, or writes
 * the identity of a new store. Does not commit. */
enum result store_migrate(struct store_txn *txn, char *error, size_t error_size);
enum result store_migrate_steps(struct store_txn *txn, uint32_t from, uint32_t to,
	const struct store_migration *steps, size_t step_count);

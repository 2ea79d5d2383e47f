/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_pending — LMDB's transaction from one checkpoint to the next, and opening the journal.
 *
 * Batches are applied to one open transaction of LMDB as they come, but for the places of events,
 * and are durable in the journal. These places are put some hundred at a time between batches, the
 * rest by the checkpoint, which commits it all. Should it be lost before (a batch that must be
 * undone takes all of it along, or LMDB finds no space), what it had is done again from the
 * journal, as at a start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "store/store_internal.h"

/* ---- From the journal ----------------------------------------------------------------------- */

static enum result redo_record(void *owner, const struct journal_record *record)
{
	struct store_txn *txn = owner;

	if (record->kind == JOURNAL_DELETE) {
		store_delete(txn, record->table, record->key);
	} else if (record->table == STORE_EVENTS) {
		store_put_place(txn, record->key, record->place);
	} else {
		store_put(txn, record->table, record->key, &record->value, 1);
	}
	return txn->result;
}

/* LMDB's transaction, for what is in the journal already. */
static struct store_txn pending_txn(struct store *store)
{
	return (struct store_txn){
		.store = store,
		.handle = store->pending,
		.writable = true,
		.unlogged = true,
	};
}

static enum result redo(struct store *store, uint64_t until, char *error, size_t error_size)
{
	struct store_txn txn = pending_txn(store);

	journal_restore(&store->journal);
	/* They come again from the journal, each as it was. */
	store->recents.taken_count = store->recents.added_count;
	enum result result =
		journal_redo(&store->journal, until, redo_record, &txn, error, error_size);
	store->pending_touched |= txn.touched;
	return result;
}

enum result store_pending_begin(struct store *store)
{
	char error[256] = "";

	if (store->pending != NULL) return RESULT_OK;
	int code = mdb_txn_begin(store->env, NULL, 0, &store->pending);
	if (code != 0) {
		store->pending = NULL;
		struct store_txn txn = { .store = store, .writable = true };
		store_txn_fail(&txn, "begin", code);
		return txn.result;
	}
	store->pending_touched = 0;
	store->pending_size = 0;
	if (!store->rebuild) return RESULT_OK;
	enum result result = redo(store, store->journal.position, error, sizeof error);
	if (result == RESULT_OK) {
		store->rebuild = false;
		return RESULT_OK;
	}
	mdb_txn_abort(store->pending);
	store->pending = NULL;
	if (result != RESULT_SPACE) {
		log_error("store cannot do again what its journal has shard=%u error=\"%s\"",
			(unsigned)store->shard, error);
		atomic_store(&store->failed, true);
		result = RESULT_DISK;
	}
	return result;
}

void store_pending_lose(struct store *store)
{
	if (store->pending != NULL) mdb_txn_abort(store->pending);
	store->pending = NULL;
	store->rebuild = true;
}

/* ---- Checkpoint ------------------------------------------------------------------------------ */

/* LMDB reports a write that was cut short as EIO. When the file system is full that is the
 * reason, and nothing is broken: nothing of the transaction is reachable. Unless it was the meta
 * page's, which may be on the disk: then LMDB begins nothing any more, and neither do we. */
static int commit_error(const struct store *store, int code)
{
	/* Left on the file system by a write that was cut short: LMDB writes 64 pages at a time. */
	enum { SHORT_WRITE_SIZE = 1024 * 1024 };
	MDB_txn *next;

	int next_code = mdb_txn_begin(store->env, NULL, 0, &next);
	if (next_code != 0) return store_result(code) == RESULT_SPACE ? next_code : code;
	mdb_txn_abort(next);
	if (code == EIO && store_disk_free(store->data_fd) < SHORT_WRITE_SIZE) return ENOSPC;
	return code;
}

static void checkpoint_done(struct store *store, const uint64_t *tree_pages)
{
	uint64_t epoch = store->recents.now->number;

	store_space_publish(store, tree_pages);
	store->pending_touched = 0;
	store->pending_size = 0;
	atomic_store(&store->checkpoint_refused, false);
	atomic_store(&store->checkpoint_wanted, false);
	bool turned = recents_turn(&store->recents);
	/* Otherwise who reads slowly keeps segments from being used again, no more. */
	if (turned) journal_set_tail(&store->journal, store->recents.now->tail);
	journal_saved(&store->journal, epoch);
	journal_reclaim(&store->journal, recents_oldest(&store->recents));
}

void store_refuse_checkpoint(struct store *store, enum result result)
{
	store_pending_lose(store);
	store->checkpoint_refused_us = store_clock_us();
	atomic_store(&store->checkpoint_refused, result == RESULT_SPACE);
	/* Nothing comes in until one finds space, so it is tried again for its own sake. */
	atomic_store(&store->checkpoint_wanted, true);
}

enum result store_checkpoint(struct store *store)
{
	uint64_t tree_pages[STORE_TABLE_COUNT + STORE_LMDB_TREES];

	if (atomic_load(&store->failed)) return RESULT_DISK;
	enum result result = store_pending_begin(store);
	if (result != RESULT_OK) {
		store_refuse_checkpoint(store, result);
		return result;
	}
	struct store_txn txn = pending_txn(store);
	txn.touched = store->pending_touched;
	store_take_over(&txn);
	journal_save(&store->journal, &txn);
	store_space_count(store, &txn, tree_pages);
	if (txn.result == RESULT_OK) {
		int code = mdb_txn_commit(store->pending);
		store->pending = NULL;
		if (code != 0) store_txn_fail(&txn, "commit", commit_error(store, code));
	}
	if (txn.result == RESULT_OK) {
		checkpoint_done(store, tree_pages);
	} else {
		store_refuse_checkpoint(store, txn.result);
	}
	return txn.result;
}

void store_prepare(struct store *store)
{
	if (store->pending == NULL) return;
	struct store_txn txn = pending_txn(store);
	store_take_over(&txn);
	/* The next batch or checkpoint meets it again. */
	if (txn.result != RESULT_OK) store_refuse_checkpoint(store, txn.result);
}

void store_checkpoint_prepare(struct store *store)
{
	const struct recents *recents = &store->recents;

	if (recents->added_count - recents->taken_count >= STORE_TAKE_OVER_ROWS) {
		store_prepare(store);
	}
}

bool store_checkpoint_wanted(const struct store *store)
{
	return atomic_load(&store->checkpoint_wanted);
}

bool store_checkpoint_due(const struct store *store)
{
	if (!store_checkpoint_wanted(store)) return false;
	uint64_t now = store_clock_us();
	if (store_checkpoint_refused(store)) {
		return now - store->checkpoint_refused_us >= STORE_CHECKPOINT_US;
	}
	uint64_t size = store->journal.position - store->journal.saved_position;
	uint64_t size_max = store->quota_size / JOURNAL_SEGMENT_QUOTA_PART;
	if (size_max > STORE_CHECKPOINT_SIZE) size_max = STORE_CHECKPOINT_SIZE;
	return size >= size_max || now - store->pending_since_us >= STORE_CHECKPOINT_US ||
		recents_room(&store->recents) < 2 * RECENT_ROWS_PER_BATCH;
}

bool store_checkpoint_refused(const struct store *store)
{
	return atomic_load(&store->checkpoint_refused);
}

void store_pending_note(struct store *store, uint32_t touched)
{
	store->pending_touched |= touched;
	if (atomic_load_explicit(&store->checkpoint_wanted, memory_order_relaxed)) return;
	store->pending_since_us = store_clock_us();
	atomic_store(&store->checkpoint_wanted, true);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static uint32_t segment_size(const struct store *store)
{
	uint32_t size = JOURNAL_SEGMENT_SIZE_MIN;
	while (size < JOURNAL_SEGMENT_SIZE_MAX &&
		size < store->quota_size / JOURNAL_SEGMENT_QUOTA_PART) {
		size *= 2;
	}
	return size;
}

static enum result new_settings(struct store *store)
{
	struct journal *journal = &store->journal;

	journal->segment_size = segment_size(store);
	journal->position = journal->saved_position = 0;
	journal->batch = journal->saved_batch = 1;
	ssize_t size = getrandom(&journal->seed, sizeof journal->seed, 0);
	return size == sizeof journal->seed ? RESULT_OK : RESULT_KERNEL;
}

enum result store_journal_open(struct store *store, char *error, size_t error_size)
{
	struct journal *journal = &store->journal;

	journal->folder_fd = store->folder_fd;
	journal->shard = store->shard;
	TRY(store_pending_begin(store));
	struct store_txn txn = pending_txn(store);
	enum result result = journal_settings_read(&txn, journal);
	bool new = result == RESULT_NOT_FOUND;
	if (new) result = new_settings(store);
	if (result != RESULT_OK) {
		snprintf(error, error_size,
			"the settings of the store's journal cannot be read: %s",
			result_text(result));
		return result;
	}
	journal->keep_free_size = store_disk_reserve(store);
	journal->spares_end = (uint32_t)(store->quota_size / journal->segment_size);
	TRY(journal_open(journal, new, error, error_size));
	TRY(journal_load(journal, &txn, error, error_size));
	uint64_t batch = journal->batch;
	TRY(redo(store, UINT64_MAX, error, error_size));
	journal_set_tail(journal, store->recents.now->tail);
	if (!new && journal->batch == batch) {
		mdb_txn_abort(store->pending);
		store->pending = NULL;
		return RESULT_OK;
	}
	result = store_checkpoint(store);
	if (result != RESULT_OK) {
		snprintf(error, error_size, "what the store's journal has cannot be written: %s",
			result_text(result));
	}
	return result;
}

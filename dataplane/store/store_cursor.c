/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_cursor — walking a table in key order, either way: the rows of LMDB, and in EVENTS behind
 * them the recent ones, which may repeat the last of LMDB's.
 */
#include "base/check.h"
#include "base/cursor.h"
#include "store/store_internal.h"

void store_cursor_open(struct store_cursor *cursor, struct store_txn *txn, enum store_table table)
{
	*cursor = (struct store_cursor){ .txn = txn, .table = table };
	if (txn->result != RESULT_OK) return;

	MDB_cursor *handle;
	int code = mdb_cursor_open(txn->handle, txn->store->tables[table], &handle);
	if (code != 0) {
		store_txn_fail(txn, "cursor", code);
		return;
	}
	cursor->handle = handle;
}

void store_cursor_close(struct store_cursor *cursor)
{
	if (cursor->handle != NULL) mdb_cursor_close(cursor->handle);
	cursor->handle = NULL;
}

static bool move(struct store_cursor *cursor, struct bytes from, MDB_cursor_op operation)
{
	cursor->key = BYTES_EMPTY;
	cursor->value = BYTES_EMPTY;
	cursor->is_recent = false;
	if (cursor->handle == NULL || cursor->txn->result != RESULT_OK) return false;

	MDB_val key = { .mv_size = from.size, .mv_data = (void *)(uintptr_t)from.data };
	MDB_val data = { 0 };
	int code = mdb_cursor_get(cursor->handle, &key, &data, operation);
	if (code == MDB_NOTFOUND) return false;
	if (code != 0) {
		store_txn_fail(cursor->txn, "walk", code);
		return false;
	}
	cursor->key = bytes_of(key.mv_data, key.mv_size);
	enum result result =
		store_value_open(cursor->txn, cursor->table, key, data, &cursor->value);
	MAYBE(result != RESULT_OK); /* shown as an empty value */
	return true;
}

/* ---- Rows that LMDB does not have yet -------------------------------------------------------- */

/* Of a transaction that writes, which shows LMDB's rows only: their places are put there. */
static bool take_over(struct store_cursor *cursor)
{
	struct store_txn *txn = cursor->txn;
	const struct recents *recents = &txn->store->recents;

	if (cursor->table != STORE_EVENTS || !txn->writable) return false;
	if (recents->taken_count == recents->added_count) return false;
	store_take_over(txn);
	return txn->result == RESULT_OK;
}

static uint32_t recent_count(const struct store_cursor *cursor)
{
	const struct store_epoch *epoch = cursor->txn->epoch;
	if (cursor->table != STORE_EVENTS || epoch == NULL) return 0;
	if (cursor->txn->result != RESULT_OK) return 0;
	return atomic_load_explicit(&epoch->count, memory_order_acquire);
}

/* The key's first 8 bytes as a number; shorter ones as if zeros followed. */
static uint64_t key_number(struct bytes key)
{
	uint64_t number = 0;
	for (size_t i = 0; i < sizeof number; i++) {
		number = number << 8 | (i < key.size ? key.data[i] : 0);
	}
	return number;
}

static bool show_recent(struct store_cursor *cursor, uint32_t recent)
{
	cursor->is_recent = true;
	cursor->recent = recent;
	enum result result =
		store_recent_open(cursor->txn, recent, cursor->recent_key, &cursor->value);
	MAYBE(result != RESULT_OK); /* shown as an empty value */
	cursor->key = bytes_of(cursor->recent_key, sizeof cursor->recent_key);
	return true;
}

/* The first recent row that is not less. */
static bool seek_recent(struct store_cursor *cursor, uint64_t number)
{
	uint32_t count = recent_count(cursor);
	if (count == 0) return false;
	uint32_t recent = recents_seek(cursor->txn->epoch, number);
	return recent < count && show_recent(cursor, recent);
}

static bool is_before_recent(const struct store_cursor *cursor, uint64_t number)
{
	return recent_count(cursor) == 0 || number < cursor->txn->epoch->rows[0].key;
}

bool store_cursor_seek(struct store_cursor *cursor, struct bytes from)
{
	uint64_t number = key_number(from);
	if (!is_before_recent(cursor, number)) {
		if (from.size > sizeof number) number++;
		if (seek_recent(cursor, number)) return true;
	}
	if (move(cursor, from, MDB_SET_RANGE) || seek_recent(cursor, number)) return true;
	/* Those that LMDB has not are behind all that it has. */
	return take_over(cursor) && move(cursor, from, MDB_SET_RANGE);
}

bool store_cursor_seek_backward(struct store_cursor *cursor, struct bytes from)
{
	(void)take_over(cursor);
	uint64_t number = key_number(from);
	if (!is_before_recent(cursor, number)) {
		uint32_t recent = recents_seek(cursor->txn->epoch, number);
		bool same = recent < recent_count(cursor) &&
			cursor->txn->epoch->rows[recent].key == number;
		return show_recent(cursor, same ? recent : recent - 1);
	}
	if (!move(cursor, from, MDB_SET_RANGE)) return move(cursor, BYTES_EMPTY, MDB_LAST);
	if (bytes_equal(cursor->key, from)) return true;
	return move(cursor, BYTES_EMPTY, MDB_PREV);
}

bool store_cursor_last(struct store_cursor *cursor)
{
	(void)take_over(cursor);
	uint32_t count = recent_count(cursor);
	return count > 0 ? show_recent(cursor, count - 1) : move(cursor, BYTES_EMPTY, MDB_LAST);
}

bool store_cursor_next(struct store_cursor *cursor)
{
	if (cursor->is_recent) {
		return cursor->recent + 1 < recent_count(cursor) &&
			show_recent(cursor, cursor->recent + 1);
	}
	/* From nowhere: the first row. */
	uint64_t number = cursor->key.size == 0 ? 0 : key_number(cursor->key) + 1;
	if (move(cursor, BYTES_EMPTY, MDB_NEXT) || seek_recent(cursor, number)) return true;
	if (!take_over(cursor)) return false;
	uint8_t memory[sizeof number];
	struct writer from = writer_of(memory, sizeof memory);
	write_u64_be(&from, number);
	return move(cursor, writer_bytes(&from), MDB_SET_RANGE);
}

bool store_cursor_previous(struct store_cursor *cursor)
{
	if (!cursor->is_recent) return move(cursor, BYTES_EMPTY, MDB_PREV);
	if (cursor->recent > 0) return show_recent(cursor, cursor->recent - 1);
	struct writer before = writer_of(cursor->recent_key, sizeof cursor->recent_key);
	write_u64_be(&before, cursor->txn->epoch->rows[0].key - 1);
	return store_cursor_seek_backward(cursor, writer_bytes(&before));
}

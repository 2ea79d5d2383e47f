/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_cursor — walking a table in key order, either way. */
#include "base/check.h"
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
	enum result result = store_value_open(cursor->table, key, data, &cursor->value);
	MAYBE(result == RESULT_MALFORMED); /* shown as an empty value */
	return true;
}

bool store_cursor_seek(struct store_cursor *cursor, struct bytes from)
{
	return move(cursor, from, MDB_SET_RANGE);
}

bool store_cursor_seek_backward(struct store_cursor *cursor, struct bytes from)
{
	if (!move(cursor, from, MDB_SET_RANGE)) return move(cursor, BYTES_EMPTY, MDB_LAST);
	if (bytes_equal(cursor->key, from)) return true;
	return move(cursor, BYTES_EMPTY, MDB_PREV);
}

bool store_cursor_last(struct store_cursor *cursor)
{
	return move(cursor, BYTES_EMPTY, MDB_LAST);
}

bool store_cursor_next(struct store_cursor *cursor)
{
	return move(cursor, BYTES_EMPTY, MDB_NEXT);
}

bool store_cursor_previous(struct store_cursor *cursor)
{
	return move(cursor, BYTES_EMPTY, MDB_PREV);
}

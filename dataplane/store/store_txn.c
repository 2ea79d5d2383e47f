/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_txn — transactions with a sticky error, and single rows.
 *
 * What LMDB does when a commit fails decides what we may promise (mdb.c 0.9.24 and 0.9.31,
 * mdb_txn_commit): it writes the dirty pages, syncs, and only then writes the meta page that
 * makes them reachable. Up to there a failure leaves the old state whole and the environment
 * usable. A failed meta write makes every later transaction fail (MDB_PANIC), and so does our
 * own `failed` after any write or sync error: a sync that failed is not asked again, because
 * the kernel may have dropped the pages and answer that all is well.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_internal.h"

/* Left on the file system by a write that was cut short: LMDB writes 64 pages at a time. */
enum { SHORT_WRITE_SIZE = 1024 * 1024 };

void store_txn_fail(struct store_txn *txn, const char *what, int code)
{
	if (txn->result != RESULT_OK) return;

	enum result result = store_result(code);
	if (txn->writable && result != RESULT_SPACE) {
		result = RESULT_DISK;
		atomic_store(&txn->store->failed, true);
	}
	if (result != RESULT_SPACE) {
		log_error("store %s failed shard=%u error=\"%s\"", what,
			(unsigned)txn->store->shard, mdb_strerror(code));
	}
	txn->result = result;
}

void store_write_begin(struct store_txn *txn, struct store *store)
{
	*txn = (struct store_txn){ .store = store, .writable = true };
	if (atomic_load(&store->failed)) {
		txn->result = RESULT_DISK;
		return;
	}
	store_space_extend(store);
	MDB_txn *handle;
	int code = mdb_txn_begin(store->env, NULL, 0, &handle);
	if (code != 0) {
		store_txn_fail(txn, "begin", code);
		return;
	}
	txn->handle = handle;
}

/* LMDB reports a write that was cut short as EIO. When the file system is full that is the
 * reason, and nothing is broken: nothing of the transaction is reachable. */
static int commit_error(const struct store *store, int code)
{
	if (code == EIO && store_disk_free(store->data_fd) < SHORT_WRITE_SIZE) return ENOSPC;
	return code;
}

enum result store_write_commit(struct store_txn *txn)
{
	uint64_t tree_pages[STORE_TABLE_COUNT + STORE_LMDB_TREES];

	CHECK(txn->writable);
	if (txn->result != RESULT_OK) {
		store_write_abort(txn);
		return txn->result;
	}
	store_space_count(txn->store, txn, tree_pages);
	int code = mdb_txn_commit(txn->handle);
	txn->handle = NULL;
	if (code != 0) {
		store_txn_fail(txn, "commit", commit_error(txn->store, code));
		return txn->result;
	}
	store_space_publish(txn->store, tree_pages);
	return RESULT_OK;
}

void store_write_abort(struct store_txn *txn)
{
	if (txn->handle != NULL) mdb_txn_abort(txn->handle);
	txn->handle = NULL;
}

void store_read_begin(struct store_txn *txn, struct store *store)
{
	CHECK(!txn->writable);
	CHECK(txn->store == NULL || txn->store == store);

	txn->store = store;
	txn->result = RESULT_OK;
	int code;
	if (txn->handle != NULL) {
		code = mdb_txn_renew(txn->handle);
	} else {
		MDB_txn *handle;
		code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &handle);
		if (code == 0) txn->handle = handle;
	}
	if (code != 0) store_txn_fail(txn, "read", code);
}

void store_read_end(struct store_txn *txn)
{
	if (txn->handle != NULL) mdb_txn_reset(txn->handle);
}

void store_read_done(struct store_txn *txn)
{
	if (txn->handle != NULL) mdb_txn_abort(txn->handle);
	*txn = (struct store_txn){ 0 };
}

/* Over key and value, seeded with the table, so that a value found under another key or in
 * another table is wrong too. */
static uint64_t checksum(enum store_table table, struct bytes key, struct bytes value)
{
	return hash_xxh3(value, hash_xxh3(key, (uint64_t)table));
}

static size_t parts_size(const struct bytes *parts, size_t part_count)
{
	size_t size = 0;
	for (size_t i = 0; i < part_count; i++) size += parts[i].size;
	return size;
}

static void put(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count, unsigned flags)
{
	CHECK(txn->writable);
	if (txn->result != RESULT_OK) return;

	size_t size = parts_size(parts, part_count);
	CHECK(size > 0 && size <= STORE_PAYLOAD_SIZE_MAX);
	MDB_val key_value = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	MDB_val data = { .mv_size = STORE_CHECKSUM_SIZE + size };
	int code = mdb_put(txn->handle, txn->store->tables[table], &key_value, &data,
		MDB_RESERVE | flags);
	CHECK(code != MDB_KEYEXIST);
	if (code != 0) {
		store_txn_fail(txn, "put", code);
		return;
	}
	txn->touched |= 1u << table;

	/* RESERVE gave us the place in the page: the payload is copied once. */
	uint8_t *at = (uint8_t *)data.mv_data + STORE_CHECKSUM_SIZE;
	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].size == 0) continue;
		memcpy(at, parts[i].data, parts[i].size);
		at += parts[i].size;
	}
	uint64_t sum = checksum(table, key, bytes_of(at - size, size));
	memcpy(data.mv_data, &sum, sizeof sum);
}

void store_put(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count)
{
	put(txn, table, key, parts, part_count, 0);
}

void store_append(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count)
{
	put(txn, table, key, parts, part_count, MDB_APPEND);
}

bool store_delete(struct store_txn *txn, enum store_table table, struct bytes key)
{
	CHECK(txn->writable);
	if (txn->result != RESULT_OK) return false;

	MDB_val key_value = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	int code = mdb_del(txn->handle, txn->store->tables[table], &key_value, NULL);
	if (code == MDB_NOTFOUND) return false;
	if (code != 0) {
		store_txn_fail(txn, "delete", code);
		return false;
	}
	txn->touched |= 1u << table;
	return true;
}

enum result store_value_open(enum store_table table, MDB_val key, MDB_val data,
	struct bytes *ret_value)
{
	uint64_t stored;

	*ret_value = BYTES_EMPTY;
	if (data.mv_size <= STORE_CHECKSUM_SIZE) return RESULT_MALFORMED;
	memcpy(&stored, data.mv_data, sizeof stored);
	struct bytes value = bytes_of((const uint8_t *)data.mv_data + STORE_CHECKSUM_SIZE,
		data.mv_size - STORE_CHECKSUM_SIZE);
	if (checksum(table, bytes_of(key.mv_data, key.mv_size), value) != stored) {
		return RESULT_MALFORMED;
	}
	*ret_value = value;
	return RESULT_OK;
}

enum result store_get(struct store_txn *txn, enum store_table table, struct bytes key,
	struct bytes *ret_value)
{
	*ret_value = BYTES_EMPTY;
	if (txn->result != RESULT_OK) return txn->result;

	MDB_val key_value = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	MDB_val data;
	int code = mdb_get(txn->handle, txn->store->tables[table], &key_value, &data);
	if (code == MDB_NOTFOUND) return RESULT_NOT_FOUND;
	if (code != 0) {
		store_txn_fail(txn, "get", code);
		return txn->result;
	}
	return store_value_open(table, key_value, data, ret_value);
}

uint64_t store_row_count(struct store_txn *txn, enum store_table table)
{
	MDB_stat stat;

	if (txn->result != RESULT_OK) return 0;
	int code = mdb_stat(txn->handle, txn->store->tables[table], &stat);
	if (code != 0) {
		store_txn_fail(txn, "count", code);
		return 0;
	}
	return stat.ms_entries;
}

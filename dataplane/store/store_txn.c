/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_txn — transactions with a sticky error, and single rows.
 *
 * A batch is committed to the journal, with one flush; or, when it touched a table that is read at
 * once, to LMDB, with all that is pending.
 *
 * What LMDB does when a commit fails decides what we may promise (mdb.c 0.9.24 and 0.9.31,
 * mdb_txn_commit): it writes the dirty pages, syncs, and only then writes the meta page that
 * makes them reachable. Up to there a failure leaves the old state whole and the environment
 * usable. A failed meta write makes every later transaction fail (MDB_PANIC), and so does our
 * own `failed` after any write or sync error, LMDB's or the journal's: a sync that failed is not
 * asked again, because the kernel may have dropped the pages and answer that all is well.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_internal.h"

enum { PLACE_SIZE = 16, EVENT_KEY_SIZE = 8, ROW_OVERHEAD_SIZE = 32 };

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
	if (recents_room(&store->recents) < RECENT_ROWS_PER_BATCH && store_checkpoint_due(store)) {
		enum result result = store_checkpoint(store);
		MAYBE(result != RESULT_OK); /* what needs room for events finds none */
	}
	txn->result = store_pending_begin(store);
	/* Each further try would do again all that the journal has. */
	if (txn->result != RESULT_OK) store_refuse_checkpoint(store, txn->result);
	store_space_extend(store);
	journal_batch(&store->journal);
	txn->handle = store->pending;
}

static enum result commit_to_journal(struct store *store, const struct store_txn *txn)
{
	TRY(journal_commit(&store->journal, true));
	recents_publish(&store->recents);
	store_pending_note(store, txn->touched);
	return RESULT_OK;
}

/* LMDB's commit says that the values of the batch, in the journal already, are the store's. */
static enum result commit_to_lmdb(struct store *store, const struct store_txn *txn)
{
	if (store->journal.values > 0) {
		TRY(journal_commit(&store->journal, false));
	} else {
		TRY(journal_abort(&store->journal));
	}
	store->pending_touched |= txn->touched;
	return store_checkpoint(store);
}

static enum result commit(struct store *store, const struct store_txn *txn)
{
	if ((txn->touched & STORE_PROMPT_TABLES) != 0 || store->journal.overflow) {
		return commit_to_lmdb(store, txn);
	}
	enum result result = commit_to_journal(store, txn);
	/* Without events it can do without the journal, as long as LMDB has space. */
	if (result == RESULT_SPACE && store->journal.values == 0) return commit_to_lmdb(store, txn);
	return result;
}

enum result store_write_commit(struct store_txn *txn)
{
	CHECK(txn->writable);
	if (txn->result == RESULT_OK && txn->touched != 0) {
		txn->result = commit(txn->store, txn);
	}
	if (txn->result != RESULT_OK) {
		store_write_abort(txn);
		return txn->result;
	}
	txn->handle = NULL;
	return RESULT_OK;
}

void store_write_abort(struct store_txn *txn)
{
	struct store *store = txn->store;

	txn->handle = NULL;
	/* Whether it is on the disk nobody knows: the next start finds out, from files that have
	 * not been touched since. */
	if (txn->result == RESULT_DISK) atomic_store(&store->failed, true);
	if (txn->touched == 0) return;
	txn->touched = 0;
	recents_abort(&store->recents);
	store_pending_lose(store);
	if (atomic_load(&store->failed)) return;
	if (journal_abort(&store->journal) == RESULT_OK) return;
	atomic_store(&store->failed, true);
	txn->result = RESULT_DISK;
}

void store_write_through(struct store_txn *txn)
{
	txn->touched |= STORE_WRITE_THROUGH;
}

static void release(struct store_txn *txn)
{
	const struct store_epochs epochs = { txn->epoch, txn->last_epoch };
	if (txn->epoch != NULL) recents_release(&txn->store->recents, epochs);
	txn->epoch = NULL;
	txn->last_epoch = NULL;
}

void store_read_begin(struct store_txn *txn, struct store *store)
{
	CHECK(!txn->writable);
	CHECK(txn->store == NULL || txn->store == store);

	txn->store = store;
	txn->result = RESULT_OK;
	int code;
	release(txn);
	struct store_epochs epochs = recents_acquire_begin(&store->recents);
	txn->epoch = epochs.now;
	txn->last_epoch = epochs.last;
	if (txn->handle != NULL) {
		code = mdb_txn_renew(txn->handle);
	} else {
		MDB_txn *handle;
		code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &handle);
		if (code == 0) txn->handle = handle;
	}
	recents_acquire_end(&store->recents);
	if (code != 0) store_txn_fail(txn, "read", code);
}

void store_read_end(struct store_txn *txn)
{
	if (txn->handle != NULL) mdb_txn_reset(txn->handle);
	release(txn);
}

void store_read_done(struct store_txn *txn)
{
	if (txn->handle != NULL) mdb_txn_abort(txn->handle);
	release(txn);
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

/* The row's payload, into the place in the page that RESERVE gave: it is copied once. */
static void fill_row(MDB_val data, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count)
{
	uint8_t *payload = (uint8_t *)data.mv_data + STORE_CHECKSUM_SIZE;
	uint8_t *at = payload;

	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].size == 0) continue;
		memcpy(at, parts[i].data, parts[i].size);
		at += parts[i].size;
	}
	uint64_t sum = checksum(table, key, bytes_of(payload, (size_t)(at - payload)));
	memcpy(data.mv_data, &sum, sizeof sum);
}

/* A row of LMDB. */
static void put_row(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count, unsigned flags)
{
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
	txn->store->pending_size += key.size + data.mv_size + ROW_OVERHEAD_SIZE;
	fill_row(data, table, key, parts, part_count);
}

/* ---- Places of events ------------------------------------------------------------------------ */

static struct bytes place_encode(struct journal_place place, uint8_t memory[static PLACE_SIZE])
{
	struct writer row = writer_of(memory, PLACE_SIZE);
	write_u64(&row, place.position);
	write_u32(&row, place.size);
	write_u32(&row, place.file);
	return writer_bytes(&row);
}

void store_put_place(struct store_txn *txn, struct bytes key, struct journal_place place)
{
	uint8_t memory[PLACE_SIZE];

	if (txn->result != RESULT_OK) return;
	txn->touched |= 1u << STORE_EVENTS;
	struct bytes value = place_encode(place, memory);
	put_row(txn, STORE_EVENTS, key, &value, 1, 0);
	journal_row_added(&txn->store->journal, place);
}

static int take_over_row(MDB_cursor *cursor, const struct recent *row)
{
	uint8_t key_memory[EVENT_KEY_SIZE];
	uint8_t memory[PLACE_SIZE];
	struct writer key = writer_of(key_memory, sizeof key_memory);

	write_u64_be(&key, row->key);
	struct bytes value = place_encode(row->place, memory);
	MDB_val key_value = { .mv_size = sizeof key_memory, .mv_data = key_memory };
	MDB_val data = { .mv_size = STORE_CHECKSUM_SIZE + sizeof memory };
	int code = mdb_cursor_put(cursor, &key_value, &data, MDB_RESERVE | MDB_APPEND);
	CHECK(code != MDB_KEYEXIST);
	if (code == 0) fill_row(data, STORE_EVENTS, writer_bytes(&key), &value, 1);
	return code;
}

void store_take_over(struct store_txn *txn)
{
	struct recents *recents = &txn->store->recents;
	MDB_cursor *cursor = NULL;

	if (txn->result != RESULT_OK || recents->taken_count == recents->added_count) return;
	int code = mdb_cursor_open(txn->handle, txn->store->tables[STORE_EVENTS], &cursor);
	while (code == 0 && recents->taken_count < recents->added_count) {
		code = take_over_row(cursor, &recents->now->rows[recents->taken_count++]);
	}
	if (cursor != NULL) mdb_cursor_close(cursor);
	if (code == 0) return;
	/* Some of it is in: to be given up, even by a batch that only wanted to look. */
	txn->touched |= 1u << STORE_EVENTS;
	store_txn_fail(txn, "put", code);
}

static uint64_t event_key(struct bytes key)
{
	struct reader reader = reader_of(key);
	uint64_t number = read_u64_be(&reader);
	CHECK(reader_complete(&reader));
	return number;
}

/* LMDB gets its place later. */
static void append_event(struct store_txn *txn, struct bytes key, struct journal_place place,
	const uint8_t *record)
{
	struct store *store = txn->store;

	recents_add(&store->recents, event_key(key), place, record);
	journal_row_added(&store->journal, place);
	store->pending_size += EVENT_KEY_SIZE + STORE_CHECKSUM_SIZE + PLACE_SIZE +
		ROW_OVERHEAD_SIZE;
}

static void put_event(struct store_txn *txn, struct bytes key, const struct bytes *parts,
	size_t part_count, unsigned flags)
{
	struct journal_place place;
	const uint8_t *record = NULL;

	CHECK(!txn->unlogged);
	if (recents_room(&txn->store->recents) == 0) {
		txn->result = RESULT_SPACE; /* until LMDB has the others, or a reader is done */
		return;
	}
	txn->result = journal_put(&txn->store->journal, STORE_EVENTS, key, parts, part_count,
		&place, &record);
	if (txn->result != RESULT_OK) return;
	if (flags == MDB_APPEND) {
		append_event(txn, key, place, record);
	} else {
		store_take_over(txn);
		store_put_place(txn, key, place);
	}
}

static void put(struct store_txn *txn, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count, unsigned flags)
{
	CHECK(txn->writable);
	if (txn->result != RESULT_OK) return;
	txn->touched |= 1u << table;
	if (table == STORE_EVENTS) {
		put_event(txn, key, parts, part_count, flags);
		return;
	}
	if (!txn->unlogged) {
		struct journal_place place;
		const uint8_t *record;
		txn->result = journal_put(&txn->store->journal, table, key, parts, part_count,
			&place, &record);
	}
	if (txn->result == RESULT_OK) put_row(txn, table, key, parts, part_count, flags);
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

static enum result place_decode(struct bytes row, struct journal_place *ret)
{
	struct reader reader = reader_of(row);
	ret->position = read_u64(&reader);
	ret->size = read_u32(&reader);
	ret->file = read_u32(&reader);
	return reader_complete(&reader) ? RESULT_OK : RESULT_MALFORMED;
}

/* Checks and takes off the checksum. */
static enum result row_open(enum store_table table, MDB_val key, MDB_val data,
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

static const struct recent *find_recent(const struct store_epoch *epoch, struct bytes key)
{
	if (epoch == NULL || key.size != EVENT_KEY_SIZE) return NULL;
	uint64_t wanted = event_key(key);
	uint32_t recent = recents_seek(epoch, wanted);
	if (recent == atomic_load_explicit(&epoch->count, memory_order_acquire)) return NULL;
	return epoch->rows[recent].key == wanted ? &epoch->rows[recent] : NULL;
}

static enum result recent_open(const struct store_txn *txn, const struct recent *row,
	struct bytes key, struct bytes *ret_value)
{
	const struct journal *journal = &txn->store->journal;
	if (row->record == NULL) {
		return journal_view(journal, row->place, STORE_EVENTS, key, ret_value);
	}
	return journal_view_record(journal, row->place, row->record, STORE_EVENTS, key, ret_value);
}

enum result store_value_open(const struct store_txn *txn, enum store_table table, MDB_val key,
	MDB_val data, struct bytes *ret_value)
{
	struct bytes row;
	struct journal_place place;

	if (table != STORE_EVENTS) return row_open(table, key, data, ret_value);
	*ret_value = BYTES_EMPTY;
	TRY(row_open(table, key, data, &row));
	TRY(place_decode(row, &place));
	struct bytes name = bytes_of(key.mv_data, key.mv_size);
	const struct recent *recent = find_recent(txn->last_epoch, name);
	if (recent != NULL && recent->record != NULL && recent->place.position == place.position) {
		return journal_view_record(&txn->store->journal, place, recent->record, table, name,
			ret_value);
	}
	return txn->writable ? journal_view_own(&txn->store->journal, place, table, name, ret_value)
			     : journal_view(&txn->store->journal, place, table, name, ret_value);
}

enum result store_recent_open(const struct store_txn *txn, uint32_t recent, uint8_t key[static 8],
	struct bytes *ret_value)
{
	const struct recent *row = &txn->epoch->rows[recent];
	struct writer writer = writer_of(key, EVENT_KEY_SIZE);

	write_u64_be(&writer, row->key);
	return recent_open(txn, row, writer_bytes(&writer), ret_value);
}

/* Before the writer looks for a row in LMDB: it is there, if there is one. */
static void look_in_lmdb(struct store_txn *txn, enum store_table table, struct bytes key)
{
	const struct recents *recents = &txn->store->recents;

	if (table != STORE_EVENTS || !txn->writable) return;
	if (recents->taken_count >= recents->added_count) return;
	uint64_t first = recents->now->rows[recents->taken_count].key;
	if (key.size != EVENT_KEY_SIZE || event_key(key) >= first) store_take_over(txn);
}

bool store_delete(struct store_txn *txn, enum store_table table, struct bytes key)
{
	CHECK(txn->writable);
	if (txn->result != RESULT_OK) return false;

	txn->touched |= 1u << table;
	look_in_lmdb(txn, table, key);
	if (txn->result != RESULT_OK) return false;
	MDB_val key_value = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	MDB_val data;
	struct bytes row;
	struct journal_place place;
	if (table == STORE_EVENTS &&
		mdb_get(txn->handle, txn->store->tables[table], &key_value, &data) == 0 &&
		row_open(table, key_value, data, &row) == RESULT_OK &&
		place_decode(row, &place) == RESULT_OK) {
		journal_row_deleted(&txn->store->journal, place);
	}
	int code = mdb_del(txn->handle, txn->store->tables[table], &key_value, NULL);
	if (code == MDB_NOTFOUND) return false;
	if (code != 0) {
		store_txn_fail(txn, "delete", code);
		return false;
	}
	if (!txn->unlogged) txn->result = journal_delete(&txn->store->journal, table, key);
	return true;
}

enum result store_get(struct store_txn *txn, enum store_table table, struct bytes key,
	struct bytes *ret_value)
{
	*ret_value = BYTES_EMPTY;
	if (txn->result != RESULT_OK) return txn->result;

	if (table == STORE_EVENTS) {
		const struct recent *row = find_recent(txn->epoch, key);
		if (row != NULL) return recent_open(txn, row, key, ret_value);
	}
	look_in_lmdb(txn, table, key);
	if (txn->result != RESULT_OK) return txn->result;
	MDB_val key_value = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	MDB_val data;
	int code = mdb_get(txn->handle, txn->store->tables[table], &key_value, &data);
	if (code == MDB_NOTFOUND) return RESULT_NOT_FOUND;
	if (code != 0) {
		store_txn_fail(txn, "get", code);
		return txn->result;
	}
	return store_value_open(txn, table, key_value, data, ret_value);
}

uint64_t store_row_count(struct store_txn *txn, enum store_table table)
{
	MDB_stat stat;

	if (table == STORE_EVENTS && txn->writable) store_take_over(txn);
	if (txn->result != RESULT_OK) return 0;
	int code = mdb_stat(txn->handle, txn->store->tables[table], &stat);
	if (code != 0) {
		store_txn_fail(txn, "count", code);
		return 0;
	}
	return stat.ms_entries;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_space — how much of the quota and of the disk is used, and whether more may come in.
 *
 * What counts is what the journal holds in segments that are in use, and LMDB's pages that are not
 * free: its file never shrinks, deleting only makes pages free for reuse. The sum over all trees is
 * exact and costs one look at each tree that a transaction has touched.
 *
 * File space is allocated ahead of what LMDB writes, so that a full disk shows here, with
 * nothing written, and not in the middle of a commit. What is allocated ahead also lets
 * deleting and settling go on when the disk is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/log.h"
#include "store/store_internal.h"

#define MIB (UINT64_C(1) << 20)
/* Steps in which the file grows: a part of the quota, so that a small store stays small. */
#define EXTEND_SIZE_MIN (1 * MIB)
#define EXTEND_SIZE_MAX (64 * MIB)
enum { EXTEND_QUOTA_PART = 64 };
/* Kept free on the file system; the reserve of a large quota would be too much to ask. */
#define DISK_RESERVE_SIZE_MAX (64 * MIB)
/* Rows are rounded up to parts of pages: a 1,400-byte row takes half of one. */
enum { PAGE_OVERHEAD_FACTOR = 2 };
/* While there is room for less people are told that there is none. */
enum { SMALL_EVENT_SIZE = 4096 };
/* Of what an event adds, this part is LMDB's: places, leaves, fingerprints. */
enum { ROWS_PART = 4 };
/* Free pages of the last two transactions cannot be reused yet, and a reader holds more: the
 * map is larger than the quota by this. Address space costs nothing. */
#define MAP_SLACK_SIZE (UINT64_C(1) << 30)

uint64_t store_disk_free(int fd)
{
	struct statvfs disk;
	if (fstatvfs(fd, &disk) != 0) return 0;
	return (uint64_t)disk.f_bavail * disk.f_frsize;
}

void store_space_quota(struct store *store, uint64_t configured_size)
{
	struct stat file;

	store->quota_size = configured_size;
	if (configured_size == 0) {
		uint64_t size = store_disk_free(store->folder_fd);
		if (fstatat(store->folder_fd, "data.mdb", &file, 0) == 0) {
			size += (uint64_t)file.st_blocks * 512;
		}
		store->quota_size = size + journal_files_size(store->folder_fd);
	}
	store->reserve_size = store->quota_size / 100 * STORE_RESERVE_PERCENT;
}

uint64_t store_map_size(const struct store *store)
{
	uint64_t size = store->quota_size + store->quota_size / 4 + MAP_SLACK_SIZE;
	return size / MIB * MIB;
}

enum result store_space_open(struct store *store)
{
	uint64_t tree_pages[STORE_TABLE_COUNT + STORE_LMDB_TREES];
	struct store_txn txn = { 0 };
	struct stat file;

	store_read_begin(&txn, store);
	txn.touched = ~0u;
	store_space_count(store, &txn, tree_pages);
	enum result result = txn.result;
	store_read_done(&txn);
	if (result != RESULT_OK) return result;

	if (fstat(store->data_fd, &file) != 0) return RESULT_DISK;
	store->file_end = (uint64_t)file.st_size;
	atomic_store(&store->file_size, store->file_end);
	atomic_store(&store->disk_free_size, store_disk_free(store->data_fd));
	atomic_store(&store->disk_free_second, store_clock_second());
	store_space_publish(store, tree_pages);
	store_space_note_room(store);
	return RESULT_OK;
}

static uint64_t extend_size(const struct store *store)
{
	uint64_t size = store->quota_size / EXTEND_QUOTA_PART / MIB * MIB;
	if (size < EXTEND_SIZE_MIN) return EXTEND_SIZE_MIN;
	return size < EXTEND_SIZE_MAX ? size : EXTEND_SIZE_MAX;
}

/* As much as the file system gives of `size`, by halves. 0 and errno: nothing. */
static uint64_t allocate(const struct store *store, uint64_t size)
{
	for (; size >= EXTEND_SIZE_MIN; size /= 2) {
		if (fallocate(store->data_fd, 0, (off_t)store->file_end, (off_t)size) == 0)
			return size;
	}
	return 0;
}

void store_space_extend(struct store *store)
{
	MDB_envinfo info;

	if (store->no_fallocate) return;
	CHECK(mdb_env_info(store->env, &info) == 0);
	uint64_t used_end = ((uint64_t)info.me_last_pgno + 1) * store->page_size;
	/* Pages are not filled to the last byte. */
	uint64_t wanted = extend_size(store) + 2 * store->pending_size;
	if (used_end > store->file_end) store->file_end = used_end;
	if (store->file_end - used_end >= wanted / 2) return;

	uint64_t second = store_clock_second();
	if (store->extend_refused_at == second) return;
	uint64_t size = allocate(store, wanted);
	store->file_end += size;
	if (size > 0) {
		store->extend_refused_at = 0;
		if (store->file_end > atomic_load(&store->file_size)) {
			atomic_store(&store->file_size, store->file_end);
		}
		return;
	}
	/* Then the file grows as LMDB writes. */
	store->no_fallocate = errno == EOPNOTSUPP || errno == ENOSYS;
	if (store->no_fallocate) return;
	/* Ask again in a second; until then what is free in the file is all there is, see
	 * store_has_room(). */
	log_warning("store cannot grow shard=%u error=\"%s\"", (unsigned)store->shard,
		mdb_strerror(errno));
	store->extend_refused_at = second;
	atomic_store(&store->disk_free_size, 0);
	atomic_store(&store->disk_free_second, second);
}

static uint64_t pages_of(const MDB_stat *stat)
{
	return (uint64_t)stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

void store_space_count(const struct store *store, struct store_txn *txn, uint64_t *tree_pages)
{
	MDB_stat stat;

	for (unsigned i = 0; i < STORE_TABLE_COUNT + STORE_LMDB_TREES; i++) {
		tree_pages[i] = store->tree_pages[i];
		/* The last two are LMDB's own: the trees of free pages and of names. */
		bool own = i >= STORE_TABLE_COUNT;
		if (!own && (txn->touched & 1u << i) == 0) continue;
		if (txn->result != RESULT_OK) continue;
		MDB_dbi tree = own ? i - STORE_TABLE_COUNT : store->tables[i];
		int code = mdb_stat(txn->handle, tree, &stat);
		if (code != 0) {
			store_txn_fail(txn, "count", code);
			continue;
		}
		tree_pages[i] = pages_of(&stat);
	}
}

void store_space_publish(struct store *store, const uint64_t *tree_pages)
{
	MDB_envinfo info;
	uint64_t pages = 2; /* meta */

	for (unsigned i = 0; i < STORE_TABLE_COUNT + STORE_LMDB_TREES; i++) {
		store->tree_pages[i] = tree_pages[i];
		pages += tree_pages[i];
	}
	atomic_store_explicit(&store->used_size, pages * store->page_size, memory_order_relaxed);

	CHECK(mdb_env_info(store->env, &info) == 0);
	uint64_t used_end = ((uint64_t)info.me_last_pgno + 1) * store->page_size;
	if (used_end > atomic_load_explicit(&store->file_size, memory_order_relaxed)) {
		atomic_store_explicit(&store->file_size, used_end, memory_order_relaxed);
	}
}

/* The kernel's figure, asked once a second by whoever needs it first. */
static uint64_t disk_free_size(struct store *store)
{
	uint64_t second = store_clock_second();
	uint_fast64_t asked = atomic_load_explicit(&store->disk_free_second, memory_order_relaxed);

	if (asked != second &&
		atomic_compare_exchange_strong(&store->disk_free_second, &asked, second)) {
		atomic_store_explicit(&store->disk_free_size, store_disk_free(store->data_fd),
			memory_order_relaxed);
	}
	return atomic_load_explicit(&store->disk_free_size, memory_order_relaxed);
}

struct store_space store_space(struct store *store)
{
	return (struct store_space){
		.used_size = atomic_load_explicit(&store->used_size, memory_order_relaxed) +
			atomic_load_explicit(&store->journal.used_total, memory_order_relaxed),
		.file_size = atomic_load_explicit(&store->file_size, memory_order_relaxed) +
			atomic_load_explicit(&store->journal.file_size, memory_order_relaxed),
		.quota_size = store->quota_size,
		.disk_free_size = disk_free_size(store),
	};
}

void store_set_promised(struct store *store, uint64_t size)
{
	atomic_store_explicit(&store->promised_size, size, memory_order_relaxed);
}

uint64_t store_disk_reserve(const struct store *store)
{
	return store->reserve_size < DISK_RESERVE_SIZE_MAX ? store->reserve_size
							   : DISK_RESERVE_SIZE_MAX;
}

/* What LMDB can still get: pages that are free in its file, and the disk. Free segments of the
 * journal are of no use to it. */
static uint64_t lmdb_free_size(struct store *store)
{
	uint64_t used_size = atomic_load_explicit(&store->used_size, memory_order_relaxed);
	uint64_t file_size = atomic_load_explicit(&store->file_size, memory_order_relaxed);
	return (file_size > used_size ? file_size - used_size : 0) + disk_free_size(store);
}

bool store_has_room(struct store *store, uint64_t size)
{
	struct store_space space = store_space(store);
	uint64_t wanted = size * PAGE_OVERHEAD_FACTOR;

	uint64_t promised = atomic_load_explicit(&store->promised_size, memory_order_relaxed);
	uint64_t kept = store->reserve_size + promised;
	if (space.used_size + wanted + kept > space.quota_size) return false;
	/* LMDB must be able to take over what there is, and what settling will add. */
	if (store_checkpoint_refused(store)) return false;
	uint64_t pending_size = 2 * store->pending_size + size / ROWS_PART;
	if (pending_size + store_disk_reserve(store) + promised > lmdb_free_size(store)) {
		return false;
	}
	return journal_has_room(&store->journal, size);
}

void store_space_note_room(struct store *store)
{
	bool room = store_has_room(store, SMALL_EVENT_SIZE);
	atomic_store_explicit(&store->had_room, room, memory_order_relaxed);
}

bool store_had_room(const struct store *store)
{
	return atomic_load_explicit(&store->had_room, memory_order_relaxed);
}

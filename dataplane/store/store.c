/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store — opening and closing: the folder, our lock, LMDB's environment, the tables, the journal.
 *
 * A store is refused before anything in it is changed: locked by another process, written by a
 * newer version, belonging to another shard, or shorter than its own last page.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "store/store_internal.h"

/* Reader slots: each worker reads with two transactions, control with a handful. */
enum { READERS_MAX = 126 };

static const char *const table_names[] = {
#define X(name, text, row) [STORE_##name] = (text),
	STORE_TABLE_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(table_names) == STORE_TABLE_COUNT);

const char *store_table_name(enum store_table table)
{
	return table_names[table];
}

uint64_t store_clock_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t store_clock_second(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec;
}

enum result store_result(int code)
{
	switch (code) {
	case 0: return RESULT_OK;
	case MDB_NOTFOUND: return RESULT_NOT_FOUND;
	case MDB_KEYEXIST: return RESULT_EXISTS;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
	case EFBIG: return RESULT_SPACE;
	case MDB_READERS_FULL:
	case EAGAIN:
	case EBUSY: return RESULT_BUSY;
	case MDB_VERSION_MISMATCH: return RESULT_VERSION;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND: return RESULT_MALFORMED;
	case EACCES:
	case EPERM:
	case EROFS: return RESULT_PERMISSION;
	case ENOMEM: return RESULT_MEMORY;
	default: return RESULT_DISK;
	}
}

static enum result refuse(char *error, size_t error_size, const char *what, const char *path,
	int code)
{
	snprintf(error, error_size, "%s %s: %s", what, path, mdb_strerror(code));
	enum result result = store_result(code);
	return result == RESULT_NOT_FOUND || result == RESULT_BUSY ? RESULT_DISK : result;
}

static enum result open_folder(struct store *store, const char *path, char *error,
	size_t error_size)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return refuse(error, error_size, "cannot make folder", path, errno);
	}
	store->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->folder_fd < 0)
		return refuse(error, error_size, "cannot open folder", path, errno);

	/* Not LMDB's lock file: that one belongs to LMDB alone, see store.h. */
	store->lock_fd = openat(store->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_fd < 0)
		return refuse(error, error_size, "cannot open lock in", path, errno);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return refuse(error, error_size, "cannot lock", path, errno);
		snprintf(error, error_size, "%s is open in another process", path);
		return RESULT_BUSY;
	}
	store_compact_clear(store->folder_fd);
	return RESULT_OK;
}

/* A file cut off by a failed copy would end in SIGBUS on the first read beyond its end. */
static enum result check_length(const struct store *store, const char *path, char *error,
	size_t error_size)
{
	MDB_envinfo info;
	struct stat file;

	CHECK(mdb_env_info(store->env, &info) == 0);
	if (fstat(store->data_fd, &file) != 0) {
		return refuse(error, error_size, "cannot stat data in", path, errno);
	}
	uint64_t size = ((uint64_t)info.me_last_pgno + 1) * store->page_size;
	if ((uint64_t)file.st_size >= size) return RESULT_OK;
	snprintf(error, error_size, "%s/data.mdb is cut off: it has %llu bytes and needs %llu",
		path, (unsigned long long)file.st_size, (unsigned long long)size);
	return RESULT_MALFORMED;
}

static enum result open_environment(struct store *store, const struct store_config *config,
	char *error, size_t error_size)
{
	MDB_stat stat;
	int code = mdb_env_create(&store->env);
	if (code == 0) code = mdb_env_set_maxdbs(store->env, STORE_TABLE_COUNT);
	if (code == 0) code = mdb_env_set_maxreaders(store->env, READERS_MAX);
	store_space_quota(store, config->quota_size);
	if (code == 0) code = mdb_env_set_mapsize(store->env, store_map_size(store));
	/* NOTLS: a read transaction belongs to its struct and not to a thread. */
	if (code == 0) code = mdb_env_open(store->env, config->path, MDB_NOTLS, 0600);
	if (code == 0) code = mdb_env_stat(store->env, &stat);
	if (code == 0) code = mdb_env_get_fd(store->env, &store->data_fd);
	if (code != 0) return refuse(error, error_size, "cannot open store in", config->path, code);
	store->page_size = stat.ms_psize;
	return check_length(store, config->path, error, error_size);
}

static enum result open_tables(struct store *store, const char *path, char *error,
	size_t error_size)
{
	struct store_txn txn = { .store = store, .writable = true, .unlogged = true };
	MDB_txn *handle;
	int code = mdb_txn_begin(store->env, NULL, 0, &handle);
	if (code != 0) return refuse(error, error_size, "cannot write to", path, code);

	/* META is the first table; its content decides whether the others may be touched. */
	BOUND(STORE_META == 0);
	txn.handle = handle;
	code = mdb_dbi_open(handle, table_names[STORE_META], MDB_CREATE,
		&store->tables[STORE_META]);
	enum result result = RESULT_OK;
	if (code == 0) result = store_migrate(&txn, error, error_size);
	for (unsigned i = 1; i < STORE_TABLE_COUNT && code == 0 && result == RESULT_OK; i++) {
		code = mdb_dbi_open(handle, table_names[i], MDB_CREATE, &store->tables[i]);
	}
	if (code == 0 && result == RESULT_OK) {
		code = mdb_txn_commit(handle);
	} else {
		mdb_txn_abort(handle);
	}
	if (code != 0) return refuse(error, error_size, "cannot prepare tables in", path, code);
	return result;
}

/* LMDB syncs its file but not the folder the file was made in, and neither is the folder safe
 * in its parent. */
static enum result sync_folder(const struct store *store, const char *path, char *error,
	size_t error_size)
{
	int parent_fd = openat(store->folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = parent_fd >= 0 && fsync(store->folder_fd) == 0 && fsync(parent_fd) == 0;
	int code = errno;
	if (parent_fd >= 0) close(parent_fd);
	return synced ? RESULT_OK : refuse(error, error_size, "cannot sync", path, code);
}

/* A process that was killed in its commit leaves a meta page that only the kernel has. Before the
 * journal goes on behind what it says, or uses again what it frees, the disk must have it. */
static enum result sync_data(const struct store *store, const char *path, char *error,
	size_t error_size)
{
	int code = mdb_env_sync(store->env, 1);
	return code == 0 ? RESULT_OK : refuse(error, error_size, "cannot sync data in", path, code);
}

enum result store_open(const struct store_config *config, struct store **ret, char *error,
	size_t error_size)
{
	struct store *store = alloc_array(1, sizeof *store);
	store->folder_fd = -1;
	store->lock_fd = -1;
	store->data_fd = -1;
	store->shard = config->shard;
	recents_init(&store->recents);

	enum result result = open_folder(store, config->path, error, error_size);
	if (result == RESULT_OK) result = open_environment(store, config, error, error_size);
	if (result == RESULT_OK) result = open_tables(store, config->path, error, error_size);
	if (result == RESULT_OK) result = sync_folder(store, config->path, error, error_size);
	if (result == RESULT_OK) result = sync_data(store, config->path, error, error_size);
	if (result == RESULT_OK) result = store_journal_open(store, error, error_size);
	if (result == RESULT_OK) result = store_space_open(store);
	if (result != RESULT_OK) {
		store_close(store);
		return result;
	}
	*ret = store;
	return RESULT_OK;
}

void store_close(struct store *store)
{
	if (store->pending != NULL) mdb_txn_abort(store->pending);
	if (store->env != NULL) mdb_env_close(store->env);
	journal_close(&store->journal);
	recents_done(&store->recents);
	if (store->lock_fd >= 0) close(store->lock_fd);
	if (store->folder_fd >= 0) close(store->folder_fd);
	alloc_free(store);
}

uint16_t store_shard(const struct store *store)
{
	return store->shard;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store_compact.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "store/store_internal.h"

/* LMDB's tree of names, which it gives this number. */
enum { MAIN_TREE = 1, META_PAGES = 2 };

struct compact {
	struct store *store;
	char *error;
	size_t error_size;
};

static enum result refuse(const struct compact *compact, const char *what, int code)
{
	snprintf(compact->error, compact->error_size, "%s: %s", what, mdb_strerror(code));
	enum result result = store_result(code);
	return result == RESULT_SPACE ? RESULT_SPACE : RESULT_DISK;
}

/* ---- Copying --------------------------------------------------------------------------------- */

static enum result check_space(const struct compact *compact)
{
	const struct store *store = compact->store;
	uint64_t pages = META_PAGES;
	for (unsigned i = 0; i < STORE_TABLE_COUNT + STORE_LMDB_TREES; i++) {
		pages += store->tree_pages[i];
	}
	uint64_t needed = pages * store->page_size;
	uint64_t there = store_disk_free(store->folder_fd);
	if (there >= needed) return RESULT_OK;
	snprintf(compact->error, compact->error_size,
		"the copy needs %" PRIu64 " bytes and the file system has %" PRIu64 " free", needed,
		there);
	return RESULT_SPACE;
}

static enum result copy(const struct compact *compact, uint64_t *ret_size)
{
	struct stat status;
	int fd = openat(compact->store->folder_fd, STORE_COMPACT_NAME,
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) return refuse(compact, "cannot make " STORE_COMPACT_NAME, errno);
	int code = mdb_env_copyfd2(compact->store->env, fd, MDB_CP_COMPACT);
	if (code == 0 && (fsync(fd) != 0 || fstat(fd, &status) != 0)) code = errno;
	close(fd);
	if (code != 0) return refuse(compact, "cannot write " STORE_COMPACT_NAME, code);
	*ret_size = (uint64_t)status.st_size;
	return RESULT_OK;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Of the old file and of the new one. */
struct twins {
	MDB_txn *txns[2];
	MDB_cursor *cursors[2];
};

static bool values_equal(const MDB_val *values)
{
	return bytes_equal(bytes_of(values[0].mv_data, values[0].mv_size),
		bytes_of(values[1].mv_data, values[1].mv_size));
}

/* *ret_same: both have the same rows. */
static int compare_rows(const struct twins *twins, bool *ret_same)
{
	for (;;) {
		MDB_val keys[2];
		MDB_val values[2];
		int codes[2];
		for (unsigned i = 0; i < 2; i++) {
			codes[i] =
				mdb_cursor_get(twins->cursors[i], &keys[i], &values[i], MDB_NEXT);
			if (codes[i] != 0 && codes[i] != MDB_NOTFOUND) return codes[i];
		}
		*ret_same = codes[0] == codes[1];
		if (!*ret_same || codes[0] == MDB_NOTFOUND) return 0;
		*ret_same = values_equal(keys) && values_equal(values);
		if (!*ret_same) return 0;
	}
}

static int compare_table(struct twins *twins, const MDB_dbi *tables, bool *ret_same)
{
	int code = 0;
	for (unsigned i = 0; i < 2; i++) twins->cursors[i] = NULL;
	for (unsigned i = 0; i < 2 && code == 0; i++) {
		code = mdb_cursor_open(twins->txns[i], tables[i], &twins->cursors[i]);
	}
	if (code == 0) code = compare_rows(twins, ret_same);
	for (unsigned i = 0; i < 2; i++) {
		if (twins->cursors[i] != NULL) mdb_cursor_close(twins->cursors[i]);
	}
	return code;
}

static enum result compare_tables(const struct compact *compact, struct twins *twins)
{
	MDB_stat names[2];
	bool same = true;
	int code = 0;
	for (unsigned i = 0; i < 2 && code == 0; i++) {
		code = mdb_stat(twins->txns[i], MAIN_TREE, &names[i]);
	}
	if (code == 0) same = names[0].ms_entries == names[1].ms_entries;
	for (unsigned i = 0; i < STORE_TABLE_COUNT && code == 0 && same; i++) {
		MDB_dbi tables[2] = { compact->store->tables[i] };
		const char *name = store_table_name((enum store_table)i);
		code = mdb_dbi_open(twins->txns[1], name, 0, &tables[1]);
		if (code == 0) code = compare_table(twins, tables, &same);
	}
	if (code != 0) return refuse(compact, "cannot compare the copy", code);
	if (same) return RESULT_OK;
	snprintf(compact->error, compact->error_size, "the copy differs from the store");
	return RESULT_MALFORMED;
}

/* No other transaction runs. */
static enum result compare(const struct compact *compact)
{
	struct twins twins = { 0 };
	MDB_env *env;
	char path[64];

	/* LMDB wants a name, and has a descriptor's. */
	snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_COMPACT_NAME,
		compact->store->folder_fd);
	int code = mdb_env_create(&env);
	if (code != 0) return refuse(compact, "cannot open the copy", code);
	code = mdb_env_set_maxdbs(env, STORE_TABLE_COUNT);
	if (code == 0) {
		code = mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR, 0600);
	}
	if (code == 0) {
		code = mdb_txn_begin(compact->store->env, NULL, MDB_RDONLY, &twins.txns[0]);
	}
	if (code == 0) code = mdb_txn_begin(env, NULL, MDB_RDONLY, &twins.txns[1]);
	enum result result = code == 0 ? compare_tables(compact, &twins)
				       : refuse(compact, "cannot open the copy", code);
	for (unsigned i = 0; i < 2; i++) {
		if (twins.txns[i] != NULL) mdb_txn_abort(twins.txns[i]);
	}
	mdb_env_close(env);
	return result;
}

/* ---- Taking its place ------------------------------------------------------------------------ */

/* The new file counts its transactions anew: LMDB's lock file, which knows the old one's number,
 * goes before. LMDB makes another; our own lock is held. */
static enum result replace(const struct compact *compact)
{
	struct store *store = compact->store;
	int folder_fd = store->folder_fd;

	mdb_env_close(store->env);
	store->env = NULL;
	if (unlinkat(folder_fd, "lock.mdb", 0) != 0 && errno != ENOENT) {
		return refuse(compact, "cannot remove lock.mdb", errno);
	}
	if (renameat(folder_fd, STORE_COMPACT_NAME, folder_fd, "data.mdb") != 0) {
		return refuse(compact, "cannot rename " STORE_COMPACT_NAME, errno);
	}
	if (fsync(folder_fd) != 0) return refuse(compact, "cannot flush the folder", errno);
	return RESULT_OK;
}

enum result store_compact(const struct store_config *config, struct store_compact_report *ret,
	char *error, size_t error_size)
{
	struct compact compact = { .error = error, .error_size = error_size };
	struct stat status;
	uint64_t size_after = 0;

	/* What only the journal had is LMDB's when it is open. */
	TRY(store_open(config, &compact.store, error, error_size));
	CHECK(compact.store->pending == NULL);
	enum result result = RESULT_OK;
	if (fstat(compact.store->data_fd, &status) != 0) {
		result = refuse(&compact, "cannot stat data.mdb", errno);
	}
	if (result == RESULT_OK) result = check_space(&compact);
	if (result == RESULT_OK) {
		result = copy(&compact, &size_after);
		if (result == RESULT_OK) result = compare(&compact);
		if (result == RESULT_OK) result = replace(&compact);
		if (result != RESULT_OK) store_compact_clear(compact.store->folder_fd);
	}
	store_close(compact.store);
	if (result != RESULT_OK) return result;
	*ret = (struct store_compact_report){
		.size_before = (uint64_t)status.st_size,
		.size_after = size_after,
	};
	return RESULT_OK;
}

void store_compact_clear(int folder_fd)
{
	if (unlinkat(folder_fd, STORE_COMPACT_NAME, 0) == 0 || errno == ENOENT) return;
	log_warning("cannot remove " STORE_COMPACT_NAME " error=\"%s\"", strerror(errno));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "store/store_internal.h"

enum {
	COPY_SIZE = 1 << 20,
	HASH_PIECE_SIZE = 32 << 10,
	PROGRESS_MS = 200,
	TABLES = 2,
};

struct backup {
	struct store *store;
	const struct store_backup *wanted;
	char *error;
	size_t error_size;
	/* The snapshot's. */
	struct journal journal; /* its settings only */
};

static enum result refuse(const struct backup *backup, const char *what, const char *name, int code)
{
	snprintf(backup->error, backup->error_size, "%s %s: %s", what, name, mdb_strerror(code));
	return store_result(code) == RESULT_SPACE ? RESULT_SPACE : RESULT_DISK;
}

struct hashed_file {
	int fd;
	uint64_t at;
	uint64_t size;
	uint8_t piece[HASH_PIECE_SIZE];
};

static bool hash_next(void *owner, struct bytes *ret_piece)
{
	struct hashed_file *file = owner;
	uint64_t left = file->size - file->at;
	size_t wish = left < sizeof file->piece ? (size_t)left : sizeof file->piece;
	ssize_t count = 0;
	if (wish > 0) {
		do {
			count = pread(file->fd, file->piece, wish, (off_t)file->at);
		} while (count < 0 && errno == EINTR);
		if (count == 0) errno = EIO;
		if (count <= 0) return false;
	}
	file->at += (uint64_t)count;
	*ret_piece = bytes_of(file->piece, (size_t)count);
	return true;
}

/* Not through a map: an error of the disk would be a SIGBUS. */
enum result store_backup_hash(int fd, uint64_t size, uint8_t sha256[static SHA256_SIZE])
{
	struct hashed_file file = { .fd = fd, .size = size };
	return hash_sha256_pieces(hash_next, &file, sha256) ? RESULT_OK : RESULT_DISK;
}

/* The file is written: makes it durable and tells of it. Closes fd. */
static enum result finish_file(const struct backup *backup, int fd, const char *name, uint64_t size,
	uint64_t full_size)
{
	struct store_backup_file file = { .size = size, .full_size = full_size };
	enum result result = RESULT_OK;

	snprintf(file.name, sizeof file.name, "%s", name);
	if (fsync(fd) != 0) result = refuse(backup, "cannot flush", name, errno);
	if (result == RESULT_OK && store_backup_hash(fd, size, file.sha256) != RESULT_OK) {
		result = refuse(backup, "cannot read back", name, errno);
	}
	close(fd);
	if (result != RESULT_OK) return result;
	return backup->wanted->file(backup->wanted->owner, &file) ? RESULT_OK : RESULT_CLOSED;
}

/* ---- LMDB ------------------------------------------------------------------------------------ */

struct copy {
	MDB_env *env;
	int fd;
	int code;
};

static void *copy_main(void *argument)
{
	struct copy *copy = argument;
	copy->code = mdb_env_copyfd2(copy->env, copy->fd, MDB_CP_COMPACT);
	return NULL;
}

/* Waits for the thread and tells how far its file is. It cannot be stopped. */
static bool copy_wait(const struct backup *backup, pthread_t thread, int fd, uint64_t all)
{
	bool go_on = true;
	for (;;) {
		struct timespec until;
		struct stat status;
		CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
		until.tv_nsec += PROGRESS_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		int code = pthread_timedjoin_np(thread, NULL, &until);
		if (code == 0) return go_on;
		CHECK(code == ETIMEDOUT);
		uint64_t done = fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
		go_on &= backup->wanted->progress(backup->wanted->owner, "data.mdb",
			done < all ? done : all, all);
	}
}

static enum result copy_data(const struct backup *backup)
{
	MDB_envinfo info;
	struct stat status;
	pthread_t thread;
	int fd = openat(backup->wanted->folder_fd, "data.mdb",
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) return refuse(backup, "cannot make", "data.mdb", errno);

	CHECK(mdb_env_info(backup->store->env, &info) == 0);
	struct copy copy = { .env = backup->store->env, .fd = fd };
	int code = pthread_create(&thread, NULL, copy_main, &copy);
	if (code != 0) {
		close(fd);
		return refuse(backup, "cannot copy", "data.mdb", code);
	}
	bool go_on = copy_wait(backup, thread, fd,
		((uint64_t)info.me_last_pgno + 1) * backup->store->page_size);
	enum result result = go_on ? RESULT_OK : RESULT_CLOSED;
	if (copy.code != 0) result = refuse(backup, "cannot copy", "data.mdb", copy.code);
	if (result == RESULT_OK && fstat(fd, &status) != 0) {
		result = refuse(backup, "cannot stat", "data.mdb", errno);
	}
	if (result != RESULT_OK) {
		close(fd);
		return result;
	}
	uint64_t size = (uint64_t)status.st_size;
	return finish_file(backup, fd, "data.mdb", size, size);
}

/* ---- The journal ----------------------------------------------------------------------------- */

/* The file that has this segment; NULL: there is none. It stays while the epoch is held. */
static const struct journal_segment *segment_find(const struct backup *backup, uint64_t number)
{
	const struct journal *journal = &backup->store->journal;
	uint32_t count = atomic_load_explicit(&journal->segment_count, memory_order_acquire);
	for (uint32_t i = 0; i < count; i++) {
		const struct journal_segment *segment = &journal->segments[i];
		if (atomic_load_explicit(&segment->number, memory_order_acquire) == number) {
			return segment;
		}
	}
	return NULL;
}

static enum result copy_bytes(const struct backup *backup, int from, int to, const char *name,
	uint64_t size)
{
	const struct store_backup *wanted = backup->wanted;
	uint8_t *memory = alloc_map(COPY_SIZE);
	enum result result = RESULT_OK;

	for (uint64_t at = 0; at < size && result == RESULT_OK;) {
		size_t wish = size - at < COPY_SIZE ? (size_t)(size - at) : COPY_SIZE;
		ssize_t count = pread(from, memory, wish, (off_t)at);
		if (count < 0 && errno == EINTR) continue;
		if (count <= 0) {
			result = refuse(backup, "cannot read", name, count == 0 ? EIO : errno);
			break;
		}
		if (journal_write_at(to, memory, (size_t)count, at) != RESULT_OK) {
			result = refuse(backup, "cannot write", name, errno);
			break;
		}
		at += (size_t)count;
		if (!wanted->progress(wanted->owner, name, at, size)) result = RESULT_CLOSED;
	}
	alloc_unmap(memory, COPY_SIZE);
	return result;
}

static enum result copy_segment(const struct backup *backup, uint64_t number, uint64_t size)
{
	char name[JOURNAL_FILE_NAME_SIZE];
	const struct journal_segment *segment = segment_find(backup, number);
	if (segment == NULL) {
		snprintf(backup->error, backup->error_size,
			"segment %" PRIu64 " of the journal is missing", number);
		return RESULT_MALFORMED;
	}
	journal_file_name(segment->file, name);
	int from = openat(backup->store->folder_fd, name, O_RDONLY | O_CLOEXEC);
	if (from < 0) return refuse(backup, "cannot open", name, errno);
	int to = openat(backup->wanted->folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		0600);
	if (to < 0) {
		int code = errno;
		close(from);
		return refuse(backup, "cannot make", name, code);
	}
	enum result result = copy_bytes(backup, from, to, name, size);
	close(from);
	/* The epoch held it: it is ours if it was used again. */
	CHECK(segment->number == number);
	if (result != RESULT_OK) {
		close(to);
		return result;
	}
	return finish_file(backup, to, name, size, backup->journal.segment_size);
}

/* How much of a segment the snapshot speaks of. */
static uint64_t segment_size(const struct backup *backup, uint64_t number, uint32_t written_size)
{
	const struct journal *journal = &backup->journal;
	if (number == journal->position / journal->segment_size) {
		return journal->position % journal->segment_size;
	}
	return written_size;
}

static enum result copy_segments(struct backup *backup, struct store_txn *txn)
{
	struct store_cursor cursor;
	enum result result = journal_settings_read(txn, &backup->journal);
	if (result != RESULT_OK) {
		snprintf(backup->error, backup->error_size,
			"the settings of the journal cannot be read: %s", result_text(result));
		return result;
	}
	store_cursor_open(&cursor, txn, STORE_SEGMENTS);
	bool found = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (; found && result == RESULT_OK; found = store_cursor_next(&cursor)) {
		struct reader key = reader_of(cursor.key);
		struct reader row = reader_of(cursor.value);
		uint64_t number = read_u64_be(&key);
		uint32_t written_size = read_u32(&row);
		(void)read_u64(&row); /* its rows */
		if (!reader_complete(&key) || !reader_complete(&row)) {
			snprintf(backup->error, backup->error_size,
				"the table of journal segments is damaged");
			result = RESULT_MALFORMED;
		} else {
			result = copy_segment(backup, number,
				segment_size(backup, number, written_size));
		}
	}
	store_cursor_close(&cursor);
	if (result == RESULT_OK && txn->result != RESULT_OK) {
		snprintf(backup->error, backup->error_size, "the copy of data.mdb cannot be read");
		result = txn->result;
	}
	return result;
}

/* The copy says which segments it needs: what LMDB itself has may be newer. */
static enum result copy_journal(struct backup *backup)
{
	struct store copy = { .shard = backup->store->shard };
	MDB_txn *handle = NULL;
	char path[64];

	/* LMDB wants a name, and has a descriptor's. */
	snprintf(path, sizeof path, "/proc/self/fd/%d/data.mdb", backup->wanted->folder_fd);
	int code = mdb_env_create(&copy.env);
	if (code != 0) return refuse(backup, "cannot open", path, code);
	code = mdb_env_set_maxdbs(copy.env, TABLES);
	if (code == 0) {
		code = mdb_env_open(copy.env, path, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR, 0600);
	}
	if (code == 0) code = mdb_txn_begin(copy.env, NULL, MDB_RDONLY, &handle);
	if (code == 0) code = mdb_dbi_open(handle, "meta", 0, &copy.tables[STORE_META]);
	if (code == 0) code = mdb_dbi_open(handle, "segments", 0, &copy.tables[STORE_SEGMENTS]);
	enum result result;
	if (code == 0) {
		struct store_txn txn = { .store = &copy, .handle = handle };
		result = copy_segments(backup, &txn);
	} else {
		result = refuse(backup, "cannot open", "the copy of data.mdb", code);
	}
	if (handle != NULL) mdb_txn_abort(handle);
	mdb_env_close(copy.env);
	return result;
}

enum result store_backup(struct store *store, struct store_writer *writer,
	const struct store_backup *wanted, char *error, size_t error_size)
{
	struct backup *backup = alloc_array(1, sizeof *backup);
	backup->store = store;
	backup->wanted = wanted;
	backup->error = error;
	backup->error_size = error_size;

	enum result result = store_writer_flush(writer);
	if (result != RESULT_OK) {
		snprintf(error, error_size, "%s",
			result == RESULT_SPACE ? "there is no space for what was committed last"
					       : "the store has failed");
		alloc_free(backup);
		return result;
	}
	struct store_epochs epochs = recents_acquire_begin(&store->recents);
	recents_acquire_end(&store->recents);
	result = copy_data(backup);
	if (result == RESULT_OK) result = copy_journal(backup);
	recents_release(&store->recents, epochs);
	if (result == RESULT_OK && fsync(wanted->folder_fd) != 0) {
		result = refuse(backup, "cannot flush", "the folder", errno);
	}
	alloc_free(backup);
	return result;
}

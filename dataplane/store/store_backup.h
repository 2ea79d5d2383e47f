/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_backup — a copy of an open store in another folder, while it is written to and read.
 *
 * LMDB's part is a compact copy of one of its snapshots, made after all that was committed before
 * has reached it. The journal's part is the segments that this snapshot speaks of, up to where it
 * says that they end: they do not change any more, and an epoch is held so that none of them is
 * used again meanwhile. Both together open like a store after a clean stop; batches that
 * came later are not in it.
 *
 * Never a copy of data.mdb as a file: that is torn as soon as a commit runs.
 */
#pragma once

#include "base/hash.h"
#include "store/store_writer.h"

enum { STORE_BACKUP_NAME_SIZE = 24 };

/* A file of the copy, on disk. A segment is cut off where it ends; restored it has full_size. */
struct store_backup_file {
	char name[STORE_BACKUP_NAME_SIZE]; /* "data.mdb", "journal-3" */
	uint64_t size;
	uint64_t full_size;
	uint8_t sha256[SHA256_SIZE];
};

struct store_backup {
	int folder_fd; /* empty; stays the caller's */
	/* Several times a second while something is copied: bytes of this file. False: stop. */
	bool (*progress)(void *owner, const char *name, uint64_t done, uint64_t all);
	/* Each file, when it is on disk. */
	bool (*file)(void *owner, const struct store_backup_file *file);
	void *owner;
};

/* Cold thread; long. RESULT_OK: every file and the folder are on disk. RESULT_CLOSED: told to stop.
 * Otherwise `error` has a sentence. What was made until then stays. */
MUST_USE enum result store_backup(struct store *store, struct store_writer *writer,
	const struct store_backup *backup, char *error, size_t error_size);

/* SHA-256 of the first `size` bytes of a file. RESULT_DISK: they cannot be read, errno says why;
 * EIO, too, when there are fewer. Cold thread: it takes 32 KiB of its stack. */
MUST_USE enum result store_backup_hash(int fd, uint64_t size, uint8_t sha256[static SHA256_SIZE]);

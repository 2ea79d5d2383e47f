/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush_file — a file that batches are written to by a thread, each with one write and one flush,
 * past the page cache where the file system can: what any server must do that answers when it has
 * an event on disk, and nothing else of a store. Nothing can be read back.
 *
 * The file has no name as soon as it is made, has its blocks from then on, and is written round and
 * round. While one batch is flushed the next one is gathered.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/loop.h"

enum {
	FLUSH_FILE_SIZE = 64 << 20,  /* as a segment of the store's journal */
	FLUSH_FILE_BATCH = 32 << 20, /* the largest payload, or KiBs of many connections */
	FLUSH_FILE_PAGE = 4096,      /* batches are filled up to whole ones */
};

struct flush_file {
	struct letter done;
	struct loop *loop;
	void (*flushed)(void *owner, bool kept);
	void *owner;
	int fd;
	pthread_t thread;
	sem_t work;
	bool stopping; /* with the last `work` */
	bool busy;
	/* What is gathered, and what is flushed: the thread's while busy. */
	uint8_t *open;
	size_t open_size;
	uint8_t *batch;
	size_t batch_size;
	uint64_t position; /* where the next one goes */
	bool failed;       /* for good: what a disk has refused once is not asked of it again */
};

/* Writes all of the file once. `flushed` is called on the loop's thread; its mail opens letters.
 * RESULT_DISK, and errno says why. */
MUST_USE enum result flush_file_open(struct flush_file *file, const char *folder, struct loop *loop,
	void (*flushed)(void *owner, bool kept), void *owner);
/* Loop's thread, all of them. Into the open batch; false when it has no room for that. An empty one
 * has. */
MUST_USE bool flush_file_add(struct flush_file *file, struct bytes bytes);
bool flush_file_busy(const struct flush_file *file);
/* Whether anything is in the open batch. */
bool flush_file_gathered(const struct flush_file *file);
/* What was added goes to the disk; `flushed` says when it is there, or that it never will be. Not
 * while busy, nor when nothing was added. */
void flush_file_begin(struct flush_file *file);
/* Not while busy. */
void flush_file_close(struct flush_file *file);

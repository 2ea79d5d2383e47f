/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk_load — keeps a disk busy for a while: a thread writes junk to a file there, and flushes it,
 * as fast as that goes. The file has no name as soon as it is made, so it never stays behind, and
 * never grows above DISK_LOAD_FILE_SIZE.
 *
 * What can go wrong: the folder takes no file, then disk_load_open() says so; a write or flush
 * fails, then the load ends before its time.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/result.h"

enum {
	DISK_LOAD_BLOCK_SIZE = 1 << 20, /* of a write, and of a flush: more than a commit of ours */
	DISK_LOAD_FILE_SIZE = 64 << 20, /* little beside what a store leaves free of its disk */
};

struct disk_load {
	int fd;
	const cpu_set_t *cpus; /* where the thread may run */
	uint8_t *block;
	pthread_t thread;
	bool started; /* there is a thread to be joined */
	atomic_bool stopping;
	_Atomic uint64_t flush_count; /* since it was opened */
};

/* On failure errno says why. */
MUST_USE enum result disk_load_open(struct disk_load *load, const char *folder,
	const cpu_set_t *cpus, uint64_t seed);
/* Waits for the end of the one before. */
MUST_USE enum result disk_load_begin(struct disk_load *load);
/* Does not wait: a flush that is under way is the last one. */
void disk_load_end(struct disk_load *load);
void disk_load_close(struct disk_load *load);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk_load.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"

enum result disk_load_open(struct disk_load *load, const char *folder, const cpu_set_t *cpus,
	uint64_t seed)
{
	char path[PATH_MAX];
	struct random random = { .state = seed };

	*load = (struct disk_load){ .fd = -1, .cpus = cpus };
	int size = snprintf(path, sizeof path, "%s/penstock-bench-XXXXXX", folder);
	if (size < 0 || size >= (int)sizeof path) return RESULT_KERNEL;
	load->fd = mkostemp(path, O_CLOEXEC);
	if (load->fd < 0 || unlink(path) != 0) return RESULT_KERNEL;
	load->block = alloc_map(DISK_LOAD_BLOCK_SIZE);
	for (size_t i = 0; i < DISK_LOAD_BLOCK_SIZE; i += sizeof(uint64_t)) {
		uint64_t junk = random_u64(&random);
		memcpy(load->block + i, &junk, sizeof junk);
	}
	return RESULT_OK;
}

/* Round and round in the file. */
static void *write_junk(void *owner)
{
	struct disk_load *load = owner;

	for (off_t at = 0; !atomic_load(&load->stopping); at += DISK_LOAD_BLOCK_SIZE) {
		off_t offset = at % DISK_LOAD_FILE_SIZE;
		if (pwrite(load->fd, load->block, DISK_LOAD_BLOCK_SIZE, offset) < 0) break;
		if (fdatasync(load->fd) != 0) break;
		atomic_fetch_add(&load->flush_count, 1);
	}
	/* What it took is given back; if it cannot be, it is with the descriptor. */
	if (ftruncate(load->fd, 0) != 0) return NULL;
	return NULL;
}

static void join(struct disk_load *load)
{
	if (!load->started) return;
	CHECK(pthread_join(load->thread, NULL) == 0);
	load->started = false;
}

enum result disk_load_begin(struct disk_load *load)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	join(load);
	atomic_store(&load->stopping, false);
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setaffinity_np(&attributes, sizeof *load->cpus, load->cpus) == 0);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	load->started = pthread_create(&load->thread, &attributes, write_junk, load) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return load->started ? RESULT_OK : RESULT_KERNEL;
}

void disk_load_end(struct disk_load *load)
{
	atomic_store(&load->stopping, true);
}

void disk_load_close(struct disk_load *load)
{
	disk_load_end(load);
	join(load);
	if (load->fd >= 0) close(load->fd);
	load->fd = -1;
	if (load->block != NULL) alloc_unmap(load->block, DISK_LOAD_BLOCK_SIZE);
	load->block = NULL;
}

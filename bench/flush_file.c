/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flush_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

enum { FILL_SIZE = 1 << 20 };

static enum result write_whole(int fd, const uint8_t *data, size_t size, uint64_t position)
{
	ssize_t written = pwrite(fd, data, size, (off_t)position);
	if (written == (ssize_t)size) return RESULT_OK;
	if (written >= 0) errno = ENOSPC; /* it was cut short */
	return RESULT_DISK;
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void flush_batch(struct flush_file *file)
{
	size_t size = (file->batch_size + FLUSH_FILE_PAGE - 1) & ~(size_t)(FLUSH_FILE_PAGE - 1);

	if (file->failed) return;
	if (file->position + size > FLUSH_FILE_SIZE) file->position = 0;
	file->failed = write_whole(file->fd, file->batch, size, file->position) != RESULT_OK ||
		fdatasync(file->fd) != 0;
	file->position += size;
}

static void *flush_main(void *owner)
{
	struct flush_file *file = owner;

	for (;;) {
		while (sem_wait(&file->work) != 0) CHECK(errno == EINTR);
		if (file->stopping) return NULL;
		flush_batch(file);
		/* From here on it is the loop's again. */
		loop_post(file->loop, &file->done.mail);
	}
}

/* ---- The loop's side ------------------------------------------------------------------------- */

static void flush_done(struct letter *letter)
{
	struct flush_file *file = CONTAINER_OF(letter, struct flush_file, done);

	file->busy = false;
	file->flushed(file->owner, !file->failed);
}

static enum result file_make(struct flush_file *file, const char *folder)
{
	char path[PATH_MAX];

	int size = snprintf(path, sizeof path, "%s/penstock-bench-XXXXXX", folder);
	if (size < 0 || size >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return RESULT_DISK;
	}
	file->fd = mkostemp(path, O_CLOEXEC);
	if (file->fd < 0 || unlink(path) != 0) return RESULT_DISK;
	bool direct = fcntl(file->fd, F_SETFL, O_DIRECT) == 0;
	MAYBE(!direct);
	for (uint64_t at = 0; at < FLUSH_FILE_SIZE; at += FILL_SIZE) {
		TRY(write_whole(file->fd, file->open, FILL_SIZE, at));
	}
	return fsync(file->fd) == 0 ? RESULT_OK : RESULT_DISK;
}

static void thread_start(struct flush_file *file)
{
	sigset_t all, before;

	CHECK(sem_init(&file->work, 0, 0) == 0);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	CHECK(pthread_create(&file->thread, NULL, flush_main, file) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum result flush_file_open(struct flush_file *file, const char *folder, struct loop *loop,
	void (*flushed)(void *owner, bool kept), void *owner)
{
	*file = (struct flush_file){
		.done = { .open = flush_done },
		.loop = loop,
		.flushed = flushed,
		.owner = owner,
		.fd = -1,
		.open = alloc_map(FLUSH_FILE_BATCH),
		.batch = alloc_map(FLUSH_FILE_BATCH),
	};
	TRY(file_make(file, folder));
	thread_start(file);
	return RESULT_OK;
}

bool flush_file_add(struct flush_file *file, struct bytes bytes)
{
	CHECK(bytes.size <= FLUSH_FILE_BATCH);
	if (bytes.size > FLUSH_FILE_BATCH - file->open_size) return false;
	memcpy(file->open + file->open_size, bytes.data, bytes.size);
	file->open_size += bytes.size;
	return true;
}

bool flush_file_busy(const struct flush_file *file)
{
	return file->busy;
}

bool flush_file_gathered(const struct flush_file *file)
{
	return file->open_size > 0;
}

void flush_file_begin(struct flush_file *file)
{
	uint8_t *gathered = file->open;

	CHECK(!file->busy && file->open_size > 0);
	file->open = file->batch;
	file->batch = gathered;
	file->batch_size = file->open_size;
	file->open_size = 0;
	file->busy = true;
	CHECK(sem_post(&file->work) == 0);
}

void flush_file_close(struct flush_file *file)
{
	CHECK(!file->busy);
	file->stopping = true;
	CHECK(sem_post(&file->work) == 0);
	CHECK(pthread_join(file->thread, NULL) == 0);
	sem_destroy(&file->work);
	close(file->fd);
	alloc_unmap(file->open, FLUSH_FILE_BATCH);
	alloc_unmap(file->batch, FLUSH_FILE_BATCH);
}

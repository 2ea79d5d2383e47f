/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal_spare — making the journal's files: spares ahead of need, by the helper thread, or
 * one now, by the writer.
 *
 * Writing into space that was only allocated makes the file system note, at each flush, that it
 * holds data now: a commit of its own beside ours. So the helper thread writes zeros first; later
 * the file is used again and again. (PostgreSQL's wal_init_zero and wal_recycle.) The file's inode
 * is chosen, so that commits need not write it along with their own. How gently zeros come is
 * journal_zeroing_step()'s decision, from what commits take and what the disk gives; the figures
 * are in bounds.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "store/store_journal.h"

enum {
	ZERO_NOW_SIZE = 64 << 10,
	HUGE_SIZE = 2 << 20,
	US_PER_SECOND = 1000000,
	PLENTY_US = 60 * US_PER_SECOND,
};
BOUND(JOURNAL_ZERO_SIZE <= HUGE_SIZE);

/* ---- Zeros ---------------------------------------------------------------------------------- */

void journal_zeroing_begin(struct journal_zeroing *zeroing, uint64_t used_total, uint64_t now_us)
{
	zeroing->since_us = now_us;
	zeroing->used_total = used_total;
	zeroing->size = 0;
	zeroing->writing_us = 0;
}

static uint64_t average(uint64_t before, uint64_t last)
{
	return before == 0 ? last : (3 * before + last) / 4;
}

void journal_zeroing_note(struct journal_zeroing *zeroing, uint32_t size, uint64_t writing_us,
	uint64_t used_total, uint64_t now_us)
{
	zeroing->size += size;
	zeroing->writing_us += writing_us;
	if (zeroing->size < JOURNAL_ZERO_SIZE || now_us <= zeroing->since_us) return;
	/* Less than before when segments were given back. */
	uint64_t taken = used_total > zeroing->used_total ? used_total - zeroing->used_total : 0;
	uint64_t rate = taken * US_PER_SECOND / (now_us - zeroing->since_us);
	zeroing->rate = average(zeroing->rate, rate);
	zeroing->write_us =
		average(zeroing->write_us, zeroing->writing_us * JOURNAL_ZERO_SIZE / zeroing->size);
	journal_zeroing_begin(zeroing, used_total, now_us);
}

/* Its part of the time left, without what writing it takes. */
static uint64_t pause_share_us(const struct journal_zeroing *zeroing, uint32_t size,
	uint64_t left_size, uint64_t room_size)
{
	if (zeroing->rate == 0) return PLENTY_US;
	uint64_t left_us = room_size * US_PER_SECOND / zeroing->rate;
	if (left_us > PLENTY_US) left_us = PLENTY_US;
	left_us = left_us > JOURNAL_ZERO_RESERVE_US ? left_us - JOURNAL_ZERO_RESERVE_US : 0;
	uint64_t share_us = left_us * size / left_size;
	uint64_t write_us = zeroing->write_us * size / JOURNAL_ZERO_SIZE;
	return share_us > write_us ? share_us - write_us : 0;
}

struct journal_zero_step journal_zeroing_step(const struct journal_zeroing *zeroing,
	uint64_t left_size, uint64_t room_size)
{
	bool large = room_size == 0 || zeroing->rate >= JOURNAL_ZERO_BUSY_RATE;
	uint32_t size = large ? JOURNAL_ZERO_SIZE : JOURNAL_ZERO_SIZE_SMALL;
	uint32_t pause_us = JOURNAL_ZERO_PAUSE_US / (JOURNAL_ZERO_SIZE / size);

	if (room_size == 0 || left_size <= size) {
		return (struct journal_zero_step){ left_size < size ? (uint32_t)left_size : size,
			0 };
	}
	uint64_t share_us = pause_share_us(zeroing, size, left_size, room_size);
	if (share_us < pause_us) pause_us = (uint32_t)share_us;
	if (pause_us < JOURNAL_ZERO_PAUSE_MIN_US) pause_us = 0;
	return (struct journal_zero_step){ size, pause_us };
}

static uint64_t used_total(const struct journal *journal)
{
	return atomic_load_explicit(&journal->used_total, memory_order_relaxed);
}

/* Until the writer stands still for want of a segment, or the store is closed. */
static void sleep_helper(struct journal_spares *spares, uint32_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us * 1000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!spares->stopping && !spares->awaited) {
		int code = pthread_cond_timedwait(&spares->wake, &spares->lock, &until);
		if (code == ETIMEDOUT) break;
	}
}

/* Helper thread. The disk is the commits'. False: the store is being closed. */
static bool pause_helper(struct journal *journal, uint32_t us)
{
	struct journal_spares *spares = &journal->spares;

	pthread_mutex_lock(&spares->lock);
	if (us > 0) sleep_helper(spares, us);
	bool stopping = spares->stopping;
	pthread_mutex_unlock(&spares->lock);
	return !stopping;
}

/* What commits may write until they need the segment that is being made: what is left of the files,
 * those included that have become free meanwhile. */
static uint64_t room_size(struct journal *journal)
{
	struct journal_spares *spares = &journal->spares;

	pthread_mutex_lock(&spares->lock);
	uint64_t size = atomic_load(&journal->file_size) +
		(uint64_t)spares->ready_count * journal->segment_size;
	bool awaited = spares->awaited;
	pthread_mutex_unlock(&spares->lock);
	uint64_t used = used_total(journal);
	return awaited || used > size ? 0 : size - used;
}

static int write_zeros_beforehand(struct journal *journal, int fd)
{
	struct journal_zeroing *zeroing = &journal->spares.zeroing;
	uint64_t left = journal->segment_size;

	/* In one large page, and touched: one piece of memory for the disk, not 128. */
	uint8_t *zeros = alloc_map_huge(HUGE_SIZE);
	memset(zeros, 0, JOURNAL_ZERO_SIZE);
	/* Past the page cache where the file system can: nobody will read them. */
	bool direct = fcntl(fd, F_SETFL, O_DIRECT) == 0;
	MAYBE(!direct);
	journal_zeroing_begin(zeroing, used_total(journal), store_clock_us());
	int code = 0;
	while (left > 0 && code == 0) {
		uint64_t room = room_size(journal);
		struct journal_zero_step step = journal_zeroing_step(zeroing, left, room);
		uint64_t begun_us = store_clock_us();
		uint64_t at = journal->segment_size - left;
		if (journal_write_at(fd, zeros, step.size, at) != RESULT_OK) code = ENOSPC;
		uint64_t writing_us = store_clock_us() - begun_us;
		if (code == 0 && !pause_helper(journal, step.pause_us)) code = ECANCELED;
		left -= step.size;
		if (room == 0) {
			/* Who waits writes nothing: that says nothing of how fast he is. */
			journal_zeroing_begin(zeroing, used_total(journal), store_clock_us());
		} else {
			journal_zeroing_note(zeroing, step.size, writing_us, used_total(journal),
				store_clock_us());
		}
	}
	alloc_unmap(zeros, HUGE_SIZE);
	return code;
}

/* In the writer's thread, which must not allocate. */
static int write_zeros_now(const struct journal *journal, int fd)
{
	static const uint8_t zeros[ZERO_NOW_SIZE];

	for (uint64_t at = 0; at < journal->segment_size; at += sizeof zeros) {
		uint64_t left = journal->segment_size - at;
		size_t size = left < sizeof zeros ? (size_t)left : sizeof zeros;
		if (journal_write_at(fd, zeros, size, at) != RESULT_OK) return ENOSPC;
	}
	return 0;
}

/* ---- Its content ---------------------------------------------------------------------------- */

/* So that running out of space shows here: without fallocate() the zeros do it. */
static int fill_file(struct journal *journal, int fd, bool with_zeros)
{
	int code = fallocate(fd, 0, 0, (off_t)journal->segment_size) == 0 ? 0 : errno;
	bool unknown = code == EOPNOTSUPP || code == ENOSYS;

	if (code != 0 && !unknown) return code;
	if (with_zeros) {
		code = write_zeros_beforehand(journal, fd);
	} else if (unknown) {
		code = write_zeros_now(journal, fd);
	}
	return code == 0 && fsync(fd) != 0 ? errno : code;
}

/* ---- Its inode ------------------------------------------------------------------------------ */

static bool are_neighbours(ino_t one, ino_t other)
{
	return (one - 1) / JOURNAL_INODES_PER_BLOCK == (other - 1) / JOURNAL_INODES_PER_BLOCK;
}

/* Whether its inode is a neighbour of that of a file that commits of a store that grows write while
 * this one is filled: the newest in use, or the spare that follows it. One that uses its segments
 * again is in an older one now and then, and makes hardly any. */
static bool has_neighbours(const struct journal *journal, uint32_t file, int fd)
{
	uint32_t count = atomic_load(&journal->segment_count);
	char name[JOURNAL_FILE_NAME_SIZE];
	struct stat own, other;

	if (fstat(fd, &own) != 0) return false;
	for (uint32_t i = count > 0 ? count - 1 : 0; i <= count && i < file; i++) {
		journal_file_name(i, name);
		if (fstatat(journal->folder_fd, name, &other, 0) != 0) continue;
		if (are_neighbours(own.st_ino, other.st_ino)) return true;
	}
	return false;
}

static int create(const struct journal *journal, const char *name)
{
	return openat(journal->folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void name_aside(char name[static JOURNAL_FILE_NAME_SIZE], unsigned number)
{
	snprintf(name, JOURNAL_FILE_NAME_SIZE, JOURNAL_ASIDE_PREFIX "%u", number);
}

/* Gives the file another name, so that its inode stays taken. */
static bool put_aside(const struct journal *journal, const char *name, unsigned number)
{
	char aside[JOURNAL_FILE_NAME_SIZE];
	name_aside(aside, number);
	return renameat(journal->folder_fd, name, journal->folder_fd, aside) == 0;
}

/* A file whose inode is no neighbour of those of the files that commits of this shard write: ext4
 * without a journal of its own writes their block, too, at a flush, when any inode in it has
 * changed, and zeros change theirs all the time (decision 11 has the figures). Any inode will do
 * where none is found. */
static int create_apart(const struct journal *journal, uint32_t file, const char *name)
{
	char aside[JOURNAL_FILE_NAME_SIZE];
	unsigned aside_count = 0;

	int fd = create(journal, name);
	while (fd >= 0 && aside_count < JOURNAL_INODES_ASIDE_MAX &&
		has_neighbours(journal, file, fd) && put_aside(journal, name, aside_count)) {
		aside_count++;
		close(fd);
		fd = create(journal, name);
	}
	int code = errno;
	bool refused = fd < 0 && aside_count > 0; /* with all these in the way */
	while (aside_count > 0) {
		name_aside(aside, --aside_count);
		unlinkat(journal->folder_fd, aside, 0);
	}
	errno = code;
	return refused ? create(journal, name) : fd;
}

/* ---- The whole file ------------------------------------------------------------------------- */

/* Makes file `file`: with zeros in it (the helper), or only allocated when it is wanted at once
 * (the writer). It has its name when it is whole, and each thread another one until then: what one
 * has finished the other never has open. 0 or errno. */
static int make_file(struct journal *journal, uint32_t file, bool with_zeros)
{
	const char *new_name = with_zeros ? JOURNAL_NEW_NAME : JOURNAL_NOW_NAME;
	char name[JOURNAL_FILE_NAME_SIZE];

	if (file >= JOURNAL_SEGMENTS_MAX) return ENOSPC;
	if (store_disk_free(journal->folder_fd) < journal->segment_size + journal->keep_free_size) {
		return ENOSPC;
	}
	journal_file_name(file, name);
	int fd = with_zeros ? create_apart(journal, file, new_name) : create(journal, new_name);
	if (fd < 0) return errno;
	int code = fill_file(journal, fd, with_zeros);
	close(fd);
	if (code == 0 && renameat(journal->folder_fd, new_name, journal->folder_fd, name) != 0) {
		code = errno;
	}
	if (code == 0 && fsync(journal->folder_fd) != 0) code = errno;
	if (code != 0) unlinkat(journal->folder_fd, new_name, 0);
	return code;
}

static void warn_full(const struct journal *journal, int code)
{
	log_warning("store's journal cannot grow shard=%u error=\"%s\"", (unsigned)journal->shard,
		strerror(code));
}

/* ---- The helper thread ---------------------------------------------------------------------- */

/* Beyond what the quota has room for only the next one, which may be needed. */
static bool is_spare_wanted(const struct journal *journal)
{
	const struct journal_spares *spares = &journal->spares;
	uint32_t end = atomic_load(&journal->segment_count) + spares->ready_count;

	if (!spares->wanted || spares->ready_count >= JOURNAL_SPARES) return false;
	return spares->ready_count == 0 || end < journal->spares_end;
}

static void *helper_main(void *argument)
{
	struct journal *journal = argument;
	struct journal_spares *spares = &journal->spares;

	pthread_setname_np(pthread_self(), "store-prepare");
	pthread_mutex_lock(&spares->lock);
	while (!spares->stopping) {
		if (!is_spare_wanted(journal)) {
			spares->wanted = false;
			pthread_cond_wait(&spares->wake, &spares->lock);
			continue;
		}
		uint32_t file = atomic_load(&journal->segment_count) + spares->ready_count;
		pthread_mutex_unlock(&spares->lock);
		int code = make_file(journal, file, true);
		pthread_mutex_lock(&spares->lock);
		spares->ready_count += code == 0;
		spares->wanted &= code == 0;
		spares->refused_at = code == 0 ? 0 : store_clock_second();
		if (code != 0 && !spares->stopping) warn_full(journal, code);
		pthread_cond_broadcast(&spares->wake);
	}
	pthread_mutex_unlock(&spares->lock);
	return NULL;
}

void journal_start_helper(struct journal *journal, int cpu)
{
	sigset_t all, before;
	cpu_set_t cpus;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	journal->spares.running =
		pthread_create(&journal->spares.thread, NULL, helper_main, journal) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!journal->spares.running || cpu < 0) return;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)cpu, &cpus);
	int code = pthread_setaffinity_np(journal->spares.thread, sizeof cpus, &cpus);
	MAYBE(code != 0); /* then it runs elsewhere */
}

void journal_stop_helper(struct journal *journal)
{
	struct journal_spares *spares = &journal->spares;

	if (!spares->running) return;
	pthread_mutex_lock(&spares->lock);
	spares->stopping = true;
	pthread_cond_broadcast(&spares->wake);
	pthread_mutex_unlock(&spares->lock);
	CHECK(pthread_join(spares->thread, NULL) == 0);
	spares->running = false;
}

/* ---- The writer's side ---------------------------------------------------------------------- */

/* One the helper has made, waiting for it when it is at it. *ret_idle: there is none, and none is
 * being made. One that cannot be opened now is there the next time. */
static struct journal_segment *take_spare(struct journal *journal, bool *ret_idle)
{
	struct journal_spares *spares = &journal->spares;
	struct journal_segment *segment = NULL;

	pthread_mutex_lock(&spares->lock);
	while (spares->wanted && spares->ready_count == 0) {
		spares->awaited = true;
		pthread_cond_broadcast(&spares->wake);
		pthread_cond_wait(&spares->wake, &spares->lock);
	}
	spares->awaited = false;
	*ret_idle = spares->ready_count == 0;
	if (spares->ready_count > 0) {
		segment = journal_segment_add(journal, atomic_load(&journal->segment_count));
		spares->ready_count -= segment != NULL;
	}
	pthread_mutex_unlock(&spares->lock);
	return segment;
}

static struct journal_segment *make_now(struct journal *journal)
{
	uint32_t file = atomic_load(&journal->segment_count);
	int code = make_file(journal, file, false);
	if (code == 0) {
		struct journal_segment *segment = journal_segment_add(journal, file);
		if (segment != NULL) return segment;
		code = errno;
	}
	if (journal->extend_refused_at != store_clock_second()) warn_full(journal, code);
	journal->extend_refused_at = store_clock_second();
	return NULL;
}

void journal_want_spares(struct journal *journal)
{
	struct journal_spares *spares = &journal->spares;

	if (!spares->running || journal_segment_find_free(journal) != NULL) return;
	pthread_mutex_lock(&spares->lock);
	if (!spares->wanted && spares->refused_at != store_clock_second()) {
		spares->wanted = true;
		pthread_cond_broadcast(&spares->wake);
	}
	pthread_mutex_unlock(&spares->lock);
}

struct journal_segment *journal_segment_make(struct journal *journal)
{
	struct journal_segment *segment = NULL;
	bool idle = true;

	if (journal->spares.running) segment = take_spare(journal, &idle);
	if (segment == NULL && idle) segment = make_now(journal);
	return segment;
}

bool journal_may_grow(struct journal *journal)
{
	struct journal_spares *spares = &journal->spares;

	if (!spares->running) return journal->extend_refused_at != store_clock_second();
	journal_want_spares(journal);
	pthread_mutex_lock(&spares->lock);
	bool hopeful = spares->ready_count > 0 || spares->refused_at == 0;
	pthread_mutex_unlock(&spares->lock);
	return hopeful;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal_segment — the files of the journal: finding them at open, taking one into use,
 * making new ones ahead.
 *
 * Writing into space that was only allocated makes the file system note, at each flush, that it
 * holds data now: a journal commit beside ours. So the helper thread writes zeros first; later the
 * file is used again and again. (PostgreSQL's wal_init_zero and wal_recycle.)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "store/store_journal.h"

enum { FILE_NAME_SIZE = 24, JOURNAL_FORMAT = 1, ZERO_SIZE = 2 << 20 };
#define JOURNAL_MAGIC BYTES_LITERAL("PENSTJNL")

static void file_name(uint32_t file, char name[static FILE_NAME_SIZE])
{
	snprintf(name, FILE_NAME_SIZE, "journal-%u", (unsigned)file);
}

static uint64_t now_second(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec;
}

int journal_segment_open_file(const struct journal *journal, const struct journal_segment *segment)
{
	char name[FILE_NAME_SIZE];
	file_name(segment->file, name);
	return openat(journal->folder_fd, name, O_RDWR | O_CLOEXEC);
}

enum result journal_write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t count = pwrite(fd, bytes, size, (off_t)offset);
		if (count < 0 && errno == EINTR) continue;
		if (count <= 0) {
			int code = count == 0 ? EIO : errno;
			log_error("store write to the journal failed error=\"%s\"", strerror(code));
			return store_result(code) == RESULT_SPACE ? RESULT_SPACE : RESULT_DISK;
		}
		bytes += count;
		size -= (size_t)count;
		offset += (uint64_t)count;
	}
	return RESULT_OK;
}

/* ---- Headers --------------------------------------------------------------------------------- */

uint64_t journal_checksum(const struct journal *journal, uint64_t position, const uint8_t *record,
	size_t size)
{
	return hash_xxh3(bytes_of(record + 8, size - 8), journal->seed ^ position);
}

/* magic(8) format(4) segment size(4) shard(2) number(8) checksum(8) */
void journal_write_header(const struct journal *journal, uint64_t number, uint8_t *page)
{
	memset(page, 0, JOURNAL_HEADER_SIZE);
	struct writer writer = writer_of(page, JOURNAL_HEADER_SIZE);
	write_bytes(&writer, JOURNAL_MAGIC);
	write_u32(&writer, JOURNAL_FORMAT);
	write_u32(&writer, journal->segment_size);
	write_u16(&writer, journal->shard);
	write_u64(&writer, number);
	write_u64(&writer, hash_xxh3(writer_bytes(&writer), journal->seed));
}

/* The number in a segment's header, or 0. */
static uint64_t read_header(const struct journal *journal, const uint8_t *page)
{
	struct reader reader = reader_of(bytes_of(page, JOURNAL_HEADER_SIZE));
	bool known = bytes_equal(read_bytes(&reader, JOURNAL_MAGIC.size), JOURNAL_MAGIC);
	known &= read_u32(&reader) == JOURNAL_FORMAT;
	known &= read_u32(&reader) == journal->segment_size;
	known &= read_u16(&reader) == journal->shard;
	uint64_t number = read_u64(&reader);
	size_t size = JOURNAL_HEADER_SIZE - reader.rest.size;
	return known && read_u64(&reader) == hash_xxh3(bytes_of(page, size), journal->seed) ? number
											    : 0;
}

enum result journal_segment_wipe(struct journal *journal, struct journal_segment *segment)
{
	static const uint8_t zeros[JOURNAL_HEADER_SIZE];

	int fd = journal_segment_open_file(journal, segment);
	if (fd < 0) return RESULT_DISK;
	enum result result = journal_write_at(fd, zeros, sizeof zeros, 0);
	if (result == RESULT_OK && fdatasync(fd) != 0) result = RESULT_DISK;
	close(fd);
	segment->wiped = true;
	return result;
}

/* ---- Finding and making files ---------------------------------------------------------------- */

static bool map_segment(const struct journal *journal, struct journal_segment *segment, int fd)
{
	void *map = mmap(NULL, journal->segment_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) return false;
	segment->map = map;
	return true;
}

static void number_file(struct journal *journal, struct journal_segment *segment, uint64_t number)
{
	atomic_store_explicit(&journal->files[number % JOURNAL_SEGMENTS_MAX], segment->file,
		memory_order_relaxed);
	atomic_store_explicit(&segment->number, number, memory_order_release);
}

enum result journal_open(struct journal *journal, char *error, size_t error_size)
{
	char name[FILE_NAME_SIZE];

	CHECK(pthread_mutex_init(&journal->spare.lock, NULL) == 0);
	CHECK(pthread_cond_init(&journal->spare.wake, NULL) == 0);
	journal->segments = alloc_map(JOURNAL_SEGMENTS_MAX * sizeof *journal->segments);
	journal->files = alloc_map(JOURNAL_SEGMENTS_MAX * sizeof *journal->files);
	journal->buffer = alloc_map(JOURNAL_BUFFER_SIZE);
	journal->fd = -1;
	for (uint32_t file = 0; file < JOURNAL_SEGMENTS_MAX; file++) {
		struct journal_segment *segment = &journal->segments[file];
		struct stat status;
		segment->file = file;
		file_name(file, name);
		int fd = openat(journal->folder_fd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) break;
		bool fine = fd >= 0 && fstat(fd, &status) == 0;
		/* One that was being made when the process died. */
		if (fine && status.st_size < (off_t)journal->segment_size) {
			fine = ftruncate(fd, (off_t)journal->segment_size) == 0;
		}
		fine = fine && map_segment(journal, segment, fd);
		if (fd >= 0) close(fd);
		if (!fine) {
			snprintf(error, error_size, "cannot open %s of the store: %s", name,
				strerror(errno));
			return RESULT_DISK;
		}
		atomic_store(&journal->segment_count, file + 1);
		atomic_fetch_add(&journal->file_size, journal->segment_size);
		uint64_t number = read_header(journal, segment->map);
		segment->wiped = number == 0;
		if (number != 0) number_file(journal, segment, number);
	}
	return RESULT_OK;
}

uint64_t journal_files_size(int folder_fd)
{
	char name[FILE_NAME_SIZE];
	struct stat status;
	uint64_t size = 0;

	for (uint32_t file = 0; file < JOURNAL_SEGMENTS_MAX; file++) {
		file_name(file, name);
		if (fstatat(folder_fd, name, &status, 0) != 0) break;
		size += (uint64_t)status.st_blocks * 512;
	}
	return size;
}

/* Makes file `file` with zeros in it, or with nothing when it is wanted at once. 0 or errno. */
static int make_file(const struct journal *journal, uint32_t file, bool with_zeros)
{
	char name[FILE_NAME_SIZE];
	uint8_t *zeros = NULL;
	int code = 0;

	file_name(file, name);
	int fd = openat(journal->folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) return errno;
	if (fallocate(fd, 0, 0, (off_t)journal->segment_size) != 0) {
		code = errno;
		if (code == EOPNOTSUPP || code == ENOSYS) {
			code = ftruncate(fd, (off_t)journal->segment_size) == 0 ? 0 : errno;
		}
	}
	if (with_zeros) {
		/* One large page, and touched: few and large requests to the disk. */
		zeros = alloc_map_huge(ZERO_SIZE);
		memset(zeros, 0, ZERO_SIZE);
	}
	/* Past the page cache where the file system can: nobody will read them. */
	bool direct = with_zeros && fcntl(fd, F_SETFL, O_DIRECT) == 0;
	MAYBE(!direct);
	for (uint64_t at = 0; with_zeros && code == 0 && at < journal->segment_size;
		at += ZERO_SIZE) {
		uint64_t left = journal->segment_size - at;
		size_t size = left < ZERO_SIZE ? (size_t)left : ZERO_SIZE;
		if (journal_write_at(fd, zeros, size, at) != RESULT_OK) code = ENOSPC;
	}
	if (zeros != NULL) alloc_unmap(zeros, ZERO_SIZE);
	if (code == 0 && fsync(fd) != 0) code = errno;
	close(fd);
	if (code == 0 && fsync(journal->folder_fd) != 0) code = errno;
	if (code != 0) unlinkat(journal->folder_fd, name, 0);
	return code;
}

/* The file exists now: one more segment, not in use. */
static struct journal_segment *add_segment(struct journal *journal, uint32_t file)
{
	struct journal_segment *segment = &journal->segments[file];
	segment->file = file;
	int fd = journal_segment_open_file(journal, segment);
	bool mapped = fd >= 0 && map_segment(journal, segment, fd);
	if (fd >= 0) close(fd);
	if (!mapped) return NULL;
	segment->wiped = true;
	atomic_fetch_add(&journal->file_size, journal->segment_size);
	atomic_store(&journal->segment_count, file + 1);
	return segment;
}

static void warn_full(const struct journal *journal, int code)
{
	log_warning("store's journal cannot grow shard=%u error=\"%s\"", (unsigned)journal->shard,
		strerror(code));
}

/* ---- The helper thread ----------------------------------------------------------------------- */

static void *helper_main(void *argument)
{
	struct journal *journal = argument;
	struct journal_spare *spare = &journal->spare;

	pthread_setname_np(pthread_self(), "store-prepare");
	pthread_mutex_lock(&spare->lock);
	for (;;) {
		while (!spare->stopping && (!spare->wanted || spare->ready)) {
			pthread_cond_wait(&spare->wake, &spare->lock);
		}
		if (spare->stopping) break;
		uint32_t file = atomic_load(&journal->segment_count);
		pthread_mutex_unlock(&spare->lock);
		int code = file < JOURNAL_SEGMENTS_MAX ? make_file(journal, file, true) : ENOSPC;
		pthread_mutex_lock(&spare->lock);
		spare->wanted = false;
		spare->ready = code == 0;
		spare->file = file;
		spare->refused_at = code == 0 ? 0 : now_second();
		if (code != 0) warn_full(journal, code);
		pthread_cond_broadcast(&spare->wake);
	}
	pthread_mutex_unlock(&spare->lock);
	return NULL;
}

void journal_start_helper(struct journal *journal, int cpu)
{
	sigset_t all, before;
	cpu_set_t cpus;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	journal->spare.running =
		pthread_create(&journal->spare.thread, NULL, helper_main, journal) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!journal->spare.running || cpu < 0) return;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)cpu, &cpus);
	int code = pthread_setaffinity_np(journal->spare.thread, sizeof cpus, &cpus);
	MAYBE(code != 0); /* then it runs elsewhere */
}

void journal_close(struct journal *journal)
{
	struct journal_spare *spare = &journal->spare;

	if (spare->running) {
		pthread_mutex_lock(&spare->lock);
		spare->stopping = true;
		pthread_cond_broadcast(&spare->wake);
		pthread_mutex_unlock(&spare->lock);
		CHECK(pthread_join(spare->thread, NULL) == 0);
	}
	if (journal->segments == NULL) return;
	if (journal->fd >= 0) close(journal->fd);
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		munmap((void *)(uintptr_t)journal->segments[i].map, journal->segment_size);
	}
	alloc_unmap(journal->segments, JOURNAL_SEGMENTS_MAX * sizeof *journal->segments);
	alloc_unmap(journal->files, JOURNAL_SEGMENTS_MAX * sizeof *journal->files);
	alloc_unmap(journal->buffer, JOURNAL_BUFFER_SIZE);
	pthread_mutex_destroy(&spare->lock);
	pthread_cond_destroy(&spare->wake);
}

/* ---- In use, and free again ------------------------------------------------------------------ */

struct journal_segment *journal_segment_of(const struct journal *journal, uint64_t position)
{
	uint64_t number = position / journal->segment_size;
	uint32_t file = atomic_load_explicit(&journal->files[number % JOURNAL_SEGMENTS_MAX],
		memory_order_relaxed);
	struct journal_segment *segment = &journal->segments[file];
	if (number == 0) return NULL;
	return atomic_load_explicit(&segment->number, memory_order_acquire) == number ? segment
										      : NULL;
}

static bool is_free(const struct journal_segment *segment)
{
	return atomic_load_explicit(&segment->number, memory_order_relaxed) == 0;
}

static struct journal_segment *find_free(const struct journal *journal)
{
	uint32_t count = atomic_load(&journal->segment_count);
	for (uint32_t i = 0; i < count; i++) {
		if (is_free(&journal->segments[i])) return &journal->segments[i];
	}
	return NULL;
}

/* One the helper has made, waiting for it when it is at it. */
static struct journal_segment *take_spare(struct journal *journal)
{
	struct journal_spare *spare = &journal->spare;
	struct journal_segment *segment = NULL;

	pthread_mutex_lock(&spare->lock);
	while (spare->wanted && !spare->ready) pthread_cond_wait(&spare->wake, &spare->lock);
	if (spare->ready) segment = add_segment(journal, spare->file);
	spare->ready = false;
	pthread_mutex_unlock(&spare->lock);
	return segment;
}

static struct journal_segment *make_now(struct journal *journal)
{
	uint32_t file = atomic_load(&journal->segment_count);
	int code = file < JOURNAL_SEGMENTS_MAX ? make_file(journal, file, false) : ENOSPC;
	if (code == 0) return add_segment(journal, file);
	if (journal->extend_refused_at != now_second()) warn_full(journal, code);
	journal->extend_refused_at = now_second();
	return NULL;
}

/* Have the next one made in time. */
static void want_spare(struct journal *journal)
{
	struct journal_spare *spare = &journal->spare;

	if (!spare->running || find_free(journal) != NULL) return;
	pthread_mutex_lock(&spare->lock);
	if (!spare->ready && spare->refused_at != now_second()) {
		spare->wanted = true;
		pthread_cond_broadcast(&spare->wake);
	}
	pthread_mutex_unlock(&spare->lock);
}

struct journal_segment *journal_segment_take(struct journal *journal, uint64_t number)
{
	struct journal_segment *segment = find_free(journal);

	if (segment == NULL && journal->spare.running) segment = take_spare(journal);
	if (segment == NULL) segment = make_now(journal);
	if (segment == NULL) return NULL;
	segment->written_size = 0;
	segment->row_count = 0;
	segment->saved_size = 0;
	segment->saved_count = 0;
	segment->freed_at = 0;
	segment->wiped = false;
	number_file(journal, segment, number);
	want_spare(journal);
	return segment;
}

void journal_segment_free(struct journal *journal, struct journal_segment *segment)
{
	atomic_fetch_sub(&journal->used_total, segment->written_size);
	segment->written_size = 0;
	atomic_store_explicit(&segment->number, 0, memory_order_release);
}

bool journal_has_room(struct journal *journal, uint64_t size)
{
	struct journal_spare *spare = &journal->spare;

	uint64_t room = 0;
	if (journal->current != NULL)
		room = journal->segment_size - journal->position % journal->segment_size;
	if (room > size + size / 8 + 4 * JOURNAL_PAGE_SIZE) return true;
	if (find_free(journal) != NULL) return true;
	if (!spare->running) return journal->extend_refused_at != now_second();
	want_spare(journal);
	pthread_mutex_lock(&spare->lock);
	bool hopeful = spare->ready || spare->refused_at == 0;
	pthread_mutex_unlock(&spare->lock);
	return hopeful;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal_segment — the files of the journal: finding them at open, taking one into use,
 * giving it back. Making new ones is store_journal_spare.c's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "store/store_journal.h"

enum {
	JOURNAL_FORMAT = 1,
	HEADER_COPY_OFFSET = 2048,
};
#define JOURNAL_MAGIC BYTES_LITERAL("PENSTJNL")

void journal_file_name(uint32_t file, char name[static JOURNAL_FILE_NAME_SIZE])
{
	snprintf(name, JOURNAL_FILE_NAME_SIZE, "journal-%u", (unsigned)file);
}

/* Past the page cache, when pages are what the file system wants. */
static bool can_be_direct(int fd)
{
	struct statx found;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) != 0) return false;
	if ((found.stx_mask & STATX_DIOALIGN) == 0 || found.stx_dio_offset_align == 0) return false;
	if (found.stx_dio_mem_align == 0) return false;
	return JOURNAL_PAGE_SIZE % found.stx_dio_offset_align == 0 &&
		JOURNAL_PAGE_SIZE % found.stx_dio_mem_align == 0;
}

enum result journal_segment_open(const struct journal *journal, struct journal_segment *segment)
{
	char name[JOURNAL_FILE_NAME_SIZE];

	if (segment->fd >= 0) return RESULT_OK;
	journal_file_name(segment->file, name);
	segment->fd = openat(journal->folder_fd, name, O_RDWR | O_CLOEXEC);
	if (segment->fd < 0) return RESULT_DISK;
	bool direct = can_be_direct(segment->fd) && fcntl(segment->fd, F_SETFL, O_DIRECT) == 0;
	MAYBE(!direct);
	return RESULT_OK;
}

void journal_segment_done(struct journal_segment *segment)
{
	if (segment->fd >= 0) close(segment->fd);
	segment->fd = -1;
}

static bool leave_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_DIRECT) != 0 && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

enum result journal_write_at(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t count = pwrite(fd, bytes, size, (off_t)offset);
		if (count < 0 && errno == EINTR) continue;
		/* Cut off at a limit in the middle of a sector, or the file system takes none
		 * after all. */
		if (count < 0 && errno == EINVAL && leave_direct(fd)) continue;
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

uint64_t journal_chain(uint64_t chain, uint64_t sum)
{
	return hash_xxh3(bytes_of(&sum, sizeof sum), chain);
}

/* magic(8) format(4) segment size(4) shard(2) number(8) checksum(8), twice */
void journal_write_header(const struct journal *journal, uint64_t number, uint8_t *page)
{
	memset(page, 0, JOURNAL_HEADER_SIZE);
	struct writer writer = writer_of(page, HEADER_COPY_OFFSET);
	write_bytes(&writer, JOURNAL_MAGIC);
	write_u32(&writer, JOURNAL_FORMAT);
	write_u32(&writer, journal->segment_size);
	write_u16(&writer, journal->shard);
	write_u64(&writer, number);
	write_u64(&writer, hash_xxh3(writer_bytes(&writer), journal->seed));
	memcpy(page + HEADER_COPY_OFFSET, page, HEADER_COPY_OFFSET);
}

static uint64_t read_header_copy(const struct journal *journal, const uint8_t *copy)
{
	struct reader reader = reader_of(bytes_of(copy, HEADER_COPY_OFFSET));
	bool known = bytes_equal(read_bytes(&reader, JOURNAL_MAGIC.size), JOURNAL_MAGIC);
	known &= read_u32(&reader) == JOURNAL_FORMAT;
	known &= read_u32(&reader) == journal->segment_size;
	known &= read_u16(&reader) == journal->shard;
	uint64_t number = read_u64(&reader);
	size_t size = HEADER_COPY_OFFSET - reader.rest.size;
	return known && read_u64(&reader) == hash_xxh3(bytes_of(copy, size), journal->seed) ? number
											    : 0;
}

/* 0: neither copy is whole. */
static uint64_t read_header(const struct journal *journal, const uint8_t *page)
{
	uint64_t number = read_header_copy(journal, page);
	return number != 0 ? number : read_header_copy(journal, page + HEADER_COPY_OFFSET);
}

static bool is_zero(const uint8_t *page)
{
	for (size_t i = 0; i < JOURNAL_HEADER_SIZE; i++) {
		if (page[i] != 0) return false;
	}
	return true;
}

enum result journal_segment_wipe(struct journal *journal, struct journal_segment *segment)
{
	static _Alignas(JOURNAL_PAGE_SIZE) const uint8_t zeros[JOURNAL_HEADER_SIZE];

	if (read_header(journal, segment->map) != segment->number) return RESULT_OK;
	TRY(journal_segment_open(journal, segment));
	enum result result = journal_write_at(segment->fd, zeros, sizeof zeros, 0);
	return result == RESULT_OK && fdatasync(segment->fd) == 0 ? RESULT_OK : RESULT_DISK;
}

/* ---- Finding and making files ---------------------------------------------------------------- */

static bool map_segment(const struct journal *journal, struct journal_segment *segment)
{
	void *map = mmap(NULL, journal->segment_size, PROT_READ, MAP_SHARED, segment->fd, 0);
	if (map == MAP_FAILED) return false;
	segment->map = map;
	return true;
}

static enum result refuse(char *error, size_t error_size, uint32_t file, const char *what)
{
	char name[JOURNAL_FILE_NAME_SIZE];
	journal_file_name(file, name);
	snprintf(error, error_size, "%s of the store %s", name, what);
	return RESULT_MALFORMED;
}

/* By reading it: a page that is touched in the map brings in as much around it as the disk is set
 * to read ahead, of each segment. */
static enum result load_header(struct journal *journal, const struct journal_segment *segment)
{
	ssize_t size = pread(segment->fd, journal->scratch, JOURNAL_HEADER_SIZE, 0);
	return size == JOURNAL_HEADER_SIZE ? RESULT_OK : RESULT_DISK;
}

/* Its file is open. */
static enum result number_segment(struct journal *journal, struct journal_segment *segment,
	bool new, char *error, size_t error_size)
{
	if (load_header(journal, segment) != RESULT_OK) {
		return refuse(error, error_size, segment->file, "cannot be read");
	}
	uint64_t number = read_header(journal, journal->scratch);
	if (number == 0) {
		if (is_zero(journal->scratch)) return RESULT_OK;
		/* Taken for a free one it would be overwritten, and the journal seem to end
		 * before. */
		return refuse(error, error_size, segment->file,
			new ? "is there without its data.mdb: restore or remove both"
			    : "has a damaged header");
	}
	if (journal_segment_of(journal, number * journal->segment_size) != NULL) {
		return refuse(error, error_size, segment->file,
			"has the same number as another file");
	}
	atomic_store(&segment->number, number);
	return RESULT_OK;
}

static enum result open_file(struct journal *journal, uint32_t file, bool new, char *error,
	size_t error_size)
{
	struct journal_segment *segment = &journal->segments[file];
	struct stat status;

	if (journal_segment_open(journal, segment) != RESULT_OK ||
		fstat(segment->fd, &status) != 0) {
		refuse(error, error_size, file, strerror(errno));
		return RESULT_DISK;
	}
	if (status.st_size < (off_t)journal->segment_size) {
		return refuse(error, error_size, file,
			new ? "is there without its data.mdb: restore or remove both"
			    : "is cut off");
	}
	if (!map_segment(journal, segment)) {
		refuse(error, error_size, file, strerror(errno));
		return RESULT_DISK;
	}
	atomic_fetch_add(&journal->file_size, journal->segment_size);
	if (file >= journal->segment_count) atomic_store(&journal->segment_count, file + 1);
	TRY(number_segment(journal, segment, new, error, error_size));
	if (segment->number != 0) journal_segment_done(segment);
	return RESULT_OK;
}

/* The file's number, or JOURNAL_SEGMENTS_MAX for what is none of ours. */
static uint32_t file_of_name(const char *name)
{
	static const char prefix[] = "journal-";
	char again[JOURNAL_FILE_NAME_SIZE];

	if (strncmp(name, prefix, sizeof prefix - 1) != 0) return JOURNAL_SEGMENTS_MAX;
	unsigned long file = strtoul(name + sizeof prefix - 1, NULL, 10);
	if (file >= JOURNAL_SEGMENTS_MAX) return JOURNAL_SEGMENTS_MAX;
	journal_file_name((uint32_t)file, again);
	return strcmp(name, again) == 0 ? (uint32_t)file : JOURNAL_SEGMENTS_MAX;
}

/* Of its own, so that it begins at the first entry. NULL: errno says why. */
static DIR *open_listing(int folder_fd)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (folder == NULL && fd >= 0) close(fd);
	return folder;
}

enum result journal_open(struct journal *journal, bool new, char *error, size_t error_size)
{
	static const char unfinished[] = JOURNAL_UNFINISHED_PREFIX;
	enum result result = RESULT_OK;
	pthread_condattr_t attributes;

	CHECK(pthread_mutex_init(&journal->spares.lock, NULL) == 0);
	CHECK(pthread_condattr_init(&attributes) == 0);
	CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(&journal->spares.wake, &attributes) == 0);
	pthread_condattr_destroy(&attributes);
	journal->segments = alloc_map(JOURNAL_SEGMENTS_MAX * sizeof *journal->segments);
	journal->scratch = alloc_map(JOURNAL_BUFFER_SIZE);
	journal->buffer = journal->scratch;
	for (uint32_t file = 0; file < JOURNAL_SEGMENTS_MAX; file++) {
		journal->segments[file].file = file;
		journal->segments[file].fd = -1;
	}
	DIR *folder = open_listing(journal->folder_fd);
	if (folder == NULL) {
		snprintf(error, error_size, "the store's folder cannot be read: %s",
			strerror(errno));
		return RESULT_DISK;
	}
	for (struct dirent *entry = readdir(folder); entry != NULL && result == RESULT_OK;
		entry = readdir(folder)) {
		uint32_t file = file_of_name(entry->d_name);
		if (file < JOURNAL_SEGMENTS_MAX) {
			result = open_file(journal, file, new, error, error_size);
		} else if (strncmp(entry->d_name, unfinished, sizeof unfinished - 1) == 0) {
			unlinkat(journal->folder_fd, entry->d_name, 0);
		}
	}
	closedir(folder);
	return result;
}

uint64_t journal_files_size(int folder_fd)
{
	struct stat status;
	uint64_t size = 0;

	DIR *folder = open_listing(folder_fd);
	if (folder == NULL) return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (file_of_name(entry->d_name) == JOURNAL_SEGMENTS_MAX) continue;
		if (fstatat(folder_fd, entry->d_name, &status, 0) != 0) continue;
		size += (uint64_t)status.st_blocks * 512;
	}
	closedir(folder);
	return size;
}

struct journal_segment *journal_segment_add(struct journal *journal, uint32_t file)
{
	struct journal_segment *segment = &journal->segments[file];

	if (journal_segment_open(journal, segment) != RESULT_OK) return NULL;
	if (!map_segment(journal, segment)) {
		/* The next try makes the file anew: this would be the old one, without a name. */
		journal_segment_done(segment);
		return NULL;
	}
	atomic_fetch_add(&journal->file_size, journal->segment_size);
	atomic_store(&journal->segment_count, file + 1);
	return segment;
}

void journal_close(struct journal *journal)
{
	journal_stop_helper(journal);
	if (journal->segments == NULL) return;
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		journal_segment_done(segment);
		if (segment->map == NULL) continue;
		munmap((void *)(uintptr_t)segment->map, journal->segment_size);
	}
	alloc_unmap(journal->segments, JOURNAL_SEGMENTS_MAX * sizeof *journal->segments);
	alloc_unmap(journal->scratch, JOURNAL_BUFFER_SIZE);
	pthread_mutex_destroy(&journal->spares.lock);
	pthread_cond_destroy(&journal->spares.wake);
}

/* ---- In use, and free again ------------------------------------------------------------------ */

struct journal_segment *journal_segment_of(struct journal *journal, uint64_t position)
{
	uint64_t number = position / journal->segment_size;
	uint32_t count = journal->segment_count;

	if (number == 0) return NULL;
	if (journal->segments[journal->found].number == number) {
		return &journal->segments[journal->found];
	}
	for (uint32_t file = 0; file < count; file++) {
		if (journal->segments[file].number != number) continue;
		journal->found = file;
		return &journal->segments[file];
	}
	return NULL;
}

struct journal_segment *journal_segment_at(const struct journal *journal,
	struct journal_place place)
{
	if (place.file >= atomic_load_explicit(&journal->segment_count, memory_order_acquire)) {
		return NULL;
	}
	struct journal_segment *segment = &journal->segments[place.file];
	uint64_t number = atomic_load_explicit(&segment->number, memory_order_acquire);
	return number == place.position / journal->segment_size ? segment : NULL;
}

static bool is_free(const struct journal_segment *segment)
{
	return segment->map != NULL && segment->fd >= 0 &&
		atomic_load_explicit(&segment->number, memory_order_relaxed) == 0;
}

struct journal_segment *journal_segment_find_free(const struct journal *journal)
{
	uint32_t count = atomic_load(&journal->segment_count);
	for (uint32_t i = 0; i < count; i++) {
		if (is_free(&journal->segments[i])) return &journal->segments[i];
	}
	return NULL;
}

struct journal_segment *journal_segment_take(struct journal *journal, uint64_t number)
{
	struct journal_segment *segment = journal_segment_find_free(journal);

	if (segment == NULL) segment = journal_segment_make(journal);
	if (segment == NULL) return NULL;
	segment->written_size = 0;
	segment->row_count = 0;
	segment->saved_size = 0;
	segment->saved_count = 0;
	segment->freed_at = 0;
	atomic_store_explicit(&segment->number, number, memory_order_release);
	return segment;
}

void journal_segment_free(struct journal *journal, struct journal_segment *segment)
{
	atomic_fetch_sub(&journal->used_total, segment->written_size);
	segment->written_size = 0;
	atomic_store_explicit(&segment->number, 0, memory_order_release);
	enum result result = journal_segment_open(journal, segment);
	MAYBE(result != RESULT_OK); /* then it waits for the next start */
}

bool journal_has_room(struct journal *journal, uint64_t size)
{
	uint64_t room = 0;

	if (journal->current != NULL)
		room = journal->segment_size - journal->position % journal->segment_size;
	if (room > size + size / 8 + 4 * JOURNAL_PAGE_SIZE) return true;
	return journal_segment_find_free(journal) != NULL || journal_may_grow(journal);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon_generations.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

/* A row as a line: number, time, kind, outcome, text, actor, changes, with tabs between. */
#define ROWS_FILE "history"
enum { LINE_FIELDS = 7, LINE_SIZE_MAX = 1024 };
BOUND(LINE_SIZE_MAX > GENERATION_CHANGES_SIZE + 64 + 4 * 20 + LINE_FIELDS);

struct generations {
	char *folder;
	pthread_mutex_t lock; /* over the rows, for those who list them */
	size_t count;
	struct control_generation rows[GENERATIONS_MAX]; /* oldest first */
};

/* ---- Files ----------------------------------------------------------------------------------- */

static void path_of(const struct generations *generations, const char *name,
	char to[static FILE_NAME_SIZE_MAX + 1])
{
	snprintf(to, FILE_NAME_SIZE_MAX + 1, "%s/%s", generations->folder, name);
}

static void text_name(uint64_t number, char to[static 32])
{
	snprintf(to, 32, "%llu.yaml", (unsigned long long)number);
}

static bool write_all(int fd, struct bytes bytes)
{
	while (bytes.size > 0) {
		ssize_t written = write(fd, bytes.data, bytes.size);
		if (written < 0 && errno == EINTR) continue;
		if (written <= 0) return false;
		bytes = bytes_from(bytes, (size_t)written);
	}
	return true;
}

/* All of it or what was there before. */
static bool file_put(const struct generations *generations, const char *name, struct bytes bytes)
{
	char path[FILE_NAME_SIZE_MAX + 1];
	char made[FILE_NAME_SIZE_MAX + 1];
	path_of(generations, name, path);
	path_of(generations, "new", made);

	int fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0 && write_all(fd, bytes) && fdatasync(fd) == 0;
	if (fd >= 0 && close(fd) != 0) ok = false;
	if (ok) ok = rename(made, path) == 0;
	if (!ok) {
		log_warning("generations: %s cannot be written: %s; rollback will not know it",
			path, strerror(errno));
		if (fd >= 0) unlink(made);
	}
	return ok;
}

/* Released with alloc_free() when RESULT_OK. */
static enum result file_get(const struct generations *generations, const char *name,
	struct bytes *ret)
{
	char path[FILE_NAME_SIZE_MAX + 1];
	struct stat status;
	path_of(generations, name, path);

	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) return RESULT_NOT_FOUND;
	if (fstat(fd, &status) != 0 || status.st_size > (off_t)CONFIG_FILE_SIZE_MAX) {
		close(fd);
		return RESULT_MALFORMED;
	}
	size_t size = 0;
	ssize_t got;
	uint8_t *data = alloc_array((size_t)status.st_size + 1, 1);
	while ((got = read(fd, data + size, (size_t)status.st_size - size)) > 0) {
		size += (size_t)got;
	}
	close(fd);
	*ret = bytes_of(data, size);
	return RESULT_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Tabs and line ends would be taken for ours. */
static void write_field(struct writer *writer, const char *text)
{
	for (; *text != '\0'; text++) {
		write_u8(writer, (uint8_t)*text < 0x20 ? ' ' : (uint8_t)*text);
	}
}

static void rows_save(const struct generations *generations)
{
	static const size_t capacity = (size_t)GENERATIONS_MAX * LINE_SIZE_MAX;
	struct writer writer = writer_of(alloc_array(capacity, 1), capacity);

	for (size_t i = 0; i < generations->count; i++) {
		const struct control_generation *row = &generations->rows[i];
		write_format(&writer, "%llu\t%llu\t%u\t%u\t%llu\t", (unsigned long long)row->number,
			(unsigned long long)row->time.us, (unsigned)row->kind,
			(unsigned)row->outcome, (unsigned long long)row->text);
		write_field(&writer, row->actor);
		write_u8(&writer, '\t');
		write_field(&writer, row->changes);
		write_u8(&writer, '\n');
	}
	CHECK(!writer.failed);
	(void)file_put(generations, ROWS_FILE, writer_bytes(&writer)); /* it is in the log */
	alloc_free(writer.data);
}

static bool row_parse(struct bytes line, struct control_generation *row)
{
	uint64_t numbers[5];

	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
		struct bytes field;
		if (!bytes_split(line, '\t', &field, &line)) return false;
		if (bytes_parse_u64(field, &numbers[i]) != RESULT_OK) return false;
	}
	struct bytes actor;
	if (!bytes_split(line, '\t', &actor, &line)) return false;
	if (numbers[2] >= CONTROL_CHANGE_COUNT || numbers[3] >= CONTROL_OUTCOME_COUNT) return false;
	row->number = numbers[0];
	row->time.us = numbers[1];
	row->kind = (enum control_change_kind)numbers[2];
	row->outcome = (enum control_outcome)numbers[3];
	row->text = numbers[4];
	bytes_to_text(actor, row->actor, sizeof row->actor);
	bytes_to_text(line, row->changes, sizeof row->changes);
	return true;
}

static void rows_load(struct generations *generations)
{
	struct bytes text;
	if (file_get(generations, ROWS_FILE, &text) != RESULT_OK) return;

	struct bytes rest = text;
	while (rest.size > 0 && generations->count < GENERATIONS_MAX) {
		struct bytes line;
		bytes_split(rest, '\n', &line, &rest);
		struct control_generation *row = &generations->rows[generations->count];
		if (row_parse(line, row)) {
			generations->count++;
		} else if (line.size > 0) {
			log_warning("generations: a damaged row is left out");
		}
	}
	alloc_free((void *)(uintptr_t)text.data);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* The number whose file has that text already, or 0. */
static uint64_t text_find(const struct generations *generations, struct bytes text)
{
	char name[32];
	uint64_t found = 0;
	uint64_t looked = 0;

	for (size_t i = generations->count; i > 0 && found == 0; i--) {
		uint64_t number = generations->rows[i - 1].text;
		struct bytes there;
		if (number == 0 || number == looked) continue;
		looked = number;
		text_name(number, name);
		if (file_get(generations, name, &there) != RESULT_OK) continue;
		if (bytes_equal(there, text)) found = number;
		alloc_free((void *)(uintptr_t)there.data);
	}
	return found;
}

static void text_remove(const struct generations *generations, uint64_t number)
{
	char path[FILE_NAME_SIZE_MAX + 1];
	char name[32];

	text_name(number, name);
	path_of(generations, name, path);
	if (unlink(path) != 0 && errno != ENOENT) {
		log_warning("generations: %s cannot be removed: %s", path, strerror(errno));
	}
}

static bool text_listed(const uint64_t *numbers, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == number) return true;
	}
	return false;
}

/* The rows' texts but for the newest few; a row without one says 0. */
static void texts_prune(struct generations *generations)
{
	uint64_t kept[GENERATION_TEXTS_MAX];
	size_t kept_count = 0;

	for (size_t i = generations->count; i > 0; i--) {
		struct control_generation *row = &generations->rows[i - 1];
		if (row->text == 0 || text_listed(kept, kept_count, row->text)) continue;
		if (kept_count < GENERATION_TEXTS_MAX) {
			kept[kept_count++] = row->text;
			continue;
		}
		text_remove(generations, row->text);
		row->text = 0;
	}
}

/* ---- Making room ----------------------------------------------------------------------------- */

/* The oldest that was refused, for nobody can go back to it; else the oldest. */
static size_t row_least_wanted(const struct generations *generations)
{
	for (size_t i = 0; i < generations->count; i++) {
		if (generations->rows[i].outcome == CONTROL_OUTCOME_REFUSED) return i;
	}
	return 0;
}

/* `next`: the row that needs the room. */
static void row_push_out(struct generations *generations, const struct control_generation *next)
{
	size_t index = row_least_wanted(generations);
	struct control_generation *row = &generations->rows[index];
	uint64_t text = row->text;

	generations->count--;
	memmove(row, row + 1, (generations->count - index) * sizeof *row);
	if (text == 0 || text == next->text) return;
	for (size_t i = 0; i < generations->count; i++) {
		if (generations->rows[i].text == text) return;
	}
	text_remove(generations, text);
}

/* ---- The whole ------------------------------------------------------------------------------- */

struct generations *generations_open(const char *store_path)
{
	char path[FILE_NAME_SIZE_MAX + 1];
	struct generations *generations = alloc_array(1, sizeof *generations);

	CHECK(pthread_mutex_init(&generations->lock, NULL) == 0);
	snprintf(path, sizeof path, "%s/generations", store_path);
	generations->folder = alloc_text(path);
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		log_warning("generations: the folder %s cannot be made: %s", path, strerror(errno));
	}
	rows_load(generations);
	return generations;
}

void generations_close(struct generations *generations)
{
	pthread_mutex_destroy(&generations->lock);
	alloc_free(generations->folder);
	alloc_free(generations);
}

uint64_t generations_last(const struct generations *generations)
{
	uint64_t last = 0;

	for (size_t i = 0; i < generations->count; i++) {
		if (generations->rows[i].number > last) last = generations->rows[i].number;
	}
	return last;
}

void generations_add(struct generations *generations, struct control_generation *row,
	struct bytes text)
{
	char name[32];

	row->text = text.size > 0 ? text_find(generations, text) : 0;
	if (text.size > 0 && row->text == 0) {
		text_name(row->number, name);
		if (file_put(generations, name, text)) row->text = row->number;
	}
	pthread_mutex_lock(&generations->lock);
	if (generations->count == GENERATIONS_MAX) row_push_out(generations, row);
	generations->rows[generations->count++] = *row;
	texts_prune(generations);
	pthread_mutex_unlock(&generations->lock);
	rows_save(generations);
}

void generations_decide(struct generations *generations, uint64_t number,
	enum control_outcome outcome)
{
	pthread_mutex_lock(&generations->lock);
	for (size_t i = 0; i < generations->count; i++) {
		struct control_generation *row = &generations->rows[i];
		if (row->number == number && row->outcome != CONTROL_OUTCOME_REFUSED) {
			row->outcome = outcome;
		}
	}
	pthread_mutex_unlock(&generations->lock);
	rows_save(generations);
}

enum result generations_text(const struct generations *generations, uint64_t number, uint64_t now,
	uint64_t *ret_number, struct bytes *ret, char *error, size_t error_size)
{
	char name[32];
	const struct control_generation *found = NULL;

	for (size_t i = generations->count; i > 0 && found == NULL; i--) {
		const struct control_generation *row = &generations->rows[i - 1];
		if (row->text == 0 || row->outcome == CONTROL_OUTCOME_REFUSED) continue;
		if (number != 0 ? row->number == number : row->text != now) found = row;
	}
	if (found == NULL) {
		snprintf(error, error_size,
			number != 0 ? "its text is not kept, see: penstockctl history"
				    : "no earlier text is kept, see: penstockctl history");
		return RESULT_NOT_FOUND;
	}
	text_name(found->text, name);
	*ret_number = found->number;
	enum result result = file_get(generations, name, ret);
	if (result != RESULT_OK) {
		snprintf(error, error_size, "%s/%s cannot be read", generations->folder, name);
	}
	return result;
}

size_t generations_list(struct generations *generations, struct control_generation *rows,
	size_t rows_max)
{
	size_t count = 0;

	pthread_mutex_lock(&generations->lock);
	for (size_t i = generations->count; i > 0 && count < rows_max; i--) {
		rows[count++] = generations->rows[i - 1];
	}
	pthread_mutex_unlock(&generations->lock);
	return count;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal — the journal's end: records gather in a buffer, go to the file, are flushed. */
#include "store/store_journal.h"

#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "store/store_internal.h"

enum { FETCH_SIZE = 1280 }; /* a record of a usual event */

/* The last page of a segment holds nothing but, perhaps, the END of what came before: so the end
 * of the journal is never where a segment ends. */
static uint32_t end_offset(const struct journal *journal)
{
	return journal->segment_size - JOURNAL_PAGE_SIZE;
}

static uint64_t buffer_end(const struct journal *journal)
{
	return journal->buffer_position + journal->used_size;
}

static bool in_tail(const struct journal *journal)
{
	return journal->buffer != journal->scratch;
}

/* Whole pages, past the page cache: a copy of what nobody will read there costs as much as all the
 * rest. What was in the last page before is written again, unchanged. */
static enum result write_buffer(struct journal *journal)
{
	size_t whole_size = journal->used_size / JOURNAL_PAGE_SIZE * JOURNAL_PAGE_SIZE;
	size_t rest_size = journal->used_size - whole_size;
	size_t size = whole_size;

	if (rest_size > 0) {
		memset(journal->buffer + journal->used_size, 0, JOURNAL_PAGE_SIZE - rest_size);
		size += JOURNAL_PAGE_SIZE;
	}
	uint64_t offset = journal->buffer_position % journal->segment_size;
	TRY(journal_write_at(journal->current->fd, journal->buffer, size, offset));
	if (in_tail(journal)) {
		journal->buffer += whole_size;
	} else {
		memmove(journal->buffer, journal->buffer + whole_size, rest_size);
	}
	journal->buffer_position += whole_size;
	journal->used_size = rest_size;
	return RESULT_OK;
}

void journal_load_buffer(struct journal *journal)
{
	journal->buffer = journal->scratch;
	journal->used_size = (size_t)(journal->position % JOURNAL_PAGE_SIZE);
	journal->buffer_position = journal->position - journal->used_size;
	if (journal->current == NULL) return;
	memcpy(journal->buffer,
		journal->current->map + journal->buffer_position % journal->segment_size,
		journal->used_size);
}

void journal_set_tail(struct journal *journal, uint8_t *tail)
{
	CHECK(!journal->open && journal->used_size < JOURNAL_PAGE_SIZE);
	if (journal->used_size > 0) memcpy(tail, journal->buffer, journal->used_size);
	journal->tail = tail;
	journal->buffer = tail;
}

/* Room for so many more bytes, and for what fills the page up. */
static bool has_buffer(const struct journal *journal, size_t size)
{
	const uint8_t *start = in_tail(journal) ? journal->tail : journal->scratch;
	size_t capacity = in_tail(journal) ? JOURNAL_TAIL_SIZE : JOURNAL_BUFFER_SIZE;
	size_t used_size = (size_t)(journal->buffer - start) + journal->used_size;
	return used_size + size + JOURNAL_PAGE_SIZE <= capacity;
}

static enum result sync_file(const struct journal *journal)
{
	if (fdatasync(journal->current->fd) == 0) return RESULT_OK;
	log_error("store flush of the journal failed shard=%u", (unsigned)journal->shard);
	return RESULT_DISK;
}

/* The tail is written once from end to end: its lines come from memory while this record is hashed,
 * not while the next one is copied. Beyond the buffer it does nothing. */
static void fetch_ahead(const uint8_t *from)
{
	for (size_t at = 0; at < FETCH_SIZE; at += 64) __builtin_prefetch(from + at, 1);
}

/* The record's bytes are the caller's to fill. */
static enum result reserve(struct journal *journal, size_t size, uint8_t **ret)
{
	if (!has_buffer(journal, size)) {
		TRY(write_buffer(journal));
		if (in_tail(journal)) {
			memcpy(journal->scratch, journal->buffer, journal->used_size);
			journal->buffer = journal->scratch;
		}
		CHECK(has_buffer(journal, size));
	}
	*ret = journal->buffer + journal->used_size;
	journal->used_size += size;
	fetch_ahead(journal->buffer + journal->used_size);
	return RESULT_OK;
}

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

struct record_shape {
	enum journal_kind kind;
	enum store_table table;
	struct bytes key;
	const struct bytes *parts;
	size_t part_count;
};

static size_t shape_size(const struct record_shape *shape)
{
	size_t size = JOURNAL_RECORD_HEAD_SIZE + shape->key.size;
	for (size_t i = 0; i < shape->part_count; i++) size += shape->parts[i].size;
	return size;
}

static uint8_t *copy(uint8_t *to, struct bytes bytes)
{
	if (bytes.size > 0) memcpy(to, bytes.data, bytes.size);
	return to + bytes.size;
}

/* Where there is room for it already. */
static enum result add_record(struct journal *journal, const struct record_shape *shape)
{
	size_t size = shape_size(shape);
	uint64_t position = buffer_end(journal);
	uint32_t size_field = (uint32_t)size;
	uint16_t key_size = (uint16_t)shape->key.size;
	uint8_t *record;

	TRY(reserve(journal, padded(size), &record));
	memcpy(record + 8, &size_field, sizeof size_field);
	record[12] = (uint8_t)shape->kind;
	record[13] = (uint8_t)shape->table;
	memcpy(record + 14, &key_size, sizeof key_size);
	uint8_t *at = copy(record + JOURNAL_RECORD_HEAD_SIZE, shape->key);
	for (size_t i = 0; i < shape->part_count; i++) at = copy(at, shape->parts[i]);
	memset(at, 0, padded(size) - size);
	uint64_t sum = journal_checksum(journal, position, record, size);
	memcpy(record, &sum, sizeof sum);
	journal->chain = journal_chain(journal->chain, sum);
	return RESULT_OK;
}

/* A mark holds the number of its batch, and COMMIT what binds it to the records before. */
static enum result add_mark(struct journal *journal, enum journal_kind kind)
{
	const struct bytes chain = bytes_of(&journal->chain, sizeof journal->chain);
	const struct record_shape mark = {
		.kind = kind,
		.key = bytes_of(&journal->batch, sizeof journal->batch),
		.parts = &chain,
		.part_count = kind == JOURNAL_COMMIT,
	};
	return add_record(journal, &mark);
}

/* ---- From one segment to the next ------------------------------------------------------------ */

static void enter_segment(struct journal *journal, struct journal_segment *segment)
{
	journal->current = segment;
	/* Memory and file go by the same pages. */
	if (in_tail(journal) && journal->used_size > 0) journal->buffer += JOURNAL_PAGE_SIZE;
	journal->used_size = 0;
	if (!has_buffer(journal, JOURNAL_HEADER_SIZE)) journal->buffer = journal->scratch;
	journal->buffer_position = segment->number * journal->segment_size;
	journal->used_size = JOURNAL_HEADER_SIZE;
	journal_write_header(journal, segment->number, journal->buffer);
}

static uint64_t next_number(const struct journal *journal)
{
	return journal->current == NULL ? journal->position / journal->segment_size + 1
					: journal->current->number + 1;
}

static enum result end_segment(struct journal *journal)
{
	TRY(add_mark(journal, JOURNAL_END));
	TRY(write_buffer(journal));
	return sync_file(journal);
}

/* In the middle of a batch: what is in the old file is flushed at once, or a later flush would
 * have to know of both. */
static enum result change_segment(struct journal *journal)
{
	struct journal_segment *segment = journal_segment_take(journal, next_number(journal));
	if (segment == NULL) return RESULT_SPACE;
	enum result result = end_segment(journal);
	if (result == RESULT_OK) {
		enter_segment(journal, segment);
	} else {
		/* The batch may go on without this record, and then comes here again. */
		journal_segment_free(journal, segment);
	}
	return result;
}

void journal_batch(struct journal *journal)
{
	CHECK(!journal->open);
	journal->overflow = false;
	journal->undoable = false;
	journal->values = 0;
}

static enum result begin(struct journal *journal)
{
	journal->position_before = journal->position;
	journal->before = journal->current;
	journal->buffer_before = journal->buffer;
	journal->used_before = journal->used_size;
	journal->open = true;
	journal->chain = 0;
	if (journal->current == NULL ||
		journal->position % journal->segment_size + 2 * JOURNAL_PAGE_SIZE >
			end_offset(journal)) {
		struct journal_segment *segment =
			journal_segment_take(journal, next_number(journal));
		if (segment == NULL) {
			journal->open = false;
			return RESULT_SPACE;
		}
		enter_segment(journal, segment);
	}
	journal->first_number = journal->current->number;
	return add_mark(journal, JOURNAL_BEGIN);
}

static enum result add(struct journal *journal, const struct record_shape *shape,
	struct journal_place *ret_place, const uint8_t **ret_record)
{
	if (!journal->open) TRY(begin(journal));
	size_t size = padded(shape_size(shape));
	/* The COMMIT must fit behind it. */
	if (buffer_end(journal) % journal->segment_size + size + JOURNAL_PAGE_SIZE >
		end_offset(journal)) {
		TRY(change_segment(journal));
	}
	*ret_place = (struct journal_place){
		.position = buffer_end(journal),
		.size = (uint32_t)shape_size(shape),
		.file = journal->current->file,
	};
	TRY(add_record(journal, shape));
	const uint8_t *end = journal->buffer + journal->used_size;
	*ret_record = in_tail(journal) ? end - padded(ret_place->size) : NULL;
	return RESULT_OK;
}

enum result journal_put(struct journal *journal, enum store_table table, struct bytes key,
	const struct bytes *parts, size_t part_count, struct journal_place *ret_place,
	const uint8_t **ret_record)
{
	const struct record_shape shape = {
		.kind = JOURNAL_PUT,
		.table = table,
		.key = key,
		.parts = parts,
		.part_count = part_count,
	};
	bool lives_here = table == STORE_EVENTS;

	if (!lives_here && journal->overflow) return RESULT_OK;
	enum result result = add(journal, &shape, ret_place, ret_record);
	if (result == RESULT_OK) {
		journal->values += lives_here;
	} else if (result == RESULT_SPACE && !lives_here) {
		journal->overflow = true;
		return RESULT_OK;
	}
	return result;
}

enum result journal_delete(struct journal *journal, enum store_table table, struct bytes key)
{
	const struct record_shape shape = { .kind = JOURNAL_DELETE, .table = table, .key = key };
	struct journal_place place;
	const uint8_t *record;

	if (journal->overflow) return RESULT_OK;
	enum result result = add(journal, &shape, &place, &record);
	if (result != RESULT_SPACE) return result;
	journal->overflow = true;
	return RESULT_OK;
}

/* ---- The end of a batch ---------------------------------------------------------------------- */

static enum result pad_to_sector(struct journal *journal)
{
	uint8_t *padding;
	size_t rest = (size_t)(buffer_end(journal) % JOURNAL_SECTOR_SIZE);

	if (rest == 0) return RESULT_OK;
	TRY(reserve(journal, JOURNAL_SECTOR_SIZE - rest, &padding));
	memset(padding, 0, JOURNAL_SECTOR_SIZE - rest);
	return RESULT_OK;
}

/* From the batch's beginning to its end, in all segments it is in. */
static void count_written(struct journal *journal)
{
	for (uint64_t number = journal->first_number; number <= journal->current->number;
		number++) {
		struct journal_segment *segment =
			journal_segment_of(journal, number * journal->segment_size);
		CHECK(segment != NULL);
		uint32_t size = segment == journal->current
			? (uint32_t)(journal->position % journal->segment_size)
			: journal->segment_size;
		CHECK(size >= segment->written_size);
		atomic_fetch_add(&journal->used_total, size - segment->written_size);
		/* Not before: a shard with little to do does with one. */
		uint32_t half = journal->segment_size / 2;
		if (segment->written_size < half && size >= half) journal_want_spares(journal);
		segment->written_size = size;
	}
}

enum result journal_commit(struct journal *journal, bool whole)
{
	if (!journal->open) return RESULT_OK;
	CHECK(!whole || !journal->overflow);
	if (whole) TRY(add_mark(journal, JOURNAL_COMMIT));
	TRY(pad_to_sector(journal));
	TRY(write_buffer(journal));
	TRY(sync_file(journal));
	journal->position = buffer_end(journal);
	journal->batch++;
	journal->open = false;
	journal->undoable = !whole;
	count_written(journal);
	return RESULT_OK;
}

static void uncount_written(struct journal *journal)
{
	if (journal->before == NULL) return;
	uint32_t size = (uint32_t)(journal->position % journal->segment_size);
	if (journal->before->written_size <= size) return;
	atomic_fetch_sub(&journal->used_total, journal->before->written_size - size);
	journal->before->written_size = size;
}

/* Segments it went on to hold nothing that counts, but have a number that comes again. */
static enum result give_back(struct journal *journal)
{
	uint64_t last = journal->before == NULL ? 0 : journal->before->number;

	journal->current = journal->before;
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		if (segment->number <= last) continue;
		TRY(journal_segment_wipe(journal, segment));
		journal_segment_free(journal, segment);
	}
	return RESULT_OK;
}

enum result journal_abort(struct journal *journal)
{
	if (!journal->open && !journal->undoable) return RESULT_OK;
	if (journal->undoable) journal->batch--;
	journal->position = journal->position_before;
	journal->open = false;
	journal->undoable = false;
	uncount_written(journal);
	TRY(give_back(journal));
	if (journal->current != NULL) TRY(journal_segment_open(journal, journal->current));
	if (journal->buffer_before == journal->scratch) {
		journal_load_buffer(journal);
	} else {
		/* What the batch put behind it is overwritten. */
		journal->buffer = journal->buffer_before;
		journal->used_size = journal->used_before;
		journal->buffer_position = journal->position - journal->used_size;
	}
	return RESULT_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

void journal_row_added(struct journal *journal, struct journal_place place)
{
	struct journal_segment *segment = journal_segment_at(journal, place);
	CHECK(segment != NULL);
	segment->row_count++;
}

void journal_row_deleted(struct journal *journal, struct journal_place place)
{
	struct journal_segment *segment = journal_segment_at(journal, place);
	/* A place that leads nowhere is a damaged store's: whoever reads it says so. */
	if (segment != NULL && segment->row_count > 0) segment->row_count--;
}

enum result journal_view_record(const struct journal *journal, struct journal_place place,
	const uint8_t *record, enum store_table table, struct bytes key, struct bytes *ret_value)
{
	uint64_t sum;
	uint16_t key_size;

	*ret_value = BYTES_EMPTY;
	memcpy(&sum, record, sizeof sum);
	memcpy(&key_size, record + 14, sizeof key_size);
	size_t head_size = JOURNAL_RECORD_HEAD_SIZE + key.size;
	if (sum != journal_checksum(journal, place.position, record, place.size))
		return RESULT_MALFORMED;
	if (record[12] != JOURNAL_PUT || record[13] != (uint8_t)table) return RESULT_MALFORMED;
	if (key_size != key.size || place.size <= head_size) return RESULT_MALFORMED;
	if (!bytes_equal(bytes_of(record + JOURNAL_RECORD_HEAD_SIZE, key.size), key)) {
		return RESULT_MALFORMED;
	}
	*ret_value = bytes_of(record + head_size, place.size - head_size);
	return RESULT_OK;
}

enum result journal_view(const struct journal *journal, struct journal_place place,
	enum store_table table, struct bytes key, struct bytes *ret_value)
{
	uint64_t offset = place.position % journal->segment_size;

	*ret_value = BYTES_EMPTY;
	const struct journal_segment *segment = journal_segment_at(journal, place);
	if (segment == NULL) return RESULT_NOT_FOUND;
	if (place.size < JOURNAL_RECORD_HEAD_SIZE || offset + place.size > journal->segment_size) {
		return RESULT_MALFORMED;
	}
	enum result result =
		journal_view_record(journal, place, segment->map + offset, table, key, ret_value);
	/* Given up meanwhile: not rotten, gone. */
	if (journal_segment_at(journal, place) != segment) return RESULT_NOT_FOUND;
	return result;
}

enum result journal_view_own(const struct journal *journal, struct journal_place place,
	enum store_table table, struct bytes key, struct bytes *ret_value)
{
	bool buffered = journal->open && place.position >= journal->buffer_position &&
		place.position + place.size <= buffer_end(journal);

	if (!buffered) return journal_view(journal, place, table, key, ret_value);
	*ret_value = BYTES_EMPTY;
	const uint8_t *record = journal->buffer + (place.position - journal->buffer_position);
	return journal_view_record(journal, place, record, table, key, ret_value);
}

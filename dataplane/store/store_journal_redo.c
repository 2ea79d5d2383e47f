/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_journal_redo — what a checkpoint keeps of the journal, and what is done again after it.
 *
 * The end of the journal is the first batch that is not whole: power failed while it was written,
 * it was never acknowledged. But a batch is only begun when the one before is flushed: when there
 * is a later one, this one was whole once, and the disk has lost it. Then nothing is opened.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "store/store_journal.h"

enum { ROW_FORMAT = 1, NUMBER_KEY_SIZE = 8 };
#define JOURNAL_KEY BYTES_LITERAL("journal")

/* ---- What a checkpoint keeps ----------------------------------------------------------------- */

static struct bytes number_key(uint64_t number, uint8_t memory[static NUMBER_KEY_SIZE])
{
	struct writer writer = writer_of(memory, NUMBER_KEY_SIZE);
	write_u64_be(&writer, number);
	return writer_bytes(&writer);
}

static bool is_used_up(const struct journal *journal, const struct journal_segment *segment)
{
	return segment->number != 0 && segment != journal->current && segment->row_count == 0;
}

static void save_segment(const struct journal *journal, struct store_txn *txn,
	const struct journal_segment *segment)
{
	uint8_t key_memory[NUMBER_KEY_SIZE];
	uint8_t memory[16];
	struct writer row = writer_of(memory, sizeof memory);

	if (segment->number == 0 || segment->freed_at != 0) return;
	struct bytes key = number_key(segment->number, key_memory);
	if (is_used_up(journal, segment)) {
		store_delete(txn, STORE_SEGMENTS, key);
		return;
	}
	if (segment->written_size == segment->saved_size &&
		segment->row_count == segment->saved_count) {
		return;
	}
	write_u32(&row, segment->written_size);
	write_u64(&row, segment->row_count);
	struct bytes value = writer_bytes(&row);
	store_put(txn, STORE_SEGMENTS, key, &value, 1);
}

void journal_save(struct journal *journal, struct store_txn *txn)
{
	uint8_t memory[64];
	struct writer row = writer_of(memory, sizeof memory);

	for (uint32_t i = 0; i < journal->segment_count; i++) {
		save_segment(journal, txn, &journal->segments[i]);
	}
	write_u8(&row, ROW_FORMAT);
	write_u32(&row, journal->segment_size);
	write_u64(&row, journal->seed);
	write_u64(&row, journal->position);
	write_u64(&row, journal->batch);
	CHECK(!row.failed);
	struct bytes value = writer_bytes(&row);
	store_put(txn, STORE_META, JOURNAL_KEY, &value, 1);
}

void journal_saved(struct journal *journal, uint64_t epoch)
{
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		if (segment->number == 0 || segment->freed_at != 0) continue;
		segment->saved_size = segment->written_size;
		segment->saved_count = segment->row_count;
		if (is_used_up(journal, segment)) segment->freed_at = epoch;
		if (segment != journal->current) journal_segment_done(segment);
	}
	journal->saved_position = journal->position;
	journal->saved_batch = journal->batch;
	journal->undoable = false;
}

void journal_reclaim(struct journal *journal, uint64_t oldest_epoch)
{
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		if (segment->number == 0 || segment->freed_at == 0) continue;
		if (segment->freed_at < oldest_epoch) journal_segment_free(journal, segment);
	}
}

void journal_restore(struct journal *journal)
{
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		journal->segments[i].row_count = journal->segments[i].saved_count;
	}
}

/* ---- Reading it at open ---------------------------------------------------------------------- */

enum result journal_settings_read(struct store_txn *txn, struct journal *journal)
{
	struct bytes value;

	TRY(store_get(txn, STORE_META, JOURNAL_KEY, &value));
	struct reader row = reader_of(value);
	if (read_u8(&row) != ROW_FORMAT) return RESULT_MALFORMED;
	journal->segment_size = read_u32(&row);
	journal->seed = read_u64(&row);
	journal->position = journal->saved_position = read_u64(&row);
	journal->batch = journal->saved_batch = read_u64(&row);
	bool fine = reader_complete(&row) && journal->segment_size >= JOURNAL_SEGMENT_SIZE_MIN &&
		journal->segment_size <= JOURNAL_SEGMENT_SIZE_MAX && journal->batch > 0;
	return fine ? RESULT_OK : RESULT_MALFORMED;
}

static enum result load_row(struct journal *journal, const struct store_cursor *cursor, char *error,
	size_t error_size)
{
	struct reader key = reader_of(cursor->key);
	struct reader row = reader_of(cursor->value);
	uint64_t number = read_u64_be(&key);
	uint32_t written_size = read_u32(&row);
	uint64_t row_count = read_u64(&row);

	if (!reader_complete(&key) || !reader_complete(&row)) {
		snprintf(error, error_size, "the store's table of journal segments is damaged");
		return RESULT_MALFORMED;
	}
	struct journal_segment *segment =
		journal_segment_of(journal, number * journal->segment_size);
	if (segment == NULL) {
		snprintf(error, error_size,
			"segment %" PRIu64
			" of the store's journal is missing: no file journal-<n> has this number",
			number);
		return RESULT_MALFORMED;
	}
	segment->written_size = segment->saved_size = written_size;
	segment->row_count = segment->saved_count = row_count;
	atomic_fetch_add(&journal->used_total, written_size);
	return RESULT_OK;
}

/* Files whose number is from a time before, and that no row speaks of. */
static void free_old(struct journal *journal)
{
	uint64_t number = journal->position / journal->segment_size;
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		if (segment->number == 0 || segment->number >= number) continue;
		if (segment->saved_size == 0) journal_segment_free(journal, segment);
	}
}

enum result journal_load(struct journal *journal, struct store_txn *txn, char *error,
	size_t error_size)
{
	struct store_cursor cursor;
	enum result result = RESULT_OK;

	store_cursor_open(&cursor, txn, STORE_SEGMENTS);
	bool found = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (; found && result == RESULT_OK; found = store_cursor_next(&cursor)) {
		result = load_row(journal, &cursor, error, error_size);
	}
	store_cursor_close(&cursor);
	if (result != RESULT_OK) return result;
	if (txn->result != RESULT_OK) return txn->result;
	free_old(journal);
	if (journal->position == 0) return RESULT_OK;
	journal->current = journal_segment_of(journal, journal->position);
	if (journal->current == NULL) {
		snprintf(error, error_size, "the last segment of the store's journal is missing");
		return RESULT_MALFORMED;
	}
	return RESULT_OK;
}

/* ---- Doing it again -------------------------------------------------------------------------- */

static bool record_at(struct journal *journal, uint64_t position, struct journal_record *ret)
{
	uint64_t offset = position % journal->segment_size;
	const struct journal_segment *segment = journal_segment_of(journal, position);
	uint64_t sum;
	uint32_t size;
	uint16_t key_size;

	if (segment == NULL || offset + JOURNAL_RECORD_HEAD_SIZE > journal->segment_size)
		return false;
	const uint8_t *record = segment->map + offset;
	memcpy(&sum, record, sizeof sum);
	memcpy(&size, record + 8, sizeof size);
	memcpy(&key_size, record + 14, sizeof key_size);
	if (record[12] < JOURNAL_BEGIN || record[12] > JOURNAL_DELETE) return false;
	if (size < (size_t)JOURNAL_RECORD_HEAD_SIZE + key_size) return false;
	if (offset + size > journal->segment_size) return false;
	if (sum != journal_checksum(journal, position, record, size)) return false;
	*ret = (struct journal_record){
		.kind = record[12],
		.table = record[13],
		.key = bytes_of(record + JOURNAL_RECORD_HEAD_SIZE, key_size),
		.value = bytes_of(record + JOURNAL_RECORD_HEAD_SIZE + key_size,
			size - JOURNAL_RECORD_HEAD_SIZE - key_size),
		.place = { position, size, segment->file },
	};
	return true;
}

enum { BEGIN_SIZE = JOURNAL_RECORD_HEAD_SIZE + 8, COMMIT_SIZE = BEGIN_SIZE + 8 };

static bool is_mark(const struct journal_record *record, enum journal_kind kind,
	uint64_t *ret_batch)
{
	if (record->kind != kind || record->key.size != sizeof *ret_batch) return false;
	memcpy(ret_batch, record->key.data, sizeof *ret_batch);
	return true;
}

static bool begins_at(struct journal *journal, uint64_t position, uint64_t *ret_batch)
{
	struct journal_record record;
	return record_at(journal, position, &record) && is_mark(&record, JOURNAL_BEGIN, ret_batch);
}

static uint64_t next_start(struct journal *journal, uint64_t position)
{
	return (position / journal->segment_size + 1) * journal->segment_size + JOURNAL_HEADER_SIZE;
}

/* Where batch `batch` begins when the one before ended at `position`. 0: nowhere. */
static uint64_t find_begin(struct journal *journal, uint64_t position, uint64_t batch)
{
	uint64_t found;
	if (position != 0 && begins_at(journal, position, &found) && found == batch)
		return position;
	uint64_t start = next_start(journal, position);
	return begins_at(journal, start, &found) && found == batch ? start : 0;
}

static uint64_t record_sum(const struct journal_record *record)
{
	uint64_t sum;
	memcpy(&sum, record->key.data - JOURNAL_RECORD_HEAD_SIZE, sizeof sum);
	return sum;
}

static bool commits(const struct journal_record *record, uint64_t batch, uint64_t chain)
{
	uint64_t found;
	uint64_t bound;

	if (!is_mark(record, JOURNAL_COMMIT, &found) || found != batch) return false;
	if (record->value.size != sizeof bound) return false;
	memcpy(&bound, record->value.data, sizeof bound);
	return bound == chain;
}

/* The first byte behind a record. */
static uint64_t end_of(const struct journal_record *record)
{
	return record->place.position + ((record->place.size + 7) & ~UINT64_C(7));
}

/* Goes over a batch. RESULT_NOT_FOUND: it is not whole. With `redo` NULL only looks. */
static enum result walk_batch(struct journal *journal, uint64_t position, uint64_t batch,
	journal_redo_fn *redo, void *owner, uint64_t *ret_end)
{
	struct journal_record record;
	uint64_t chain = 0;

	CHECK(record_at(journal, position, &record) && record.kind == JOURNAL_BEGIN);
	for (;;) {
		chain = journal_chain(chain, record_sum(&record));
		position = record.kind == JOURNAL_END ? next_start(journal, record.place.position)
						      : end_of(&record);
		if (!record_at(journal, position, &record)) return RESULT_NOT_FOUND;
		if (record.kind == JOURNAL_COMMIT) break;
		if (record.kind == JOURNAL_BEGIN) return RESULT_NOT_FOUND;
		if (record.kind == JOURNAL_END) continue;
		if (record.table >= STORE_TABLE_COUNT) return RESULT_MALFORMED;
		if (redo != NULL) TRY(redo(owner, &record));
	}
	if (!commits(&record, batch, chain)) return RESULT_NOT_FOUND;
	*ret_end = (end_of(&record) + JOURNAL_SECTOR_SIZE - 1) / JOURNAL_SECTOR_SIZE *
		JOURNAL_SECTOR_SIZE;
	return RESULT_OK;
}

/* Whether a batch from `batch` on begins in this segment, at this position or behind it. */
static bool begins_behind(struct journal *journal, uint64_t position, uint64_t batch)
{
	uint64_t end = (position / journal->segment_size + 1) * journal->segment_size;
	const struct journal_segment *segment = journal_segment_of(journal, position);
	uint32_t size;
	uint64_t found;

	for (; position < end; position += JOURNAL_SECTOR_SIZE) {
		/* Before hashing what a payload may claim to be. */
		const uint8_t *record = segment->map + position % journal->segment_size;
		memcpy(&size, record + 8, sizeof size);
		if (record[12] != JOURNAL_BEGIN || size != BEGIN_SIZE) continue;
		if (begins_at(journal, position, &found) && found >= batch) return true;
	}
	return false;
}

/* Whether a batch from `batch` on begins anywhere behind `position`. */
static bool more_follows(struct journal *journal, uint64_t position, uint64_t batch)
{
	uint64_t last = position / journal->segment_size;

	if (last > 0 && begins_behind(journal, position, batch)) return true;
	for (uint32_t i = 0; i < journal->segment_count; i++) {
		uint64_t number = journal->segments[i].number;
		if (number <= last) continue;
		uint64_t start = number * journal->segment_size + JOURNAL_HEADER_SIZE;
		if (begins_behind(journal, start, batch)) return true;
	}
	return false;
}

/* What the last process wrote and did not flush is in the memory of the kernel alone, as far as we
 * know, even if a flush failed in between and it says otherwise: written again, and flushed, before
 * LMDB relies on it. */
static enum result write_again(struct journal *journal, struct journal_segment *segment,
	uint64_t from, uint64_t end)
{
	from -= from % JOURNAL_PAGE_SIZE;
	end += (JOURNAL_PAGE_SIZE - end % JOURNAL_PAGE_SIZE) % JOURNAL_PAGE_SIZE;
	TRY(journal_segment_open(journal, segment));
	while (from < end) {
		size_t size = end - from < JOURNAL_BUFFER_SIZE ? (size_t)(end - from)
							       : JOURNAL_BUFFER_SIZE;
		memcpy(journal->scratch, segment->map + from, size);
		TRY(journal_write_at(segment->fd, journal->scratch, size, from));
		from += size;
	}
	return fdatasync(segment->fd) == 0 ? RESULT_OK : RESULT_DISK;
}

static enum result keep_segment(struct journal *journal, struct journal_segment *segment,
	uint64_t position)
{
	uint64_t number = segment->number;
	bool is_first = number == journal->saved_position / journal->segment_size;
	bool is_last = number == position / journal->segment_size;
	uint32_t end = is_last ? (uint32_t)(position % journal->segment_size)
			       : journal->segment_size;
	uint32_t from = is_first ? (uint32_t)(journal->saved_position % journal->segment_size) : 0;

	if (end > from) TRY(write_again(journal, segment, from, end));
	atomic_fetch_add(&journal->used_total, end - segment->written_size);
	segment->written_size = end;
	if (!is_last) journal_segment_done(segment);
	return RESULT_OK;
}

/* The journal ends at `position`: what comes later in it does not count. */
static enum result end_here(struct journal *journal, uint64_t position, uint64_t batch)
{
	uint64_t first = journal->saved_position / journal->segment_size;
	uint64_t last = position / journal->segment_size;

	for (uint32_t i = 0; i < journal->segment_count; i++) {
		struct journal_segment *segment = &journal->segments[i];
		if (segment->number > last) {
			TRY(journal_segment_wipe(journal, segment));
			journal_segment_free(journal, segment);
		} else if (segment->number >= first && segment->number > 0) {
			TRY(keep_segment(journal, segment, position));
		}
	}
	journal->position = position;
	journal->batch = batch;
	journal->current = journal_segment_of(journal, position);
	if (journal->current != NULL) TRY(journal_segment_open(journal, journal->current));
	journal_load_buffer(journal);
	return RESULT_OK;
}

enum result journal_redo(struct journal *journal, uint64_t until, journal_redo_fn *redo,
	void *owner, char *error, size_t error_size)
{
	uint64_t position = journal->saved_position;
	uint64_t batch = journal->saved_batch;

	while (position < until) {
		uint64_t end;
		uint64_t begin = find_begin(journal, position, batch);
		if (begin == 0) break;
		enum result result = walk_batch(journal, begin, batch, NULL, NULL, &end);
		if (result == RESULT_NOT_FOUND) break;
		if (result == RESULT_OK)
			result = walk_batch(journal, begin, batch, redo, owner, &end);
		if (result != RESULT_OK) {
			snprintf(error, error_size, "the journal of the store cannot be read: %s",
				result_text(result));
			return result;
		}
		position = end;
		batch++;
	}
	if (until != UINT64_MAX) return position == until ? RESULT_OK : RESULT_MALFORMED;
	if (more_follows(journal, position, batch + 1)) {
		const struct journal_segment *segment = journal_segment_of(journal, position);
		snprintf(error, error_size,
			"the journal of the store is damaged at byte %" PRIu64
			" of journal-%u: batch %" PRIu64 " is not whole and later ones are there",
			position % journal->segment_size, segment == NULL ? 0 : segment->file,
			batch);
		return RESULT_MALFORMED;
	}
	if (batch > journal->saved_batch) {
		log_info("store did again what its journal had shard=%u batches=%" PRIu64,
			(unsigned)journal->shard, batch - journal->saved_batch);
	}
	enum result result = end_here(journal, position, batch);
	if (result != RESULT_OK) {
		snprintf(error, error_size, "the journal of the store cannot be written: %s",
			result_text(result));
	}
	return result;
}

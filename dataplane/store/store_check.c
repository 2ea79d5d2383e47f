/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "store/store_internal.h"

enum { PROGRESS_ROWS = 65536, KEY_TEXT_SIZE = 2 * 20 + 1 };

struct check {
	const struct store_check *wanted;
	struct store_check_report *report;
	struct store_txn txn;
	const struct journal *journal;
	uint64_t *segment_rows; /* by file: rows of EVENTS that lead there */
};

static void found(struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void found(struct check *check, const char *format, ...)
{
	char sentence[240];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	check->report->finding_count++;
	check->wanted->found(check->wanted->owner, sentence);
}

/* In hexadecimal, cut off when it is longer than a key of ours. */
static const char *key_text(struct bytes key, char text[static KEY_TEXT_SIZE])
{
	size_t size = 0;
	text[0] = '\0';
	for (size_t i = 0; i < key.size && size + 2 < KEY_TEXT_SIZE; i++, size += 2) {
		snprintf(text + size, KEY_TEXT_SIZE - size, "%02x", key.data[i]);
	}
	return text;
}

/* Which segment the row that the cursor stands on leads to. The cursor shows the value itself, so
 * the row is asked for. */
static void count_place(struct check *check, struct bytes key)
{
	MDB_val name = { .mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data };
	MDB_val data;
	char text[KEY_TEXT_SIZE];
	const struct store *store = check->txn.store;
	if (mdb_get(check->txn.handle, store->tables[STORE_EVENTS], &name, &data) != 0) return;
	struct reader row = reader_of(bytes_of(data.mv_data, data.mv_size));
	(void)read_u64(&row); /* its checksum */
	struct journal_place place = { .position = read_u64(&row) };
	place.size = read_u32(&row);
	place.file = read_u32(&row);
	if (!reader_complete(&row)) return; /* damaged, and said to be */
	if (journal_segment_at(check->journal, place) == NULL) {
		found(check, "events: row %s leads to a segment of the journal that is not there",
			key_text(key, text));
		return;
	}
	check->segment_rows[place.file]++;
}

static void check_table(struct check *check, enum store_table table)
{
	struct store_cursor cursor;
	char text[KEY_TEXT_SIZE];
	uint64_t all = store_row_count(&check->txn, table);
	uint64_t *count = &check->report->row_count[table];

	store_cursor_open(&cursor, &check->txn, table);
	while (store_cursor_next(&cursor)) {
		if (cursor.value.size == 0) {
			found(check, "%s: row %s is damaged%s", store_table_name(table),
				key_text(cursor.key, text),
				table == STORE_EVENTS ? ", or what it leads to in the journal"
						      : "");
		}
		if (table == STORE_EVENTS) count_place(check, cursor.key);
		if (++*count % PROGRESS_ROWS == 0 && check->wanted->progress != NULL) {
			check->wanted->progress(check->wanted->owner, table, *count, all);
		}
	}
	store_cursor_close(&cursor);
	if (check->txn.result == RESULT_OK && *count != all) {
		found(check, "%s: %" PRIu64 " rows were found and there should be %" PRIu64,
			store_table_name(table), *count, all);
	}
}

/* One that counts too few would be used again too early. */
static void check_segments(struct check *check)
{
	const struct journal *journal = check->journal;
	uint32_t count = atomic_load(&journal->segment_count);
	for (uint32_t i = 0; i < count; i++) {
		const struct journal_segment *segment = &journal->segments[i];
		if (segment->number == 0 || segment->row_count == check->segment_rows[i]) continue;
		found(check,
			"journal-%" PRIu32 ": %" PRIu64 " rows lead there and it counts %" PRIu64,
			i, check->segment_rows[i], segment->row_count);
	}
}

enum result store_check(struct store *store, const struct store_check *wanted,
	struct store_check_report *ret)
{
	struct check check = { .wanted = wanted, .report = ret, .journal = &store->journal };

	*ret = (struct store_check_report){ 0 };
	check.segment_rows = alloc_array(JOURNAL_SEGMENTS_MAX, sizeof *check.segment_rows);
	store_read_begin(&check.txn, store);
	for (unsigned i = 0; i < STORE_TABLE_COUNT && check.txn.result == RESULT_OK; i++) {
		check_table(&check, (enum store_table)i);
	}
	if (check.txn.result == RESULT_OK) check_segments(&check);
	enum result result = check.txn.result;
	store_read_done(&check.txn);
	alloc_free(check.segment_rows);
	return result;
}

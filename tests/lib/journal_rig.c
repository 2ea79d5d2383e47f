/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/journal_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/log.h"

enum { KEY_SIZE = 8, QUOTA_SIZE = 32 << 20, FILLER_SIZE = 4000 };

enum result journal_rig_open(struct journal_rig *rig)
{
	rig->store = NULL;
	return store_open(&rig->config, &rig->store, rig->error, sizeof rig->error);
}

int journal_rig_begin(void **state)
{
	static struct journal_rig rig;
	rig = (struct journal_rig){ .next = 1 };
	log_set_level(LOG_ERROR);
	folder_make(rig.folder);
	rig.config = (struct store_config){
		.path = rig.folder,
		.shard = 3,
		.quota_size = QUOTA_SIZE,
	};
	assert_int_equal(journal_rig_open(&rig), RESULT_OK);
	*state = &rig;
	return 0;
}

int journal_rig_end(void **state)
{
	struct journal_rig *rig = *state;
	if (rig->store != NULL) store_close(rig->store);
	folder_remove(rig->folder);
	return 0;
}

void journal_rig_crash(struct journal_rig *rig)
{
	store_close(rig->store);
	rig->store = NULL;
}

void journal_rig_reopen(struct journal_rig *rig)
{
	journal_rig_crash(rig);
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
}

struct bytes journal_rig_key(uint64_t number)
{
	static uint8_t memory[KEY_SIZE];
	struct writer writer = writer_of(memory, sizeof memory);
	write_u64_be(&writer, number);
	return writer_bytes(&writer);
}

struct bytes journal_rig_value(uint64_t number, size_t size)
{
	static uint8_t memory[STORE_EVENT_VALUE_SIZE_MAX];
	for (size_t i = 0; i < size; i++) memory[i] = (uint8_t)(number * 7 + i * 13 + i / 251);
	return bytes_of(memory, size);
}

void journal_rig_add(struct journal_rig *rig, struct store_txn *txn, size_t size)
{
	struct bytes value = journal_rig_value(rig->next, size);
	store_append(txn, STORE_EVENTS, journal_rig_key(rig->next), &value, 1);
	rig->next++;
}

void journal_rig_commit(struct journal_rig *rig, unsigned count)
{
	struct store_txn txn;
	struct bytes row = BYTES_LITERAL("a row of the batch");

	store_write_begin(&txn, rig->store);
	store_append(&txn, STORE_LEAVES, journal_rig_key(rig->batches++), &row, 1);
	for (unsigned i = 0; i < count; i++) journal_rig_add(rig, &txn, JOURNAL_RIG_VALUE_SIZE);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

void journal_rig_assert_event(struct store_txn *txn, uint64_t number)
{
	struct bytes found;
	assert_int_equal(store_get(txn, STORE_EVENTS, journal_rig_key(number), &found), RESULT_OK);
	assert_true(bytes_equal(found, journal_rig_value(number, JOURNAL_RIG_VALUE_SIZE)));
}

void journal_rig_assert_events(struct journal_rig *rig, uint64_t first)
{
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	struct bytes found;

	store_read_begin(&txn, rig->store);
	for (uint64_t i = first; i < rig->next; i++) journal_rig_assert_event(&txn, i);
	assert_int_equal(store_get(&txn, STORE_EVENTS, journal_rig_key(rig->next), &found),
		RESULT_NOT_FOUND);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	bool there = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (uint64_t i = first; i < rig->next; i++, there = store_cursor_next(&cursor)) {
		assert_true(there);
		assert_true(bytes_equal(cursor.key, journal_rig_key(i)));
		assert_true(bytes_equal(cursor.value,
			journal_rig_value(i, JOURNAL_RIG_VALUE_SIZE)));
	}
	assert_false(there);
	there = store_cursor_last(&cursor);
	for (uint64_t i = rig->next; i-- > first; there = store_cursor_previous(&cursor)) {
		assert_true(there);
		assert_true(bytes_equal(cursor.key, journal_rig_key(i)));
	}
	assert_false(there);
	store_cursor_close(&cursor);
	store_read_done(&txn);
}

uint64_t journal_rig_row_count(struct journal_rig *rig, enum store_table table)
{
	struct store_txn txn = { 0 };
	store_read_begin(&txn, rig->store);
	uint64_t count = store_row_count(&txn, table);
	store_read_done(&txn);
	return count;
}

void journal_rig_renew(struct journal_rig *rig, uint64_t quota_size)
{
	journal_rig_crash(rig);
	folder_remove(rig->folder);
	folder_make(rig->folder);
	rig->config.quota_size = quota_size;
	assert_int_equal(journal_rig_open(rig), RESULT_OK);
}

void journal_rig_checkpoint(struct journal_rig *rig)
{
	assert_int_equal(store_checkpoint(rig->store), RESULT_OK);
}

static uint64_t left_in_segment(const struct journal_rig *rig)
{
	const struct journal *journal = &rig->store->journal;
	return journal->segment_size - journal->position % journal->segment_size;
}

void journal_rig_fill_segment(struct journal_rig *rig)
{
	struct store_txn txn;

	/* As begin() of store_journal.c decides. */
	while (left_in_segment(rig) >= 3 * JOURNAL_PAGE_SIZE) {
		struct bytes value = journal_rig_value(1, FILLER_SIZE);
		store_write_begin(&txn, rig->store);
		store_append(&txn, STORE_LEAVES, journal_rig_key(rig->batches++), &value, 1);
		assert_int_equal(store_write_commit(&txn), RESULT_OK);
	}
}

void journal_rig_approach_end(struct journal_rig *rig, uint64_t size)
{
	while (left_in_segment(rig) >= size) journal_rig_commit(rig, 1);
}

void journal_rig_path(const struct journal_rig *rig, uint32_t file, char path[FOLDER_PATH_SIZE])
{
	char name[32];
	snprintf(name, sizeof name, "journal-%u", (unsigned)file);
	folder_path(path, rig->folder, name);
}

void journal_rig_change_byte(const struct journal_rig *rig, uint64_t position)
{
	char path[FOLDER_PATH_SIZE];
	uint8_t byte;
	struct journal *journal = &rig->store->journal;

	journal_rig_path(rig, journal_segment_of(journal, position)->file, path);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	off_t offset = (off_t)(position % journal->segment_size);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

void journal_rig_delete_below(struct journal_rig *rig, uint64_t *first, uint64_t end_key)
{
	struct store_txn txn;
	store_write_begin(&txn, rig->store);
	for (; *first < end_key; (*first)++) {
		assert_true(store_delete(&txn, STORE_EVENTS, journal_rig_key(*first)));
	}
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

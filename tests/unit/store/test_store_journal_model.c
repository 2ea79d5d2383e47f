/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever is written, given up, deleted, taken over or cut off in whatever order: the store has
 * what was committed and nothing else, and who reads sees the same bytes to the end.
 *
 * A random run beside a model that knows only what was committed. Readers are held over many
 * checkpoints, with views that must not change; what is in memory must be what is in the file.
 * usage: test_store_journal_model [SEEDS [FIRST]]
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/random.h"
#include "lib/folder.h"
#include "store/store_internal.h"

enum {
	STEPS = 150,
	KEY_SIZE = 8,
	EVENTS_MAX = 65536,
	READERS = 5,
	VIEWS = 12,
	POOL_SIZE = 4 << 20,
	LIVE_SIZE_MAX = 48 << 20,
	MIB = 1 << 20,
};

enum event_state {
	EVENT_NONE,
	EVENT_LIVE,
	EVENT_DELETING, /* seen until the next checkpoint */
	EVENT_HAZY,     /* seen or not: a reader kept the epoch from turning */
	EVENT_GONE,
};

struct event_model {
	uint32_t size;
	uint32_t salt;
	enum event_state state;
};

struct view {
	uint64_t number;
	struct bytes value;
};

struct reader_model {
	bool open;
	struct store_txn txn;
	uint64_t next; /* when it began … */
	bool visible[EVENTS_MAX];
	struct view views[VIEWS];
	unsigned view_count;
};

struct run {
	struct random random;
	char folder[FOLDER_PATH_SIZE];
	struct store_config config;
	struct store *store;
	struct event_model events[EVENTS_MAX];
	uint64_t first;
	uint64_t next;
	uint64_t live_size;
	uint64_t batch;  /* key of the next row of LEAVES */
	uint64_t dead;   /* rows of DEAD */
	unsigned rarity; /* of checkpoints */
	bool has_helper;
	struct reader_model readers[READERS];
};

/* What a batch does to the model when it is committed. */
struct batch {
	uint64_t next;
	uint64_t deleted[64];
	unsigned deleted_count;
	bool prompt;
	bool looks; /* asks for events itself: LMDB gets the places of all there are */
};

static uint64_t seed_now;
static uint64_t seed_first = 1;
static uint64_t seed_count = 2;
static uint8_t pool[POOL_SIZE + STORE_EVENT_VALUE_SIZE_MAX];

static bool chance(struct run *run, uint64_t in)
{
	return random_below(&run->random, in) == 0;
}

static struct bytes key_of(uint64_t number)
{
	static uint8_t memory[KEY_SIZE];
	struct writer writer = writer_of(memory, sizeof memory);
	write_u64_be(&writer, number);
	return writer_bytes(&writer);
}

static uint64_t number_of(struct bytes key)
{
	struct reader reader = reader_of(key);
	uint64_t number = read_u64_be(&reader);
	assert_true(reader_complete(&reader));
	return number;
}

static struct bytes value_of(const struct run *run, uint64_t number)
{
	const struct event_model *event = &run->events[number];
	return bytes_of(pool + event->salt, event->size);
}

static bool must_be_seen(enum event_state state)
{
	return state == EVENT_LIVE || state == EVENT_DELETING;
}

/* ---- The journal's end ----------------------------------------------------------------------- */

/* Rows whose record is in memory: there, in bounds, and the same as in the file. */
static void assert_epoch(const struct run *run, const struct store_epoch *epoch)
{
	const struct journal *journal = &run->store->journal;

	if (epoch == NULL) return;
	for (uint32_t i = 0; i < epoch->count; i++) {
		const struct recent *row = &epoch->rows[i];
		if (row->record == NULL) continue;
		assert_true(row->record >= epoch->tail);
		assert_true(row->record + row->place.size <= epoch->tail + JOURNAL_TAIL_SIZE);
		const struct journal_segment *segment = journal_segment_at(journal, row->place);
		if (segment == NULL) continue; /* all deleted, and given up */
		uint64_t offset = row->place.position % journal->segment_size;
		assert_memory_equal(row->record, segment->map + offset, row->place.size);
	}
}

/* Between batches. */
static void assert_end(const struct run *run)
{
	const struct journal *journal = &run->store->journal;

	assert_false(journal->open);
	assert_int_equal((uintptr_t)journal->buffer % JOURNAL_PAGE_SIZE, 0);
	assert_int_equal(journal->buffer_position % JOURNAL_PAGE_SIZE, 0);
	assert_int_equal(journal->buffer_position + journal->used_size, journal->position);
	assert_true(journal->used_size < JOURNAL_PAGE_SIZE);
	assert_ptr_equal(journal->tail, run->store->recents.now->tail);
	if (journal->buffer != journal->scratch) {
		assert_true(journal->buffer >= journal->tail);
		assert_true(journal->buffer + JOURNAL_PAGE_SIZE <=
			journal->tail + JOURNAL_TAIL_SIZE);
	}
	if (journal->current == NULL) return;
	uint64_t offset = journal->buffer_position % journal->segment_size;
	assert_memory_equal(journal->buffer, journal->current->map + offset, journal->used_size);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void assert_event(const struct run *run, struct store_txn *txn, uint64_t number,
	bool must_be_there)
{
	struct bytes found;

	enum result result = store_get(txn, STORE_EVENTS, key_of(number), &found);
	if (result != RESULT_OK) {
		if (must_be_there) fail_msg("event %d: result %d", (int)number, (int)result);
		assert_int_equal(result, RESULT_NOT_FOUND);
		return;
	}
	assert_true(bytes_equal(found, value_of(run, number)));
}

static void reader_look(struct run *run, struct reader_model *reader)
{
	struct bytes found;

	for (unsigned i = 0; i < reader->view_count; i++) {
		const struct view *view = &reader->views[i];
		assert_true(bytes_equal(view->value, value_of(run, view->number)));
	}
	for (unsigned i = 0; i < 30 && reader->next > 1; i++) {
		/* Half of them among the last ones. */
		uint64_t back = i % 2 == 0 && reader->next > 40 ? 40 : reader->next - 1;
		uint64_t number = reader->next - 1 - random_below(&run->random, back);
		if (!reader->visible[number]) continue;
		assert_event(run, &reader->txn, number, true);
		if (reader->view_count == VIEWS) continue;
		assert_int_equal(store_get(&reader->txn, STORE_EVENTS, key_of(number), &found),
			RESULT_OK);
		reader->views[reader->view_count++] = (struct view){ number, found };
	}
}

static void reader_begin(struct run *run, struct reader_model *reader)
{
	store_read_begin(&reader->txn, run->store);
	assert_int_equal(reader->txn.result, RESULT_OK);
	reader->open = true;
	reader->next = run->next;
	reader->view_count = 0;
	for (uint64_t i = 1; i < run->next; i++) {
		reader->visible[i] = must_be_seen(run->events[i].state);
	}
	reader_look(run, reader);
}

static void reader_end(struct run *run, struct reader_model *reader)
{
	if (!reader->open) return;
	reader_look(run, reader);
	if (chance(run, 2)) {
		store_read_end(&reader->txn);
	} else {
		store_read_done(&reader->txn);
	}
	reader->open = false;
	reader->view_count = 0;
}

static void readers_step(struct run *run)
{
	struct reader_model *reader = &run->readers[random_below(&run->random, READERS)];

	if (!reader->open) {
		reader_begin(run, reader);
	} else if (chance(run, 4)) {
		reader_end(run, reader);
	}
	for (unsigned i = 0; i < READERS; i++) {
		if (run->readers[i].open) reader_look(run, &run->readers[i]);
	}
}

/* All that is there, one way and the other. */
static void assert_all(struct run *run)
{
	struct store_txn txn = { 0 };
	struct store_cursor cursor;
	uint64_t number = run->first;

	assert_end(run);
	assert_epoch(run, run->store->recents.now);
	assert_epoch(run, run->store->recents.last);
	store_read_begin(&txn, run->store);
	store_cursor_open(&cursor, &txn, STORE_EVENTS);
	bool there = store_cursor_seek(&cursor, BYTES_LITERAL("\0"));
	for (; there; there = store_cursor_next(&cursor), number++) {
		uint64_t found = number_of(cursor.key);
		assert_true(found >= number && found < run->next);
		for (; number < found; number++) {
			assert_false(must_be_seen(run->events[number].state));
		}
		assert_true(run->events[number].state != EVENT_GONE);
		assert_true(bytes_equal(cursor.value, value_of(run, number)));
	}
	for (; number < run->next; number++) {
		assert_false(must_be_seen(run->events[number].state));
	}
	for (there = store_cursor_last(&cursor); there; there = store_cursor_previous(&cursor)) {
		uint64_t found = number_of(cursor.key);
		assert_true(found < number);
		for (number--; number > found; number--) {
			assert_false(must_be_seen(run->events[number].state));
		}
		assert_true(bytes_equal(cursor.value, value_of(run, number)));
	}
	store_cursor_close(&cursor);
	for (uint64_t i = run->first; i < run->next; i++) {
		assert_event(run, &txn, i, must_be_seen(run->events[i].state));
	}
	assert_int_equal(store_row_count(&txn, STORE_DEAD), run->dead);
	store_read_done(&txn);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* A checkpoint has been. */
static void taken_over(struct run *run, bool turned)
{
	for (uint64_t i = run->first; i < run->next; i++) {
		enum event_state *state = &run->events[i].state;
		if (*state == EVENT_DELETING) *state = EVENT_HAZY;
		if (*state == EVENT_HAZY && turned) *state = EVENT_GONE;
	}
	while (run->first < run->next && run->events[run->first].state == EVENT_GONE) run->first++;
}

static uint32_t random_size(struct run *run)
{
	switch (random_below(&run->random, 6)) {
	case 0: return 1 + (uint32_t)random_below(&run->random, 16);
	case 1: return 400 + (uint32_t)random_below(&run->random, 300);
	case 2: return 4000 + (uint32_t)random_below(&run->random, 200); /* about a page */
	case 3: return STORE_EVENT_VALUE_SIZE_MAX;
	default: return 1 + (uint32_t)random_below(&run->random, STORE_EVENT_VALUE_SIZE_MAX);
	}
}

static uint64_t random_goal(struct run *run)
{
	uint64_t kind = random_below(&run->random, 60);
	if (kind == 0) return 33u * MIB;
	if (kind < 3) return 16u * MIB;
	if (kind < 6) return random_below(&run->random, 12u * MIB);
	if (kind < 20) return random_below(&run->random, 3u * MIB);
	return random_below(&run->random, 200 * 1024);
}

static void add_events(struct run *run, struct store_txn *txn, struct batch *batch, uint64_t goal)
{
	for (uint64_t size = 0; size <= goal && batch->next < EVENTS_MAX;) {
		struct event_model *event = &run->events[batch->next];
		event->size = random_size(run);
		event->salt = (uint32_t)random_below(&run->random, POOL_SIZE);
		struct bytes value = value_of(run, batch->next);
		size_t part_size = (size_t)random_below(&run->random, value.size + 1);
		struct bytes parts[2] = { bytes_of(value.data, part_size),
			bytes_from(value, part_size) };
		store_append(txn, STORE_EVENTS, key_of(batch->next), parts, 2);
		if (txn->result != RESULT_OK) return;
		batch->next++;
		size += value.size;
		if (batch->looks && chance(run, 8)) { /* what is not in the file yet, or just so */
			uint64_t back = random_below(&run->random, batch->next - run->next);
			assert_event(run, txn, batch->next - 1 - back, true);
		}
	}
}

static void delete_events(struct run *run, struct store_txn *txn, struct batch *batch)
{
	bool full = run->live_size > LIVE_SIZE_MAX;
	uint64_t from = full ? run->first
			     : run->first + random_below(&run->random, run->next - run->first + 1);

	if (!full && !chance(run, 3)) return;
	for (uint64_t i = from; i < run->next && batch->deleted_count < 64; i++) {
		if (run->events[i].state != EVENT_LIVE || chance(run, 20)) continue;
		assert_true(store_delete(txn, STORE_EVENTS, key_of(i)) || txn->result != RESULT_OK);
		batch->deleted[batch->deleted_count++] = i;
	}
}

static bool is_live_in(const struct run *run, const struct batch *batch, uint64_t number)
{
	for (unsigned i = 0; i < batch->deleted_count; i++) {
		if (batch->deleted[i] == number) return false;
	}
	return number >= run->next || run->events[number].state == EVENT_LIVE;
}

/* By a cursor of the batch itself: from somewhere to the end, or the last ones backward. */
static void walk_own(struct run *run, struct store_txn *txn, const struct batch *batch)
{
	struct store_cursor cursor;
	bool back = chance(run, 2);
	uint64_t first = run->first + random_below(&run->random, batch->next - run->first + 1);

	if (back && batch->next - run->first > 20) first = batch->next - 20;
	store_cursor_open(&cursor, txn, STORE_EVENTS);
	bool there = back ? store_cursor_seek_backward(&cursor, key_of(batch->next))
			  : store_cursor_seek(&cursor, key_of(first));
	for (uint64_t i = first; i < batch->next; i++) {
		uint64_t number = back ? batch->next - 1 - (i - first) : i;
		bool found = there && number_of(cursor.key) == number;
		assert_int_equal(found, is_live_in(run, batch, number));
		if (!found) continue;
		assert_true(bytes_equal(cursor.value, value_of(run, number)));
		there = back ? store_cursor_previous(&cursor) : store_cursor_next(&cursor);
	}
	assert_true(back || !there);
	store_cursor_close(&cursor);
}

/* A batch that only looks changes nothing, whether it ends or is given up. */
static void look_only(struct run *run)
{
	struct store_txn txn;

	store_write_begin(&txn, run->store);
	walk_own(run, &txn, &(struct batch){ .next = run->next });
	if (chance(run, 2)) assert_int_equal(store_write_commit(&txn), RESULT_OK);
	if (txn.handle != NULL) store_write_abort(&txn);
}

static void fill_batch(struct run *run, struct store_txn *txn, struct batch *batch, bool limited)
{
	struct bytes row = BYTES_LITERAL("a row that LMDB has");

	/* LMDB takes a file that may not grow for a broken disk: only the journal's may not. */
	*batch = (struct batch){ .next = run->next, .prompt = !limited && chance(run, 12) };
	batch->looks = chance(run, 3);
	store_write_begin(txn, run->store);
	store_append(txn, STORE_LEAVES, key_of(run->batch), &row, 1);
	if (chance(run, 2)) delete_events(run, txn, batch);
	if (limited || !chance(run, 10)) add_events(run, txn, batch, random_goal(run));
	if (run->live_size > LIVE_SIZE_MAX && batch->deleted_count == 0) {
		delete_events(run, txn, batch);
	}
	if (batch->looks && txn->result == RESULT_OK) walk_own(run, txn, batch);
	if (batch->prompt) store_put(txn, STORE_DEAD, key_of(run->dead), &row, 1);
}

static void batch_committed(struct run *run, const struct batch *batch)
{
	for (; run->next < batch->next; run->next++) {
		run->events[run->next].state = EVENT_LIVE;
		run->live_size += run->events[run->next].size;
	}
	for (unsigned i = 0; i < batch->deleted_count; i++) {
		run->events[batch->deleted[i]].state = EVENT_DELETING;
		run->live_size -= run->events[batch->deleted[i]].size;
	}
	run->batch++;
	run->dead += batch->prompt;
}

static void limit_files(uint64_t size)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size == 0 ? limit.rlim_max : size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void commit_batch(struct run *run, bool limited)
{
	struct store_txn txn;
	struct batch batch;
	uint64_t saved = run->store->journal.saved_position;
	uint64_t epoch = run->store->recents.now->number;

	/* The journal cannot be written from some page on: no space, and all is as before. */
	if (limited) {
		uint64_t pages = run->store->journal.segment_size / JOURNAL_PAGE_SIZE;
		limit_files(JOURNAL_PAGE_SIZE + 1 +
			random_below(&run->random, pages * JOURNAL_PAGE_SIZE));
	}
	fill_batch(run, &txn, &batch, limited);
	enum result result = store_write_commit(&txn);
	if (limited) limit_files(0);
	if (result != RESULT_OK && !limited) fail_msg("commit: result %d", (int)result);
	if (result == RESULT_OK) {
		batch_committed(run, &batch);
	} else {
		assert_int_equal(result, RESULT_SPACE);
	}
	bool by_lmdb = result == RESULT_OK && run->store->pending == NULL; /* all of it */
	by_lmdb |= run->store->journal.saved_position != saved;
	if (by_lmdb) taken_over(run, run->store->recents.now->number != epoch);
}

static void abort_batch(struct run *run)
{
	struct store_txn txn;
	struct batch batch;

	fill_batch(run, &txn, &batch, false);
	store_write_abort(&txn);
}

static void checkpoint(struct run *run)
{
	uint64_t epoch = run->store->recents.now->number;

	assert_int_equal(store_checkpoint(run->store), RESULT_OK);
	bool turned = run->store->recents.now->number != epoch;
	bool held = false;
	for (unsigned i = 0; i < READERS; i++) held |= run->readers[i].open;
	assert_true(turned || held); /* nobody else keeps an epoch */
	taken_over(run, turned);
}

/* ---- Starting again -------------------------------------------------------------------------- */

static void open_store(struct run *run)
{
	char error[256] = "";
	enum result result = store_open(&run->config, &run->store, error, sizeof error);
	if (result != RESULT_OK) fail_msg("open: %s", error);
	/* With segments made ahead, and without. */
	if (run->has_helper) journal_start_helper(&run->store->journal, -1);
}

/* What comes next is read from the disk. */
static void drop_cache(const struct run *run)
{
	char name[32];
	char path[FOLDER_PATH_SIZE];

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof name, "journal-%u", i);
		folder_path(path, run->folder, name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) return;
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		close(fd);
	}
}

static void reopen(struct run *run)
{
	for (unsigned i = 0; i < READERS; i++) {
		reader_end(run, &run->readers[i]);
		store_read_done(&run->readers[i].txn);
	}
	for (unsigned i = 0; i < RECENT_EPOCHS; i++) {
		assert_int_equal(run->store->recents.blocks[i].reader_count, 0);
	}
	/* Without a checkpoint, as a crash leaves it. */
	store_close(run->store);
	drop_cache(run);
	open_store(run);
	taken_over(run, true);
}

/* ---- The run --------------------------------------------------------------------------------- */

static void step(struct run *run)
{
	uint64_t kind = random_below(&run->random, 100);

	if (kind < 60) {
		commit_batch(run, false);
	} else if (kind < 72) {
		abort_batch(run);
	} else if (kind < 76) {
		commit_batch(run, true);
	} else if (kind < 80) {
		reopen(run);
	} else {
		assert_all(run);
	}
	assert_end(run);
	if (chance(run, 8)) look_only(run);
	if (chance(run, 4)) store_prepare(run->store);
	if (chance(run, run->rarity)) checkpoint(run);
	readers_step(run);
}

static void random_run(uint64_t seed)
{
	static struct run run;
	static const uint64_t quotas[] = { 32u * MIB, 32u * MIB, 128u * MIB, 512u * MIB };

	run = (struct run){ .random = { seed }, .first = 1, .next = 1, .batch = 1 };
	for (size_t i = 0; i < sizeof pool; i += 8) {
		uint64_t word = random_u64(&run.random);
		memcpy(pool + i, &word, sizeof word);
	}
	folder_make(run.folder);
	run.rarity = 1 + (unsigned)random_below(&run.random, 12);
	run.has_helper = chance(&run, 2);
	run.config = (struct store_config){
		.path = run.folder,
		.shard = 3,
		.quota_size = quotas[random_below(&run.random, 4)],
	};
	open_store(&run);
	for (unsigned i = 0; i < STEPS; i++) step(&run);
	assert_all(&run);
	reopen(&run);
	assert_all(&run);
	store_close(run.store);
	folder_remove(run.folder);
}

static void test_random_runs(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	signal(SIGXFSZ, SIG_IGN);
	for (seed_now = seed_first; seed_now < seed_first + seed_count; seed_now++) {
		random_run(seed_now);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) seed_count = strtoull(argv[1], NULL, 10);
	if (argc > 2) seed_first = strtoull(argv[2], NULL, 10);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_runs),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed != 0) fprintf(stderr, "seed %llu\n", (unsigned long long)seed_now);
	return failed;
}

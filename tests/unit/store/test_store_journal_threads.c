/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal with all its threads: the writer with its checkpoints, the helper that makes segments
 * and readers that walk the events while the oldest are deleted and their segments used again.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "lib/journal_rig.h"
#include "store/store_writer.h"

enum {
	EVENTS = 1500,
	LIVE_EVENTS = 100, /* five segments */
	JOBS = 8,
	READERS = 2,
	KEY_SIZE = 8,
	VALUE_SIZE = JOURNAL_RIG_VALUE_SIZE,
	WALKS_MIN = 10,
};

static struct {
	struct store_writer *writer;
	sem_t done;
	atomic_bool stopping;
	atomic_uint walks;
	/* Writer's thread: the last event, and the last that is on disk. */
	uint64_t last;
	uint64_t last_committed;
} run;

/* ---- The writer's side --------------------------------------------------------------------- */

static void batch_begins(void *owner)
{
	(void)owner;
	run.last = run.last_committed;
}

static void batch_is_on_disk(void *owner)
{
	(void)owner;
	run.last_committed = run.last;
}

static struct bytes key_of(uint64_t number, uint8_t memory[static KEY_SIZE])
{
	struct writer writer = writer_of(memory, KEY_SIZE);
	write_u64_be(&writer, number);
	return writer_bytes(&writer);
}

struct event_job {
	struct store_job job;
	bool busy;
	uint8_t value[VALUE_SIZE];
};

/* The next event comes, the oldest goes. */
static void apply(struct store_job *job, struct store_txn *txn)
{
	struct event_job *event = CONTAINER_OF(job, struct event_job, job);
	const struct bytes value = bytes_of(event->value, VALUE_SIZE);
	uint8_t key[KEY_SIZE];

	run.last++;
	memcpy(event->value, &run.last, sizeof run.last);
	memcpy(event->value + VALUE_SIZE - sizeof run.last, &run.last, sizeof run.last);
	store_append(txn, STORE_EVENTS, key_of(run.last, key), &value, 1);
	if (run.last > LIVE_EVENTS) {
		store_delete(txn, STORE_EVENTS, key_of(run.last - LIVE_EVENTS, key));
	}
}

static void complete(struct store_job *job)
{
	MAYBE(job->result != RESULT_OK);
	sem_post(&run.done);
}

/* One after the other from a ring: those before it have been completed, too. */
static unsigned ingest(void)
{
	static struct event_job jobs[JOBS];
	unsigned accepted = 0;

	for (unsigned i = 0; accepted < EVENTS; i++) {
		struct event_job *event = &jobs[i % JOBS];
		if (event->busy) {
			while (sem_wait(&run.done) != 0) continue;
			/* Completed in their order. */
			accepted += event->job.result == RESULT_OK;
			if (event->job.result != RESULT_OK) sched_yield();
			assert_true(event->job.result == RESULT_OK ||
				event->job.result == RESULT_SPACE);
		}
		event->busy = true;
		event->job = (struct store_job){
			.apply = apply,
			.complete = complete,
			.size = VALUE_SIZE,
		};
		store_writer_submit(run.writer, &event->job);
	}
	return accepted;
}

/* ---- Readers ------------------------------------------------------------------------------- */

static uint64_t number_of(struct bytes key)
{
	struct reader reader = reader_of(key);
	uint64_t number = read_u64_be(&reader);
	CHECK(reader_complete(&reader));
	return number;
}

/* All there are, without a gap. The first one. */
static uint64_t walk(struct store_txn *txn)
{
	struct store_cursor cursor;
	uint64_t first = 0;
	uint64_t count = 0;

	store_cursor_open(&cursor, txn, STORE_EVENTS);
	for (bool there = store_cursor_seek(&cursor, BYTES_LITERAL("\0")); there;
		there = store_cursor_next(&cursor)) {
		uint64_t number = number_of(cursor.key);
		if (count == 0) first = number;
		CHECK(number == first + count);
		CHECK(cursor.value.size == VALUE_SIZE);
		CHECK(memcmp(cursor.value.data, &number, sizeof number) == 0);
		CHECK(memcmp(cursor.value.data + VALUE_SIZE - sizeof number, &number,
			      sizeof number) == 0);
		count++;
	}
	store_cursor_close(&cursor);
	CHECK(txn->result == RESULT_OK);
	return first;
}

static void *reader_main(void *argument)
{
	struct store_txn txn = { 0 };

	while (!atomic_load(&run.stopping)) {
		store_read_begin(&txn, argument);
		uint64_t first = walk(&txn);
		/* However long it takes: what was there stays. */
		CHECK(first == 0 || walk(&txn) == first);
		store_read_end(&txn);
		atomic_fetch_add(&run.walks, 1);
	}
	store_read_done(&txn);
	return NULL;
}

/* ---- The test ------------------------------------------------------------------------------ */

static void stop(pthread_t *readers)
{
	while (atomic_load(&run.walks) < WALKS_MIN) sched_yield();
	atomic_store(&run.stopping, true);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	}
	store_writer_stop(run.writer);
	sem_destroy(&run.done);
}

static void test_readers_walk_while_segments_are_used_again(void **state)
{
	struct journal_rig *rig = *state;
	const struct store_hooks hooks = { .begin = batch_begins, .committed = batch_is_on_disk };
	struct store_txn txn = { 0 };
	pthread_t readers[READERS];

	memset(&run, 0, sizeof run);
	assert_int_equal(sem_init(&run.done, 0, 0), 0);
	assert_int_equal(store_writer_start(rig->store, &hooks, -1, true, &run.writer), RESULT_OK);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_create(&readers[i], NULL, reader_main, rig->store), 0);
	}
	assert_int_equal(ingest(), EVENTS);
	stop(readers);
	const struct journal *journal = &rig->store->journal;
	assert_true(journal->spares.running);
	assert_true(journal->current->number > 2 * (uint64_t)journal->segment_count);
	journal_rig_reopen(rig);
	store_read_begin(&txn, rig->store);
	assert_int_equal(walk(&txn), run.last_committed - LIVE_EVENTS + 1);
	assert_int_equal(store_row_count(&txn, STORE_EVENTS), LIVE_EVENTS);
	store_read_done(&txn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_readers_walk_while_segments_are_used_again,
			journal_rig_begin, journal_rig_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

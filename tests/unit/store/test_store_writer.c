/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs of many threads share commits, none is lost or done twice, and a full store refuses what
 * comes in while it goes on with what is there. */
#include "store/store_writer.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lib/folder.h"
#include "store/store_backup.h"
#include "store/store_internal.h"

static struct store *store;
static char folder[FOLDER_PATH_SIZE];

static void open_store(uint64_t quota_size)
{
	char error[256] = "";
	struct store_config config = { .path = folder, .quota_size = quota_size };
	enum result result = store_open(&config, &store, error, sizeof error);
	if (result != RESULT_OK) fail_msg("%s", error);
}

static int begin(void **state)
{
	*state = NULL;
	folder_make(folder);
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	folder_remove(folder);
	return 0;
}

/* ---- Jobs ---------------------------------------------------------------------------------- */

struct row_job {
	struct store_job job;
	uint64_t number;
	enum result fails; /* on every apply */
	bool deletes;
	unsigned applied_count;
	unsigned completed_count;
	unsigned order; /* in which it completed */
	sem_t *done;
};

static unsigned completed_total;

static void row_apply(struct store_job *job, struct store_txn *txn)
{
	struct row_job *row = CONTAINER_OF(job, struct row_job, job);
	static const uint8_t content[3000];
	uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	struct bytes value = bytes_of(content, sizeof content);

	row->applied_count++;
	write_u64_be(&key, row->number);
	if (row->fails == RESULT_SPACE) store_txn_fail(txn, "test", MDB_TXN_FULL);
	if (row->fails == RESULT_DISK) store_txn_fail(txn, "test", MDB_CORRUPTED);
	if (row->deletes) {
		store_delete(txn, STORE_NAMES, writer_bytes(&key));
	} else {
		store_put(txn, STORE_NAMES, writer_bytes(&key), &value, 1);
	}
}

static void event_apply(struct store_job *job, struct store_txn *txn)
{
	const struct row_job *row = CONTAINER_OF(job, struct row_job, job);
	uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	struct bytes value = BYTES_LITERAL("an event");

	write_u64_be(&key, row->number);
	store_append(txn, STORE_EVENTS, writer_bytes(&key), &value, 1);
}

static void row_complete(struct store_job *job)
{
	struct row_job *row = CONTAINER_OF(job, struct row_job, job);
	row->completed_count++;
	row->order = completed_total++;
	if (row->done != NULL) sem_post(row->done);
}

static struct row_job row_job(uint64_t number, bool uses_reserve)
{
	return (struct row_job){
		.job = {
			.apply = row_apply,
			.complete = row_complete,
			.size = 3000,
			.uses_reserve = uses_reserve,
		},
		.number = number,
	};
}

static bool row_exists(uint64_t number)
{
	struct store_txn txn = { 0 };
	uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	struct bytes value;

	write_u64_be(&key, number);
	store_read_begin(&txn, store);
	enum result result = store_get(&txn, STORE_NAMES, writer_bytes(&key), &value);
	store_read_done(&txn);
	assert_true(result == RESULT_OK || result == RESULT_NOT_FOUND);
	return result == RESULT_OK;
}

/* ---- Hooks --------------------------------------------------------------------------------- */

struct hook_calls {
	unsigned begun;
	unsigned finished;
	unsigned aborted;
	unsigned committed;
	unsigned failed;
	enum result result;
	bool no_space; /* for what is written with each commit */
};

static void hook_begin(void *owner)
{
	((struct hook_calls *)owner)->begun++;
}

static void hook_finish(void *owner, struct store_txn *txn)
{
	struct hook_calls *calls = owner;

	assert_true(txn->writable);
	calls->finished++;
	if (calls->no_space) store_txn_fail(txn, "test", MDB_MAP_FULL);
}

static void hook_abort(void *owner)
{
	((struct hook_calls *)owner)->aborted++;
}

static void hook_committed(void *owner)
{
	((struct hook_calls *)owner)->committed++;
}

static void hook_failed(void *owner, enum result result)
{
	struct hook_calls *calls = owner;
	calls->failed++;
	calls->result = result;
}

static struct store_writer *start(struct hook_calls *calls, bool threaded)
{
	const struct store_hooks hooks = {
		.begin = hook_begin,
		.finish = hook_finish,
		.abort = hook_abort,
		.committed = hook_committed,
		.failed = hook_failed,
		.owner = calls,
	};
	struct store_writer *writer = NULL;
	*calls = (struct hook_calls){ 0 };
	completed_total = 0;
	assert_int_equal(store_writer_start(store, &hooks, -1, threaded, &writer), RESULT_OK);
	return writer;
}

/* ---- Tests --------------------------------------------------------------------------------- */

/* A batch of many events leaves no places of theirs to the checkpoint, one of few does. */
static void test_much_is_put_after_a_batch(void **state)
{
	(void)state;
	struct hook_calls calls;
	static struct row_job jobs[STORE_TAKE_OVER_ROWS];
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i + 1, false);
		jobs[i].job.apply = event_apply;
		store_writer_submit(writer, &jobs[i].job);
		if (i > 0) continue;
		assert_int_equal(store_writer_step(writer), 1);
		assert_int_equal(store->recents.taken_count, 0);
	}
	assert_int_equal(store_writer_step(writer), ARRAY_COUNT(jobs) - 1);
	assert_int_equal(store->recents.added_count, ARRAY_COUNT(jobs));
	assert_int_equal(store->recents.taken_count, ARRAY_COUNT(jobs));
	assert_non_null(store->pending);
	store_writer_stop(writer);
}

/* When these places find no space, people are told so at once. */
static void test_no_space_after_a_batch(void **state)
{
	(void)state;
	struct hook_calls calls;
	static struct row_job jobs[STORE_TAKE_OVER_ROWS];
	MDB_envinfo info;
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i + 1, false);
		jobs[i].job.apply = event_apply;
		store_writer_submit(writer, &jobs[i].job);
	}
	assert_int_equal(mdb_env_info(store->env, &info), 0);
	size_t size = (info.me_last_pgno + 1) * store->page_size;
	assert_int_equal(mdb_env_set_mapsize(store->env, size), 0);
	assert_true(store_had_room(store));
	assert_int_equal(store_writer_step(writer), ARRAY_COUNT(jobs));
	assert_int_equal(jobs[0].job.result, RESULT_OK);
	assert_true(store_checkpoint_refused(store));
	assert_false(store_had_room(store));
	assert_int_equal(mdb_env_set_mapsize(store->env, store_map_size(store)), 0);
	store_writer_stop(writer);
	assert_int_equal(calls.failed, 0);
}

/* What has queued up becomes one commit; jobs complete in the order they were given. */
static void test_what_queued_up_is_one_commit(void **state)
{
	(void)state;
	struct hook_calls calls;
	static struct row_job jobs[STORE_BATCH_JOBS_MAX + 10];
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i, false);
		store_writer_submit(writer, &jobs[i].job);
	}
	assert_int_equal(store_writer_step(writer), STORE_BATCH_JOBS_MAX);
	assert_int_equal(store_writer_step(writer), 10);
	assert_int_equal(store_writer_step(writer), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		assert_int_equal(jobs[i].job.result, RESULT_OK);
		assert_int_equal(jobs[i].order, i);
		assert_int_equal(jobs[i].applied_count, 1);
	}
	assert_int_equal(calls.begun, 2);
	assert_int_equal(calls.finished, 2);
	assert_int_equal(calls.committed, 2);
	assert_int_equal(calls.aborted, 0);
	assert_int_equal(store_writer_statistics(writer).commits, 2);
	store_writer_stop(writer);
}

/* A batch is bounded in bytes too; one job alone may be larger. */
static void test_batches_are_bounded_in_bytes(void **state)
{
	(void)state;
	struct hook_calls calls;
	struct row_job jobs[4];
	open_store(UINT64_C(1) << 30);
	struct store_writer *writer = start(&calls, false);
	static const uint32_t sizes[] = { STORE_BATCH_BYTES_MAX / 2, STORE_BATCH_BYTES_MAX / 2, 1,
		STORE_BATCH_BYTES_MAX + 1 };
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i, false);
		jobs[i].job.size = sizes[i];
		store_writer_submit(writer, &jobs[i].job);
	}
	assert_int_equal(store_writer_step(writer), 2);
	assert_int_equal(store_writer_step(writer), 1);
	assert_int_equal(store_writer_step(writer), 1);
	store_writer_stop(writer);
}

/* A transaction that finds no space: what comes in is refused, the rest is done, and a job that
 * needs too much alone fails alone. */
static void test_no_space_in_a_transaction(void **state)
{
	(void)state;
	struct hook_calls calls;
	struct row_job jobs[5];
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i, i != 1 && i != 4);
		store_writer_submit(writer, &jobs[i].job);
	}
	jobs[2].fails = RESULT_SPACE;
	assert_int_equal(store_writer_step(writer), 5);
	static const enum result expected[] = { RESULT_OK, RESULT_SPACE, RESULT_SPACE, RESULT_OK,
		RESULT_SPACE };
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		assert_int_equal(jobs[i].job.result, expected[i]);
		assert_int_equal(jobs[i].completed_count, 1);
		assert_int_equal(row_exists(i), expected[i] == RESULT_OK);
	}
	assert_int_equal(calls.begun, calls.committed + calls.aborted);
	assert_int_equal(calls.committed, 2);
	assert_int_equal(calls.failed, 0);

	struct row_job later = row_job(77, false);
	store_writer_submit(writer, &later.job);
	store_writer_step(writer);
	assert_int_equal(later.job.result, RESULT_OK);
	store_writer_stop(writer);
}

/* LMDB has not what was acknowledged, and no checkpoint was refused: who asked for it learns it,
 * and no backup is made without it. */
static void test_a_flush_finds_no_space(void **state)
{
	(void)state;
	const struct store_backup backup = { .folder_fd = -1 };
	struct hook_calls calls;
	char error[256] = "";
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	struct row_job job = row_job(1, false);
	job.job.apply = event_apply;
	store_writer_submit(writer, &job.job);
	assert_int_equal(store_writer_step(writer), 1);
	assert_int_equal(job.job.result, RESULT_OK);

	calls.no_space = true;
	assert_int_equal(store_writer_flush(writer), RESULT_SPACE);
	assert_int_equal(store_backup(store, writer, &backup, error, sizeof error), RESULT_SPACE);
	assert_string_equal(error, "there is no space for what was committed last");
	assert_false(store_checkpoint_refused(store));
	calls.no_space = false;
	assert_int_equal(store_writer_flush(writer), RESULT_OK);
	assert_false(store_checkpoint_wanted(store));
	assert_int_equal(store_writer_flush(writer), RESULT_OK);
	store_writer_stop(writer);
}

/* Any other error ends it: nothing of the batch is done, everything later is refused. */
static void test_an_error_is_the_end(void **state)
{
	(void)state;
	struct hook_calls calls;
	struct row_job jobs[3];
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i, true);
		store_writer_submit(writer, &jobs[i].job);
	}
	jobs[1].fails = RESULT_DISK;
	store_writer_step(writer);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		assert_int_equal(jobs[i].job.result, RESULT_DISK);
		assert_int_equal(jobs[i].completed_count, 1);
		assert_false(row_exists(i));
	}
	struct row_job later = row_job(77, true);
	store_writer_submit(writer, &later.job);
	assert_int_equal(store_writer_step(writer), 1);
	assert_int_equal(later.job.result, RESULT_DISK);
	assert_int_equal(later.applied_count, 0);
	assert_int_equal(calls.failed, 1);
	assert_int_equal(calls.result, RESULT_DISK);
	assert_int_equal(store_writer_flush(writer), RESULT_DISK);
	store_writer_stop(writer);
}

/* Past the quota nothing comes in, but what is there can be settled and deleted; after that
 * there is room again. */
static void test_quota(void **state)
{
	(void)state;
	struct hook_calls calls;
	open_store(UINT64_C(8) << 20);
	struct store_writer *writer = start(&calls, false);
	uint64_t count = 0;
	for (;; count++) {
		struct row_job job = row_job(count, false);
		store_writer_submit(writer, &job.job);
		store_writer_step(writer);
		if (job.job.result != RESULT_OK) {
			assert_int_equal(job.job.result, RESULT_SPACE);
			assert_int_equal(job.applied_count, 0);
			break;
		}
	}
	/* A page each. */
	assert_in_range(count, 1700, 2048);
	struct store_space space = store_space(store);
	assert_true(space.used_size < space.quota_size);
	assert_true(space.used_size > space.quota_size / 100 * 93);
	assert_false(store_has_room(store, 4096) || store_had_room(store));

	struct row_job settle = row_job(UINT64_C(1) << 40, true);
	store_writer_submit(writer, &settle.job);
	store_writer_step(writer);
	assert_int_equal(settle.job.result, RESULT_OK);
	for (uint64_t i = 0; i < 100; i++) {
		struct row_job job = row_job(i, true);
		job.deletes = true;
		store_writer_submit(writer, &job.job);
		store_writer_step(writer);
		assert_int_equal(job.job.result, RESULT_OK);
	}
	assert_true(store_has_room(store, 4096) && store_had_room(store));
	struct row_job again = row_job(count + 1, false);
	store_writer_submit(writer, &again.job);
	store_writer_step(writer);
	assert_int_equal(again.job.result, RESULT_OK);
	store_writer_stop(writer);
}

/* What is counted as used is what is used, also after opening again. */
static void test_used_size_is_exact(void **state)
{
	(void)state;
	struct hook_calls calls;
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, false);
	uint64_t before = store_space(store).used_size;
	for (uint64_t i = 0; i < 1000; i++) {
		struct row_job job = row_job(i, false);
		store_writer_submit(writer, &job.job);
		store_writer_step(writer);
	}
	uint64_t full = store_space(store).used_size;
	assert_in_range(full - before, 1000 * 4096, 1020 * 4096);
	store_writer_stop(writer);
	store_close(store);
	open_store(UINT64_C(64) << 20);
	assert_in_range(store_space(store).used_size, full - 8 * 4096, full + 8 * 4096);
	writer = start(&calls, false);
	for (uint64_t i = 0; i < 1000; i++) {
		struct row_job job = row_job(i, true);
		job.deletes = true;
		store_writer_submit(writer, &job.job);
		store_writer_step(writer);
	}
	assert_in_range(store_space(store).used_size, before, before + 64 * 4096);
	store_writer_stop(writer);
}

enum { THREADS = 4, ROUNDS = 200, JOBS_PER_ROUND = 8 };

static struct store_writer *shared_writer;

static void *submit_rounds(void *argument)
{
	uint64_t first = *(const uint64_t *)argument;
	struct row_job jobs[JOBS_PER_ROUND];
	sem_t done;

	CHECK(sem_init(&done, 0, 0) == 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < JOBS_PER_ROUND; i++) {
			jobs[i] = row_job(first + round * JOBS_PER_ROUND + i, false);
			jobs[i].done = &done;
			store_writer_submit(shared_writer, &jobs[i].job);
		}
		for (unsigned i = 0; i < JOBS_PER_ROUND; i++) {
			while (sem_wait(&done) != 0) continue;
		}
		for (unsigned i = 0; i < JOBS_PER_ROUND; i++) {
			CHECK(jobs[i].job.result == RESULT_OK);
			CHECK(jobs[i].completed_count == 1);
		}
	}
	sem_destroy(&done);
	return NULL;
}

/* Threads that submit and wait: every job is done once, in far fewer commits than jobs. */
static void test_many_threads_share_commits(void **state)
{
	(void)state;
	struct hook_calls calls;
	pthread_t threads[THREADS];
	uint64_t firsts[THREADS];

	open_store(UINT64_C(256) << 20);
	shared_writer = start(&calls, true);
	for (unsigned i = 0; i < THREADS; i++) {
		firsts[i] = (uint64_t)i * 1000000;
		assert_int_equal(pthread_create(&threads[i], NULL, submit_rounds, &firsts[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
	struct store_writer_statistics statistics = store_writer_statistics(shared_writer);
	assert_int_equal(statistics.jobs, THREADS * ROUNDS * JOBS_PER_ROUND);
	assert_true(statistics.commits <= statistics.jobs / 2);
	assert_true(statistics.commit_us_max <= statistics.commit_us_total);
	store_writer_stop(shared_writer);
	for (unsigned i = 0; i < THREADS; i++) {
		for (uint64_t j = 0; j < ROUNDS * JOBS_PER_ROUND; j++) {
			assert_true(row_exists(firsts[i] + j));
		}
	}
}

/* Stopping finishes what is queued. */
static void test_stop_finishes(void **state)
{
	(void)state;
	struct hook_calls calls;
	static struct row_job jobs[500];
	open_store(UINT64_C(64) << 20);
	struct store_writer *writer = start(&calls, true);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		jobs[i] = row_job(i, false);
		store_writer_submit(writer, &jobs[i].job);
	}
	store_writer_stop(writer);
	for (unsigned i = 0; i < ARRAY_COUNT(jobs); i++) {
		assert_int_equal(jobs[i].completed_count, 1);
		assert_int_equal(jobs[i].job.result, RESULT_OK);
		assert_true(row_exists(i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_much_is_put_after_a_batch, begin, end),
		cmocka_unit_test_setup_teardown(test_no_space_after_a_batch, begin, end),
		cmocka_unit_test_setup_teardown(test_what_queued_up_is_one_commit, begin, end),
		cmocka_unit_test_setup_teardown(test_batches_are_bounded_in_bytes, begin, end),
		cmocka_unit_test_setup_teardown(test_no_space_in_a_transaction, begin, end),
		cmocka_unit_test_setup_teardown(test_a_flush_finds_no_space, begin, end),
		cmocka_unit_test_setup_teardown(test_an_error_is_the_end, begin, end),
		cmocka_unit_test_setup_teardown(test_quota, begin, end),
		cmocka_unit_test_setup_teardown(test_used_size_is_exact, begin, end),
		cmocka_unit_test_setup_teardown(test_many_threads_share_commits, begin, end),
		cmocka_unit_test_setup_teardown(test_stop_finishes, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

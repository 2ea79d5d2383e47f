/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the writer is called for jobs that may wait: not while the worker has something else at
 * hand, not before the siblings of the last batch are there, and never too late. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lib/folder.h"
#include "store/store_writer.h"

static struct store *store;
static char folder[FOLDER_PATH_SIZE];

static int begin(void **state)
{
	char error[256] = "";
	struct store_config config = { .path = folder, .quota_size = UINT64_C(64) << 20 };

	*state = NULL;
	folder_make(folder);
	enum result result = store_open(&config, &store, error, sizeof error);
	if (result != RESULT_OK) fail_msg("%s", error);
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	folder_remove(folder);
	return 0;
}

struct row_job {
	struct store_job job;
	uint64_t number;
	unsigned completed_count;
	sem_t *done;
};

static void row_apply(struct store_job *job, struct store_txn *txn)
{
	struct row_job *row = CONTAINER_OF(job, struct row_job, job);
	uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	struct bytes value = BYTES_LITERAL("value");

	write_u64_be(&key, row->number);
	store_put(txn, STORE_NAMES, writer_bytes(&key), &value, 1);
}

static void row_complete(struct store_job *job)
{
	struct row_job *row = CONTAINER_OF(job, struct row_job, job);
	row->completed_count++;
	if (row->done != NULL) sem_post(row->done);
}

static struct row_job row_job(uint64_t number)
{
	return (struct row_job){
		.job = { .apply = row_apply, .complete = row_complete, .size = 100 },
		.number = number,
	};
}

static struct store_writer *start(bool threaded)
{
	static const struct store_hooks hooks;
	struct store_writer *writer = NULL;

	assert_int_equal(store_writer_start(store, &hooks, -1, threaded, &writer), RESULT_OK);
	return writer;
}

static void submit_waiting(struct store_writer *writer, struct row_job *jobs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		jobs[i] = row_job(i);
		jobs[i].job.may_wait = true;
		store_writer_submit(writer, &jobs[i].job);
	}
}

/* What may wait does until the worker has looked for more and found nothing. */
static void test_the_writer_is_called_when_the_worker_rests(void **state)
{
	(void)state;
	struct row_job jobs[2];
	struct store_writer *writer = start(false);
	store_writer_gather(writer, true);
	assert_true(store_writer_rest(writer, false, 0, 1000) == UINT64_MAX);
	submit_waiting(writer, jobs, ARRAY_COUNT(jobs));
	assert_true(store_writer_rest(writer, false, 0, 1000) == 0);
	assert_true(store_writer_rest(writer, false, 0, 1001) == 0);
	assert_true(store_writer_rest(writer, true, 0, 1002) == UINT64_MAX);
	assert_int_equal(store_writer_step(writer), 2);

	/* A worker that always finds something to do does not keep them for ever. */
	submit_waiting(writer, jobs, 1);
	assert_true(store_writer_rest(writer, false, 0, 2000) == 0);
	assert_true(store_writer_rest(writer, false, 0, 2000 + STORE_GATHER_US_MAX - 1) == 0);
	assert_true(store_writer_rest(writer, false, 0, 2000 + STORE_GATHER_US_MAX) == UINT64_MAX);
	store_writer_gather(writer, false);
	store_writer_stop(writer);
}

/* Some who do not wait for the answers of the others come while these are committed. */
static struct split {
	struct store_writer *writer;
	struct row_job jobs[40];
	unsigned count;
} split;

static enum result commit_split(void *owner, struct store_txn *txn)
{
	MAYBE(owner == NULL);
	submit_waiting(split.writer, split.jobs, split.count);
	assert_true(store_writer_rest(split.writer, true, 0, 1) == UINT64_MAX);
	return store_write_commit(txn);
}

/* After a batch of many their next ones are waited for a moment longer, when nobody came meanwhile:
 * until they are there, or in vain. */
static void test_siblings_are_waited_for(void **state)
{
	(void)state;
	static struct row_job jobs[80];
	struct store_writer *writer = start(false);
	store_writer_gather(writer, true);
	submit_waiting(writer, jobs, 80);
	assert_true(store_writer_rest(writer, true, 0, 1000) == UINT64_MAX);
	assert_int_equal(store_writer_step(writer), 80);
	assert_true(store_writer_rest(writer, false, 0, 2000) == UINT64_MAX);

	submit_waiting(writer, jobs, 74);
	assert_true(store_writer_rest(writer, false, 0, 2000) == 0);
	uint64_t left_us = store_writer_rest(writer, true, 0, 2000);
	assert_true(left_us > 0 && left_us <= STORE_SIBLINGS_US_MAX);
	assert_true(store_writer_rest(writer, false, 0, 2001) == left_us - 1);
	submit_waiting(writer, jobs + 74, 1);
	assert_true(store_writer_rest(writer, false, 0, 2001) == UINT64_MAX);
	assert_int_equal(store_writer_step(writer), 75);
	assert_true(store_writer_rest(writer, false, 0, 2500) == UINT64_MAX);

	submit_waiting(writer, jobs, 20);
	left_us = store_writer_rest(writer, true, 0, 3000);
	assert_true(left_us > 0 && left_us <= STORE_SIBLINGS_US_MAX);
	assert_true(store_writer_rest(writer, true, 0, 3000 + left_us) == UINT64_MAX);
	assert_int_equal(store_writer_step(writer), 20);
	store_writer_gather(writer, false);
	store_writer_stop(writer);
}

static bool are_awaited(struct store_writer *writer)
{
	uint64_t left_us = store_writer_rest(writer, true, 0, 1000);

	if (left_us == UINT64_MAX) return false;
	assert_true(store_writer_rest(writer, true, 0, 1000 + left_us) == UINT64_MAX);
	return true;
}

/* Where somebody comes during each commit they are waited for now and then only, ever less often;
 * also when the worker has made no jobs of their requests yet. */
static void test_who_comes_during_a_commit_is_not_waited_for(void **state)
{
	/* Trials after 1, 2, 4 … 32 times so many commits, and one at first. */
	enum { COMMITS = 64 * (STORE_SIBLINGS_PAUSES + 1), COMING = 40 };
	(void)state;
	static struct row_job jobs[80];
	unsigned awaited = 0;
	split.writer = start(false);
	split.count = ARRAY_COUNT(split.jobs);
	store_writer_gather(split.writer, true);
	store_writer_set_commit(split.writer, commit_split, NULL);
	submit_waiting(split.writer, jobs, 80);
	for (unsigned i = 0; i < COMMITS; i++) {
		awaited += are_awaited(split.writer);
		assert_true(store_writer_step(split.writer) > 0);
	}
	assert_true(awaited >= 6 && awaited <= 7);

	split.count = 0;
	awaited = 0;
	store_writer_gather(split.writer, false);
	(void)store_writer_step(split.writer);
	store_writer_gather(split.writer, true);
	for (unsigned i = 0; i < COMMITS; i++) {
		assert_true(store_writer_rest(split.writer, false, COMING, 999) == UINT64_MAX);
		submit_waiting(split.writer, jobs, COMING);
		awaited += are_awaited(split.writer);
		assert_int_equal(store_writer_step(split.writer), COMING);
	}
	assert_true(awaited >= 1 && awaited <= 2);

	/* Once they have waited twice it is tried soon, should they come apart. */
	assert_true(store_writer_rest(split.writer, false, 0, 999) == UINT64_MAX);
	submit_waiting(split.writer, jobs, COMING);
	assert_false(are_awaited(split.writer)); /* they are all there */
	assert_int_equal(store_writer_step(split.writer), COMING);
	assert_true(store_writer_rest(split.writer, false, 0, 999) == UINT64_MAX);
	awaited = 0;
	for (unsigned i = 0; i < 3 * (STORE_SIBLINGS_PAUSES + 1); i++) {
		submit_waiting(split.writer, jobs, COMING);
		awaited += are_awaited(split.writer);
		assert_int_equal(store_writer_step(split.writer), COMING);
		assert_true(store_writer_rest(split.writer, false, COMING, 999) == UINT64_MAX);
	}
	assert_int_equal(awaited, 2);
	store_writer_gather(split.writer, false);
	store_writer_stop(split.writer);
}

/* The thread does what has gathered when it is called: for another job, for many, at the end. */
static void test_gathered_jobs_are_done(void **state)
{
	(void)state;
	static struct row_job jobs[STORE_GATHER_JOBS_MAX];
	sem_t done;
	assert_int_equal(sem_init(&done, 0, 0), 0);
	struct store_writer *writer = start(true);
	store_writer_gather(writer, true);

	submit_waiting(writer, jobs, 3);
	struct row_job other = row_job(100);
	other.done = &done;
	store_writer_submit(writer, &other.job);
	assert_int_equal(sem_wait(&done), 0);
	assert_int_equal(jobs[2].completed_count, 1);

	assert_true(store_writer_rest(writer, true, 0, 1) == UINT64_MAX);
	submit_waiting(writer, jobs, STORE_GATHER_JOBS_MAX - 1);
	other.job.may_wait = true;
	store_writer_submit(writer, &other.job);
	assert_int_equal(sem_wait(&done), 0);

	submit_waiting(writer, jobs, 2);
	store_writer_gather(writer, false);
	store_writer_stop(writer);
	assert_int_equal(jobs[1].completed_count, 1);
	assert_int_equal(sem_destroy(&done), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_writer_is_called_when_the_worker_rests,
			begin, end),
		cmocka_unit_test_setup_teardown(test_siblings_are_waited_for, begin, end),
		cmocka_unit_test_setup_teardown(test_who_comes_during_a_commit_is_not_waited_for,
			begin, end),
		cmocka_unit_test_setup_teardown(test_gathered_jobs_are_done, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

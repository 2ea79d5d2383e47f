/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_writer — the thread that turns a queue of jobs into transactions.
 *
 * Happy path: take what has queued up → begin → apply each → finish → commit → complete each; a
 * checkpoint when one is due.
 * What can go wrong, and what it leads to:
 *   no room under the quota    ingest jobs fail with RESULT_SPACE before anything is applied
 *   no space in a transaction  it is given up; ingest jobs fail with RESULT_SPACE, the others
 *                              are tried again together, then one by one
 *   any other error            the shard has failed: no job is done any more, `failed` is told
 */
#include "store/store_writer.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "store/store_internal.h"

enum {
	WRITER_AWAKE = 0,
	WRITER_ASLEEP = 1,
	WRITER_CALLED = 2,
	STEPS_PER_CHECKPOINT = 5,
	STEP_COMMIT_US = 200
};

struct store_writer {
	struct store *store;
	struct store_hooks hooks;
	enum result (*commit)(void *owner, struct store_txn *txn); /* simulation only, or NULL */
	void *commit_owner;
	struct mailbox inbox;
	_Atomic uint32_t call; /* futex */
	atomic_bool stopping;
	bool threaded;
	int cpu;
	pthread_t thread;

	/* For the worker: how many of the jobs that may wait are done, and how long that took. */
	_Atomic uint32_t done_count;
	atomic_uint_fast64_t batch_commit_us;

	/* The worker's thread only. */
	bool gathering;
	uint32_t gathered_count; /* jobs the writer has not been called for */
	uint32_t called_count;   /* those it has been called for, ever; may wrap */
	uint32_t seen_done_count;
	uint64_t gathered_until_us; /* it is called then at the latest; 0: not known yet */
	bool awaiting;              /* there was nothing else to do once */
	uint32_t siblings;  /* jobs of the last batch, and those that waited when it was done */
	bool siblings_wait; /* hardly any came while it was committed */
	uint32_t sibling_pauses;   /* calls to go before it is tried although they do not */
	uint32_t sibling_interval; /* from a trial to the next one; 0: the shortest */

	/* Writer thread only. */
	bool failed;
	bool abandoned;
	unsigned steps;       /* not threaded: batches */
	struct mail *waiting; /* taken from the inbox, oldest first, not in a batch yet */
	struct store_job *jobs[STORE_BATCH_JOBS_MAX];
	unsigned job_count;

	atomic_uint_fast64_t commits;
	atomic_uint_fast64_t jobs_done;
	atomic_uint_fast64_t commit_us_total;
	atomic_uint_fast64_t commit_us_max;
};

static void count_commit(struct store_writer *writer, uint64_t us)
{
	atomic_fetch_add_explicit(&writer->commits, 1, memory_order_relaxed);
	/* No clock decides in a simulation. */
	atomic_store_explicit(&writer->batch_commit_us, writer->threaded ? us : STEP_COMMIT_US,
		memory_order_relaxed);
	atomic_fetch_add_explicit(&writer->commit_us_total, us, memory_order_relaxed);
	if (us > atomic_load_explicit(&writer->commit_us_max, memory_order_relaxed)) {
		atomic_store_explicit(&writer->commit_us_max, us, memory_order_relaxed);
	}
}

static void take_batch(struct store_writer *writer)
{
	uint64_t size = 0;

	writer->job_count = 0;
	if (writer->waiting == NULL) writer->waiting = mailbox_take_all(&writer->inbox);
	while (writer->waiting != NULL && writer->job_count < STORE_BATCH_JOBS_MAX) {
		struct store_job *job = CONTAINER_OF(writer->waiting, struct store_job, mail);
		size += job->size;
		if (writer->job_count > 0 && size > STORE_BATCH_BYTES_MAX) break;
		writer->waiting = job->mail.next;
		writer->jobs[writer->job_count++] = job;
	}
}

/* One transaction with those of jobs first … last-1 whose result is RESULT_OK. */
static enum result commit_jobs(struct store_writer *writer, unsigned first, unsigned last)
{
	const struct store_hooks *hooks = &writer->hooks;
	struct store_txn txn;

	if (hooks->begin != NULL) hooks->begin(hooks->owner);
	store_write_begin(&txn, writer->store);
	for (unsigned i = first; i < last && txn.result == RESULT_OK; i++) {
		if (writer->jobs[i]->result != RESULT_OK) continue;
		writer->jobs[i]->apply(writer->jobs[i], &txn);
	}
	if (hooks->finish != NULL && txn.result == RESULT_OK) hooks->finish(hooks->owner, &txn);

	uint64_t started_us = store_clock_us();
	enum result result = writer->commit == NULL ? store_write_commit(&txn)
						    : writer->commit(writer->commit_owner, &txn);
	if (result != RESULT_OK) {
		if (hooks->abort != NULL) hooks->abort(hooks->owner);
		return result;
	}
	count_commit(writer, store_clock_us() - started_us);
	if (hooks->committed != NULL) hooks->committed(hooks->owner);
	return RESULT_OK;
}

static void fail_jobs(struct store_writer *writer, unsigned first, enum result result)
{
	for (unsigned i = first; i < writer->job_count; i++) {
		if (writer->jobs[i]->result == RESULT_OK) writer->jobs[i]->result = result;
	}
}

/* Returns how many are left to be applied. */
static unsigned shed_ingest(struct store_writer *writer)
{
	unsigned left = 0;
	for (unsigned i = 0; i < writer->job_count; i++) {
		struct store_job *job = writer->jobs[i];
		if (!job->uses_reserve) job->result = RESULT_SPACE;
		left += job->result == RESULT_OK;
	}
	return left;
}

static unsigned admit_jobs(struct store_writer *writer)
{
	uint64_t size = 0;
	unsigned admitted = 0;
	for (unsigned i = 0; i < writer->job_count; i++) {
		struct store_job *job = writer->jobs[i];
		job->result = RESULT_OK;
		if (!job->uses_reserve && !store_has_room(writer->store, size + job->size)) {
			job->result = RESULT_SPACE;
			continue;
		}
		size += job->size;
		admitted++;
	}
	return admitted;
}

/* The first job that found no end, for fail_jobs(), and why. */
static enum result commit_one_by_one(struct store_writer *writer, unsigned *ret_index)
{
	for (unsigned i = 0; i < writer->job_count; i++) {
		if (writer->jobs[i]->result != RESULT_OK) continue;
		enum result result = commit_jobs(writer, i, i + 1);
		if (result == RESULT_SPACE) {
			writer->jobs[i]->result = RESULT_SPACE;
			/* Not the job's fault: each more would cost as much again. */
			if (store_checkpoint_refused(writer->store)) {
				fail_jobs(writer, i, RESULT_SPACE);
				return RESULT_OK;
			}
		} else if (result != RESULT_OK) {
			*ret_index = i;
			return result;
		}
	}
	return RESULT_OK;
}

static void stop_for_good(struct store_writer *writer, enum result result)
{
	writer->failed = true;
	store_pending_lose(writer->store);
	log_error("store has failed, nothing is accepted any more shard=%u result=\"%s\"",
		(unsigned)writer->store->shard, result_text(result));
	if (writer->hooks.failed != NULL) writer->hooks.failed(writer->hooks.owner, result);
}

static void commit_batch(struct store_writer *writer)
{
	unsigned failed_index = 0;

	if (admit_jobs(writer) == 0) return;
	enum result result = commit_jobs(writer, 0, writer->job_count);
	if (result == RESULT_SPACE) {
		if (shed_ingest(writer) == 0) return;
		result = commit_jobs(writer, 0, writer->job_count);
	}
	if (result == RESULT_SPACE) result = commit_one_by_one(writer, &failed_index);
	if (result == RESULT_OK) return;
	fail_jobs(writer, failed_index, RESULT_DISK);
	stop_for_good(writer, result);
}

static void complete_jobs(struct store_writer *writer)
{
	for (unsigned i = 0; i < writer->job_count; i++) {
		struct store_job *job = writer->jobs[i];
		job->followed = i + 1 < writer->job_count &&
			writer->jobs[i + 1]->complete == job->complete;
		/* From here on the job is its owner's again. */
		job->complete(job);
	}
}

static unsigned run_batch(struct store_writer *writer)
{
	take_batch(writer);
	if (writer->failed) {
		for (unsigned i = 0; i < writer->job_count; i++) {
			writer->jobs[i]->result = RESULT_DISK;
		}
	} else if (writer->job_count > 0) {
		commit_batch(writer);
	}
	atomic_fetch_add_explicit(&writer->jobs_done, writer->job_count, memory_order_relaxed);
	uint32_t may_wait = 0;
	for (unsigned i = 0; i < writer->job_count; i++) may_wait += writer->jobs[i]->may_wait;
	atomic_fetch_add_explicit(&writer->done_count, may_wait, memory_order_release);
	complete_jobs(writer);
	/* When they have been answered. */
	if (!writer->failed) store_checkpoint_prepare(writer->store);
	if (writer->job_count > 0) store_space_note_room(writer->store);
	return writer->job_count;
}

static void checkpoint(struct store_writer *writer)
{
	if (writer->failed || !store_checkpoint_wanted(writer->store)) return;
	enum result result = store_checkpoint(writer->store);
	store_space_note_room(writer->store);
	/* No space: the journal has it all, it is tried again. */
	if (result != RESULT_OK && result != RESULT_SPACE) stop_for_good(writer, result);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void call(struct store_writer *writer)
{
	if (atomic_exchange(&writer->call, WRITER_CALLED) != WRITER_ASLEEP) return;
	syscall(SYS_futex, &writer->call, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Until it is called, or was since it last slept. Not for long while there is something for a
 * checkpoint: false when it is time for that. */
static bool sleep_until_called(struct store_writer *writer)
{
	const struct timespec idle = { .tv_nsec = STORE_CHECKPOINT_IDLE_US * 1000L };
	bool wanted = !writer->failed && store_checkpoint_wanted(writer->store);
	uint32_t state = WRITER_AWAKE;
	bool called = true;

	if (atomic_compare_exchange_strong(&writer->call, &state, WRITER_ASLEEP)) {
		long code = syscall(SYS_futex, &writer->call, FUTEX_WAIT_PRIVATE, WRITER_ASLEEP,
			wanted ? &idle : NULL, NULL, 0);
		/* Otherwise called, or by a signal: either way look. */
		called = !wanted || code == 0 || errno != ETIMEDOUT;
	}
	/* Before the inbox is looked into: who calls from now on is heard the next time. */
	atomic_store(&writer->call, WRITER_AWAKE);
	return called;
}

static void checkpoint_idle(struct store_writer *writer)
{
	bool refused = store_checkpoint_refused(writer->store);
	if (!refused || store_checkpoint_due(writer->store)) checkpoint(writer);
}

static void *writer_main(void *argument)
{
	struct store_writer *writer = argument;
	char name[16];

	snprintf(name, sizeof name, "store-%u", (unsigned)writer->store->shard);
	pthread_setname_np(pthread_self(), name);
	alloc_thread_is_hot();
	while (!atomic_load(&writer->stopping)) {
		if (!sleep_until_called(writer)) checkpoint_idle(writer);
		do {
			run_batch(writer);
			if (store_checkpoint_due(writer->store)) checkpoint(writer);
		} while (writer->waiting != NULL);
	}
	while (run_batch(writer) > 0) continue;
	checkpoint(writer);
	return NULL;
}

static enum result start_thread(struct store_writer *writer)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	cpu_set_t cpus;

	CHECK(pthread_attr_init(&attributes) == 0);
	if (writer->cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned)writer->cpu, &cpus);
		CHECK(pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus) == 0);
	}
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = pthread_create(&writer->thread, &attributes, writer_main, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return code == 0 ? RESULT_OK : RESULT_KERNEL;
}

enum result store_writer_start(struct store *store, const struct store_hooks *hooks, int cpu,
	bool threaded, struct store_writer **ret)
{
	struct store_writer *writer = alloc_array(1, sizeof *writer);
	writer->store = store;
	writer->hooks = *hooks;
	writer->cpu = cpu;
	writer->threaded = threaded;
	if (threaded) {
		journal_start_helper(&store->journal, cpu);
		enum result result = start_thread(writer);
		if (result != RESULT_OK) {
			alloc_free(writer);
			return result;
		}
	}
	*ret = writer;
	return RESULT_OK;
}

void store_writer_stop(struct store_writer *writer)
{
	if (writer->threaded) {
		atomic_store(&writer->stopping, true);
		call(writer);
		CHECK(pthread_join(writer->thread, NULL) == 0);
	} else {
		while (store_writer_step(writer) > 0) continue;
		if (!writer->abandoned) checkpoint(writer);
		store_pending_lose(writer->store);
	}
	alloc_free(writer);
}

static void call_for_gathered(struct store_writer *writer)
{
	writer->called_count += writer->gathered_count;
	writer->gathered_count = 0;
	writer->gathered_until_us = 0;
	writer->awaiting = false;
	call(writer);
}

void store_writer_submit(struct store_writer *writer, struct store_job *job)
{
	CHECK(job->apply != NULL && job->complete != NULL);
	/* Before the push: from then on the job is the writer's. */
	bool may_wait = job->may_wait;
	if (may_wait) writer->gathered_count++;

	mailbox_push(&writer->inbox, &job->mail);
	if (!may_wait) {
		call(writer);
	} else if (!writer->gathering || writer->gathered_count >= STORE_GATHER_JOBS_MAX) {
		call_for_gathered(writer);
	}
}

void store_writer_gather(struct store_writer *writer, bool gather)
{
	writer->gathering = gather;
	if (writer->gathered_count > 0) call_for_gathered(writer);
}

/* Those whose jobs were just done often come right back with the next ones: keep-alive clients
 * that wait for their answer. Starting the next commit without them would split them into two
 * halves for ever, each paying for flushes of its own; a moment's wait makes one batch of them
 * (PostgreSQL's commit_delay and commit_siblings). That they wait shows in that nobody comes while
 * a commit runs; where somebody does they may be split, and it is tried now and then, ever less
 * often as long as it shows nothing. At an open load it would only delay. */
static void look_for_siblings(struct store_writer *writer, uint32_t done_count, uint32_t coming)
{
	uint32_t here = writer->gathered_count + coming;
	uint32_t batch_count = done_count - writer->seen_done_count;

	if (batch_count == 0) return;
	bool waited = writer->siblings_wait;
	writer->seen_done_count = done_count;
	writer->siblings = here + batch_count;
	writer->siblings_wait = here <= batch_count / 8;
	/* Once may be chance, and so may be anything about a few. */
	if (!waited || !writer->siblings_wait || writer->siblings < STORE_SIBLINGS_MIN) return;
	/* Should they come apart, that is to be found soon. */
	writer->sibling_interval = 0;
	if (writer->sibling_pauses > STORE_SIBLINGS_PAUSES) {
		writer->sibling_pauses = STORE_SIBLINGS_PAUSES;
	}
}

/* Calls to go after a trial: more each time, until one shows that they wait. */
static uint32_t next_trial(struct store_writer *writer)
{
	uint32_t interval = writer->sibling_interval;

	if (interval == 0) interval = STORE_SIBLINGS_PAUSES;
	writer->sibling_interval = 2 * interval;
	if (writer->sibling_interval > STORE_SIBLINGS_PAUSES_MAX) {
		writer->sibling_interval = STORE_SIBLINGS_PAUSES_MAX;
	}
	return interval;
}

static void await_siblings(struct store_writer *writer, uint64_t now_us)
{
	uint64_t limit_us = STORE_SIBLINGS_COMMITS *
		atomic_load_explicit(&writer->batch_commit_us, memory_order_relaxed);
	bool worth_it = writer->siblings_wait || writer->sibling_pauses == 0;

	if (writer->siblings < STORE_SIBLINGS_MIN) worth_it = false;
	if (limit_us > STORE_SIBLINGS_US_MAX) limit_us = STORE_SIBLINGS_US_MAX;
	if (writer->sibling_pauses > 0) {
		writer->sibling_pauses--;
	} else if (worth_it) {
		writer->sibling_pauses = next_trial(writer);
	}
	writer->awaiting = true;
	writer->gathered_until_us = worth_it ? now_us + limit_us : now_us;
}

uint64_t store_writer_rest(struct store_writer *writer, bool looked, uint32_t coming,
	uint64_t now_us)
{
	uint32_t done_count = atomic_load_explicit(&writer->done_count, memory_order_acquire);

	look_for_siblings(writer, done_count, coming);
	/* While a commit runs none can begin; those that are done wake the worker. */
	bool busy = (int32_t)(writer->called_count - done_count) > 0;
	if (writer->gathered_count == 0 || busy) return UINT64_MAX;
	if (writer->gathered_until_us == 0) {
		writer->gathered_until_us = now_us + STORE_GATHER_US_MAX;
	}
	if (looked && !writer->awaiting) await_siblings(writer, now_us);
	bool all = writer->gathered_count >= writer->siblings - writer->siblings / 16;
	if (now_us < writer->gathered_until_us && !(writer->awaiting && all)) {
		return writer->awaiting ? writer->gathered_until_us - now_us : 0;
	}
	call_for_gathered(writer);
	return UINT64_MAX;
}

unsigned store_writer_step(struct store_writer *writer)
{
	CHECK(!writer->threaded);
	unsigned done_count = run_batch(writer);
	/* No clock decides here, so that a run can be run again. */
	if (done_count > 0 && ++writer->steps % STEPS_PER_CHECKPOINT == 0) checkpoint(writer);
	return done_count;
}

/* ---- Making it visible ----------------------------------------------------------------------- */

struct flush {
	struct store_job job;
	sem_t done;
};

static void flush_apply(struct store_job *job, struct store_txn *txn)
{
	MAYBE(job->result != RESULT_OK);
	store_write_through(txn);
}

static void flush_complete(struct store_job *job)
{
	sem_post(&CONTAINER_OF(job, struct flush, job)->done);
}

enum result store_writer_flush(struct store_writer *writer)
{
	struct flush flush = {
		.job = {
			.apply = flush_apply,
			.complete = flush_complete,
			.uses_reserve = true,
		},
	};

	if (atomic_load(&writer->store->failed)) return RESULT_DISK;
	if (!store_checkpoint_wanted(writer->store)) return RESULT_OK;
	CHECK(sem_init(&flush.done, 0, 0) == 0);
	store_writer_submit(writer, &flush.job);
	while (sem_trywait(&flush.done) != 0) {
		if (!writer->threaded) {
			store_writer_step(writer);
		} else if (sem_wait(&flush.done) == 0) {
			break;
		}
	}
	sem_destroy(&flush.done);
	return flush.job.result;
}

bool store_writer_waiting(struct store_writer *writer)
{
	return writer->waiting != NULL || !mailbox_empty(&writer->inbox);
}

void store_writer_set_commit(struct store_writer *writer,
	enum result (*commit)(void *owner, struct store_txn *txn), void *owner)
{
	CHECK(!writer->threaded);
	writer->commit = commit;
	writer->commit_owner = owner;
}

void store_writer_abandon(struct store_writer *writer)
{
	CHECK(!writer->threaded);
	(void)mailbox_take_all(&writer->inbox);
	writer->waiting = NULL;
	writer->abandoned = true;
}

static uint64_t cpu_us(clockid_t clock)
{
	struct timespec used;
	if (clock_gettime(clock, &used) != 0) return 0;
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

struct store_writer_statistics store_writer_statistics(const struct store_writer *writer)
{
	struct store_writer_statistics statistics = {
		.commits = atomic_load_explicit(&writer->commits, memory_order_relaxed),
		.jobs = atomic_load_explicit(&writer->jobs_done, memory_order_relaxed),
		.commit_us_total =
			atomic_load_explicit(&writer->commit_us_total, memory_order_relaxed),
		.commit_us_max = atomic_load_explicit(&writer->commit_us_max, memory_order_relaxed),
	};
	clockid_t clock;
	if (writer->threaded && pthread_getcpuclockid(writer->thread, &clock) == 0) {
		statistics.cpu_us = cpu_us(clock);
	}
	return statistics;
}

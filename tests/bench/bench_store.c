/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_store — what an event costs on its way to disk: CPU of producer and writer thread
 * together, both on one CPU, and events per second, at 64 and 256 in flight.
 *
 *   put     1,200-byte values through the writer, nothing else
 *   append  events of 1,024 bytes with leaf, fingerprint and state, and into the queue's window
 *   settle  those, leased and settled as delivered
 *   expire  as append, while retention deletes as many settled events
 *
 * usage: bench_store [EVENTS [FOLDER]]      without arguments a short run, to see that it works
 */
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "lib/folder.h"
#include "queue/queue.h"

enum {
	PUT_SIZE = 1200,
	PAYLOAD_SIZE = 1024,
	TARGET_ID = 9,
	FLIGHT_MAX = 256,
	SHORT_RUN_EVENTS = 2000,
};

#define BENCH_START_US UINT64_C(1790000000000000)

struct flight {
	struct shard_append append;
	struct row {
		struct store_job job;
		uint64_t number;
	} row;
	struct bench *bench;
};

struct bench {
	struct shard *shard;
	struct queue *queue;
	struct replay *replay;
	struct mailbox done;
	sem_t woken;
	struct flight flights[FLIGHT_MAX];
	uint64_t put_count;
	uint64_t settled_count;
};

static uint8_t payload[PUT_SIZE];

static double clock_s(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void wake(void *owner)
{
	struct bench *bench = owner;
	sem_post(&bench->woken);
}

static void ready(void *owner, uint32_t target_id)
{
	MAYBE(owner != NULL && target_id == TARGET_ID);
}

static void due(void *owner, wall_t when)
{
	MAYBE(owner != NULL && when.us > 0);
}

static void append_complete(struct store_job *job)
{
	struct flight *flight = CONTAINER_OF(job, struct flight, append.job);
	CHECK(job->result == RESULT_OK);
	if (mailbox_push(&flight->bench->done, &job->mail)) wake(flight->bench);
}

static void put_complete(struct store_job *job)
{
	struct flight *flight = CONTAINER_OF(job, struct flight, row.job);
	CHECK(job->result == RESULT_OK);
	if (mailbox_push(&flight->bench->done, &job->mail)) wake(flight->bench);
}

static void put_apply(struct store_job *job, struct store_txn *txn)
{
	struct flight *flight = CONTAINER_OF(job, struct flight, row.job);
	uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	struct bytes value = bytes_of(payload, PUT_SIZE);
	/* Beyond all sequences of real events. */
	write_u64_be(&key, UINT64_C(1) << 63 | flight->row.number);
	store_append(txn, STORE_EVENTS, writer_bytes(&key), &value, 1);
}

static void submit_put(struct bench *bench, struct flight *flight)
{
	flight->row.number = ++bench->put_count;
	flight->row.job = (struct store_job){
		.apply = put_apply,
		.complete = put_complete,
		.size = PUT_SIZE,
	};
	store_writer_submit(shard_writer(bench->shard), &flight->row.job);
}

static void submit_append(struct bench *bench, struct flight *flight)
{
	flight->append = (struct shard_append){
		.job = { .complete = append_complete },
		.event = {
			.received = { BENCH_START_US + bench->put_count },
			.target_count = 1,
			.target_ids = { TARGET_ID },
			.content_type = BYTES_LITERAL("application/json"),
			.provider_event_id = BYTES_LITERAL("evt_01234567890123456789"),
			.forward_fields = BYTES_LITERAL("x-github-event: push\r\n"),
		},
		.payload = bytes_of(payload, PAYLOAD_SIZE),
		.identity = { ++bench->put_count, 1 },
		.body_hash = 7,
		.replay_expires = { 1790086400000000 },
	};
	shard_append_submit(bench->shard, &flight->append);
}

static struct mail *wait_done(struct bench *bench)
{
	struct mail *mail;
	while ((mail = mailbox_take_all(&bench->done)) == NULL) sem_wait(&bench->woken);
	return mail;
}

/* `count` events, `flight_count` of them under way at any time. */
static void run_put(struct bench *bench, unsigned flight_count, uint64_t count)
{
	uint64_t submitted = 0;
	uint64_t done = 0;
	for (; submitted < flight_count; submitted++) submit_put(bench, &bench->flights[submitted]);
	while (done < count) {
		struct mail *mail = wait_done(bench);
		while (mail != NULL) {
			struct flight *flight = CONTAINER_OF(mail, struct flight, row.job.mail);
			mail = mail->next;
			done++;
			if (submitted++ < count) submit_put(bench, flight);
		}
	}
}

static void run_append(struct bench *bench, unsigned flight_count, uint64_t count)
{
	uint64_t submitted = 0;
	uint64_t done = 0;
	for (; submitted < flight_count; submitted++) {
		submit_append(bench, &bench->flights[submitted]);
	}
	while (done < count) {
		struct mail *mail = wait_done(bench);
		while (mail != NULL) {
			struct flight *flight = CONTAINER_OF(mail, struct flight, append.job.mail);
			mail = mail->next;
			done++;
			queue_appended(bench->queue, &flight->append.event);
			if (submitted++ < count) submit_append(bench, flight);
		}
	}
}

static void run_settle(struct bench *bench, unsigned flight_count, uint64_t count)
{
	const struct attempt attempt = {
		.outcome = ATTEMPT_DELIVERED,
		.status = 200,
		.started = { BENCH_START_US },
		.duration_us = 700,
	};
	uint64_t leased = 0;
	while (shard_counters(bench->shard).deliveries_delivered < bench->settled_count + count) {
		queue_work(bench->queue, (wall_t){ BENCH_START_US });
		while (queue_usage(bench->queue).settling < flight_count && leased < count) {
			struct delivery *delivery = queue_lease(bench->queue, TARGET_ID);
			if (delivery == NULL) break;
			leased++;
			queue_settle(bench->queue, delivery, &attempt);
		}
		sem_wait(&bench->woken);
	}
	bench->settled_count += count;
}

typedef void run_fn(struct bench *bench, unsigned flight_count, uint64_t count);

static void measure(struct bench *bench, const char *name, run_fn *run, unsigned flight_count,
	uint64_t count)
{
	struct store_writer_statistics before = store_writer_statistics(shard_writer(bench->shard));
	struct rusage usage_before;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage_before);
	double cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	double wall_s = clock_s(CLOCK_MONOTONIC);
	run(bench, flight_count, count);
	cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
	wall_s = clock_s(CLOCK_MONOTONIC) - wall_s;
	getrusage(RUSAGE_SELF, &usage);
	struct store_writer_statistics after = store_writer_statistics(shard_writer(bench->shard));
	double system_s = (double)(usage.ru_stime.tv_sec - usage_before.ru_stime.tv_sec) +
		(double)(usage.ru_stime.tv_usec - usage_before.ru_stime.tv_usec) / 1e6;
	double events = (double)count;
	uint64_t commits = after.commits - before.commits;
	printf("%-7s %4u in flight: %8.0f/s  %5.2f us CPU each (kernel %5.2f, writer %5.2f)  "
	       "%5.1f per commit  commit %5.0f us\n",
		name, flight_count, events / wall_s, cpu_s * 1e6 / events, system_s * 1e6 / events,
		(double)(after.cpu_us - before.cpu_us) / events, events / (double)commits,
		(double)(after.commit_us_total - before.commit_us_total) / (double)commits);
}

static void open_bench(struct bench *bench, const char *folder, uint64_t retention_us)
{
	char error[256] = "";
	const struct queue_events events = {
		.ready = ready,
		.wake = wake,
		.due = due,
		.owner = bench,
	};

	CHECK(sem_init(&bench->woken, 0, 0) == 0);
	CHECK(replay_open(1 << 16, (struct hash128){ 1, 2 }, &bench->replay) == RESULT_OK);
	struct shard_config config = {
		.store = { .path = folder, .shard = 1, .quota_size = UINT64_C(16) << 30 },
		.replay = bench->replay,
		.retention_us = retention_us,
		.cpu = -1,
		.threaded = true,
	};
	enum result result = shard_open(&config, &bench->shard, error, sizeof error);
	if (result != RESULT_OK) fprintf(stderr, "bench_store: %s\n", error);
	CHECK(result == RESULT_OK);
	CHECK(queue_open(bench->shard, &events, (wall_t){ 1 }, &bench->queue) == RESULT_OK);
	for (unsigned i = 0; i < FLIGHT_MAX; i++) bench->flights[i].bench = bench;
}

static void close_bench(struct bench *bench)
{
	queue_close(bench->queue);
	shard_close(bench->shard);
	replay_close(bench->replay);
	sem_destroy(&bench->woken);
}

static void run(uint64_t count)
{
	static const unsigned flight_counts[] = { 1, 16, 64, 256 };
	static struct bench bench;
	char folder[FOLDER_PATH_SIZE];

	for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i * 31);
	for (unsigned i = 0; i < ARRAY_COUNT(flight_counts); i++) {
		unsigned flight_count = flight_counts[i];
		uint64_t events = flight_count < 64 ? count / 16 : count;
		folder_make(folder);
		bench = (struct bench){ 0 };
		open_bench(&bench, folder, 0);
		measure(&bench, "append", run_append, flight_count, events);
		measure(&bench, "settle", run_settle, flight_count, events);
		close_bench(&bench);
		open_bench(&bench, folder, 1);
		measure(&bench, "expire", run_append, flight_count, events);
		CHECK(shard_counters(bench.shard).events_expired >= events - 1);
		close_bench(&bench);
		open_bench(&bench, folder, 0);
		measure(&bench, "put", run_put, flight_count, events);
		close_bench(&bench);
		folder_remove(folder);
	}
}

/* In the ordinary test run: short, so that it does not rot. */
static void bench_smoke(void **state)
{
	(void)state;
	run(SHORT_RUN_EVENTS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench_smoke) };
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((unsigned)sched_getcpu(), &cpu);
	sched_setaffinity(0, sizeof cpu, &cpu);
	if (argc == 1) return cmocka_run_group_tests(tests, NULL, NULL);
	if (argc > 2) setenv("TMPDIR", argv[2], 1);
	run(strtoull(argv[1], NULL, 10));
	return 0;
}

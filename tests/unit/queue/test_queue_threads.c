/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker, writer and control at once: every delivery ends up delivered, dead letters come back
 * when a person replays them, and the log is whole all the while. */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "lib/folder.h"
#include "queue/queue_internal.h"

enum { EVENTS = 3000, TARGETS = 3, FLIGHTS = 32, LEASED_MAX = 40, SLOW_MAX = 6 };

struct flight {
	struct shard_append append;
	struct scene *scene;
};

struct scene {
	char folder[FOLDER_PATH_SIZE];
	struct shard *shard;
	struct queue *queue;
	struct random random;
	struct mailbox appended;
	sem_t woken;
	struct flight flights[FLIGHTS];
	unsigned free_count;
	struct flight *free_flights[FLIGHTS];
	struct delivery *leased[LEASED_MAX];
	unsigned leased_count;
	struct delivery *slow[SLOW_MAX]; /* those that take long */
	unsigned slow_next;
	uint64_t submitted;
	atomic_uint_fast64_t now_us;
	atomic_bool stop;
	uint64_t replayed; /* control's */
};

static uint8_t payload[3000];

static void wake(void *owner)
{
	struct scene *scene = owner;
	sem_post(&scene->woken);
}

static void ready(void *owner, uint32_t target_id)
{
	CHECK(owner != NULL && target_id >= 1 && target_id <= TARGETS);
}

static void due(void *owner, wall_t when)
{
	MAYBE(owner != NULL && when.us > 0);
}

static void appended(struct store_job *job)
{
	struct flight *flight = CONTAINER_OF(job, struct flight, append.job);
	CHECK(job->result == RESULT_OK);
	if (mailbox_push(&flight->scene->appended, &job->mail)) wake(flight->scene);
}

static void submit(struct scene *scene)
{
	while (scene->free_count > 0 && scene->submitted < EVENTS) {
		struct flight *flight = scene->free_flights[--scene->free_count];
		flight->append = (struct shard_append){
			.job = { .complete = appended },
			.event = {
				.received = { atomic_load(&scene->now_us) },
				.target_count = TARGETS,
				.target_ids = { 1, 2, 3 },
			},
			.payload = bytes_of(payload, random_below(&scene->random, sizeof payload)),
			.identity = { ++scene->submitted, 1 },
		};
		hash_sha256(flight->append.payload, flight->append.event.payload_sha256);
		shard_append_submit(scene->shard, &flight->append);
	}
}

static void take_appended(struct scene *scene)
{
	struct mail *mail = mailbox_take_all(&scene->appended);
	while (mail != NULL) {
		struct flight *flight = CONTAINER_OF(mail, struct flight, append.job.mail);
		mail = mail->next;
		queue_appended(scene->queue, &flight->append.event);
		scene->free_flights[scene->free_count++] = flight;
	}
}

static void settle_some(struct scene *scene)
{
	for (uint32_t target_id = 1; target_id <= TARGETS; target_id++) {
		while (scene->leased_count < LEASED_MAX) {
			struct delivery *delivery = queue_lease(scene->queue, target_id);
			if (delivery == NULL) break;
			scene->leased[scene->leased_count++] = delivery;
		}
	}
	while (scene->leased_count > 0) {
		struct delivery *delivery = scene->leased[--scene->leased_count];
		struct event event;
		struct bytes part;
		CHECK(queue_read_begin(scene->queue, delivery, &event) == RESULT_OK);
		CHECK(queue_read_payload(scene->queue, &event, 0, &part) == RESULT_OK);
		CHECK(part.size == event.payload_size);
		queue_read_end(scene->queue);
		uint64_t pick = random_below(&scene->random, 20);
		if (random_below(&scene->random, 40) == 0 && scene->submitted < EVENTS) {
			struct delivery **place = &scene->slow[scene->slow_next++ % SLOW_MAX];
			struct delivery *finished = *place;
			*place = delivery;
			if (finished == NULL) continue;
			delivery = finished;
		}
		if (pick == 19) {
			queue_release(scene->queue, delivery);
			break;
		}
		const uint64_t now_us = atomic_load(&scene->now_us);
		const struct attempt attempt = {
			.outcome = pick < 15 ? ATTEMPT_DELIVERED
				: pick < 18  ? ATTEMPT_RETRY
					     : ATTEMPT_DEAD,
			.started = { now_us },
			.next_due = { now_us + random_below(&scene->random, 200000) },
		};
		queue_settle(scene->queue, delivery, &attempt);
	}
}

struct control_job {
	struct queue_dead_job dead;
	atomic_bool done;
};

static void control_done(struct store_job *job)
{
	struct control_job *control = CONTAINER_OF(job, struct control_job, dead.job);
	CHECK(job->result == RESULT_OK);
	atomic_store(&control->done, true);
}

/* Replays whatever is dead, and looks at everything. */
static void *control_main(void *argument)
{
	struct scene *scene = argument;
	struct store_txn txn = { 0 };
	unsigned round = 0;

	while (!atomic_load(&scene->stop)) {
		struct dead_letter letter;
		shard_read_begin(scene->shard, &txn);
		enum result result = shard_dead_next(&txn, 0, 0, &letter);
		store_read_end(&txn);
		if (result == RESULT_OK) {
			struct control_job control = {
				.dead = {
					.job = { .complete = control_done },
					.sequence = letter.sequence,
					.target_id = letter.target_id,
					.now = { atomic_load(&scene->now_us) },
					.actor = "control",
				},
			};
			queue_dead_replay(scene->queue, &control.dead);
			while (!atomic_load(&control.done)) sched_yield();
			CHECK(control.dead.found);
			scene->replayed++;
		}
		struct shard_counters counters = shard_counters(scene->shard);
		CHECK(counters.deliveries_delivered + counters.deliveries_dead <=
			counters.deliveries_created);
		if (++round % 64 == 0) {
			struct audit_report report;
			CHECK(shard_audit_verify(scene->shard, NULL, NULL, &report) == RESULT_OK);
			CHECK(report.valid);
			shard_expire(scene->shard, (wall_t){ atomic_load(&scene->now_us) });
		}
	}
	store_read_done(&txn);
	return NULL;
}

static void settle_slow(struct scene *scene)
{
	const struct attempt attempt = { .outcome = ATTEMPT_DELIVERED };
	for (unsigned i = 0; i < SLOW_MAX; i++) {
		if (scene->slow[i] == NULL) continue;
		queue_settle(scene->queue, scene->slow[i], &attempt);
		scene->slow[i] = NULL;
	}
}

static uint64_t deferred_rows(struct scene *scene)
{
	struct store_txn txn = { 0 };
	shard_read_begin(scene->shard, &txn);
	uint64_t count = store_row_count(&txn, STORE_DEFERRED);
	store_read_done(&txn);
	return count;
}

static void open_scene(struct scene *scene)
{
	char error[256] = "";
	const struct queue_events events = {
		.ready = ready,
		.wake = wake,
		.due = due,
		.owner = scene,
	};
	folder_make(scene->folder);
	const struct shard_config config = {
		.store = { .path = scene->folder, .shard = 1, .quota_size = UINT64_C(256) << 20 },
		.retention_us = UINT64_C(1) << 50,
		.cpu = -1,
		.threaded = true,
	};
	assert_int_equal(shard_open(&config, &scene->shard, error, sizeof error), RESULT_OK);
	/* A window that fills soon, and little room for rows. */
	const struct queue_limits limits = { 64, { 192, 32, 32 }, 16 };
	const wall_t now = { atomic_load(&scene->now_us) };
	enum result result = queue_open_limited(scene->shard, &events, now, &limits, &scene->queue);
	assert_int_equal(result, RESULT_OK);
	assert_int_equal(sem_init(&scene->woken, 0, 0), 0);
	for (unsigned i = 0; i < FLIGHTS; i++) {
		scene->flights[i].scene = scene;
		scene->free_flights[scene->free_count++] = &scene->flights[i];
	}
}

static void test_all_at_once(void **state)
{
	(void)state;
	static struct scene scene;
	pthread_t control;
	uint64_t rows_max = 0;

	scene.random.state = 7;
	atomic_store(&scene.now_us, UINT64_C(1790000000000000));
	open_scene(&scene);
	assert_int_equal(pthread_create(&control, NULL, control_main, &scene), 0);
	while (shard_counters(scene.shard).deliveries_delivered < EVENTS * TARGETS) {
		atomic_fetch_add(&scene.now_us, 20000);
		submit(&scene);
		take_appended(&scene);
		queue_work(scene.queue, (wall_t){ atomic_load(&scene.now_us) });
		settle_some(&scene);
		if (scene.submitted == EVENTS) settle_slow(&scene);
		uint64_t rows = deferred_rows(&scene);
		if (rows > rows_max) rows_max = rows;
		struct queue_usage usage = queue_usage(scene.queue);
		if (usage.ready == 0 && usage.settling > 0) sem_wait(&scene.woken);
	}
	atomic_store(&scene.stop, true);
	assert_int_equal(pthread_join(control, NULL), 0);
	queue_work(scene.queue, (wall_t){ atomic_load(&scene.now_us) });
	queue_close(scene.queue);
	struct shard_counters counters = shard_counters(scene.shard);
	assert_int_equal(counters.events_accepted, EVENTS);
	assert_int_equal(counters.deliveries_delivered, EVENTS * TARGETS);
	assert_int_equal(counters.deliveries_dead, 0);
	assert_int_equal(counters.dead_replayed, scene.replayed);
	assert_true(rows_max > 0);
	assert_int_equal(counters.leaf_count,
		counters.events_accepted + counters.attempts + scene.replayed);
	struct audit_report report;
	assert_int_equal(shard_audit_verify(scene.shard, NULL, NULL, &report), RESULT_OK);
	assert_true(report.valid);
	shard_close(scene.shard);
	sem_destroy(&scene.woken);
	folder_remove(scene.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/sim_daemon.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "deliver/deliver_internal.h"
#include "receive/receive_internal.h"
#include "sim/sim_ledger.h"

enum { STEP_DELAY_US_MAX = 200, BUFFER_SIZE = 2048, TARGETS_IN_FLOW_MAX = 16, HALF_PPM = 500000 };
#define EXPIRE_INTERVAL_US (30 * US_PER_S)
#define TICK_INTERVAL_US US_PER_S

/* ---- The queue's wishes, as in worker.c ------------------------------------------------------ */

static void tick_start(struct sim_worker *worker)
{
	if (timer_running(&worker->tick)) return;
	timer_start(&worker->loop.timers, &worker->tick, loop_now(&worker->loop), TICK_INTERVAL_US);
}

static void tick_expired(void *owner)
{
	struct sim_worker *worker = owner;

	queue_work(worker->queue, io_wall(worker->loop.io));
	struct queue_usage usage = queue_usage(worker->queue);
	if (usage.window_events > 0 || usage.backlog > 0) tick_start(worker);
}

static void queue_ready(void *owner, uint32_t target_id)
{
	struct sim_worker *worker = owner;

	tick_start(worker);
	deliver_ready(worker->deliver, target_id);
}

static void queue_letter_open(struct letter *letter)
{
	struct sim_worker *worker = CONTAINER_OF(letter, struct sim_worker, queue_letter);

	worker->queue_letter_posted = false;
	queue_work(worker->queue, io_wall(worker->loop.io));
}

static void queue_wake(void *owner)
{
	struct sim_worker *worker = owner;

	if (worker->queue_letter_posted) return;
	worker->queue_letter_posted = true;
	loop_post(&worker->loop, &worker->queue_letter.mail);
}

static void queue_due(void *owner, wall_t when)
{
	struct sim_worker *worker = owner;

	worker->due_at = when;
	if (when.us == UINT64_MAX) {
		timer_stop(&worker->loop.timers, &worker->due);
		return;
	}
	wall_t now = io_wall(worker->loop.io);
	uint64_t delay_us = when.us > now.us ? when.us - now.us : 0;
	timer_start(&worker->loop.timers, &worker->due, loop_now(&worker->loop), delay_us);
}

static void due_expired(void *owner)
{
	struct sim_worker *worker = owner;
	wall_t now = io_wall(worker->loop.io);

	if (now.us < worker->due_at.us) {
		queue_due(worker, worker->due_at);
	} else {
		queue_work(worker->queue, now);
	}
}

static void expire_expired(void *owner)
{
	struct sim_worker *worker = owner;

	shard_expire(worker->shard, io_wall(worker->loop.io));
	timer_start(&worker->loop.timers, &worker->expire, loop_now(&worker->loop),
		EXPIRE_INTERVAL_US);
}

static void deadline_expired(void *owner)
{
	struct sim_worker *worker = owner;

	receive_abort(worker->receive);
	deliver_abort(worker->deliver);
}

static void worker_mail(void *owner, struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

	(void)owner;
	letter->open(letter);
}

/* ---- The writer ------------------------------------------------------------------------------ */

static void nothing(void *owner)
{
	MAYBE(owner == NULL);
}

/* The world goes on while the writer waits for its disk; only that the process dies has to wait
 * until we are out of here. */
static void disk_wait(struct sim_worker *worker)
{
	struct sim_daemon *daemon = worker->daemon;
	struct sim_world *world = daemon->world;
	uint64_t wait_us = sim_between(world, 0, daemon->config.disk.latency_us_max);
	uint64_t end_us = sim_world_now(world).us + wait_us;

	sim_world_call(world, wait_us, nothing, NULL);
	while (sim_world_now(world).us < end_us && !daemon->dying) {
		CHECK(sim_world_step(world));
		sim_daemon_watch(daemon);
	}
}

static enum result disk_refuse(struct sim_worker *worker, struct store_txn *txn, enum result result)
{
	worker->daemon->failed_commits++;
	sim_record(worker->daemon->world, "no commit", worker->index, result);
	store_write_abort(txn);
	return result;
}

/* In place of store_write_commit(). */
static enum result disk_commit(void *owner, struct store_txn *txn)
{
	struct sim_worker *worker = owner;
	struct sim_daemon *daemon = worker->daemon;
	struct sim_world *world = daemon->world;
	const struct sim_disk *disk = &daemon->config.disk;

	if (txn->result != RESULT_OK) return store_write_commit(txn);
	disk_wait(worker);
	if (sim_chance(world, disk->kill_ppm)) daemon->dying = true;
	/* It dies before the commit was through: nobody will read the result. */
	if (daemon->dying && sim_chance(world, HALF_PPM)) {
		return disk_refuse(worker, txn, RESULT_SPACE);
	}
	if (sim_chance(world, disk->space_ppm)) return disk_refuse(worker, txn, RESULT_SPACE);
	bool broken = sim_chance(world, disk->disk_ppm);
	if (broken && sim_chance(world, HALF_PPM)) return disk_refuse(worker, txn, RESULT_DISK);

	enum result result = store_write_commit(txn);
	CHECK(result == RESULT_OK);
	daemon->commits++;
	sim_record(world, "commit", worker->index, 0);
	if (broken) {
		/* All of it is there, but the disk says otherwise: nobody can know. */
		daemon->failed_commits++;
		return RESULT_DISK;
	}
	disk_wait(worker);
	return RESULT_OK;
}

static void writer_step(void *owner)
{
	struct sim_worker *worker = owner;

	/* Of a process that has died since: the one that runs now is stepped early. */
	if (!worker->daemon->running || !worker->step_scheduled || worker->stepping) return;
	worker->step_scheduled = false;
	worker->stepping = true;
	store_writer_step(shard_writer(worker->shard));
	worker->stepping = false;
}

/* The writer gives up, the process is about to exit. Until it does the other worker serves. */
static void shard_failed(void *owner, enum result result)
{
	struct sim_worker *worker = owner;
	struct sim_daemon *daemon = worker->daemon;
	struct sim_world *world = daemon->world;

	MAYBE(result == RESULT_DISK);
	if (daemon->die_at_us != 0) return;
	uint64_t delay_us = sim_between(world, 0, daemon->config.disk.exit_us_max);
	daemon->die_at_us = sim_world_now(world).us + delay_us;
	sim_world_call(world, delay_us, nothing, NULL);
}

void sim_daemon_watch(struct sim_daemon *daemon)
{
	struct sim_world *world = daemon->world;

	if (!daemon->running) return;
	if (daemon->die_at_us != 0 && sim_world_now(world).us >= daemon->die_at_us)
		daemon->dying = true;
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		if (worker->step_scheduled || worker->stepping) continue;
		if (!store_writer_waiting(shard_writer(worker->shard))) continue;
		worker->step_scheduled = true;
		sim_world_call(world, sim_between(world, 0, STEP_DELAY_US_MAX), writer_step,
			worker);
	}
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void open_shard(struct sim_worker *worker)
{
	struct sim_daemon *daemon = worker->daemon;
	char path[FOLDER_PATH_SIZE];
	char name[16];
	char error[256] = "";

	snprintf(name, sizeof name, "shard-%02u", (unsigned)worker->index);
	folder_path(path, daemon->folder, name);
	const struct shard_config config = {
		.store = { .path = path,
			.shard = (uint16_t)worker->index,
			.quota_size = daemon->config.quota_size },
		.replay = daemon->replay,
		.retention_us = daemon->config.retention_us,
		.cpu = -1,
		.failed = shard_failed,
		.owner = worker,
	};
	if (shard_open(&config, &worker->shard, error, sizeof error) != RESULT_OK) {
		sim_violation(daemon->world, "shard %u does not open: %s", worker->index, error);
	}
	store_writer_set_commit(shard_writer(worker->shard), disk_commit, worker);
}

static void open_loop(struct sim_worker *worker)
{
	const struct sim_daemon_config *config = &worker->daemon->config;
	struct io_config io_config = {
		.sockets_max = config->connections_max + RECEIVE_PARKED_MAX + config->channels_max +
			1,
		.buffer_count = config->buffer_count,
		.buffer_size = BUFFER_SIZE,
	};

	CHECK(loop_open(&worker->loop, &io_config) == RESULT_OK);
	sim_world_add(worker->daemon->world, &worker->loop);
	worker->loop.mail = worker_mail;
	worker->loop.owner = worker;
	timer_init(&worker->due, due_expired, worker);
	timer_init(&worker->tick, tick_expired, worker);
	timer_init(&worker->expire, expire_expired, worker);
	timer_init(&worker->deadline, deadline_expired, worker);
	worker->queue_letter.open = queue_letter_open;
	worker->queue_letter_posted = false;
	streams_open(&worker->streams, &worker->loop,
		config->connections_max + config->channels_max);
}

static void open_queue(struct sim_worker *worker)
{
	const struct queue_events events = {
		.ready = queue_ready,
		.wake = queue_wake,
		.due = queue_due,
		.owner = worker,
	};
	const struct queue_limits *limits = &worker->daemon->config.limits;
	wall_t now = io_wall(worker->loop.io);
	enum result result = limits->window_events == 0
		? queue_open(worker->shard, &events, now, &worker->queue)
		: queue_open_limited(worker->shard, &events, now, limits, &worker->queue);
	if (result != RESULT_OK) {
		sim_violation(worker->daemon->world, "the queue of shard %u does not open: %s",
			worker->index, result_text(result));
	}
}

static struct tls_context *const plain[TARGETS_IN_FLOW_MAX];

static void open_worker(struct sim_worker *worker)
{
	const struct sim_daemon_config *config = &worker->daemon->config;
	uint32_t listener;

	worker->draining = false;
	worker->flow_letter.open = NULL;
	worker->step_scheduled = false;
	open_shard(worker);
	open_loop(worker);
	open_queue(worker);
	deliver_open(
		&(struct deliver_config){
			.streams = &worker->streams,
			.queue = worker->queue,
			.metrics = worker->metrics,
			.channels_max = config->channels_max,
			.targets_max = TARGETS_IN_FLOW_MAX,
		},
		&worker->deliver);
	CHECK(config->flow->target_count <= TARGETS_IN_FLOW_MAX);
	deliver_flow_set(worker->deliver, config->flow, plain);
	receive_open(
		&(struct receive_config){
			.streams = &worker->streams,
			.shard = worker->shard,
			.queue = worker->queue,
			.replay = worker->daemon->replay,
			.metrics = worker->metrics,
			.connections_max = config->connections_max,
			.requests_max = config->requests_max,
			.body_size_max = RECEIVE_BODY_SIZE_DEFAULT,
			.listeners_max = 1,
		},
		config->flow, &worker->receive);
	CHECK(receive_listen(worker->receive, &config->address, NULL, &listener) == RESULT_OK);
	timer_start(&worker->loop.timers, &worker->expire, loop_now(&worker->loop),
		EXPIRE_INTERVAL_US);
	queue_wake(worker);
}

void sim_daemon_open(struct sim_daemon *daemon, struct sim_world *world,
	const struct sim_daemon_config *config)
{
	*daemon = (struct sim_daemon){ .config = *config, .world = world };
	folder_make(daemon->folder);
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		daemon->workers[i].daemon = daemon;
		daemon->workers[i].index = i;
		daemon->workers[i].metrics = metrics_cells_create();
	}
}

void sim_daemon_close(struct sim_daemon *daemon)
{
	CHECK(!daemon->running);
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		metrics_cells_free(daemon->workers[i].metrics);
	}
	folder_remove(daemon->folder);
}

void sim_daemon_start(struct sim_daemon *daemon)
{
	CHECK(!daemon->running);
	CHECK(replay_open(daemon->config.replay_entries_max, &daemon->replay) == RESULT_OK);
	daemon->running = true;
	daemon->dying = false;
	daemon->die_at_us = 0;
	sim_record(daemon->world, "start", daemon->kills, 0);
	for (uint32_t i = 0; i < SIM_WORKERS; i++) open_worker(&daemon->workers[i]);
}

/* ---- Dying ----------------------------------------------------------------------------------- */

/* Its memory is given back without any of its own doing. */
static void kill_worker(struct sim_worker *worker)
{
	CHECK(!worker->stepping);
	sim_world_remove(worker->daemon->world, &worker->loop);
	sim_io_kill(worker->loop.io);
	store_writer_abandon(shard_writer(worker->shard));

	worker->receive->connections.used_count = 0;
	worker->receive->requests.used_count = 0;
	worker->receive->buffers.used_count = 0;
	worker->receive->large_buffers.used_count = 0;
	worker->receive->parked.used_count = 0;
	worker->receive->listeners_open = 0;
	receive_close(worker->receive);
	worker->deliver->channels.used_count = 0;
	deliver_close(worker->deliver);
	worker->queue->jobs_count = 0;
	queue_close(worker->queue);
	worker->streams.outputs.used_count = 0;
	streams_close(&worker->streams);
	shard_close(worker->shard);
}

void sim_daemon_kill(struct sim_daemon *daemon)
{
	CHECK(daemon->running);
	sim_record(daemon->world, "kill", daemon->kills, 0);
	for (uint32_t i = 0; i < SIM_WORKERS; i++) kill_worker(&daemon->workers[i]);
	replay_close(daemon->replay);
	daemon->running = false;
	daemon->draining = false;
	daemon->dying = false;
	daemon->kills++;
}

/* ---- Stopping -------------------------------------------------------------------------------- */

/* On the worker's own turn, as worker.c has it. */
static void flow_letter_open(struct letter *letter)
{
	struct sim_worker *worker = CONTAINER_OF(letter, struct sim_worker, flow_letter);

	worker->flow_letter.open = NULL;
	receive_flow_set(worker->receive, worker->daemon->config.flow);
	deliver_flow_set(worker->deliver, worker->daemon->config.flow, plain);
}

void sim_daemon_publish(struct sim_daemon *daemon, struct flow *flow)
{
	daemon->config.flow = flow;
	for (uint32_t i = 0; i < SIM_WORKERS && daemon->running; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		/* Else the last one is still on its way. */
		if (worker->flow_letter.open != NULL) continue;
		worker->flow_letter.open = flow_letter_open;
		loop_post(&worker->loop, &worker->flow_letter.mail);
	}
}

static void drain_letter_open(struct letter *letter)
{
	struct sim_worker *worker = CONTAINER_OF(letter, struct sim_worker, drain_letter);

	worker->draining = true;
	receive_drain(worker->receive);
	deliver_drain(worker->deliver);
	timer_stop(&worker->loop.timers, &worker->expire);
	timer_start(&worker->loop.timers, &worker->deadline, loop_now(&worker->loop),
		worker->daemon->drain_us);
}

void sim_daemon_drain(struct sim_daemon *daemon, uint64_t drain_us)
{
	if (daemon->draining) return;
	daemon->draining = true;
	daemon->drain_us = drain_us;
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		worker->drain_letter.open = drain_letter_open;
		loop_post(&worker->loop, &worker->drain_letter.mail);
	}
}

bool sim_daemon_idle(const struct sim_daemon *daemon)
{
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		const struct sim_worker *worker = &daemon->workers[i];
		if (!worker->draining) return false;
		if (!receive_idle(worker->receive) || !deliver_idle(worker->deliver)) return false;
		if (queue_usage(worker->queue).settling > 0) return false;
		if (worker->stepping || store_writer_waiting(shard_writer(worker->shard))) {
			return false;
		}
	}
	return true;
}

static void stop_worker(struct sim_worker *worker)
{
	struct io_statistics io = io_statistics(worker->loop.io);

	CHECK(io.sockets_used == 0);
	CHECK(io.buffers_free == worker->daemon->config.buffer_count);
	CHECK(deliver_quiet(worker->deliver));
	CHECK(queue_usage(worker->queue).leased == 0);
	CHECK(worker->receive->buffers.used_count == 0);
	CHECK(worker->receive->large_buffers.used_count == 0);
	CHECK(worker->streams.outputs.used_count == 0);
	timer_stop(&worker->loop.timers, &worker->due);
	timer_stop(&worker->loop.timers, &worker->tick);
	timer_stop(&worker->loop.timers, &worker->deadline);
	receive_close(worker->receive);
	deliver_close(worker->deliver);
	queue_close(worker->queue);
	(void)mailbox_take_all(&worker->loop.mailbox);
	streams_close(&worker->streams);
	sim_world_remove(worker->daemon->world, &worker->loop);
	loop_close(&worker->loop);
	shard_close(worker->shard);
}

void sim_daemon_stop(struct sim_daemon *daemon)
{
	CHECK(sim_daemon_idle(daemon));
	for (uint32_t i = 0; i < SIM_WORKERS; i++) stop_worker(&daemon->workers[i]);
	replay_close(daemon->replay);
	sim_record(daemon->world, "stop", daemon->stops, 0);
	daemon->running = false;
	daemon->draining = false;
	daemon->stops++;
}

/* ---- Looking at it --------------------------------------------------------------------------- */

uint64_t sim_daemon_outstanding(const struct sim_daemon *daemon)
{
	uint64_t outstanding = 0;

	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct shard_counters counters = shard_counters(daemon->workers[i].shard);
		outstanding += counters.deliveries_created - counters.deliveries_delivered -
			counters.deliveries_dead;
	}
	return outstanding;
}

struct dead_replay {
	struct queue_dead_job job;
	bool done;
};

static void dead_replayed(struct store_job *job)
{
	CONTAINER_OF(CONTAINER_OF(job, struct queue_dead_job, job), struct dead_replay, job)->done =
		true;
}

static void replay_one(struct sim_worker *worker, const struct dead_letter *letter)
{
	struct dead_replay replay = {
		.job = {
			.job = { .complete = dead_replayed },
			.sequence = letter->sequence,
			.target_id = letter->target_id,
			.now = io_wall(worker->loop.io),
			.actor = "sim",
		},
	};

	queue_dead_replay(worker->queue, &replay.job);
	while (!replay.done) {
		CHECK(sim_world_step(worker->daemon->world));
		sim_daemon_watch(worker->daemon);
	}
	CHECK(replay.job.job.result == RESULT_OK && replay.job.found);
}

static bool next_dead(struct sim_worker *worker, struct dead_letter *letter)
{
	struct store_txn txn = { 0 };

	store_read_begin(&txn, shard_store(worker->shard));
	enum result result = shard_dead_next(&txn, letter->sequence, letter->target_id, letter);
	store_read_done(&txn);
	CHECK(result == RESULT_OK || result == RESULT_NOT_FOUND);
	return result == RESULT_OK;
}

uint32_t sim_daemon_replay_dead(struct sim_daemon *daemon)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		struct dead_letter letter = { 0 };
		while (next_dead(worker, &letter)) {
			replay_one(worker, &letter);
			count++;
		}
	}
	return count;
}

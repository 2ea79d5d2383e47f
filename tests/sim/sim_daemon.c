/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/sim_daemon.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "deliver/deliver_internal.h"
#include "receive/receive_internal.h"
#include "sim/sim_ledger.h"

enum { STEP_DELAY_US_MAX = 200, BUFFER_SIZE = 2048, TARGETS_IN_FLOW_MAX = 16, HALF_PPM = 500000 };

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
	const struct wiring_config wiring = {
		.shard = worker->shard,
		.replay = worker->daemon->replay,
		.metrics = worker->metrics,
		.connections_max = config->connections_max,
		.requests_max = config->requests_max,
		.body_size_max = RECEIVE_BODY_SIZE_DEFAULT,
		.listeners_max = 1,
		.channels_max = config->channels_max,
		.targets_max = TARGETS_IN_FLOW_MAX,
		.buffer_count = config->buffer_count,
		.buffer_size = BUFFER_SIZE,
	};

	CHECK(wiring_open_loop(&worker->wiring, &wiring) == RESULT_OK);
	sim_world_add(worker->daemon->world, &worker->wiring.loop);
}

static void open_queue(struct sim_worker *worker)
{
	struct wiring *wiring = &worker->wiring;
	const struct queue_events events = wiring_queue_events(wiring);
	const struct queue_limits *limits = &worker->daemon->config.limits;
	wall_t now = io_wall(wiring->loop.io);
	enum result result = limits->window_events == 0
		? queue_open(worker->shard, &events, now, &wiring->queue)
		: queue_open_limited(worker->shard, &events, now, limits, &wiring->queue);
	if (result != RESULT_OK) {
		sim_violation(worker->daemon->world, "the queue of shard %u does not open: %s",
			worker->index, result_text(result));
	}
}

static const struct deliver_tls plain[TARGETS_IN_FLOW_MAX];

static void open_worker(struct sim_worker *worker)
{
	const struct sim_daemon_config *config = &worker->daemon->config;
	struct wiring *wiring = &worker->wiring;
	uint32_t listener;

	worker->flow_letter.open = NULL;
	worker->step_scheduled = false;
	open_shard(worker);
	open_loop(worker);
	open_queue(worker);
	CHECK(config->flow->target_count <= TARGETS_IN_FLOW_MAX);
	wiring_open(wiring, config->flow, plain);
	/* On every CPU the same story, and with all that may happen meanwhile. */
	wiring->receive->gathering.usable = true;
	CHECK(receive_listen(wiring->receive, &config->address, NULL, &listener) == RESULT_OK);
	wiring_begin(wiring);
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
	/* No secret, so that a seed makes the same world each time. */
	const struct hash128 secret = { 1, 2 };

	CHECK(!daemon->running);
	CHECK(replay_open(daemon->config.replay_entries_max, secret, &daemon->replay) == RESULT_OK);
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
	sim_world_remove(worker->daemon->world, &worker->wiring.loop);
	sim_io_kill(worker->wiring.loop.io);
	store_writer_abandon(shard_writer(worker->shard));

	worker->wiring.receive->connections.used_count = 0;
	worker->wiring.receive->requests.used_count = 0;
	worker->wiring.receive->gathering.count = 0;
	worker->wiring.receive->large_buffers.used_count = 0;
	worker->wiring.receive->parked.used_count = 0;
	worker->wiring.receive->listeners_open = 0;
	receive_close(worker->wiring.receive);
	worker->wiring.deliver->channels.used_count = 0;
	deliver_close(worker->wiring.deliver);
	worker->wiring.queue->jobs_count = 0;
	queue_close(worker->wiring.queue);
	worker->wiring.streams.outputs.used_count = 0;
	streams_close(&worker->wiring.streams);
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
	receive_flow_set(worker->wiring.receive, worker->daemon->config.flow);
	deliver_flow_set(worker->wiring.deliver, worker->daemon->config.flow, plain);
}

void sim_daemon_publish(struct sim_daemon *daemon, struct flow *flow)
{
	daemon->config.flow = flow;
	for (uint32_t i = 0; i < SIM_WORKERS && daemon->running; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		/* Else the last one is still on its way. */
		if (worker->flow_letter.open != NULL) continue;
		worker->flow_letter.open = flow_letter_open;
		loop_post(&worker->wiring.loop, &worker->flow_letter.mail);
	}
}

static void drain_letter_open(struct letter *letter)
{
	struct sim_worker *worker = CONTAINER_OF(letter, struct sim_worker, drain_letter);

	wiring_drain(&worker->wiring, worker->daemon->drain_us);
}

void sim_daemon_drain(struct sim_daemon *daemon, uint64_t drain_us)
{
	if (daemon->draining) return;
	daemon->draining = true;
	daemon->drain_us = drain_us;
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct sim_worker *worker = &daemon->workers[i];
		worker->drain_letter.open = drain_letter_open;
		loop_post(&worker->wiring.loop, &worker->drain_letter.mail);
	}
}

bool sim_daemon_idle(const struct sim_daemon *daemon)
{
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		const struct sim_worker *worker = &daemon->workers[i];
		if (!wiring_finished(&worker->wiring)) return false;
		if (queue_usage(worker->wiring.queue).settling > 0) return false;
		if (worker->stepping || store_writer_waiting(shard_writer(worker->shard))) {
			return false;
		}
	}
	return true;
}

static void stop_worker(struct sim_worker *worker)
{
	struct io_statistics io = io_statistics(worker->wiring.loop.io);

	CHECK(io.sockets_used == 0);
	CHECK(io.buffers_free == worker->daemon->config.buffer_count);
	CHECK(deliver_quiet(worker->wiring.deliver));
	CHECK(queue_usage(worker->wiring.queue).leased == 0);
	CHECK(worker->wiring.receive->requests.used_count == 0);
	CHECK(worker->wiring.receive->large_buffers.used_count == 0);
	CHECK(worker->wiring.streams.outputs.used_count == 0);
	wiring_close(&worker->wiring);
	sim_world_remove(worker->daemon->world, &worker->wiring.loop);
	wiring_close_loop(&worker->wiring);
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
			.now = io_wall(worker->wiring.loop.io),
			.actor = "sim",
		},
	};

	queue_dead_replay(worker->wiring.queue, &replay.job);
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

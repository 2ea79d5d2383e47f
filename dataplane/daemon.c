/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "config/config_values.h"
#include "notify.h"
#include "store/store_folder.h"

/* How often ticket keys are rotated; a ticket lives for two of these at most. */
#define TICKET_ROTATION_S 3600
/* How often target names are resolved again. */
#define RESOLVE_INTERVAL_S 60
/* OTLP/HTTP's own. */
#define OTLP_PORT 4318
/* How long a drain waits for a reload that is under way. */
#define GIVE_UP_PATIENCE_S 2
#define GIVE_UP_LOOK_MS 5

/* ---- What control asks ----------------------------------------------------------------------- */

static struct flow *control_flow_now(void *owner)
{
	return daemon_flow(owner);
}

static enum result control_change(void *owner, struct control_change *change)
{
	return daemon_change(owner, change);
}

static enum result control_confirm(void *owner, const char *actor, uint64_t *ret_generation)
{
	return daemon_confirm(owner, actor, ret_generation);
}

static size_t control_history(void *owner, struct control_generation *rows, size_t rows_max)
{
	struct daemon *daemon = owner;
	return generations_list(daemon->generations, rows, rows_max);
}

static enum daemon_state control_state(void *owner)
{
	struct daemon *daemon = owner;
	return (enum daemon_state)atomic_load(&daemon->state);
}

static void control_worker_status(void *owner, uint32_t index, struct control_worker_status *ret)
{
	struct daemon *daemon = owner;
	struct worker_status status;

	worker_status(daemon->workers[index], &status);
	*ret = (struct control_worker_status){
		.cpu = status.cpu,
		.connections = status.receive.connections,
		.connections_max = status.connections_max,
		.connections_parked = status.receive.parked,
		.requests = status.receive.requests,
		.deliveries = status.deliver.attempts,
		.target_connections_idle = status.deliver.channels_idle,
		.target_connections_active = status.deliver.channels_active,
		.turns = status.io.turns,
		.cpu_us = status.cpu_us,
		.cq_overflows = status.io.overflows,
		.buffers_exhausted = status.io.buffers_exhausted,
		.queue = status.queue,
	};
}

static void control_target_status(void *owner, uint32_t target_id,
	struct control_target_status *ret)
{
	struct daemon *daemon = owner;

	*ret = (struct control_target_status){ 0 };
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct deliver_target_usage usage;
		if (!worker_target_usage(daemon->workers[i], target_id, &usage)) continue;
		ret->active += usage.active;
		ret->idle += usage.idle;
		ret->ready += usage.ready;
		if (usage.last_error[0] != '\0') {
			bytes_to_text(bytes_of_text(usage.last_error), ret->last_error,
				sizeof ret->last_error);
		}
	}
}

void daemon_status_notify(struct daemon *daemon)
{
	enum daemon_state state = control_state(daemon);
	char status[96];

	if (state != DAEMON_READY) {
		notify_status(state == DAEMON_DRAINING ? "draining: no new events, deliveries go on"
						       : daemon_state_code(state));
		return;
	}
	struct flow *flow = daemon_flow(daemon);
	snprintf(status, sizeof status, "ready: configuration %llu, %u endpoints, %u targets",
		(unsigned long long)flow->generation, flow->endpoint_count, flow->target_count);
	flow_release(flow);
	notify_status(status);
}

static void state_set(struct daemon *daemon, enum daemon_state state)
{
	atomic_store(&daemon->state, (int)state);
	daemon_status_notify(daemon);
}

/* A reload that waits for a name server is not waited for: it gives them up when it is over. */
static void listeners_give_up(struct daemon *daemon)
{
	time_t until_s = daemon_mono_s() + GIVE_UP_PATIENCE_S;

	/* For a reload that comes later, or is under way. */
	atomic_store(&daemon->listening_over, true);
	/* ThreadSanitizer does not know pthread_mutex_clocklock(). */
	while (pthread_mutex_trylock(&daemon->publish_lock) != 0) {
		if (daemon_mono_s() < until_s) {
			(void)poll(NULL, 0, GIVE_UP_LOOK_MS);
			continue;
		}
		log_warning("a reload is under way: the listeners stay open until it is over");
		return;
	}
	daemon_listeners_give_up(daemon);
	pthread_mutex_unlock(&daemon->publish_lock);
}

static void control_drain(void *owner)
{
	struct daemon *daemon = owner;

	/* The next program knows nothing of it: whoever wants it asks that one. */
	if (atomic_load(&daemon->upgrade_wanted)) return;
	if (atomic_load(&daemon->state) != DAEMON_READY) return;
	state_set(daemon, DAEMON_DRAINING);
	log_notice("draining: no new events are taken, deliveries go on");
	for (uint32_t i = 0; i < daemon->worker_count; i++) worker_drain(daemon->workers[i]);
	listeners_give_up(daemon);
}

static void control_drain_left(void *owner, uint64_t outstanding)
{
	char status[80];

	(void)owner;
	snprintf(status, sizeof status, "draining: %llu deliveries are left",
		(unsigned long long)outstanding);
	notify_status(status);
}

static enum result control_upgrade(void *owner, char *error, size_t error_size)
{
	return daemon_upgrade(owner, error, error_size);
}

static void control_stop_wanted(void *owner)
{
	daemon_stop(owner);
}

void daemon_stop(struct daemon *daemon)
{
	atomic_store(&daemon->stop_wanted, true);
	sem_post(&daemon->wanted);
}

/* Writer thread: a disk that refuses a write cannot be trusted with anything more. */
static void shard_failed(void *owner, enum result result)
{
	struct daemon *daemon = owner;

	log_error("the store failed: %s; no more events are acknowledged, stopping",
		result_text(result));
	atomic_store(&daemon->store_failed, true);
	atomic_store(&daemon->state, (int)DAEMON_FAILED);
	sem_post(&daemon->wanted);
}

/* ---- The slow clock: ticket keys, names; and reloads that a signal asked for ----------------- */

static void reload_and_log(struct daemon *daemon)
{
	struct control_change change = {
		.kind = CONTROL_CHANGE_RELOAD,
		.actor = "SIGHUP",
		.report = alloc_array(1, sizeof *change.report),
		.changes = alloc_array(1, sizeof *change.changes),
	};

	enum result result = daemon_change(daemon, &change);
	MAYBE(result != RESULT_OK); /* it is in the log */
	daemon_report_log(change.report, daemon->config_path);
	alloc_free(change.report);
	alloc_free(change.changes);
}

void daemon_reload(struct daemon *daemon)
{
	atomic_store(&daemon->reload_wanted, true);
	sem_post(&daemon->ticker_wanted);
}

/* Returns when that time has come, or something is wanted. */
static void ticker_sleep(struct daemon *daemon, time_t until_s)
{
	const struct timespec until = { .tv_sec = until_s };

	while (sem_clockwait(&daemon->ticker_wanted, CLOCK_MONOTONIC, &until) != 0) {
		if (errno == ETIMEDOUT) return;
	}
}

void daemon_upgrade_ask(struct daemon *daemon)
{
	atomic_store(&daemon->upgrade_asked, true);
	sem_post(&daemon->ticker_wanted);
}

static void upgrade_and_log(struct daemon *daemon)
{
	char error[400];
	enum result result = daemon_upgrade(daemon, error, sizeof error);
	MAYBE(result != RESULT_OK); /* it is in the log */
}

static void *ticker_main(void *owner)
{
	struct daemon *daemon = owner;
	time_t rotate_s = daemon_mono_s() + TICKET_ROTATION_S;
	time_t resolve_s = daemon_mono_s() + RESOLVE_INTERVAL_S;

	pthread_setname_np(pthread_self(), "ticker");
	while (!atomic_load(&daemon->ticker_stop)) {
		if (atomic_exchange(&daemon->reload_wanted, false)) reload_and_log(daemon);
		if (atomic_exchange(&daemon->upgrade_asked, false)) upgrade_and_log(daemon);
		if (daemon_mono_s() >= rotate_s) {
			rotate_s = daemon_mono_s() + TICKET_ROTATION_S;
			if (tls_ticket_keys_rotate() != RESULT_OK) {
				log_error("ticket keys could not be rotated; the old ones stay");
			}
		}
		if (daemon_mono_s() >= resolve_s) {
			daemon_readdress(daemon);
			resolve_s = daemon_mono_s() + RESOLVE_INTERVAL_S;
		}
		daemon_confirm_expire(daemon);
		time_t until_s = rotate_s < resolve_s ? rotate_s : resolve_s;
		time_t confirm_s = atomic_load(&daemon->confirm_end_s);
		if (confirm_s != 0 && confirm_s < until_s) until_s = confirm_s;
		ticker_sleep(daemon, until_s);
	}
	return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static enum result daemon_open_shards(struct daemon *daemon, const struct config *config,
	char *error, size_t error_size)
{
	if (mkdir(config->store.path, 0700) != 0 && errno != EEXIST) {
		snprintf(error, error_size, "cannot make the folder %s: %s", config->store.path,
			strerror(errno));
		return RESULT_DISK;
	}
	if (store_is_restoring(config->store.path)) {
		snprintf(error, error_size, "%s: " STORE_RESTORING_SENTENCE, config->store.path);
		return RESULT_DISK;
	}
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s/shard-%02u", config->store.path, i);
		TRY(shard_open(
			&(struct shard_config){
				.store = { .path = path,
					.shard = (uint16_t)i,
					.quota_size = config->store.quota_size /
						daemon->worker_count },
				.replay = daemon->replay,
				.retention_us = config->store.retention_s * US_PER_S,
				.cpu = config->cpus[i % config->cpu_count],
				.threaded = true,
				.failed = shard_failed,
				.owner = daemon,
			},
			&daemon->shards[i], error, error_size));
	}
	return RESULT_OK;
}

static enum result daemon_listen(struct daemon *daemon, char *error, size_t error_size)
{
	const struct config *config = daemon->flow->config;
	struct handed handed;
	struct listening next;
	uint32_t failed;

	TRY(handed_take(&handed, error, error_size));
	TRY(handed_match(&handed, config, error, error_size));
	TRY(listening_open(config, daemon->worker_count, NULL, &handed, LISTEN_PATIENCE_MS, &next,
		&failed, error, error_size));
	handed_close(&handed);
	daemon->listening_next = next;
	return RESULT_OK;
}

static enum result daemon_start_workers(struct daemon *daemon, struct config_report *report,
	char *error, size_t error_size)
{
	const struct config *config = daemon->flow->config;

	struct worker_listeners *listeners = daemon_listeners_copy(daemon, &daemon->listening_next);
	if (listeners == NULL) {
		snprintf(error, error_size,
			"no descriptors are left for the listeners: raise the limit of open files");
		return RESULT_FULL;
	}
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct contexts *contexts = NULL;
		TRY(contexts_build(daemon->flow, report, &contexts));
		TRY(worker_start(
			&(struct worker_config){
				.index = i,
				.cpu = config->cpus[i % config->cpu_count],
				.config = config,
				.shard = daemon->shards[i],
				.replay = daemon->replay,
				.spans = telemetry_spans(daemon->telemetry, i),
				.listeners = &listeners[i],
			},
			daemon->flow, contexts, &daemon->workers[i], error, error_size));
		daemon->queues[i] = worker_queue(daemon->workers[i]);
	}
	alloc_free(listeners);
	daemon_listeners_replace(daemon, &daemon->listening_next);
	return RESULT_OK;
}

static enum result daemon_start_telemetry(struct daemon *daemon)
{
	const struct config *config = daemon->flow->config;
	struct config_fault fault;
	struct config_url url;

	if (config->otlp_endpoint == NULL) return RESULT_OK;
	CHECK(config_value_url(config->otlp_endpoint, &url, &fault)); /* when it was read */
	return telemetry_start(
		&(struct telemetry_config){
			.host = url.host,
			.port = url.has_port ? url.port : OTLP_PORT,
			.sample_ppm = config->otlp_sample_ppm,
			.worker_count = daemon->worker_count,
		},
		&daemon->telemetry);
}

static uint64_t tls_allocations(void)
{
	return tls_library_info().allocation_count;
}

static enum result daemon_start_control(struct daemon *daemon, char *error, size_t error_size)
{
	struct control_daemon control = {
		.owner = daemon,
		.started = daemon->started,
		.state = control_state,
		.worker_count = daemon->worker_count,
		.shards = daemon->shards,
		.queues = daemon->queues,
		.replay = daemon->replay,
		.worker_status = control_worker_status,
		.target_status = control_target_status,
		.flow = control_flow_now,
		.change = control_change,
		.confirm = control_confirm,
		.history = control_history,
		.drain = control_drain,
		.drain_left = control_drain_left,
		.upgrade = control_upgrade,
		.stop = control_stop_wanted,
		.io_features = worker_io_features(daemon->workers[0]),
		.tls_allocations = tls_allocations,
	};
	return control_start(daemon->flow->config, &control, &daemon->control, error, error_size);
}

static wall_t wall_now(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (wall_t){ (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000 };
}

static enum result open_replay(struct daemon *daemon, const struct config *config)
{
	struct hash128 secret;

	if (getrandom(&secret, sizeof secret, 0) != sizeof secret) return RESULT_KERNEL;
	return replay_open(config->store.replay_entries_max, secret, &daemon->replay);
}

static enum result daemon_open_parts(struct daemon *daemon, struct config_report *report,
	char *error, size_t error_size)
{
	const struct config *config = daemon->flow->config;

	CHECK(config->cpu_count > 0);
	/* Shards from a time with more workers must be served too, or what they hold would never be
	 * delivered. */
	uint32_t on_disk = store_shard_count(config->store.path);
	uint32_t wanted = config->cpu_count * config->workers_per_cpu;
	daemon->worker_count = wanted > on_disk ? wanted : on_disk;
	if (on_disk > wanted) {
		log_notice("%u shards are on disk for %u workers: the CPUs share them", on_disk,
			wanted);
	}
	daemon->workers = alloc_array(daemon->worker_count, sizeof(struct worker *));
	daemon->shards = alloc_array(daemon->worker_count, sizeof(struct shard *));
	daemon->queues = alloc_array(daemon->worker_count, sizeof(struct queue *));
	daemon->body_size_max = worker_body_size_max(config);
	TRY(open_replay(daemon, config));
	TRY(daemon_open_shards(daemon, config, error, error_size));
	daemon_generations_begin(daemon);
	TRY(flow_remember_names(daemon, daemon->flow));
	flow_give_slots(daemon->flow);
	TRY(tls_ticket_keys_rotate());
	TRY(daemon_start_telemetry(daemon));
	TRY(daemon_listen(daemon, error, error_size));
	TRY(daemon_start_workers(daemon, report, error, error_size));
	daemon_limit_warn(daemon);
	TRY(daemon_start_control(daemon, error, error_size));
	if (pthread_create(&daemon->ticker, NULL, ticker_main, daemon) != 0) return RESULT_KERNEL;
	return RESULT_OK;
}

enum result daemon_open(struct config *config, const char *program, struct config_report *report,
	struct daemon **ret, char *error, size_t error_size)
{
	struct daemon *daemon = alloc_array(1, sizeof *daemon);

	error[0] = '\0';
	daemon->config_path = alloc_text(config->path);
	daemon->program = program;
	daemon->started = wall_now();
	config_fixed_take(config, &daemon->fixed);
	atomic_store(&daemon->state, (int)DAEMON_STARTING);
	CHECK(pthread_mutex_init(&daemon->publish_lock, NULL) == 0);
	CHECK(pthread_mutex_init(&daemon->worker_lock, NULL) == 0);
	CHECK(pthread_mutex_init(&daemon->flow_lock, NULL) == 0);
	CHECK(sem_init(&daemon->wanted, 0, 0) == 0);
	CHECK(sem_init(&daemon->ticker_wanted, 0, 0) == 0);
	daemon->stamps = config_stamps_take(config);
	TRY(flow_compile(config, 1, &daemon->flow, report));
	/* On failure the program ends with the message; nothing is taken apart again. */
	TRY(daemon_open_parts(daemon, report, error, error_size));
	TRY(daemon_watchdog_start(daemon));
	state_set(daemon, DAEMON_READY);
	notify_ready();
	*ret = daemon;
	return RESULT_OK;
}

/* ---- Running and closing --------------------------------------------------------------------- */

enum result daemon_wait(struct daemon *daemon)
{
	for (;;) {
		if (atomic_load(&daemon->store_failed)) return RESULT_DISK;
		if (atomic_load(&daemon->stop_wanted)) return RESULT_OK;
		if (atomic_load(&daemon->upgrade_wanted)) {
			daemon_upgrade_begin(daemon);
			return RESULT_OK;
		}
		while (sem_wait(&daemon->wanted) != 0) continue; /* EINTR */
	}
}

static uint64_t stop_patience_us(struct daemon *daemon)
{
	struct flow *flow = daemon_flow(daemon);
	uint64_t patience_us = flow->config->drain_timeout_s * US_PER_S + CLOSE_PATIENCE_US;

	flow_release(flow);
	return patience_us;
}

static void workers_stop(struct daemon *daemon, bool upgrade)
{
	struct flow *flow = daemon_flow(daemon);
	uint64_t drain_us = flow->config->drain_timeout_s * US_PER_S;
	flow_release(flow);

	if (upgrade && drain_us > UPGRADE_INTAKE_MS_MAX * US_PER_MS) {
		drain_us = UPGRADE_INTAKE_MS_MAX * US_PER_MS;
	}
	pthread_mutex_lock(&daemon->worker_lock);
	daemon->closing = true;
	pthread_mutex_unlock(&daemon->worker_lock);
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		worker_stop_begin(daemon->workers[i], drain_us);
	}
	if (!upgrade) listeners_give_up(daemon);
	for (uint32_t i = 0; i < daemon->worker_count; i++) worker_stop_finish(daemon->workers[i]);
}

/* Without sockets there is nothing to take over: a drain was faster. */
static bool upgrade_stands(const struct daemon *daemon)
{
	return atomic_load(&daemon->upgrade_wanted) && !atomic_load(&daemon->listening_over);
}

static void stopping_say(struct daemon *daemon)
{
	state_set(daemon, DAEMON_STOPPING);
	notify_stopping(stop_patience_us(daemon));
}

enum result daemon_close(struct daemon *daemon, struct handed *ret_handed)
{
	bool upgrade = upgrade_stands(daemon);

	*ret_handed = (struct handed){ 0 };
	if (!upgrade) stopping_say(daemon);
	if (upgrade) daemon_watchdog_give_way(daemon);
	daemon_watchdog_stop(daemon);
	atomic_store(&daemon->ticker_stop, true);
	sem_post(&daemon->ticker_wanted);
	/* Control first: it asks workers that are about to go. */
	control_stop(daemon->control);
	/* A drain may have come through it until now. */
	if (upgrade && !upgrade_stands(daemon)) {
		upgrade = false;
		stopping_say(daemon);
	}
	if (upgrade) log_notice("upgrading: nobody is accepted until the next program serves");
	workers_stop(daemon, upgrade);
	if (upgrade) return daemon_upgrade_close(daemon, ret_handed);
	telemetry_stop(daemon->telemetry);
	for (uint32_t i = 0; i < daemon->worker_count; i++) shard_close(daemon->shards[i]);
	bool failed = atomic_load(&daemon->store_failed);
	replay_close(daemon->replay);
	/* Last, because it may be waiting for a name server. */
	pthread_join(daemon->ticker, NULL);
	flow_release(daemon->flow);
	generations_close(daemon->generations);
	alloc_free(daemon->stamps);
	sem_destroy(&daemon->wanted);
	sem_destroy(&daemon->ticker_wanted);
	alloc_free(daemon->workers);
	alloc_free(daemon->shards);
	alloc_free(daemon->queues);
	alloc_free(daemon->config_path);
	alloc_free(daemon);
	return failed ? RESULT_DISK : RESULT_OK;
}

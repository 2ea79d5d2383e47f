/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "config/config_codes.h"
#include "control/control.h"
#include "notify.h"
#include "worker/worker.h"

/* How often ticket keys are rotated; a ticket lives for two of these at most. */
#define TICKET_ROTATION_S 3600
/* How often target names are resolved again. */
#define RESOLVE_INTERVAL_S 60

struct daemon {
	char *config_path;
	uint32_t worker_count;
	struct worker **workers;
	struct shard **shards;
	struct queue **queues;
	struct replay *replay;
	struct control *control;
	wall_t started;
	uint32_t body_size_max;       /* what the workers have buffers for */
	pthread_mutex_t publish_lock; /* one reload at a time */
	pthread_mutex_t worker_lock;  /* held while a snapshot is handed to shards and workers */
	bool closing;                 /* they are going: nothing is handed to them any more */
	pthread_mutex_t flow_lock;    /* guards `flow` alone */
	struct flow *flow;
	atomic_int state; /* enum daemon_state */
	atomic_bool stop_wanted;
	atomic_bool store_failed;
	sem_t wanted; /* posted when something above changes */
	pthread_t ticker;
	atomic_bool reload_wanted;
	atomic_bool ticker_stop;
	sem_t ticker_wanted; /* posted when something above changes */
};

/* ---- Snapshots ------------------------------------------------------------------------------- */

static struct flow *daemon_flow(void *owner)
{
	struct daemon *daemon = owner;

	pthread_mutex_lock(&daemon->flow_lock);
	struct flow *flow = flow_acquire(daemon->flow);
	pthread_mutex_unlock(&daemon->flow_lock);
	return flow;
}

static void flow_give_slots(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		flow->endpoints[i].metrics_slot = metrics_endpoint_slot(flow->endpoints[i].name);
	}
	for (uint32_t i = 0; i < flow->target_count; i++) {
		flow->targets[i].metrics_slot = metrics_target_slot(flow->targets[i].name);
	}
}

/* So that records can be read by people long after an endpoint has gone. */
static enum result flow_remember_names(const struct daemon *daemon, const struct flow *flow)
{
	for (uint32_t s = 0; s < daemon->worker_count; s++) {
		for (uint32_t i = 0; i < flow->endpoint_count; i++) {
			TRY(shard_remember_name(daemon->shards[s], 'e', flow->endpoints[i].id,
				flow->endpoints[i].name));
		}
		for (uint32_t i = 0; i < flow->target_count; i++) {
			TRY(shard_remember_name(daemon->shards[s], 't', flow->targets[i].id,
				flow->targets[i].name));
		}
	}
	return RESULT_OK;
}

static void warn_fixed(struct config_report *report, struct config_position position, bool changed,
	const char *what)
{
	if (!changed) return;
	config_report_add(report, CONFIG_WARNING, PS_STAYS_UNTIL_RESTART, position,
		"restart the daemon", "%s with a restart only", what);
}

static void reload_warn(const struct daemon *daemon, const struct config *now,
	const struct config *next, struct config_report *report)
{
	const struct config_position nowhere = { 0 };
	const struct config_store *store = &next->store;

	warn_fixed(report, store->position, strcmp(now->store.path, store->path) != 0,
		"the store's path changes");
	warn_fixed(report, store->position,
		now->store.quota_size != store->quota_size ||
			now->store.retention_s != store->retention_s ||
			now->store.replay_entries_max != store->replay_entries_max,
		"the store's quota, retention and replay memory change");
	bool cpus_differ = now->cpu_count != next->cpu_count ||
		memcmp(now->cpus, next->cpus, now->cpu_count * sizeof *now->cpus) != 0;
	warn_fixed(report, nowhere,
		cpus_differ || now->connections_max != next->connections_max ||
			now->requests_max != next->requests_max,
		"what is set under 'workers' changes");
	warn_fixed(report, nowhere, !address_equal(&now->metrics_address, &next->metrics_address),
		"the metrics address changes");
	warn_fixed(report, nowhere, now->drain_timeout_s != next->drain_timeout_s,
		"drain_timeout changes");
	for (uint32_t i = 0; i < next->endpoint_count; i++) {
		warn_fixed(report, next->endpoints[i].position,
			next->endpoints[i].body_size_max > daemon->body_size_max,
			"a body_size of more than any endpoint had at the start is served");
	}
}

/* What a running process cannot take over: said, and left as it is. */
static enum result reload_check(const struct daemon *daemon, const struct config *now,
	const struct config *next, struct config_report *report)
{
	bool same = now->listener_count == next->listener_count;
	for (uint32_t i = 0; same && i < now->listener_count; i++) {
		same = address_equal(&now->listeners[i].address, &next->listeners[i].address) &&
			now->listeners[i].tls == next->listeners[i].tls;
	}
	config_report_borrow(report, next);
	if (!same) {
		config_report_add(report, CONFIG_ERROR, PS_NEEDS_RESTART,
			next->listener_count > 0 ? next->listeners[0].position
						 : (struct config_position){ 0 },
			"restart the daemon to change addresses, or undo the change",
			"listeners were added, removed or moved: that needs a restart");
	}
	reload_warn(daemon, now, next, report);
	config_report_borrow(report, NULL);
	return same ? RESULT_OK : RESULT_CONFIG;
}

static enum result snapshot_publish(struct daemon *daemon, struct flow *flow,
	struct config_report *report)
{
	struct contexts **contexts = alloc_array(daemon->worker_count, sizeof(struct contexts *));
	enum result result = RESULT_OK;

	for (uint32_t i = 0; i < daemon->worker_count && result == RESULT_OK; i++) {
		result = contexts_build(flow, report, &contexts[i]);
	}
	pthread_mutex_lock(&daemon->worker_lock);
	if (result == RESULT_OK && daemon->closing) result = RESULT_CLOSED;
	if (result == RESULT_OK) result = flow_remember_names(daemon, flow);
	if (result == RESULT_OK) {
		flow_give_slots(flow);
		for (uint32_t i = 0; i < daemon->worker_count; i++) {
			worker_publish(daemon->workers[i], flow, contexts[i]);
		}
	}
	pthread_mutex_unlock(&daemon->worker_lock);
	if (result != RESULT_OK) {
		for (uint32_t i = 0; i < daemon->worker_count; i++) contexts_free(contexts[i]);
	}
	alloc_free(contexts);
	return result;
}

static enum result daemon_reload_with(struct daemon *daemon, struct config_report *report,
	uint64_t *ret_generation)
{
	struct config *config = NULL;
	struct flow *flow = NULL;

	struct flow *now = daemon_flow(daemon);
	uint64_t generation = now->generation + 1;
	enum result result = config_load(daemon->config_path, &config, report);
	if (result == RESULT_OK) result = reload_check(daemon, now->config, config, report);
	if (result == RESULT_OK) {
		result = flow_compile(config, generation, &flow, report);
		if (result == RESULT_OK) config = NULL; /* the flow's now */
	}
	if (result == RESULT_OK) {
		uint32_t kept = flow_keep_addresses(flow, now);
		if (kept > 0) log_warning("names do not resolve, addresses kept: %u", kept);
		result = snapshot_publish(daemon, flow, report);
	}
	if (result == RESULT_OK) {
		pthread_mutex_lock(&daemon->flow_lock);
		daemon->flow = flow;
		pthread_mutex_unlock(&daemon->flow_lock);
		flow_release(now); /* the daemon's own reference */
		log_notice("configuration reloaded generation=%llu",
			(unsigned long long)generation);
	} else {
		log_error("reload failed, generation=%llu stays: %s",
			(unsigned long long)now->generation, result_text(result));
		generation = now->generation;
		if (flow != NULL) flow_release(flow);
	}
	*ret_generation = generation;
	flow_release(now);
	if (config != NULL) config_free(config);
	return result;
}

static enum result control_reload(void *owner, struct config_report *report,
	uint64_t *ret_generation)
{
	struct daemon *daemon = owner;

	pthread_mutex_lock(&daemon->publish_lock);
	enum result result = daemon_reload_with(daemon, report, ret_generation);
	pthread_mutex_unlock(&daemon->publish_lock);
	return result;
}

static void reload_and_log(struct daemon *daemon)
{
	struct config_report *report = alloc_array(1, sizeof *report);
	uint64_t generation;

	enum result result = control_reload(daemon, report, &generation);
	MAYBE(result != RESULT_OK); /* it is in the log */
	for (uint32_t i = 0; i < report->count; i++) {
		const struct config_diagnostic *found = &report->diagnostics[i];
		LOG_AT(found->severity == CONFIG_ERROR ? LOG_ERROR : LOG_WARNING,
			"%s:%u:%u: %s: %s", daemon->config_path, found->position.line,
			found->position.column, found->code, found->sentence);
	}
	alloc_free(report);
}

void daemon_reload(struct daemon *daemon)
{
	atomic_store(&daemon->reload_wanted, true);
	sem_post(&daemon->ticker_wanted);
}

/* ---- What control asks ----------------------------------------------------------------------- */

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

static void state_set(struct daemon *daemon, enum daemon_state state, const char *status)
{
	atomic_store(&daemon->state, (int)state);
	notify_status(status);
}

static void control_drain(void *owner)
{
	struct daemon *daemon = owner;

	if (atomic_load(&daemon->state) != DAEMON_READY) return;
	state_set(daemon, DAEMON_DRAINING, "draining: no new events, deliveries go on");
	log_notice("draining: no new events are taken, deliveries go on");
	for (uint32_t i = 0; i < daemon->worker_count; i++) worker_drain(daemon->workers[i]);
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

static time_t mono_seconds(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return now.tv_sec;
}

/* Returns when that time has come, or something is wanted. */
static void ticker_sleep(struct daemon *daemon, time_t until_s)
{
	const struct timespec until = { .tv_sec = until_s };

	while (sem_clockwait(&daemon->ticker_wanted, CLOCK_MONOTONIC, &until) != 0) {
		if (errno == ETIMEDOUT) return;
	}
}

static void names_check(struct daemon *daemon)
{
	struct flow *flow = daemon_flow(daemon);
	bool changed = flow_addresses_changed(flow);

	flow_release(flow);
	if (!changed) return;
	log_notice("a target's address changed");
	reload_and_log(daemon);
}

static void *ticker_main(void *owner)
{
	struct daemon *daemon = owner;
	time_t rotate_s = mono_seconds() + TICKET_ROTATION_S;
	time_t resolve_s = mono_seconds() + RESOLVE_INTERVAL_S;

	pthread_setname_np(pthread_self(), "ticker");
	while (!atomic_load(&daemon->ticker_stop)) {
		if (atomic_exchange(&daemon->reload_wanted, false)) reload_and_log(daemon);
		if (mono_seconds() >= rotate_s) {
			rotate_s = mono_seconds() + TICKET_ROTATION_S;
			if (tls_ticket_keys_rotate() != RESULT_OK) {
				log_error("ticket keys could not be rotated; the old ones stay");
			}
		}
		if (mono_seconds() >= resolve_s) {
			names_check(daemon);
			resolve_s = mono_seconds() + RESOLVE_INTERVAL_S;
		}
		ticker_sleep(daemon, rotate_s < resolve_s ? rotate_s : resolve_s);
	}
	return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Shards on disk from a time with more workers must be served too, or what they hold would
 * never be delivered. */
static uint32_t shards_on_disk(const char *path)
{
	uint32_t count = 0;

	DIR *folder = opendir(path);
	if (folder == NULL) return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		struct bytes name = bytes_of_text(entry->d_name);
		uint64_t number;
		if (!bytes_starts_with(name, BYTES_LITERAL("shard-"))) continue;
		if (bytes_parse_u64(bytes_from(name, 6), &number) != RESULT_OK) continue;
		if (number < WORKERS_MAX && number + 1 > count) count = (uint32_t)number + 1;
	}
	closedir(folder);
	return count;
}

static enum result daemon_open_shards(struct daemon *daemon, const struct config *config,
	char *error, size_t error_size)
{
	if (mkdir(config->store.path, 0700) != 0 && errno != EEXIST) {
		snprintf(error, error_size, "cannot make the folder %s: %s", config->store.path,
			strerror(errno));
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

static enum result daemon_start_workers(struct daemon *daemon, struct config_report *report,
	char *error, size_t error_size)
{
	const struct config *config = daemon->flow->config;

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
				.drain_us = config->drain_timeout_s * US_PER_S,
			},
			daemon->flow, contexts, &daemon->workers[i], error, error_size));
		daemon->queues[i] = worker_queue(daemon->workers[i]);
	}
	return RESULT_OK;
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
		.flow = daemon_flow,
		.reload = control_reload,
		.drain = control_drain,
		.stop = control_stop_wanted,
		.io_features = worker_io_features(daemon->workers[0]),
	};
	return control_start(daemon->flow->config, &control, &daemon->control, error, error_size);
}

static wall_t wall_now(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (wall_t){ (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000 };
}

static enum result daemon_open_parts(struct daemon *daemon, struct config_report *report,
	char *error, size_t error_size)
{
	const struct config *config = daemon->flow->config;

	CHECK(config->cpu_count > 0);
	uint32_t on_disk = shards_on_disk(config->store.path);
	daemon->worker_count = config->cpu_count > on_disk ? config->cpu_count : on_disk;
	if (on_disk > config->cpu_count) {
		log_notice("%u shards are on disk for %u CPUs: the CPUs share them", on_disk,
			config->cpu_count);
	}
	daemon->workers = alloc_array(daemon->worker_count, sizeof(struct worker *));
	daemon->shards = alloc_array(daemon->worker_count, sizeof(struct shard *));
	daemon->queues = alloc_array(daemon->worker_count, sizeof(struct queue *));
	daemon->body_size_max = worker_body_size_max(config);
	TRY(replay_open(config->store.replay_entries_max, &daemon->replay));
	TRY(daemon_open_shards(daemon, config, error, error_size));
	TRY(flow_remember_names(daemon, daemon->flow));
	flow_give_slots(daemon->flow);
	TRY(tls_ticket_keys_rotate());
	TRY(daemon_start_workers(daemon, report, error, error_size));
	TRY(daemon_start_control(daemon, error, error_size));
	if (pthread_create(&daemon->ticker, NULL, ticker_main, daemon) != 0) return RESULT_KERNEL;
	return RESULT_OK;
}

enum result daemon_open(struct config *config, struct config_report *report, struct daemon **ret,
	char *error, size_t error_size)
{
	struct daemon *daemon = alloc_array(1, sizeof *daemon);

	error[0] = '\0';
	daemon->config_path = alloc_text(config->path);
	daemon->started = wall_now();
	atomic_store(&daemon->state, (int)DAEMON_STARTING);
	CHECK(pthread_mutex_init(&daemon->publish_lock, NULL) == 0);
	CHECK(pthread_mutex_init(&daemon->worker_lock, NULL) == 0);
	CHECK(pthread_mutex_init(&daemon->flow_lock, NULL) == 0);
	CHECK(sem_init(&daemon->wanted, 0, 0) == 0);
	CHECK(sem_init(&daemon->ticker_wanted, 0, 0) == 0);
	TRY(flow_compile(config, 1, &daemon->flow, report));
	/* On failure the program ends with the message; nothing is taken apart again. */
	TRY(daemon_open_parts(daemon, report, error, error_size));
	state_set(daemon, DAEMON_READY, "ready");
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
		while (sem_wait(&daemon->wanted) != 0) continue; /* EINTR */
	}
}

enum result daemon_close(struct daemon *daemon)
{
	state_set(daemon, DAEMON_STOPPING, "stopping");
	notify_stopping();
	atomic_store(&daemon->ticker_stop, true);
	sem_post(&daemon->ticker_wanted);
	/* Control first: it asks workers that are about to go. */
	control_stop(daemon->control);
	pthread_mutex_lock(&daemon->worker_lock);
	daemon->closing = true;
	pthread_mutex_unlock(&daemon->worker_lock);
	for (uint32_t i = 0; i < daemon->worker_count; i++) worker_stop_begin(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++) worker_stop_finish(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++) shard_close(daemon->shards[i]);
	bool failed = atomic_load(&daemon->store_failed);
	replay_close(daemon->replay);
	/* Last, because it may be waiting for a name server. */
	pthread_join(daemon->ticker, NULL);
	flow_release(daemon->flow);
	sem_destroy(&daemon->wanted);
	sem_destroy(&daemon->ticker_wanted);
	alloc_free(daemon->workers);
	alloc_free(daemon->shards);
	alloc_free(daemon->queues);
	alloc_free(daemon->config_path);
	alloc_free(daemon);
	return failed ? RESULT_DISK : RESULT_OK;
}

enum result daemon_check(struct config *config, struct config_report *report)
{
	struct flow *flow = NULL;
	struct contexts *contexts = NULL;

	enum result result = flow_compile(config, 1, &flow, report);
	if (result != RESULT_OK) {
		config_free(config);
		return result;
	}
	result = contexts_build(flow, report, &contexts);
	if (result == RESULT_OK) contexts_free(contexts);
	flow_release(flow);
	return result;
}

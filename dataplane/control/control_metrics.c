/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_metrics — /metrics, /healthz and /readyz: what monitoring asks for.
 *
 * The counters and histograms come from metrics/. The gauges are said here, each from whoever
 * has the value at this moment. Worker and shard with one number belong together, so one
 * label serves both.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/version.h"
#include "control/control_internal.h"
#include "metrics/metrics_expose.h"
#include "secrets/secret.h"

/* All that is known of one worker and its shard. */
struct snapshot {
	struct control_worker_status status;
	struct store_space space;
	struct store_writer_statistics writer;
	struct shard_counters counters;
	uint64_t outstanding;
	char worker[12];
};

enum unit { UNIT_NONE, UNIT_SECONDS };

/* name, type, unit, value from a snapshot, help */
#define WORKER_TABLE(X) \
	X("penstock_connections", GAUGE, NONE, status.connections, "Open connections from providers") \
	X("penstock_connections_limit", GAUGE, NONE, status.connections_max, "Connections beyond which the longest idle are closed, or new ones shed") \
	X("penstock_connections_parked", GAUGE, NONE, status.connections_parked, "Accepted sockets that wait for a connection to become free") \
	X("penstock_requests_active", GAUGE, NONE, status.requests, "Requests between their first byte and their answer") \
	X("penstock_attempts_active", GAUGE, NONE, status.deliveries, "Delivery attempts under way") \
	X("penstock_target_connections_idle", GAUGE, NONE, status.target_connections_idle, "Warm connections to targets without work") \
	X("penstock_target_connections_active", GAUGE, NONE, status.target_connections_active, "Connections to targets with an attempt under way") \
	X("penstock_worker_turns_total", COUNTER, NONE, status.turns, "Turns of the worker's event loop") \
	X("penstock_worker_cpu_seconds_total", COUNTER, SECONDS, status.cpu_us, "CPU time of the worker's thread") \
	X("penstock_worker_completion_overflows_total", COUNTER, NONE, status.cq_overflows, "Times the ring's completion queue overflowed") \
	X("penstock_worker_buffers_exhausted_total", COUNTER, NONE, status.buffers_exhausted, "Times no receive buffer was free") \
	X("penstock_queue_window_events", GAUGE, NONE, status.queue.window_events, "Events in the delivery window") \
	X("penstock_queue_ready_deliveries", GAUGE, NONE, status.queue.ready, "Deliveries that wait in memory for a connection") \
	X("penstock_queue_leased_deliveries", GAUGE, NONE, status.queue.leased, "Deliveries being sent") \
	X("penstock_queue_settling_deliveries", GAUGE, NONE, status.queue.settling, "Deliveries whose outcome is being committed") \
	X("penstock_queue_backlog_events", GAUGE, NONE, status.queue.backlog, "Committed events that are not in the window yet") \
	X("penstock_queue_damaged_keys_total", COUNTER, NONE, status.queue.damaged_keys, "Rows passed over because their key is damaged, since the start") \
	X("penstock_dead_letters", GAUGE, NONE, counters.deliveries_dead, "Deliveries in the dead letter queue") \
	X("penstock_deliveries_outstanding", GAUGE, NONE, outstanding, "Deliveries that are neither delivered nor dead") \
	X("penstock_audit_leaves_total", COUNTER, NONE, counters.leaf_count, "Leaves of the audit log since the shard was made") \
	X("penstock_events_expired_total", COUNTER, NONE, counters.events_expired, "Events deleted by retention since the shard was made") \
	X("penstock_store_used_bytes", GAUGE, NONE, space.used_size, "Bytes in use in the store") \
	X("penstock_store_file_bytes", GAUGE, NONE, space.file_size, "Size of the store's file") \
	X("penstock_store_quota_bytes", GAUGE, NONE, space.quota_size, "Bytes the store may use") \
	X("penstock_store_disk_free_bytes", GAUGE, NONE, space.disk_free_size, "Bytes free in the store's file system") \
	X("penstock_store_commits_total", COUNTER, NONE, writer.commits, "Transactions committed") \
	X("penstock_store_jobs_total", COUNTER, NONE, writer.jobs, "Jobs in the committed transactions") \
	X("penstock_store_commit_seconds_total", COUNTER, SECONDS, writer.commit_us_total, "Time spent committing") \
	X("penstock_store_writer_cpu_seconds_total", COUNTER, SECONDS, writer.cpu_us, "CPU time of the store's writer thread")

static uint64_t outstanding_of(const struct shard_counters *counters)
{
	uint64_t settled = counters->deliveries_delivered + counters->deliveries_dead;
	return counters->deliveries_created > settled ? counters->deliveries_created - settled : 0;
}

static void snapshots_fill(const struct control_daemon *daemon, struct snapshot *snapshots)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct snapshot *one = &snapshots[i];
		daemon->worker_status(daemon->owner, i, &one->status);
		one->space = store_space(shard_store(daemon->shards[i]));
		one->writer = store_writer_statistics(shard_writer(daemon->shards[i]));
		one->counters = shard_counters(daemon->shards[i]);
		one->outstanding = outstanding_of(&one->counters);
		snprintf(one->worker, sizeof one->worker, "%u", i);
	}
}

static void write_sample(struct writer *writer, const char *name, enum unit unit,
	const struct snapshot *snapshot, uint64_t value)
{
	struct metrics_label label = { "worker", snapshot->worker };
	if (unit == UNIT_SECONDS) {
		metrics_expose_seconds(writer, name, &label, 1, value);
	} else {
		metrics_expose_sample(writer, name, &label, 1, value);
	}
}

/* One family after the other: the samples of one must stand together. */
static void write_workers(struct writer *writer, const struct snapshot *snapshots, uint32_t count)
{
	uint32_t i;
#define X(name, type, unit, value, help) \
	metrics_expose_family(writer, name, METRICS_TYPE_##type, help); \
	for (i = 0; i < count; i++) { \
		write_sample(writer, name, UNIT_##unit, &snapshots[i], snapshots[i].value); \
	}
	WORKER_TABLE(X)
#undef X
}

static void write_gauge(struct writer *writer, const char *name, uint64_t value, const char *help)
{
	metrics_expose_family(writer, name, METRICS_TYPE_GAUGE, help);
	metrics_expose_sample(writer, name, NULL, 0, value);
}

static void write_counter(struct writer *writer, const char *name, uint64_t value, const char *help)
{
	metrics_expose_family(writer, name, METRICS_TYPE_COUNTER, help);
	metrics_expose_sample(writer, name, NULL, 0, value);
}

static void write_time(struct writer *writer, const char *name, wall_t time, const char *help)
{
	metrics_expose_family(writer, name, METRICS_TYPE_GAUGE, help);
	metrics_expose_seconds(writer, name, NULL, 0, time.us);
}

static void write_process(struct writer *writer, struct control *control)
{
	const struct control_daemon *daemon = &control->daemon;
	struct metrics_label version = { "version", penstock_version };
	metrics_expose_family(writer, "penstock_build_info", METRICS_TYPE_GAUGE,
		"Always 1; the version is in the label");
	metrics_expose_sample(writer, "penstock_build_info", &version, 1, 1);
	write_time(writer, "penstock_start_timestamp_seconds", daemon->started,
		"When the daemon started");
	write_gauge(writer, "penstock_ready", daemon->state(daemon->owner) == DAEMON_READY,
		"1 while events are taken in");

	struct flow *flow = daemon->flow(daemon->owner);
	if (flow != NULL) {
		write_gauge(writer, "penstock_config_generation", flow->generation,
			"Generation of the configuration being served");
		write_gauge(writer, "penstock_config_endpoints", flow->endpoint_count,
			"Endpoints being served");
		write_gauge(writer, "penstock_config_targets", flow->target_count,
			"Targets being served");
		flow_release(flow);
	}
	wall_t reload = { atomic_load(&control->reload_us) };
	write_gauge(writer, "penstock_config_last_reload_successful",
		reload.us == 0 || atomic_load(&control->reload_ok),
		"0 when the last reload was refused");
	write_time(writer, "penstock_config_last_reload_timestamp_seconds", reload,
		"When the last reload was asked for; 0: never since start");

	struct replay_usage replay = replay_usage(daemon->replay);
	write_gauge(writer, "penstock_replay_entries", replay.used_count,
		"Events the replay memory holds");
	write_gauge(writer, "penstock_replay_entries_limit", replay.entries_max,
		"Events the replay memory can hold");
	write_gauge(writer, "penstock_secrets_unlocked_bytes", secret_unlocked_size(),
		"Secret memory that the kernel refused to lock");
	write_counter(writer, "penstock_allocations_total", alloc_count(),
		"Times the daemon's own code took memory; no event does");
	write_counter(writer, "penstock_tls_allocations_total", daemon->tls_allocations(),
		"Times the TLS library allocated");
}

void control_handle_metrics(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	struct snapshot *snapshots = alloc_array(daemon->worker_count, sizeof *snapshots);
	snapshots_fill(daemon, snapshots);
	call->status = 200;
	call->content_type = METRICS_CONTENT_TYPE;
	write_process(&call->body, call->control);
	write_workers(&call->body, snapshots, daemon->worker_count);
	metrics_expose(&call->body);
	alloc_free(snapshots);
}

/* ---- Health ---------------------------------------------------------------------------------- */

static void answer_health(struct control_call *call, enum daemon_state state, bool good)
{
	struct json *json = control_answer(call, "penstock.health/v1");
	json_text(json, "state", daemon_state_code(state));
	json_object_end(json);
	call->status = good ? 200 : 503;
}

void control_handle_healthz(struct control_call *call)
{
	enum daemon_state state = call->daemon->state(call->daemon->owner);
	answer_health(call, state, state != DAEMON_FAILED);
}

void control_handle_readyz(struct control_call *call)
{
	enum daemon_state state = call->daemon->state(call->daemon->owner);
	answer_health(call, state, state == DAEMON_READY);
}

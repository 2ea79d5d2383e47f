/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_status — how the daemon is: state, workers, queues, stores, totals, latencies. */
#include "base/alloc.h"
#include "base/version.h"
#include "control/control_internal.h"
#include "metrics/metrics.h"
#include "secrets/secret.h"

static void write_queue(struct json *json, const struct queue_usage *queue)
{
	json_object(json, "queue");
	json_number(json, "window_events", queue->window_events);
	json_number(json, "ready", queue->ready);
	json_number(json, "leased", queue->leased);
	json_number(json, "settling", queue->settling);
	json_number(json, "backlog", queue->backlog);
	json_number(json, "damaged_keys", queue->damaged_keys);
	json_object_end(json);
}

static void write_store(struct json *json, struct shard *shard)
{
	struct store_space space = store_space(shard_store(shard));
	struct store_writer_statistics writer = store_writer_statistics(shard_writer(shard));
	json_object(json, "store");
	json_number(json, "used_size", space.used_size);
	json_number(json, "file_size", space.file_size);
	json_number(json, "quota_size", space.quota_size);
	json_number(json, "disk_free_size", space.disk_free_size);
	json_bool(json, "has_room", store_had_room(shard_store(shard)));
	json_number(json, "commits", writer.commits);
	json_number(json, "jobs", writer.jobs);
	json_number(json, "commit_us_total", writer.commit_us_total);
	json_number(json, "commit_us_max", writer.commit_us_max);
	json_number(json, "cpu_us", writer.cpu_us);
	json_object_end(json);
}

static void write_worker(struct json *json, const struct control_daemon *daemon, uint32_t index)
{
	struct control_worker_status status = { 0 };
	daemon->worker_status(daemon->owner, index, &status);
	json_object(json, NULL);
	json_number(json, "worker", index);
	if (status.cpu >= 0) {
		json_number(json, "cpu", (uint64_t)status.cpu);
	} else {
		json_null(json, "cpu");
	}
	json_number(json, "connections", status.connections);
	json_number(json, "connections_max", status.connections_max);
	json_number(json, "requests", status.requests);
	json_number(json, "deliveries", status.deliveries);
	json_number(json, "target_connections_idle", status.target_connections_idle);
	json_number(json, "target_connections_active", status.target_connections_active);
	json_number(json, "turns", status.turns);
	json_number(json, "cpu_us", status.cpu_us);
	json_number(json, "cq_overflows", status.cq_overflows);
	json_number(json, "buffers_exhausted", status.buffers_exhausted);
	write_queue(json, &status.queue);
	write_store(json, daemon->shards[index]);
	json_object_end(json);
}

/* Committed figures, exact over crashes; `outstanding` is what is still to be delivered. */
static void write_totals(struct json *json, const struct control_daemon *daemon)
{
	struct shard_counters sum = { 0 };
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct shard_counters one = shard_counters(daemon->shards[i]);
		sum.events_accepted += one.events_accepted;
		sum.deliveries_created += one.deliveries_created;
		sum.deliveries_delivered += one.deliveries_delivered;
		sum.deliveries_dead += one.deliveries_dead;
		sum.attempts += one.attempts;
		sum.dead_replayed += one.dead_replayed;
		sum.events_expired += one.events_expired;
		sum.leaf_count += one.leaf_count;
	}
	uint64_t settled = sum.deliveries_delivered + sum.deliveries_dead;
	json_object(json, "totals");
	json_number(json, "events_accepted", sum.events_accepted);
	json_number(json, "deliveries_created", sum.deliveries_created);
	json_number(json, "deliveries_delivered", sum.deliveries_delivered);
	json_number(json, "deliveries_dead", sum.deliveries_dead);
	json_number(json, "deliveries_outstanding",
		sum.deliveries_created > settled ? sum.deliveries_created - settled : 0);
	json_number(json, "attempts", sum.attempts);
	json_number(json, "dead_replayed", sum.dead_replayed);
	json_number(json, "events_expired", sum.events_expired);
	json_number(json, "audit_leaves", sum.leaf_count);
	json_object_end(json);
}

static void write_latency(struct json *json, const char *key, enum metrics_histogram histogram)
{
	struct metrics_histogram_sum sum;
	metrics_histogram_sum(histogram, &sum);
	json_object(json, key);
	json_number(json, "count", sum.count);
	json_number(json, "p50_us", metrics_quantile_us(&sum, 0.50));
	json_number(json, "p95_us", metrics_quantile_us(&sum, 0.95));
	json_number(json, "p99_us", metrics_quantile_us(&sum, 0.99));
	json_object_end(json);
}

static void write_config(struct json *json, struct flow *flow)
{
	json_object(json, "config");
	json_number(json, "generation", flow->generation);
	json_text(json, "path", flow->config->path);
	json_number(json, "endpoints", flow->endpoint_count);
	json_number(json, "targets", flow->target_count);
	json_object_end(json);
}

/* Ours stand still while events come and go; asking is what adds to them. */
static void write_allocations(struct json *json, const struct control_daemon *daemon)
{
	json_object(json, "allocations");
	json_number(json, "penstock", alloc_count());
	json_number(json, "tls", daemon->tls_allocations());
	json_object_end(json);
}

void control_handle_status(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	struct control *control = call->control;
	struct json *json = control_answer(call, "penstock.status/v1");

	json_text(json, "state", daemon_state_code(daemon->state(daemon->owner)));
	json_text(json, "version", penstock_version);
	json_time(json, "started", daemon->started);
	json_time(json, "now", control_now());
	struct flow *flow = daemon->flow(daemon->owner);
	if (flow != NULL) {
		write_config(json, flow);
		flow_release(flow);
	} else {
		json_null(json, "config");
	}
	wall_t reload = { atomic_load(&control->reload_us) };
	json_time(json, "reload_time", reload);
	json_bool(json, "reload_ok", reload.us == 0 || atomic_load(&control->reload_ok));

	write_totals(json, daemon);
	json_object(json, "latencies");
	write_latency(json, "ack", METRICS_HISTOGRAM_ACK);
	write_latency(json, "commit", METRICS_HISTOGRAM_COMMIT);
	write_latency(json, "dwell", METRICS_HISTOGRAM_DWELL);
	write_latency(json, "attempt", METRICS_HISTOGRAM_ATTEMPT);
	json_object_end(json);

	struct replay_usage replay = replay_usage(daemon->replay);
	json_object(json, "replay");
	json_number(json, "used_count", replay.used_count);
	json_number(json, "entries_max", replay.entries_max);
	json_object_end(json);
	json_text(json, "io_features", daemon->io_features != NULL ? daemon->io_features : "");
	json_number(json, "secrets_unlocked_size", secret_unlocked_size());
	write_allocations(json, daemon);

	json_array(json, "workers");
	for (uint32_t i = 0; i < daemon->worker_count; i++) write_worker(json, daemon, i);
	json_array_end(json);
	json_object_end(json);
}

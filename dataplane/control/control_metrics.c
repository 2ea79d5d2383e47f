/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_metrics — /metrics, /healthz and /readyz: what monitoring asks for.
 *
 * The counters and histograms come from metrics/. The gauges are said here, each from whoever
 * has the value at this moment. Worker and shard with one number belong together, so one
 * label serves both. docs/metrics.md has what the same code writes as a reference.
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

static void write_value(const struct metrics_page *page, const char *name, enum unit unit,
	const struct metrics_label *label, uint64_t value)
{
	if (unit == UNIT_SECONDS) {
		metrics_expose_seconds(page, name, label, value);
	} else {
		metrics_expose_sample(page, name, label, value);
	}
}

static void write_worker(const struct metrics_page *page, const char *name, enum unit unit,
	const struct snapshot *snapshot, uint64_t value)
{
	struct metrics_label label = { "worker", snapshot->worker };
	write_value(page, name, unit, &label, value);
}

/* One family after the other: the samples of one must stand together. */
static void write_workers(const struct metrics_page *page, const struct snapshot *snapshots,
	uint32_t count)
{
	uint32_t i;
#define X(name, type, unit, value, help) \
	metrics_expose_family(page, name, METRICS_TYPE_##type, "worker", help); \
	for (i = 0; i < count; i++) { \
		write_worker(page, name, UNIT_##unit, &snapshots[i], snapshots[i].value); \
	}
	WORKER_TABLE(X)
#undef X
}

/* ---- The process ----------------------------------------------------------------------------- */

struct process {
	uint64_t started_us;
	bool ready;
	uint64_t generation; /* 0: nothing is served yet */
	uint32_t endpoint_count;
	uint32_t target_count;
	bool reload_ok;
	uint64_t reload_us;
	struct replay_usage replay;
	uint64_t secrets_unlocked_size;
	uint64_t allocations;
	uint64_t tls_allocations;
};

/* name, type, unit, member of struct process, help */
#define PROCESS_TABLE(X) \
	X("penstock_start_timestamp_seconds", GAUGE, SECONDS, started_us, "When the daemon started") \
	X("penstock_ready", GAUGE, NONE, ready, "1 while events are taken in") \
	X("penstock_config_generation", GAUGE, NONE, generation, "Generation of the configuration being served; 0: none yet") \
	X("penstock_config_endpoints", GAUGE, NONE, endpoint_count, "Endpoints being served") \
	X("penstock_config_targets", GAUGE, NONE, target_count, "Targets being served") \
	X("penstock_config_last_reload_successful", GAUGE, NONE, reload_ok, "0 when the last reload was refused") \
	X("penstock_config_last_reload_timestamp_seconds", GAUGE, SECONDS, reload_us, "When the last reload was asked for; 0: never since start") \
	X("penstock_replay_entries", GAUGE, NONE, replay.used_count, "Events the replay memory holds") \
	X("penstock_replay_entries_limit", GAUGE, NONE, replay.entries_max, "Events the replay memory can hold") \
	X("penstock_secrets_unlocked_bytes", GAUGE, NONE, secrets_unlocked_size, "Secret memory that the kernel refused to lock") \
	X("penstock_allocations_total", COUNTER, NONE, allocations, "Times the daemon's own code took memory; no event does") \
	X("penstock_tls_allocations_total", COUNTER, NONE, tls_allocations, "Times the TLS library allocated")

static void process_fill(struct control *control, const struct flow *flow, struct process *process)
{
	const struct control_daemon *daemon = &control->daemon;
	uint64_t reload_us = atomic_load(&control->reload_us);

	*process = (struct process){
		.started_us = daemon->started.us,
		.ready = daemon->state(daemon->owner) == DAEMON_READY,
		.reload_ok = reload_us == 0 || atomic_load(&control->reload_ok),
		.reload_us = reload_us,
		.replay = replay_usage(daemon->replay),
		.secrets_unlocked_size = secret_unlocked_size(),
		.allocations = alloc_count(),
		.tls_allocations = daemon->tls_allocations(),
	};
	if (flow == NULL) return;
	process->generation = flow->generation;
	process->endpoint_count = flow->endpoint_count;
	process->target_count = flow->target_count;
}

static void write_process(const struct metrics_page *page, const struct process *process)
{
	struct metrics_label version = { "version", penstock_version };
	metrics_expose_family(page, "penstock_build_info", METRICS_TYPE_GAUGE, version.name,
		"Always 1; the version is in the label");
	metrics_expose_sample(page, "penstock_build_info", &version, 1);
#define X(name, type, unit, value, help) \
	metrics_expose_family(page, name, METRICS_TYPE_##type, NULL, help); \
	write_value(page, name, UNIT_##unit, NULL, process->value);
	PROCESS_TABLE(X)
#undef X
}

/* ---- The ledger ------------------------------------------------------------------------------ */

/* name, type, member of struct account, help */
#define LEDGER_TABLE(X) \
	X("penstock_ledger_accepted_deliveries_total", COUNTER, accepted, "Deliveries (events times their targets) since the store was made") \
	X("penstock_ledger_delivered_deliveries_total", COUNTER, delivered, "Those that the target has answered with 2xx") \
	X("penstock_ledger_pending_deliveries", GAUGE, pending, "Those that are neither delivered nor parked yet") \
	X("penstock_ledger_parked_deliveries", GAUGE, parked, "Those that are dead letters")

/* An account with the label it is shown under. */
struct shown {
	const char *endpoint;
	struct account account;
};

struct ledger {
	struct shown *shown;
	uint32_t count;
	bool balanced;
};

/* As many series as there are slots: what is not configured any more, and what has no slot of its
 * own, is said together. */
static void ledger_fill(const struct control_daemon *daemon, const struct flow *flow,
	struct ledger *ret)
{
	struct control_ledger ledger;
	struct shown other = { .endpoint = METRICS_OTHER };
	struct shown removed = { .endpoint = "_removed" };

	control_ledger_gather(daemon, &ledger);
	*ret = (struct ledger){ .balanced = ledger.balanced };
	ret->shown = alloc_array(ledger.count + 2, sizeof *ret->shown);
	for (uint32_t i = 0; i < ledger.count; i++) {
		const struct account *account = &ledger.accounts[i];
		const struct flow_endpoint *endpoint =
			flow == NULL ? NULL : flow_endpoint_by_id(flow, account->endpoint_id);
		if (endpoint == NULL) {
			account_add(&removed.account, account);
		} else if (metrics_slot_is_shared(endpoint->metrics_slot)) {
			account_add(&other.account, account);
		} else {
			ret->shown[ret->count++] = (struct shown){ endpoint->name, *account };
		}
	}
	if (other.account.accepted > 0) ret->shown[ret->count++] = other;
	if (removed.account.accepted > 0) ret->shown[ret->count++] = removed;
	control_ledger_free(&ledger);
}

static void write_account(const struct metrics_page *page, const char *name,
	const struct shown *shown, uint64_t value)
{
	struct metrics_label label = { "endpoint", shown->endpoint };
	metrics_expose_sample(page, name, &label, value);
}

static void write_ledger(const struct metrics_page *page, const struct ledger *ledger)
{
	uint32_t i;
	metrics_expose_family(page, "penstock_ledger_balanced", METRICS_TYPE_GAUGE, NULL,
		"0 when the account of some endpoint does not add up");
	metrics_expose_sample(page, "penstock_ledger_balanced", NULL, ledger->balanced);
#define X(name, type, value, help) \
	metrics_expose_family(page, name, METRICS_TYPE_##type, "endpoint", help); \
	for (i = 0; i < ledger->count; i++) { \
		write_account(page, name, &ledger->shown[i], ledger->shown[i].account.value); \
	}
	LEDGER_TABLE(X)
#undef X
}

/* ---- The page -------------------------------------------------------------------------------- */

static void exemplar_event_id(const struct metrics_exemplar *exemplar,
	char to[static METRICS_EVENT_ID_SIZE])
{
	const struct event event = {
		.sequence = exemplar->sequence,
		.shard = exemplar->shard,
		.received = { exemplar->received_us },
	};
	event_id_format(&event, to);
}
BOUND((int)METRICS_EVENT_ID_SIZE >= (int)EVENT_ID_TEXT_SIZE);

static void write_page(const struct metrics_page *page, const struct process *process,
	const struct snapshot *snapshots, uint32_t worker_count, const struct ledger *ledger)
{
	write_process(page, process);
	write_workers(page, snapshots, worker_count);
	write_ledger(page, ledger);
	metrics_expose(page);
	metrics_expose_end(page);
}

void control_handle_metrics(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	struct snapshot *snapshots = alloc_array(daemon->worker_count, sizeof *snapshots);
	struct process process;
	const struct metrics_page page = {
		.writer = &call->body,
		.format = call->metrics_format,
		.event_id = exemplar_event_id,
	};

	struct ledger ledger;
	struct flow *flow = daemon->flow(daemon->owner);
	snapshots_fill(daemon, snapshots);
	process_fill(call->control, flow, &process);
	ledger_fill(daemon, flow, &ledger);
	call->status = 200;
	call->content_type = metrics_content_type(page.format);
	write_page(&page, &process, snapshots, daemon->worker_count, &ledger);
	alloc_free(ledger.shown);
	alloc_free(snapshots);
	/* Held until here: labels are its names. */
	if (flow != NULL) flow_release(flow);
}

void control_metrics_reference(struct writer *writer)
{
	const struct metrics_page page = { .writer = writer, .format = METRICS_FORMAT_REFERENCE };
	const struct process process = { 0 };

	write_text(writer, "| name | type | label | what |\n|---|---|---|---|\n");
	const struct ledger ledger = { 0 };
	write_page(&page, &process, NULL, 0, &ledger);
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

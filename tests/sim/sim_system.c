/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wiring, and the course of a run. The checks are in sim_system_check.c. */
#include "sim/sim_system.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define HOUR_US (3600 * US_PER_S)
#define DRAIN_US (30 * US_PER_S)
#define TARGET_SECRET "whsec_dGFyZ2V0LXRhcmdldC10YXJnZXQtdGFyZ2V0LTEyMzQ="

enum { CLIENT_BUFFERS = 256, CLIENT_BUFFER_SIZE = 4096, REPLAY_ROUNDS_MAX = 20 };

static const char *const schemes[SYSTEM_PROVIDERS] = {
	"standard-webhooks",
	"github",
	"stripe",
	"slack",
	"zen",
	"square",
	"box",
};

/* ---- Configuration --------------------------------------------------------------------------- */

static void write_secret(const char *folder, const char *name, const char *secret)
{
	char path[FOLDER_PATH_SIZE];

	folder_path(path, folder, name);
	FILE *file = fopen(path, "w");
	CHECK(file != NULL);
	CHECK(fprintf(file, "%s\n", secret) > 0);
	CHECK(fchmod(fileno(file), 0600) == 0);
	CHECK(fclose(file) == 0);
}

static void write_endpoints(struct writer *text, const char *folder, bool whole)
{
	static const char *const targets[] = { "one", "one, two", "two, three",
		"one, two, three, four", "three", "four, one", "two" };
	static const char *const without_four[] = { "one", "one, two", "two, three",
		"one, two, three", "three", "one", "two" };

	BOUND(ARRAY_COUNT(targets) == SYSTEM_PROVIDERS);
	BOUND(ARRAY_COUNT(without_four) == SYSTEM_PROVIDERS);
	write_text(text, "endpoints:\n");
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) {
		const struct scheme *scheme = scheme_find(bytes_of_text(schemes[i]));
		CHECK(scheme != NULL);
		write_secret(folder, schemes[i], sim_provider_secret(scheme, 0));
		write_format(text,
			"  - { name: %s, path: /in/%s, scheme: %s, secret_file: %s,"
			" targets: [ %s ]%s }\n",
			schemes[i], schemes[i], schemes[i], schemes[i],
			whole ? targets[i] : without_four[i],
			scheme_signs_url(scheme) ? ", public_url: 'https://hooks.example.org'"
						 : "");
	}
}

static void write_targets(struct writer *text, bool whole)
{
	/* Quick to give up, the usual, patient, and one connection at a time. */
	write_text(text,
		"targets:\n"
		"  - { name: one, url: 'http://10.0.1.1:80/hook', secret_file: target,\n"
		"      timeout: 5s, connect_timeout: 2s, connections: 6,\n"
		"      retry: { attempts: 3, base: 50ms, max: 1s } }\n"
		"  - { name: two, url: 'http://10.0.1.2:80/hook?x=1', connections: 4,\n"
		"      retry: { attempts: 5, base: 1s, max: 1m } }\n"
		"  - { name: three, url: 'http://10.0.1.3:8080/', secret_file: target,\n"
		"      connections: 3, retry: { attempts: 20, base: 2s, max: 1h } }\n");
	if (!whole) return;
	write_text(text,
		"  - { name: four, url: 'http://10.0.1.4:80/four', timeout: 30s, connections: 1,\n"
		"      retry: { attempts: 4, base: 10s, max: 10m } }\n");
}

static struct flow *make_flow(bool whole)
{
	static struct config_report report;
	char memory[4096];
	char folder[FOLDER_PATH_SIZE];
	char path[FOLDER_PATH_SIZE];
	struct writer text = writer_of(memory, sizeof memory);
	struct config *config = NULL;
	struct flow *flow = NULL;

	folder_make(folder);
	folder_path(path, folder, "penstock.yaml");
	write_secret(folder, "target", TARGET_SECRET);
	write_text(&text,
		"listeners: [{ address: '10.0.0.1:80', tls: off }]\n"
		"store: { path: d }\n");
	write_endpoints(&text, folder, whole);
	write_targets(&text, whole);
	CHECK(!text.failed);
	enum result result = config_parse(path, writer_bytes(&text), &config, &report);
	if (result == RESULT_OK) result = flow_compile(config, 1, &flow, &report);
	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	CHECK(result == RESULT_OK);
	folder_remove(folder);
	return flow;
}

int system_set_up(void **state)
{
	static struct system_flows flows;

	flows = (struct system_flows){ .whole = make_flow(true), .part = make_flow(false) };
	*state = &flows;
	return 0;
}

int system_tear_down(void **state)
{
	struct system_flows *flows = *state;

	flow_release(flows->whole);
	flow_release(flows->part);
	return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void open_client_loop(struct system *system, struct loop *loop)
{
	struct io_config config = {
		.sockets_max = 256,
		.buffer_count = CLIENT_BUFFERS,
		.buffer_size = CLIENT_BUFFER_SIZE,
	};
	CHECK(loop_open(loop, &config) == RESULT_OK);
	sim_world_add(system->world, loop);
}

static void open_daemon(struct system *system)
{
	const struct system_plan *plan = &system->plan;
	const struct sim_daemon_config config = {
		.flow = system->flow,
		.address = system->flow->config->listeners[0].address,
		.connections_max = plan->connections_max,
		.requests_max = plan->requests_max,
		.buffer_count = plan->buffer_count,
		.channels_max = plan->channels_max,
		.replay_entries_max = plan->replay_entries_max,
		.quota_size = UINT64_C(256) << 20,
		.retention_us = plan->retention_us,
		.limits = plan->limits,
		.disk = plan->disk,
	};

	sim_daemon_open(&system->daemon, system->world, &config);
	sim_daemon_start(&system->daemon);
}

static void open_providers(struct system *system)
{
	const struct system_plan *plan = &system->plan;

	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) {
		struct sim_provider *provider = &system->providers[i];
		sim_provider_open(provider, &system->ledger, &system->provider_loop,
			&system->flow->endpoints[i], &system->daemon.config.address, i,
			plan->lane_count);
		provider->attack_ppm = plan->attack_ppm;
		provider->trouble_ppm = plan->trouble_ppm;
		provider->abandon_ppm = plan->abandon_ppm;
		provider->gap_us_max = plan->gap_us_max;
	}
}

void system_open(struct system *system, const struct system_plan *plan,
	const struct system_flows *flows)
{
	struct flow *flow = flows->whole;

	sim_seed_begin(plan->seed);
	*system = (struct system){ .plan = *plan, .flows = flows, .flow = flow };
	system->world = sim_world_create(plan->seed, &plan->faults);
	ledger_open(&system->ledger, system->world, plan->seed, plan->event_count, SYSTEM_PROVIDERS,
		SYSTEM_TARGETS);
	CHECK(flow->endpoint_count == SYSTEM_PROVIDERS && flow->target_count == SYSTEM_TARGETS);
	open_client_loop(system, &system->provider_loop);
	open_client_loop(system, &system->target_loop);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) {
		const struct flow_target *target = &flow->targets[i];
		sim_target_open(&system->targets[i], &system->ledger, &system->target_loop, target,
			i, target->config->secret_file == NULL ? NULL : TARGET_SECRET);
		sim_target_up(&system->targets[i]);
	}
	open_daemon(system);
	open_providers(system);
}

void system_start_providers(struct system *system)
{
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) sim_provider_start(&system->providers[i]);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void nothing(void *owner)
{
	MAYBE(owner == NULL);
}

static void watch_daemon(struct system *system)
{
	struct sim_daemon *daemon = &system->daemon;
	uint64_t now_us = sim_world_now(system->world).us;

	sim_daemon_watch(daemon);
	if (daemon->running && daemon->dying) {
		uint64_t down_us = sim_between(system->world, 0, system->plan.down_us_max);
		sim_daemon_kill(daemon);
		system->restart_at_us = now_us + down_us;
		sim_world_call(system->world, down_us, nothing, NULL);
	}
	if (daemon->running && daemon->draining && !system->stays_down && sim_daemon_idle(daemon)) {
		sim_daemon_stop(daemon);
		system->restart_at_us = now_us;
	}
	if (!daemon->running && !system->stays_down && now_us >= system->restart_at_us) {
		sim_daemon_start(daemon);
		system_check_store(system, false);
	}
}

bool system_run(struct system *system, bool (*done)(struct system *system), uint64_t limit_us)
{
	uint64_t end_us = sim_world_now(system->world).us + limit_us;

	for (;;) {
		watch_daemon(system);
		if (done != NULL && done(system)) return true;
		if (sim_world_now(system->world).us >= end_us) return done == NULL;
		CHECK(sim_world_step(system->world));
	}
}

void system_run_for(struct system *system, uint64_t duration_us)
{
	sim_world_call(system->world, duration_us, nothing, NULL);
	CHECK(system_run(system, NULL, duration_us));
}

void system_calm(struct system *system)
{
	struct sim_disk *disk = &system->daemon.config.disk;

	sim_world_set_faults(system->world, NULL);
	*disk = (struct sim_disk){ .latency_us_max = disk->latency_us_max,
		.exit_us_max = disk->exit_us_max };
	sim_daemon_publish(&system->daemon, system->flow);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) {
		system->targets[i].bad_ppm = 0;
		system->targets[i].delay_us_max = 0;
		sim_target_up(&system->targets[i]);
	}
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) {
		/* After the replay window an attack with an old id would be another event. */
		system->providers[i].attack_ppm = 0;
		system->providers[i].trouble_ppm = 0;
		system->providers[i].gap_us_max = US_PER_S;
	}
}

/* ---- Coming to rest -------------------------------------------------------------------------- */

/* And not about to die of a disk that has failed before it was calm. */
static bool is_well(const struct sim_daemon *daemon)
{
	return daemon->running && !daemon->draining && !daemon->dying && daemon->die_at_us == 0;
}

static bool all_resolved(struct system *system)
{
	return system->ledger.unresolved_count == 0 && is_well(&system->daemon);
}

static bool all_delivered(struct system *system)
{
	return is_well(&system->daemon) && sim_daemon_outstanding(&system->daemon) == 0;
}

void system_settle(struct system *system)
{
	if (!system_run(system, all_resolved, 4 * HOUR_US)) {
		sim_violation(system->world, "%u events are not acknowledged although all is well",
			system->ledger.unresolved_count);
	}
	for (uint32_t round = 0; round < REPLAY_ROUNDS_MAX; round++) {
		if (!system_run(system, all_delivered, 48 * HOUR_US)) {
			sim_violation(system->world, "%llu deliveries do not come to an end",
				(unsigned long long)sim_daemon_outstanding(&system->daemon));
		}
		if (sim_daemon_replay_dead(&system->daemon) == 0) return;
	}
	sim_violation(system->world, "dead letters do not come to an end");
}

static bool daemon_idle(struct system *system)
{
	return sim_daemon_idle(&system->daemon);
}

static bool clients_idle(struct system *system)
{
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) {
		if (!sim_provider_idle(&system->providers[i])) return false;
	}
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) {
		if (!sim_target_idle(&system->targets[i])) return false;
	}
	return true;
}

void system_stop(struct system *system)
{
	system->stays_down = true;
	sim_daemon_drain(&system->daemon, DRAIN_US);
	if (!system_run(system, daemon_idle, 2 * DRAIN_US)) {
		sim_violation(system->world, "the daemon does not come to rest");
	}
	system_check_store(system, true);
	sim_daemon_stop(&system->daemon);
}

uint64_t system_close(struct system *system)
{
	CHECK(!system->daemon.running);
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) sim_provider_stop(&system->providers[i]);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) sim_target_down(&system->targets[i]);
	CHECK(system_run(system, clients_idle, 600 * US_PER_S));
	uint64_t trace = sim_world_trace(system->world);
	for (uint32_t i = 0; i < SYSTEM_PROVIDERS; i++) sim_provider_close(&system->providers[i]);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) sim_target_close(&system->targets[i]);
	loop_close(&system->provider_loop);
	loop_close(&system->target_loop);
	sim_daemon_close(&system->daemon);
	sim_world_destroy(system->world);
	ledger_close(&system->ledger);
	return trace;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_system — the whole of it: a daemon between providers and targets in a simulated world, and
 * the checks of what must hold for them together (engine research §6.1):
 *
 *   I1  what a provider was told is accepted is in the store, whatever happened since
 *   I2  what a target is given is, byte for byte, what a provider signed
 *   I3  what is in the store is delivered in the end, or waits, or is a dead letter
 *   I4  forged and stale requests are never stored; one event is stored once, under one id
 *   I5  nothing is left over: connections, requests, buffers, slots
 *   I6  the audit log of each shard verifies; the counters say what the rows say
 *
 * A violation aborts with the seed.
 */
#pragma once

#include "sim/sim_daemon.h"
#include "sim/sim_provider.h"
#include "sim/sim_target.h"

enum { SYSTEM_PROVIDERS = 7, SYSTEM_TARGETS = 4 };

/* Compiled once, for all seeds. The second one lacks the last target. */
struct system_flows {
	struct flow *whole;
	struct flow *part;
};
/* For cmocka, of a whole group: *state is the flows. */
int system_set_up(void **state);
int system_tear_down(void **state);

struct system_plan {
	uint64_t seed;
	struct sim_faults faults;
	struct sim_disk disk;
	uint32_t event_count;
	uint32_t lane_count; /* of each provider */
	uint32_t connections_max;
	uint32_t requests_max;
	uint32_t buffer_count;
	uint32_t channels_max;
	uint32_t replay_entries_max;
	uint64_t retention_us;      /* 0: all is kept */
	struct queue_limits limits; /* window_events 0: those of bounds.h */
	uint64_t down_us_max;       /* how long the daemon is gone after it died */
	uint64_t gap_us_max;
	uint32_t attack_ppm;
	uint32_t trouble_ppm;
	uint32_t abandon_ppm;
};

struct system {
	struct system_plan plan;
	struct sim_world *world;
	struct ledger ledger;
	struct sim_daemon daemon;
	const struct system_flows *flows;
	struct flow *flow; /* the whole one */
	struct loop provider_loop;
	struct loop target_loop;
	struct sim_provider providers[SYSTEM_PROVIDERS];
	struct sim_target targets[SYSTEM_TARGETS];
	uint64_t restart_at_us; /* while the daemon is down */
	bool stays_down;
};

/* Everything is there and up, nothing has been sent. */
void system_open(struct system *system, const struct system_plan *plan,
	const struct system_flows *flows);
/* Steps until done(system), restarting the daemon when it has died. */
bool system_run(struct system *system, bool (*done)(struct system *system), uint64_t limit_us);
void system_run_for(struct system *system, uint64_t duration_us);
void system_start_providers(struct system *system);

/* No faults any more, all targets well, the daemon up. */
void system_calm(struct system *system);
/* Until every event is acked or given up, and everything stored is delivered, with dead letters
 * replayed. A violation when it does not come to that. */
void system_settle(struct system *system);
/* Providers leave, the daemon is stopped; checks I5. */
void system_stop(struct system *system);
/* I1, and that what is stored is right; at any time while the daemon runs. */
void system_check_store(struct system *system, bool settled);
/* Closes what is left. Returns the digest of the run. */
uint64_t system_close(struct system *system);

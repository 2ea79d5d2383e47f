/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole system under whatever a seed comes up with: faults of the network and the disk,
 * attacks, moody targets, and a process that dies again and again; then calm, in which all that
 * was promised must come true. SEED=123 runs one seed and says more; SEEDS=1000 runs so many,
 * from FIRST on.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "sim/sim_system.h"

enum { SEEDS_DEFAULT = 200, TRACED_SEEDS = 4, PPM = 1000000, KILLS_MAX = 5 };
#define HOUR_US (3600 * US_PER_S)

struct run {
	struct system system;
	uint64_t mood_us_max;
	bool calm;
};

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t value;

	if (text == NULL || text[0] == '\0') return otherwise;
	if (bytes_parse_u64(bytes_of_text(text), &value) != RESULT_OK)
		fail_msg("%s=%s", name, text);
	return value;
}

static bool one_seed(void)
{
	const char *text = getenv("SEED");
	return text != NULL && text[0] != '\0';
}

/* ---- Plans ----------------------------------------------------------------------------------- */

static uint64_t pick(struct random *random, const uint64_t *from, size_t count)
{
	return from[random_below(random, count)];
}
#define PICK(random, ...) \
	pick((random), (const uint64_t[]){ __VA_ARGS__ }, \
		ARRAY_COUNT(((const uint64_t[]){ __VA_ARGS__ })))

static struct system_plan make_plan(uint64_t seed)
{
	struct random random = { .state = seed * 3 + 1 };
	struct system_plan plan = {
		.seed = seed,
		.disk = {
			.latency_us_max = PICK(&random, 0, 500, 20000, 1500000),
			.space_ppm = (uint32_t)PICK(&random, 0, 0, 10000, 100000),
			.disk_ppm = (uint32_t)PICK(&random, 0, 0, 2000, 10000),
			.kill_ppm = (uint32_t)PICK(&random, 0, 0, 3000, 20000),
			.exit_us_max = PICK(&random, 1000, 30 * US_PER_S),
		},
		.event_count = (uint32_t)PICK(&random, 30, 60, 120),
		.lane_count = (uint32_t)PICK(&random, 1, 2, 4),
		.connections_max = (uint32_t)PICK(&random, 16, 32, 64),
		.requests_max = (uint32_t)PICK(&random, 2, 8, 32),
		.buffer_count = (uint32_t)PICK(&random, 20, 64, 256),
		.channels_max = (uint32_t)PICK(&random, 3, 16),
		.replay_entries_max = (uint32_t)PICK(&random, 256, 4096),
		.retention_us = PICK(&random, 0, 0, 5 * 60 * US_PER_S),
		.down_us_max = PICK(&random, 0, US_PER_S, 60 * US_PER_S),
		.gap_us_max = PICK(&random, 1000, US_PER_S, 60 * US_PER_S),
		.attack_ppm = (uint32_t)PICK(&random, 0, 100000, 400000),
		.trouble_ppm = (uint32_t)PICK(&random, 0, 100000, 400000),
		.abandon_ppm = (uint32_t)PICK(&random, 0, 0, 50000),
	};

	/* Small ones, so that slow targets spill to disk. */
	static const struct queue_limits limits[] = {
		{ 0 },
		{ 16, { 32, 12, 12 }, 6 },
		{ 32, { 64, 16, 16 }, 8 },
		{ 8, { 64, 64, 64 }, 16 },
	};
	plan.limits = limits[random_below(&random, ARRAY_COUNT(limits))];
	if (random_below(&random, 4) > 0) {
		plan.faults = (struct sim_faults){
			.connect_refused_ppm = (uint32_t)PICK(&random, 0, 30000),
			.connect_lost_ppm = (uint32_t)PICK(&random, 0, 10000),
			.accept_failed_ppm = (uint32_t)PICK(&random, 0, 50000),
			.reset_ppm = (uint32_t)PICK(&random, 0, 3000, 20000),
			.stall_ppm = (uint32_t)PICK(&random, 0, 10000),
			.truncate_ppm = (uint32_t)PICK(&random, 0, 3000, 20000),
			.lose_ppm = (uint32_t)PICK(&random, 0, 3000),
		};
	}
	return plan;
}

/* ---- What happens on the way ----------------------------------------------------------------- */

static void change_mood(void *owner)
{
	struct run *run = owner;
	struct sim_world *world = run->system.world;
	struct sim_target *target = &run->system.targets[sim_between(world, 0, SYSTEM_TARGETS - 1)];

	if (run->calm) return;
	switch (sim_between(world, 0, 4)) {
	case 0: sim_target_down(target); break;
	case 1: target->bad_ppm = PPM; break;
	case 2:
		target->bad_ppm = (uint32_t)sim_between(world, 0, PPM);
		target->delay_us_max = sim_between(world, 0, 20 * US_PER_S);
		break;
	default:
		target->bad_ppm = 0;
		target->delay_us_max = 0;
		sim_target_up(target);
		break;
	}
	sim_world_call(world, sim_between(world, 1, run->mood_us_max), change_mood, run);
}

static void kill_daemon(void *owner)
{
	struct run *run = owner;
	if (!run->calm && run->system.daemon.running) run->system.daemon.dying = true;
}

static void disturb(void *owner)
{
	struct run *run = owner;
	struct sim_world *world = run->system.world;
	struct sim_daemon *daemon = &run->system.daemon;

	if (run->calm) return;
	switch (sim_between(world, 0, 4)) {
	case 0:
		/* A clock that is set right by its time server. */
		sim_world_shift_wall(world,
			(int64_t)sim_between(world, 0, 4 * US_PER_S) - (int64_t)(2 * US_PER_S));
		break;
	case 1:
		if (daemon->running) sim_daemon_drain(daemon, sim_between(world, 0, 10 * US_PER_S));
		break;
	case 2: sim_daemon_publish(daemon, run->system.flows->part); break;
	default: sim_daemon_publish(daemon, run->system.flows->whole); break;
	}
	sim_world_call(world, sim_between(world, 1, run->mood_us_max), disturb, run);
}

static bool all_resolved(struct system *system)
{
	return system->ledger.unresolved_count == 0;
}

static void summary(const struct run *run)
{
	const struct system *system = &run->system;
	const struct ledger *ledger = &system->ledger;
	uint32_t acked = 0;

	for (uint32_t i = 0; i < ledger->event_count; i++) acked += ledger->events[i].acked;
	fprintf(stderr,
		"seed %llu: %.0f s, %u events, %u acked, %llu duplicates, %llu times 503,"
		" %llu attacks, %llu commits, %llu failed, %llu kills, %llu stops\n",
		(unsigned long long)system->plan.seed,
		(double)sim_world_now(system->world).us / 1e6, ledger->event_count, acked,
		(unsigned long long)ledger->duplicates, (unsigned long long)ledger->refused_503,
		(unsigned long long)ledger->attacks, (unsigned long long)system->daemon.commits,
		(unsigned long long)system->daemon.failed_commits,
		(unsigned long long)system->daemon.kills, (unsigned long long)system->daemon.stops);
}

static uint64_t run_seed(uint64_t seed, const struct system_flows *flows, bool verbose)
{
	static struct run run;
	struct system_plan plan = make_plan(seed);

	system_open(&run.system, &plan, flows);
	struct sim_world *world = run.system.world;
	sim_world_set_verbose(world, verbose);
	run.calm = false;
	run.mood_us_max = sim_between(world, US_PER_S, 300 * US_PER_S);
	uint64_t span_us = plan.gap_us_max * plan.event_count / SYSTEM_PROVIDERS + US_PER_S;
	sim_world_call(world, sim_between(world, 0, run.mood_us_max), change_mood, &run);
	if (sim_chance(world, PPM / 2)) {
		sim_world_call(world, sim_between(world, 0, run.mood_us_max), disturb, &run);
	}
	for (uint64_t kills = sim_between(world, 0, KILLS_MAX); kills > 0; kills--) {
		sim_world_call(world, sim_between(world, 0, span_us), kill_daemon, &run);
	}
	system_start_providers(&run.system);
	bool resolved = system_run(&run.system, all_resolved, 2 * HOUR_US);
	MAYBE(resolved);
	run.calm = true;
	system_calm(&run.system);
	system_settle(&run.system);
	system_check_store(&run.system, true);
	system_stop(&run.system);
	if (one_seed()) summary(&run);
	return system_close(&run.system);
}

static void every_seed_keeps_the_promise(void **state)
{
	const struct system_flows *flows = *state;
	uint64_t first = environment("FIRST", 0);
	uint64_t count = environment("SEEDS", SEEDS_DEFAULT);

	if (one_seed()) {
		run_seed(environment("SEED", 0), flows, getenv("VERBOSE") != NULL);
		return;
	}
	for (uint64_t seed = first; seed < first + count; seed++) run_seed(seed, flows, false);
}

static void same_seed_is_same_run(void **state)
{
	const struct system_flows *flows = *state;

	if (one_seed()) return;
	for (uint64_t seed = 0; seed < TRACED_SEEDS; seed++) {
		assert_true(run_seed(seed, flows, false) == run_seed(seed, flows, false));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_seed_keeps_the_promise),
		cmocka_unit_test(same_seed_is_same_run),
	};

	return cmocka_run_group_tests(tests, system_set_up, system_tear_down);
}

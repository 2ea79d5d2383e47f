/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/io_sim_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"

enum {
	PPM = 1000000,
	TURN_US_MAX = 40,
	/* One step in so many turns a loop that has nothing to do, as after a signal. */
	SPURIOUS_ONE_IN = 64,
};

static _Thread_local struct sim_world *current;

struct sim_world *sim_world_current(void)
{
	CHECK(current != NULL);
	return current;
}

/* ---- Chance and trace ------------------------------------------------------------------------ */

bool sim_chance(struct sim_world *world, uint32_t ppm)
{
	/* No draw for what never happens: a fault switched off changes nothing else. */
	return ppm > 0 && random_below(&world->random, PPM) < ppm;
}

uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high)
{
	CHECK(low <= high);
	return low + random_below(&world->random, high - low + 1);
}

void sim_world_note(struct sim_world *world, uint64_t fact)
{
	struct random mixer = { .state = world->trace ^ fact };
	world->trace = random_u64(&mixer);
}

void sim_record(struct sim_world *world, const char *what, uint64_t id, uint64_t detail)
{
	sim_world_note(world, world->now_us);
	for (const char *at = what; *at != '\0'; at++) sim_world_note(world, (uint8_t)*at);
	sim_world_note(world, id);
	sim_world_note(world, detail);
	if (!world->verbose) return;
	fprintf(stderr, "%10" PRIu64 ".%06" PRIu64 " %-10s %4" PRIu64 " %" PRIu64 "\n",
		world->now_us / US_PER_S, world->now_us % US_PER_S, what, id, detail);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static bool event_before(const struct event *a, const struct event *b)
{
	if (a->time_us != b->time_us) return a->time_us < b->time_us;
	return a->sequence < b->sequence;
}

static uint32_t sift_up(struct event *events, uint32_t at)
{
	struct event event = events[at];

	while (at > 0 && event_before(&event, &events[(at - 1) / 2])) {
		events[at] = events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	events[at] = event;
	return at;
}

static void sift_down(struct event *events, uint32_t count)
{
	struct event event = events[0];
	uint32_t at = 0;

	for (uint32_t child = 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count && event_before(&events[child + 1], &events[child])) child++;
		if (!event_before(&events[child], &event)) break;
		events[at] = events[child];
		at = child;
	}
	events[at] = event;
}

struct event *sim_schedule(struct sim_world *world, uint64_t time_us, enum event_kind kind,
	void *object)
{
	CHECK(world->event_count < SIM_EVENTS_MAX);
	CHECK(time_us >= world->now_us);

	world->events[world->event_count] = (struct event){
		.time_us = time_us,
		.sequence = world->sequence++,
		.kind = (uint8_t)kind,
		.object = object,
	};
	return &world->events[sift_up(world->events, world->event_count++)];
}

static void run_due_events(struct sim_world *world)
{
	while (world->event_count > 0 && world->events[0].time_us <= world->now_us) {
		struct event event = world->events[0];
		world->events[0] = world->events[--world->event_count];
		if (world->event_count > 0) sift_down(world->events, world->event_count);

		if (event.kind == EVENT_CALL) {
			sim_record(world, "call", event.sequence, 0);
			event.run(event.object);
		} else if (event.kind != EVENT_NONE) {
			net_event(world, &event);
		}
	}
}

void sim_forget_events(struct sim_world *world, const struct io *io)
{
	for (uint32_t i = 0; i < world->event_count; i++) {
		struct event *event = &world->events[i];
		if (event->kind != EVENT_CLOSED && event->kind != EVENT_ACCEPT_RETRY) continue;
		const struct io_socket *socket = event->object;
		if (socket->io == io) event->kind = EVENT_NONE;
	}
}

void sim_world_call(struct sim_world *world, uint64_t delay_us, void (*run)(void *owner),
	void *owner)
{
	sim_schedule(world, world->now_us + delay_us, EVENT_CALL, owner)->run = run;
}

/* ---- The world ------------------------------------------------------------------------------- */

struct sim_world *sim_world_create(uint64_t seed, const struct sim_faults *faults)
{
	struct sim_world *world = alloc_array(1, sizeof *world);

	world->random.state = seed;
	/* Not zero, and not on a tick. 2026-01-01T00:00:00Z. */
	world->now_us = 1000 * US_PER_S + sim_between(world, 0, US_PER_S);
	world->wall_us = UINT64_C(1767225600) * US_PER_S;
	world->trace = seed;
	world->port = 40000;
	world->events = alloc_map(SIM_EVENTS_MAX * sizeof *world->events);
	pool_init(&world->connections, sizeof(struct sim_connection), SIM_CONNECTIONS_MAX);
	world->pipe_memory = alloc_map((size_t)SIM_CONNECTIONS_MAX * SIDES * SIM_PIPE_SIZE_MAX);
	list_init(&world->ios);
	list_init(&world->listeners);
	sim_world_set_faults(world, faults);
	current = world;
	return world;
}

void sim_world_destroy(struct sim_world *world)
{
	CHECK(list_empty(&world->ios));
	/* What still travels belongs to connections whose ends are gone. */
	world->connections.used_count = 0;
	pool_done(&world->connections);
	alloc_unmap(world->events, SIM_EVENTS_MAX * sizeof *world->events);
	alloc_unmap(world->pipe_memory, (size_t)SIM_CONNECTIONS_MAX * SIDES * SIM_PIPE_SIZE_MAX);
	if (current == world) current = NULL;
	alloc_free(world);
}

void sim_world_set_faults(struct sim_world *world, const struct sim_faults *faults)
{
	world->faults = faults == NULL ? (struct sim_faults){ 0 } : *faults;
	if (world->faults.stall_us == 0) world->faults.stall_us = SIM_STALL_US;
}

void sim_world_add(struct sim_world *world, struct loop *loop)
{
	CHECK(world->loop_count < SIM_LOOPS_MAX);
	world->loops[world->loop_count++] = loop;
}

void sim_world_remove(struct sim_world *world, struct loop *loop)
{
	for (uint32_t i = 0; i < world->loop_count; i++) {
		if (world->loops[i] != loop) continue;
		world->loops[i] = world->loops[--world->loop_count];
		return;
	}
	UNREACHABLE();
}

mono_t sim_world_now(const struct sim_world *world)
{
	return (mono_t){ .us = world->now_us };
}

void sim_world_shift_wall(struct sim_world *world, int64_t shift_us)
{
	world->wall_us += (uint64_t)shift_us;
}

struct random *sim_world_random(struct sim_world *world)
{
	return &world->random;
}

uint64_t sim_world_trace(const struct sim_world *world)
{
	return world->trace;
}

void sim_world_set_verbose(struct sim_world *world, bool verbose)
{
	world->verbose = verbose;
}

/* ---- The scheduler --------------------------------------------------------------------------- */

/* When the loop wants to run: now, later, or UINT64_MAX. */
static uint64_t loop_due_us(const struct sim_world *world, struct loop *loop)
{
	const struct io *io = loop->io;

	if (!list_empty(&io->ready) || io->wake_pending) return world->now_us;
	uint64_t wait_us = loop_wait_us(loop);
	if (wait_us == UINT64_MAX) return UINT64_MAX;
	return io->mono.us + wait_us;
}

static void turn(struct sim_world *world, struct loop *loop)
{
	world->driving = true;
	CHECK(loop_turn(loop) == RESULT_OK);
	world->driving = false;
	world->now_us += sim_between(world, 1, TURN_US_MAX);
}

bool sim_world_step(struct sim_world *world)
{
	struct loop *due[SIM_LOOPS_MAX];
	uint32_t due_count = 0;
	uint64_t next_us = UINT64_MAX;

	run_due_events(world);
	for (uint32_t i = 0; i < world->loop_count; i++) {
		uint64_t due_us = loop_due_us(world, world->loops[i]);
		if (due_us <= world->now_us)
			due[due_count++] = world->loops[i];
		else if (due_us < next_us)
			next_us = due_us;
	}
	if (due_count > 0) {
		if (random_below(&world->random, SPURIOUS_ONE_IN) == 0) {
			turn(world, world->loops[random_below(&world->random, world->loop_count)]);
		} else {
			turn(world, due[random_below(&world->random, due_count)]);
		}
		return true;
	}
	if (world->event_count > 0 && world->events[0].time_us < next_us) {
		next_us = world->events[0].time_us;
	}
	if (next_us == UINT64_MAX) return false;
	world->now_us = next_us;
	return true;
}

bool sim_run_until(struct sim_world *world, bool (*done)(void *owner), void *owner,
	uint64_t limit_us)
{
	uint64_t end_us = world->now_us + limit_us;

	while (!done(owner)) {
		if (world->now_us > end_us) return false;
		if (!sim_world_step(world)) return done(owner);
	}
	return true;
}

static void nothing(void *owner)
{
	(void)owner;
}

void sim_run_for(struct sim_world *world, uint64_t duration_us)
{
	uint64_t end_us = world->now_us + duration_us;

	/* So that the clock stops there at the latest. */
	sim_world_call(world, duration_us, nothing, NULL);
	while (world->now_us < end_us) CHECK(sim_world_step(world));
}

void sim_wait(struct sim_world *world, struct io *io, uint64_t wait_us)
{
	uint64_t end_us = wait_us > UINT64_MAX - world->now_us ? UINT64_MAX
							       : world->now_us + wait_us;

	run_due_events(world);
	while (list_empty(&io->ready) && !io->wake_pending && world->now_us < end_us) {
		uint64_t next_us = world->event_count > 0 ? world->events[0].time_us : UINT64_MAX;
		if (next_us > end_us) next_us = end_us;
		/* Otherwise it would wait for ever. */
		CHECK(next_us != UINT64_MAX);
		world->now_us = next_us;
		run_due_events(world);
	}
}

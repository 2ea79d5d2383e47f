/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_sim — engine/io.h over a world made from a seed: a network, a clock and chance, shared by
 * any number of struct io in one thread. The same seed gives the same run, byte for byte.
 *
 * How a test drives it:
 *
 *     struct sim_world *world = sim_world_create(seed, &faults);
 *     loop_open(&server, …);  loop_open(&client, …);      each io_open() joins the world
 *     sim_world_add(world, &server);  sim_world_add(world, &client);
 *     …start something…
 *     assert_true(sim_run_until(world, all_done, &test, 60 * US_PER_S));
 *     …close everything, sim_run_until() it is closed, loop_close()…
 *     sim_world_destroy(world);
 *
 * A step picks, by chance, one of the loops that have something to do and turns it; when none
 * has, the clock jumps to the next event or timer. A turn costs a few virtual microseconds. A
 * loop sees only some of its completions in a turn, and at times a turn without any.
 * A struct io that was not added to a world can be driven by io_turn() alone; its wait is then
 * virtual time, in which other loops do not run.
 *
 * What the network does: every connection has its own latency; what is sent travels in pieces
 * of random size through a pipe of bounded capacity, so that sends to a peer who does not read
 * hang; what arrives is received in pieces of random size into the io's buffers, of which
 * there may be too few. Listeners with the same address share its connections. Closing with
 * unread input resets, as TCP does; so does sending to somebody who has closed. On top of
 * that come the faults asked for.
 *
 * What it checks of its users: buffers are not touched after their return (AddressSanitizer)
 * and not returned twice, what is being sent is not changed before sent(), nothing is asked of
 * a socket after its closing, io_turn() is not called from a callback.
 *
 * All in one thread: io_wake() from another one is not supported. What the process draws from
 * the kernel's randomness, TLS above all, does not follow the seed.
 */
#pragma once

#include "base/random.h"
#include "engine/loop.h"

struct sim_world;

/* Probabilities in parts per million. All zero is a perfect, though slow, network. */
struct sim_faults {
	/* Of each connect: */
	uint32_t connect_refused_ppm;
	uint32_t connect_lost_ppm; /* no answer: ETIMEDOUT after SIM_CONNECT_TIMEOUT_US */
	/* Of each accept: EMFILE; the engine tries again by time. */
	uint32_t accept_failed_ppm;
	/* Of each piece that travels: */
	uint32_t reset_ppm;    /* both ends get ECONNRESET */
	uint32_t stall_ppm;    /* arrives, and all that follows it, stall_us later */
	uint32_t truncate_ppm; /* the receiver sees an orderly end, the sender is reset */
	uint32_t lose_ppm;     /* nothing arrives ever again, and nobody is told */
	uint64_t stall_us;     /* 0 means SIM_STALL_US */
};

#define SIM_CONNECT_TIMEOUT_US (UINT64_C(127) * US_PER_S)
#define SIM_STALL_US (UINT64_C(5) * US_PER_S)

/* Becomes this thread's world: io_open() joins the world created last. `faults` NULL: none. */
struct sim_world *sim_world_create(uint64_t seed, const struct sim_faults *faults);
/* All ios must be closed or killed. */
void sim_world_destroy(struct sim_world *world);
/* From now on. For a phase in which everything must come to rest. */
void sim_world_set_faults(struct sim_world *world, const struct sim_faults *faults);

/* Loops that sim_world_step() turns. */
void sim_world_add(struct sim_world *world, struct loop *loop);
void sim_world_remove(struct sim_world *world, struct loop *loop);

/* One turn of one loop, or one jump of the clock. False when nothing will ever happen again. */
bool sim_world_step(struct sim_world *world);
/* Steps until done(owner), which is asked after every step. False when it did not become true
 * within limit_us of virtual time, or cannot any more. */
bool sim_run_until(struct sim_world *world, bool (*done)(void *owner), void *owner,
	uint64_t limit_us);
/* Steps for so long, whatever happens. */
void sim_run_for(struct sim_world *world, uint64_t duration_us);

/* Runs something between two turns at that time: a script, or what is a thread in reality. */
void sim_world_call(struct sim_world *world, uint64_t delay_us, void (*run)(void *owner),
	void *owner);

mono_t sim_world_now(const struct sim_world *world);
/* Sets the wall clock forward or back. */
void sim_world_shift_wall(struct sim_world *world, int64_t shift_us);
/* For the test's own chance, so that it follows the seed too. */
struct random *sim_world_random(struct sim_world *world);

/* True with that probability in parts per million. */
bool sim_chance(struct sim_world *world, uint32_t ppm);
uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high);

/* The process dies: no callback comes any more, peers are reset, memory is released. What of
 * it was the owner's is the test's to forget. */
void sim_io_kill(struct io *io);

/* A digest of all that happened so far. */
uint64_t sim_world_trace(const struct sim_world *world);
/* Mixes a fact of the test's own into the digest. */
void sim_world_note(struct sim_world *world, uint64_t fact);
/* The same for an event, which is shown in verbose runs. */
void sim_record(struct sim_world *world, const char *what, uint64_t id, uint64_t detail);
/* Prints every event to stderr: for looking at one seed. */
void sim_world_set_verbose(struct sim_world *world, bool verbose);

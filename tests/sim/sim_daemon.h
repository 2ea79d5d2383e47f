/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_daemon — a penstockd inside the simulation: two workers with all they have, wired as in
 * worker.c, their shards in a real folder, one replay memory. It can be killed at any
 * moment between two turns and started again from what is on disk.
 *
 * The writers are no threads: whenever jobs wait, a step of the writer is called after some
 * time. A commit itself takes time too: the world goes on between the applying of its jobs, the
 * commit, and the report, as it does while a real writer waits for its disk.
 */
#pragma once

#include "lib/folder.h"
#include "queue/queue_internal.h"
#include "sim/io_sim.h"
#include "worker/wiring.h"

enum { SIM_WORKERS = 2 };

struct sim_disk {
	uint64_t latency_us_max; /* of a commit */
	/* Of each commit, in parts per million: */
	uint32_t space_ppm;   /* fails for want of space; nothing is broken */
	uint32_t disk_ppm;    /* fails for good; what was written may be there or not */
	uint32_t kill_ppm;    /* the process dies during it */
	uint64_t exit_us_max; /* how long the process lives on after a disk has failed */
};

struct sim_daemon_config {
	struct flow *flow;
	struct io_address address;
	uint32_t connections_max;
	uint32_t requests_max;
	uint32_t buffer_count; /* of a worker's ring */
	uint32_t channels_max;
	uint32_t replay_entries_max;
	uint64_t quota_size;
	uint64_t retention_us;
	struct queue_limits limits; /* window_events 0: those of bounds.h */
	struct sim_disk disk;
};

struct sim_daemon;

struct sim_worker {
	struct sim_daemon *daemon;
	uint32_t index;
	struct wiring wiring;
	struct shard *shard;
	struct metrics *metrics;
	struct letter drain_letter;
	struct letter flow_letter;
	bool step_scheduled;
	bool stepping;
};

struct sim_daemon {
	struct sim_daemon_config config;
	struct sim_world *world;
	char folder[FOLDER_PATH_SIZE];
	struct sim_worker workers[SIM_WORKERS];
	struct replay *replay;
	bool running;
	bool draining;
	uint64_t drain_us;  /* then connections are cut */
	bool dying;         /* a disk failed, or it was decided during a commit: kill it now */
	uint64_t die_at_us; /* after a disk has failed; 0: never */
	/* For the summary. */
	uint64_t commits;
	uint64_t kills;
	uint64_t stops;
	uint64_t failed_commits;
};

/* In a new folder, not running. */
void sim_daemon_open(struct sim_daemon *daemon, struct sim_world *world,
	const struct sim_daemon_config *config);
/* Not running any more. Removes the folder. */
void sim_daemon_close(struct sim_daemon *daemon);

void sim_daemon_start(struct sim_daemon *daemon);
/* Between two turns, not within a commit: there, set `dying`. */
void sim_daemon_kill(struct sim_daemon *daemon);
/* After every step of the world: has the writers stepped that have something to do. */
void sim_daemon_watch(struct sim_daemon *daemon);

/* As a reload does: this flow from the workers' next turns on. */
void sim_daemon_publish(struct sim_daemon *daemon, struct flow *flow);

/* As SIGTERM does: no new connections, no new attempts, and after drain_us no patience. */
void sim_daemon_drain(struct sim_daemon *daemon, uint64_t drain_us);
bool sim_daemon_idle(const struct sim_daemon *daemon);
/* Once idle; checks that everything came back. */
void sim_daemon_stop(struct sim_daemon *daemon);

/* Deliveries that are neither delivered nor dead, over both shards. */
uint64_t sim_daemon_outstanding(const struct sim_daemon *daemon);
/* Replays all dead letters; returns how many there were. */
uint32_t sim_daemon_replay_dead(struct sim_daemon *daemon);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_internal — what the files of the daemon share: the daemon itself, and the two things that
 * daemon_reload.c does for daemon.c.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "config/config_fixed.h"
#include "control/control.h"
#include "daemon.h"
#include "telemetry/telemetry.h"
#include "worker/worker.h"

struct daemon {
	char *config_path;
	uint32_t worker_count;
	struct worker **workers;
	struct shard **shards;
	struct queue **queues;
	struct replay *replay;
	struct telemetry *telemetry; /* NULL: off */
	struct control *control;
	wall_t started;
	struct config_fixed fixed;    /* as it was started */
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

/* The snapshot in force, acquired. Any thread. */
struct flow *daemon_flow(struct daemon *daemon);
/* Before a flow is handed to workers. */
void flow_give_slots(struct flow *flow);
MUST_USE enum result flow_remember_names(const struct daemon *daemon, const struct flow *flow);

/* Loads the file again and publishes what it says, when it is right. Cold threads, any; the report
 * is always filled. */
MUST_USE enum result daemon_reload_now(struct daemon *daemon, struct config_report *report,
	uint64_t *ret_generation);
/* Resolves the targets' names again and publishes what has moved: the configuration in force with
 * other addresses, whatever stands in the files by now. */
void daemon_readdress(struct daemon *daemon);

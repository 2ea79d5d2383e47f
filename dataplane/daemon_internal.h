/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_internal — what the files of the daemon share: the daemon itself, and what they do for
 * each other.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "config/config_fixed.h"
#include "control/control.h"
#include "daemon.h"
#include "daemon_generations.h"
#include "telemetry/telemetry.h"
#include "worker/listening.h"
#include "worker/worker.h"

struct daemon {
	char *config_path;
	const char *program; /* of main.c, or NULL */
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
	/* These are under publish_lock. */
	struct generations *generations;
	uint64_t *stamps;    /* of the files that the configuration in force names */
	uint64_t row_number; /* of the history: what is served, but for its addresses */
	uint64_t row_text;
	uint64_t confirm_number;      /* that is to be confirmed; 0: none */
	uint64_t confirm_back_to;     /* whose text comes back when it is not */
	bool gone_back;               /* the file says something else than what is served */
	_Atomic time_t confirm_end_s; /* mono; 0: nothing is waited for */
	struct listening listening;
	struct listening listening_next; /* while starting */
	atomic_bool listening_over;      /* given up: a reload listens no more */
	bool closing;                    /* they are going: nothing is handed to them any more */
	pthread_mutex_t flow_lock;       /* guards `flow` alone */
	struct flow *flow;
	atomic_int state; /* enum daemon_state */
	atomic_bool stop_wanted;
	atomic_bool store_failed;
	atomic_bool upgrade_wanted;
	sem_t wanted; /* posted when something above changes */
	pthread_t ticker;
	atomic_bool reload_wanted;
	atomic_bool upgrade_asked; /* by a signal */
	atomic_bool ticker_stop;
	sem_t ticker_wanted;       /* posted when something above changes */
	struct watchdog *watchdog; /* NULL: systemd does not ask for it */
};

/* The snapshot in force, acquired. Any thread. */
struct flow *daemon_flow(struct daemon *daemon);
/* Before a flow is handed to workers. */
void flow_give_slots(struct flow *flow);
MUST_USE enum result flow_remember_names(const struct daemon *daemon, const struct flow *flow);

/* Says when connections would be refused before there are as many as the configuration says. */
void daemon_limit_warn(const struct daemon *daemon);

/* The status line of `systemctl status`, as things are. Any thread. */
void daemon_status_notify(struct daemon *daemon);

/* Tells systemd that we are alive for as long as control and all workers are. Between their start
 * and their stop; the latter accepts a daemon without one. */
MUST_USE enum result daemon_watchdog_start(struct daemon *daemon);
void daemon_watchdog_stop(struct daemon *daemon);
/* Before the stop: nobody is alive until the next program has opened everything. */
void daemon_watchdog_give_way(const struct daemon *daemon);

/* daemon_reload.c: publishes what `config` says, when it is right; takes it over in any case. Under
 * publish_lock. Fills what control_change has for answers. */
MUST_USE enum result daemon_serve(struct daemon *daemon, struct config *config,
	struct control_change *change);

/* daemon_change.c: from one generation to the next. Cold threads, any. */

/* Of the flow that the daemon starts with: its number and its row. */
void daemon_generations_begin(struct daemon *daemon);
MUST_USE enum result daemon_change(struct daemon *daemon, struct control_change *change);
MUST_USE enum result daemon_confirm(struct daemon *daemon, const char *actor,
	uint64_t *ret_generation);
/* When the time is over: the generation before comes back. */
void daemon_confirm_expire(struct daemon *daemon);
time_t daemon_mono_s(void);

/* The first error of a report: "3:5: PS3004: …". False: there is none. */
bool daemon_fault_say(const struct config_report *report, char *to, size_t size);

/* daemon_listeners.c, under publish_lock. */

/* What `config` says to listen on; RESULT_CONFIG with a diagnostic. */
MUST_USE enum result daemon_listeners_next(const struct daemon *daemon, const struct config *config,
	struct config_report *report, struct listening *ret);
/* Copies of `next` for each worker, also of what it should have already: it may have found no room
 * for it. NULL when descriptors ran out. To be handed to them, or dropped. */
struct worker_listeners *daemon_listeners_copy(const struct daemon *daemon,
	const struct listening *next);
void daemon_listeners_drop(const struct daemon *daemon, struct worker_listeners *copies);
/* Before they are handed: nobody shall connect to what goes. */
void daemon_listeners_hush(const struct daemon *daemon, const struct listening *next);
/* They were not handed: what was to go stays. */
void daemon_listeners_unhush(const struct daemon *daemon, const struct listening *next);
/* Once the workers accept on them: closes the others. systemd is told. */
void daemon_listeners_replace(struct daemon *daemon, const struct listening *next);
/* With listening_over. Nobody is to wait there any more, unless systemd has them too. */
void daemon_listeners_give_up(struct daemon *daemon);

/* daemon_upgrade.c */

/* Cold threads, any: asks the program on disk and has daemon_wait() return. */
MUST_USE enum result daemon_upgrade(struct daemon *daemon, char *error, size_t error_size);
/* The part in which events are taken in still. Ends early, and for good, when a stop is wanted. */
void daemon_upgrade_begin(struct daemon *daemon);
/* The part in which everybody waits, from the end of the workers on. The sockets are the caller's
 * then; RESULT_DISK, and no sockets, when the store failed. */
MUST_USE enum result daemon_upgrade_close(struct daemon *daemon, struct handed *ret_handed);

/* Resolves the targets' names again and publishes what has moved: the configuration in force with
 * other addresses, whatever stands in the files by now. */
void daemon_readdress(struct daemon *daemon);

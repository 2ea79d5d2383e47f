/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control — the management side: control socket (HTTP/1.1 and JSON over a Unix socket) and the
 * loopback listener for /metrics, /healthz and /readyz. One cold thread, and one more for each
 * reload, replay or audit check that runs; never in the delivery path: when it is stuck or gone,
 * events still flow. protocol.h is what clients need to know.
 *
 * It asks the daemon through struct control_daemon, which main.c fills in, so that nothing
 * below knows that control exists.
 */
#pragma once

#include "config/config_changes.h"
#include "flow/flow.h"
#include "queue/queue.h"

enum daemon_state {
	DAEMON_STARTING,
	DAEMON_READY,
	DAEMON_DRAINING,
	DAEMON_STOPPING,
	DAEMON_FAILED
};
const char *daemon_state_code(enum daemon_state state);

/* A worker's figures, as of its last turn or so. */
struct control_worker_status {
	int cpu;
	uint32_t connections;
	uint32_t connections_max;
	uint32_t connections_parked;
	uint32_t requests;   /* between first byte and answer */
	uint32_t deliveries; /* attempts under way */
	uint32_t target_connections_idle;
	uint32_t target_connections_active;
	uint64_t turns;
	uint64_t cpu_us;
	uint64_t cq_overflows;
	uint64_t buffers_exhausted;
	struct queue_usage queue;
};

/* Per target, summed over workers. */
struct control_target_status {
	uint32_t active;
	uint32_t idle;
	uint64_t ready;      /* deliveries waiting in memory */
	char last_error[96]; /* of the last failed attempt, empty when the last one went well */
};

/* How a generation came to be served, or not. */
#define CONTROL_CHANGE_TABLE(X) \
	X(START,    "start",    "the daemon started with it") \
	X(RELOAD,   "reload",   "the file was loaded again") \
	X(ROLLBACK, "rollback", "somebody went back to an earlier text") \
	X(EXPIRE,   "expire",   "nobody confirmed the one before in time")
enum control_change_kind {
#define X(name, code, text) CONTROL_CHANGE_##name,
	CONTROL_CHANGE_TABLE(X)
#undef X
	CONTROL_CHANGE_COUNT
};

#define CONTROL_OUTCOME_TABLE(X) \
	X(SERVED,      "served",      "it was taken over") \
	X(REFUSED,     "refused",     "something was wrong: the one before stayed") \
	X(UNCONFIRMED, "unconfirmed", "it was taken over and is to be confirmed") \
	X(CONFIRMED,   "confirmed",   "it was taken over and confirmed") \
	X(ROLLED_BACK, "rolled back", "it was taken over, and not kept")
enum control_outcome {
#define X(name, code, text) CONTROL_OUTCOME_##name,
	CONTROL_OUTCOME_TABLE(X)
#undef X
	CONTROL_OUTCOME_COUNT
};

/* A row of the history. */
struct control_generation {
	uint64_t number; /* of a refused one: that which stayed */
	wall_t time;
	enum control_change_kind kind;
	enum control_outcome outcome;
	uint64_t text; /* whose text it has: that of the generation it was first served in */
	char actor[64];
	char changes[GENERATION_CHANGES_SIZE]; /* or why it was refused */
};

/* What is asked for, and what came of it. */
struct control_change {
	enum control_change_kind kind; /* RELOAD or ROLLBACK */
	const char *actor;
	uint64_t confirm_within_s; /* 0: it is to stay */
	uint64_t to;               /* of a rollback: whose text; 0: the last that is another */
	struct config_report *report;
	struct config_changes *changes;
	uint64_t generation;   /* that is served now */
	wall_t confirm_before; /* 0: it is to stay */
	char error[200];       /* a sentence, when there are no diagnostics */
};

/* Asked from control's threads, several at once: a reload must not keep flow() or state()
 * waiting. */
struct control_daemon {
	void *owner;
	wall_t started;
	enum daemon_state (*state)(void *owner);
	uint32_t worker_count;
	struct shard *const *shards; /* worker_count of them */
	struct queue *const *queues; /* for queue_dead_replay() only */
	struct replay *replay;
	void (*worker_status)(void *owner, uint32_t worker, struct control_worker_status *ret);
	void (*target_status)(void *owner, uint32_t target_id, struct control_target_status *ret);
	/* The current snapshot, acquired: release it. */
	struct flow *(*flow)(void *owner);
	/* Loads the file again, or an earlier text, and publishes when it is right; synchronous:
	 * every worker serves the new generation when it returns RESULT_OK. RESULT_BUSY: one is to
	 * be confirmed first; RESULT_NOT_FOUND: no such text. The report is always filled. */
	enum result (*change)(void *owner, struct control_change *change);
	/* RESULT_NOT_FOUND: none is to be confirmed. */
	enum result (*confirm)(void *owner, const char *actor, uint64_t *ret_generation);
	/* Newest first; returns how many. */
	size_t (*history)(void *owner, struct control_generation *rows, size_t rows_max);
	/* Readiness off, no more intake; deliveries go on. Then stop() exits: it only asks for it,
	 * control_stop() must not be called from within. */
	void (*drain)(void *owner);
	void (*drain_left)(void *owner, uint64_t outstanding); /* for whoever watches the service */
	void (*stop)(void *owner);
	/* Asks the program on disk whether it would start, and has it take over soon.
	 * RESULT_CONFIG: it would not; `error` has what it said. RESULT_BUSY: not now. */
	enum result (*upgrade)(void *owner, char *error, size_t error_size);
	const char *io_features;
	/* How often the TLS library has allocated since start, over all threads. */
	uint64_t (*tls_allocations)(void);
};

struct control;

/* Opens both listeners and starts the thread. `error` gets a sentence. */
MUST_USE enum result control_start(const struct config *config, const struct control_daemon *daemon,
	struct control **ret, char *error, size_t error_size);
/* Wakes the thread, and does not wait. False: it has not made a turn since the last time. Any
 * thread. */
bool control_ping(struct control *control);
/* Waits for a reload under way (replays and audit checks end early) and gives clients a second to
 * take their answers. Accepts NULL. */
void control_stop(struct control *control);

/* All families of /metrics as a table in Markdown: what docs/metrics.md has. */
void control_metrics_reference(struct writer *writer);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker — one pinned thread: its loop, its streams, receive and deliver over its shard.
 *
 * Started and stopped from cold threads; in between it is spoken to by letters, which it opens
 * at a turn's boundary. Calls below that say "synchronous" wait for the worker's answer.
 */
#pragma once

#include "deliver/deliver.h"
#include "receive/receive.h"
#include "worker/contexts.h"

struct worker;

/* A socket that a worker accepts on: a copy of one that the daemon holds. */
struct worker_listener {
	int held;       /* the daemon's descriptor: which one it is */
	int fd;         /* the copy, the worker's; it closes one of what it accepts on already */
	uint32_t index; /* of the configuration's listener, and of its TLS context */
};

struct worker_listeners {
	uint32_t count;
	struct worker_listener all[RECEIVE_LISTENERS_MAX];
};

struct worker_config {
	uint32_t index;
	int cpu;                     /* -1: not pinned */
	const struct config *config; /* sizes and addresses; read only while starting */
	struct shard *shard;         /* outlives the worker */
	struct replay *replay;
	struct spans *spans;                      /* NULL: no traces */
	const struct worker_listeners *listeners; /* read only while starting */
};

/* The largest body that workers started with this configuration take: a reload may not raise it
 * any more, see receive_request.c. */
uint32_t worker_body_size_max(const struct config *config);

/* Opens everything on a new thread and begins to serve. Takes `contexts` over in any case; the
 * worker holds a reference to the flow. `error` gets a sentence. Synchronous. */
MUST_USE enum result worker_start(const struct worker_config *config, struct flow *flow,
	struct contexts *contexts, struct worker **ret, char *error, size_t error_size);

/* Serves the new snapshot from its next turn on, and has let go of the old one when this
 * returns. Takes `contexts` over, and accepts on `listeners` and no others; both are NULL when the
 * flow was readdressed, and TLS and listeners stay as they are. Synchronous. Returns how many new
 * listeners there was no room for: the next call takes them when there is. */
uint32_t worker_publish(struct worker *worker, struct flow *flow, struct contexts *contexts,
	const struct worker_listeners *listeners);

/* Intake ends, deliveries go on. Synchronous: no new event after it returns, but those whose
 * request was under way. */
void worker_drain(struct worker *worker);

/* No new attempts; events are taken in still. Synchronous. */
void worker_drain_deliveries(struct worker *worker);

/* Finishes what is under way, and cuts what is not done after drain_us; ends the thread, frees. In
 * two steps, so that several workers stop at the same time. */
void worker_stop_begin(struct worker *worker, uint64_t drain_us);
void worker_stop_finish(struct worker *worker);

/* Posts a letter that a turn of the worker opens, and does not wait. False: the one before has not
 * been opened yet, and no other is posted. One cold thread, before the worker is stopped. */
bool worker_ping(struct worker *worker);

struct worker_status {
	int cpu;
	uint32_t connections_max;
	struct receive_usage receive;
	struct deliver_usage deliver;
	struct queue_usage queue;
	struct io_statistics io;
	uint64_t cpu_us;
};
/* Synchronous. */
void worker_status(struct worker *worker, struct worker_status *ret);
/* Synchronous. False when the worker has had nothing to do with that target. */
bool worker_target_usage(struct worker *worker, uint32_t target_id,
	struct deliver_target_usage *ret);

struct queue *worker_queue(struct worker *worker);
/* How many sockets it holds without descriptors. */
uint32_t worker_table_size(const struct worker *worker);
const char *worker_io_features(const struct worker *worker);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wiring — the parts of a worker and what connects them: a loop, streams over it, receive and
 * deliver over a shard's queue, and the queue's wishes turned into letters and timers.
 *
 * A worker has it on a thread of its own, the simulation several on one. Opened in this order:
 *
 *   wiring_open_loop() → the owner opens the queue with wiring_queue_events() → wiring_open() →
 *   the owner's listeners → wiring_begin() → turns of the loop, wiring_drain() at last →
 *   wiring_close() → wiring_close_loop()
 *
 * Everything on the worker's thread.
 */
#pragma once

#include <stdatomic.h>

#include "deliver/deliver.h"
#include "receive/receive.h"

struct wiring_config {
	struct shard *shard; /* outlives the wiring, as the next two do */
	struct replay *replay;
	struct metrics *metrics;
	struct spans *spans; /* NULL: no traces */
	uint32_t connections_max;
	uint32_t requests_max;
	uint32_t body_size_max;
	uint32_t listeners_max;
	uint32_t channels_max;
	uint32_t targets_max;
	uint32_t buffer_count; /* of the ring */
	uint32_t buffer_size;
};

struct wiring {
	struct wiring_config config;
	struct loop loop;
	struct streams streams;
	struct queue *queue; /* the owner opens it */
	struct receive *receive;
	struct deliver *deliver;
	bool draining;
	bool overdue; /* the drain time is over */
	/* Private. The queue's wake-up is posted at most once at a time. */
	struct letter queue_letter;
	atomic_bool queue_letter_posted;
	struct timer due;
	wall_t due_at;
	struct timer tick;
	struct timer expire;
	struct timer deadline;
};

/* On failure io_open_error() has a sentence. */
MUST_USE enum result wiring_open_loop(struct wiring *wiring, const struct wiring_config *config);
/* What the queue is opened with. */
struct queue_events wiring_queue_events(struct wiring *wiring);
/* Opens deliver and receive. Takes the references of `tls` over. */
void wiring_open(struct wiring *wiring, struct flow *flow, const struct deliver_tls *tls);
/* Has the queue begin with what was left from before. */
void wiring_begin(struct wiring *wiring);

/* No new events and no new attempts; after drain_us what is under way is cut. Once. */
void wiring_drain(struct wiring *wiring, uint64_t drain_us);
/* Drained, and nothing is under way any more. */
bool wiring_finished(const struct wiring *wiring);

/* Finished, or overdue: lets go of the queue and the parts over it. */
void wiring_close(struct wiring *wiring);
/* When nobody posts to the loop any more. */
void wiring_close_loop(struct wiring *wiring);

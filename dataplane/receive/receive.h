/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive — the inbound side of a worker: connections from providers, one request at a time on
 * each, from the first byte to the answer.
 *
 * Happy path: accept → TLS → head → route → body → verify → replay check → append to the
 * shard → (commit on the writer thread) → 200. The 2xx is written only when the commit has
 * come back; there is no other place in the program that writes one for an event.
 *
 * Ways it fails, all answered with a problem document: malformed HTTP (400 …, then closed,
 * because the framing is lost), no such endpoint (404), not authentic (401), too large (413),
 * no room in a pool, on the disk or in the replay memory (503 with Retry-After), a body that
 * trickles (408). A client that is too slow in all else is cut off without an answer. More
 * clients than connections: see receive_admission.c.
 *
 * Everything belongs to one worker thread.
 */
#pragma once

#include "flow/flow.h"
#include "metrics/metrics.h"
#include "queue/queue.h"
#include "telemetry/spans.h"
#include "tls/stream.h"

struct receive;

struct receive_config {
	struct streams *streams;
	struct shard *shard;
	struct queue *queue;
	struct replay *replay;
	struct metrics *metrics;
	struct spans *spans; /* NULL: no traces */
	uint32_t connections_max;
	uint32_t requests_max;
	uint32_t body_size_max; /* the largest of any endpoint, ever: sizes the large buffers */
	uint32_t listeners_max;
};

/* Cold; the flow is borrowed until the next receive_flow_set(). */
void receive_open(const struct receive_config *config, const struct flow *flow,
	struct receive **ret);
/* After receive_drain() and once receive_idle(). */
void receive_close(struct receive *receive);

/* Starts to listen. `context` NULL: plaintext. Returns the listener's index for
 * receive_listener_context(). */
MUST_USE enum result receive_listen(struct receive *receive, const struct io_address *address,
	struct tls_context *context, uint32_t *ret_index);
/* The same with a descriptor that listens already; it is ours when RESULT_OK. RESULT_CLOSED after
 * receive_drain(): a reload may come that late. */
MUST_USE enum result receive_listen_on(struct receive *receive, int fd, struct tls_context *context,
	uint32_t *ret_index);
/* No more connections from it; those it has accepted are served. The index is free for another. */
void receive_unlisten(struct receive *receive, uint32_t index);
/* For connections from now on; takes the reference over and drops the old one. */
void receive_listener_context(struct receive *receive, uint32_t index, struct tls_context *context);

/* From now on; the old snapshot is not used any more when this returns. */
void receive_flow_set(struct receive *receive, const struct flow *flow);

/* No new connections; the others are closed after their next answer, or when none was asked for
 * during RECEIVE_DRAIN_IDLE_MS. */
void receive_drain(struct receive *receive);
/* Cuts whatever is left. Requests on their way to disk still come back. */
void receive_abort(struct receive *receive);
/* Nothing is open or under way any more. */
bool receive_idle(const struct receive *receive);

/* Requests that are whole and wait to be verified together. */
uint32_t receive_gathered(const struct receive *receive);

struct receive_usage {
	uint32_t connections;
	uint32_t requests;
	uint32_t parked; /* accepted, and waiting for a connection */
};
struct receive_usage receive_usage(const struct receive *receive);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver — the outbound side of a worker: leases what is ready, sends it over warm HTTP/1.1
 * connections (channels), judges the answer, settles.
 *
 * Happy path of an attempt: lease → warm channel, or a new one (connect, TLS, certificate and
 * host name verified) → head with a fresh Standard Webhooks signature, and the body → answer →
 * settle. One attempt at a time on a channel, and never a second request on one whose answer
 * was not understood to its end.
 *
 * Ways it fails: no address, no connection, TLS refused, broken or silent connection, an
 * answer that is not HTTP, a status other than 2xx. Each becomes an attempt record and, by
 * outcome_judge(), a retry or a dead letter. Once the whole request was sent and the head of an
 * answer has come its status counts, whatever becomes of its body. A warm connection that the
 * target closed just before our request reached it is no attempt: the delivery goes out again at
 * once on a new one, if nothing of an answer had come.
 *
 * Everything belongs to one worker thread.
 */
#pragma once

#include "base/hash.h"
#include "flow/flow.h"
#include "metrics/metrics.h"
#include "queue/queue.h"
#include "telemetry/spans.h"
#include "tls/stream.h"

struct deliver;

struct deliver_config {
	struct streams *streams;
	struct queue *queue;
	struct metrics *metrics;
	struct spans *spans;   /* NULL: no traces */
	uint32_t channels_max; /* to all targets together */
	uint32_t targets_max;  /* in a flow */
};

/* Cold. */
void deliver_open(const struct deliver_config *config, struct deliver **ret);
void deliver_close(struct deliver *deliver);

/* What channels to a target are opened with. */
struct deliver_tls {
	struct tls_context *context; /* NULL for http */
	/* Of everything the context was made from: the same for one that trusts and shows as
	 * much. */
	uint8_t digest[SHA256_SIZE];
};

/* The targets from now on, each (by its index in the flow) with its TLS. Takes the contexts'
 * references over. The flow before this one must still be there.
 * Channels to a target that is reached as before, by address, host name and TLS, stay warm:
 * what else has changed, secrets and limits too, counts from the next attempt on. Those of others
 * and of targets that have vanished are closed, after their attempt.
 * `tls` NULL: the flow is the one before with other addresses, and the TLS stays as it is. */
void deliver_flow_set(struct deliver *deliver, const struct flow *flow,
	const struct deliver_tls *tls);

/* From queue_events.ready: at the end of this turn something is leased for that target. */
void deliver_ready(struct deliver *deliver, uint32_t target_id);

/* No new attempts; those under way finish. */
void deliver_drain(struct deliver *deliver);
/* Ends them too: what they carry stays pending. */
void deliver_abort(struct deliver *deliver);
/* No channel is open any more. */
bool deliver_idle(const struct deliver *deliver);
/* No attempt is under way (channels may be warm). */
bool deliver_quiet(const struct deliver *deliver);

struct deliver_usage {
	uint32_t attempts;
	uint32_t channels_idle;
	uint32_t channels_active;
};
struct deliver_usage deliver_usage(const struct deliver *deliver);

/* For status: of one target. False when it is not known here. */
struct deliver_target_usage {
	uint32_t active;
	uint32_t idle;
	uint32_t ready; /* waiting for a channel */
	char last_error[ATTEMPT_DETAIL_SIZE_MAX];
};
bool deliver_target_usage(const struct deliver *deliver, uint32_t target_id,
	struct deliver_target_usage *ret);

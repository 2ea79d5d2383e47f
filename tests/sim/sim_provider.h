/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_provider — a provider inside the simulation: sends its events of the ledger to its
 * endpoint over a few connections (lanes), signed anew for each try, and tries again what got no
 * answer or 503, or 408 when the network stalls. Now and then it sends what must be refused
 * instead, or in a way that is trouble: a byte at a time, cut off, pipelined, chunked. Like
 * sim_target it speaks through engine/io.h alone.
 */
#pragma once

#include "flow/flow.h"
#include "http/http_response.h"
#include "sim/sim_ledger.h"

enum { PROVIDER_LANES_MAX = 4, LANE_EXPECTS_MAX = 4 };

/* What a request is, and so what may be answered. */
enum request_kind {
	REQUEST_EVENT,
	REQUEST_REPLAY,   /* an event that was acked, once more */
	REQUEST_FORGED,   /* signed with another key */
	REQUEST_TAMPERED, /* signed well, then changed */
	REQUEST_STALE,    /* signed well, an hour ago */
	REQUEST_CONFLICT, /* the id of an acked event with another body */
	REQUEST_MALFORMED,
	REQUEST_KIND_COUNT
};

struct expectation {
	enum request_kind kind;
	uint32_t number;
};

struct provider_lane;

struct sim_provider {
	struct ledger *ledger;
	struct loop *loop;
	const struct flow_endpoint *endpoint;
	struct io_address address;
	uint32_t index;
	const struct scheme *scheme;
	struct verifier *signer;
	struct verifier *forger;
	struct provider_lane *lanes;
	uint32_t lane_count;
	bool stopping; /* no new requests; lanes close as they come to rest */
	/* Its mood. */
	uint32_t attack_ppm;  /* of requests */
	uint32_t trouble_ppm; /* of events: slow, cut off, … */
	uint32_t abandon_ppm; /* of tries that got no answer */
	uint64_t gap_us_max;  /* between requests of a lane */
};

void sim_provider_open(struct sim_provider *provider, struct ledger *ledger, struct loop *loop,
	const struct flow_endpoint *endpoint, const struct io_address *address, uint32_t index,
	uint32_t lane_count);
void sim_provider_start(struct sim_provider *provider);
void sim_provider_stop(struct sim_provider *provider);
bool sim_provider_idle(const struct sim_provider *provider);
void sim_provider_close(struct sim_provider *provider);

/* The secret of an endpoint with this scheme; variant 1: another of the same form. */
const char *sim_provider_secret(const struct scheme *scheme, int variant);

/* ---- sim_provider_request.c ------------------------------------------------------------------ */

/* One request with that event, well signed. */
void provider_write_event(struct sim_provider *provider, uint32_t number, struct writer *to);
/* Chooses and writes the next request or requests behind each other. Returns how many. */
uint32_t provider_compose(struct sim_provider *provider, struct writer *to,
	struct expectation expects[static LANE_EXPECTS_MAX]);
/* The answer to a request has come. `id` as it says, `duplicate` likewise. */
void provider_answered(struct sim_provider *provider, const struct expectation *expect,
	uint16_t status, struct bytes id, bool duplicate);
/* No answer will come. */
void provider_unanswered(struct sim_provider *provider, const struct expectation *expect);

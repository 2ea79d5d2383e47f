/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spans — what a worker did for one event, on its way to whoever collects traces: a ring per
 * worker, filled by it and emptied by the telemetry thread. A full ring loses the new span and
 * counts it: the worker never waits.
 *
 * No payload, no header and no secret is in a span: names from the configuration, the request's
 * path, the target's host, states and times.
 */
#pragma once

#include <stdatomic.h>

#include "bounds.h"
#include "metrics/metrics.h"
#include "telemetry/trace.h"

/* As OTLP numbers them. */
enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 };

enum { SPAN_PLACE_SIZE = 256 };

struct span {
	struct trace_context context; /* its own id */
	uint8_t parent_id[SPAN_ID_SIZE];
	bool has_parent;
	enum span_kind kind;
	uint64_t start_us; /* wall */
	uint64_t end_us;
	/* The event. */
	uint64_t sequence;
	uint64_t received_us;
	uint16_t shard;
	/* The answer; 0: none. */
	uint16_t status;
	bool failed;
	const char *error;   /* a code of a table, or NULL */
	const char *outcome; /* of an attempt; the same */
	uint16_t attempt;    /* from 1 */
	bool tls;
	uint16_t port;
	char name[NAME_SIZE_MAX + 1]; /* of the endpoint or the target */
	char place[SPAN_PLACE_SIZE];  /* the request's path, or the target's host; "": too long */
};

struct spans;

struct spans *spans_create(uint32_t sample_ppm);
void spans_free(struct spans *spans);
/* Whether a trace that begins here is to be recorded: one in 1,000,000 / sample_ppm. */
bool spans_sample(const struct spans *spans, uint64_t random);

/* The worker. A place to fill, which spans_put() hands over; NULL, counted, when there is none. */
struct span *spans_take(struct spans *spans, struct metrics *metrics);
void spans_put(struct spans *spans);

/* The telemetry thread. The oldest, or NULL; it stays until spans_drop(). */
const struct span *spans_peek(const struct spans *spans, uint32_t index);
void spans_drop(struct spans *spans, uint32_t count);

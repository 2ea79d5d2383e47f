/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics — counters and histograms in per-thread cells, summed when read.
 *
 * The tables below are the one source for code, exposition and reference (docs/metrics.md):
 * name, one line for the operator. A worker writes only its own cells (relaxed atomics, one
 * writer), so counting costs an increment and no sharing. Gauges are not kept here: whoever
 * has the value says it when /metrics is read.
 *
 * Endpoints and targets have a slot each, given out by name on cold threads and never taken
 * back while the process lives, so that rates survive reloads. Beyond METRICS_SLOTS_MAX names
 * all share the last slot, called "_other".
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* enumerator, Prometheus name, help */
#define METRICS_COUNTER_TABLE(X) \
	X(CONNECTIONS_ACCEPTED,  "penstock_connections_accepted_total",  "Connections accepted from providers") \
	X(CONNECTIONS_SHED,      "penstock_connections_shed_total",      "Connections refused because the worker is at its connection limit") \
	X(CONNECTIONS_EVICTED,   "penstock_connections_evicted_total",   "Idle connections closed to make room for new ones") \
	X(CONNECTIONS_TIMED_OUT, "penstock_connections_timed_out_total", "Connections closed because a head, body, handshake, send or idle limit ran out") \
	X(HANDSHAKES,            "penstock_tls_handshakes_total",        "TLS handshakes completed with providers") \
	X(HANDSHAKES_FAILED,     "penstock_tls_handshakes_failed_total", "TLS handshakes that failed") \
	X(HANDSHAKES_RESUMED,    "penstock_tls_handshakes_resumed_total", "TLS handshakes that resumed a session") \
	X(REQUESTS,              "penstock_requests_total",              "Requests read to their end or refused") \
	X(REQUESTS_MALFORMED,    "penstock_requests_malformed_total",    "Requests that are not proper HTTP/1.1") \
	X(REQUESTS_SLOW,         "penstock_requests_slow_total",         "Requests answered 408 because their body came too slowly") \
	X(REQUESTS_UNROUTED,     "penstock_requests_unrouted_total",     "Requests for a host and path without an endpoint, or with a wrong method") \
	X(REQUESTS_SHED,         "penstock_requests_shed_total",         "Requests answered 503 because a limit, the disk or the quota was reached") \
	X(TARGET_CONNECTIONS,    "penstock_target_connections_total",    "Connections opened to targets") \
	X(TARGET_CONNECTIONS_REUSED, "penstock_target_connections_reused_total", "Attempts that found a warm connection") \
	X(SPANS,                 "penstock_trace_spans_total",           "Spans of sampled traces") \
	X(SPANS_EXPORTED,        "penstock_trace_spans_exported_total",  "Spans that the collector took") \
	X(SPANS_DROPPED,         "penstock_trace_spans_dropped_total",   "Spans lost: the collector did not take them, or not fast enough")

#define METRICS_ENDPOINT_TABLE(X) \
	X(ACCEPTED,  "penstock_events_accepted_total",  "Events verified, new, on disk and answered 2xx") \
	X(DUPLICATE, "penstock_events_duplicate_total", "Requests for an event that is on disk already, answered 2xx and not delivered again") \
	X(REFUSED_SIGNATURE, "penstock_events_refused_signature_total", "Requests refused because the signature is missing, malformed or wrong") \
	X(REFUSED_TIMESTAMP, "penstock_events_refused_timestamp_total", "Requests refused because their timestamp is outside the tolerance") \
	X(REFUSED_CONFLICT,  "penstock_events_refused_conflict_total",  "Requests refused because their id was used before with another body") \
	X(REFUSED_SIZE,      "penstock_events_refused_size_total",      "Requests refused because the body is too large") \
	X(SHED,      "penstock_events_shed_total",      "Authentic requests answered 503 because they could not be stored") \
	X(BYTES,     "penstock_events_accepted_bytes_total", "Payload bytes of accepted events") \
	X(PREVIOUS_SECRET, "penstock_events_previous_secret_total", "Accepted events that were signed with the previous secret")

#define METRICS_TARGET_TABLE(X) \
	X(ATTEMPTS,  "penstock_attempts_total",            "Delivery attempts") \
	X(DELIVERED, "penstock_deliveries_delivered_total", "Deliveries the target answered with 2xx") \
	X(RETRIED,   "penstock_deliveries_retried_total",   "Attempts that failed and will be repeated") \
	X(DEAD,      "penstock_deliveries_dead_total",      "Deliveries parked in the dead letter queue")

/* enumerator, Prometheus name (unit seconds), help */
#define METRICS_HISTOGRAM_TABLE(X) \
	X(ACK,     "penstock_ack_duration_seconds",     "From a request's last byte to its answer's hand-over to the kernel") \
	X(COMMIT,  "penstock_commit_duration_seconds",  "From a request's last byte to its event's commit, as the worker sees it") \
	X(DWELL,   "penstock_queue_dwell_seconds",      "From an event's acceptance to the start of the first attempt at a target") \
	X(ATTEMPT, "penstock_attempt_duration_seconds", "Duration of delivery attempts")

enum metrics_counter {
#define X(name, prometheus, help) METRICS_##name,
	METRICS_COUNTER_TABLE(X)
#undef X
	METRICS_COUNTER_COUNT
};
enum metrics_endpoint {
#define X(name, prometheus, help) METRICS_ENDPOINT_##name,
	METRICS_ENDPOINT_TABLE(X)
#undef X
	METRICS_ENDPOINT_COUNT
};
enum metrics_target {
#define X(name, prometheus, help) METRICS_TARGET_##name,
	METRICS_TARGET_TABLE(X)
#undef X
	METRICS_TARGET_COUNT
};
enum metrics_histogram {
#define X(name, prometheus, help) METRICS_HISTOGRAM_##name,
	METRICS_HISTOGRAM_TABLE(X)
#undef X
	METRICS_HISTOGRAM_COUNT
};

enum { METRICS_SLOTS_MAX = 4096 };

/* Powers of two of microseconds with two sub-steps: upper bounds 1, 2, 3, 4, 6, 8, 12 … µs up to
 * 101 s, then +Inf. */
enum { METRICS_BUCKETS = 54 };

/* An event that was observed, for whoever wants to see one of those that took so long. The event id
 * is made of the first three when somebody reads it. */
struct metrics_exemplar {
	uint64_t sequence; /* 48 bits */
	uint16_t shard;
	uint64_t received_us; /* wall; 0: there is none */
	uint64_t value_us;
	uint64_t time_us; /* wall: when it was observed */
};

/* A bucket takes another one when that came so much later: what is scraped every few seconds need
 * not be written for each event. */
#define METRICS_EXEMPLAR_INTERVAL_US UINT64_C(1000000)

/* One writer; a reader that finds `turn` odd or changed has nothing to show. */
struct metrics_exemplar_cell {
	_Atomic uint32_t turn;
	_Atomic uint64_t place; /* shard(16) sequence(48) */
	_Atomic uint64_t received_us;
	_Atomic uint64_t value_us;
	_Atomic uint64_t time_us;
};

struct metrics_histogram_cells {
	_Atomic uint64_t buckets[METRICS_BUCKETS];
	_Atomic uint64_t sum_us;
	struct metrics_exemplar_cell exemplars[METRICS_BUCKETS];
};

/* One thread's cells. */
struct metrics {
	_Atomic uint64_t counters[METRICS_COUNTER_COUNT];
	struct metrics_histogram_cells histograms[METRICS_HISTOGRAM_COUNT];
	_Atomic uint64_t (*endpoints)[METRICS_ENDPOINT_COUNT]; /* [METRICS_SLOTS_MAX] */
	_Atomic uint64_t (*targets)[METRICS_TARGET_COUNT];
};

/* Cold threads. The cells are known to the exposition until metrics_cells_free(). */
struct metrics *metrics_cells_create(void);
void metrics_cells_free(struct metrics *cells);

/* Slot for a name; the same name always gets the same. Cold threads, locked. */
uint32_t metrics_endpoint_slot(const char *name);
uint32_t metrics_target_slot(const char *name);

/* Whether it is that of all names beyond the slots, whose label is METRICS_OTHER. */
bool metrics_slot_is_shared(uint32_t slot);
#define METRICS_OTHER "_other"

static inline void metrics_cell_add(_Atomic uint64_t *cell, uint64_t count)
{
	/* One writer per cell: no locked instruction needed. */
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + count,
		memory_order_relaxed);
}

static inline void metrics_add(struct metrics *cells, enum metrics_counter counter, uint64_t count)
{
	metrics_cell_add(&cells->counters[counter], count);
}

static inline void metrics_endpoint_add(struct metrics *cells, uint32_t slot,
	enum metrics_endpoint counter, uint64_t count)
{
	metrics_cell_add(&cells->endpoints[slot][counter], count);
}

static inline void metrics_target_add(struct metrics *cells, uint32_t slot,
	enum metrics_target counter, uint64_t count)
{
	metrics_cell_add(&cells->targets[slot][counter], count);
}

/* The duration is the exemplar's. One without a received time is counted and not kept. */
void metrics_observe(struct metrics *cells, enum metrics_histogram histogram,
	const struct metrics_exemplar *exemplar);

/* Sums over all threads; any thread. */
uint64_t metrics_sum(enum metrics_counter counter);
uint64_t metrics_endpoint_sum(uint32_t slot, enum metrics_endpoint counter);
uint64_t metrics_target_sum(uint32_t slot, enum metrics_target counter);
struct metrics_histogram_sum {
	uint64_t buckets[METRICS_BUCKETS];
	uint64_t count;
	uint64_t sum_us;
	struct metrics_exemplar exemplars[METRICS_BUCKETS]; /* the latest of each bucket */
};
void metrics_histogram_sum(enum metrics_histogram histogram, struct metrics_histogram_sum *ret);
/* Upper bound of a bucket in µs; UINT64_MAX for the last. */
uint64_t metrics_bucket_us(unsigned bucket);
/* Estimated quantile (0 < q < 1) in µs: upper bound of the bucket it falls in; 0 when empty. */
uint64_t metrics_quantile_us(const struct metrics_histogram_sum *sum, double q);

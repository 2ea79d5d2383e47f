/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_sample — what the daemon says of itself at one moment: status, one page of endpoints and of
 * targets, the metrics. Raw counts; what they mean is in top_figures.h.
 */
#pragma once

#include "bounds.h"
#include "command.h"
#include "top_histogram.h"

/* One page each: asking for a target costs each worker a letter. */
#define TOP_ITEMS_MAX CONTROL_LIMIT_MAX

enum top_list { TOP_ENDPOINTS, TOP_TARGETS, TOP_WORKERS, TOP_LIST_COUNT };

/* Of an item, by its list. */
enum top_endpoint_count {
	TOP_ENDPOINT_ACCEPTED,
	TOP_ENDPOINT_SIZE,
	TOP_ENDPOINT_DUPLICATE,
	TOP_ENDPOINT_REFUSED,
	TOP_ENDPOINT_SHED,
};
enum top_target_count {
	TOP_TARGET_ATTEMPTS,
	TOP_TARGET_DELIVERED,
	TOP_TARGET_RETRIED,
	TOP_TARGET_DEAD,
	TOP_TARGET_BUSY,
	TOP_TARGET_IDLE,
	TOP_TARGET_READY,
};
enum top_worker_count {
	TOP_WORKER_CONNECTIONS,
	TOP_WORKER_REQUESTS,
	TOP_WORKER_ATTEMPTS,
	TOP_WORKER_READY,
	TOP_WORKER_LEASED,
	TOP_WORKER_BACKLOG,
	TOP_WORKER_COMMITS,
	TOP_WORKER_JOBS,
	TOP_WORKER_CPU_US,
	TOP_WORKER_STORE_USED,
	TOP_WORKER_STORE_QUOTA,
	TOP_WORKER_COUNT,
};
enum { TOP_COUNTS_MAX = TOP_WORKER_COUNT };

struct top_item {
	char name[NAME_SIZE_MAX + 1];
	char note[300]; /* a target's last error */
	uint64_t counts[TOP_COUNTS_MAX];
	struct top_histogram latency; /* of its own series, where the metrics have them */
};

/* Over everything; enumerator, what the names of its metrics begin with. */
#define TOP_COUNTER_TABLE(X) \
	X(ACCEPTED,  "penstock_events_accepted_total") \
	X(DUPLICATE, "penstock_events_duplicate_total") \
	X(REFUSED,   "penstock_events_refused_") \
	X(SHED,      "penstock_requests_shed_total") \
	X(DELIVERED, "penstock_deliveries_delivered_total") \
	X(RETRIED,   "penstock_deliveries_retried_total") \
	X(DEAD,      "penstock_deliveries_dead_total")
enum top_counter {
#define X(name, metric) TOP_##name,
	TOP_COUNTER_TABLE(X)
#undef X
	TOP_COUNTER_COUNT
};

/* enumerator, key in the status, histogram in the metrics, what people call it */
#define TOP_LATENCY_TABLE(X) \
	X(ACK,     "ack",     "penstock_ack_duration_seconds",     "request to answer") \
	X(COMMIT,  "commit",  "penstock_commit_duration_seconds",  "commit") \
	X(DWELL,   "dwell",   "penstock_queue_dwell_seconds",      "acceptance to attempt") \
	X(ATTEMPT, "attempt", "penstock_attempt_duration_seconds", "attempt")
enum top_latency {
#define X(name, key, metric, text) TOP_LATENCY_##name,
	TOP_LATENCY_TABLE(X)
#undef X
	TOP_LATENCY_COUNT
};

struct top_sample {
	bool good;
	int exit_code;     /* when it is not good */
	char problem[240]; /* the same for people */
	char code[48];     /* and for programs */
	char fix[160];     /* what to do; may be empty */
	uint64_t mono_us;
	uint64_t now_us; /* the daemon's wall clock */
	uint64_t started_us;
	char state[16];
	char version[64];
	uint64_t generation;
	bool reload_ok;
	uint64_t outstanding;
	uint64_t dead_letters;
	uint64_t counters[TOP_COUNTER_COUNT];
	struct top_histogram latencies[TOP_LATENCY_COUNT];
	/* Where there are no histograms: since the start, in µs. */
	struct {
		uint64_t count;
		uint64_t p50_us;
		uint64_t p95_us;
		uint64_t p99_us;
	} summaries[TOP_LATENCY_COUNT];
	uint32_t counts[TOP_LIST_COUNT]; /* of the items here */
	uint64_t totals[TOP_LIST_COUNT]; /* of those there are */
	struct top_item *items[TOP_LIST_COUNT];
};

struct top_sample *top_sample_create(void);
void top_sample_free(struct top_sample *sample);
/* Asks, one request after the other. Nothing is printed: see `good`. */
void top_sample_take(struct top_sample *sample, const struct invocation *invocation);
/* The same from what /metrics says; pure. */
void top_sample_metrics(struct top_sample *sample, struct bytes text);

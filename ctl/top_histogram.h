/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_histogram — latencies of the last interval, out of two readings of a Prometheus histogram.
 *
 * Pure. Buckets are cumulative, as the exposition has them, and a reading may be the sum of
 * several series (one for each label value).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Two for each power of two of microseconds would be 60. */
enum { TOP_BUCKETS_MAX = 160 };

struct top_histogram {
	uint32_t count;
	uint32_t next; /* private: where the next bucket of a series is expected */
	double bounds_s[TOP_BUCKETS_MAX]; /* INFINITY: the last */
	uint64_t cumulative[TOP_BUCKETS_MAX];
};

/* One bucket of one series. One too many is left out: then the quantiles are those of the rest. */
void top_histogram_add(struct top_histogram *histogram, double bound_s, uint64_t cumulative);
/* How many were observed between two readings; all of them when `before` is empty. */
uint64_t top_histogram_count(const struct top_histogram *now, const struct top_histogram *before);
/* The quantile in seconds, interpolated within its bucket as histogram_quantile() of Prometheus
 * does; NAN when there was nothing, the last finite bound when it is beyond that. */
double top_histogram_quantile(const struct top_histogram *now, const struct top_histogram *before,
	double quantile);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* histogram — latencies in log-linear buckets (HdrHistogram's idea): 1 µs to over an hour with
 * an error under 1.6 %, fixed memory, O(1) to record.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BUCKETS = 27 << HISTOGRAM_SUB_BITS };

struct histogram {
	uint64_t count;
	uint64_t max_us;
	uint64_t min_us;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t us);
/* q in [0, 1]; the highest value of the bucket it falls in. 0 when empty. */
uint64_t histogram_quantile_us(const struct histogram *histogram, double q);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* histogram — latencies in log-linear buckets (HdrHistogram's, with three significant digits):
 * 1 µs to 19 hours with an error under 0.1 %, fixed memory, O(1) to record.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 10, HISTOGRAM_BUCKETS = 27 << HISTOGRAM_SUB_BITS };

struct histogram {
	uint64_t count;
	uint64_t max_us;
	uint64_t min_us;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t us);
void histogram_reset(struct histogram *histogram);
/* q in [0, 1]; the highest value of the bucket it falls in. 0 when empty. */
uint64_t histogram_quantile_us(const struct histogram *histogram, double q);
/* The bucket a value falls in when there is no end to them, and a bucket's least and greatest
 * value. The same in HdrHistogram, for whatever unit. */
uint32_t histogram_bucket(uint64_t value);
uint64_t histogram_bucket_lowest(uint32_t bucket);
uint64_t histogram_bucket_highest(uint32_t bucket);

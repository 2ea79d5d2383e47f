/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "histogram.h"

#include <string.h>

#include "base/check.h"

enum { SUB_COUNT = 1 << HISTOGRAM_SUB_BITS };

uint32_t histogram_bucket(uint64_t value)
{
	if (value < SUB_COUNT) return (uint32_t)value;

	uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return ((exponent + 1) << HISTOGRAM_SUB_BITS) +
		(uint32_t)((value >> exponent) & (SUB_COUNT - 1));
}

uint64_t histogram_bucket_lowest(uint32_t bucket)
{
	if (bucket < SUB_COUNT) return bucket;

	uint32_t exponent = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return (uint64_t)(SUB_COUNT + (bucket & (SUB_COUNT - 1))) << exponent;
}

uint64_t histogram_bucket_highest(uint32_t bucket)
{
	if (bucket < SUB_COUNT) return bucket;

	uint32_t exponent = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return histogram_bucket_lowest(bucket) + (UINT64_C(1) << exponent) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t us)
{
	uint32_t bucket = histogram_bucket(us);

	histogram->buckets[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1]++;
	if (histogram->count == 0 || us < histogram->min_us) histogram->min_us = us;
	if (us > histogram->max_us) histogram->max_us = us;
	histogram->count++;
}

void histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
}

uint64_t histogram_quantile_us(const struct histogram *histogram, double q)
{
	if (histogram->count == 0) return 0;

	uint64_t rank = (uint64_t)(q * (double)histogram->count);
	if (rank >= histogram->count) rank = histogram->count - 1;
	uint64_t seen = 0;
	for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > rank) {
			uint64_t us = histogram_bucket_highest(bucket);
			return us < histogram->max_us ? us : histogram->max_us;
		}
	}
	CHECK(seen == histogram->count);
	return histogram->max_us;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_histogram — see the header. */
#include "top_histogram.h"

#include <math.h>

void top_histogram_add(struct top_histogram *histogram, double bound_s, uint64_t cumulative)
{
	uint32_t at = histogram->next;
	if (at >= histogram->count || histogram->bounds_s[at] != bound_s) {
		for (at = 0; at < histogram->count; at++) {
			if (histogram->bounds_s[at] == bound_s) break;
		}
	}
	if (at == TOP_BUCKETS_MAX) return;
	if (at == histogram->count) {
		histogram->bounds_s[at] = bound_s;
		histogram->cumulative[at] = 0;
		histogram->count++;
	}
	histogram->cumulative[at] += cumulative;
	histogram->next = at + 1;
}

/* Of the interval. A daemon that was started anew counts from zero. */
static uint64_t between(const struct top_histogram *now, const struct top_histogram *before,
	uint32_t at)
{
	bool same = at < before->count && before->bounds_s[at] == now->bounds_s[at] &&
		before->cumulative[at] <= now->cumulative[at];
	return now->cumulative[at] - (same ? before->cumulative[at] : 0);
}

uint64_t top_histogram_count(const struct top_histogram *now, const struct top_histogram *before)
{
	return now->count > 0 ? between(now, before, now->count - 1) : 0;
}

double top_histogram_quantile(const struct top_histogram *now, const struct top_histogram *before,
	double quantile)
{
	double rank = quantile * (double)top_histogram_count(now, before);
	uint64_t below = 0;
	double low_s = 0;

	for (uint32_t i = 0; i < now->count; i++) {
		uint64_t here = between(now, before, i);
		if (here > below && (double)here >= rank) {
			if (isinf(now->bounds_s[i])) return low_s;
			double part = (rank - (double)below) / (double)(here - below);
			return low_s + (now->bounds_s[i] - low_s) * part;
		}
		below = here;
		low_s = now->bounds_s[i];
	}
	return NAN;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock — types for points in time; which clock is in the type, so that the two cannot be
 * swapped by accident. Only the engine (and main threads outside it) reads a clock.
 */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC, microseconds: durations, timeouts, latencies. */
typedef struct {
	uint64_t us;
} mono_t;

/* CLOCK_REALTIME, microseconds since 1970-01-01T00:00:00Z: what people and peers see. */
typedef struct {
	uint64_t us;
} wall_t;

#define US_PER_MS UINT64_C(1000)
#define US_PER_S UINT64_C(1000000)

static inline uint64_t wall_seconds(wall_t wall)
{
	return wall.us / US_PER_S;
}

/* Elapsed microseconds; 0 when `to` is not after `from`. */
static inline uint64_t mono_since_us(mono_t from, mono_t to)
{
	return to.us > from.us ? to.us - from.us : 0;
}

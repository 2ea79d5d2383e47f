/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backoff — how long a delivery waits before its next try.
 *
 * Pure: the caller passes the random bits, so that a seed replays any schedule.
 */
#pragma once

#include <stdint.h>

struct backoff {
	uint32_t base_ms; /* > 0 */
	uint32_t max_ms;  /* ≥ base_ms */
};

/* `tries` counts the tries made so far, from 1. Doubles from base_ms up to max_ms; half fixed,
 * half random. The result is in (0, max_ms]. */
uint64_t backoff_delay_ms(const struct backoff *backoff, uint32_t tries, uint64_t random);

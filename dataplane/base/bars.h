/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bars — a row of numbers as a line of bars: "▁▂▅█". Pure.
 */
#pragma once

#include <stdint.h>

#include "base/cursor.h"

/* Numbers that come one by one; the last BARS_MAX are kept. All zero is empty. */
enum { BARS_MAX = 60 };
struct bars {
	double values[BARS_MAX]; /* a ring */
	uint32_t count;          /* ever added */
};

void bars_add(struct bars *bars, double value);
/* The last `shown` values at most, as UTF-8; the highest of them, or `full` when none is as high,
 * is a full bar. */
void bars_write(const struct bars *bars, uint32_t shown, double full, struct writer *writer);

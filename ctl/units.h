/* SPDX-License-Identifier: GPL-2.0-or-later */
/* units — numbers, sizes, durations and points in time as people read them.
 *
 * Pure but for units_time(), which knows the time zone. Every function writes into the caller's
 * text and returns it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/result.h"

enum { UNITS_TEXT_SIZE = 40 };

/* "1,234,567" */
const char *units_number(uint64_t number, char text[static UNITS_TEXT_SIZE]);
/* "1.2 MiB", "512 B" */
const char *units_size(uint64_t size, char text[static UNITS_TEXT_SIZE]);
/* "85 µs", "1.2 ms", "3.4 s", "2m 05s", "3h 12m", "4d 07h" */
const char *units_duration(uint64_t us, char text[static UNITS_TEXT_SIZE]);

/* "2026-01-31T23:59:59.000001Z" as µs since 1970; RESULT_MALFORMED for anything else. */
MUST_USE enum result units_time_parse(const char *text, uint64_t *ret_us);
/* "2026-01-31 23:59:59" in the local time zone, with milliseconds when asked for. */
const char *units_time(uint64_t us, bool with_ms, char text[static UNITS_TEXT_SIZE]);

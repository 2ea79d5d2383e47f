/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_text — see the header. */
#include "top_text.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"

/* One place after the point only where it says something. */
static const char *number(double value, char text[static UNITS_TEXT_SIZE])
{
	if (value > 0 && value < 9.95) {
		snprintf(text, UNITS_TEXT_SIZE, "%.1f", value);
		return text;
	}
	return units_number((uint64_t)(value + 0.5), text);
}

const char *top_text_of(enum top_unit unit, double value, char text[static UNITS_TEXT_SIZE])
{
	if (isnan(value)) {
		snprintf(text, UNITS_TEXT_SIZE, "-");
		return text;
	}
	/* Beyond the last bucket. */
	if (isinf(value)) {
		snprintf(text, UNITS_TEXT_SIZE, "more");
		return text;
	}
	switch (unit) {
	case TOP_UNIT_RATE:
	case TOP_UNIT_RATIO:
	case TOP_UNIT_PERCENT: return number(value, text);
	case TOP_UNIT_SIZE: return units_size((uint64_t)value, text);
	case TOP_UNIT_COUNT: return units_number((uint64_t)value, text);
	case TOP_UNIT_SECONDS: return units_duration((uint64_t)(value * US_PER_S + 0.5), text);
	}
	return "";
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bars — see the header. */
#include "base/bars.h"

enum { BAR_HEIGHTS = 8 };

void bars_add(struct bars *bars, double value)
{
	bars->values[bars->count++ % BARS_MAX] = value;
}

void bars_write(const struct bars *bars, uint32_t shown, double full, struct writer *writer)
{
	static const char *const heights[BAR_HEIGHTS] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	double highest = full;

	if (shown > BARS_MAX) shown = BARS_MAX;
	if (shown > bars->count) shown = bars->count;
	for (uint32_t i = bars->count - shown; i < bars->count; i++) {
		if (bars->values[i % BARS_MAX] > highest) highest = bars->values[i % BARS_MAX];
	}
	for (uint32_t i = bars->count - shown; i < bars->count; i++) {
		double part = highest > 0 ? bars->values[i % BARS_MAX] / highest : 0;
		write_text(writer, heights[(int)(part * (BAR_HEIGHTS - 1) + 0.5)]);
	}
}

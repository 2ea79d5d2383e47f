/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plot — lines over an axis as inline SVG: no script, no font, nothing that is fetched. */
#pragma once

#include <stddef.h>
#include <stdio.h>

enum { PLOT_LINES_MAX = 4 };

struct plot_line {
	const char *name;
	const char *colour; /* of CSS */
	const double *x;
	const double *y; /* NAN: a gap */
	size_t count;
};

enum plot_axis {
	PLOT_LINEAR,     /* from 0 */
	PLOT_PERCENTILE, /* 1 / (1 - percentile), in decades: 90 %, 99 %, 99.9 % … */
};

struct plot {
	const char *title;
	const char *unit; /* of y */
	enum plot_axis x_axis;
	const char *x_title;
	double shaded_to; /* from the left edge to here is marked; 0: nothing */
	struct plot_line lines[PLOT_LINES_MAX];
	size_t line_count;
};

void plot_write(const struct plot *plot, FILE *to);

/* The least of 1, 2 and 5 times a power of ten that takes at most `count_max` steps to reach
 * `highest`. */
double plot_step(double highest, unsigned count_max);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plot.h"

#include <math.h>
#include <stdbool.h>

#include "base/check.h"

/* In the units of the SVG's view box. */
enum {
	WIDTH = 860,
	HEIGHT = 280,
	LEFT = 70,
	RIGHT = 15,
	TOP = 34,
	BOTTOM = 42,
	STEPS_MAX = 6,
	LEGEND_WIDTH = 150,
};

struct scale {
	double x_lowest, x_highest;
	double y_highest;
};

double plot_step(double highest, unsigned count_max)
{
	if (highest <= 0) return 1;

	double power = pow(10, floor(log10(highest / count_max)));
	static const double factors[] = { 1, 2, 5, 10 };
	for (unsigned i = 0; i < sizeof factors / sizeof factors[0]; i++) {
		if (factors[i] * power * count_max >= highest) return factors[i] * power;
	}
	return 10 * power;
}

static double x_value(const struct plot *plot, double x)
{
	return plot->x_axis == PLOT_PERCENTILE ? log10(x) : x;
}

static double x_at(const struct plot *plot, const struct scale *scale, double x)
{
	double part = (x_value(plot, x) - scale->x_lowest) / (scale->x_highest - scale->x_lowest);
	return LEFT + part * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct scale *scale, double y)
{
	return HEIGHT - BOTTOM - y / scale->y_highest * (HEIGHT - TOP - BOTTOM);
}

static struct scale scale_of(const struct plot *plot)
{
	struct scale scale = { .x_lowest = 0, .x_highest = 0, .y_highest = 0 };

	for (size_t i = 0; i < plot->line_count; i++) {
		const struct plot_line *line = &plot->lines[i];
		for (size_t j = 0; j < line->count; j++) {
			double x = x_value(plot, line->x[j]);
			if (x > scale.x_highest) scale.x_highest = x;
			if (line->y[j] > scale.y_highest) scale.y_highest = line->y[j];
		}
	}
	if (scale.x_highest <= 0) scale.x_highest = 1;
	double step = plot_step(scale.y_highest, STEPS_MAX);
	scale.y_highest = scale.y_highest > 0 ? step * ceil(scale.y_highest / step) : 1;
	return scale;
}

static void write_grid_y(const struct scale *scale, FILE *to)
{
	double step = plot_step(scale->y_highest, STEPS_MAX);
	int digits = step < 1 ? (int)ceil(-log10(step)) : 0;

	for (unsigned i = 0; i <= (unsigned)(scale->y_highest / step + 0.5); i++) {
		double y = i * step;
		fprintf(to,
			"<path class=\"grid\" d=\"M%d %.1fH%d\"/>"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
			LEFT, y_at(scale, y), WIDTH - RIGHT, LEFT - 6, y_at(scale, y) + 4, digits,
			y);
	}
}

static void write_tick_x(double at, const char *text, FILE *to)
{
	fprintf(to,
		"<path class=\"grid\" d=\"M%.1f %dV%d\"/>"
		"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
		at, TOP, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 16, text);
}

static void write_grid_x(const struct plot *plot, const struct scale *scale, FILE *to)
{
	char text[32];

	if (plot->x_axis == PLOT_PERCENTILE) {
		for (int decade = 0; decade <= scale->x_highest; decade++) {
			snprintf(text, sizeof text, "%.*f %%", decade > 2 ? decade - 2 : 0,
				100 - 100 / pow(10, decade));
			write_tick_x(x_at(plot, scale, pow(10, decade)), text, to);
		}
		return;
	}
	double step = plot_step(scale->x_highest, 2 * STEPS_MAX);
	for (unsigned i = 0; i <= (unsigned)(scale->x_highest / step); i++) {
		double x = i * step;
		snprintf(text, sizeof text, "%g", x);
		write_tick_x(x_at(plot, scale, x), text, to);
	}
}

/* One path; a gap begins a new stretch of it. */
static void write_line(const struct plot *plot, const struct scale *scale,
	const struct plot_line *line, FILE *to)
{
	bool drawing = false;

	fprintf(to, "<path class=\"line\" stroke=\"%s\" d=\"", line->colour);
	for (size_t i = 0; i < line->count; i++) {
		if (isnan(line->y[i])) {
			drawing = false;
			continue;
		}
		fprintf(to, "%c%.1f %.1f", drawing ? 'L' : 'M', x_at(plot, scale, line->x[i]),
			y_at(scale, line->y[i]));
		drawing = true;
	}
	fprintf(to, "\"/>\n");
}

static void write_legend(const struct plot *plot, FILE *to)
{
	for (size_t i = 0; i < plot->line_count; i++) {
		int x = WIDTH - RIGHT - LEGEND_WIDTH * (int)(plot->line_count - i);
		fprintf(to,
			"<path class=\"line\" stroke=\"%s\" d=\"M%d 14h18\"/>"
			"<text x=\"%d\" y=\"18\">%s</text>\n",
			plot->lines[i].colour, x, x + 24, plot->lines[i].name);
	}
}

void plot_write(const struct plot *plot, FILE *to)
{
	CHECK(plot->line_count <= PLOT_LINES_MAX);

	struct scale scale = scale_of(plot);
	fprintf(to, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT,
		plot->title);
	fprintf(to, "<text class=\"title\" x=\"%d\" y=\"18\">%s, %s</text>\n", LEFT, plot->title,
		plot->unit);
	if (plot->shaded_to > 0) {
		double width = x_at(plot, &scale, plot->shaded_to) - LEFT;
		double room = WIDTH - LEFT - RIGHT;
		fprintf(to,
			"<rect class=\"shade\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
			LEFT, TOP, width < room ? width : room, HEIGHT - TOP - BOTTOM);
	}
	write_grid_y(&scale, to);
	write_grid_x(plot, &scale, to);
	for (size_t i = 0; i < plot->line_count; i++) write_line(plot, &scale, &plot->lines[i], to);
	write_legend(plot, to);
	fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n</svg>\n",
		(WIDTH + LEFT - RIGHT) / 2, HEIGHT - 6, plot->x_title);
}

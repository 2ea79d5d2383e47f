/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_view — figures as people see them: a screen of any size, or a line. Pure.
 */
#pragma once

#include "base/bars.h"
#include "frame.h"
#include "top_figures.h"

struct top_view {
	enum top_list list;
	unsigned sort[TOP_LIST_COUNT];    /* a column, or behind the last one: by name */
	bool has_latency[TOP_LIST_COUNT]; /* the metrics have them one by one; else no column */
	bool paused;
	bool help;
	bool keys; /* say in the last row which there are */
	double interval_s;
	const char *problem; /* why there is nothing newer; NULL: it is new */
	struct bars accepted;
	struct bars delivered;
};

/* As it begins: endpoints, the busiest first. */
void top_view_init(struct top_view *view, double interval_s);
/* What a key changes. False: it is none of the view's. */
bool top_view_key(struct top_view *view, char key);
/* The newest figures: rates for the bars, and which columns there are. */
void top_view_add(struct top_view *view, const struct top_figures *figures);

/* `figures` NULL: there are none yet. Sorts them. */
void top_view_draw(struct top_view *view, struct top_figures *figures, struct frame *frame);
/* One line, for a file or a pipe. */
void top_view_line(const struct top_figures *figures, FILE *file);

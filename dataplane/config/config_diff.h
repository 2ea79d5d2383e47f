/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_diff — what one configuration means that another does not: setting by setting, so that
 * comments, order, quotes and what is written but the default anyway do not count.
 *
 * Pure but for the memory it takes.
 */
#pragma once

#include "config/config_show.h"

enum config_change_kind { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

struct config_change {
	enum config_change_kind kind;
	const char *path;
	const char *before; /* NULL when added */
	const char *after;  /* NULL when removed */
	bool restart;       /* a reload does not take it over */
};

struct config_difference {
	const struct config_change *all; /* by path */
	uint32_t count;
};

/* Of an element that is added or removed only what was written is said. Lives in `arena`, and in
 * the texts of both. */
struct config_difference config_diff(const struct config_settings *before,
	const struct config_settings *after, struct config_arena *arena);

/* The order of paths: as texts, but with '.' before all else, so that what is inside a section or
 * an element stands right behind it. */
int config_path_compare(const char *a, const char *b);
/* Whether the path is one of that section's or element's, at any depth. */
bool config_path_is_inside(const char *path, const char *around);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_comments — the comments of a YAML text, which its tree knows nothing of, and the lines
 * that are empty. Internal to the folder.
 */
#pragma once

#include "config/config_arena.h"
#include "config/config_yaml.h"

struct config_comment {
	struct bytes text; /* with its '#', without spaces at its end */
	size_t at;         /* offset in the text */
	uint32_t line;
	uint32_t column;
	bool own_line; /* nothing but spaces stands before it */
};

struct config_comments {
	struct config_comment *all; /* in order */
	uint32_t count;
	bool *blank; /* by line, from 1: nothing but spaces */
	uint32_t line_count;
};

/* Also turns begin and end of every node from characters into offsets in the text: once. */
struct config_comments config_comments_find(struct bytes text, struct config_node *root,
	struct config_arena *arena);

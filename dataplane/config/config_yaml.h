/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_yaml — YAML text into a tree that knows where everything stands.
 *
 * The parsing is libyaml's, by its events; nothing is expanded. Anchors, aliases, tags and
 * further documents are reported and leave a NODE_BROKEN, so that the rest of the file is still
 * checked. Depth, node count and value size are bounded (bounds.h).
 */
#pragma once

#include "config/config.h"
#include "config/config_arena.h"

enum config_node_kind {
	NODE_BROKEN, /* reported already: skip it without a word */
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct config_node {
	enum config_node_kind kind;
	bool quoted; /* scalar: "…" or '…', so never null */
	bool flow;   /* container: in brackets or braces */
	uint32_t last_line;
	/* Characters from the text's start; of block containers only `begin` says something. */
	size_t begin;
	size_t end;
	uint32_t child_count;
	struct config_position position;
	const char *text; /* scalar: one line, printable UTF-8 */
	/* List: the elements. Map: key, value, key, value …; every key is a NODE_SCALAR or
	 * NODE_BROKEN. */
	struct config_node *first;
	struct config_node *next;
};

/* NULL when the file is empty or cannot be understood as a whole (reported). Lives in `arena`. */
struct config_node *config_yaml_parse(struct bytes text, struct config_arena *arena,
	struct config_report *report);

/* The value of a key in a map, or NULL. */
const struct config_node *config_node_find(const struct config_node *map, const char *key);
/* `key:` with nothing behind it, or null. */
bool config_node_is_null(const struct config_node *node);

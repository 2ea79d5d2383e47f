/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_walk — a loaded configuration, key by key in the order of the tables, with every value
 * as YAML writes it.
 *
 * What has no value (not written, and no default) is visited with the text NULL, a section that is
 * not there too. `target:` and
 * `targets:` are one list, visited under the second name. Cold threads only.
 */
#pragma once

#include "config/config.h"
#include "config/config_keys.h"

/* A key with its value, or the place of a section. */
struct config_visit {
	const struct config_section *section; /* that the key is one of */
	const struct config_key *key;
	const char *text;  /* of values: as YAML; NULL: none. Lives until the visit ends */
	const char *label; /* of list elements: what tells them apart; else NULL */
	struct config_position position; /* line 0: a default */
	const void *object; /* of values: what the section fills, by the key's offsets */
};

struct config_visitor {
	void (*value)(void *owner, const struct config_visit *visit);
	/* A section, or one element of a list of sections, begins and ends. */
	void (*enter)(void *owner, const struct config_visit *visit);
	void (*leave)(void *owner, const struct config_visit *visit);
};

void config_walk(const struct config *config, const struct config_visitor *visitor, void *owner);

/* The text as a YAML scalar: plain where that means the same everywhere, else in single quotes.
 * Written to a FILE. */
void config_scalar_print(void *file, const char *text);

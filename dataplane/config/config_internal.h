/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_internal — what the files of this folder say to each other: text becomes a tree
 * (config_yaml.h), the tree becomes a config by the tables (config_read.c), the config is
 * checked for meaning (config_check.c).
 */
#pragma once

#include "config/config.h"
#include "config/config_arena.h"
#include "config/config_yaml.h"

/* Fills *config from the tree by the tables of config_keys.c; what cannot be read is reported
 * and left empty. */
void config_read(const struct config_node *root, struct config *config,
	struct config_report *report);

/* Duplicates, references, contradictions, and what is suspicious. Tolerates what config_read()
 * left empty. */
void config_check(const struct config *config, struct config_report *report);
/* The sections that config_check() leaves to a file of their own. */
void config_check_routes(const struct config *config, struct config_report *report);

/* A whole file, bounded, of alloc.h; false when it cannot be read (reported). */
bool config_text_load(const char *path, struct bytes *ret, struct config_report *report);

/* A text as a JSON string, to a FILE; what is not UTF-8 becomes U+FFFD. */
void config_json_text(void *file, const char *text);

/* The candidate that `word` is most likely a misspelling of, or NULL when none is near. */
const char *config_nearest(const char *word, const char *const *candidates, size_t count);

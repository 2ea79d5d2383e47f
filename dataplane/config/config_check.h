/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_check — sorted names and small questions shared by the checks. Internal to the
 * folder. */
#pragma once

#include "config/config_internal.h"

/* A name, where it is kept, and the index of its owner. */
struct config_named {
	const char *name;
	uint32_t index;
	const void *field;
};

/* By name, then index. */
void config_named_sort(struct config_named *named, size_t count);
/* Any of that name, or NULL. */
const struct config_named *config_named_find(const struct config_named *named, size_t count,
	const char *name);
/* Reports every name that is there twice; true when there is none. */
bool config_check_names(const struct config *config, const char *noun,
	const struct config_named *named, size_t count, struct config_report *report);

/* Whether the key was there, right or wrong. */
bool config_written(const struct config *config, const void *field);

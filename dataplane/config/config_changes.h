/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_changes — what one configuration says differently from another, for people: the elements
 * that came and went, and the keys that changed, by name, as config_diff finds them. Never a
 * value: a URL may hold a secret.
 *
 * Files that a configuration names (secrets, certificates) are compared by their stamps: who, how
 * large and when, as stat() says, not by what is in them.
 */
#pragma once

#include "config/config.h"

struct config_changes {
	uint32_t count;
	uint32_t dropped_count; /* beyond CONFIG_CHANGES_MAX */
	char lines[CONFIG_CHANGES_MAX][CONFIG_CHANGE_SIZE];
};

/* One number for each listener, endpoint and target, in this order: of the files it names. Take
 * them before the files are read. Released with alloc_free(). */
uint64_t *config_stamps_take(const struct config *config);

void config_changes_find(const struct config *before, const uint64_t *before_stamps,
	const struct config *after, const uint64_t *after_stamps, struct config_changes *ret);

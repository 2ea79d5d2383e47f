/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_show — a configuration as it takes effect, for people (YAML that loads again) and as a
 * list of settings that can be compared.
 *
 * A setting is a path, "targets[app].retry.base", and a value. Elements of lists are named, so
 * that their order and their place in the file mean nothing. Cold threads only.
 */
#pragma once

#include "config/config.h"
#include "config/config_arena.h"

struct config_setting {
	const char *path;
	const char *value;
	struct config_position position; /* line 0: a default */
	bool restart;                    /* a change is taken over only by a restart */
	bool opens;                      /* an element of a list begins here; the value is "" */
};

struct config_settings {
	const struct config_setting *all;
	uint32_t count;
};

/* In the order of the tables; what has neither value nor default is left out. Lives in `arena`. */
struct config_settings config_settings_of(const struct config *config, struct config_arena *arena);

/* To a FILE, as YAML that means the same. Without `defaults`: only what was written. */
void config_show(const struct config *config, bool defaults, void *file);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_fixed — what a daemon reads when it starts and cannot take over while it runs: the keys
 * that config_keys.c marks `fixed`.
 *
 * Their values are kept as hashes, so that a reload is compared with what the process runs with,
 * not with a reload before it that could not change them either.
 */
#pragma once

#include "config/config.h"

enum { CONFIG_FIXED_MAX = 24 };

struct config_fixed {
	uint64_t values[CONFIG_FIXED_MAX];
};

void config_fixed_take(const struct config *config, struct config_fixed *ret);
/* A warning for each key that says something else by now, at its place. */
void config_fixed_compare(const struct config_fixed *started, const struct config *next,
	struct config_report *report);

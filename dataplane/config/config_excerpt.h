/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_excerpt — the line a diagnostic is about, fit for terminals and logs: cut to a window
 * around the place, nothing unprintable in it, and anything that looks like a secret masked.
 *
 * Pure.
 */
#pragma once

#include "config/config.h"

/* `to` holds CONFIG_EXCERPT_SIZE; empty when there is no such line. *ret_caret is the count of
 * characters before the place. */
void config_excerpt(struct bytes text, struct config_position position,
	char to[static CONFIG_EXCERPT_SIZE], uint32_t *ret_caret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_arena — the memory of one configuration: everything is taken piece by piece and given
 * back at once. It also remembers, field by field, where a value was written.
 *
 * Cold threads only.
 */
#pragma once

#include "config/config.h"

struct config_arena;

struct config_arena *config_arena_create(void);
/* Accepts NULL. */
void config_arena_free(struct config_arena *arena);

/* Zeroed, aligned for everything, never NULL (out of memory aborts, as in base/alloc.h). */
void *config_arena_take(struct config_arena *arena, size_t count, size_t size);
/* A copy with a NUL behind it. */
char *config_arena_text(struct config_arena *arena, const char *text, size_t size);

/* The value of `field` was written at `position`. A field is remembered once. */
void config_arena_remember(struct config_arena *arena, const void *field,
	struct config_position position);
/* Line 0 when nothing is remembered. */
struct config_position config_arena_position(const struct config_arena *arena, const void *field);

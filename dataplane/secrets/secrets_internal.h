/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secrets_internal — memory for key bytes, shared by the files of this folder and by nobody
 * else.
 *
 * Small blocks are carved out of locked regions instead of giving each key a page of its own:
 * tens of thousands of endpoints would otherwise lock hundreds of megabytes.
 */
#pragma once

#include <stddef.h>

/* The largest block: the longest secret with its size in front, or a key's two hash states. */
enum { SECRET_MEMORY_SIZE_MAX = 4160 };

/* Zeroed, aligned to a cache line, never NULL. Cold threads only: may map memory. */
void *secret_memory_take(size_t size);
/* Wipes. `size` as it was taken. Any thread. */
void secret_memory_give(void *block, size_t size);

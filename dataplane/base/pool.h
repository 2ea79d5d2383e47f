/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pool — a fixed number of equal objects, carved out once, handed out and taken back in
 * O(1). Empty is an ordinary answer (NULL): the caller sheds or waits.
 *
 * One thread only. A given-back object is overwritten in its first bytes by the free list.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pool {
	uint8_t *memory;
	void *free_list;
	size_t object_size;
	size_t count;
	size_t used_count;
	size_t used_count_max; /* high-water mark since start */
};

void pool_init(struct pool *pool, size_t object_size, size_t count);
void pool_done(struct pool *pool);
/* Not zeroed. NULL when all are out. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);
/* Position of an object in the pool, 0 … count-1: a stable small number for it. */
size_t pool_index(const struct pool *pool, const void *object);
void *pool_at(const struct pool *pool, size_t index);

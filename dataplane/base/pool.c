/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/pool.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { OBJECT_ALIGNMENT = 64 }; /* a cache line: two objects never share one */

void pool_init(struct pool *pool, size_t object_size, size_t count)
{
	CHECK(count > 0);

	*pool = (struct pool){ 0 };
	pool->object_size = (object_size + OBJECT_ALIGNMENT - 1) / OBJECT_ALIGNMENT *
		OBJECT_ALIGNMENT;
	pool->count = count;
	pool->memory = alloc_map(pool->object_size * count);
	/* Objects are linked lazily by pool_take(), so that pages of objects that were never
	 * used are never touched. */
}

void pool_done(struct pool *pool)
{
	CHECK(pool->used_count == 0);
	alloc_unmap(pool->memory, pool->object_size * pool->count);
	*pool = (struct pool){ 0 };
}

void *pool_take(struct pool *pool)
{
	void *object = pool->free_list;
	if (object != NULL) {
		memcpy(&pool->free_list, object, sizeof pool->free_list);
		/* The next one was given back long ago, when many are in use: it comes from memory
		 * while this one is worked on. */
		__builtin_prefetch(pool->free_list, 1);
	} else {
		/* Nothing was given back: used_count objects are out, all from the front. */
		if (pool->used_count == pool->count) return NULL;
		object = pool->memory + pool->used_count * pool->object_size;
	}
	pool->used_count++;
	if (pool->used_count > pool->used_count_max) pool->used_count_max = pool->used_count;
	return object;
}

void pool_give(struct pool *pool, void *object)
{
	CHECK(pool->used_count > 0);
	CHECK(pool_index(pool, object) < pool->count);

	memcpy(object, &pool->free_list, sizeof pool->free_list);
	pool->free_list = object;
	pool->used_count--;
}

size_t pool_index(const struct pool *pool, const void *object)
{
	size_t offset = (size_t)((const uint8_t *)object - pool->memory);
	CHECK(offset % pool->object_size == 0);
	return offset / pool->object_size;
}

void *pool_at(const struct pool *pool, size_t index)
{
	CHECK(index < pool->count);
	return pool->memory + index * pool->object_size;
}

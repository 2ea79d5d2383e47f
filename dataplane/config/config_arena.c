/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_arena.h"

#include <stdalign.h>

#include "base/alloc.h"
#include "base/check.h"

enum { BLOCK_SIZE = 65536, PLACES_MIN = 256 };

struct block {
	struct block *next;
	size_t capacity;
	size_t used;
	alignas(max_align_t) unsigned char memory[];
};

/* Open addressing by the field's address; at most half full. */
struct place {
	const void *field; /* NULL: free */
	struct config_position position;
};

struct config_arena {
	struct block *blocks; /* the first is the one in use */
	struct place *places;
	size_t place_capacity; /* a power of two */
	size_t place_count;
};

struct config_arena *config_arena_create(void)
{
	return alloc_array(1, sizeof(struct config_arena));
}

void config_arena_free(struct config_arena *arena)
{
	if (arena == NULL) return;

	for (struct block *block = arena->blocks; block != NULL;) {
		struct block *next = block->next;
		alloc_free(block);
		block = next;
	}
	alloc_free(arena->places);
	alloc_free(arena);
}

void *config_arena_take(struct config_arena *arena, size_t count, size_t size)
{
	CHECK(size > 0);
	CHECK(count <= SIZE_MAX / 2 / size);

	size_t align = alignof(max_align_t);
	size_t wanted = (count * size + align - 1) / align * align;
	struct block *block = arena->blocks;

	if (block == NULL || block->capacity - block->used < wanted) {
		size_t capacity = wanted > BLOCK_SIZE / 4 ? wanted : BLOCK_SIZE;
		struct block *fresh = alloc_array(1, sizeof *fresh + capacity);
		fresh->capacity = capacity;
		if (block != NULL && capacity == wanted) {
			/* A large piece has a block to itself; the current one stays in use. */
			fresh->next = block->next;
			block->next = fresh;
		} else {
			fresh->next = block;
			arena->blocks = fresh;
		}
		block = fresh;
	}

	void *memory = block->memory + block->used;
	block->used += wanted;
	return memory;
}

char *config_arena_text(struct config_arena *arena, const char *text, size_t size)
{
	char *copy = config_arena_take(arena, size + 1, 1);
	if (size > 0) memcpy(copy, text, size);
	return copy;
}

static size_t place_of(const struct config_arena *arena, const void *field)
{
	/* Fibonacci hashing: neighbours in memory are spread, and no key is chosen by an enemy. */
	uint64_t hash = (uint64_t)(uintptr_t)field * UINT64_C(0x9E3779B97F4A7C15);
	size_t mask = arena->place_capacity - 1;
	size_t at = (size_t)(hash >> 20) & mask;

	while (arena->places[at].field != NULL && arena->places[at].field != field) {
		at = (at + 1) & mask;
	}
	return at;
}

static void places_grow(struct config_arena *arena)
{
	struct place *old = arena->places;
	size_t old_capacity = arena->place_capacity;

	arena->place_capacity = old_capacity == 0 ? PLACES_MIN : old_capacity * 2;
	arena->places = alloc_array(arena->place_capacity, sizeof *arena->places);
	for (size_t i = 0; i < old_capacity; i++) {
		if (old[i].field != NULL) arena->places[place_of(arena, old[i].field)] = old[i];
	}
	alloc_free(old);
}

void config_arena_remember(struct config_arena *arena, const void *field,
	struct config_position position)
{
	CHECK(field != NULL);

	if (arena->place_count * 2 >= arena->place_capacity) places_grow(arena);
	size_t at = place_of(arena, field);
	if (arena->places[at].field == NULL) arena->place_count++;
	arena->places[at] = (struct place){ .field = field, .position = position };
}

struct config_position config_arena_position(const struct config_arena *arena, const void *field)
{
	if (arena->place_capacity == 0) return (struct config_position){ 0 };
	return arena->places[place_of(arena, field)].position;
}

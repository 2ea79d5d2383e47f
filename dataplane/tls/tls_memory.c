/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_memory — wolfSSL's memory.
 *
 * wolfSSL allocates while it works, on hot threads too: the named exception to the rule that
 * nothing is allocated after start. So it goes through hooks that count.
 *
 * What each record needs, the connection's object and its two keys, lies on shelves of its own:
 * three quarters of a page for each connection. malloc() would put it wherever a handshake has left
 * room, on three pages; and with many connections each page that an event touches costs.
 *
 * A shelf is divided among threads in runs, and what a thread frees it uses again. What a thread
 * has when it ends stays unused: those that live for a call have hardly anything, as all that
 * differs in size is malloc()'s. So is everything when a shelf is full or could not be had. The
 * kernel does not get back what was used once.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/aes.h>

#include "base/alloc.h"
#include "base/check.h"
#include "bounds.h"

/* ---- Counting -------------------------------------------------------------------------------- */

/* One counter per thread, each on its own cache line; beyond that many threads they share. */
enum { COUNTERS = 64, CACHE_LINE = 64 };

struct counter {
	_Alignas(CACHE_LINE) atomic_uint_fast64_t count;
};

static struct counter counters[COUNTERS];
static atomic_uint threads_seen;
static _Thread_local struct counter *own_counter;

static void count_allocation(void)
{
	if (own_counter == NULL) {
		unsigned thread = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed);
		own_counter = &counters[thread % COUNTERS];
	}
	atomic_fetch_add_explicit(&own_counter->count, 1, memory_order_relaxed);
}

uint64_t tls_memory_count(void)
{
	uint64_t count = 0;
	for (size_t i = 0; i < COUNTERS; i++) {
		count += atomic_load_explicit(&counters[i].count, memory_order_relaxed);
	}
	return count;
}

/* ---- Shelves --------------------------------------------------------------------------------- */

enum { SHELF_CONNECTIONS, SHELF_KEYS, SHELVES, RUN_OBJECTS = 16 };

struct shelf {
	size_t object_size; /* as it is asked for */
	size_t place_size;  /* whole cache lines */
	size_t size;
	uint8_t *memory;
	atomic_size_t used_size; /* in runs, from the front */
};

/* What a thread has of it. */
struct shelf_part {
	void *free_list;
	uint8_t *run;
	uint8_t *run_end;
};

static struct shelf shelves[SHELVES];
static _Thread_local struct shelf_part own_parts[SHELVES];

static void shelf_open(struct shelf *shelf, size_t object_size, size_t count)
{
	size_t place_size = (object_size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	/* Pages that are never used cost nothing, unless the host promises none that it has not. */
	uint8_t *memory = alloc_map_optional(place_size * count);

	if (memory == NULL) return;
	*shelf = (struct shelf){
		.object_size = object_size,
		.place_size = place_size,
		.size = place_size * count,
		.memory = memory,
	};
}

static struct shelf *shelf_for(size_t size)
{
	for (size_t i = 0; i < SHELVES; i++) {
		if (shelves[i].memory != NULL && shelves[i].object_size == size) return &shelves[i];
	}
	return NULL;
}

static struct shelf *shelf_of(const void *memory)
{
	for (size_t i = 0; i < SHELVES; i++) {
		uintptr_t offset = (uintptr_t)memory - (uintptr_t)shelves[i].memory;
		if (offset < shelves[i].size) return &shelves[i];
	}
	return NULL;
}

/* NULL: the shelf is full. */
static void *shelf_take(struct shelf *shelf)
{
	struct shelf_part *part = &own_parts[shelf - shelves];
	void *object = part->free_list;

	if (object != NULL) {
		memcpy(&part->free_list, object, sizeof part->free_list);
		return object;
	}
	if (part->run == part->run_end) {
		size_t run_size = RUN_OBJECTS * shelf->place_size;
		size_t used_size = atomic_load(&shelf->used_size);
		do {
			if (shelf->size - used_size < run_size) return NULL;
		} while (!atomic_compare_exchange_weak(&shelf->used_size, &used_size,
			used_size + run_size));
		part->run = shelf->memory + used_size;
		part->run_end = part->run + run_size;
	}
	object = part->run;
	part->run += shelf->place_size;
	return object;
}

static void shelf_give(struct shelf *shelf, void *object)
{
	struct shelf_part *part = &own_parts[shelf - shelves];

	CHECK((size_t)((uint8_t *)object - shelf->memory) % shelf->place_size == 0);
	CHECK(object != part->free_list); /* freed twice */
	memcpy(object, &part->free_list, sizeof part->free_list);
	part->free_list = object;
}

#ifdef __SANITIZE_ADDRESS__
enum { SHELVES_USED = false }; /* it watches malloc() */
#else
enum { SHELVES_USED = true };
#endif

static void shelves_open(void)
{
	if (!SHELVES_USED || shelves[0].memory != NULL) return;
	int connection_size = wolfSSL_GetObjectSize();
	CHECK(connection_size > 0 && (size_t)connection_size != sizeof(Aes));
	shelf_open(&shelves[SHELF_CONNECTIONS], (size_t)connection_size, TLS_SHELF_CONNECTIONS);
	shelf_open(&shelves[SHELF_KEYS], sizeof(Aes), (size_t)TLS_SHELF_CONNECTIONS * 2);
}

/* ---- For wolfSSL ----------------------------------------------------------------------------- */

static void *hook_allocate(size_t size)
{
	count_allocation();
	struct shelf *shelf = shelf_for(size);
	void *object = shelf == NULL ? NULL : shelf_take(shelf);
	return object != NULL ? object : malloc(size);
}

static void hook_free(void *memory)
{
	struct shelf *shelf = shelf_of(memory);
	if (shelf == NULL) {
		free(memory);
	} else {
		shelf_give(shelf, memory);
	}
}

/* Buffers that happen to be as large as an object of a shelf lie there, too. */
static void *hook_resize(void *memory, size_t size)
{
	struct shelf *shelf = shelf_of(memory);

	if (shelf == NULL) {
		count_allocation();
		return realloc(memory, size);
	}
	void *moved = hook_allocate(size);
	if (moved == NULL) return NULL;
	memcpy(moved, memory, size < shelf->object_size ? size : shelf->object_size);
	hook_free(memory);
	return moved;
}

enum result tls_memory_open(void)
{
	shelves_open();
	if (wolfSSL_SetAllocators(hook_allocate, hook_free, hook_resize) != 0) return RESULT_CRYPTO;
	return RESULT_OK;
}

/* ---- For ourselves --------------------------------------------------------------------------- */

void *tls_memory_take(size_t size)
{
	return hook_allocate(size);
}

char *tls_memory_text(struct bytes text)
{
	char *copy = tls_memory_take(text.size + 1);
	if (copy == NULL) return NULL;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

void tls_memory_free(void *memory)
{
	hook_free(memory);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

static _Thread_local bool thread_is_hot;
/* One for all threads: those that have much to do never come here. */
static atomic_uint_fast64_t allocations;

static void out_of_memory(size_t size) __attribute__((noreturn, cold));
static void out_of_memory(size_t size)
{
	fprintf(stderr, "penstock: out of memory: %zu bytes wanted\n", size);
	abort();
}

static void count_allocation(void)
{
	CHECK(!thread_is_hot);
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

void *alloc_array(size_t count, size_t size)
{
	CHECK(size > 0);

	count_allocation();
	void *memory = calloc(count == 0 ? 1 : count, size);
	if (memory == NULL) out_of_memory(count * size);
	return memory;
}

char *alloc_text(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = alloc_array(size, 1);
	memcpy(copy, text, size);
	return copy;
}

void alloc_free(void *memory)
{
	free(memory);
}

void alloc_thread_is_hot(void)
{
	thread_is_hot = true;
}

void alloc_thread_is_cold(void)
{
	thread_is_hot = false;
}

uint64_t alloc_count(void)
{
	return atomic_load_explicit(&allocations, memory_order_relaxed);
}

void *alloc_map_optional(size_t size)
{
	CHECK(size > 0);

	count_allocation();
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void *alloc_map(size_t size)
{
	void *memory = alloc_map_optional(size);
	if (memory == NULL) out_of_memory(size);
	return memory;
}

void *alloc_map_huge(size_t size)
{
	void *memory = alloc_map(size);

	/* A wish: without it everything works, slower. */
	int code = madvise(memory, size, MADV_HUGEPAGE);
	MAYBE(code != 0);
	return memory;
}

void alloc_unmap(void *memory, size_t size)
{
	CHECK(munmap(memory, size) == 0);
}

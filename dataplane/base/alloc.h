/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alloc — the only door to the heap for our own code.
 *
 * A thread that has called alloc_thread_is_hot() may not allocate: doing so is a CHECK
 * failure. wolfSSL and LMDB allocate by themselves and are the named
 * exceptions; control and reload work runs on threads that are never hot. That no object of ours
 * goes past this door is checked in tests/tools/test_alloc_door.sh.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, never NULL: running out at start-up aborts with a message. `count * size`
 * is checked for overflow. Release with alloc_free(). */
void *alloc_array(size_t count, size_t size);
/* A copy of the text, NUL-terminated. */
char *alloc_text(const char *text);
/* Accepts NULL. Any thread. */
void alloc_free(void *memory);

/* From now on allocating on this thread is a bug. */
void alloc_thread_is_hot(void);
/* The opposite, for a worker that shuts down. */
void alloc_thread_is_cold(void);
/* How often memory was taken since start, of the heap or of the kernel, over all threads. */
uint64_t alloc_count(void);

/* A large zeroed region straight from the kernel; pages cost memory only once touched.
 * Release with alloc_unmap(). */
void *alloc_map(size_t size);
/* The same for what can be done without: NULL when the kernel does not give it. */
void *alloc_map_optional(size_t size);
void alloc_unmap(void *memory, size_t size);
/* The same in huge pages, where the kernel has them to give: for tables that are looked up at
 * random, where a page of 4 KiB would cost a fault on its first touch and a walk of the page
 * tables on most others. A touched page then costs 2 MiB. */
void *alloc_map_huge(size_t size);

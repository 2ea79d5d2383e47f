/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check — assertions that stay on in release builds.
 *
 * CHECK(cond)   a fact the program itself guarantees. False means our bug: log and abort.
 * MAYBE(cond)   documents a fact that may go either way here; compiled, never evaluated.
 * BOUND(cond)   a fact about constants, proven when compiling.
 * UNREACHABLE() a place the program itself guarantees never to reach.
 *
 * Peer data is never CHECKed: a bad request is a verdict, not a bug.
 */
#pragma once

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__, __func__))
#define MAYBE(cond) ((void)sizeof(((cond) ? 1 : 0)))
#define BOUND(cond) _Static_assert(cond, #cond)
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__, __func__)

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((unsigned char *)(pointer) - offsetof(type, member)))

void check_failed(const char *cond, const char *file, int line, const char *func)
	__attribute__((noreturn, cold));

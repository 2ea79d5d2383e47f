/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_lanes — blocks of many messages at once: sixteen states in the lanes of vectors, where the
 * CPU has AVX-512.
 *
 * Sixteen lanes take the time of nine or ten messages fed one after the other to the SHA unit
 * (sha256_blocks.h), whether they are all in use or not: so they pay for ten messages and more, and
 * half as much for sixteen. Who has many at hand need not know: what does not pay is fed alone.
 *
 * Pure, any thread; the time depends on sizes only.
 */
#pragma once

#include "base/sha256_blocks.h"

struct sha256_work {
	struct sha256_state *state;
	/* NULL, or one that is fed the same blocks (sha256_pair()). */
	struct sha256_state *second;
	const uint8_t *blocks; /* may be NULL when there are none */
	size_t count;
};

/* All of the work, in an order that does not show; no state is in it twice. Either all have a
 * second state or none. Only where sha256_blocks_usable(). */
void sha256_each(const struct sha256_work *work, size_t work_count);

/* Where states are secret: takes what sha256_each() left of them on the stack away. By a function
 * that has called it, or whose small helpers have: 8 KiB below the caller's frame are wiped, of
 * which the lanes use 5 at most. */
void sha256_each_wipe(void);

/* Whether the CPU has the instructions for lanes: then sha256_each() is worth gathering for, up to
 * this many. */
enum { SHA256_LANES = 16 };
bool sha256_lanes_usable(void);

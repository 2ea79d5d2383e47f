/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random — a seeded generator (splitmix64) for jitter and simulation.
 *
 * Never for secrets, nonces or ids that must not be guessed: those come from the kernel.
 * Pure.
 */
#pragma once

#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_u64(struct random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9E3779B97F4A7C15));
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* 0 … bound-1; bound > 0. The bias is below 2^-32 for bounds under 2^32. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
	return random_u64(random) % bound;
}

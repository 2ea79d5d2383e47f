/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "deliver/backoff.h"

#include "base/check.h"

enum { DOUBLINGS_MAX = 31 }; /* a 32-bit base shifted by it fits 64 bits */

uint64_t backoff_delay_ms(const struct backoff *backoff, uint32_t tries, uint64_t random)
{
	CHECK(tries > 0);
	CHECK(backoff->base_ms > 0);
	CHECK(backoff->max_ms >= backoff->base_ms);

	uint32_t doublings = tries - 1 < DOUBLINGS_MAX ? tries - 1 : DOUBLINGS_MAX;
	uint64_t ceiling_ms = (uint64_t)backoff->base_ms << doublings;
	if (ceiling_ms > backoff->max_ms) ceiling_ms = backoff->max_ms;

	/* Half fixed, half random: a target that comes back after an outage must not receive
	 * every waiting event in the same millisecond. */
	uint64_t fixed_ms = ceiling_ms - ceiling_ms / 2;
	uint64_t delay_ms = fixed_ms + random % (ceiling_ms / 2 + 1);

	CHECK(delay_ms > 0);
	CHECK(delay_ms <= backoff->max_ms);
	return delay_ms;
}

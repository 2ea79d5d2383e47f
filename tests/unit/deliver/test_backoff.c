/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Question answered: does the delay between tries grow as promised, and never leave its bounds? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "deliver/backoff.h"

static const struct backoff usual = { .base_ms = 1000, .max_ms = 60000 };

/* The ceiling doubles from the base up to the maximum, whatever the dice say. */
static void ceiling_doubles_up_to_the_maximum(void **state)
{
	static const uint64_t ceilings_ms[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000,
		60000 };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_COUNT(ceilings_ms); i++) {
		uint64_t lowest_ms = UINT64_MAX;
		uint64_t highest_ms = 0;
		struct random random = { .state = i };
		for (int n = 0; n < 10000; n++) {
			uint64_t delay_ms = backoff_delay_ms(&usual, i + 1, random_u64(&random));
			if (delay_ms < lowest_ms) lowest_ms = delay_ms;
			if (delay_ms > highest_ms) highest_ms = delay_ms;
		}
		assert_in_range(lowest_ms, ceilings_ms[i] / 2,
			ceilings_ms[i] / 2 + ceilings_ms[i] / 50);
		assert_in_range(highest_ms, ceilings_ms[i] - ceilings_ms[i] / 50, ceilings_ms[i]);
	}
}

/* The extremes: one try, the largest count, bases of 1 ms and of 49 days. */
static void extremes_stay_in_bounds(void **state)
{
	static const struct backoff backoffs[] = {
		{ .base_ms = 1, .max_ms = 1 },
		{ .base_ms = 1, .max_ms = UINT32_MAX },
		{ .base_ms = UINT32_MAX, .max_ms = UINT32_MAX },
	};
	static const uint32_t tries[] = { 1, 2, 31, 32, 33, 100, UINT32_MAX };
	static const uint64_t randoms[] = { 0, 1, UINT64_MAX };

	(void)state;
	for (size_t b = 0; b < ARRAY_COUNT(backoffs); b++) {
		for (size_t t = 0; t < ARRAY_COUNT(tries); t++) {
			for (size_t r = 0; r < ARRAY_COUNT(randoms); r++) {
				uint64_t delay_ms =
					backoff_delay_ms(&backoffs[b], tries[t], randoms[r]);
				assert_in_range(delay_ms, 1, backoffs[b].max_ms);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ceiling_doubles_up_to_the_maximum),
		cmocka_unit_test(extremes_stay_in_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

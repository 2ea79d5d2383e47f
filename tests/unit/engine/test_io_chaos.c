/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that io.h allows, at random moments, on the real ring. tests/sim/test_io_sim.c
 * does the same to the simulation.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/io_chaos.h"
#include "unit/engine/io_harness.h"

enum { SEEDS = 20, STEPS = 3000 };

/* The contract holds, every byte is right, and nothing is left behind. */
static void chaos_leaves_nothing_behind(void **state)
{
	static struct chaos chaos;
	struct io_address address = loopback();
	unsigned descriptors = open_descriptors();
	uint64_t byte_count = 0;
	uint64_t orderly_end_count = 0;
	(void)state;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		chaos_open(&chaos, seed, &address);
		for (unsigned step = 0; step < STEPS; step++) chaos_step(&chaos);
		chaos_close(&chaos);
		byte_count += chaos.byte_count;
		orderly_end_count += chaos.orderly_end_count;
	}
	/* It did something. */
	assert_true(byte_count > 1000000);
	assert_true(orderly_end_count > 100);
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chaos_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

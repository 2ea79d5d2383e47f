/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search for the highest rate: it finds it from anywhere, in few steps, and a single bad step
 * does not mislead it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/search.c"

static struct search search_whole(double from, double capacity)
{
	struct search search = search_from(from);

	while (!search_done(&search)) search_tell(&search, search.rate <= capacity);
	return search;
}

static void test_it_finds_the_highest_rate_from_anywhere(void **state)
{
	(void)state;
	for (double capacity = 2; capacity < 1e6; capacity *= 1.7) {
		for (double from = 1; from < 1e6; from *= 30) {
			struct search search = search_whole(from, capacity);
			assert_true(search.held <= capacity);
			assert_true(search.held * SEARCH_CLOSENESS * 1.001 >= capacity);
			assert_true(search.step_count < SEARCH_STEPS_MAX);
		}
	}
}

static void test_a_good_guess_takes_few_steps(void **state)
{
	(void)state;
	assert_true(search_whole(20000, 30000).step_count <= 14);
	assert_true(search_whole(20000, 21000).step_count <= 14);
}

static void test_a_single_bad_step_is_tried_again(void **state)
{
	(void)state;
	struct search search = search_from(100);

	search_tell(&search, false);
	assert_float_equal(search.rate, 100, 0);
	search_tell(&search, true);
	assert_float_equal(search.held, 100, 0);
	assert_float_equal(search.failed, 0, 0);
	/* Each first try fails, and the result is the same. */
	struct search noisy = search_from(900);
	for (unsigned i = 0; !search_done(&noisy); i++) {
		search_tell(&noisy, noisy.again && noisy.rate <= 1000);
	}
	assert_in_range((unsigned)noisy.held, 970, 1000);
}

static void test_nothing_holds(void **state)
{
	(void)state;
	struct search search = search_whole(50000, 0);
	assert_float_equal(search.held, 0, 0);
	assert_true(search_done(&search));
	search = search_from(-5);
	assert_float_equal(search.rate, 1, 0);
}

static void test_without_end_it_ends(void **state)
{
	(void)state;
	struct search search = search_whole(1, 1e300);
	assert_int_equal(search.step_count, SEARCH_STEPS_MAX);
	assert_true(search.held > 1e6);
}

static void test_the_edges_of_the_measured_time_cost_two_answers(void **state)
{
	(void)state;
	/* Half a second at 37.6 a second asks for 18.8: 17 are a tenth too few, and yet all. */
	assert_true(search_kept_up(37.6, 0.5, 18));
	assert_true(search_kept_up(37.6, 0.5, 17));
	assert_false(search_kept_up(37.6, 0.5, 16));
	/* Of many, a fiftieth. */
	assert_true(search_kept_up(50000, 2, 98000));
	assert_false(search_kept_up(50000, 2, 97999));
	/* A server of 100 a second, asked for 120, is caught even within half a second. */
	assert_false(search_kept_up(120, 0.5, 51));
	assert_true(search_kept_up(0, 0.5, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_finds_the_highest_rate_from_anywhere),
		cmocka_unit_test(test_a_good_guess_takes_few_steps),
		cmocka_unit_test(test_a_single_bad_step_is_tried_again),
		cmocka_unit_test(test_nothing_holds),
		cmocka_unit_test(test_the_edges_of_the_measured_time_cost_two_answers),
		cmocka_unit_test(test_without_end_it_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

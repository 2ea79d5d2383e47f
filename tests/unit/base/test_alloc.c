/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "lib/bug.h"

enum { SIZE = 4096 };

static void take_of_heap(void)
{
	alloc_free(alloc_array(1, SIZE));
}

static void take_of_kernel(void)
{
	alloc_unmap(alloc_map(SIZE), SIZE);
}

static void take_huge(void)
{
	alloc_unmap(alloc_map_huge(SIZE), SIZE);
}

static void (*takes[])(void) = { take_of_heap, take_of_kernel, take_huge };

static void taking_is_counted(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
		uint64_t before = alloc_count();
		takes[i]();
		assert_int_equal(alloc_count() - before, 1);
	}
}

static void take_on_a_hot_thread(void *owner)
{
	void (*const *take)(void) = owner;
	alloc_thread_is_hot();
	(*take)();
}

static void hot_threads_may_not_take(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
		assert_true(is_a_bug(take_on_a_hot_thread, &takes[i]));
	}
	alloc_thread_is_hot();
	alloc_thread_is_cold();
	take_of_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taking_is_counted),
		cmocka_unit_test(hot_threads_may_not_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

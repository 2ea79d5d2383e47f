/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"

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

static void (*const takes[])(void) = { take_of_heap, take_of_kernel, take_huge };

static void taking_is_counted(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
		uint64_t before = alloc_count();
		takes[i]();
		assert_int_equal(alloc_count() - before, 1);
	}
}

static bool is_a_bug_on_a_hot_thread(void (*take)(void))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };
		if (setrlimit(RLIMIT_CORE, &no_core) != 0 || !freopen("/dev/null", "w", stderr)) {
			_exit(1);
		}
		signal(SIGABRT, SIG_DFL);
		alloc_thread_is_hot();
		take();
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void hot_threads_may_not_take(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
		assert_true(is_a_bug_on_a_hot_thread(takes[i]));
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

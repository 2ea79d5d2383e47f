/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc tells of a process: this one, of which we know what it does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"

/* The programs' own sources are in no library. */
#include "../../../bench/process.c"

enum { TOUCHED_SIZE = 16 * 1024 * 1024, WORK_US = 30000 };

static void test_words_are_numbers(void **state)
{
	(void)state;
	struct bytes text = BYTES_LITERAL("\t  123   456 kB\n");
	assert_int_equal(number_of(text, 0), 123);
	assert_int_equal(number_of(text, 1), 456);
	assert_int_equal(number_of(text, 2), 0);
	assert_int_equal(number_of(BYTES_EMPTY, 0), 0);
}

static void test_work_shows_as_cpu(void **state)
{
	(void)state;
	uint64_t before = process_cpu_us(getpid());
	uint64_t mine = thread_cpu_us();
	uint64_t waited = thread_wait_us();

	while (thread_cpu_us() - mine < WORK_US) {
	}
	/* The kernel brings its accounting up to date by the tick. */
	assert_true(process_cpu_us(getpid()) - before >= WORK_US / 2);
	assert_true(thread_wait_us() >= waited);
}

static void test_touched_memory_shows(void **state)
{
	(void)state;
	uint64_t before = process_anonymous_size(getpid());
	uint8_t *memory = alloc_map(TOUCHED_SIZE);

	memset(memory, 1, TOUCHED_SIZE);
	assert_true(process_anonymous_size(getpid()) >= before + TOUCHED_SIZE / 2);
	alloc_unmap(memory, TOUCHED_SIZE);
}

static void test_a_process_that_is_gone_has_nothing(void **state)
{
	(void)state;
	assert_int_equal(process_cpu_us(INT32_MAX), 0);
	assert_int_equal(process_anonymous_size(INT32_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_numbers),
		cmocka_unit_test(test_work_shows_as_cpu),
		cmocka_unit_test(test_touched_memory_shows),
		cmocka_unit_test(test_a_process_that_is_gone_has_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

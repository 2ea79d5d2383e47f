/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bars.h"

static void assert_bars(const struct bars *bars, uint32_t shown, double full, const char *text)
{
	uint8_t memory[BARS_MAX * 4];
	struct writer writer = writer_of(memory, sizeof memory);
	bars_write(bars, shown, full, &writer);
	write_u8(&writer, 0);
	assert_false(writer.failed);
	assert_string_equal(writer.data, text);
}

/* The highest value is a full bar, unless a higher one is given for that. */
static void heights_are_relative(void **state)
{
	(void)state;
	struct bars bars = { 0 };
	assert_bars(&bars, 5, 0, "");
	bars_add(&bars, 0);
	assert_bars(&bars, 5, 0, "▁");
	bars_add(&bars, 7);
	bars_add(&bars, 14);
	assert_bars(&bars, 5, 0, "▁▅█");
	assert_bars(&bars, 2, 0, "▅█");
	assert_bars(&bars, 5, 28, "▁▃▅");
}

static void old_values_go(void **state)
{
	(void)state;
	struct bars bars = { 0 };
	bars_add(&bars, 1000);
	for (int i = 0; i < BARS_MAX; i++) bars_add(&bars, 1);
	assert_bars(&bars, 2, 0, "██");
	uint8_t memory[BARS_MAX * 4];
	struct writer writer = writer_of(memory, sizeof memory);
	bars_write(&bars, UINT32_MAX, 0, &writer);
	assert_int_equal(writer.size, BARS_MAX * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heights_are_relative),
		cmocka_unit_test(old_values_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

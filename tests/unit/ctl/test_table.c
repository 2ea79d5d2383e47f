/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What penstockctl prints: aligned tables, harmless text, units people read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../ctl/table.c"
#include "../../../ctl/units.c"

static void assert_printed(const struct table *table, const char *text)
{
	char printed[2048] = { 0 };
	FILE *file = fmemopen(printed, sizeof printed - 1, "w");
	assert_non_null(file);
	table_print(table, file);
	assert_int_equal(fclose(file), 0);
	assert_string_equal(printed, text);
}

static void test_columns_are_aligned(void **state)
{
	(void)state;
	struct table *table = table_create("NAME|>COUNT|NOTE", false);
	assert_printed(table, "");
	table_cell(table, TABLE_PLAIN, "orders");
	table_cell(table, TABLE_RED, "%u", 7u);
	table_cell(table, TABLE_PLAIN, "first");
	table_row_end(table);
	table_cell(table, TABLE_PLAIN, "ä");
	table_cell(table, TABLE_PLAIN, "%s", "1,234,567");
	table_row_end(table);
	assert_int_equal(table_row_count(table), 2);
	assert_printed(table,
		"NAME        COUNT  NOTE\n"
		"orders          7  first\n"
		"ä       1,234,567\n");
	table_free(table);
}

static void test_colours_do_not_count(void **state)
{
	(void)state;
	struct table *table = table_create("A|B", true);
	table_cell(table, TABLE_RED, "dead");
	table_cell(table, TABLE_PLAIN, "x");
	table_row_end(table);
	assert_printed(table,
		"\x1b[1mA\x1b[0m     \x1b[1mB\x1b[0m\n"
		"\x1b[31mdead\x1b[0m  x\n");
	table_free(table);
	assert_string_equal(table_colour_code(false, TABLE_RED), "");
}

/* What a provider sends cannot drive the operator's terminal. */
static void test_control_characters_are_not_printed(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *shown;
	} cases[] = {
		{ "plain, ä, 漢, 😀", "plain, ä, 漢, 😀" },
		{ "\x1b[31mred\x07", "?[31mred?" },
		{ "a\nb\rc\td\x7f", "a?b?c?d?" },
		{ "\xc2\x9b"
		  "31m",
			"?31m" }, /* C1: another way to say escape */
		{ "\xff\xfe", "??" },
		{ "cut \xe6\xbc", "cut ?" },
		{ "over \xc0\xaf", "over ?" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char printed[128] = { 0 };
		FILE *file = fmemopen(printed, sizeof printed - 1, "w");
		table_write_safe(file, cases[i].text);
		assert_int_equal(fclose(file), 0);
		assert_string_equal(printed, cases[i].shown);
		assert_int_equal(table_width(cases[i].text), table_width(cases[i].shown));
	}
}

static void test_many_rows(void **state)
{
	(void)state;
	struct table *table = table_create(">N", false);
	for (unsigned i = 0; i < 1000; i++) {
		table_cell(table, TABLE_PLAIN, "%u", i);
		table_row_end(table);
	}
	assert_int_equal(table_row_count(table), 1000);
	table_free(table);
}

static void test_units(void **state)
{
	(void)state;
	char text[UNITS_TEXT_SIZE];
	assert_string_equal(units_number(0, text), "0");
	assert_string_equal(units_number(999, text), "999");
	assert_string_equal(units_number(1000, text), "1,000");
	assert_string_equal(units_number(UINT64_MAX, text), "18,446,744,073,709,551,615");

	assert_string_equal(units_size(0, text), "0 B");
	assert_string_equal(units_size(1023, text), "1023 B");
	assert_string_equal(units_size(1024, text), "1.0 KiB");
	assert_string_equal(units_size(1024 * 1024 - 1, text), "1.0 MiB");
	assert_string_equal(units_size(UINT64_C(3) << 40, text), "3.0 TiB");
	assert_string_equal(units_size(UINT64_MAX, text), "16.0 EiB");

	assert_string_equal(units_duration(0, text), "0 µs");
	assert_string_equal(units_duration(999, text), "999 µs");
	assert_string_equal(units_duration(1000, text), "1.0 ms");
	assert_string_equal(units_duration(999949, text), "999.9 ms");
	assert_string_equal(units_duration(999950, text), "1.0 s");
	assert_string_equal(units_duration(59949999, text), "59.9 s");
	assert_string_equal(units_duration(60000000, text), "1m 00s");
	assert_string_equal(units_duration(UINT64_C(3599999999), text), "59m 59s");
	assert_string_equal(units_duration(UINT64_C(11520000000), text), "3h 12m");
	assert_string_equal(units_duration(UINT64_C(370800000000), text), "4d 07h");
}

static void test_times(void **state)
{
	(void)state;
	char text[UNITS_TEXT_SIZE];
	uint64_t us = 0;
	assert_int_equal(units_time_parse("2026-09-21T14:13:20.000001Z", &us), RESULT_OK);
	assert_true(us == UINT64_C(1790000000000001));
	assert_int_equal(units_time_parse("1970-01-01T00:00:01Z", &us), RESULT_OK);
	assert_int_equal(us, 1000000);
	static const char *const wrong[] = { "", "2026-09-21", "2026-09-21T14:13:20",
		"2026-09-21T14:13:20.1", "2026-09-21T14:13:20+01:00", "yesterday" };
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		assert_int_equal(units_time_parse(wrong[i], &us), RESULT_MALFORMED);
	}
	assert_int_equal(setenv("TZ", "UTC-2", 1), 0);
	tzset();
	assert_string_equal(units_time(UINT64_C(1790000000123456), false, text),
		"2026-09-21 16:13:20");
	assert_string_equal(units_time(UINT64_C(1790000000123456), true, text),
		"2026-09-21 16:13:20.123");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_aligned),
		cmocka_unit_test(test_colours_do_not_count),
		cmocka_unit_test(test_control_characters_are_not_printed),
		cmocka_unit_test(test_many_rows),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

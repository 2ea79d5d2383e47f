/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report's page and its plots: complete, harmless, and nothing is fetched. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/page.c"
#include "../../../bench/plot.c"
#include "../../../bench/histogram.c"
#include "../../../bench/ledger.c"
#include "../../../bench/report.c"

static struct ledger ledger;

static char *page_text(const struct page *page)
{
	char *text = NULL;
	size_t size = 0;

	FILE *file = open_memstream(&text, &size);
	assert_non_null(file);
	page_write(page, file);
	assert_int_equal(fclose(file), 0);
	return text;
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned count = 0;
	for (; (text = strstr(text, what)) != NULL; text++) count++;
	return count;
}

static void test_steps_are_round(void **state)
{
	(void)state;
	static const struct {
		double highest, step;
	} rows[] = { { 6, 1 }, { 7, 2 }, { 13, 5 }, { 31, 10 }, { 43120, 10000 }, { 0.6, 0.1 },
		{ 0, 1 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_float_equal(plot_step(rows[i].highest, 6), rows[i].step, 1e-9);
	}
}

static void test_a_gap_is_not_drawn(void **state)
{
	(void)state;
	const double x[] = { 1, 2, 3, 4 };
	const double y[] = { 1, NAN, 2, 2 };
	const struct plot plot = {
		.title = "t",
		.unit = "u",
		.x_title = "x",
		.lines = { { .name = "n", .colour = "red", .x = x, .y = y, .count = 4 } },
		.line_count = 1,
	};
	char text[8192] = { 0 };

	FILE *file = fmemopen(text, sizeof text - 1, "w");
	plot_write(&plot, file);
	assert_int_equal(fclose(file), 0);
	assert_null(strstr(text, "nan"));
	/* The highest value is at the top, the last time at the right. */
	assert_non_null(strstr(text, "d=\"M263.8 136.0M651.2 34.0L845.0 34.0\""));
}

static void test_a_page_needs_nothing_else(void **state)
{
	(void)state;
	const char *const arguments[] = { "penstock-bench", "run", "--ca", "<script>&\"", NULL };
	struct sample samples[] = {
		{ .at_s = 1, .length_s = 1, .acked = 100, .delivered = 90, .ack_p99_ms = 3 },
		{ .at_s = 2, .length_s = 1 },
		{ .at_s = 3, .length_s = 1, .acked = 100, .delivered = 110, .ack_p99_ms = 4 },
	};
	const struct report report = { .ledger = &ledger,
		.has_sender = true,
		.has_sink = true,
		.clean = true,
		.daemon_cpu_us = 5,
		.measured_us = 100,
		.measured_acked = 200 };
	const struct page page = { .report = &report,
		.samples = samples,
		.sample_count = 3,
		.warmup_s = 1,
		.arguments = arguments };

	for (unsigned i = 0; i < 1000; i++) latency_record(&ledger.ack, i);
	char *text = page_text(&page);
	assert_int_equal(count_of(text, "<svg"), 4);
	assert_int_equal(count_of(text, "</svg>"), 4);
	assert_non_null(strstr(text, "&lt;script&gt;&amp;&quot;"));
	assert_non_null(strstr(text, "The ledger balances."));
	assert_non_null(strstr(text, "99.9 %"));
	static const char *const never[] = { "<script", "http", "url(", "src=", "href=", "nan",
		"inf" };
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		assert_null(strstr(text, never[i]));
	}
	free(text);
}

static void test_a_page_of_nothing(void **state)
{
	(void)state;
	const char *const arguments[] = { NULL };
	const struct report report = { .ledger = &ledger, .has_sender = true };
	const struct page page = { .report = &report, .arguments = arguments };

	histogram_reset(&ledger.ack.all);
	char *text = page_text(&page);
	assert_non_null(strstr(text, "NOT balance"));
	assert_null(strstr(text, "nan"));
	assert_int_equal(count_of(text, "</svg>"), 4);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_are_round),
		cmocka_unit_test(test_a_gap_is_not_drawn),
		cmocka_unit_test(test_a_page_needs_nothing_else),
		cmocka_unit_test(test_a_page_of_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is seen while a run goes on, and when the generator says that it was the bottleneck. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/live.c"
#include "../../../bench/histogram.c"
#include "../../../bench/ledger.c"
#include "../../../bench/report.c"

static struct ledger ledger;

static const struct sample second = {
	.at_s = 12,
	.length_s = 1,
	.acked = 43120,
	.delivered = 42990,
	.ack_p50_ms = 1.42,
	.ack_p99_ms = 3.4,
	.ack_max_ms = 6.2,
	.end_p99_ms = 4.5,
	.generator_share = 0.45,
};

static char text[65536];

static void show(struct live *live, const struct sample *samples, size_t count)
{
	memset(text, 0, sizeof text);
	live->to = fmemopen(text, sizeof text - 1, "w");
	assert_non_null(live->to);
	live->ledger = &ledger;
	live->phase = "measuring";
	for (size_t i = 0; i < count; i++) live_show(live, &samples[i]);
	live_end(live);
	assert_int_equal(fclose(live->to), 0);
}

static void test_a_file_gets_a_plain_line_now_and_then(void **state)
{
	(void)state;
	struct live live = { .end_to_end = true };
	struct sample samples[10];

	for (unsigned i = 0; i < 10; i++) {
		samples[i] = second;
		samples[i].at_s = i + 1;
	}
	samples[9].refused = 7;
	show(&live, samples, 10);
	assert_string_equal(text,
		"    5.0 s  acked 43120/s  p50 1.42 p99 3.40 max 6.20 ms  delivered 42990/s  "
		"p99 4.50 ms  generator 45 %  (measuring)\n"
		"   10.0 s  acked 43120/s  p50 1.42 p99 3.40 max 6.20 ms  delivered 42990/s  "
		"p99 4.50 ms  refused 7  broken 0  generator 45 %  (measuring)\n");
}

static size_t lines(const char *from)
{
	size_t count = 0;
	for (; *from != '\0'; from++) count += *from == '\n';
	return count;
}

static void test_a_terminal_is_drawn_over(void **state)
{
	(void)state;
	for (int end_to_end = 0; end_to_end < 2; end_to_end++) {
		struct live live = { .terminal = true, .end_to_end = end_to_end != 0 };
		struct sample samples[] = { second, second };
		char up[16];

		show(&live, samples, 1);
		size_t count = lines(text);
		snprintf(up, sizeof up, "\x1b[%zuA\r", count);
		assert_null(strstr(text, up));
		show(&live, samples, 1); /* it ended: the next is drawn below */
		assert_null(strstr(text, up));
		show(&live, samples, 2);
		assert_int_equal(lines(text), 2 * count);
		/* Up by exactly as many lines as were written. */
		assert_non_null(strstr(text, up));
	}
}

static void test_bars_keep_the_last_seconds(void **state)
{
	(void)state;
	struct live live = { .terminal = true };
	struct sample samples[LIVE_BARS + 5];

	for (unsigned i = 0; i < LIVE_BARS + 5; i++) {
		samples[i] = second;
		samples[i].acked = i < 5 ? 1000000 : 100; /* out of sight at the end */
	}
	show(&live, samples, LIVE_BARS + 5);
	const char *last = strrchr(text, 'A');
	assert_non_null(last);
	assert_null(strstr(last, "▁"));
	assert_non_null(strstr(last, "█"));
}

static void test_a_generator_without_time_says_so(void **state)
{
	(void)state;
	struct report report = {
		.ledger = &ledger,
		.has_sender = true,
		.measured_us = 1000000,
		.measured_acked = 1000,
		.bench_cpu_us = 600000,
		.bench_wait_us = 100000,
	};
	memset(text, 0, sizeof text);
	assert_false(report_generator_bound(&report));
	/* Waiting for a CPU that somebody else has counts as well. */
	report.bench_wait_us = 350000;
	assert_true(report_generator_bound(&report));
	FILE *file = fmemopen(text, sizeof text - 1, "w");
	report_print(&report, file);
	assert_int_equal(fclose(file), 0);
	assert_non_null(strstr(text, "60 % of a CPU, waited for one 35 % of the time; 600.00 us"));
	assert_non_null(strstr(text, "WARNING: the generator was the bottleneck"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_gets_a_plain_line_now_and_then),
		cmocka_unit_test(test_a_terminal_is_drawn_over),
		cmocka_unit_test(test_bars_keep_the_last_seconds),
		cmocka_unit_test(test_a_generator_without_time_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

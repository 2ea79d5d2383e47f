/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Latencies are kept with three digits, and the ledger's clock is finer than they are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/histogram.c"
#include "../../../bench/ledger.c"

static struct histogram histogram;
static struct ledger ledger;

static void test_every_value_has_a_bucket_that_holds_it(void **state)
{
	(void)state;
	for (unsigned shift = 0; shift < 46; shift++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t value = (UINT64_C(1) << shift) + (uint64_t)delta;
			uint32_t bucket = histogram_bucket(value);
			assert_true(histogram_bucket_lowest(bucket) <= value);
			assert_true(histogram_bucket_highest(bucket) >= value);
			assert_int_equal(histogram_bucket(histogram_bucket_lowest(bucket)), bucket);
		}
	}
	assert_int_equal(histogram_bucket_lowest(histogram_bucket(1 << 20) + 1),
		histogram_bucket_highest(histogram_bucket(1 << 20)) + 1);
}

static void test_quantiles_are_within_a_thousandth(void **state)
{
	(void)state;
	histogram_reset(&histogram);
	assert_int_equal(histogram_quantile_us(&histogram, 0.5), 0);
	for (uint64_t us = 1; us <= 100000; us++) histogram_record(&histogram, us);
	for (unsigned percent = 1; percent < 100; percent++) {
		uint64_t found = histogram_quantile_us(&histogram, percent / 100.0);
		uint64_t right = percent * 1000;
		assert_in_range(found, right, right + right / 1000 + 1);
	}
	assert_int_equal(histogram_quantile_us(&histogram, 1), 100000);
	assert_int_equal(histogram.min_us, 1);
}

static void test_what_is_beyond_the_end_is_in_the_last_bucket(void **state)
{
	(void)state;
	histogram_reset(&histogram);
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_true(histogram_quantile_us(&histogram, 0.5) > UINT64_C(60000000000));
}

/* A whole millisecond would be a large part of what an event takes. */
static void test_the_intended_start_is_kept_to_microseconds(void **state)
{
	(void)state;
	ledger_open(&ledger, 4);
	ledger.started = (mono_t){ 1000000 };
	ledger_set_intended(&ledger, 2, (mono_t){ 1000000 + 1234567 });
	uint64_t us = ledger_intended(&ledger, 2).us;
	assert_in_range(us, 1000000 + 1234567 - LEDGER_TICK_US, 1000000 + 1234567);
	ledger_close(&ledger);
}

static void test_an_interval_is_reset_apart_from_the_whole(void **state)
{
	(void)state;
	ledger_open(&ledger, 1);
	latency_record(&ledger.ack, 5);
	histogram_reset(&ledger.ack.interval);
	latency_record(&ledger.ack, 7);
	assert_int_equal(ledger.ack.all.count, 2);
	assert_int_equal(ledger.ack.interval.count, 1);
	assert_int_equal(ledger.ack.interval.min_us, 7);
	ledger_close(&ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value_has_a_bucket_that_holds_it),
		cmocka_unit_test(test_quantiles_are_within_a_thousandth),
		cmocka_unit_test(test_what_is_beyond_the_end_is_in_the_last_bucket),
		cmocka_unit_test(test_the_intended_start_is_kept_to_microseconds),
		cmocka_unit_test(test_an_interval_is_reset_apart_from_the_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

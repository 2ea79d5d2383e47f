/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sample for each second, of what happened in it and nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/watch.c"
#include "../../../bench/hdr.c"
#include "../../../bench/histogram.c"
#include "../../../bench/ledger.c"
#include "../../../bench/process.c"

static struct ledger ledger;
static struct watch watch;
static uint32_t shown_count;

/* In place of the terminal. */
void live_show(struct live *live, const struct sample *sample)
{
	assert_non_null(live);
	assert_true(sample->length_s > 0);
	shown_count++;
}

void live_end(struct live *live)
{
	assert_non_null(live);
}

static mono_t at_ms(uint64_t ms)
{
	return (mono_t){ ledger.started.us + ms * US_PER_MS };
}

static int begin(void **state)
{
	(void)state;
	static struct live live;
	const struct watch_config config = { .ledger = &ledger, .live = &live };

	memset(&ledger, 0, sizeof ledger);
	ledger.started = (mono_t){ 5000000 };
	shown_count = 0;
	watch_open(&watch, &config);
	return 0;
}

static int end(void **state)
{
	(void)state;
	watch_close(&watch);
	return 0;
}

static void test_lateness_does_not_add_up(void **state)
{
	(void)state;
	/* Looked at every 300 ms: the seconds are noticed late, but each is noticed. */
	for (uint64_t ms = 300; ms <= 30000; ms += 300) watch_look(&watch, at_ms(ms));
	assert_int_equal(watch.count, 30);
	assert_int_equal(shown_count, 30);
	for (uint32_t i = 0; i < watch.count; i++) {
		assert_true(watch.samples[i].at_s >= i + 1 && watch.samples[i].at_s < i + 1.3);
	}
}

static void test_a_sample_tells_of_its_own_second(void **state)
{
	(void)state;
	ledger.acked = 10;
	latency_record(&ledger.ack, 1000);
	watch_look(&watch, at_ms(1000));
	ledger.acked = 14;
	ledger.refused_503 = 2;
	latency_record(&ledger.ack, 500000);
	watch_look(&watch, at_ms(2000));
	assert_int_equal(watch.samples[0].acked, 10);
	assert_float_equal(watch.samples[0].ack_max_ms, 1, 0.001);
	assert_int_equal(watch.samples[1].acked, 4);
	assert_int_equal(watch.samples[1].refused, 2);
	assert_float_equal(watch.samples[1].ack_p50_ms, 500, 1);
	/* The whole is left alone. */
	assert_int_equal(ledger.ack.all.count, 2);
}

static void test_the_rest_is_a_sample_unless_it_is_nothing(void **state)
{
	(void)state;
	watch_look(&watch, at_ms(1000));
	watch_finish(&watch, at_ms(1020));
	assert_int_equal(watch.count, 1);
	watch_finish(&watch, at_ms(1500));
	assert_int_equal(watch.count, 2);
	assert_float_equal(watch.samples[1].length_s, 0.5, 1e-6);
}

static void test_a_long_run_keeps_its_first_hours(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= WATCH_SAMPLES_MAX + 10; i++) watch_look(&watch, at_ms(1000 * i));
	assert_int_equal(watch.count, WATCH_SAMPLES_MAX);
	assert_int_equal(shown_count, WATCH_SAMPLES_MAX + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lateness_does_not_add_up, begin, end),
		cmocka_unit_test_setup_teardown(test_a_sample_tells_of_its_own_second, begin, end),
		cmocka_unit_test_setup_teardown(test_the_rest_is_a_sample_unless_it_is_nothing,
			begin, end),
		cmocka_unit_test_setup_teardown(test_a_long_run_keeps_its_first_hours, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

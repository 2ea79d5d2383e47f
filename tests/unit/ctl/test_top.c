/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What top makes of the daemon's metrics, and what it sends to a terminal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../ctl/frame.c"
#include "../../../ctl/table.c"
#include "../../../ctl/top_figures.c"
#include "../../../ctl/top_histogram.c"
#include "../../../ctl/top_metrics.c"

static struct top_item items[TOP_LIST_COUNT][2][2];

static void sample_init(struct top_sample *sample, unsigned which)
{
	*sample = (struct top_sample){ .good = true, .started_us = 7 };
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) sample->items[i] = items[i][which];
}

static double p(const struct top_histogram *now, const struct top_histogram *before, double q)
{
	return top_histogram_quantile(now, before, q);
}

static void quantiles_are_those_of_the_interval(void **state)
{
	(void)state;
	struct top_histogram none = { 0 };
	struct top_histogram before = { 0 };
	struct top_histogram now = { 0 };
	const double bounds[] = { 1, 2, 4, INFINITY };
	const uint64_t first[] = { 100, 100, 100, 100 };
	const uint64_t then[] = { 100, 110, 110, 110 };
	for (size_t i = 0; i < 4; i++) {
		top_histogram_add(&before, bounds[i], first[i]);
		top_histogram_add(&now, bounds[i], then[i]);
	}
	assert_int_equal(top_histogram_count(&now, &before), 10);
	assert_float_equal(p(&now, &before, 0.5), 1.5, 1e-9);
	assert_float_equal(p(&now, &none, 0.5), 0.55, 1e-9);
	assert_true(isnan(p(&now, &now, 0.5)));
	assert_true(isnan(p(&none, &none, 0.5)));
	/* A daemon that was started anew counts from zero. */
	assert_int_equal(top_histogram_count(&before, &now), 100);
}

static void beyond_the_last_bound_is_the_last_bound(void **state)
{
	(void)state;
	struct top_histogram none = { 0 };
	struct top_histogram now = { 0 };
	top_histogram_add(&now, 1, 0);
	top_histogram_add(&now, INFINITY, 5);
	assert_float_equal(p(&now, &none, 0.99), 1, 1e-9);
}

static void series_add_up(void **state)
{
	(void)state;
	struct top_histogram none = { 0 };
	struct top_histogram now = { 0 };
	for (int i = 0; i < 3; i++) {
		top_histogram_add(&now, 1, 10);
		top_histogram_add(&now, INFINITY, 20);
	}
	assert_int_equal(now.count, 2);
	assert_int_equal(top_histogram_count(&now, &none), 60);
	for (int i = 0; i < 2 * TOP_BUCKETS_MAX; i++) top_histogram_add(&now, 100 + i, 1);
	assert_int_equal(now.count, TOP_BUCKETS_MAX);
}

/* Labels with blanks, braces and escaped quotes; buckets with and without a target's name. */
static void metrics_are_read(void **state)
{
	(void)state;
	static const char text[] =
		"# HELP penstock_events_accepted_total {x} 5\n"
		"penstock_events_accepted_total{endpoint=\"a } \\\" le=\\\\\"} 5\n"
		"penstock_events_accepted_total{endpoint=\"b\"} 6\n"
		"penstock_events_accepted_bytes_total{endpoint=\"b\"} 1000\n"
		"penstock_events_refused_signature_total{endpoint=\"b\"} 1\n"
		"penstock_events_refused_size_total{endpoint=\"b\"} 2\n"
		"penstock_attempt_duration_seconds_bucket{target=\"two\",le=\"0.5\"} 3\n"
		"penstock_attempt_duration_seconds_bucket{target=\"two\",le=\"+Inf\"} 4\n"
		"penstock_attempt_duration_seconds_bucket{le=\"0.5\",target=\"one\"} 1\n"
		"penstock_attempt_duration_seconds_bucket{le=\"+Inf\",target=\"one\"} 1\n"
		"penstock_attempt_duration_seconds_bucket{le=\"x\",target=\"one\"} 1\n"
		"penstock_ack_duration_seconds_bucket{le=\"0.001\"} 9\n"
		"penstock_requests_shed_total 1e3\n"
		"penstock_requests_shed_total{\n"
		"penstock_requests_shed_total NaN\n"
		"nonsense";
	struct top_sample sample;
	struct top_histogram none = { 0 };
	sample_init(&sample, 0);
	sample.counts[TOP_TARGETS] = 2;
	memset(sample.items[TOP_TARGETS], 0, 2 * sizeof(struct top_item));
	snprintf(sample.items[TOP_TARGETS][0].name, 8, "one");
	snprintf(sample.items[TOP_TARGETS][1].name, 8, "two");
	top_sample_metrics(&sample, bytes_of_text(text));
	assert_int_equal(sample.counters[TOP_ACCEPTED], 11);
	assert_int_equal(sample.counters[TOP_REFUSED], 3);
	assert_int_equal(sample.counters[TOP_SHED], 1000);
	const struct top_histogram *all = &sample.latencies[TOP_LATENCY_ATTEMPT];
	assert_int_equal(top_histogram_count(all, &none), 5);
	assert_int_equal(top_histogram_count(&sample.items[TOP_TARGETS][1].latency, &none), 4);
	assert_int_equal(top_histogram_count(&sample.items[TOP_TARGETS][0].latency, &none), 1);
	assert_int_equal(sample.latencies[TOP_LATENCY_ACK].count, 1);
}

static void rates_need_two_samples_of_one_run(void **state)
{
	(void)state;
	struct top_sample before;
	struct top_sample now;
	struct top_figures *figures = top_figures_create();
	sample_init(&before, 0);
	sample_init(&now, 1);
	now.mono_us = 2 * US_PER_S;
	now.counters[TOP_ACCEPTED] = 10;
	now.counts[TOP_ENDPOINTS] = before.counts[TOP_ENDPOINTS] = 1;
	snprintf(now.items[TOP_ENDPOINTS][0].name, 8, "a");
	snprintf(before.items[TOP_ENDPOINTS][0].name, 8, "a");
	now.items[TOP_ENDPOINTS][0].counts[TOP_ENDPOINT_ACCEPTED] = 8;

	top_figures_compute(figures, &now, &before);
	assert_float_equal(figures->rates[TOP_ACCEPTED], 5, 1e-9);
	assert_float_equal(figures->rows[TOP_ENDPOINTS][0].cells[0], 4, 1e-9);
	/* Another one is in its place now. */
	snprintf(before.items[TOP_ENDPOINTS][0].name, 8, "b");
	top_figures_compute(figures, &now, &before);
	assert_true(isnan(figures->rows[TOP_ENDPOINTS][0].cells[0]));
	before.started_us++;
	top_figures_compute(figures, &now, &before);
	assert_true(isnan(figures->rates[TOP_ACCEPTED]));
	assert_true(figures->length_s == 0);
	top_figures_free(figures);
}

static void unknown_rows_come_last(void **state)
{
	(void)state;
	struct top_sample now;
	struct top_figures *figures = top_figures_create();
	sample_init(&now, 0);
	now.counts[TOP_TARGETS] = 2;
	snprintf(now.items[TOP_TARGETS][0].name, 8, "b");
	snprintf(now.items[TOP_TARGETS][1].name, 8, "a");
	top_figures_compute(figures, &now, NULL);
	figures->rows[TOP_TARGETS][0].cells[0] = NAN;
	figures->rows[TOP_TARGETS][1].cells[0] = 0;
	top_figures_sort(figures, TOP_TARGETS, 0);
	assert_int_equal(figures->rows[TOP_TARGETS][0].index, 1);
	top_figures_sort(figures, TOP_TARGETS, 1); /* equal: the order stays */
	assert_int_equal(figures->rows[TOP_TARGETS][0].index, 0);
	top_figures_sort(figures, TOP_TARGETS, top_column_count(TOP_TARGETS));
	assert_string_equal(figures->rows[TOP_TARGETS][0].item->name, "a");
	top_figures_free(figures);
}

static void assert_changes(const struct frame *frame, const struct frame *shown, const char *text)
{
	uint8_t memory[2048];
	assert_true(frame_changes_size(frame) <= sizeof memory);
	struct writer writer = writer_of(memory, sizeof memory);
	frame_write_changes(frame, shown, true, &writer);
	write_u8(&writer, 0);
	assert_false(writer.failed);
	assert_string_equal(memory, text);
}

static void only_changes_are_sent(void **state)
{
	(void)state;
	struct frame *shown = frame_create(6, 2);
	struct frame *frame = frame_create(6, 2);
	frame_put(shown, 0, 0, TABLE_PLAIN, "abcdef");
	frame_put(frame, 0, 0, TABLE_PLAIN, "abXYef");
	frame_put(frame, 1, 5, TABLE_RED, "cut off");
	frame_put(frame, 2, 0, TABLE_RED, "not there");
	assert_changes(frame, shown, "\x1b[1;3HXY\x1b[2;6H\x1b[31mc\x1b[0m");
	assert_changes(frame, frame, "");
	assert_changes(shown, NULL, "\x1b[1;1Habcdef\x1b[2;1H      ");
	frame_free(frame);
	frame_free(shown);
}

/* Names and errors are others' text. */
static void nothing_drives_the_terminal(void **state)
{
	(void)state;
	struct frame *frame = frame_create(12, 1);
	assert_int_equal(frame_put(frame, 0, 0, TABLE_PLAIN, "a\x1b[2Jb\xc2\x9b"), 7);
	assert_changes(frame, NULL, "\x1b[1;1Ha?[2Jb?     ");
	frame_clear(frame);
	frame_put(frame, 0, 0, TABLE_PLAIN, "ü▁│\xe2\x80\xae漢\xcc\x88\xf0\x9f\x98\x80.");
	assert_changes(frame, NULL, "\x1b[1;1Hü▁│????.    ");
	frame_free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_those_of_the_interval),
		cmocka_unit_test(beyond_the_last_bound_is_the_last_bound),
		cmocka_unit_test(series_add_up),
		cmocka_unit_test(metrics_are_read),
		cmocka_unit_test(rates_need_two_samples_of_one_run),
		cmocka_unit_test(unknown_rows_come_last),
		cmocka_unit_test(only_changes_are_sent),
		cmocka_unit_test(nothing_drives_the_terminal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

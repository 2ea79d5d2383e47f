/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is counted comes out once, under the right name, in a form Prometheus reads. */
#include "metrics/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "metrics/metrics_expose.h"

static void event_id(const struct metrics_exemplar *exemplar, char to[static METRICS_EVENT_ID_SIZE])
{
	snprintf(to, METRICS_EVENT_ID_SIZE, "evt-%u-%u", (unsigned)exemplar->shard,
		(unsigned)exemplar->sequence);
}

/* NUL-terminated; release with alloc_unmap(). */
static char *exposition_as(enum metrics_format format)
{
	char *text = alloc_map(METRICS_EXPOSE_SIZE_MAX);
	struct writer writer = writer_of(text, METRICS_EXPOSE_SIZE_MAX - 1);
	const struct metrics_page page = {
		.writer = &writer,
		.format = format,
		.event_id = event_id,
	};
	metrics_expose(&page);
	metrics_expose_end(&page);
	assert_false(writer.failed);
	return text;
}

static char *exposition(void)
{
	return exposition_as(METRICS_FORMAT_TEXT);
}

static void observe(struct metrics *cells, enum metrics_histogram histogram, uint64_t us)
{
	metrics_observe(cells, histogram, &(struct metrics_exemplar){ .value_us = us });
}

static void assert_line(const char *text, const char *line)
{
	char wanted[256];
	assert_true(snprintf(wanted, sizeof wanted, "\n%s\n", line) < (int)sizeof wanted);
	if (strstr(text, wanted) == NULL) fail_msg("missing line: %s", line);
}

/* Bounds only grow, start at 1 µs, and every value falls in the first bucket that holds it. */
static void test_buckets_hold_what_falls_in_them(void **state)
{
	(void)state;
	assert_int_equal(metrics_bucket_us(0), 1);
	assert_int_equal(metrics_bucket_us(METRICS_BUCKETS - 2), UINT64_C(3) << 25);
	assert_true(metrics_bucket_us(METRICS_BUCKETS - 1) == UINT64_MAX);
	for (unsigned i = 1; i < METRICS_BUCKETS; i++) {
		assert_true(metrics_bucket_us(i) > metrics_bucket_us(i - 1));
	}

	for (unsigned i = 0; i + 1 < METRICS_BUCKETS; i++) {
		const uint64_t bound = metrics_bucket_us(i);
		const uint64_t below = i == 0 ? 0 : metrics_bucket_us(i - 1) + 1;
		const uint64_t values[] = { below, bound, bound + 1 };
		const unsigned buckets[] = { i, i, i + 1 };
		for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
			struct metrics *cells = metrics_cells_create();
			observe(cells, METRICS_HISTOGRAM_ACK, values[v]);
			struct metrics_histogram_sum sum;
			metrics_histogram_sum(METRICS_HISTOGRAM_ACK, &sum);
			assert_int_equal(sum.count, 1);
			assert_int_equal(sum.buckets[buckets[v]], 1);
			assert_int_equal(sum.sum_us, values[v]);
			metrics_cells_free(cells);
		}
	}
}

/* The largest durations land in the last bucket instead of beyond it. */
static void test_huge_durations_are_counted(void **state)
{
	(void)state;
	struct metrics *cells = metrics_cells_create();
	observe(cells, METRICS_HISTOGRAM_DWELL, UINT64_MAX / 4);
	observe(cells, METRICS_HISTOGRAM_DWELL, UINT64_C(1) << 27);
	struct metrics_histogram_sum sum;
	metrics_histogram_sum(METRICS_HISTOGRAM_DWELL, &sum);
	assert_int_equal(sum.buckets[METRICS_BUCKETS - 1], 2);
	assert_true(metrics_quantile_us(&sum, 0.5) == UINT64_MAX);
	metrics_cells_free(cells);
}

static void test_quantiles_are_bucket_bounds(void **state)
{
	(void)state;
	struct metrics_histogram_sum sum = { 0 };
	assert_int_equal(metrics_quantile_us(&sum, 0.5), 0);

	struct metrics *cells = metrics_cells_create();
	for (unsigned i = 0; i < 90; i++) observe(cells, METRICS_HISTOGRAM_COMMIT, 100);
	for (unsigned i = 0; i < 9; i++) observe(cells, METRICS_HISTOGRAM_COMMIT, 1000);
	observe(cells, METRICS_HISTOGRAM_COMMIT, 100000);
	metrics_histogram_sum(METRICS_HISTOGRAM_COMMIT, &sum);
	assert_int_equal(sum.count, 100);
	assert_int_equal(metrics_quantile_us(&sum, 0.5), 128);
	assert_int_equal(metrics_quantile_us(&sum, 0.9), 128);
	assert_int_equal(metrics_quantile_us(&sum, 0.95), 1024);
	assert_int_equal(metrics_quantile_us(&sum, 0.99), 1024);
	assert_int_equal(metrics_quantile_us(&sum, 0.999), 131072);
	metrics_cells_free(cells);
}

/* Cells of two workers are added up; those of one that left no longer count. */
static void test_sums_are_over_all_cells(void **state)
{
	(void)state;
	struct metrics *one = metrics_cells_create();
	struct metrics *two = metrics_cells_create();
	uint32_t endpoint = metrics_endpoint_slot("sums");
	uint32_t target = metrics_target_slot("sums");
	metrics_add(one, METRICS_REQUESTS, 3);
	metrics_add(two, METRICS_REQUESTS, 4);
	metrics_endpoint_add(one, endpoint, METRICS_ENDPOINT_BYTES, 1000);
	metrics_endpoint_add(two, endpoint, METRICS_ENDPOINT_BYTES, 1);
	metrics_target_add(two, target, METRICS_TARGET_DEAD, 7);
	assert_int_equal(metrics_sum(METRICS_REQUESTS), 7);
	assert_int_equal(metrics_endpoint_sum(endpoint, METRICS_ENDPOINT_BYTES), 1001);
	assert_int_equal(metrics_target_sum(target, METRICS_TARGET_DEAD), 7);
	metrics_cells_free(one);
	assert_int_equal(metrics_sum(METRICS_REQUESTS), 4);
	metrics_cells_free(two);
	assert_int_equal(metrics_sum(METRICS_REQUESTS), 0);
}

static void test_same_name_same_slot(void **state)
{
	(void)state;
	uint32_t github = metrics_endpoint_slot("github");
	uint32_t stripe = metrics_endpoint_slot("stripe");
	assert_int_not_equal(github, stripe);
	assert_int_equal(metrics_endpoint_slot("github"), github);
	/* Endpoints and targets are numbered apart and may share a name. */
	metrics_target_slot("github");
	assert_int_equal(metrics_endpoint_slot("stripe"), stripe);
}

static void test_exposition_has_help_type_and_labels(void **state)
{
	(void)state;
	struct metrics *cells = metrics_cells_create();
	metrics_add(cells, METRICS_CONNECTIONS_ACCEPTED, 12);
	uint32_t slot = metrics_endpoint_slot("git\"hub\\\n");
	metrics_endpoint_add(cells, slot, METRICS_ENDPOINT_ACCEPTED, 5);
	metrics_target_add(cells, metrics_target_slot("orders"), METRICS_TARGET_ATTEMPTS, 6);

	char *text = exposition();
	assert_line(text, "# TYPE penstock_connections_accepted_total counter");
	assert_line(text, "penstock_connections_accepted_total 12");
	assert_line(text,
		"# HELP penstock_events_accepted_total Events verified, new, on disk and "
		"answered 2xx");
	assert_line(text, "penstock_events_accepted_total{endpoint=\"git\\\"hub\\\\\\n\"} 5");
	assert_line(text, "penstock_attempts_total{target=\"orders\"} 6");
	assert_null(strstr(text, "_other"));
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
	metrics_cells_free(cells);
}

static void test_exposed_histograms_are_cumulative(void **state)
{
	(void)state;
	struct metrics *cells = metrics_cells_create();
	observe(cells, METRICS_HISTOGRAM_ATTEMPT, 1);
	observe(cells, METRICS_HISTOGRAM_ATTEMPT, 1500000);
	observe(cells, METRICS_HISTOGRAM_ATTEMPT, UINT64_C(200000000));

	char *text = exposition();
	assert_line(text, "# TYPE penstock_attempt_duration_seconds histogram");
	assert_line(text, "penstock_attempt_duration_seconds_bucket{le=\"0.000001\"} 1");
	assert_line(text, "penstock_attempt_duration_seconds_bucket{le=\"1.048576\"} 1");
	assert_line(text, "penstock_attempt_duration_seconds_bucket{le=\"1.572864\"} 2");
	assert_line(text, "penstock_attempt_duration_seconds_bucket{le=\"100.663296\"} 2");
	assert_line(text, "penstock_attempt_duration_seconds_bucket{le=\"+Inf\"} 3");
	assert_line(text, "penstock_attempt_duration_seconds_sum 201.500001");
	assert_line(text, "penstock_attempt_duration_seconds_count 3");
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
	metrics_cells_free(cells);
}

static void test_seconds_are_written_exactly(void **state)
{
	(void)state;
	char text[256] = { 0 };
	struct writer writer = writer_of(text, sizeof text - 1);
	const struct metrics_page page = { .writer = &writer, .format = METRICS_FORMAT_TEXT };
	const struct metrics_label label = { "worker", "0" };
	metrics_expose_family(&page, "x_seconds", METRICS_TYPE_GAUGE, "worker", "a\\b\n\"c\"");
	metrics_expose_seconds(&page, "x_seconds", &label, 1000020);
	metrics_expose_seconds(&page, "x_seconds", NULL, 3000000);
	assert_string_equal(text,
		"# HELP x_seconds a\\\\b\\n\"c\"\n# TYPE x_seconds gauge\n"
		"x_seconds{worker=\"0\"} 1.00002\nx_seconds 3\n");
}

/* ---- OpenMetrics ----------------------------------------------------------------------------- */

/* The family of a counter has no suffix, a unit is named, and the page says where it ends. */
static void test_openmetrics_families(void **state)
{
	(void)state;
	struct metrics *cells = metrics_cells_create();
	metrics_add(cells, METRICS_REQUESTS, 3);
	metrics_endpoint_add(cells, metrics_endpoint_slot("om"), METRICS_ENDPOINT_BYTES, 7);

	char *text = exposition_as(METRICS_FORMAT_OPENMETRICS);
	assert_line(text, "# TYPE penstock_requests counter");
	assert_line(text, "penstock_requests_total 3");
	assert_line(text, "# UNIT penstock_events_accepted_bytes bytes");
	assert_line(text, "penstock_events_accepted_bytes_total{endpoint=\"om\"} 7");
	assert_line(text, "# UNIT penstock_ack_duration_seconds seconds");
	assert_line(text, "# EOF");
	assert_string_equal(text + strlen(text) - strlen("# EOF\n"), "# EOF\n");
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);

	text = exposition();
	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "# UNIT"));
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
	metrics_cells_free(cells);
}

static void observe_event(struct metrics *cells, uint64_t sequence, uint64_t value_us,
	uint64_t time_us)
{
	metrics_observe(cells, METRICS_HISTOGRAM_ACK,
		&(struct metrics_exemplar){
			.sequence = sequence,
			.shard = 9,
			.received_us = 1,
			.value_us = value_us,
			.time_us = time_us,
		});
}

/* A bucket names the latest of its events over all workers, and takes a new one only after a
 * while; also when the clock was set back. */
static void test_exemplars_name_an_event(void **state)
{
	(void)state;
	struct metrics *one = metrics_cells_create();
	struct metrics *two = metrics_cells_create();
	const uint64_t later = METRICS_EXEMPLAR_INTERVAL_US;
	observe_event(one, 5, 3, 1790000000 * later);
	observe_event(one, 6, 3, 1790000000 * later + later - 1);
	observe_event(two, 7, 100, 1790000000 * later);
	observe_event(two, 8, 3, 1790000000 * later - later);

	char *text = exposition_as(METRICS_FORMAT_OPENMETRICS);
	assert_line(text,
		"penstock_ack_duration_seconds_bucket{le=\"0.000003\"} 3 "
		"# {event_id=\"evt-9-5\"} 0.000003 1790000000");
	assert_line(text,
		"penstock_ack_duration_seconds_bucket{le=\"0.000128\"} 4 "
		"# {event_id=\"evt-9-7\"} 0.0001 1790000000");
	assert_line(text, "penstock_ack_duration_seconds_bucket{le=\"0.000004\"} 3");
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);

	observe_event(one, 10, 3, 1790000001 * later);
	observe_event(two, 11, 100, 1000 * later);
	struct metrics_histogram_sum sum;
	metrics_histogram_sum(METRICS_HISTOGRAM_ACK, &sum);
	assert_int_equal(sum.exemplars[2].sequence, 10);
	assert_int_equal(sum.exemplars[13].sequence, 11);

	text = exposition();
	assert_null(strstr(text, "evt-"));
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
	metrics_cells_free(one);
	metrics_cells_free(two);
}

static void test_accept_chooses_the_format(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		enum metrics_format format;
	} cases[] = {
		{ "", METRICS_FORMAT_TEXT },
		{ "*/*", METRICS_FORMAT_TEXT },
		{ "text/html,application/xml;q=0.9,*/*;q=0.8", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text", METRICS_FORMAT_OPENMETRICS },
		{ "Application/OpenMetrics-Text; Version=1.0.0", METRICS_FORMAT_OPENMETRICS },
		/* Prometheus 2 and 3. */
		{ "application/openmetrics-text;version=1.0.0,"
		  "application/openmetrics-text;version=0.0.1;q=0.75,"
		  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			METRICS_FORMAT_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
		  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.8,"
		  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			METRICS_FORMAT_OPENMETRICS },
		{ "application/openmetrics-text;version=0.0.1", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=0.3,text/plain;q=0.301", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=0", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=0.000", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=0.0001", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=-1", METRICS_FORMAT_TEXT },
		{ "application/openmetrics-text;q=", METRICS_FORMAT_TEXT },
		{ "xapplication/openmetrics-text", METRICS_FORMAT_TEXT },
		{ ",;,=;q,", METRICS_FORMAT_TEXT },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (metrics_format_accepted(bytes_of_text(cases[i].accept)) == cases[i].format) {
			continue;
		}
		fail_msg("Accept: %s", cases[i].accept);
	}
}

/* The reference has every family once, and no sample. */
static void test_reference_has_rows_only(void **state)
{
	(void)state;
	char *text = exposition_as(METRICS_FORMAT_REFERENCE);
	assert_line(text,
		"| `penstock_events_shed_total` | counter | endpoint | Authentic requests "
		"answered 503 because they could not be stored |");
	assert_line(text,
		"| `penstock_attempt_duration_seconds` | histogram | | Duration of delivery "
		"attempts |");
	for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
		assert_int_equal(*line, '|');
	}
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
}

enum { COUNTED = 200000 };

static void *count_on_thread(void *argument)
{
	struct metrics *cells = argument;
	for (uint64_t i = 0; i < COUNTED; i++) {
		metrics_add(cells, METRICS_HANDSHAKES, 1);
		/* Sequence and value stay the same number: a torn exemplar shows. */
		observe_event(cells, i, i, i * METRICS_EXEMPLAR_INTERVAL_US);
	}
	return NULL;
}

/* Two workers count while a third thread reads: nothing is lost and sums never fall. */
static void test_two_threads_lose_nothing(void **state)
{
	(void)state;
	struct metrics *cells[2];
	pthread_t threads[2];
	for (size_t i = 0; i < 2; i++) {
		cells[i] = metrics_cells_create();
		assert_int_equal(pthread_create(&threads[i], NULL, count_on_thread, cells[i]), 0);
	}
	uint64_t seen = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t sum = metrics_sum(METRICS_HANDSHAKES);
		assert_true(sum >= seen && sum <= 2 * COUNTED);
		seen = sum;
		struct metrics_histogram_sum read;
		metrics_histogram_sum(METRICS_HISTOGRAM_ACK, &read);
		for (unsigned j = 0; j < METRICS_BUCKETS; j++) {
			assert_true(read.exemplars[j].sequence == read.exemplars[j].value_us);
		}
	}
	for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(metrics_sum(METRICS_HANDSHAKES), 2 * COUNTED);
	struct metrics_histogram_sum sum;
	metrics_histogram_sum(METRICS_HISTOGRAM_ACK, &sum);
	assert_int_equal(sum.count, 2 * COUNTED);
	for (size_t i = 0; i < 2; i++) metrics_cells_free(cells[i]);
}

/* Names beyond the slots share "_other"; earlier ones keep theirs. Runs last: slots are for
 * ever. */
static void test_names_beyond_the_slots_share_one(void **state)
{
	(void)state;
	uint32_t early = metrics_endpoint_slot("early");
	char name[32];
	uint32_t slot = 0;
	for (unsigned i = 0; i < METRICS_SLOTS_MAX + 10; i++) {
		assert_true(snprintf(name, sizeof name, "many-%u", i) < (int)sizeof name);
		slot = metrics_endpoint_slot(name);
		assert_true(slot < METRICS_SLOTS_MAX);
	}
	assert_int_equal(slot, METRICS_SLOTS_MAX - 1);
	assert_int_equal(metrics_endpoint_slot("yet another"), METRICS_SLOTS_MAX - 1);
	assert_int_equal(metrics_endpoint_slot("early"), early);

	struct metrics *cells = metrics_cells_create();
	metrics_endpoint_add(cells, slot, METRICS_ENDPOINT_SHED, 9);
	char *text = exposition();
	assert_line(text, "penstock_events_shed_total{endpoint=\"_other\"} 9");
	alloc_unmap(text, METRICS_EXPOSE_SIZE_MAX);
	metrics_cells_free(cells);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_hold_what_falls_in_them),
		cmocka_unit_test(test_huge_durations_are_counted),
		cmocka_unit_test(test_quantiles_are_bucket_bounds),
		cmocka_unit_test(test_sums_are_over_all_cells),
		cmocka_unit_test(test_same_name_same_slot),
		cmocka_unit_test(test_exposition_has_help_type_and_labels),
		cmocka_unit_test(test_exposed_histograms_are_cumulative),
		cmocka_unit_test(test_seconds_are_written_exactly),
		cmocka_unit_test(test_openmetrics_families),
		cmocka_unit_test(test_exemplars_name_an_event),
		cmocka_unit_test(test_accept_chooses_the_format),
		cmocka_unit_test(test_reference_has_rows_only),
		cmocka_unit_test(test_two_threads_lose_nothing),
		cmocka_unit_test(test_names_beyond_the_slots_share_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

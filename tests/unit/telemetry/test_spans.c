/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring between a worker and the telemetry thread, and spans as OTLP writes them. */
#include "telemetry/spans.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"
#include "telemetry/otlp.h"

static void put(struct spans *spans, struct metrics *metrics, uint64_t sequence)
{
	struct span *span = spans_take(spans, metrics);
	assert_non_null(span);
	span->sequence = sequence;
	spans_put(spans);
}

/* A full ring takes no more, says so, and has the old ones. */
static void test_a_full_ring_loses_the_new_ones(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_cells_create();
	struct spans *spans = spans_create(0);
	assert_null(spans_peek(spans, 0));
	for (uint32_t i = 0; i < TELEMETRY_RING_SPANS; i++) put(spans, metrics, i);
	assert_null(spans_take(spans, metrics));
	assert_int_equal(metrics_sum(METRICS_SPANS_DROPPED), 1);
	assert_int_equal(metrics_sum(METRICS_SPANS), TELEMETRY_RING_SPANS);
	assert_int_equal(spans_peek(spans, 0)->sequence, 0);
	assert_int_equal(spans_peek(spans, 5)->sequence, 5);
	assert_null(spans_peek(spans, TELEMETRY_RING_SPANS));
	spans_drop(spans, 10);
	assert_int_equal(spans_peek(spans, 0)->sequence, 10);
	put(spans, metrics, TELEMETRY_RING_SPANS);
	assert_int_equal(spans_peek(spans, TELEMETRY_RING_SPANS - 10)->sequence,
		TELEMETRY_RING_SPANS);
	spans_free(spans);
	metrics_cells_free(metrics);
}

/* Taken and not put: nobody sees it. */
static void test_a_span_is_seen_when_it_is_whole(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_cells_create();
	struct spans *spans = spans_create(0);
	assert_non_null(spans_take(spans, metrics));
	assert_null(spans_peek(spans, 0));
	spans_put(spans);
	assert_non_null(spans_peek(spans, 0));
	spans_free(spans);
	metrics_cells_free(metrics);
}

static void test_the_ratio(void **state)
{
	(void)state;
	struct spans *none = spans_create(0);
	struct spans *tenth = spans_create(TELEMETRY_RATIO_ONE / 10);
	struct spans *all = spans_create(TELEMETRY_RATIO_ONE);
	unsigned sampled = 0;
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t random = i * UINT64_C(0x9E3779B97F4A7C15);
		assert_false(spans_sample(none, random));
		assert_true(spans_sample(all, random));
		sampled += spans_sample(tenth, random);
	}
	assert_in_range(sampled, 9500, 10500);
	spans_free(none);
	spans_free(tenth);
	spans_free(all);
}

enum { CARRIED = 200000 };

struct carried {
	struct spans *spans;
	struct metrics *metrics;
	uint32_t put;
};

static void *put_many(void *owner)
{
	struct carried *carried = owner;
	for (uint32_t i = 0; i < CARRIED; i++) {
		struct span *span = spans_take(carried->spans, carried->metrics);
		if (span == NULL) continue;
		span->sequence = i;
		span->received_us = ~(uint64_t)i;
		spans_put(carried->spans);
		carried->put++;
	}
	return NULL;
}

/* One thread puts while another takes: what is seen is whole and in order. */
static void test_two_threads(void **state)
{
	(void)state;
	struct carried carried = { .spans = spans_create(0), .metrics = metrics_cells_create() };
	pthread_t thread;
	uint64_t next = 0;
	uint32_t seen = 0;
	assert_int_equal(pthread_create(&thread, NULL, put_many, &carried), 0);
	for (bool joined = false;;) {
		const struct span *span = spans_peek(carried.spans, 0);
		if (span == NULL) {
			if (joined) break;
			assert_int_equal(pthread_join(thread, NULL), 0);
			joined = true;
			continue;
		}
		assert_true(span->sequence >= next);
		assert_true(span->received_us == ~span->sequence);
		next = span->sequence + 1;
		seen++;
		spans_drop(carried.spans, 1);
	}
	assert_int_equal(seen, carried.put);
	spans_free(carried.spans);
	metrics_cells_free(carried.metrics);
}

/* The largest there can be fits into its share of a body. */
static void test_the_largest_span_fits(void **state)
{
	(void)state;
	static char memory[2 * OTLP_SPAN_SIZE_MAX + OTLP_HEAD_SIZE_MAX];
	struct span span = {
		.context = { .sampled = true },
		.has_parent = true,
		.kind = SPAN_CLIENT,
		.start_us = UINT64_MAX / 1000,
		.end_us = UINT64_MAX / 1000,
		.sequence = (UINT64_C(1) << 48) - 1,
		.received_us = 1790000000000000,
		.status = 599,
		.failed = true,
		.error = "connect_timeout",
		.outcome = "delivered",
		.attempt = UINT16_MAX,
		.tls = true,
		.port = UINT16_MAX,
	};
	memset(span.name, 'n', sizeof span.name - 1);
	memset(span.place, 1, sizeof span.place - 1); /* escaped to six characters each */
	struct writer writer = writer_of(memory, sizeof memory);
	otlp_span(&writer, &span, false);
	assert_in_range(writer.size, sizeof span.place * 6, OTLP_SPAN_SIZE_MAX);

	writer.size = 0;
	char host[65];
	memset(host, 1, sizeof host - 1);
	host[sizeof host - 1] = '\0';
	otlp_begin(&writer, host);
	otlp_end(&writer);
	assert_in_range(writer.size, 1, OTLP_HEAD_SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_ring_loses_the_new_ones),
		cmocka_unit_test(test_a_span_is_seen_when_it_is_whole),
		cmocka_unit_test(test_the_ratio),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_the_largest_span_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

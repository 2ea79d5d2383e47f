/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics_expose — see the header. The tables of metrics.h become families here. */
#include "metrics/metrics_expose.h"

#include "base/check.h"
#include "base/clock.h"
#include "metrics/metrics_internal.h"

/* "\\" and "\n" are escaped everywhere, the double quote in label values only. */
static void write_escaped(struct writer *writer, const char *text, bool quote)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '\n') {
			write_text(writer, "\\n");
			continue;
		}
		if (*c == '\\' || (quote && *c == '"')) write_u8(writer, '\\');
		write_u8(writer, (uint8_t)*c);
	}
}

static void write_family(struct writer *writer, const char *name, const char *type,
	const char *help)
{
	write_text(writer, "# HELP ");
	write_text(writer, name);
	write_u8(writer, ' ');
	write_escaped(writer, help, false);
	write_text(writer, "\n# TYPE ");
	write_text(writer, name);
	write_u8(writer, ' ');
	write_text(writer, type);
	write_u8(writer, '\n');
}

static void write_name(struct writer *writer, const char *name, const struct metrics_label *labels,
	size_t label_count)
{
	write_text(writer, name);
	for (size_t i = 0; i < label_count; i++) {
		write_u8(writer, i == 0 ? '{' : ',');
		write_text(writer, labels[i].name);
		write_text(writer, "=\"");
		write_escaped(writer, labels[i].value, true);
		write_u8(writer, '"');
	}
	if (label_count > 0) write_u8(writer, '}');
	write_u8(writer, ' ');
}

/* Microseconds as decimal seconds without a float in between: nothing is rounded. */
static void write_seconds(struct writer *writer, uint64_t us)
{
	write_decimal(writer, us / US_PER_S);
	uint64_t fraction = us % US_PER_S;
	if (fraction == 0) return;
	char digits[] = ".000000";
	size_t size = sizeof digits - 1;
	for (size_t i = size - 1; i > 0; i--, fraction /= 10) {
		digits[i] = (char)('0' + fraction % 10);
	}
	while (digits[size - 1] == '0') size--;
	write_bytes(writer, bytes_of(digits, size));
}

void metrics_expose_family(struct writer *writer, const char *name, enum metrics_type type,
	const char *help)
{
	write_family(writer, name, type == METRICS_TYPE_COUNTER ? "counter" : "gauge", help);
}

void metrics_expose_sample(struct writer *writer, const char *name,
	const struct metrics_label *labels, size_t label_count, uint64_t value)
{
	write_name(writer, name, labels, label_count);
	write_decimal(writer, value);
	write_u8(writer, '\n');
}

void metrics_expose_seconds(struct writer *writer, const char *name,
	const struct metrics_label *labels, size_t label_count, uint64_t us)
{
	write_name(writer, name, labels, label_count);
	write_seconds(writer, us);
	write_u8(writer, '\n');
}

static void expose_counter(struct writer *writer, enum metrics_counter counter, const char *name,
	const char *help)
{
	write_family(writer, name, "counter", help);
	metrics_expose_sample(writer, name, NULL, 0, metrics_sum(counter));
}

static void expose_endpoints(struct writer *writer, enum metrics_endpoint counter, const char *name,
	const char *help)
{
	write_family(writer, name, "counter", help);
	for (uint32_t slot = 0; slot < METRICS_SLOTS_MAX; slot++) {
		const char *endpoint = metrics_endpoint_slot_name(slot);
		if (endpoint == NULL) continue;
		struct metrics_label label = { "endpoint", endpoint };
		metrics_expose_sample(writer, name, &label, 1, metrics_endpoint_sum(slot, counter));
	}
}

static void expose_targets(struct writer *writer, enum metrics_target counter, const char *name,
	const char *help)
{
	write_family(writer, name, "counter", help);
	for (uint32_t slot = 0; slot < METRICS_SLOTS_MAX; slot++) {
		const char *target = metrics_target_slot_name(slot);
		if (target == NULL) continue;
		struct metrics_label label = { "target", target };
		metrics_expose_sample(writer, name, &label, 1, metrics_target_sum(slot, counter));
	}
}

static void expose_histogram(struct writer *writer, enum metrics_histogram histogram,
	const char *name, const char *help)
{
	struct metrics_histogram_sum sum;
	metrics_histogram_sum(histogram, &sum);

	write_family(writer, name, "histogram", help);
	uint64_t cumulative = 0;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		cumulative += sum.buckets[i];
		write_text(writer, name);
		write_text(writer, "_bucket{le=\"");
		uint64_t bound_us = metrics_bucket_us(i);
		if (bound_us == UINT64_MAX) {
			write_text(writer, "+Inf");
		} else {
			write_seconds(writer, bound_us);
		}
		write_text(writer, "\"} ");
		write_decimal(writer, cumulative);
		write_u8(writer, '\n');
	}
	write_text(writer, name);
	write_text(writer, "_sum ");
	write_seconds(writer, sum.sum_us);
	write_u8(writer, '\n');
	write_text(writer, name);
	write_text(writer, "_count ");
	write_decimal(writer, sum.count);
	write_u8(writer, '\n');
}

void metrics_expose(struct writer *writer)
{
#define X(enumerator, name, help) expose_counter(writer, METRICS_##enumerator, name, help);
	METRICS_COUNTER_TABLE(X)
#undef X
#define X(enumerator, name, help) \
	expose_endpoints(writer, METRICS_ENDPOINT_##enumerator, name, help);
	METRICS_ENDPOINT_TABLE(X)
#undef X
#define X(enumerator, name, help) expose_targets(writer, METRICS_TARGET_##enumerator, name, help);
	METRICS_TARGET_TABLE(X)
#undef X
#define X(enumerator, name, help) \
	expose_histogram(writer, METRICS_HISTOGRAM_##enumerator, name, help);
	METRICS_HISTOGRAM_TABLE(X)
#undef X
}

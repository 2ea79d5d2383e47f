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

static const char *type_code(enum metrics_type type)
{
	switch (type) {
	case METRICS_TYPE_COUNTER: return "counter";
	case METRICS_TYPE_GAUGE: return "gauge";
	case METRICS_TYPE_HISTOGRAM: return "histogram";
	}
	UNREACHABLE();
}

static bool ends_with(struct bytes whole, struct bytes end)
{
	return whole.size > end.size && bytes_equal(bytes_from(whole, whole.size - end.size), end);
}

/* OpenMetrics: a counter's samples have the suffix "_total", its family has not. */
static struct bytes family_name(const struct metrics_page *page, const char *name,
	enum metrics_type type)
{
	struct bytes family = bytes_of_text(name);

	if (type != METRICS_TYPE_COUNTER) return family;
	CHECK(ends_with(family, BYTES_LITERAL("_total")));
	if (page->format == METRICS_FORMAT_OPENMETRICS) family.size -= strlen("_total");
	return family;
}

/* A unit is the suffix of its family's name; these two are the base units we have. */
static void write_unit(const struct metrics_page *page, struct bytes family)
{
	static const char *const units[] = { "seconds", "bytes" };

	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		if (!ends_with(family, bytes_of_text(units[i]))) continue;
		write_text(page->writer, "# UNIT ");
		write_bytes(page->writer, family);
		write_u8(page->writer, ' ');
		write_text(page->writer, units[i]);
		write_u8(page->writer, '\n');
	}
}

static void write_reference(struct writer *writer, const char *name, enum metrics_type type,
	const char *label, const char *help)
{
	write_text(writer, "| `");
	write_text(writer, name);
	write_text(writer, "` | ");
	write_text(writer, type_code(type));
	write_text(writer, " | ");
	write_text(writer, label != NULL ? label : "");
	write_text(writer, label != NULL ? " | " : "| ");
	write_text(writer, help);
	write_text(writer, " |\n");
}

void metrics_expose_family(const struct metrics_page *page, const char *name,
	enum metrics_type type, const char *label, const char *help)
{
	struct writer *writer = page->writer;
	struct bytes family = family_name(page, name, type);

	if (page->format == METRICS_FORMAT_REFERENCE) {
		write_reference(writer, name, type, label, help);
		return;
	}
	write_text(writer, "# HELP ");
	write_bytes(writer, family);
	write_u8(writer, ' ');
	write_escaped(writer, help, page->format == METRICS_FORMAT_OPENMETRICS);
	write_text(writer, "\n# TYPE ");
	write_bytes(writer, family);
	write_u8(writer, ' ');
	write_text(writer, type_code(type));
	write_u8(writer, '\n');
	if (page->format == METRICS_FORMAT_OPENMETRICS) write_unit(page, family);
}

static void write_name(struct writer *writer, const char *name, const struct metrics_label *label)
{
	write_text(writer, name);
	if (label != NULL) {
		write_u8(writer, '{');
		write_text(writer, label->name);
		write_text(writer, "=\"");
		write_escaped(writer, label->value, true);
		write_text(writer, "\"}");
	}
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

void metrics_expose_sample(const struct metrics_page *page, const char *name,
	const struct metrics_label *label, uint64_t value)
{
	if (page->format == METRICS_FORMAT_REFERENCE) return;
	write_name(page->writer, name, label);
	write_decimal(page->writer, value);
	write_u8(page->writer, '\n');
}

void metrics_expose_seconds(const struct metrics_page *page, const char *name,
	const struct metrics_label *label, uint64_t us)
{
	if (page->format == METRICS_FORMAT_REFERENCE) return;
	write_name(page->writer, name, label);
	write_seconds(page->writer, us);
	write_u8(page->writer, '\n');
}

void metrics_expose_end(const struct metrics_page *page)
{
	if (page->format == METRICS_FORMAT_OPENMETRICS) write_text(page->writer, "# EOF\n");
}

/* ---- What metrics.h counts ------------------------------------------------------------------- */

static void expose_counter(const struct metrics_page *page, enum metrics_counter counter,
	const char *name, const char *help)
{
	metrics_expose_family(page, name, METRICS_TYPE_COUNTER, NULL, help);
	metrics_expose_sample(page, name, NULL, metrics_sum(counter));
}

static void expose_endpoints(const struct metrics_page *page, enum metrics_endpoint counter,
	const char *name, const char *help)
{
	metrics_expose_family(page, name, METRICS_TYPE_COUNTER, "endpoint", help);
	for (uint32_t slot = 0; slot < METRICS_SLOTS_MAX; slot++) {
		const char *endpoint = metrics_endpoint_slot_name(slot);
		if (endpoint == NULL) continue;
		struct metrics_label label = { "endpoint", endpoint };
		metrics_expose_sample(page, name, &label, metrics_endpoint_sum(slot, counter));
	}
}

static void expose_targets(const struct metrics_page *page, enum metrics_target counter,
	const char *name, const char *help)
{
	metrics_expose_family(page, name, METRICS_TYPE_COUNTER, "target", help);
	for (uint32_t slot = 0; slot < METRICS_SLOTS_MAX; slot++) {
		const char *target = metrics_target_slot_name(slot);
		if (target == NULL) continue;
		struct metrics_label label = { "target", target };
		metrics_expose_sample(page, name, &label, metrics_target_sum(slot, counter));
	}
}

/* ` # {event_id="evt_…"} 0.004 1790000000.25` behind a bucket's sample. */
static void write_exemplar(const struct metrics_page *page, const struct metrics_exemplar *exemplar)
{
	char id[METRICS_EVENT_ID_SIZE];

	if (page->format != METRICS_FORMAT_OPENMETRICS || page->event_id == NULL) return;
	if (exemplar->received_us == 0) return;
	page->event_id(exemplar, id);
	write_text(page->writer, " # {event_id=\"");
	write_escaped(page->writer, id, true);
	write_text(page->writer, "\"} ");
	write_seconds(page->writer, exemplar->value_us);
	write_u8(page->writer, ' ');
	write_seconds(page->writer, exemplar->time_us);
}

static void expose_bucket(const struct metrics_page *page, const char *name, uint64_t bound_us,
	uint64_t cumulative, const struct metrics_exemplar *exemplar)
{
	struct writer *writer = page->writer;

	write_text(writer, name);
	write_text(writer, "_bucket{le=\"");
	if (bound_us == UINT64_MAX) {
		write_text(writer, "+Inf");
	} else {
		write_seconds(writer, bound_us);
	}
	write_text(writer, "\"} ");
	write_decimal(writer, cumulative);
	write_exemplar(page, exemplar);
	write_u8(writer, '\n');
}

static void expose_histogram(const struct metrics_page *page, enum metrics_histogram histogram,
	const char *name, const char *help)
{
	struct writer *writer = page->writer;
	struct metrics_histogram_sum sum;
	uint64_t cumulative = 0;

	metrics_expose_family(page, name, METRICS_TYPE_HISTOGRAM, NULL, help);
	if (page->format == METRICS_FORMAT_REFERENCE) return;
	metrics_histogram_sum(histogram, &sum);
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		cumulative += sum.buckets[i];
		expose_bucket(page, name, metrics_bucket_us(i), cumulative, &sum.exemplars[i]);
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

void metrics_expose(const struct metrics_page *page)
{
#define X(enumerator, name, help) expose_counter(page, METRICS_##enumerator, name, help);
	METRICS_COUNTER_TABLE(X)
#undef X
#define X(enumerator, name, help) expose_endpoints(page, METRICS_ENDPOINT_##enumerator, name, help);
	METRICS_ENDPOINT_TABLE(X)
#undef X
#define X(enumerator, name, help) expose_targets(page, METRICS_TARGET_##enumerator, name, help);
	METRICS_TARGET_TABLE(X)
#undef X
#define X(enumerator, name, help) \
	expose_histogram(page, METRICS_HISTOGRAM_##enumerator, name, help);
	METRICS_HISTOGRAM_TABLE(X)
#undef X
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics_expose — writes counters, histograms and the caller's gauges, in one of three forms:
 *
 *   TEXT         the Prometheus text exposition format, version 0.0.4
 *                https://prometheus.io/docs/instrumenting/exposition_formats/
 *   OPENMETRICS  OpenMetrics 1.0.0, whose histograms name an event in each bucket (exemplars)
 *                https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
 *   REFERENCE    rows of docs/metrics.md: every family, no sample
 *
 * A family is announced once, then its samples follow. Cold threads.
 */
#pragma once

#include "base/cursor.h"
#include "metrics/metrics.h"

enum metrics_format { METRICS_FORMAT_TEXT, METRICS_FORMAT_OPENMETRICS, METRICS_FORMAT_REFERENCE };

/* What a client gets that sends this Accept field: OpenMetrics when it names it, and likes it no
 * less than text. */
enum metrics_format metrics_format_accepted(struct bytes accept);
const char *metrics_content_type(enum metrics_format format);

/* Enough for all slots in use with the longest names that escape to twice their size. */
enum { METRICS_EXPOSE_SIZE_MAX = 24 * 1024 * 1024 };

enum { METRICS_EVENT_ID_SIZE = 40 };

struct metrics_page {
	struct writer *writer;
	enum metrics_format format;
	/* What the event is called, with a NUL. NULL: exemplars are left out. */
	void (*event_id)(const struct metrics_exemplar *exemplar,
		char to[static METRICS_EVENT_ID_SIZE]);
};

/* Every counter and histogram of metrics.h. */
void metrics_expose(const struct metrics_page *page);
/* After the last family. */
void metrics_expose_end(const struct metrics_page *page);

/* For the caller's own families. A counter's name ends in _total. `label` is the one its samples
 * differ in, NULL for none. */
enum metrics_type { METRICS_TYPE_COUNTER, METRICS_TYPE_GAUGE, METRICS_TYPE_HISTOGRAM };
struct metrics_label {
	const char *name;
	const char *value;
};
void metrics_expose_family(const struct metrics_page *page, const char *name,
	enum metrics_type type, const char *label, const char *help);
/* label: NULL for none. */
void metrics_expose_sample(const struct metrics_page *page, const char *name,
	const struct metrics_label *label, uint64_t value);
/* A duration or a point in time, as seconds. */
void metrics_expose_seconds(const struct metrics_page *page, const char *name,
	const struct metrics_label *label, uint64_t us);

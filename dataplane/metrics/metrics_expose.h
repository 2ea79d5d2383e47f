/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics_expose — writes counters, histograms and the caller's gauges in the Prometheus text
 * exposition format, version 0.0.4.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * A family is announced once (HELP, TYPE), then its samples follow. Cold threads.
 */
#pragma once

#include "base/cursor.h"
#include "metrics/metrics.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Enough for all slots in use with the longest names that escape to twice their size. */
enum { METRICS_EXPOSE_SIZE_MAX = 24 * 1024 * 1024 };

/* Every counter and histogram of metrics.h. */
void metrics_expose(struct writer *writer);

/* For the caller's own families. */
enum metrics_type { METRICS_TYPE_COUNTER, METRICS_TYPE_GAUGE };
struct metrics_label {
	const char *name;
	const char *value;
};
void metrics_expose_family(struct writer *writer, const char *name, enum metrics_type type,
	const char *help);
void metrics_expose_sample(struct writer *writer, const char *name,
	const struct metrics_label *labels, size_t label_count, uint64_t value);
/* A duration or a point in time, as seconds. */
void metrics_expose_seconds(struct writer *writer, const char *name,
	const struct metrics_label *labels, size_t label_count, uint64_t us);

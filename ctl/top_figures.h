/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_figures — what two samples say together: rates, shares, latencies of the time between.
 * Pure. What is not known is NAN: rates of the first sample, or after a restart of the daemon.
 */
#pragma once

#include "top_sample.h"

enum top_unit {
	TOP_UNIT_RATE,    /* per second */
	TOP_UNIT_SIZE,    /* bytes per second */
	TOP_UNIT_COUNT,   /* as of now */
	TOP_UNIT_RATIO,   /* of two rates */
	TOP_UNIT_PERCENT, /* of one CPU, or of a quota */
	TOP_UNIT_SECONDS,
};

/* A column of a list. */
struct top_column {
	const char *heading;
	const char *key; /* in JSON */
	enum top_unit unit;
	uint8_t count;   /* which of the item's counts */
	uint8_t against; /* for RATIO, and PERCENT of a quota: another one */
	bool trouble;    /* more than 0 is shown in red */
	bool backlog;    /* more than 0 is shown in yellow */
};
enum { TOP_COLUMNS_MAX = 10 };
extern const struct top_column top_columns[TOP_LIST_COUNT][TOP_COLUMNS_MAX];
/* Up to the first one without a heading. */
unsigned top_column_count(enum top_list list);
/* "ENDPOINT", and "endpoints". */
extern const char *const top_list_heading[TOP_LIST_COUNT];
extern const char *const top_list_key[TOP_LIST_COUNT];

struct top_row {
	const struct top_item *item; /* of the newer sample */
	uint32_t index;              /* as the daemon lists it */
	double cells[TOP_COLUMNS_MAX];
};

struct top_quantiles {
	uint64_t count;
	bool since_start; /* the daemon has no histogram: not of the interval */
	double p50_s;
	double p95_s;
	double p99_s;
};

struct top_figures {
	const struct top_sample *sample;
	double length_s; /* 0: there is no earlier sample */
	double rates[TOP_COUNTER_COUNT];
	struct top_quantiles latencies[TOP_LATENCY_COUNT];
	double cpu_percent;            /* of one CPU, over all workers */
	uint64_t sums[TOP_COUNTS_MAX]; /* over the workers */
	struct top_row *rows[TOP_LIST_COUNT];
};

struct top_figures *top_figures_create(void);
void top_figures_free(struct top_figures *figures);
/* `before` may be a sample that is not good, or of another run of the daemon: then nothing is
 * known of the interval. Both samples are borrowed until the next call. */
void top_figures_compute(struct top_figures *figures, const struct top_sample *now,
	const struct top_sample *before);
/* By a column, the highest first; `column` top_column_count(): by name. */
void top_figures_sort(struct top_figures *figures, enum top_list list, unsigned column);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_figures — see the header. */
#include "top_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"

const char *const top_list_heading[TOP_LIST_COUNT] = { "ENDPOINT", "TARGET", "WORKER" };
const char *const top_list_key[TOP_LIST_COUNT] = { "endpoints", "targets", "workers" };

/* Against itself: nothing to compare with. */
#define RATE(heading, key, count) \
	{ \
		heading, key, TOP_UNIT_RATE, count, count, false, false \
	}
#define BAD_RATE(heading, key, count) \
	{ \
		heading, key, TOP_UNIT_RATE, count, count, true, false \
	}
#define COUNT(heading, key, count) \
	{ \
		heading, key, TOP_UNIT_COUNT, count, count, false, false \
	}
#define DEPTH(heading, key, count) \
	{ \
		heading, key, TOP_UNIT_COUNT, count, count, false, true \
	}

const struct top_column top_columns[TOP_LIST_COUNT][TOP_COLUMNS_MAX] = {
	[TOP_ENDPOINTS] = {
		RATE("ACCEPTED/s", "accepted_per_s", TOP_ENDPOINT_ACCEPTED),
		{ "BYTES/s", "bytes_per_s", TOP_UNIT_SIZE, TOP_ENDPOINT_SIZE, TOP_ENDPOINT_SIZE,
			false, false },
		RATE("DUPL/s", "duplicate_per_s", TOP_ENDPOINT_DUPLICATE),
		BAD_RATE("REFUSED/s", "refused_per_s", TOP_ENDPOINT_REFUSED),
		BAD_RATE("SHED/s", "shed_per_s", TOP_ENDPOINT_SHED),
		{ "P99", "p99_s", TOP_UNIT_SECONDS, 0, 0, false, false },
		COUNT("ACCEPTED", "accepted", TOP_ENDPOINT_ACCEPTED),
	},
	[TOP_TARGETS] = {
		RATE("DELIVERED/s", "delivered_per_s", TOP_TARGET_DELIVERED),
		BAD_RATE("RETRY/s", "retried_per_s", TOP_TARGET_RETRIED),
		BAD_RATE("DEAD/s", "dead_per_s", TOP_TARGET_DEAD),
		DEPTH("READY", "ready", TOP_TARGET_READY),
		COUNT("BUSY", "connections_active", TOP_TARGET_BUSY),
		COUNT("IDLE", "connections_idle", TOP_TARGET_IDLE),
		{ "P99", "p99_s", TOP_UNIT_SECONDS, 0, 0, false, false },
		COUNT("DELIVERED", "delivered", TOP_TARGET_DELIVERED),
	},
	[TOP_WORKERS] = {
		{ "CPU %", "cpu_percent", TOP_UNIT_PERCENT, TOP_WORKER_CPU_US, TOP_WORKER_CPU_US,
			false, false },
		COUNT("CONNS", "connections", TOP_WORKER_CONNECTIONS),
		COUNT("REQS", "requests", TOP_WORKER_REQUESTS),
		COUNT("SENDING", "attempts", TOP_WORKER_ATTEMPTS),
		DEPTH("READY", "ready", TOP_WORKER_READY),
		DEPTH("BACKLOG", "backlog", TOP_WORKER_BACKLOG),
		RATE("COMMITS/s", "commits_per_s", TOP_WORKER_COMMITS),
		{ "JOBS/C", "jobs_per_commit", TOP_UNIT_RATIO, TOP_WORKER_JOBS, TOP_WORKER_COMMITS,
			false, false },
		{ "STORE %", "store_percent", TOP_UNIT_PERCENT, TOP_WORKER_STORE_USED,
			TOP_WORKER_STORE_QUOTA, false, false },
	},
};

unsigned top_column_count(enum top_list list)
{
	unsigned count = 0;
	while (count < TOP_COLUMNS_MAX && top_columns[list][count].heading != NULL) count++;
	return count;
}

struct top_figures *top_figures_create(void)
{
	struct top_figures *figures = alloc_array(1, sizeof *figures);
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) {
		figures->rows[i] = alloc_array(TOP_ITEMS_MAX, sizeof *figures->rows[i]);
	}
	return figures;
}

void top_figures_free(struct top_figures *figures)
{
	if (figures == NULL) return;
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) alloc_free(figures->rows[i]);
	alloc_free(figures);
}

/* ---- Cells ----------------------------------------------------------------------------------- */

/* A counter that went back is one that was begun anew: its name came and went with a reload. */
static double grown(uint64_t now, uint64_t before)
{
	return now >= before ? (double)(now - before) : NAN;
}

static double cell(const struct top_figures *figures, const struct top_column *column,
	const struct top_item *now, const struct top_item *before)
{
	static const struct top_histogram none;
	uint64_t count = now->counts[column->count];
	bool shared = column->count != column->against;
	double delta = before == NULL ? NAN : grown(count, before->counts[column->count]);

	switch (column->unit) {
	case TOP_UNIT_RATE:
	case TOP_UNIT_SIZE: return delta / figures->length_s;
	case TOP_UNIT_COUNT: return (double)count;
	case TOP_UNIT_RATIO:
		if (before == NULL) return NAN;
		/* 0/0 is not known either. */
		return delta / grown(now->counts[column->against], before->counts[column->against]);
	case TOP_UNIT_PERCENT:
		if (!shared) return 100 * delta / US_PER_S / figures->length_s;
		return 100 * (double)count / (double)now->counts[column->against];
	case TOP_UNIT_SECONDS:
		return top_histogram_quantile(&now->latency,
			before != NULL ? &before->latency : &none, 0.99);
	}
	UNREACHABLE();
}

/* Where it was before, or nowhere: a reload may have moved it, then it is not known for once. */
static const struct top_item *item_before(const struct top_sample *before, enum top_list list,
	uint32_t index, const struct top_item *item)
{
	if (before == NULL || index >= before->counts[list]) return NULL;
	const struct top_item *same = &before->items[list][index];
	return strcmp(same->name, item->name) == 0 ? same : NULL;
}

static void compute_rows(struct top_figures *figures, const struct top_sample *now,
	const struct top_sample *before, enum top_list list)
{
	unsigned columns = top_column_count(list);
	for (uint32_t i = 0; i < now->counts[list]; i++) {
		struct top_row *row = &figures->rows[list][i];
		*row = (struct top_row){ .item = &now->items[list][i], .index = i };
		const struct top_item *earlier = item_before(before, list, i, row->item);
		for (unsigned j = 0; j < columns; j++) {
			row->cells[j] = cell(figures, &top_columns[list][j], row->item, earlier);
			if (isinf(row->cells[j])) row->cells[j] = NAN;
		}
	}
}

/* ---- Over everything ------------------------------------------------------------------------- */

static double summary_s(uint64_t us)
{
	return us == UINT64_MAX ? INFINITY : (double)us / US_PER_S;
}

static void compute_latencies(struct top_figures *figures, const struct top_sample *now,
	const struct top_sample *before)
{
	static const struct top_histogram none;
	for (size_t i = 0; i < TOP_LATENCY_COUNT; i++) {
		const struct top_histogram *later = &now->latencies[i];
		const struct top_histogram *earlier = before != NULL ? &before->latencies[i]
								     : &none;
		struct top_quantiles *ret = &figures->latencies[i];
		if (later->count > 0) {
			*ret = (struct top_quantiles){
				.count = top_histogram_count(later, earlier),
				.since_start = before == NULL,
				.p50_s = top_histogram_quantile(later, earlier, 0.50),
				.p95_s = top_histogram_quantile(later, earlier, 0.95),
				.p99_s = top_histogram_quantile(later, earlier, 0.99),
			};
			continue;
		}
		bool some = now->summaries[i].count > 0;
		*ret = (struct top_quantiles){
			.count = now->summaries[i].count,
			.since_start = true,
			.p50_s = some ? summary_s(now->summaries[i].p50_us) : NAN,
			.p95_s = some ? summary_s(now->summaries[i].p95_us) : NAN,
			.p99_s = some ? summary_s(now->summaries[i].p99_us) : NAN,
		};
	}
}

static void compute_sums(struct top_figures *figures, const struct top_sample *now,
	const struct top_sample *before)
{
	uint64_t cpu_us = 0;
	memset(figures->sums, 0, sizeof figures->sums);
	for (uint32_t i = 0; i < now->counts[TOP_WORKERS]; i++) {
		for (unsigned j = 0; j < TOP_WORKER_COUNT; j++) {
			figures->sums[j] += now->items[TOP_WORKERS][i].counts[j];
		}
	}
	for (uint32_t i = 0; before != NULL && i < before->counts[TOP_WORKERS]; i++) {
		cpu_us += before->items[TOP_WORKERS][i].counts[TOP_WORKER_CPU_US];
	}
	figures->cpu_percent = before == NULL
		? NAN
		: 100 * grown(figures->sums[TOP_WORKER_CPU_US], cpu_us) / US_PER_S /
			figures->length_s;
}

void top_figures_compute(struct top_figures *figures, const struct top_sample *now,
	const struct top_sample *before)
{
	bool comparable = before != NULL && before->good && before->started_us == now->started_us &&
		before->mono_us < now->mono_us;
	if (!comparable) before = NULL;
	figures->sample = now;
	figures->length_s = comparable ? (double)(now->mono_us - before->mono_us) / US_PER_S : 0;
	for (size_t i = 0; i < TOP_COUNTER_COUNT; i++) {
		figures->rates[i] = comparable
			? grown(now->counters[i], before->counters[i]) / figures->length_s
			: NAN;
	}
	compute_latencies(figures, now, before);
	compute_sums(figures, now, before);
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) {
		compute_rows(figures, now, before, (enum top_list)i);
	}
}

/* ---- Sorting --------------------------------------------------------------------------------- */

struct order {
	unsigned column;
	bool by_name;
	bool by_index;
};

static int compare(const void *left, const void *right, void *owner)
{
	const struct top_row *a = left;
	const struct top_row *b = right;
	const struct order *order = owner;
	int indexes = (a->index > b->index) - (a->index < b->index);
	if (order->by_index) return indexes;
	if (order->by_name) {
		int names = strcmp(a->item->name, b->item->name);
		return names != 0 ? names : indexes;
	}
	/* What is not known comes last; equal ones keep their places. */
	double x = isnan(a->cells[order->column]) ? -1 : a->cells[order->column];
	double y = isnan(b->cells[order->column]) ? -1 : b->cells[order->column];
	if (x != y) return x > y ? -1 : 1;
	return indexes;
}

void top_figures_sort(struct top_figures *figures, enum top_list list, unsigned column)
{
	bool by_name = column >= top_column_count(list);
	/* A worker's name is its number. */
	struct order order = { column, by_name, by_name && list == TOP_WORKERS };
	qsort_r(figures->rows[list], figures->sample->counts[list], sizeof figures->rows[list][0],
		compare, &order);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_json — see the header. */
#include "top_json.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <yyjson.h>

#include "base/check.h"
#include "base/clock.h"

struct json {
	yyjson_mut_doc *document;
	yyjson_mut_val *object; /* being filled */
};

static void add(struct json *json, const char *key, yyjson_mut_val *value)
{
	CHECK(yyjson_mut_obj_add_val(json->document, json->object, key, value));
}

static void add_real(struct json *json, const char *key, double value)
{
	/* To the microsecond, or a tenth of what is counted: more digits are noise. */
	add(json, key,
		isfinite(value) ? yyjson_mut_real(json->document, round(value * 1e6) / 1e6)
				: yyjson_mut_null(json->document));
}

static void add_count(struct json *json, const char *key, uint64_t value)
{
	add(json, key, yyjson_mut_uint(json->document, value));
}

/* A copy: the document may outlive the text. */
static void add_text(struct json *json, const char *key, const char *text)
{
	add(json, key, yyjson_mut_strcpy(json->document, text));
}

static struct json child(struct json *json, const char *key)
{
	struct json inner = { json->document, yyjson_mut_obj(json->document) };
	add(json, key, inner.object);
	return inner;
}

static void add_time(struct json *json, const char *key, uint64_t us)
{
	time_t seconds = (time_t)(us / US_PER_S);
	struct tm tm;
	char text[40] = "";
	if (gmtime_r(&seconds, &tm) == NULL) return;
	size_t size = strftime(text, sizeof text, "%FT%T", &tm);
	snprintf(text + size, sizeof text - size, ".%06uZ", (unsigned)(us % US_PER_S));
	add_text(json, key, text);
}

static void add_rates(struct json *root, const struct top_figures *figures)
{
	static const char *const keys[] = {
		[TOP_ACCEPTED] = "accepted_per_s",
		[TOP_DUPLICATE] = "duplicate_per_s",
		[TOP_REFUSED] = "refused_per_s",
		[TOP_SHED] = "shed_per_s",
		[TOP_DELIVERED] = "delivered_per_s",
		[TOP_RETRIED] = "retried_per_s",
		[TOP_DEAD] = "dead_per_s",
	};
	BOUND(ARRAY_COUNT(keys) == TOP_COUNTER_COUNT);
	struct json json = child(root, "rates");
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) add_real(&json, keys[i], figures->rates[i]);
}

static void add_latencies(struct json *root, const struct top_figures *figures)
{
	static const char *const keys[] = {
#define X(name, key, metric, text) [TOP_LATENCY_##name] = key,
		TOP_LATENCY_TABLE(X)
#undef X
	};
	struct json json = child(root, "latencies");
	for (size_t i = 0; i < TOP_LATENCY_COUNT; i++) {
		const struct top_quantiles *row = &figures->latencies[i];
		struct json one = child(&json, keys[i]);
		add_count(&one, "count", row->count);
		add(&one, "since_start", yyjson_mut_bool(json.document, row->since_start));
		add_real(&one, "p50_s", row->p50_s);
		add_real(&one, "p95_s", row->p95_s);
		add_real(&one, "p99_s", row->p99_s);
	}
}

static void add_queue(struct json *root, const struct top_figures *figures)
{
	struct json json = child(root, "queue");
	add_count(&json, "outstanding", figures->sample->outstanding);
	add_count(&json, "ready", figures->sums[TOP_WORKER_READY]);
	add_count(&json, "sending", figures->sums[TOP_WORKER_LEASED]);
	add_count(&json, "backlog", figures->sums[TOP_WORKER_BACKLOG]);
	add_count(&json, "dead_letters", figures->sample->dead_letters);
}

static void add_list(struct json *root, const struct top_figures *figures, enum top_list list)
{
	yyjson_mut_val *array = yyjson_mut_arr(root->document);
	add(root, top_list_key[list], array);
	for (uint32_t i = 0; i < figures->sample->counts[list]; i++) {
		const struct top_row *row = &figures->rows[list][i];
		struct json json = { root->document, yyjson_mut_obj(root->document) };
		CHECK(yyjson_mut_arr_append(array, json.object));
		add_text(&json, "name", row->item->name);
		for (unsigned j = 0; j < top_column_count(list); j++) {
			const struct top_column *column = &top_columns[list][j];
			if (column->unit == TOP_UNIT_COUNT) {
				add_count(&json, column->key, row->item->counts[column->count]);
			} else {
				add_real(&json, column->key, row->cells[j]);
			}
		}
		if (list == TOP_TARGETS) add_text(&json, "last_error", row->item->note);
	}
}

void top_json_line(const struct top_figures *figures, FILE *file)
{
	struct json root = { .document = yyjson_mut_doc_new(NULL) };
	root.object = yyjson_mut_obj(root.document);
	yyjson_mut_doc_set_root(root.document, root.object);
	const struct top_sample *sample = figures->sample;
	add_text(&root, "schema", "penstock.top/v1");
	add_time(&root, "time", sample->now_us);
	add_text(&root, "state", sample->state);
	add_count(&root, "generation", sample->generation);
	add_real(&root, "interval_s", figures->length_s);
	add_rates(&root, figures);
	add_latencies(&root, figures);
	add_queue(&root, figures);
	add_real(&root, "cpu_percent", figures->cpu_percent);
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) add_list(&root, figures, (enum top_list)i);

	char *text = yyjson_mut_write(root.document, 0, NULL);
	CHECK(text != NULL);
	fprintf(file, "%s\n", text);
	free(text); /* yyjson's */
	yyjson_mut_doc_free(root.document);
}

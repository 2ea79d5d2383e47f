/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_sample — see the header. */
#include "top_sample.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "base/alloc.h"
#include "base/clock.h"

struct top_sample *top_sample_create(void)
{
	struct top_sample *sample = alloc_array(1, sizeof *sample);
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) {
		sample->items[i] = alloc_array(TOP_ITEMS_MAX, sizeof *sample->items[i]);
	}
	return sample;
}

void top_sample_free(struct top_sample *sample)
{
	if (sample == NULL) return;
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) alloc_free(sample->items[i]);
	alloc_free(sample);
}

static void sample_clear(struct top_sample *sample)
{
	struct top_item *items[TOP_LIST_COUNT];
	memcpy(items, sample->items, sizeof items);
	memset(sample, 0, sizeof *sample);
	memcpy(sample->items, items, sizeof items);
}

static struct top_item *item_add(struct top_sample *sample, enum top_list list)
{
	if (sample->counts[list] == TOP_ITEMS_MAX) return NULL;
	struct top_item *item = &sample->items[list][sample->counts[list]++];
	memset(item, 0, sizeof *item);
	return item;
}

/* ---- From JSON ------------------------------------------------------------------------------- */

static void take_worker(struct top_sample *sample, yyjson_val *worker)
{
	struct top_item *item = item_add(sample, TOP_WORKERS);
	yyjson_val *queue = member(worker, "queue");
	yyjson_val *store = member(worker, "store");
	if (item == NULL) return;

	unsigned number = (unsigned)member_number(worker, "worker");
	if (yyjson_is_null(member(worker, "cpu"))) {
		snprintf(item->name, sizeof item->name, "%u", number);
	} else {
		snprintf(item->name, sizeof item->name, "%u on CPU %u", number,
			(unsigned)member_number(worker, "cpu"));
	}
	uint64_t *counts = item->counts;
	counts[TOP_WORKER_CONNECTIONS] = member_number(worker, "connections");
	counts[TOP_WORKER_REQUESTS] = member_number(worker, "requests");
	counts[TOP_WORKER_ATTEMPTS] = member_number(worker, "deliveries");
	counts[TOP_WORKER_READY] = member_number(queue, "ready");
	counts[TOP_WORKER_LEASED] = member_number(queue, "leased");
	counts[TOP_WORKER_BACKLOG] = member_number(queue, "backlog");
	counts[TOP_WORKER_COMMITS] = member_number(store, "commits");
	counts[TOP_WORKER_JOBS] = member_number(store, "jobs");
	counts[TOP_WORKER_CPU_US] = member_number(worker, "cpu_us") +
		member_number(store, "cpu_us");
	counts[TOP_WORKER_STORE_USED] = member_number(store, "used_size");
	counts[TOP_WORKER_STORE_QUOTA] = member_number(store, "quota_size");
}

static void take_summaries(struct top_sample *sample, yyjson_val *latencies)
{
	static const char *const keys[] = {
#define X(name, key, metric, text) [TOP_LATENCY_##name] = key,
		TOP_LATENCY_TABLE(X)
#undef X
	};
	for (size_t i = 0; i < TOP_LATENCY_COUNT; i++) {
		yyjson_val *row = member(latencies, keys[i]);
		sample->summaries[i].count = member_number(row, "count");
		sample->summaries[i].p50_us = member_number(row, "p50_us");
		sample->summaries[i].p95_us = member_number(row, "p95_us");
		sample->summaries[i].p99_us = member_number(row, "p99_us");
	}
}

static void take_status(struct top_sample *sample, yyjson_val *status)
{
	yyjson_val *totals = member(status, "totals");
	snprintf(sample->state, sizeof sample->state, "%s", member_text(status, "state"));
	snprintf(sample->version, sizeof sample->version, "%s", member_text(status, "version"));
	sample->now_us = member_time(status, "now");
	sample->started_us = member_time(status, "started");
	sample->generation = member_number(member(status, "config"), "generation");
	sample->reload_ok = member_bool(status, "reload_ok");
	sample->outstanding = member_number(totals, "deliveries_outstanding");
	sample->dead_letters = member_number(totals, "deliveries_dead");
	take_summaries(sample, member(status, "latencies"));

	yyjson_val *workers = member(status, "workers");
	yyjson_val *worker;
	size_t index;
	size_t max;
	yyjson_arr_foreach(workers, index, max, worker) take_worker(sample, worker);
	sample->totals[TOP_WORKERS] = yyjson_arr_size(workers);
}

static void take_endpoint(struct top_item *item, yyjson_val *row)
{
	yyjson_val *counters = member(row, "counters");
	item->counts[TOP_ENDPOINT_ACCEPTED] = member_number(counters, "accepted");
	item->counts[TOP_ENDPOINT_SIZE] = member_number(counters, "accepted_bytes");
	item->counts[TOP_ENDPOINT_DUPLICATE] = member_number(counters, "duplicate");
	item->counts[TOP_ENDPOINT_REFUSED] = member_number(counters, "refused_signature") +
		member_number(counters, "refused_timestamp") +
		member_number(counters, "refused_conflict") +
		member_number(counters, "refused_size");
	item->counts[TOP_ENDPOINT_SHED] = member_number(counters, "shed");
}

static void take_target(struct top_item *item, yyjson_val *row)
{
	yyjson_val *counters = member(row, "counters");
	item->counts[TOP_TARGET_ATTEMPTS] = member_number(counters, "attempts");
	item->counts[TOP_TARGET_DELIVERED] = member_number(counters, "delivered");
	item->counts[TOP_TARGET_RETRIED] = member_number(counters, "retried");
	item->counts[TOP_TARGET_DEAD] = member_number(counters, "dead");
	item->counts[TOP_TARGET_BUSY] = member_number(row, "connections_active");
	item->counts[TOP_TARGET_IDLE] = member_number(row, "connections_idle");
	item->counts[TOP_TARGET_READY] = member_number(row, "ready");
	snprintf(item->note, sizeof item->note, "%s", member_text(row, "last_error"));
}

static void take_page(struct top_sample *sample, enum top_list list, yyjson_val *page)
{
	bool endpoints = list == TOP_ENDPOINTS;
	yyjson_val *row;
	size_t index;
	size_t max;
	sample->totals[list] = member_number(page, "count");
	yyjson_arr_foreach(member(page, endpoints ? "endpoints" : "targets"), index, max, row)
	{
		struct top_item *item = item_add(sample, list);
		if (item == NULL) return;
		snprintf(item->name, sizeof item->name, "%s", member_text(row, "name"));
		if (endpoints) {
			take_endpoint(item, row);
		} else {
			take_target(item, row);
		}
	}
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void take_problem(struct top_sample *sample, const struct client_answer *answer)
{
	yyjson_doc *document = answer->is_json
		? yyjson_read((const char *)answer->body.data, answer->body.size, 0)
		: NULL;
	yyjson_val *problem = yyjson_doc_get_root(document);
	sample->exit_code = answer->exit_code != EX_OK ? answer->exit_code : EX_PROTOCOL;
	snprintf(sample->problem, sizeof sample->problem, "%s: %s",
		member_text_or(problem, "title", "The answer cannot be read"),
		member_text_or(problem, "detail", "no explanation came with it"));
	snprintf(sample->code, sizeof sample->code, "%s",
		member_text_or(problem, "code", "unexplained"));
	snprintf(sample->fix, sizeof sample->fix, "%s", member_text(problem, "fix"));
	yyjson_doc_free(document);
}

/* The document, or NULL with the problem noted. The caller frees both. */
static yyjson_doc *ask(struct top_sample *sample, const struct invocation *invocation,
	const char *path, struct client_answer *ret)
{
	*ret = client_ask(invocation, "GET", path, NULL, NULL);
	yyjson_doc *document = ret->exit_code == EX_OK
		? yyjson_read((const char *)ret->body.data, ret->body.size, 0)
		: NULL;
	if (document == NULL) take_problem(sample, ret);
	return document;
}

static bool ask_status(struct top_sample *sample, const struct invocation *invocation)
{
	struct client_answer answer;
	yyjson_doc *document = ask(sample, invocation, CONTROL_API "/status", &answer);
	if (document != NULL) take_status(sample, yyjson_doc_get_root(document));
	bool good = document != NULL;
	yyjson_doc_free(document);
	client_answer_free(&answer);
	return good;
}

static bool ask_page(struct top_sample *sample, const struct invocation *invocation,
	enum top_list list)
{
	char path[64];
	struct client_answer answer;
	snprintf(path, sizeof path, CONTROL_API "/%s?limit=%u",
		list == TOP_ENDPOINTS ? "endpoints" : "targets", TOP_ITEMS_MAX);
	yyjson_doc *document = ask(sample, invocation, path, &answer);
	if (document != NULL) take_page(sample, list, yyjson_doc_get_root(document));
	bool good = document != NULL;
	yyjson_doc_free(document);
	client_answer_free(&answer);
	return good;
}

static bool ask_metrics(struct top_sample *sample, const struct invocation *invocation)
{
	struct client_answer answer = client_ask(invocation, "GET", "/metrics", NULL, NULL);
	bool good = answer.exit_code == EX_OK;
	if (good) {
		top_sample_metrics(sample, answer.body);
	} else {
		take_problem(sample, &answer);
	}
	client_answer_free(&answer);
	return good;
}

void top_sample_take(struct top_sample *sample, const struct invocation *invocation)
{
	struct timespec now;
	sample_clear(sample);
	sample->good = ask_status(sample, invocation) &&
		ask_page(sample, invocation, TOP_ENDPOINTS) &&
		ask_page(sample, invocation, TOP_TARGETS);
	/* The rates are those of the metrics, so the time is theirs. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	sample->mono_us = (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
	sample->good = sample->good && ask_metrics(sample, invocation);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_status — how the daemon is, on one screen. */
#include <inttypes.h>
#include <stdio.h>

#include "answer.h"
#include "units.h"

struct texts {
	char a[UNITS_TEXT_SIZE];
	char b[UNITS_TEXT_SIZE];
	char c[UNITS_TEXT_SIZE];
	char d[UNITS_TEXT_SIZE];
};

static void print_head(const struct invocation *invocation, yyjson_val *status)
{
	struct texts texts;
	const char *state = member_text(status, "state");
	uint64_t started = member_time(status, "started");
	uint64_t now = member_time(status, "now");
	printf("penstockd %s is %s%s%s, up %s\n", member_text(status, "version"),
		table_colour_code(invocation->colour, state_colour(state)), state,
		table_colour_code(invocation->colour, TABLE_PLAIN),
		units_duration(now > started ? now - started : 0, texts.a));

	yyjson_val *config = member(status, "config");
	if (member(config, "generation") != NULL) {
		printf("configuration  generation %" PRIu64 ", %s, %s endpoints, %s targets\n",
			member_number(config, "generation"), member_text(config, "path"),
			units_number(member_number(config, "endpoints"), texts.a),
			units_number(member_number(config, "targets"), texts.b));
	}
	if (!member_bool(status, "reload_ok")) {
		printf("               %sthe last reload was refused%s at %s\n",
			table_colour_code(invocation->colour, TABLE_RED),
			table_colour_code(invocation->colour, TABLE_PLAIN),
			units_time(member_time(status, "reload_time"), false, texts.a));
	}
	uint64_t unlocked = member_number(status, "secrets_unlocked_size");
	if (unlocked > 0) {
		printf("secrets        %s%s not locked in memory%s (raise RLIMIT_MEMLOCK)\n",
			table_colour_code(invocation->colour, TABLE_YELLOW),
			units_size(unlocked, texts.a),
			table_colour_code(invocation->colour, TABLE_PLAIN));
	}
}

static void print_totals(const struct invocation *invocation, yyjson_val *status)
{
	struct texts texts;
	yyjson_val *totals = member(status, "totals");
	uint64_t dead = member_number(totals, "deliveries_dead");
	printf("events         %s accepted, %s expired, %s in the audit log\n",
		units_number(member_number(totals, "events_accepted"), texts.a),
		units_number(member_number(totals, "events_expired"), texts.b),
		units_number(member_number(totals, "audit_leaves"), texts.c));
	printf("deliveries     %s delivered, %s outstanding, %s%s dead%s, %s attempts\n",
		units_number(member_number(totals, "deliveries_delivered"), texts.a),
		units_number(member_number(totals, "deliveries_outstanding"), texts.b),
		dead > 0 ? table_colour_code(invocation->colour, TABLE_RED) : "",
		units_number(dead, texts.c),
		dead > 0 ? table_colour_code(invocation->colour, TABLE_PLAIN) : "",
		units_number(member_number(totals, "attempts"), texts.d));
	yyjson_val *replay = member(status, "replay");
	printf("replay memory  %s of %s entries\n",
		units_number(member_number(replay, "used_count"), texts.a),
		units_number(member_number(replay, "entries_max"), texts.b));
}

/* A quantile beyond the last bucket has no bound. */
static const char *latency(yyjson_val *row, const char *key, char text[static UNITS_TEXT_SIZE])
{
	uint64_t us = member_number(row, key);
	return us == UINT64_MAX ? "more" : units_duration(us, text);
}

static void print_latencies(const struct invocation *invocation, yyjson_val *status)
{
	static const struct {
		const char *key;
		const char *name;
	} rows[] = {
		{ "ack", "request to answer" },
		{ "commit", "commit" },
		{ "dwell", "acceptance to attempt" },
		{ "attempt", "attempt" },
	};
	struct table *table = table_create("LATENCY|>P50|>P95|>P99|>COUNT", invocation->colour);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct texts texts;
		yyjson_val *row = member(member(status, "latencies"), rows[i].key);
		if (member_number(row, "count") == 0) continue;
		table_cell(table, TABLE_PLAIN, "%s", rows[i].name);
		table_cell(table, TABLE_PLAIN, "%s", latency(row, "p50_us", texts.a));
		table_cell(table, TABLE_PLAIN, "%s", latency(row, "p95_us", texts.b));
		table_cell(table, TABLE_PLAIN, "%s", latency(row, "p99_us", texts.c));
		table_cell(table, TABLE_PLAIN, "%s",
			units_number(member_number(row, "count"), texts.d));
		table_row_end(table);
	}
	if (table_row_count(table) > 0) putchar('\n');
	table_print(table, stdout);
	table_free(table);
}

static void print_worker(struct table *table, yyjson_val *worker)
{
	struct texts texts;
	yyjson_val *queue = member(worker, "queue");
	yyjson_val *store = member(worker, "store");
	table_cell(table, TABLE_PLAIN, "%" PRIu64, member_number(worker, "worker"));
	if (yyjson_is_null(member(worker, "cpu"))) {
		table_cell(table, TABLE_DIM, "any");
	} else {
		table_cell(table, TABLE_PLAIN, "%" PRIu64, member_number(worker, "cpu"));
	}
	table_cell(table, TABLE_PLAIN, "%s",
		units_number(member_number(worker, "connections"), texts.a));
	table_cell(table, TABLE_PLAIN, "%s",
		units_number(member_number(worker, "requests"), texts.a));
	table_cell(table, TABLE_PLAIN, "%s",
		units_number(member_number(worker, "deliveries"), texts.a));
	table_cell(table, TABLE_PLAIN, "%s", units_number(member_number(queue, "ready"), texts.a));
	table_cell(table, TABLE_PLAIN, "%s",
		units_number(member_number(queue, "backlog"), texts.a));
	uint64_t commits = member_number(store, "commits");
	table_cell(table, TABLE_PLAIN, "%s", units_number(commits, texts.a));
	double jobs = (double)member_number(store, "jobs");
	table_cell(table, TABLE_PLAIN, "%.1f", commits > 0 ? jobs / (double)commits : 0.0);
	table_cell(table, member_bool(store, "has_room") ? TABLE_PLAIN : TABLE_RED, "%s of %s",
		units_size(member_number(store, "used_size"), texts.a),
		units_size(member_number(store, "quota_size"), texts.b));
	table_cell(table, TABLE_PLAIN, "%s",
		units_duration(member_number(worker, "cpu_us") + member_number(store, "cpu_us"),
			texts.a));
	table_row_end(table);
}

int command_status(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/status");
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		print_head(invocation, answer.root);
		print_totals(invocation, answer.root);
		print_latencies(invocation, answer.root);
		struct table *table =
			table_create(">WORKER|>CPU|>CONNECTIONS|>REQUESTS|>ATTEMPTS|"
				     ">READY|>BACKLOG|>COMMITS|>JOBS/COMMIT|>STORE|>CPU TIME",
				invocation->colour);
		yyjson_val *worker;
		size_t index;
		size_t max;
		yyjson_arr_foreach(member(answer.root, "workers"), index, max, worker)
		{
			print_worker(table, worker);
		}
		putchar('\n');
		table_print(table, stdout);
		table_free(table);
	}
	answer_free(&answer);
	return exit_code;
}

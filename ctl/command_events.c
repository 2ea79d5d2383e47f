/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_events — events: the list, one event's life, its attempts, its payload. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "pages.h"
#include "problem.h"
#include "units.h"

/* ---- The list -------------------------------------------------------------------------------- */

/* "orders, audit: retry": targets by state, the worst one first. */
static enum table_colour deliveries_text(yyjson_val *list, char *text, size_t text_size)
{
	static const char *const states[] = { "dead", "retry", "pending", "delivered" };
	enum table_colour colour = TABLE_PLAIN;
	bool coloured = false;
	struct writer writer = writer_of(text, text_size - 1);
	for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
		yyjson_val *one;
		size_t index;
		size_t max;
		unsigned count = 0;
		yyjson_arr_foreach(list, index, max, one)
		{
			if (strcmp(member_text(one, "state"), states[s]) != 0) continue;
			if (count++ > 0) {
				write_text(&writer, ", ");
			} else {
				write_format(&writer, "%s%s ", writer.size > 0 ? "; " : "",
					states[s]);
			}
			write_text(&writer, member_text(one, "target"));
		}
		if (count > 0 && !coloured) {
			colour = state_colour(states[s]);
			coloured = true;
		}
	}
	text[writer.size] = '\0';
	return colour;
}

static void event_row(struct table *table, yyjson_val *row)
{
	char text[UNITS_TEXT_SIZE];
	char deliveries[240];
	enum table_colour colour =
		deliveries_text(member(row, "deliveries"), deliveries, sizeof deliveries);
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "id"));
	table_cell(table, TABLE_PLAIN, "%s", units_time(member_time(row, "received"), false, text));
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "endpoint"));
	table_cell(table, TABLE_PLAIN, "%s", member_text_or(row, "provider_event_id", "-"));
	table_cell(table, TABLE_PLAIN, "%s", units_size(member_number(row, "payload_size"), text));
	table_cell(table, colour, "%s", deliveries);
	table_row_end(table);
}

int command_events_list(const struct invocation *invocation)
{
	bool more = false;
	struct pages pages = {
		.invocation = invocation,
		.target = client_target_of(CONTROL_API "/events"),
		.rows = "events",
		.next = "next_before",
		.cursor = "before",
		.row = event_row,
	};
	if (!pages_limit(invocation, CONTROL_LIMIT_DEFAULT, &pages.limit)) return EX_USAGE;
	client_target_parameter(&pages.target, "endpoint",
		invocation_option(invocation, "endpoint"));
	client_target_parameter(&pages.target, "state", invocation_option(invocation, "state"));

	struct table *table = table_create("EVENT|RECEIVED|ENDPOINT|PROVIDER'S ID|>SIZE|DELIVERIES",
		invocation->colour);
	int exit_code = pages_show(&pages, table, &more);
	if (exit_code == EX_OK && !invocation->json) {
		table_print(table, stdout);
		if (table_row_count(table) == 0) printf("there are none\n");
		if (more) printf("… there are older ones (--limit)\n");
	}
	table_free(table);
	return exit_code;
}

/* ---- One event ------------------------------------------------------------------------------- */

static void print_field(const char *name, const char *text)
{
	if (*text == '\0') return;
	printf("  %-15s ", name);
	table_write_safe(stdout, text);
	putchar('\n');
}

static void print_facts(yyjson_val *event)
{
	char text[UNITS_TEXT_SIZE];
	table_write_safe(stdout, member_text(event, "id"));
	putchar('\n');
	print_field("endpoint", member_text(event, "endpoint"));
	print_field("provider's id", member_text(event, "provider_event_id"));
	print_field("correlation id", member_text(event, "correlation_id"));
	print_field("content type", member_text(event, "content_type"));
	print_field("size", units_size(member_number(event, "payload_size"), text));
	print_field("sha-256", member_text(event, "payload_sha256"));
	yyjson_val *field;
	size_t index;
	size_t max;
	yyjson_arr_foreach(member(event, "forward_fields"), index, max, field)
	{
		char line[512];
		snprintf(line, sizeof line, "%s: %s", member_text(field, "name"),
			member_text(field, "value"));
		print_field(index == 0 ? "forwarded" : "", line);
	}
	putchar('\n');
}

static void print_attempt(const struct invocation *invocation, yyjson_val *attempt,
	const char *margin)
{
	char time[UNITS_TEXT_SIZE];
	char duration[UNITS_TEXT_SIZE];
	const char *outcome = member_text(attempt, "outcome");
	uint64_t status = member_number(attempt, "status");
	printf("%s  #%-3" PRIu64 " %s  ", margin, member_number(attempt, "number"),
		units_time(member_time(attempt, "started"), true, time));
	fputs(table_colour_code(invocation->colour, state_colour(outcome)), stdout);
	if (status > 0) {
		printf("%" PRIu64, status);
	} else {
		table_write_safe(stdout, member_text_or(attempt, "error", "no answer"));
	}
	fputs(table_colour_code(invocation->colour, TABLE_PLAIN), stdout);
	printf(" after %s", units_duration(member_number(attempt, "duration_us"), duration));
	if (status == 0 && *member_text(attempt, "error_text") != '\0') {
		fputs(": ", stdout);
		table_write_safe(stdout, member_text(attempt, "error_text"));
	}
	const char *detail = member_text(attempt, "detail");
	if (*detail != '\0') {
		fputs(" (", stdout);
		table_write_safe(stdout, detail);
		fputc(')', stdout);
	}
	putchar('\n');
	const char *excerpt = member_text(attempt, "excerpt");
	if (*excerpt != '\0' && strcmp(outcome, "delivered") != 0) {
		printf("%s       answer: ", margin);
		table_write_safe(stdout, excerpt);
		putchar('\n');
	}
}

/* How it stands, below its attempts. */
static void print_state(const struct invocation *invocation, yyjson_val *delivery,
	uint64_t received_us, const char *margin)
{
	char text[UNITS_TEXT_SIZE];
	const char *state = member_text(delivery, "state");
	yyjson_val *last = yyjson_arr_get_last(member(delivery, "attempts"));
	printf("%s  %s%s%s", margin, table_colour_code(invocation->colour, state_colour(state)),
		state, table_colour_code(invocation->colour, TABLE_PLAIN));
	uint64_t ended_us = member_time(last, "started") + member_number(last, "duration_us");
	if (strcmp(state, "delivered") == 0 && received_us > 0 && ended_us > received_us) {
		printf(", %s after it was received", units_duration(ended_us - received_us, text));
	}
	uint64_t due_us = member_time(last, "next_due");
	if (strcmp(state, "retry") == 0 && due_us > 0) {
		printf(", next try at %s", units_time(due_us, false, text));
	}
	if (strcmp(state, "dead") == 0) printf("; see penstockctl help dlq replay");
	putchar('\n');
}

static void print_deliveries(const struct invocation *invocation, yyjson_val *event,
	uint64_t received_us)
{
	yyjson_val *list = member(event, "deliveries");
	yyjson_val *delivery;
	size_t index;
	size_t max;
	yyjson_arr_foreach(list, index, max, delivery)
	{
		bool last = index + 1 == max;
		const char *margin = last ? "  " : "│ ";
		printf("%s ", last ? "└─" : "├─");
		table_write_safe(stdout, member_text(delivery, "target"));
		putchar('\n');
		yyjson_val *attempt;
		size_t attempt_index;
		size_t attempt_max;
		yyjson_arr_foreach(member(delivery, "attempts"), attempt_index, attempt_max,
			attempt)
		{
			print_attempt(invocation, attempt, margin);
		}
		print_state(invocation, delivery, received_us, margin);
	}
}

int command_events_show(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/events");
	client_target_segment(&target, invocation->arguments[0]);
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		char text[UNITS_TEXT_SIZE];
		yyjson_val *event = answer.root;
		uint64_t received_us = member_time(event, "received");
		print_facts(event);
		printf("● %s  received, verified with the %s secret\n",
			units_time(received_us, true, text), member_text(event, "secret"));
		printf("● %*s  committed as number %" PRIu64 " of shard %" PRIu64 "\n",
			(int)table_width(text), "", member_number(event, "sequence"),
			member_number(event, "shard"));
		print_deliveries(invocation, event, received_us);
	}
	answer_free(&answer);
	return exit_code;
}

int command_attempts(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/events");
	client_target_segment(&target, invocation->arguments[0]);
	client_target_segment(&target, "attempts");
	client_target_parameter(&target, "target", invocation_option(invocation, "target"));
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		print_deliveries(invocation, answer.root, 0);
	}
	answer_free(&answer);
	return exit_code;
}

/* ---- The payload ----------------------------------------------------------------------------- */

static bool is_text(struct bytes bytes)
{
	for (size_t i = 0; i < bytes.size; i++) {
		uint8_t c = bytes.data[i];
		if ((c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 0x7f) return false;
	}
	return true;
}

static int write_payload(const struct invocation *invocation, struct bytes payload,
	const char *path)
{
	FILE *file = path != NULL ? fopen(path, "wb") : stdout;
	if (file == NULL) {
		return problem_say(invocation, EX_CANTCREAT, "cannot_create", NULL, "%s: %s", path,
			strerror(errno));
	}
	bool good = fwrite(payload.data, 1, payload.size, file) == payload.size;
	good = (path != NULL ? fclose(file) : fflush(file)) == 0 && good;
	if (good) return EX_OK;
	return problem_say(invocation, EX_IOERR, "write_failed", NULL, "writing the payload: %s",
		strerror(errno));
}

int command_events_payload(const struct invocation *invocation)
{
	struct client_target target = client_target_of(CONTROL_API "/events");
	client_target_segment(&target, invocation->arguments[0]);
	client_target_segment(&target, "payload");
	if (target.failed) {
		return problem_say(invocation, EX_USAGE, "too_long", NULL,
			"the arguments are too long");
	}
	const char *path = invocation_option(invocation, "output");
	struct client_answer answer = client_ask(invocation, "GET", target.text, NULL, NULL);
	int exit_code = answer.exit_code;
	if (exit_code != EX_OK) {
		exit_code = answer_problem(invocation, &answer);
	} else if (path == NULL && isatty(STDOUT_FILENO) && !is_text(answer.body)) {
		/* Providers choose these bytes: they must not drive the terminal. */
		exit_code = problem_say(invocation, EX_DATAERR, "not_text",
			"use --output FILE or send it through a pipe",
			"the payload is not plain text");
	} else {
		exit_code = write_payload(invocation, answer.body, path);
	}
	client_answer_free(&answer);
	return exit_code;
}

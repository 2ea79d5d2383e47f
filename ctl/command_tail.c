/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_tail — requests and deliveries as they happen, until Ctrl-C.
 *
 * No payloads, no fields of requests. Where lines are missing, because this program or the daemon
 * could not keep up, a line says how many.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "problem.h"
#include "units.h"

/* The daemon says something every two seconds. */
enum { SILENCE_MIN_S = 10 };

static enum table_colour kind_colour(const char *kind)
{
	static const struct {
		const char *kind;
		enum table_colour colour;
	} colours[] = {
		{ "delivered", TABLE_GREEN },
		{ "duplicate", TABLE_DIM },
		{ "refused", TABLE_RED },
		{ "failed", TABLE_YELLOW },
		{ "dead", TABLE_RED },
		{ "missed", TABLE_YELLOW },
	};
	for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
		if (strcmp(colours[i].kind, kind) == 0) return colours[i].colour;
	}
	return TABLE_PLAIN;
}

static void print_kind(const struct invocation *invocation, const char *kind)
{
	fputs(table_colour_code(invocation->colour, kind_colour(kind)), stdout);
	printf("%-9s", kind);
	fputs(table_colour_code(invocation->colour, TABLE_PLAIN), stdout);
}

static void print_missed(const struct invocation *invocation, yyjson_val *line)
{
	char text[UNITS_TEXT_SIZE];
	printf("%-12s  ", "");
	print_kind(invocation, "missed");
	printf("  %s lines, or more; ask for less with --sample, --endpoint or --refusals\n",
		units_number(member_number(line, "count"), text));
}

static void print_line(const struct invocation *invocation, yyjson_val *line)
{
	char text[UNITS_TEXT_SIZE];
	const char *time = units_time(member_time(line, "time"), true, text);
	/* Without the day. */
	printf("%s  ", strlen(time) > 11 ? time + 11 : time);
	print_kind(invocation, member_text(line, "kind"));
	fputs("  ", stdout);
	table_write_safe(stdout, member_text_or(line, "endpoint", "-"));
	if (*member_text(line, "target") != '\0') {
		fputs(" → ", stdout);
		table_write_safe(stdout, member_text(line, "target"));
	}
	if (*member_text(line, "id") != '\0') printf("  %s", member_text(line, "id"));
	uint64_t attempt = member_number(line, "attempt");
	if (attempt > 0) printf("  #%" PRIu64, attempt);
	uint64_t status = member_number(line, "status");
	if (status > 0) printf("  %" PRIu64, status);
	uint64_t duration_us = member_number(line, "duration_us");
	if (duration_us > 0) printf("  %s", units_duration(duration_us, text));
	if (*member_text(line, "reason") != '\0') {
		fputs("  ", stdout);
		table_write_safe(stdout, member_text(line, "reason"));
	}
	if (*member_text(line, "detail") != '\0') {
		fputs(": ", stdout);
		table_write_safe(stdout, member_text(line, "detail"));
	}
	putchar('\n');
}

static void take_line(void *owner, struct bytes text)
{
	const struct invocation *invocation = owner;
	yyjson_doc *document = yyjson_read((const char *)text.data, text.size, 0);
	yyjson_val *line = yyjson_doc_get_root(document);
	const char *kind = member_text(line, "kind");
	if (strcmp(kind, "alive") == 0) {
		/* For programs, which may want to know that nothing happened. */
		if (invocation->json) answer_print_json(text);
	} else if (invocation->json) {
		answer_print_json(text);
	} else if (strcmp(kind, "missed") == 0) {
		print_missed(invocation, line);
	} else {
		print_line(invocation, line);
	}
	fflush(stdout);
	yyjson_doc_free(document);
}

int command_tail(const struct invocation *invocation)
{
	struct invocation patient = *invocation;
	struct client_target target = client_target_of(CONTROL_API "/tail");
	client_target_parameter(&target, "endpoint", invocation_option(invocation, "endpoint"));
	client_target_parameter(&target, "sample", invocation_option(invocation, "sample"));
	client_target_parameter(&target, "refusals",
		invocation_option(invocation, "refusals") != NULL ? "true" : NULL);
	if (target.failed) {
		return problem_say(invocation, EX_USAGE, "too_long", NULL,
			"the arguments are too long");
	}
	if (patient.timeout_s < SILENCE_MIN_S) patient.timeout_s = SILENCE_MIN_S;
	struct client_answer answer = client_ask(&patient, "GET", target.text, take_line, &patient);
	int exit_code = answer.exit_code;
	if (exit_code != EX_OK) {
		exit_code = answer_problem(invocation, &answer);
	} else {
		exit_code = problem_say(invocation, EX_TEMPFAIL, "stopping", NULL,
			"the daemon is stopping");
	}
	client_answer_free(&answer);
	return exit_code;
}

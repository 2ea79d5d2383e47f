/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_daemon — drain, stop, upgrade, version. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "base/version.h"
#include "bounds.h"
#include "command_generations.h"
#include "confirm.h"
#include "problem.h"
#include "units.h"

/* ---- Drain and stop -------------------------------------------------------------------------- */

static void print_left(const struct invocation *invocation, yyjson_val *root)
{
	char text[UNITS_TEXT_SIZE];
	struct table *table = table_create("ENDPOINT|>LEFT", invocation->colour);
	yyjson_val *one;
	size_t index;
	size_t max;

	printf("%s deliveries are left\n\n",
		units_number(member_number(root, "outstanding"), text));
	yyjson_arr_foreach(member(root, "endpoints"), index, max, one)
	{
		table_cell(table, TABLE_PLAIN, "%s",
			member_text_or(one, "endpoint", "(of no endpoint any more)"));
		table_cell(table, TABLE_PLAIN, "%s",
			units_number(member_number(one, "outstanding"), text));
		table_row_end(table);
	}
	table_print(table, stdout);
	table_free(table);
	if (!member_bool(root, "counted_all")) printf("and more, that were not looked at\n");
}

int command_drain(const struct invocation *invocation)
{
	struct answer answer;
	struct invocation patient = *invocation;
	char seconds[COMMAND_SECONDS_SIZE];
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/drain");

	if (!command_seconds(invocation, "deadline", seconds)) return EX_USAGE;
	if (!confirm(invocation, "No more events will be taken in until the next start. Drain?")) {
		return EXIT_NEGATIVE;
	}
	client_target_parameter(&target, "deadline", seconds[0] != '\0' ? seconds : NULL);
	/* The answer comes at the deadline. */
	patient.timeout_s += seconds[0] != '\0' ? (uint32_t)strtoul(seconds, NULL, 10)
						: DRAIN_TIMEOUT_S_LIMIT;
	if (answer_get_page(&patient, "POST", &target, &answer, &exit_code)) {
		bool complete = member_bool(answer.root, "complete");
		if (invocation->json) {
			answer_print_json(answer.raw.body);
		} else {
			printf("no more events are taken in (state: %s)\n",
				member_text(answer.root, "state"));
			if (complete) printf("everything is delivered\n");
			if (!complete) print_left(invocation, answer.root);
		}
		if (!complete) exit_code = EXIT_NEGATIVE;
	}
	answer_free(&answer);
	return exit_code;
}

int command_stop(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/stop");

	if (!confirm(invocation,
		    "No more events will be taken in or delivered. Stop the daemon?")) {
		return EXIT_NEGATIVE;
	}
	if (answer_get(invocation, "POST", &target, &answer, &exit_code)) {
		printf("the daemon is stopping (state: %s)\n", member_text(answer.root, "state"));
	}
	answer_free(&answer);
	return exit_code;
}

/* ---- Upgrade --------------------------------------------------------------------------------- */

/* How often the next daemon is asked for. */
enum { LOOK_MS = 50 };

/* Whether one that started later answers; its version then. */
static bool successor_found(const struct invocation *invocation, uint64_t started,
	char version[static 64])
{
	bool found = false;
	struct client_answer raw = client_ask(invocation, "GET", CONTROL_API "/status", NULL, NULL);

	if (raw.exit_code == EX_OK && raw.is_json) {
		yyjson_doc *document = yyjson_read((const char *)raw.body.data, raw.body.size, 0);
		yyjson_val *root = yyjson_doc_get_root(document);
		found = member_time(root, "started") > started &&
			strcmp(member_text(root, "state"), "ready") == 0;
		if (found) snprintf(version, 64, "%s", member_text(root, "version"));
		yyjson_doc_free(document);
	}
	client_answer_free(&raw);
	return found;
}

static int successor_wait(const struct invocation *invocation, yyjson_val *before)
{
	char version[64] = "";
	uint64_t started = member_time(before, "started");

	for (uint64_t waited_ms = 0; waited_ms < UINT64_C(1000) * UPGRADE_PATIENCE_S;
		waited_ms += LOOK_MS) {
		(void)poll(NULL, 0, LOOK_MS);
		if (!successor_found(invocation, started, version)) continue;
		if (invocation->json) {
			printf("{\"schema\":\"penstock.upgraded/v1\",\"before\":\"%s\","
			       "\"version\":\"%s\"}\n",
				member_text(before, "version"), version);
		} else {
			printf("penstockd %s has taken over from %s\n", version,
				member_text(before, "version"));
		}
		return EX_OK;
	}
	return problem_say(invocation, EX_UNAVAILABLE, "no_successor", "see its log",
		"no other daemon answers within %u s", UPGRADE_PATIENCE_S);
}

int command_upgrade(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/upgrade");

	if (answer_get_page(invocation, "POST", &target, &answer, &exit_code)) {
		exit_code = successor_wait(invocation, answer.root);
	}
	answer_free(&answer);
	return exit_code;
}

int command_version(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/version");
	if (!invocation->json) printf("penstockctl %s\n", penstock_version);
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		printf("penstockd   %s, api %s, your role: %s\n",
			member_text(answer.root, "version"), member_text(answer.root, "api"),
			member_text(answer.root, "role"));
	}
	answer_free(&answer);
	return exit_code;
}

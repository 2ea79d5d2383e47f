/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_dlq — the dead letter queue: list, show, replay. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "confirm.h"
#include "pages.h"
#include "problem.h"
#include "units.h"

static void dead_row(struct table *table, yyjson_val *row)
{
	char text[UNITS_TEXT_SIZE];
	uint64_t status = member_number(row, "status");
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "event"));
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "target"));
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "endpoint"));
	table_cell(table, TABLE_PLAIN, "%s", units_time(member_time(row, "since"), false, text));
	table_cell(table, TABLE_PLAIN, "%" PRIu64, member_number(row, "attempt_count"));
	if (status > 0) {
		table_cell(table, TABLE_RED, "answered %" PRIu64, status);
	} else {
		table_cell(table, TABLE_RED, "%s", member_text(row, "error_text"));
	}
	table_row_end(table);
}

#define DEAD_HEADINGS "EVENT|TARGET|ENDPOINT|DEAD SINCE|>ATTEMPTS|LAST ERROR"

int command_dlq_list(const struct invocation *invocation)
{
	bool more = false;
	struct pages pages = {
		.invocation = invocation,
		.target = client_target_of(CONTROL_API "/dead"),
		.rows = "dead",
		.next = "next_after",
		.cursor = "after",
		.row = dead_row,
	};
	if (!pages_limit(invocation, CONTROL_LIMIT_DEFAULT, &pages.limit)) return EX_USAGE;
	client_target_parameter(&pages.target, "target", invocation_option(invocation, "target"));
	struct table *table = table_create(DEAD_HEADINGS, invocation->colour);
	int exit_code = pages_show(&pages, table, &more);
	if (exit_code == EX_OK && !invocation->json) {
		table_print(table, stdout);
		if (table_row_count(table) == 0) printf("there are no dead letters\n");
		if (more) printf("… there are more (--limit)\n");
	}
	table_free(table);
	return exit_code;
}

int command_dlq_show(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/dead");
	client_target_segment(&target, invocation->arguments[0]);
	client_target_parameter(&target, "target", invocation_option(invocation, "target"));
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		struct table *table = table_create(DEAD_HEADINGS, invocation->colour);
		yyjson_val *row;
		size_t index;
		size_t max;
		yyjson_arr_foreach(member(answer.root, "dead"), index, max, row)
		{
			dead_row(table, row);
		}
		table_print(table, stdout);
		table_free(table);
		printf("\nits attempts: penstockctl attempts %s\n", invocation->arguments[0]);
	}
	answer_free(&answer);
	return exit_code;
}

/* ---- Replay ---------------------------------------------------------------------------------- */

static int usage(const struct invocation *invocation, const char *text)
{
	return problem_say(invocation, EX_USAGE, "usage", "see penstockctl help dlq replay", "%s",
		text);
}

static void print_replay(yyjson_val *replay)
{
	char text[UNITS_TEXT_SIZE];
	printf("replayed %s", units_number(member_number(replay, "replayed"), text));
	uint64_t gone = member_number(replay, "gone");
	if (gone > 0) printf(", %s were gone already", units_number(gone, text));
	uint64_t remaining = member_number(replay, "remaining");
	if (remaining > 0) {
		printf(", %s remain: run it again with --expect %" PRIu64,
			units_number(remaining, text), remaining);
	}
	putchar('\n');
}

struct replay_wish {
	const char *event;
	const char *to;
	const char *expect;
	bool all;
};

static struct client_target replay_target(const struct replay_wish *wish)
{
	struct client_target target = client_target_of(CONTROL_API "/dead/replay");
	client_target_parameter(&target, "event", wish->event);
	client_target_parameter(&target, "target", wish->to);
	client_target_parameter(&target, "all", wish->all ? "true" : NULL);
	client_target_parameter(&target, "expect", wish->expect);
	return target;
}

/* How many there are: a number that cannot be right is refused with the right one. EX_OK, or the
 * exit code of a complaint that was printed. */
static int replay_count(const struct invocation *invocation, struct replay_wish wish, uint64_t *ret)
{
	int exit_code = EX_OK;
	wish.expect = "18446744073709551615";
	struct client_target target = replay_target(&wish);
	struct client_answer answer = client_ask(invocation, "POST", target.text, NULL, NULL);
	yyjson_doc *document = answer.is_json
		? yyjson_read((const char *)answer.body.data, answer.body.size, 0)
		: NULL;
	yyjson_val *root = yyjson_doc_get_root(document);
	if (strcmp(member_text(root, "code"), "expectation_differs") == 0) {
		*ret = member_number(root, "count");
	} else {
		exit_code = answer_problem(invocation, &answer);
	}
	yyjson_doc_free(document);
	client_answer_free(&answer);
	return exit_code;
}

/* Nobody said how many: whoever sits at the terminal is told, and asked. */
static int replay_ask(const struct invocation *invocation, struct replay_wish *wish,
	char number[static UNITS_TEXT_SIZE])
{
	char text[UNITS_TEXT_SIZE];
	uint64_t count = 0;
	if (!confirm_possible(invocation) || invocation_option(invocation, "yes") != NULL) {
		return usage(invocation,
			"say with --expect how many there are (penstockctl dlq list)");
	}
	int exit_code = replay_count(invocation, *wish, &count);
	if (exit_code != EX_OK) return exit_code;
	if (!confirm(invocation, "There are %s dead letters. Replay them all?",
		    units_number(count, text))) {
		return EXIT_NEGATIVE;
	}
	snprintf(number, UNITS_TEXT_SIZE, "%" PRIu64, count);
	wish->expect = number;
	return EX_OK;
}

int command_dlq_replay(const struct invocation *invocation)
{
	char number[UNITS_TEXT_SIZE];
	struct replay_wish wish = {
		.event = invocation->argument_count > 0 ? invocation->arguments[0] : NULL,
		.to = invocation_option(invocation, "target"),
		.expect = invocation_option(invocation, "expect"),
		.all = invocation_option(invocation, "all") != NULL,
	};
	if (!wish.all && wish.event == NULL && wish.to == NULL) {
		return usage(invocation, "say EVENT, --target or --all");
	}
	if (wish.all && (wish.event != NULL || wish.to != NULL)) {
		return usage(invocation, "--all stands alone");
	}
	int exit_code = EX_OK;
	if (wish.event == NULL && wish.expect == NULL) {
		exit_code = replay_ask(invocation, &wish, number);
	}
	if (exit_code != EX_OK) return exit_code;

	struct answer answer;
	struct client_target target = replay_target(&wish);
	if (answer_get_page(invocation, "POST", &target, &answer, &exit_code)) {
		if (invocation->json) {
			answer_print_json(answer.raw.body);
		} else {
			print_replay(answer.root);
		}
		if (!member_bool(answer.root, "complete")) exit_code = EX_TEMPFAIL;
	}
	answer_free(&answer);
	return exit_code;
}

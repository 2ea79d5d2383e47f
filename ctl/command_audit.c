/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_audit — has the daemon recompute its audit log, and shows progress and findings; and
 * what people did.
 *
 * Exit code 0 only when the summary came and says valid; 1 when it says that it is not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pages.h"
#include "problem.h"
#include "units.h"

struct verification {
	const struct invocation *invocation;
	bool live; /* progress can be painted over */
	bool summary_seen;
	bool valid;
};

static void print_progress(const struct verification *verification, yyjson_val *line)
{
	char done[UNITS_TEXT_SIZE];
	char all[UNITS_TEXT_SIZE];
	if (!verification->live) return;
	fprintf(stderr, "\r\x1b[Kshard %" PRIu64 ": %s of %s leaves", member_number(line, "shard"),
		units_number(member_number(line, "done"), done),
		units_number(member_number(line, "all"), all));
	fflush(stderr);
}

static void print_shard(const struct verification *verification, yyjson_val *line)
{
	char texts[3][UNITS_TEXT_SIZE];
	bool colour = verification->invocation->colour;
	bool valid = member_bool(line, "valid");
	if (verification->live) fputs("\r\x1b[K", stderr);
	printf("shard %" PRIu64 ": %s%s%s, %s leaves, %s checked, %s expired\n",
		member_number(line, "shard"),
		table_colour_code(colour, valid ? TABLE_GREEN : TABLE_RED),
		valid ? "valid" : "NOT VALID", table_colour_code(colour, TABLE_PLAIN),
		units_number(member_number(line, "leaf_count"), texts[0]),
		units_number(member_number(line, "checked_count"), texts[1]),
		units_number(member_number(line, "expired_count"), texts[2]));
	if (valid) {
		printf("  root %s\n", member_text(line, "root"));
		return;
	}
	printf("  %s records differ from what was logged; ",
		units_number(member_number(line, "mismatch_count"), texts[0]));
	table_write_safe(stdout, member_text_or(line, "error", "no reason given"));
	putchar('\n');
}

static void print_summary(yyjson_val *line)
{
	char texts[2][UNITS_TEXT_SIZE];
	bool valid = member_bool(line, "valid");
	printf("%s: %s leaves in %s shards\n",
		valid ? "the audit log is whole" : "THE AUDIT LOG DOES NOT VERIFY",
		units_number(member_number(line, "leaf_count"), texts[0]),
		units_number(member_number(line, "shards"), texts[1]));
}

static void take_line(void *owner, struct bytes text)
{
	struct verification *verification = owner;
	yyjson_doc *document = yyjson_read((const char *)text.data, text.size, 0);
	yyjson_val *line = yyjson_doc_get_root(document);
	const char *kind = member_text(line, "kind");
	bool json = verification->invocation->json;
	if (json) answer_print_json(text);
	if (strcmp(kind, "summary") == 0) {
		verification->summary_seen = true;
		verification->valid = member_bool(line, "valid");
		if (!json) print_summary(line);
	} else if (!json && strcmp(kind, "shard") == 0) {
		print_shard(verification, line);
	} else if (!json && strcmp(kind, "progress") == 0) {
		print_progress(verification, line);
	}
	yyjson_doc_free(document);
}

int command_audit_verify(const struct invocation *invocation)
{
	struct verification verification = {
		.invocation = invocation,
		.live = !invocation->json && isatty(STDERR_FILENO),
	};
	struct client_answer answer = client_ask(invocation, "POST", CONTROL_API "/audit/verify",
		take_line, &verification);
	int exit_code = answer.exit_code;
	if (exit_code != EX_OK) {
		if (verification.live) fputs("\r\x1b[K", stderr);
		exit_code = answer_problem(invocation, &answer);
	} else if (!verification.summary_seen) {
		exit_code = problem_say(invocation, EX_TEMPFAIL, "cut_short", "run it again",
			"the daemon stopped before the end and nothing is proven");
	} else if (!verification.valid) {
		exit_code = EXIT_NEGATIVE;
	}
	client_answer_free(&answer);
	return exit_code;
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void action_row(struct table *table, yyjson_val *row)
{
	char text[UNITS_TEXT_SIZE];
	bool readable = member_bool(row, "readable");
	table_cell(table, TABLE_PLAIN, "%" PRIu64, member_number(row, "number"));
	table_cell(table, TABLE_PLAIN, "%s",
		readable ? units_time(member_time(row, "time"), false, text) : "-");
	table_cell(table, TABLE_PLAIN, "%s", member_text_or(row, "actor", "-"));
	table_cell(table, readable ? TABLE_BOLD : TABLE_RED, "%s",
		readable ? member_text(row, "action") : "damaged");
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "text"));
	table_row_end(table);
}

int command_audit_actions(const struct invocation *invocation)
{
	bool more = false;
	struct pages pages = {
		.invocation = invocation,
		.target = client_target_of(CONTROL_API "/audit/actions"),
		.rows = "actions",
		.next = "next_before",
		.cursor = "before",
		.row = action_row,
	};
	if (!pages_limit(invocation, CONTROL_LIMIT_DEFAULT, &pages.limit)) return EX_USAGE;
	struct table *table = table_create(">NUMBER|TIME|WHO|ACTION|DETAIL", invocation->colour);
	int exit_code = pages_show(&pages, table, &more);
	if (exit_code == EX_OK && !invocation->json) {
		table_print(table, stdout);
		if (table_row_count(table) == 0) printf("nobody has done anything yet\n");
		if (more) printf("… there are more (--limit)\n");
	}
	table_free(table);
	return exit_code;
}

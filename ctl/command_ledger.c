/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_ledger — what became of all deliveries, endpoint by endpoint, and whether it adds up. */
#include <inttypes.h>
#include <stdio.h>

#include "pages.h"
#include "units.h"

static void cell(struct table *table, yyjson_val *row, const char *key,
	enum table_colour when_not_zero)
{
	char text[UNITS_TEXT_SIZE];
	uint64_t number = member_number(row, key);
	table_cell(table, number > 0 ? when_not_zero : TABLE_DIM, "%s", units_number(number, text));
}

static void ledger_row(struct table *table, yyjson_val *row)
{
	bool balanced = member_bool(row, "balanced");
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "name"));
	cell(table, row, "accepted", TABLE_PLAIN);
	cell(table, row, "delivered", TABLE_PLAIN);
	cell(table, row, "pending", TABLE_YELLOW);
	cell(table, row, "parked", TABLE_RED);
	table_cell(table, balanced ? TABLE_PLAIN : TABLE_RED, "%s", balanced ? "yes" : "NO");
	table_row_end(table);
}

struct texts {
	char a[UNITS_TEXT_SIZE];
	char b[UNITS_TEXT_SIZE];
	char c[UNITS_TEXT_SIZE];
	char d[UNITS_TEXT_SIZE];
};

/* The page's head, from a page of its own: rows are of no interest. */
static int show_totals(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/ledger");
	client_target_parameter(&target, "limit", "1");
	if (answer_get_page(invocation, "GET", &target, &answer, &exit_code)) {
		struct texts texts;
		yyjson_val *totals = member(answer.root, "totals");
		bool balanced = member_bool(answer.root, "balanced");
		printf("%s accepted = %s delivered + %s pending + %s parked%s\n",
			units_number(member_number(totals, "accepted"), texts.a),
			units_number(member_number(totals, "delivered"), texts.b),
			units_number(member_number(totals, "pending"), texts.c),
			units_number(member_number(totals, "parked"), texts.d),
			balanced ? "" : ": DOES NOT BALANCE");
		exit_code = balanced ? EX_OK : EXIT_NEGATIVE;
	}
	answer_free(&answer);
	return exit_code;
}

static int show_check(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/ledger/check");
	if (answer_get_page(invocation, "GET", &target, &answer, &exit_code)) {
		struct texts texts;
		bool balanced = member_bool(answer.root, "balanced");
		exit_code = balanced ? EX_OK : EXIT_NEGATIVE;
		if (invocation->json) {
			answer_print_json(answer.raw.body);
		} else {
			printf("counted again: %s pending, %s parked: %s\n",
				units_number(member_number(answer.root, "pending"), texts.a),
				units_number(member_number(answer.root, "parked"), texts.b),
				balanced ? "balanced" : "DOES NOT BALANCE");
			if (member_number(answer.root, "wrong") > 0) {
				printf("%" PRIu64 " accounts are wrong, that of %s among them\n",
					member_number(answer.root, "wrong"),
					member_text(answer.root, "wrong_endpoint"));
			}
		}
	}
	answer_free(&answer);
	return exit_code;
}

int command_ledger(const struct invocation *invocation)
{
	bool more;
	struct pages pages = {
		.invocation = invocation,
		.target = client_target_of(CONTROL_API "/ledger"),
		.rows = "endpoints",
		.next = "next_after",
		.cursor = "after",
		.row = ledger_row,
	};
	if (invocation_option(invocation, "check") != NULL) return show_check(invocation);
	if (!pages_limit(invocation, 0, &pages.limit)) return EX_USAGE;
	struct table *table =
		table_create("ENDPOINT|>ACCEPTED|>DELIVERED|>PENDING|>PARKED|BALANCED",
			invocation->colour);
	int exit_code = pages_show(&pages, table, &more);
	if (exit_code == EX_OK && !invocation->json) {
		table_print(table, stdout);
		if (more) printf("… there are more (--limit)\n");
		exit_code = show_totals(invocation);
	}
	table_free(table);
	return exit_code;
}

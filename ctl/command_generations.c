/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_generations — reload, confirm, rollback, history. */
#include <inttypes.h>
#include <stdio.h>

#include "answer.h"
#include "command_generations.h"
#include "config/config_values.h"
#include "problem.h"
#include "units.h"

static void print_changes(yyjson_val *changes, uint64_t left_out)
{
	yyjson_val *one;
	size_t index;
	size_t max;
	yyjson_arr_foreach(changes, index, max, one)
	{
		printf("  ");
		table_write_safe(stdout, yyjson_get_str(one));
		putchar('\n');
	}
	if (yyjson_arr_size(changes) == 0) printf("  nothing has changed\n");
	if (left_out > 0) printf("  and %" PRIu64 " more\n", left_out);
}

static void print_warnings(yyjson_val *report)
{
	yyjson_val *one;
	size_t index;
	size_t max;
	yyjson_arr_foreach(member(report, "diagnostics"), index, max, one)
	{
		printf("  %" PRIu64 ":%" PRIu64 ": %s[%s]: ", member_number(one, "line"),
			member_number(one, "column"), member_text(one, "severity"),
			member_text(one, "code"));
		table_write_safe(stdout, member_text(one, "message"));
		putchar('\n');
	}
}

bool command_seconds(const struct invocation *invocation, const char *option,
	char text[static COMMAND_SECONDS_SIZE])
{
	const char *value = invocation_option(invocation, option);
	struct config_fault fault;
	uint64_t ms = 0;

	text[0] = '\0';
	if (value == NULL) return true;
	if (!config_value_duration_ms(value, &ms, &fault) || ms < 1000 || ms % 1000 != 0) {
		(void)problem_say(invocation, EX_USAGE, "usage", NULL,
			"--%s is a duration of whole seconds: 30s, 5m or 1h", option);
		return false;
	}
	snprintf(text, COMMAND_SECONDS_SIZE, "%" PRIu64, ms / 1000);
	return true;
}

static int change(const struct invocation *invocation, struct client_target *target)
{
	struct answer answer;
	char seconds[COMMAND_SECONDS_SIZE];
	char time[UNITS_TEXT_SIZE];
	int exit_code;

	if (!command_seconds(invocation, "confirm-within", seconds)) return EX_USAGE;
	client_target_parameter(target, "confirm_within", seconds[0] != '\0' ? seconds : NULL);
	if (answer_get(invocation, "POST", target, &answer, &exit_code)) {
		printf("generation %" PRIu64 " is served\n",
			member_number(answer.root, "generation"));
		print_changes(member(answer.root, "changes"),
			member_number(answer.root, "changes_left_out"));
		print_warnings(member(answer.root, "report"));
		uint64_t before = member_time(answer.root, "confirm_before");
		if (before != 0) {
			printf("the one before comes back at %s, unless: penstockctl confirm\n",
				units_time(before, false, time));
		}
	}
	answer_free(&answer);
	return exit_code;
}

int command_reload(const struct invocation *invocation)
{
	struct client_target target = client_target_of(CONTROL_API "/reload");
	return change(invocation, &target);
}

int command_rollback(const struct invocation *invocation)
{
	struct client_target target = client_target_of(CONTROL_API "/rollback");
	client_target_parameter(&target, "to",
		invocation->argument_count > 0 ? invocation->arguments[0] : NULL);
	return change(invocation, &target);
}

int command_confirm(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/confirm");
	if (answer_get(invocation, "POST", &target, &answer, &exit_code)) {
		printf("generation %" PRIu64 " stays\n", member_number(answer.root, "generation"));
	}
	answer_free(&answer);
	return exit_code;
}

static void print_row(struct table *table, yyjson_val *row)
{
	char time[UNITS_TEXT_SIZE];
	const char *result = member_text(row, "result");
	table_cell(table, TABLE_PLAIN, "%" PRIu64, member_number(row, "generation"));
	table_cell(table, TABLE_PLAIN, "%s", units_time(member_time(row, "time"), false, time));
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "kind"));
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "by"));
	table_cell(table, result[0] == 'r' ? TABLE_RED : TABLE_PLAIN, "%s", result);
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "changes"));
	table_row_end(table);
}

int command_history(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/history");
	client_target_parameter(&target, "limit", invocation_option(invocation, "limit"));
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		struct table *table =
			table_create(">GENERATION|TIME|KIND|BY|RESULT|CHANGES", invocation->colour);
		yyjson_val *row;
		size_t index;
		size_t max;
		yyjson_arr_foreach(member(answer.root, "generations"), index, max, row)
		{
			print_row(table, row);
		}
		table_print(table, stdout);
		table_free(table);
	}
	answer_free(&answer);
	return exit_code;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_flow — the endpoints and targets that are being served. */
#include <stdio.h>
#include <string.h>

#include "pages.h"
#include "units.h"

static void cell_number(struct table *table, yyjson_val *object, const char *key,
	enum table_colour when_not_zero)
{
	char text[UNITS_TEXT_SIZE];
	uint64_t number = member_number(object, key);
	table_cell(table, number > 0 ? when_not_zero : TABLE_DIM, "%s", units_number(number, text));
}

static void list_text(yyjson_val *list, char *text, size_t text_size)
{
	yyjson_val *one;
	size_t index;
	size_t max;
	size_t size = 0;
	text[0] = '\0';
	yyjson_arr_foreach(list, index, max, one)
	{
		int written = snprintf(text + size, text_size - size, "%s%s", index > 0 ? " " : "",
			yyjson_get_str(one) != NULL ? yyjson_get_str(one) : "");
		size += (size_t)written;
		if (size >= text_size) return;
	}
}

static void endpoint_row(struct table *table, yyjson_val *row)
{
	char targets[240];
	yyjson_val *counters = member(row, "counters");
	list_text(member(row, "targets"), targets, sizeof targets);
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "name"));
	table_cell(table, TABLE_PLAIN, "%s%s", member_text(row, "host"), member_text(row, "path"));
	table_cell(table, TABLE_PLAIN, "%s%s", member_text(row, "scheme"),
		member_bool(row, "previous_secret") ? " +previous" : "");
	table_cell(table, TABLE_PLAIN, "%s", targets);
	cell_number(table, counters, "accepted", TABLE_PLAIN);
	cell_number(table, counters, "duplicate", TABLE_PLAIN);
	uint64_t refused = member_number(counters, "refused_signature") +
		member_number(counters, "refused_timestamp") +
		member_number(counters, "refused_conflict") +
		member_number(counters, "refused_size");
	char text[UNITS_TEXT_SIZE];
	table_cell(table, refused > 0 ? TABLE_RED : TABLE_DIM, "%s", units_number(refused, text));
	cell_number(table, counters, "shed", TABLE_RED);
	table_row_end(table);
}

static void target_row(struct table *table, yyjson_val *row)
{
	char text[UNITS_TEXT_SIZE];
	yyjson_val *counters = member(row, "counters");
	table_cell(table, TABLE_PLAIN, "%s", member_text(row, "name"));
	table_cell(table, TABLE_PLAIN, "%s%s", member_text(row, "origin"),
		yyjson_is_null(member(row, "address")) ? " (unresolved)" : "");
	table_cell(table, TABLE_PLAIN, "%llu+%llu",
		(unsigned long long)member_number(row, "connections_active"),
		(unsigned long long)member_number(row, "connections_idle"));
	table_cell(table, TABLE_PLAIN, "%s", units_number(member_number(row, "ready"), text));
	cell_number(table, counters, "delivered", TABLE_PLAIN);
	cell_number(table, counters, "retried", TABLE_YELLOW);
	cell_number(table, counters, "dead", TABLE_RED);
	table_cell(table, TABLE_RED, "%s", member_text(row, "last_error"));
	table_row_end(table);
}

static int show(const struct invocation *invocation, const char *path, const char *rows,
	const char *headings, void (*row)(struct table *table, yyjson_val *row))
{
	bool more;
	struct pages pages = {
		.invocation = invocation,
		.target = client_target_of(path),
		.rows = rows,
		.next = "next_after",
		.cursor = "after",
		.row = row,
	};
	if (!pages_limit(invocation, 0, &pages.limit)) return EX_USAGE;
	struct table *table = table_create(headings, invocation->colour);
	int exit_code = pages_show(&pages, table, &more);
	if (exit_code == EX_OK && !invocation->json) {
		table_print(table, stdout);
		if (table_row_count(table) == 0) printf("none are configured\n");
	}
	table_free(table);
	return exit_code;
}

int command_endpoints(const struct invocation *invocation)
{
	return show(invocation, CONTROL_API "/endpoints", "endpoints",
		"ENDPOINT|PATH|SCHEME|TARGETS|>ACCEPTED|>DUPLICATE|>REFUSED|>SHED", endpoint_row);
}

int command_targets(const struct invocation *invocation)
{
	return show(invocation, CONTROL_API "/targets", "targets",
		"TARGET|ORIGIN|>BUSY+IDLE|>READY|>DELIVERED|>RETRIED|>DEAD|LAST ERROR", target_row);
}

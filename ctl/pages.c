/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pages — see the header. */
#include "pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

bool pages_limit(const struct invocation *invocation, uint64_t otherwise, uint64_t *ret)
{
	const char *text = invocation_option(invocation, "limit");
	*ret = otherwise;
	if (text == NULL) return true;
	if (strcmp(text, "all") == 0) {
		*ret = 0;
		return true;
	}
	if (bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK && *ret > 0) return true;
	problem_say(invocation, EX_USAGE, "usage", NULL,
		"--limit takes a number from 1, or \"all\", not \"%s\"", text);
	return false;
}

int pages_show(const struct pages *pages, struct table *table, bool *ret_more)
{
	char cursor[CLIENT_TARGET_SIZE_MAX] = "";
	uint64_t left = pages->limit == 0 ? UINT64_MAX : pages->limit;
	int exit_code = EX_OK;
	*ret_more = true;

	while (left > 0 && *ret_more && exit_code == EX_OK) {
		char size[24];
		snprintf(size, sizeof size, "%" PRIu64,
			left < CONTROL_LIMIT_MAX ? left : (uint64_t)CONTROL_LIMIT_MAX);
		struct client_target target = pages->target;
		client_target_parameter(&target, "limit", size);
		if (*cursor != '\0') client_target_parameter(&target, pages->cursor, cursor);

		struct answer answer;
		if (answer_get_page(pages->invocation, "GET", &target, &answer, &exit_code)) {
			yyjson_val *rows = member(answer.root, pages->rows);
			yyjson_val *row;
			size_t index;
			size_t max;
			if (pages->invocation->json) answer_print_json(answer.raw.body);
			yyjson_arr_foreach(rows, index, max, row)
			{
				pages->row(table, row);
			}
			left -= yyjson_arr_size(rows) < left ? yyjson_arr_size(rows) : left;
			snprintf(cursor, sizeof cursor, "%s",
				member_text(answer.root, pages->next));
			*ret_more = *cursor != '\0';
		}
		answer_free(&answer);
	}
	return exit_code;
}

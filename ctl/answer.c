/* SPDX-License-Identifier: GPL-2.0-or-later */
/* answer — see the header. */
#include "answer.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "problem.h"
#include "units.h"

/* ---- Members --------------------------------------------------------------------------------- */

yyjson_val *member(yyjson_val *object, const char *key)
{
	return yyjson_obj_get(object, key);
}

const char *member_text(yyjson_val *object, const char *key)
{
	const char *text = yyjson_get_str(member(object, key));
	return text != NULL ? text : "";
}

const char *member_text_or(yyjson_val *object, const char *key, const char *otherwise)
{
	const char *text = member_text(object, key);
	return *text != '\0' ? text : otherwise;
}

uint64_t member_number(yyjson_val *object, const char *key)
{
	return yyjson_get_uint(member(object, key));
}

bool member_bool(yyjson_val *object, const char *key)
{
	return yyjson_get_bool(member(object, key));
}

uint64_t member_time(yyjson_val *object, const char *key)
{
	uint64_t us = 0;
	if (units_time_parse(member_text(object, key), &us) != RESULT_OK) return 0;
	return us;
}

enum table_colour state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum table_colour colour;
	} colours[] = {
		{ "delivered", TABLE_GREEN },
		{ "ready", TABLE_GREEN },
		{ "pending", TABLE_PLAIN },
		{ "retry", TABLE_YELLOW },
		{ "draining", TABLE_YELLOW },
		{ "starting", TABLE_YELLOW },
		{ "stopping", TABLE_YELLOW },
		{ "dead", TABLE_RED },
		{ "failed", TABLE_RED },
	};
	for (size_t i = 0; i < ARRAY_COUNT(colours); i++) {
		if (strcmp(colours[i].state, state) == 0) return colours[i].colour;
	}
	return TABLE_PLAIN;
}

/* ---- Answers --------------------------------------------------------------------------------- */

void answer_print_json(struct bytes body)
{
	fwrite(body.data, 1, body.size, stdout);
	if (body.size == 0 || body.data[body.size - 1] != '\n') putchar('\n');
}

/* Diagnostics of a refused configuration, as far as the problem has any. */
static void print_diagnostics(yyjson_val *problem)
{
	yyjson_val *list = member(member(problem, "report"), "diagnostics");
	yyjson_val *one;
	size_t index;
	size_t max;
	yyjson_arr_foreach(list, index, max, one)
	{
		fputs("  ", stderr);
		if (member_number(one, "line") > 0) {
			fprintf(stderr, "%u:%u: ", (unsigned)member_number(one, "line"),
				(unsigned)member_number(one, "column"));
		}
		fprintf(stderr, "%s[%s]: ", member_text_or(one, "severity", "error"),
			member_text(one, "code"));
		table_write_safe(stderr, member_text(one, "message"));
		const char *hint = member_text(one, "hint");
		if (*hint != '\0') {
			fputs(" (", stderr);
			table_write_safe(stderr, hint);
			fputc(')', stderr);
		}
		fputc('\n', stderr);
	}
}

/* Where the code says more than the status. */
static int exit_code_of(const char *code, int otherwise)
{
	if (strcmp(code, "expectation_differs") == 0) return EX_DATAERR;
	if (strcmp(code, "bad_event_id") == 0) return EX_DATAERR;
	if (strcmp(code, "bad_cursor") == 0) return EX_DATAERR;
	return otherwise;
}

int answer_problem(const struct invocation *invocation, const struct client_answer *raw)
{
	yyjson_doc *document =
		raw->is_json ? yyjson_read((const char *)raw->body.data, raw->body.size, 0) : NULL;
	yyjson_val *problem = yyjson_doc_get_root(document);
	int exit_code = exit_code_of(member_text(problem, "code"), raw->exit_code);
	if (invocation->json && raw->is_json) {
		answer_print_json(raw->body);
	} else if (problem == NULL) {
		problem_say(invocation, exit_code, "unexplained", NULL,
			"the daemon answered %u without an explanation", raw->status);
	} else {
		fprintf(stderr, "penstockctl: ");
		table_write_safe(stderr, member_text(problem, "title"));
		const char *detail = member_text(problem, "detail");
		if (*detail != '\0') fputs(": ", stderr);
		table_write_safe(stderr, detail);
		const char *fix = member_text(problem, "fix");
		if (*fix != '\0') fputs("; ", stderr);
		table_write_safe(stderr, fix);
		fputc('\n', stderr);
		print_diagnostics(problem);
	}
	yyjson_doc_free(document);
	return exit_code;
}

bool answer_get_page(const struct invocation *invocation, const char *method,
	const struct client_target *target, struct answer *ret, int *ret_exit_code)
{
	*ret = (struct answer){ 0 };
	if (target->failed) {
		*ret_exit_code = problem_say(invocation, EX_USAGE, "too_long", NULL,
			"the arguments are too long");
		return false;
	}
	ret->raw = client_ask(invocation, method, target->text, NULL, NULL);
	*ret_exit_code = ret->raw.exit_code;
	if (ret->raw.exit_code != EX_OK) {
		*ret_exit_code = answer_problem(invocation, &ret->raw);
		return false;
	}
	ret->document = yyjson_read((const char *)ret->raw.body.data, ret->raw.body.size, 0);
	ret->root = yyjson_doc_get_root(ret->document);
	if (ret->root == NULL) {
		*ret_exit_code = problem_say(invocation, EX_PROTOCOL, "not_json", NULL,
			"the daemon's answer is not JSON");
		return false;
	}
	return true;
}

bool answer_get(const struct invocation *invocation, const char *method,
	const struct client_target *target, struct answer *ret, int *ret_exit_code)
{
	if (!answer_get_page(invocation, method, target, ret, ret_exit_code)) return false;
	if (!invocation->json) return true;
	answer_print_json(ret->raw.body);
	return false;
}

void answer_free(struct answer *answer)
{
	yyjson_doc_free(answer->document);
	client_answer_free(&answer->raw);
	*answer = (struct answer){ 0 };
}

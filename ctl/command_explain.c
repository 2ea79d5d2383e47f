/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_explain — what a code of a diagnostic means, and how to put right what it names. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "command.h"
#include "config/config.h"
#include "json_text.h"
#include "problem.h"
#include "table.h"

enum { TEXT_COLUMNS = 78 };

/* In lines of at most TEXT_COLUMNS, each with `indent` spaces in front. */
static void print_wrapped(const char *text, size_t indent)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t size = strcspn(text, " ");
		if (column > 0 && column + 1 + size > TEXT_COLUMNS) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%*s%.*s", column == 0 ? (int)indent : 1, "", (int)size,
			text);
		text += size;
		while (*text == ' ') text++;
	}
	putchar('\n');
}

static void print_example(const char *heading, const char *text)
{
	printf("\n%s:\n", heading);
	while (*text != '\0') {
		size_t size = strcspn(text, "\n");
		printf("    %.*s\n", (int)size, text);
		text += size + (text[size] == '\n' ? 1 : 0);
	}
}

static void print_code(const struct invocation *invocation, const struct config_code *code)
{
	const struct config_example *example = config_example_find(code->code);

	CHECK(example != NULL); /* a test sees to it */
	printf("%s%s: %s%s\n\n", table_colour_code(invocation->colour, TABLE_BOLD), code->code,
		code->title, table_colour_code(invocation->colour, TABLE_PLAIN));
	print_wrapped(code->explanation, 0);
	print_example("Wrong", example->wrong);
	print_example("Right", example->right);
	printf("\nFix:\n");
	print_wrapped(example->fix, 4);
}

static void add_json(struct json_text *json, yyjson_mut_val *object, const struct config_code *code)
{
	const struct config_example *example = config_example_find(code->code);

	CHECK(example != NULL);
	json_text_add(json, object, "code", code->code);
	json_text_add(json, object, "title", code->title);
	json_text_add(json, object, "explanation", code->explanation);
	json_text_add(json, object, "wrong", example->wrong);
	json_text_add(json, object, "right", example->right);
	json_text_add(json, object, "fix", example->fix);
}

static int explain_all(const struct invocation *invocation)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	if (!invocation->json) {
		for (size_t i = 0; i < count; i++)
			printf("%s  %s\n", codes[i].code, codes[i].title);
		return EX_OK;
	}
	struct json_text json = json_text_open("penstock.codes/v1");
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(json.document, json.root, "codes");
	for (size_t i = 0; i < count; i++) {
		add_json(&json, yyjson_mut_arr_add_obj(json.document, list), &codes[i]);
	}
	json_text_print(&json);
	return EX_OK;
}

/* "PS1103", "ps1103" or "1103". */
static const struct config_code *code_find(const char *text)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(codes[i].code, text) == 0) return &codes[i];
		if (strcmp(codes[i].code + 2, text) == 0) return &codes[i];
	}
	return NULL;
}

int command_explain(const struct invocation *invocation)
{
	bool list = invocation_option(invocation, "list") != NULL;

	if (list == (invocation->argument_count > 0)) {
		return problem_say(invocation, EX_USAGE, "usage", NULL,
			"explain wants a CODE, or --list");
	}
	if (list) return explain_all(invocation);

	const struct config_code *code = code_find(invocation->arguments[0]);
	if (code == NULL) {
		return problem_say(invocation, EX_NOINPUT, "no_such_code",
			"penstockctl explain --list has them all", "there is no code \"%.60s\"",
			invocation->arguments[0]);
	}
	if (invocation->json) {
		struct json_text json = json_text_open("penstock.code/v1");
		add_json(&json, json.root, code);
		json_text_print(&json);
	} else {
		print_code(invocation, code);
	}
	return EX_OK;
}

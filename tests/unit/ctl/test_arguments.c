/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of penstockctl, right ones and wrong ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../ctl/arguments.c"

static int run_nothing(const struct invocation *invocation)
{
	(void)invocation;
	return 0;
}

static const struct command table[] = {
	{ .name = "status", .arguments = "", .run = run_nothing },
	{ .name = "events list",
		.arguments = "",
		.options = { { .name = "limit", .value = "N" },
			{ .name = "state", .value = "STATE" } },
		.run = run_nothing },
	{ .name = "events show",
		.arguments = "EVENT",
		.argument_count_min = 1,
		.argument_count_max = 1,
		.run = run_nothing },
	{ .name = "dlq replay",
		.arguments = "[EVENT]",
		.argument_count_max = 1,
		.options = { { .name = "all" } },
		.run = run_nothing },
	{ .name = "verify",
		.arguments = "",
		.options = { { .name = "header", .value = "TEXT", .repeats = true } },
		.run = run_nothing },
};

enum { WORDS_MAX = 12 };
static struct invocation invocation;
static char *words[WORDS_MAX + 2];

/* The words of a line with one blank between them, as a shell would hand them over. */
static struct arguments_result parse(const char *line)
{
	static char text[256];
	int count = 0;
	snprintf(text, sizeof text, "penstockctl %s", line);
	for (char *at = text; *at != '\0' && count < WORDS_MAX;) {
		words[count++] = at;
		at += strcspn(at, " ");
		if (*at != '\0') *at++ = '\0';
	}
	words[count] = NULL;
	invocation = (struct invocation){ .socket_path = "/default", .colour = true };
	return arguments_parse(table, ARRAY_COUNT(table), count, words, &invocation);
}

static void assert_wrong(const char *line, const char *error)
{
	struct arguments_result result = parse(line);
	assert_int_equal(result.verdict, ARGUMENTS_WRONG);
	assert_string_equal(result.error, error);
}

static void test_commands_and_arguments(void **state)
{
	(void)state;
	assert_int_equal(parse("status").verdict, ARGUMENTS_RUN);
	assert_string_equal(invocation.command->name, "status");
	assert_int_equal(parse("events show evt_1").verdict, ARGUMENTS_RUN);
	assert_string_equal(invocation.command->name, "events show");
	assert_string_equal(invocation.arguments[0], "evt_1");
	assert_int_equal(parse("dlq replay").verdict, ARGUMENTS_RUN);
	assert_int_equal(invocation.argument_count, 0);
	/* After "--" everything is an argument. */
	assert_int_equal(parse("events show -- --json").verdict, ARGUMENTS_RUN);
	assert_string_equal(invocation.arguments[0], "--json");
}

static void test_options_stand_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("--json events --socket /x list --limit 5 --state=dead").verdict,
		ARGUMENTS_RUN);
	assert_true(invocation.json);
	assert_string_equal(invocation.socket_path, "/x");
	assert_string_equal(invocation_option(&invocation, "limit"), "5");
	assert_string_equal(invocation_option(&invocation, "state"), "dead");

	assert_int_equal(parse("dlq replay --all --no-color --timeout 7").verdict, ARGUMENTS_RUN);
	assert_non_null(invocation_option(&invocation, "all"));
	assert_false(invocation.colour);
	assert_int_equal(invocation.timeout_s, 7);
	assert_string_equal(invocation.socket_path, "/default");
	parse("dlq replay");
	assert_null(invocation_option(&invocation, "all"));
}

static void test_help(void **state)
{
	(void)state;
	assert_int_equal(parse("").verdict, ARGUMENTS_NONE);
	assert_int_equal(parse("--socket s").verdict, ARGUMENTS_NONE);
	assert_int_equal(parse("--json").verdict, ARGUMENTS_NONE);
	assert_null(invocation.command);
	assert_int_equal(parse("--help").verdict, ARGUMENTS_HELP);
	assert_int_equal(parse("-h").verdict, ARGUMENTS_HELP);
	assert_int_equal(parse("help").verdict, ARGUMENTS_HELP);
	assert_int_equal(parse("help events show").verdict, ARGUMENTS_HELP);
	assert_string_equal(invocation.command->name, "events show");
	assert_int_equal(parse("events show --help").verdict, ARGUMENTS_HELP);
	assert_int_equal(parse("help verify").verdict, ARGUMENTS_HELP);
	struct arguments_result result = parse("help events");
	assert_int_equal(result.verdict, ARGUMENTS_HELP);
	assert_string_equal(result.group, "events");
	result = parse("events");
	assert_int_equal(result.verdict, ARGUMENTS_GROUP);
	assert_string_equal(result.group, "events");
	assert_int_equal(parse("--version").verdict, ARGUMENTS_VERSION);
}

static void test_an_option_may_repeat(void **state)
{
	(void)state;
	assert_int_equal(parse("verify --header a --header=b").verdict, ARGUMENTS_RUN);
	assert_int_equal(invocation.repeated_count, 2);
	assert_string_equal(invocation.repeated[0], "a");
	assert_string_equal(invocation.repeated[1], "b");

	/* As often as the table says, and no oftener. */
	static char name[] = "penstockctl";
	static char verify[] = "verify";
	static char option[] = "--header=x";
	static char *many[REPEATED_MAX + 4] = { name, verify };
	for (int i = 0; i <= REPEATED_MAX; i++) {
		many[2 + i] = option;
	}
	invocation = (struct invocation){ 0 };
	assert_int_equal(arguments_parse(table, ARRAY_COUNT(table), 2 + REPEATED_MAX, many,
				 &invocation)
				 .verdict,
		ARGUMENTS_RUN);
	invocation = (struct invocation){ 0 };
	assert_int_equal(arguments_parse(table, ARRAY_COUNT(table), 3 + REPEATED_MAX, many,
				 &invocation)
				 .verdict,
		ARGUMENTS_WRONG);
}

static void test_usage_errors(void **state)
{
	(void)state;
	assert_wrong("stauts", "there is no command \"stauts\"; did you mean status?");
	assert_wrong("event list", "there is no command \"event\"; did you mean events?");
	assert_wrong("xyzzy", "there is no command \"xyzzy\"");
	assert_wrong("ls", "there is no command \"ls\"");
	assert_wrong("events shwo x", "events has no subcommand \"shwo\"; did you mean show?");
	assert_wrong("events remove", "events has no subcommand \"remove\"");
	assert_wrong("events list --limt 5", "there is no option \"limt\"; did you mean --limit?");
	assert_wrong("status --limit 5", "there is no option \"limit\"");
	assert_wrong("status -x", "there is no option \"-x\"");
	assert_wrong("status now", "status takes no arguments, not also \"now\"");
	assert_wrong("events show a b", "events show takes EVENT, not also \"b\"");
	assert_wrong("events show", "events show wants EVENT");
	assert_wrong("events list --limit", "a N is missing after \"--limit\"");
	assert_wrong("events list --limit 1 --limit 2", "this option was given twice: \"--limit\"");
	assert_wrong("dlq replay --all=yes", "this option takes no value: \"--all=yes\"");
	assert_wrong("status --timeout 0",
		"--timeout takes whole seconds from 1 to 86400, not \"0\"");
}

static void test_distance(void **state)
{
	(void)state;
	static const struct {
		const char *a;
		const char *b;
		unsigned distance;
	} cases[] = {
		{ "", "", 0 },
		{ "", "ab", 2 },
		{ "status", "status", 0 },
		{ "status", "stauts", 1 },
		{ "status", "tatus", 1 },
		{ "status", "statusx", 1 },
		{ "status", "stadus", 1 },
		{ "status", "tsatsu", 2 },
		{ "status", "reload", 3 },
		{ "abcdefghijklmnopqrstuvwxyz0123456789", "a", 3 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(arguments_distance(cases[i].a, cases[i].b, 2), cases[i].distance);
		assert_int_equal(arguments_distance(cases[i].b, cases[i].a, 2), cases[i].distance);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_and_arguments),
		cmocka_unit_test(test_options_stand_anywhere),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_an_option_may_repeat),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_distance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

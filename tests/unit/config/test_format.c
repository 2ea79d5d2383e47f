/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Formatting: one form for all, no comment lost, nothing changed, and nothing left to do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config_format.h"

static struct config_report report;

static char *format(const char *text, enum result expected)
{
	char *formatted = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&formatted, &size);

	assert_non_null(file);
	enum result result = config_format("t", bytes_of_text(text), file, &report);
	assert_int_equal(fclose(file), 0);
	if (result != expected) print_error("%s\n", text);
	assert_int_equal(result, expected);
	return formatted;
}

static const struct {
	const char *text;
	const char *formatted;
} cases[] = {
	/* spaces and indentation */
	{ "a:   b\nc:\n      d:  e\n", "a: b\nc:\n  d: e\n" },
	{ "a:\n- b\n-    c\n", "a:\n  - b\n  - c\n" },
	{ "a:\n-   b: 1\n    c: 2\n", "a:\n  - b: 1\n    c: 2\n" },
	{ "a: {b: c,d: [e,f] ,g: {} , h: [ ]}\n", "a: { b: c, d: [e, f], g: {}, h: [] }\n" },
	{ "a:\n  -\n    b: 1\n  - - c\n    - d\n", "a:\n  - b: 1\n  - - c\n    - d\n" },
	{ "a:\r\n   b: c # d\r\n", "a:\n  b: c  # d\n" },
	{ "\xEF\xBB\xBF"
	  "a: b",
		"a: b\n" },
	/* empty lines */
	{ "\n\n# x\n\n\n\na: 1\n\n\n\nb: 2\n\n\n", "# x\n\na: 1\n\nb: 2\n" },
	/* quotes stay; what is spread over lines comes on one, quoted where it must be */
	{ "a: \"b\"\nc: 'd'\n'e': f\n", "a: \"b\"\nc: 'd'\n'e': f\n" },
	{ "a: b\n   c\nd: >-\n  e\nf: \"g\\\n  h\"\n", "a: 'b c'\nd: e\nf: gh\n" },
	{ "a: '[::1]:1'\nb: it's\n", "a: '[::1]:1'\nb: it's\n" },
	{ "a: x: y\n", NULL },
	/* braces */
	{ "a: { b: 1,\n  c: 2 }\n", "a:\n  b: 1\n  c: 2\n" },
	{ "a: [{ b: 1,\n  c: 2 }]\n", "a:\n  - b: 1\n    c: 2\n" },
	{ "a: {b: -}\n", "a: { b: '-' }\n" },
	{ "a: { b: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, c: "
	  "bbbbbbbbbbbbbbbbbbbbbbbbbbbb }\n",
		"a:\n  b: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  c: "
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\n" },
	/* comments: in front, behind, between, inside */
	{ "# a\na: 1 # b\n # c\nb: 2\n# d\n", "# a\na: 1 # b\n# c\nb: 2\n# d\n" },
	{ "a: 1      # b\nbb: 2     # c\n", "a: 1      # b\nbb: 2     # c\n" },
	{ "a:\n      b: 1\n      # end of a\n# about c\nc: 2\n",
		"a:\n  b: 1\n  # end of a\n# about c\nc: 2\n" },
	{ "a: # head\n    - b: 1 # one\n      # in b\n    # in a\n    - c\n",
		"a: # head\n  - b: 1   # one\n    # in b\n  # in a\n  - c\n" },
	{ "a:\n- b\n# about c\nc: 1\n", "a:\n  - b\n# about c\nc: 1\n" },
	{ "a: { b: 1, # one\n     # two\n     c: 2 } # three\n",
		"a:\n  b: 1     # one\n  # two\n  c: 2      # three\n" },
	{ "a:\n  # before\n  b: 1\n", "a:\n  # before\n  b: 1\n" },
	{ "a: '#no' #yes\nb: x#no\n", "a: '#no' #yes\nb: x#no\n" },
	{ "a: >- # c\n  b\nd: 1\n", "a: b\n# c\nd: 1\n" },
	{ "a:\n  # alone\n  b\n", "a: b\n# alone\n" },
	{ "\xC3\xA4: \xC3\xB6   # \xC3\xBC\n", "\xC3\xA4: \xC3\xB6   # \xC3\xBC\n" },
};

static void a_file_takes_the_common_form_and_keeps_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		bool good = cases[i].formatted != NULL;
		char *once = format(cases[i].text, good ? RESULT_OK : RESULT_CONFIG);

		assert_string_equal(once, good ? cases[i].formatted : "");
		if (good) {
			char *again = format(once, RESULT_OK);
			assert_string_equal(again, once);
			free(again);
		} else {
			assert_true(report.error_count > 0);
			assert_true(report.diagnostics[0].excerpt[0] != '\0');
		}
		free(once);
	}
}

static void what_is_no_configuration_is_left_alone(void **state)
{
	static const char *const bad[] = { "", "# only a comment\n", "- a\n", "text\n", "a: &b c\n",
		"a: *b\n", "a: b\n---\nc: d\n", "a:\n\tb: c\n", "a: |\n  b\n  c\n", "a: \xFF\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		char *formatted = format(bad[i], RESULT_CONFIG);
		assert_string_equal(formatted, "");
		assert_true(report.error_count > 0);
		free(formatted);
	}
}

static void the_example_is_formatted(void **state)
{
	bool same = false;
	FILE *nowhere = fopen("/dev/null", "w");

	(void)state;
	assert_non_null(nowhere);
	assert_int_equal(config_format_file("packaging/penstock.yaml.example", nowhere, &same,
				 &report),
		RESULT_OK);
	assert_true(same);
	assert_int_equal(fclose(nowhere), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_takes_the_common_form_and_keeps_it),
		cmocka_unit_test(what_is_no_configuration_is_left_alone),
		cmocka_unit_test(the_example_is_formatted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

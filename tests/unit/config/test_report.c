/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Diagnostics as people and programs get them: in order, with an excerpt that shows the place
 * but no secret, and with codes that are explained.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/check.h"
#include "base/cursor.h"
#include "config/config_codes.h"
#include "config/config_excerpt.h"
#include "config/config_keys.h"

static struct config_report report;

static void an_excerpt_is_the_line_with_its_place(void **state)
{
	static const char text[] = "first\n  second: x\r\n\tth\xC3\xBCrd: y\n";
	char excerpt[CONFIG_EXCERPT_SIZE];
	uint32_t caret;

	(void)state;
	config_excerpt(BYTES_LITERAL(text), (struct config_position){ 2, 3 }, excerpt, &caret);
	assert_string_equal(excerpt, "  second: x");
	assert_int_equal(caret, 2);
	config_excerpt(BYTES_LITERAL(text), (struct config_position){ 3, 9 }, excerpt, &caret);
	assert_string_equal(excerpt, " th\xC3\xBCrd: y");
	assert_int_equal(caret, 8);
	config_excerpt(BYTES_LITERAL(text), (struct config_position){ 9, 1 }, excerpt, &caret);
	assert_string_equal(excerpt, "");
	config_excerpt(BYTES_LITERAL(text), (struct config_position){ 0, 0 }, excerpt, &caret);
	assert_string_equal(excerpt, "");
}

static void an_excerpt_shows_no_secret(void **state)
{
	static const struct {
		const char *line;
		uint32_t column;
		const char *excerpt;
		uint32_t caret;
	} cases[] = {
		{ "{ secret: abc, x: y }", 3, "{ secret:***", 2 },
		{ "{ \"secret\" : abc }", 3, "{ \"secret\" :***", 2 },
		{ "{ secret: abc, x: y }", 16, "{ secret:***", 9 },
		{ "{ PASSWORD: abc }", 1, "{ PASSWORD:***", 0 },
		{ "{ secret_file: abc }", 3, "{ secret_file: abc }", 2 },
		{ "{ x: whsec_abc+/=, y: z }", 19, "{ x: ***, y: z }", 9 },
		{ "{ x: whsec_abc, y: z }", 9, "{ x: ***, y: z }", 5 },
		{ "url: https://me:pw@a.example/p@q", 1, "url: https://***@a.example/p@q", 0 },
		{ "url: https://a.example/p@q", 1, "url: https://a.example/p@q", 0 },
		{ "a\x1b[31mb\xFF", 1, "a?[31mb?", 0 },
	};
	char excerpt[CONFIG_EXCERPT_SIZE];
	uint32_t caret;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		config_excerpt(bytes_of_text(cases[i].line),
			(struct config_position){ 1, cases[i].column }, excerpt, &caret);
		assert_string_equal(excerpt, cases[i].excerpt);
		assert_int_equal(caret, cases[i].caret);
	}
}

/* Of a long line the part around the place is shown, wherever that is. */
static void a_long_line_is_cut_to_a_window(void **state)
{
	static char line[5000];
	char excerpt[CONFIG_EXCERPT_SIZE];
	uint32_t caret;

	(void)state;
	for (size_t i = 0; i < sizeof line; i++) line[i] = (char)('0' + i % 10);
	for (uint32_t column = 1; column <= sizeof line; column++) {
		config_excerpt(bytes_of(line, sizeof line), (struct config_position){ 1, column },
			excerpt, &caret);
		/* An ellipsis is one character of three bytes. */
		bool cut = (uint8_t)excerpt[0] == 0xE2;
		size_t at = caret + (cut ? 2 : 0);
		assert_true(caret < 120);
		assert_true(at < strlen(excerpt));
		assert_int_equal(excerpt[at], line[column - 1]);
	}
}

static void diagnostics_stand_in_the_order_of_the_file(void **state)
{
	static const struct config_position places[] = { { 5, 1 }, { 0, 0 }, { 5, 1 }, { 2, 9 },
		{ 2, 3 }, { 7, 1 } };
	static const char *const expected[] = { "1", "4", "3", "0", "2", "5" };

	(void)state;
	config_report_init(&report, "t");
	for (uint32_t i = 0; i < ARRAY_COUNT(places); i++) {
		config_report_add(&report, CONFIG_ERROR, PS_NAME, places[i], NULL, "%u", i);
	}
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
		assert_string_equal(report.diagnostics[i].sentence, expected[i]);
	}
}

static void errors_take_the_place_of_warnings(void **state)
{
	(void)state;
	config_report_init(&report, "t");
	for (uint32_t i = 1; i <= CONFIG_DIAGNOSTICS_MAX + 6; i++) {
		config_report_add(&report, CONFIG_WARNING, PS_NO_EFFECT,
			(struct config_position){ i, 1 }, NULL, "warning");
	}
	assert_int_equal(report.count, CONFIG_DIAGNOSTICS_MAX);
	assert_int_equal(report.error_count, 0);
	assert_int_equal(report.dropped_count, 6);
	for (uint32_t i = 1; i <= CONFIG_DIAGNOSTICS_MAX + 3; i++) {
		config_report_add(&report, CONFIG_ERROR, PS_NAME, (struct config_position){ i, 2 },
			NULL, "error");
		assert_int_equal(report.count, CONFIG_DIAGNOSTICS_MAX);
	}
	assert_int_equal(report.error_count, CONFIG_DIAGNOSTICS_MAX + 3);
	assert_int_equal(report.dropped_count, 6 + CONFIG_DIAGNOSTICS_MAX + 3);
	for (uint32_t i = 0; i < report.count; i++) {
		assert_int_equal(report.diagnostics[i].severity, CONFIG_ERROR);
		assert_int_equal(report.diagnostics[i].position.line, i + 1);
	}
}

/* What a cut at the end of the buffer leaves is still UTF-8. */
static void long_sentences_are_cut_between_characters(void **state)
{
	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		char sentence[400] = "aaaa";
		struct writer writer = writer_of(sentence + lead, sizeof sentence - 1 - lead);

		for (size_t i = 0; i < 120; i++) write_text(&writer, "\xE2\x80\xA6");
		config_report_init(&report, "t");
		config_report_add(&report, CONFIG_ERROR, PS_NAME, (struct config_position){ 0 },
			NULL, "%s", sentence);
		size_t size = strlen(report.diagnostics[0].sentence);
		assert_int_equal((size - lead) % 3, 0);
		assert_in_range(size, 253, 255);
	}
}

static char *print_to_text(void (*print)(FILE *file))
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	print(file);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void print_human(FILE *file)
{
	config_report_print(&report, file, false);
}

static void print_coloured(FILE *file)
{
	config_report_print(&report, file, true);
}

static void print_json(FILE *file)
{
	config_report_print_json(&report, file);
}

static void parse_two_mistakes(void)
{
	static const char text[] = "drain_timeout: 30\nlog: { lvel: \"a\\\\b\" }\n"
				   "listeners: [{ address: '[::1]:1', tls: off }]\n"
				   "targets: [{ name: app, url: 'https://a.example' }]\n"
				   "endpoints: [{ name: a, path: /a, scheme: github, "
				   "secret_file: s, target: app }]\nstore: { path: d }\n";
	struct config *config = NULL;

	assert_int_equal(config_parse("dir/p.yaml", bytes_of_text(text), &config, &report),
		RESULT_CONFIG);
}

static void people_see_the_line_a_caret_and_a_hint(void **state)
{
	static const char expected[] =
		"dir/p.yaml:1:16: error[PS1103]: drain_timeout: '30' has no unit\n"
		"    1 | drain_timeout: 30\n"
		"      |                ^\n"
		"      = hint: for example 30s; units are ms, s, m, h or d\n"
		"dir/p.yaml:2:8: error[PS1002]: unknown key 'lvel' in log\n"
		"    2 | log: { lvel: \"a\\\\b\" }\n"
		"      |        ^\n"
		"      = hint: did you mean 'level'?\n"
		"dir/p.yaml: 2 errors, 0 warnings\n";

	(void)state;
	parse_two_mistakes();
	char *text = print_to_text(print_human);
	assert_string_equal(text, expected);
	assert_null(strchr(text, '\x1b'));
	free(text);

	text = print_to_text(print_coloured);
	assert_non_null(strstr(text, "\x1b[1;31merror[PS1103]:\x1b[0m"));
	free(text);
}

static void programs_get_json(void **state)
{
	(void)state;
	parse_two_mistakes();
	char *text = print_to_text(print_json);
	yyjson_doc *document = yyjson_read(text, strlen(text), 0);
	assert_non_null(document);
	yyjson_val *root = yyjson_doc_get_root(document);

	assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "schema")),
		"penstock.diagnostics/v1");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "file")), "dir/p.yaml");
	assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "errors")), 2);
	yyjson_val *list = yyjson_obj_get(root, "diagnostics");
	assert_int_equal(yyjson_arr_size(list), 2);
	yyjson_val *second = yyjson_arr_get(list, 1);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(second, "severity")), "error");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(second, "code")), "PS1002");
	assert_int_equal(yyjson_get_uint(yyjson_obj_get(second, "line")), 2);
	assert_int_equal(yyjson_get_uint(yyjson_obj_get(second, "column")), 8);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(second, "excerpt")),
		"log: { lvel: \"a\\\\b\" }");
	yyjson_doc_free(document);
	free(text);
}

static void every_code_is_unique_and_explained(void **state)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	(void)state;
	assert_true(count > 40);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(strlen(codes[i].code), 6);
		assert_memory_equal(codes[i].code, "PS", 2);
		assert_true(strlen(codes[i].title) > 8);
		assert_true(strlen(codes[i].explanation) > 20);
		/* In order, so that none is there twice. */
		if (i > 0) assert_true(strcmp(codes[i - 1].code, codes[i].code) < 0);
	}
}

/* Codes that a source file of ours names in quotes. */
static void expect_explained(const char *path)
{
	static char text[1 << 20];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t size = fread(text, 1, sizeof text - 1, file);
	assert_int_equal(fclose(file), 0);
	text[size] = '\0';
	for (const char *at = strstr(text, "\"PS"); at != NULL; at = strstr(at + 1, "\"PS")) {
		char code[7] = "";
		memcpy(code, at + 1, strnlen(at + 1, 6));
		bool is_code = strspn(code + 2, "0123456789") == 4 && at[7] == '"';
		if (is_code && !config_code_known(code)) {
			fail_msg("%s: %s is not in config_codes.c", path, code);
		}
	}
}

static void every_code_in_the_sources_is_explained(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob("dataplane/*.c", 0, NULL, &found), 0);
	assert_int_equal(glob("dataplane/*/*.[ch]", GLOB_APPEND, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) expect_explained(found.gl_pathv[i]);
	globfree(&found);
}

/* The reference documentation is made from the tables. */
static void every_key_is_documented(void **state)
{
	size_t section_count;
	const struct config_section *const *sections = config_sections(&section_count);

	(void)state;
	assert_ptr_equal(sections[0], &config_root);
	for (size_t i = 0; i < section_count; i++) {
		assert_true(sections[i]->key_count > 0);
		assert_true(strlen(sections[i]->help) > 5);
		for (uint32_t j = 0; j < sections[i]->key_count; j++) {
			const struct config_key *key = &sections[i]->keys[j];
			assert_true(strlen(key->help) > 5);
			if (key->type == CONFIG_TYPE_REFUSED) continue;
			assert_non_null(key->example);
			assert_false(key->required && key->has_default);
			if (key->has_default && key->max > 0) {
				assert_in_range(key->default_value, key->min, key->max);
			}
			if (key->arity == CONFIG_LIST) assert_true(key->max > 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_excerpt_is_the_line_with_its_place),
		cmocka_unit_test(an_excerpt_shows_no_secret),
		cmocka_unit_test(a_long_line_is_cut_to_a_window),
		cmocka_unit_test(diagnostics_stand_in_the_order_of_the_file),
		cmocka_unit_test(errors_take_the_place_of_warnings),
		cmocka_unit_test(long_sentences_are_cut_between_characters),
		cmocka_unit_test(people_see_the_line_a_caret_and_a_hint),
		cmocka_unit_test(programs_get_json),
		cmocka_unit_test(every_code_is_unique_and_explained),
		cmocka_unit_test(every_code_in_the_sources_is_explained),
		cmocka_unit_test(every_key_is_documented),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

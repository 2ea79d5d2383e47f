/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Codes: every one is explained with an example that is true, and every one is used. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "config/config.h"
#include "config/config_codes.h"

static struct config_report report;

/* The sections that must be there, for those an example leaves out. */
static const struct {
	const char *key;
	const char *text;
} rest[] = {
	{ "listeners:",
		"listeners: [{ address: 127.0.0.1:8443, tls: { certificate: c, key: k } }]\n" },
	{ "endpoints:",
		"endpoints: [{ name: github, path: /github, scheme: github, secret_file: "
		"s, target: app }]\n" },
	{ "targets:", "targets: [{ name: app, url: 'https://app.example' }]\n" },
	{ "store:", "store: { path: d }\n" },
};

static bool has_key(const char *text, const char *key)
{
	for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
		if (at == text || at[-1] == '\n') return true;
	}
	return false;
}

static bool is_reported(const char *example, const char *code)
{
	char text[4096];
	struct writer writer = writer_of(text, sizeof text);
	struct config *config = NULL;

	write_text(&writer, example);
	for (size_t i = 0; i < ARRAY_COUNT(rest); i++) {
		if (!has_key(example, rest[i].key)) write_text(&writer, rest[i].text);
	}
	assert_false(writer.failed);
	if (config_parse("t", writer_bytes(&writer), &config, &report) == RESULT_OK) {
		config_free(config);
	}
	for (uint32_t i = 0; i < report.count; i++) {
		if (strcmp(report.diagnostics[i].code, code) == 0) return true;
	}
	return false;
}

static void every_code_has_all_its_parts(void **state)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct config_example *example = config_example_find(codes[i].code);

		if (example == NULL) fail_msg("%s has no example", codes[i].code);
		assert_true(strlen(example->wrong) > 5);
		assert_true(strlen(example->right) > 5);
		assert_true(strlen(example->fix) > 8);
		assert_int_equal(example->wrong[strlen(example->wrong) - 1], '\n');
		assert_int_equal(example->right[strlen(example->right) - 1], '\n');
		assert_string_not_equal(example->wrong, example->right);
	}
	assert_null(config_example_find("PS0000"));
}

static void what_is_called_wrong_is_refused_for_it_and_what_is_called_right_is_not(void **state)
{
	size_t count;
	size_t tried = 0;
	const struct config_code *codes = config_codes(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct config_example *example = config_example_find(codes[i].code);

		if (strncmp(example->wrong, "$ ", 2) == 0) continue;
		tried++;
		if (!is_reported(example->wrong, codes[i].code)) {
			config_report_print(&report, stderr, false);
			fail_msg("the wrong example of %s is not wrong", codes[i].code);
		}
		(void)is_reported(example->right, codes[i].code);
		if (report.count > 0) {
			config_report_print(&report, stderr, false);
			fail_msg("the right example of %s is not right", codes[i].code);
		}
	}
	assert_true(tried > 40);
}

/* ---- Use ------------------------------------------------------------------------------------- */

static char *file_text(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	char piece[4096];
	FILE *to = open_memstream(&text, &size);
	FILE *file = fopen(path, "r");

	assert_non_null(to);
	assert_non_null(file);
	for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;) {
		fwrite(piece, 1, got, to);
	}
	assert_int_equal(fclose(file), 0);
	assert_int_equal(fclose(to), 0);
	return text;
}

static bool is_name_end(char c)
{
	return c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9');
}

/* Whether a source other than the two tables says the macro's name. */
static bool is_used(const char *name, const glob_t *sources)
{
	bool used = false;

	for (size_t i = 0; i < sources->gl_pathc && !used; i++) {
		const char *path = sources->gl_pathv[i];
		if (strstr(path, "config_codes.") != NULL) continue;
		if (strstr(path, "config_examples.") != NULL) continue;
		char *text = file_text(path);
		for (char *at = strstr(text, name); at != NULL && !used;
			at = strstr(at + 1, name)) {
			used = is_name_end(at[strlen(name)]);
		}
		free(text);
	}
	return used;
}

static void every_code_is_used(void **state)
{
	glob_t sources;
	size_t count = 0;
	char *header = file_text("dataplane/config/config_codes.h");

	(void)state;
	assert_int_equal(glob("dataplane/*.c", 0, NULL, &sources), 0);
	assert_int_equal(glob("dataplane/*/*.c", GLOB_APPEND, NULL, &sources), 0);
	for (char *at = strstr(header, "#define PS_"); at != NULL;
		at = strstr(at + 1, "#define PS_")) {
		char name[64];
		char code[8];
		assert_int_equal(sscanf(at, "#define %63s \"%6s", name, code), 2);
		count++;
		if (!config_code_known(code)) fail_msg("%s %s is not in the table", name, code);
		if (!is_used(name, &sources)) fail_msg("nothing reports %s (%s)", name, code);
	}
	size_t known;
	(void)config_codes(&known);
	assert_int_equal(count, known);
	globfree(&sources);
	free(header);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_all_its_parts),
		cmocka_unit_test(
			what_is_called_wrong_is_refused_for_it_and_what_is_called_right_is_not),
		cmocka_unit_test(every_code_is_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

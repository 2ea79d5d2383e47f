/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Documents made from the tables: those in the repository are what the tables say now. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "config/config_keys.h"
#include "config/config_reference.h"

static char *printed(void (*print)(void *file))
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	print(file);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void expect_current(const char *path, void (*print)(void *file))
{
	char *expected = printed(print);
	size_t size = strlen(expected);
	char *text = alloc_array(size + 2, 1);
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t got = fread(text, 1, size + 1, file);
	assert_int_equal(fclose(file), 0);
	if (got != size || memcmp(text, expected, size) != 0) {
		fail_msg("%s is not what the tables say: run make reference", path);
	}
	alloc_free(text);
	free(expected);
}

static void the_documents_in_the_repository_are_current(void **state)
{
	(void)state;
	expect_current("docs/configuration.md", config_reference_print_markdown);
	expect_current("docs/penstock.schema.json", config_schema_print);
}

/* Every key of every section, and none that is refused. */
static void every_key_is_in_every_document(void **state)
{
	char *markdown = printed(config_reference_print_markdown);
	char *man = printed(config_reference_print_man);
	char *schema = printed(config_schema_print);
	yyjson_doc *document = yyjson_read(schema, strlen(schema), 0);
	size_t count;
	const struct config_section *const *sections = config_sections(&count);

	(void)state;
	assert_non_null(document);
	yyjson_val *defs = yyjson_obj_get(yyjson_doc_get_root(document), "$defs");
	for (size_t i = 0; i < count; i++) {
		const char *name = sections[i]->name[0] == '\0' ? "file" : sections[i]->name;
		yyjson_val *keys = yyjson_obj_get(yyjson_obj_get(defs, name), "properties");
		for (uint32_t j = 0; j < sections[i]->key_count; j++) {
			const struct config_key *key = &sections[i]->keys[j];
			char text[80];
			bool refused = key->type == CONFIG_TYPE_REFUSED;

			assert_true((yyjson_obj_get(keys, key->name) == NULL) == refused);
			snprintf(text, sizeof text, "\n| `%s`", key->name);
			if (!refused) assert_non_null(strstr(markdown, text));
			snprintf(text, sizeof text, "\n.B %s\n", key->name);
			if (!refused) assert_non_null(strstr(man, text));
		}
	}
	yyjson_doc_free(document);
	free(markdown);
	free(man);
	free(schema);
}

static void every_code_is_in_the_manual(void **state)
{
	char *man = printed(config_codes_print_man);
	size_t count;
	const struct config_code *codes = config_codes(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		char text[32];
		snprintf(text, sizeof text, "\n.SS %s: ", codes[i].code);
		assert_non_null(strstr(man, text));
	}
	free(man);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documents_in_the_repository_are_current),
		cmocka_unit_test(every_key_is_in_every_document),
		cmocka_unit_test(every_code_is_in_the_manual),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

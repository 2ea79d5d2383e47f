/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a reload says of what it changed: names of elements and keys, each change once, nothing for
 * what is the same, and never a value. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_changes.h"
#include "lib/folder.h"

#define LISTENERS "listeners: [{ address: '127.0.0.1:8443', tls: { certificate: c, key: k } }]\n"
#define ENDPOINTS \
	"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, targets: [app] }]\n"
#define TARGETS "targets: [{ name: app, url: 'https://app.example/' }]\n"
#define REST "store: { path: d }\n"

static struct config_report report;
static struct config_changes changes;

static struct config *parse(const char *path, const char *text)
{
	struct config *config = NULL;
	enum result result = config_parse(path, bytes_of_text(text), &config, &report);

	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	return config;
}

static void find(const char *before, const char *after)
{
	struct config *old = parse("t", before);
	struct config *next = parse("t", after);
	uint64_t *old_stamps = config_stamps_take(old);
	uint64_t *next_stamps = config_stamps_take(next);

	config_changes_find(old, old_stamps, next, next_stamps, &changes);
	alloc_free(old_stamps);
	alloc_free(next_stamps);
	config_free(old);
	config_free(next);
}

static const struct {
	const char *before;
	const char *after;
	const char *line; /* NULL: nothing has changed */
} cases[] = {
	{ LISTENERS ENDPOINTS TARGETS REST, LISTENERS ENDPOINTS TARGETS REST, NULL },
	{ LISTENERS ENDPOINTS TARGETS REST, TARGETS REST "# other\n" ENDPOINTS LISTENERS, NULL },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS "endpoints: [{ name: a, path: /b, scheme: github, secret_file: s,"
			  " target: app, tolerance: 9s }]\n" TARGETS REST,
		"endpoint a: path, tolerance" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS "endpoints: [{ name: a, path: /a, scheme: github, secret_file: s,"
			  " target: app }]\n" TARGETS REST,
		NULL },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS "targets: [{ name: app, url: 'https://app.example/',"
				    " retry: { attempts: 9 } }]\n" REST,
		"target app: retry" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS
		"targets: [{ name: app, url: 'https://app.example/?key=x' }]\n" REST,
		"target app: url" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		"listeners: [{ address: '127.0.0.1:8443', tls: off }]\n" ENDPOINTS TARGETS REST,
		"listener 127.0.0.1:8443: tls" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS TARGETS REST "log: { level: error }\n", "log.level" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS TARGETS REST "log: { format: json }\n", "log.format" },
	{ LISTENERS ENDPOINTS TARGETS REST, LISTENERS ENDPOINTS TARGETS REST "drain_timeout: 9s\n",
		"drain_timeout" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS TARGETS REST "metrics: { address: '127.0.0.1:9464' }\n",
		"metrics" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		LISTENERS ENDPOINTS "targets: [{ name: app, url: 'https://app.example/',"
				    " retry: { attempts: 9, base: 2s },"
				    " secret_file: s2 }]\n" REST,
		"target app: retry, secret_file" },
	{ LISTENERS ENDPOINTS TARGETS REST,
		"listeners: [{ address: '127.0.0.1:8443', tls: { certificate: c, key: k,"
		" certificates: [{ certificate: 'se.cret', key: k2,"
		" names: [b.example] }] } }]\n" ENDPOINTS TARGETS REST,
		"listener 127.0.0.1:8443: tls" },
};

static void test_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		find(cases[i].before, cases[i].after);
		if (cases[i].line == NULL) {
			if (changes.count > 0) printf("%zu: %s\n", i, changes.lines[0]);
			assert_int_equal(changes.count, 0);
			continue;
		}
		assert_int_equal(changes.count, 1);
		assert_string_equal(changes.lines[0], cases[i].line);
	}
}

static void test_elements(void **state)
{
	(void)state;
	find(LISTENERS ENDPOINTS TARGETS REST,
		"listeners: [{ address: '127.0.0.1:8443', tls: { certificate: c, key: k } },\n"
		"  { address: '[::1]:8443', tls: off }]\n"
		"endpoints: [{ name: b, path: /b, scheme: github, secret_file: s,"
		" target: app }]\n" TARGETS REST);
	assert_int_equal(changes.count, 3);
	assert_string_equal(changes.lines[0], "listener [::1]:8443: added");
	assert_string_equal(changes.lines[1], "endpoint a: removed");
	assert_string_equal(changes.lines[2], "endpoint b: added");
}

/* More than fit are counted. */
static void test_many(void **state)
{
	static char text[64 * 1024];
	size_t size =
		(size_t)snprintf(text, sizeof text, "%s", LISTENERS TARGETS REST "endpoints:\n");

	(void)state;
	for (unsigned i = 0; i < CONFIG_CHANGES_MAX + 10; i++) {
		size += (size_t)snprintf(text + size, sizeof text - size,
			"  - { name: e%u, path: /%u, scheme: github, secret_file: s,"
			" target: app }\n",
			i, i);
	}
	find(LISTENERS ENDPOINTS TARGETS REST, text);
	assert_int_equal(changes.count, CONFIG_CHANGES_MAX);
	assert_int_equal(changes.dropped_count, 11);
}

static void file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A secret that was changed in place, or that has come: the text is the same, the file is not. */
static void test_files(void **state)
{
	char folder[FOLDER_PATH_SIZE];
	char path[FOLDER_PATH_SIZE];
	char secret[FOLDER_PATH_SIZE];

	(void)state;
	folder_make(folder);
	folder_path(path, folder, "penstock.yaml");
	folder_path(secret, folder, "s");
	struct config *config = parse(path, LISTENERS ENDPOINTS TARGETS REST);
	uint64_t *none = config_stamps_take(config);
	file_write(secret, "one");
	uint64_t *first = config_stamps_take(config);
	config_changes_find(config, none, config, first, &changes);
	assert_int_equal(changes.count, 1);
	assert_string_equal(changes.lines[0], "endpoint a: files written anew");

	file_write(secret, "another");
	uint64_t *second = config_stamps_take(config);
	config_changes_find(config, first, config, second, &changes);
	assert_int_equal(changes.count, 1);
	config_changes_find(config, second, config, second, &changes);
	assert_int_equal(changes.count, 0);
	alloc_free(none);
	alloc_free(first);
	alloc_free(second);
	config_free(config);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

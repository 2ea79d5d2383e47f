/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration shown is the same configuration, and a difference is one of meaning. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config_diff.h"

static struct config_report report;

static const char everything[] =
	"listeners:\n"
	"  - name: public\n"
	"    address: '[::1]:443'\n"
	"    tls: { certificate: a.pem, key: a.key, certificates: [{ certificate: \"it's.pem\", "
	"key: b.key, names: [b.example, '*.b.example'] }], client_certificate: optional, "
	"client_ca: ca.pem }\n"
	"  - { address: 127.0.0.1:80, tls: off }\n"
	"endpoints:\n"
	"  - { name: a, host: Hooks.Example, path: \"/a,'b'\", scheme: github, "
	"secret_file: 's: t', "
	"previous_secret_file: t, public_url: 'https://a.example', tolerance: 300s, "
	"replay_window: 24h, body_size: 2048KiB, target: x }\n"
	"  - { name: b, path: /b, scheme: stripe, secret_file: s, targets: [y, x] }\n"
	"  - { name: c, path: /c, scheme: stripe, secret_file: s, targets: [] }\n"
	"targets:\n"
	"  - { name: x, url: 'https://x.example/?a=b&c', timeout: 1500ms, retry: { base: 2s } }\n"
	"  - { name: y, url: 'http://127.0.0.1:1/' }\n"
	"store: { path: d, quota: 1GiB }\n"
	"workers: { cpus: [0] }\n"
	"control: { group: g, admins: [u, v] }\n"
	"metrics: { address: '127.0.0.1:9464' }\n"
	"log: { level: debug }\n";

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	enum result result = config_parse("/f/t", bytes_of_text(text), &config, &report);

	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	return config;
}

static char *show(const struct config *config, bool defaults)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	config_show(config, defaults, file);
	assert_int_equal(fclose(file), 0);
	return text;
}

/* Replaces the first `was` of `everything`. The text is taken with free(). */
static char *edited(const char *was, const char *is)
{
	char *text = NULL;
	const char *at = strstr(everything, was);

	assert_non_null(at);
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - everything), everything, is,
			    at + strlen(was)) > 0);
	return text;
}

static struct config_difference compare(const struct config *before, const struct config *after,
	struct config_arena *arena)
{
	struct config_settings left = config_settings_of(before, arena);
	struct config_settings right = config_settings_of(after, arena);
	return config_diff(&left, &right, arena);
}

static void expect_same(const struct config *config, bool defaults)
{
	struct config_arena *arena = config_arena_create();
	char *shown = show(config, defaults);
	struct config *again = parse(shown);
	struct config_difference changes = compare(config, again, arena);

	if (changes.count > 0) print_error("%s\n%s\n", changes.all[0].path, shown);
	assert_int_equal(changes.count, 0);
	free(shown);
	shown = show(again, defaults);
	char *once_more = show(config, defaults);
	if (!defaults) assert_string_equal(shown, once_more);
	free(once_more);
	free(shown);
	config_free(again);
	config_arena_free(arena);
}

static void what_is_shown_loads_and_means_the_same(void **state)
{
	struct config *config = parse(everything);

	(void)state;
	expect_same(config, false);
	expect_same(config, true);
	config_free(config);
}

static void a_default_is_shown_as_one(void **state)
{
	struct config *config = parse(everything);
	char *effective = show(config, true);
	char *written = show(config, false);

	(void)state;
	assert_non_null(strstr(effective, "\n    connect_timeout: 5s  # default\n"));
	assert_non_null(strstr(effective, "\n    timeout: 1500ms\n"));
	assert_non_null(strstr(effective, "\n  retention: 7d  # default\n"));
	assert_non_null(strstr(effective, "\n    # ca_file: the system's authorities\n"));
	/* Not there, so that its defaults are none. */
	assert_null(strstr(effective, "sample_ratio"));
	assert_null(strstr(written, "connect_timeout"));
	assert_null(strstr(written, "retention"));
	assert_null(strchr(written, '#'));
	free(effective);
	free(written);
	config_free(config);
}

/* One change of the text and what it is found to mean: "kind path before after restart". */
static const struct {
	const char *was;
	const char *is;
	const char *change;
} changes[] = {
	{ "1500ms", "2s", "~ targets[x].timeout 1500ms 2s" },
	{ ", retry: { base: 2s }", "", "~ targets[x].retry.base 2s 1s" },
	{ "path: d, quota: 1GiB", "path: d", "- store.quota 1GiB - restart" },
	{ "[u, v]", "[v]", "~ control.admins [u, v] [v] restart" },
	{ "cpus: [0]", "cpus: auto", "~ workers.cpus [0] auto restart" },
	{ "{ address: '127.0.0.1:9464' }", "off", "- metrics.address 127.0.0.1:9464 - restart" },
	{ "tls: off", "tls: { certificate: c, key: k }", "- listeners[127.0.0.1:80].tls off -" },
	{ "[y, x]", "[x, y]", "~ endpoints[b].targets [y, x] [x, y]" },
	{ "key: b.key", "key: c.key",
		"~ listeners['[::1]:443'].tls.certificates['/f/it''s.pem'].key /f/b.key /f/c.key" },
	{ "{ name: y, url: 'http://127.0.0.1:1/' }",
		"{ name: y, url: 'http://127.0.0.1:1/' }\n  - { name: z, url: 'http://127.0.0.1' }",
		"+ targets[z] - " },
	{ "log: {", "telemetry: { otlp: { endpoint: 'http://[::1]:4318' } }\nlog: {",
		"+ telemetry.otlp.sample_ratio - 0.01 restart" },
	{ "127.0.0.1:80", "127.0.0.1:81", "- listeners[127.0.0.1:80]  -" },
};

static bool has_change(const struct config_difference *found, const char *expected)
{
	static const char marks[] = "+-~";
	char text[512];

	for (uint32_t i = 0; i < found->count; i++) {
		const struct config_change *one = &found->all[i];
		snprintf(text, sizeof text, "%c %s %s %s%s", marks[one->kind], one->path,
			one->before == NULL ? "-" : one->before,
			one->after == NULL ? "-" : one->after, one->restart ? " restart" : "");
		if (strcmp(text, expected) == 0) return true;
	}
	for (uint32_t i = 0; i < found->count; i++) print_error("%s\n", found->all[i].path);
	return false;
}

static void a_change_of_meaning_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		struct config_arena *arena = config_arena_create();
		char *text = edited(changes[i].was, changes[i].is);
		struct config *before = parse(everything);
		struct config *after = parse(text);
		struct config_difference found = compare(before, after, arena);

		if (!has_change(&found, changes[i].change)) fail_msg("%s", changes[i].change);
		config_free(before);
		config_free(after);
		free(text);
		config_arena_free(arena);
	}
}

static void spelling_and_order_are_no_change(void **state)
{
	static const char *const same[][2] = {
		{ "300s", "5m" },
		{ "2048KiB", "2MiB" },
		{ "timeout: 1500ms", "connections: 64, timeout: 1500ms" },
		{ "target: x", "targets: ['x']" },
		{ "Hooks.Example", "hooks.example" },
		{ "log: { level: debug }", "# a comment\nlog:\n  level: \"debug\"" },
		{ "quota: 1GiB", "quota: 1024MiB, retention: 168h" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
		struct config_arena *arena = config_arena_create();
		char *text = edited(same[i][0], same[i][1]);
		struct config *before = parse(everything);
		struct config *after = parse(text);

		assert_int_equal(compare(before, after, arena).count, 0);
		config_free(before);
		config_free(after);
		free(text);
		config_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_shown_loads_and_means_the_same),
		cmocka_unit_test(a_default_is_shown_as_one),
		cmocka_unit_test(a_change_of_meaning_is_named),
		cmocka_unit_test(spelling_and_order_are_no_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

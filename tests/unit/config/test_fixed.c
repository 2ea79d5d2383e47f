/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys that are read at the start: a later configuration that says something else is told so, at
 * the place, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_fixed.h"

#define ROUTES \
	"listeners: [{ address: '127.0.0.1:8443', tls: off }]\n" \
	"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: app }]\n" \
	"targets: [{ name: app, url: 'https://app.example/' }]\n"

static struct config_report report;

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	enum result result = config_parse("t", bytes_of_text(text), &config, &report);

	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	config_report_init(&report, "t");
	return config;
}

/* As a reload from one to the other. */
static void compare(const char *before, const char *after)
{
	struct config_fixed fixed;
	struct config *config = parse(before);

	config_fixed_take(config, &fixed);
	config_free(config);
	config = parse(after);
	config_fixed_compare(&fixed, config, &report);
	config_free(config);
}

static const char everything[] = ROUTES
	"store: { path: d, quota: 1GiB, retention: 3d, replay_entries: 2048 }\n"
	"workers: { cpus: [0], per_cpu: 2, connections: 100, requests: 50 }\n"
	"control: { socket: s, group: g, admins: [x, y], operators: [z] }\n"
	"metrics: { address: '127.0.0.1:9464' }\n"
	"telemetry: { otlp: { endpoint: 'http://h:1', sample_ratio: 0.25 } }\n"
	"drain_timeout: 9s\n";

static const struct {
	const char *key;
	const char *was;
	const char *is;
} changes[] = {
	{ "store.path", "path: d,", "path: e," },
	{ "store.quota", "quota: 1GiB", "quota: 2GiB" },
	{ "store.retention", "retention: 3d", "retention: 4d" },
	{ "store.replay_entries", "replay_entries: 2048", "replay_entries: 4096" },
	{ "workers.cpus", "cpus: [0]", "cpus: [0, 1]" },
	{ "workers.per_cpu", "per_cpu: 2", "per_cpu: 3" },
	{ "workers.connections", "connections: 100", "connections: 101" },
	{ "workers.requests", "requests: 50", "requests: 51" },
	{ "control.socket", "socket: s,", "socket: t," },
	{ "control.group", "group: g", "group: h" },
	{ "control.admins", "[x, y]", "[x]" },
	{ "control.admins", "[x, y]", "[xy]" },
	{ "control.operators", "[z]", "[v]" },
	{ "metrics.address", "'127.0.0.1:9464'", "'127.0.0.1:9465'" },
	{ "otlp.endpoint", "'http://h:1'", "'http://h:2'" },
	{ "otlp.sample_ratio", "0.25", "0.250001" },
};

static void a_change_is_reported_at_its_place(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		char text[sizeof everything + 64];
		const char *at = strstr(everything, changes[i].was);
		assert_non_null(at);
		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - everything), everything,
			changes[i].is, at + strlen(changes[i].was));
		compare(everything, text);

		char sentence[64];
		snprintf(sentence, sizeof sentence, "needs restart: %s", changes[i].key);
		const struct config_diagnostic *found = &report.diagnostics[0];
		if (report.count != 1) config_report_print(&report, stderr, false);
		assert_int_equal(report.count, 1);
		assert_int_equal(report.error_count, 0);
		assert_string_equal(found->code, PS_STAYS_UNTIL_RESTART);
		assert_string_equal(found->sentence, sentence);
		assert_true(found->position.line > 3);
		assert_true(found->excerpt[0] != '\0');
	}
}

static void a_default_is_a_value_too(void **state)
{
	(void)state;

	compare(ROUTES "store: { path: d }\n",
		ROUTES "store: { path: d, retention: 7d }\n"
		       "control: { socket: /run/penstock/control.sock }\nmetrics: off\n");
	assert_int_equal(report.count, 0);
	compare(ROUTES "store: { path: d }\nmetrics: { address: '127.0.0.1:9464' }\n"
		       "control: { group: g }\n",
		ROUTES "store: { path: d }\n");
	assert_int_equal(report.count, 2);
	assert_int_equal(report.diagnostics[0].position.line, 0);
}

static void what_a_reload_takes_over_is_not_mentioned(void **state)
{
	(void)state;

	compare(everything, everything);
	assert_int_equal(report.count, 0);
	compare(ROUTES "store: { path: d }\n",
		"listeners: [{ address: '127.0.0.1:8443', tls: off, name: other }]\n"
		"endpoints: [{ name: b, path: /b, scheme: stripe, secret_file: t, target: b }]\n"
		"targets: [{ name: b, url: 'https://b.example/', connections: 7 }]\n"
		"store: { path: d }\nlog: { level: debug }\n");
	assert_int_equal(report.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_reported_at_its_place),
		cmocka_unit_test(a_default_is_a_value_too),
		cmocka_unit_test(what_a_reload_takes_over_is_not_mentioned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

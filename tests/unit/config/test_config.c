/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configurations with one thing wrong: each is refused with its own code, at the exact place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config.h"
#include "config/config_codes.h"

#define LISTENERS "listeners: [{ address: 127.0.0.1:8443, tls: { certificate: c, key: k } }]\n"
#define ENDPOINTS \
	"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: app }]\n"
#define TARGETS "targets: [{ name: app, url: 'https://app.example' }]\n"
#define STORE "store: { path: d }\n"

/* Each begins with the part that is wrong; the rest is what makes the file whole. */
#define REST LISTENERS ENDPOINTS TARGETS STORE
#define REST_OF_LISTENERS ENDPOINTS TARGETS STORE
#define REST_OF_ENDPOINTS LISTENERS TARGETS STORE
#define REST_OF_TARGETS LISTENERS ENDPOINTS STORE
#define REST_OF_STORE LISTENERS ENDPOINTS TARGETS

#define GITHUB "scheme: github, secret_file: s, target: app"
#define LISTENER(text) "listeners:\n  - { " text " }\n" REST_OF_LISTENERS
#define LISTENER_TLS "tls: { certificate: c, key: k }"
#define ENDPOINT(text) "endpoints:\n  - { name: a, " text " }\n" REST_OF_ENDPOINTS
#define ENDPOINT_WITH(text) \
	ENDPOINT(text ", path: /a, " GITHUB)
#define TARGET(text) "targets:\n  - { name: app, " text " }\n" REST_OF_TARGETS
#define TARGET_WITH(text) TARGET(text ", url: 'https://app.example'")

static struct config_report report;

/* A '^' in the text stands right before the place that the diagnostic has to name, and is taken
 * out before the text is parsed. Without one it is about the file as a whole. */
struct broken {
	const char *text;
	const char *code;
};

static const struct broken form_cases[] = {
	/* YAML itself */
	{ "", PS_NO_VALUE },
	{ "# only a comment\n", PS_NO_VALUE },
	{ "^listeners\n", PS_WRONG_KIND },
	{ "^- a\n- b\n", PS_WRONG_KIND },
	{ "log:\n^\tlevel: notice\n" REST, PS_TAB },
	{ "log:\n  level: notice\n  ^\tx: y\n" REST, PS_TAB },
	{ "log:\n  level: notice\n   x^: y\n" REST, PS_SYNTAX },
	{ "log:\n  level: notice\n ^x: y\n" REST, PS_SYNTAX },
	{ "log: { level: ^\"notice }\n" REST, PS_SYNTAX },
	{ "log: { level: notice\nlisteners^: x\n", PS_SYNTAX },
	{ "log: { level: ^@notice }\n" REST, PS_SYNTAX },
	{ LISTENER("address: ^[::]:443, " LISTENER_TLS), PS_SYNTAX },
	{ "log: { level: \"^\\q\" }\n" REST, PS_SYNTAX },
	{ REST "^---\nlog: { level: info }\n", PS_YAML_FEATURE },
	{ "log: { level: ^&x notice }\n" REST, PS_YAML_FEATURE },
	{ "log: { level: ^*x }\n" REST, PS_YAML_FEATURE },
	{ "log: { level: ^!!str notice }\n" REST, PS_YAML_FEATURE },
	{ "log: { ^<<: { level: notice } }\n" REST, PS_UNKNOWN_KEY },
	{ "? ^[a]\n: b\n" REST, PS_WRONG_KIND },
	{ "x: [[[[[[[[[[[[[[[^[[[[[[[]]]]]]]]]]]]]]]]]]]]]]\n" REST, PS_TOO_LARGE },
	{ "log: { level: ^\xFF }\n" REST, PS_NOT_TEXT },
	{ "^\xFF\xFElog", PS_NOT_TEXT },
	{ "log: { level: a^\xE2\x80\xAE"
	  "b }\n" REST,
		PS_NOT_TEXT },
	{ "log: { level: ^\"a\\x1b\" }\n" REST, PS_NOT_TEXT },
	{ "log: { level: ^\"a\\0b\" }\n" REST, PS_NOT_TEXT },
	{ "log:\n  level: ^|\n    notice\n" REST, PS_NOT_TEXT },
	{ "log: { level: notice }^\r" REST, PS_NOT_TEXT },

	/* Keys */
	{ "^lgo: { level: notice }\n" REST, PS_UNKNOWN_KEY },
	{ ENDPOINT("path: /a, scheme: github, ^secretfile: s, target: app"), PS_UNKNOWN_KEY },
	{ TARGET_WITH("retry: { ^attempt: 3 }"), PS_UNKNOWN_KEY },
	{ "log: { level: info, ^level: debug }\n" REST, PS_DUPLICATE_KEY },
	{ "log: { level: info }\n" REST "^log: { level: info }\n", PS_DUPLICATE_KEY },
	{ ENDPOINTS TARGETS STORE, PS_MISSING_KEY },
	{ "endpoints:\n  - ^{ name: a, path: /a, scheme: github, target: app }\n" REST_OF_ENDPOINTS,
		PS_MISSING_KEY },
	{ "endpoints: [^{ name: a, path: /a, scheme: github, secret_file: s }]\n" REST_OF_ENDPOINTS,
		PS_MISSING_KEY },
	{ "listeners:\n  - ^{ address: 127.0.0.1:8443 }\n" REST_OF_LISTENERS, PS_MISSING_KEY },
	{ LISTENER("address: 127.0.0.1:8443, tls: ^{}"), PS_MISSING_KEY },
	{ "^store:\n" REST_OF_STORE, PS_NO_VALUE },
	{ "log: { ^level: null }\n" REST, PS_NO_VALUE },
	{ "store: ^here\n" REST_OF_STORE, PS_WRONG_KIND },
	{ "store: ^[a]\n" REST_OF_STORE, PS_WRONG_KIND },
	{ "log: { level: ^[info] }\n" REST, PS_WRONG_KIND },
	{ "targets: ^{ name: app }\n" REST_OF_TARGETS, PS_WRONG_KIND },
	{ LISTENER("address: 127.0.0.1:8443, tls: ^on"), PS_WRONG_KIND },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, target: ^[app]"), PS_WRONG_KIND },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, targets: ^app"), PS_WRONG_KIND },
	{ "workers: { cpus: ^[] }\n" REST, PS_EMPTY_LIST },
	{ ENDPOINT("path: /a, scheme: github, ^secret: x, target: app"), PS_SECRET_IN_FILE },
	{ TARGET_WITH("^secret: whsec_x"), PS_SECRET_IN_FILE },
	{ TARGET_WITH("secret_file: ^whsec_x"), PS_SECRET_IN_FILE },
};

static const struct broken value_cases[] = {
	{ TARGET("url: 'https://app.example', ^name: app"), PS_DUPLICATE_KEY },
	{ "targets:\n  - { name: ^App, url: 'https://app.example' }\n" REST_OF_TARGETS, PS_NAME },
	{ "targets:\n  - { name: ^'', url: 'https://app.example' }\n" REST_OF_TARGETS, PS_NAME },
	{ "control: { group: ^'a b' }\n" REST, PS_NAME },
	{ TARGET_WITH("connections: ^many"), PS_NUMBER },
	{ TARGET_WITH("connections: ^-1"), PS_NUMBER },
	{ TARGET_WITH("connections: ^0x10"), PS_NUMBER },
	{ TARGET_WITH("connections: ^0"), PS_RANGE },
	{ TARGET_WITH("connections: ^99999999999999999999999"), PS_RANGE },
	{ "drain_timeout: ^30\n" REST, PS_UNIT_MISSING },
	{ "drain_timeout: ^30 s\n" REST, PS_UNIT },
	{ "drain_timeout: ^30sec\n" REST, PS_UNIT },
	{ "drain_timeout: ^1h30m\n" REST, PS_UNIT },
	{ "drain_timeout: ^soon\n" REST, PS_UNIT },
	{ "drain_timeout: ^1500ms\n" REST, PS_RANGE },
	{ "drain_timeout: ^0s\n" REST, PS_RANGE },
	{ "drain_timeout: ^2h\n" REST, PS_RANGE },
	{ "drain_timeout: ^9999999999999999999d\n" REST, PS_RANGE },
	{ ENDPOINT_WITH("body_size: ^1048576"), PS_UNIT_MISSING },
	{ ENDPOINT_WITH("body_size: ^1MB"), PS_UNIT },
	{ ENDPOINT_WITH("body_size: ^1.5MiB"), PS_UNIT },
	{ ENDPOINT_WITH("body_size: ^17MiB"), PS_RANGE },
	{ ENDPOINT_WITH("body_size: ^16777216TiB"), PS_RANGE },
	{ ENDPOINT_WITH("tolerance: ^2h"), PS_RANGE },
	{ "log: { level: ^warn }\n" REST, PS_CHOICE },
	{ "metrics: ^no\n" REST, PS_SWITCH },
	{ "telemetry: { otlp: { endpoint: ^'https://h:4318' } }\n" REST, PS_URL },
	{ "telemetry: { otlp: { endpoint: ^'http://h:4318/v1' } }\n" REST, PS_URL },
	{ "telemetry: { otlp: { endpoint: 'http://h', sample_ratio: ^1.1 } }\n" REST, PS_RANGE },
	{ "telemetry: { otlp: { endpoint: 'http://h', sample_ratio: ^10% } }\n" REST, PS_RANGE },
	{ "telemetry: { otlp: { endpoint: 'http://h', sample_ratio: ^0.1234567 } }\n" REST,
		PS_RANGE },
	{ LISTENER("address: ^':443', " LISTENER_TLS), PS_ADDRESS },
	{ LISTENER("address: ^localhost:443, " LISTENER_TLS), PS_ADDRESS },
	{ LISTENER("address: ^127.0.0.1, " LISTENER_TLS), PS_ADDRESS },
	{ LISTENER("address: ^'::1:443', " LISTENER_TLS), PS_ADDRESS },
	{ LISTENER("address: ^127.0.0.1:65536, " LISTENER_TLS), PS_ADDRESS },
	{ LISTENER("address: ^127.0.0.1:0, " LISTENER_TLS), PS_RANGE },
	{ TARGET("url: ^app.example/x"), PS_URL },
	{ TARGET("url: ^'ftp://app.example'"), PS_URL },
	{ TARGET("url: ^'https://me:pw@app.example'"), PS_URL },
	{ TARGET("url: ^'https://app.example/#x'"), PS_URL },
	{ TARGET("url: ^'https:///x'"), PS_URL },
	{ TARGET("url: ^'https://app.example:0/'"), PS_URL },
	{ TARGET("url: ^'https://app.example:70000/'"), PS_URL },
	{ TARGET("url: ^'https://app example/'"), PS_URL },
	{ TARGET("url: ^'https://app.example/a b'"), PS_URL },
	{ TARGET("url: ^'https://app.example/%zz'"), PS_URL },
	{ TARGET("url: ^'https://1.2.3.256/'"), PS_URL },
	{ TARGET("url: ^'https://[::1/'"), PS_URL },
	{ TARGET("url: ^'https://[1.2.3.4]/'"), PS_URL },
	{ ENDPOINT_WITH("public_url: ^'https://x.example/y'"), PS_URL },
	{ ENDPOINT("path: ^a, " GITHUB), PS_PATH },
	{ ENDPOINT("path: ^'/a?x=1', " GITHUB), PS_PATH },
	{ ENDPOINT("path: ^'/a/../b', " GITHUB), PS_PATH },
	{ ENDPOINT("path: ^'/a b', " GITHUB), PS_PATH },
	{ ENDPOINT_WITH("host: ^'x.example:443'"), PS_HOST },
	{ ENDPOINT_WITH("host: ^'*.example'"), PS_HOST },
	{ ENDPOINT_WITH("host: ^-x"), PS_HOST },
	{ ENDPOINT_WITH("host: ^x..example"), PS_HOST },
	{ "workers: { cpus: ^all }\n" REST, PS_CPUS },
	{ "workers: { cpus: ^3-1 }\n" REST, PS_CPUS },
	{ "workers: { cpus: [0, 1, ^0-3] }\n" REST, PS_DUPLICATE_ELEMENT },
	{ "workers: { cpus: ^1024 }\n" REST, PS_RANGE },
	{ "workers: { cpus: ^0-900 }\n" REST, PS_TOO_MANY },
	{ "workers: { cpus: ^0-127, per_cpu: 3 }\n" REST, PS_TOO_MANY },
	{ "workers: { per_cpu: ^17 }\n" REST, PS_RANGE },
	{ "store: { path: ^~/penstock }\n" REST_OF_STORE, PS_FILE_NAME },
	{ "store: { path: ^$STATE/x }\n" REST_OF_STORE, PS_FILE_NAME },
	{ "store: { path: ^'' }\n" REST_OF_STORE, PS_FILE_NAME },
	{ "store: { path: d, quota: ^1MiB }\n" REST_OF_STORE, PS_RANGE },
};

static const struct broken meaning_cases[] = {
	{ "targets:\n  - { name: app, url: 'https://a.example' }\n"
	  "  - { name: ^app, url: 'https://b.example' }\n" REST_OF_TARGETS,
		PS_DUPLICATE_NAME },
	{ "endpoints:\n"
	  "  - { name: a, path: /a, " GITHUB " }\n"
	  "  - { name: ^a, path: /b, " GITHUB " }\n" REST_OF_ENDPOINTS,
		PS_DUPLICATE_NAME },
	{ "endpoints:\n"
	  "  - { name: a, path: /a, " GITHUB " }\n"
	  "  - { name: b, path: ^/a, " GITHUB " }\n" REST_OF_ENDPOINTS,
		PS_DUPLICATE_ROUTE },
	{ "endpoints:\n"
	  "  - { name: a, host: X.example, path: /a, " GITHUB " }\n"
	  "  - { name: b, host: x.EXAMPLE, path: ^/a, " GITHUB " }\n" REST_OF_ENDPOINTS,
		PS_DUPLICATE_ROUTE },
	{ "listeners:\n"
	  "  - { name: x, address: 127.0.0.1:1, " LISTENER_TLS " }\n"
	  "  - { name: ^x, address: 127.0.0.1:2, " LISTENER_TLS " }\n" REST_OF_LISTENERS,
		PS_DUPLICATE_NAME },
	{ "listeners:\n"
	  "  - { address: 127.0.0.1:1, " LISTENER_TLS " }\n"
	  "  - { address: ^127.0.0.1:1, " LISTENER_TLS " }\n" REST_OF_LISTENERS,
		PS_DUPLICATE_ADDRESS },
	{ "metrics: { address: ^'127.0.0.1:8443' }\n" REST, PS_DUPLICATE_ADDRESS },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, target: ^appp"), PS_UNKNOWN_TARGET },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, targets: [app, ^b]"),
		PS_UNKNOWN_TARGET },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, targets: [app, ^app]"),
		PS_DUPLICATE_ELEMENT },
	{ ENDPOINT("path: /a, scheme: ^githup, secret_file: s, target: app"), PS_UNKNOWN_SCHEME },
	{ ENDPOINT("path: /a, scheme: github, secret_file: s, targets: [app], ^target: app"),
		PS_CONTRADICTION },
	{ "control: { group: g, admins: [x, y, ^x] }\n" REST, PS_DUPLICATE_ELEMENT },
	{ "control: { admins: [x, y], operators: [z, ^x] }\n" REST, PS_DUPLICATE_ELEMENT },
	{ LISTENER("address: 127.0.0.1:1, tls: { certificate: ^c }"), PS_NEEDS_OTHER_KEY },
	{ LISTENER("address: 127.0.0.1:1, tls: { key: ^k }"), PS_NEEDS_OTHER_KEY },
	{ LISTENER("address: 127.0.0.1:1, tls: { certificate: c, key: k, client_ca: ^x }"),
		PS_NEEDS_OTHER_KEY },
	{ LISTENER("address: 127.0.0.1:1, tls: { certificate: c, key: k, "
		   "client_certificate: ^required }"),
		PS_NEEDS_OTHER_KEY },
	{ LISTENER("address: 127.0.0.1:1, tls: { certificate: c, key: k, certificates: "
		   "[^{ certificate: d, key: l }] }"),
		PS_NEEDS_OTHER_KEY },
	{ TARGET_WITH("client_certificate: ^c"), PS_NEEDS_OTHER_KEY },
	{ TARGET_WITH("client_key: ^k"), PS_NEEDS_OTHER_KEY },
	{ TARGET_WITH("previous_secret_file: ^k"), PS_NEEDS_OTHER_KEY },
	{ TARGET("url: 'http://127.0.0.1', ca_file: ^c"), PS_CONTRADICTION },
	{ TARGET_WITH("retry: { base: ^2m }"), PS_CONTRADICTION },
	{ "control: { socket: ^/123456789012345678901234567890123456789012345678901234567890"
	  "1234567890123456789012345678901234567890123456789012345678901234567890 }\n" REST,
		PS_FILE_NAME },
};

/* Allowed, and pointed out. */
static const struct broken warning_cases[] = {
	{ LISTENER("address: ^0.0.0.0:8080, tls: off"), PS_PLAIN_LISTENER },
	{ LISTENER("address: ^'[::]:8080', tls: false"), PS_PLAIN_LISTENER },
	{ TARGET("url: ^'http://app.example/'"), PS_PLAIN_TARGET },
	{ "store: { path: d, retention: ^1h }\n" REST_OF_STORE, PS_SHORT_RETENTION },
	{ "metrics: { address: ^'0.0.0.0:9464' }\n" REST, PS_METRICS_EXPOSED },
	{ "targets:\n  - { name: app, url: 'https://a.example' }\n"
	  "  - { name: ^spare, url: 'https://b.example' }\n" REST_OF_TARGETS,
		PS_UNUSED_TARGET },
	{ ENDPOINT_WITH("tolerance: 10m, replay_window: ^15m"), PS_SHORT_REPLAY_WINDOW },
	{ ENDPOINT("path: /a, scheme: standard-webhooks, secret_file: s, target: app, "
		   "replay_window: ^1m"),
		PS_SHORT_REPLAY_WINDOW },
	{ ENDPOINT_WITH("previous_secret_file: ^s"), PS_NO_EFFECT },
	{ "listeners: []\nendpoints:\n  - ^{ name: a, path: /a, " GITHUB " }\n" TARGETS STORE,
		PS_NO_EFFECT },
	{ "listeners:\n  - ^{ address: 127.0.0.1:1, " LISTENER_TLS
	  " }\nendpoints: []\ntargets: []\n" STORE,
		PS_NO_EFFECT },
	{ TARGET_WITH("timeout: 1s, connect_timeout: ^2s"), PS_NO_EFFECT },
	{ LISTENER("address: 127.0.0.1:1, tls: { certificate: c, key: k, "
		   "client_certificate: none, client_ca: ^x }"),
		PS_NO_EFFECT },
	{ "workers: { cpus: ^[0, 1000] }\n" REST, PS_CPU_MISSING },
};

/* The text without its mark, and the place of the mark in characters. */
static struct bytes unmark(const char *marked, struct config_position *ret)
{
	static char text[4096];
	const char *mark = strchr(marked, '^');
	size_t size = strlen(marked);

	*ret = (struct config_position){ 0 };
	assert_true(size < sizeof text);
	memcpy(text, marked, size + 1);
	if (mark == NULL) return bytes_of(text, size);

	*ret = (struct config_position){ .line = 1, .column = 1 };
	for (const char *at = marked; at < mark; at++) {
		ret->column++;
		if (*at != '\n') continue;
		ret->line++;
		ret->column = 1;
	}
	memmove(text + (mark - marked), mark + 1, strlen(mark));
	return bytes_of(text, size - 1);
}

static void expect_one(const struct broken *broken, size_t number, enum config_severity severity)
{
	struct config *config = NULL;
	struct config_position place;
	struct bytes text = unmark(broken->text, &place);
	enum result result = config_parse("test.yaml", text, &config, &report);
	const struct config_diagnostic *first = &report.diagnostics[0];

	bool as_expected = report.count == 1 && first->severity == severity &&
		strcmp(first->code, broken->code) == 0 && first->position.line == place.line &&
		first->position.column == place.column;
	if (!as_expected) {
		config_report_print(&report, stderr, false);
		fail_msg("case %zu: only %s expected, at %u:%u, in:\n%s", number, broken->code,
			place.line, place.column, broken->text);
	}
	assert_int_equal(result, severity == CONFIG_ERROR ? RESULT_CONFIG : RESULT_OK);
	assert_true((config != NULL) == (severity == CONFIG_WARNING));
	assert_int_equal(report.error_count, severity == CONFIG_ERROR ? 1 : 0);
	config_free(config);
}

static void expect_all(const struct broken *cases, size_t count, enum config_severity severity)
{
	for (size_t i = 0; i < count; i++) expect_one(&cases[i], i, severity);
}

static void broken_form_is_refused_at_its_place(void **state)
{
	(void)state;
	expect_all(form_cases, ARRAY_COUNT(form_cases), CONFIG_ERROR);
}

static void broken_values_are_refused_at_their_place(void **state)
{
	(void)state;
	expect_all(value_cases, ARRAY_COUNT(value_cases), CONFIG_ERROR);
}

static void contradictions_are_refused_at_their_place(void **state)
{
	(void)state;
	expect_all(meaning_cases, ARRAY_COUNT(meaning_cases), CONFIG_ERROR);
}

static void suspicious_things_are_warnings_at_their_place(void **state)
{
	(void)state;
	expect_all(warning_cases, ARRAY_COUNT(warning_cases), CONFIG_WARNING);
}

/* Every prefix of a good file is parsed or refused, never worse. */
static void every_prefix_is_survived(void **state)
{
	static const char text[] = "log:\n  level: \"notice\"\n" LISTENERS ENDPOINTS TARGETS STORE;

	(void)state;
	for (size_t size = 0; size < sizeof text; size++) {
		struct config *config = NULL;
		enum result result = config_parse("t", bytes_of(text, size), &config, &report);
		assert_int_equal(result == RESULT_OK, report.error_count == 0);
		config_free(config);
	}
}

/* One run shows what is wrong in all places, in the order of the file. */
static void many_errors_are_reported_in_one_run(void **state)
{
	static const char text[] =
		"listeners:\n"
		"  - { address: nowhere, tls: off }\n"
		"endpoints:\n"
		"  - { name: A, path: b, scheme: c, secret_file: ~d, target: e }\n"
		"targets:\n"
		"  - { name: app, url: ftp, timeout: 5 }\n"
		"store: { path: d, retention: 9 }\n"
		"drain_timeout: 1\n";
	static const struct {
		uint32_t line;
		const char *code;
	} expected[] = { { 2, PS_ADDRESS }, { 4, PS_NAME }, { 4, PS_PATH },
		{ 4, PS_UNKNOWN_SCHEME }, { 4, PS_FILE_NAME }, { 4, PS_UNKNOWN_TARGET },
		{ 6, PS_URL }, { 6, PS_UNIT_MISSING }, { 7, PS_UNIT_MISSING },
		{ 8, PS_UNIT_MISSING } };
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_parse("t", bytes_of_text(text), &config, &report), RESULT_CONFIG);
	assert_int_equal(report.count, ARRAY_COUNT(expected));
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
		assert_int_equal(report.diagnostics[i].position.line, expected[i].line);
		assert_string_equal(report.diagnostics[i].code, expected[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_form_is_refused_at_its_place),
		cmocka_unit_test(broken_values_are_refused_at_their_place),
		cmocka_unit_test(contradictions_are_refused_at_their_place),
		cmocka_unit_test(suspicious_things_are_warnings_at_their_place),
		cmocka_unit_test(every_prefix_is_survived),
		cmocka_unit_test(many_errors_are_reported_in_one_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The snapshot that workers read: finding endpoints and targets, secrets from files, addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "config/config_codes.h"
#include "flow/flow.h"

#define GOOD_WHSEC "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"

#define LISTENERS "listeners: [{ address: '127.0.0.1:8443', tls: off }]\n"
#define STORE "store: { path: d }\n"
#define TARGETS "targets: [{ name: app, url: 'https://127.0.0.1:8443/hooks' }]\n"
#define GITHUB "scheme: github, secret_file: github, target: app"
#define ENDPOINTS "endpoints: [{ name: a, path: /a, " GITHUB " }]\n"

static char folder[64];
static char config_path[96];
static struct config_report report;

/* ---- Files in a folder of their own ---------------------------------------------------------- */

static const char *path_of(const char *name)
{
	static char path[160];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void file_write(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/penstock-test-XXXXXX");
	if (mkdtemp(folder) == NULL) return -1;
	snprintf(config_path, sizeof config_path, "%s/penstock.yaml", folder);
	file_write("github", "It's a Secret to Everybody\n", 0600);
	file_write("whsec", GOOD_WHSEC, 0600);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "github", "whsec", "other" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) unlink(path_of(names[i]));
	return rmdir(folder);
}

/* ---- Compiling ------------------------------------------------------------------------------- */

static struct config *parse(struct bytes text)
{
	struct config *config = NULL;
	enum result result = config_parse(config_path, text, &config, &report);

	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	return config;
}

static struct flow *compile_bytes(struct bytes text)
{
	struct flow *flow = NULL;
	enum result result = flow_compile(parse(text), 7, &flow, &report);

	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	return flow;
}

static struct flow *compile(const char *text)
{
	return compile_bytes(bytes_of_text(text));
}

/* Refused when compiling, with this code at this place, and nothing else. */
static void expect_refused(const char *text, const char *code, uint32_t line, uint32_t column)
{
	struct config *config = parse(bytes_of_text(text));
	struct flow *flow = NULL;

	config_report_init(&report, config_path);
	enum result result = flow_compile(config, 1, &flow, &report);
	const struct config_diagnostic *first = &report.diagnostics[0];
	if (result != RESULT_CONFIG || report.count != 1 || strcmp(first->code, code) != 0 ||
		first->position.line != line || first->position.column != column) {
		config_report_print(&report, stderr, false);
		fail_msg("only %s expected, at %u:%u", code, line, column);
	}
	assert_null(flow);
	/* The config is still ours, and the report outlives it. */
	config_free(config);
	assert_true(strlen(first->excerpt) > 0);
}

static const char *found_name(const struct flow *flow, const char *host, const char *path)
{
	const struct flow_endpoint *endpoint =
		flow_endpoint_find(flow, bytes_of_text(host), bytes_of_text(path));
	return endpoint == NULL ? "none" : endpoint->name;
}

/* ---- Finding --------------------------------------------------------------------------------- */

static void endpoints_are_found_by_host_and_path(void **state)
{
	static const struct {
		const char *host;
		const char *path;
		const char *name;
	} cases[] = {
		{ "one.example", "/a", "one-a" },
		{ "ONE.Example", "/a", "one-a" },
		{ "one.example:443", "/a", "one-a" },
		{ "one.example.", "/a", "one-a" },
		{ "one.example.:443", "/a", "one-a" },
		{ "two.example", "/a", "two-a" },
		{ "other.example", "/a", "any-a" },
		{ "", "/a", "any-a" },
		{ "one.example", "/b", "any-b" },
		{ "two.example", "/c", "two-c" },
		{ "one.example", "/c", "none" },
		{ "", "/c", "none" },
		{ "[2001:DB8::1]:8443", "/a", "six-a" },
		{ "[2001:db8::1]", "/a", "six-a" },
		{ "[2001:db8::1", "/a", "any-a" },
		{ "sub.one.example", "/a", "any-a" },
		{ "one.example", "/A", "none" },
		{ "one.example", "/a/", "none" },
		{ "one.example", "/", "none" },
		{ "one.example", "", "none" },
		{ ":", "/a", "any-a" },
		{ "Under_Score.example", "/a", "under-a" },
	};
	struct flow *flow = compile(LISTENERS STORE TARGETS
		"endpoints:\n"
		"  - { name: any-a, path: /a, " GITHUB " }\n"
		"  - { name: any-b, path: /b, " GITHUB " }\n"
		"  - { name: one-a, host: One.example, path: /a, " GITHUB " }\n"
		"  - { name: two-a, host: two.example, path: /a, " GITHUB " }\n"
		"  - { name: two-c, host: two.example, path: /c, " GITHUB " }\n"
		"  - { name: under-a, host: under_score.example, path: /a, " GITHUB " }\n"
		"  - { name: six-a, host: '2001:db8::1', path: /a, " GITHUB " }\n");
	char long_host[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *name = found_name(flow, cases[i].host, cases[i].path);
		if (strcmp(name, cases[i].name) != 0) {
			fail_msg("%s %s: %s instead of %s", cases[i].host, cases[i].path, name,
				cases[i].name);
		}
	}
	memset(long_host, 'x', sizeof long_host - 1);
	long_host[sizeof long_host - 1] = '\0';
	assert_string_equal(found_name(flow, long_host, "/a"), "any-a");
	assert_string_equal(found_name(flow, long_host, long_host), "none");
	flow_release(flow);
}

static void ids_are_the_same_for_ever(void **state)
{
	struct flow *flow = compile(LISTENERS STORE TARGETS ENDPOINTS);
	const struct flow_endpoint *endpoint = flow_endpoint_by_id(flow, flow_id_of_name("a"));
	const struct flow_target *target = flow_target_by_id(flow, flow_id_of_name("app"));

	(void)state;
	/* Records on disk hold these: another hash would orphan every one of them. */
	assert_int_equal(flow_id_of_name("github"), 2784254396u);
	assert_int_equal(flow_id_of_name("a"), 513166879u);

	assert_ptr_equal(endpoint, &flow->endpoints[0]);
	assert_ptr_equal(target, &flow->targets[0]);
	assert_int_equal(endpoint->target_count, 1);
	assert_int_equal(endpoint->targets[0], 0);
	assert_int_equal(endpoint->target_ids[0], target->id);
	assert_null(flow_endpoint_by_id(flow, target->id));
	assert_null(flow_target_by_id(flow, endpoint->id));
	assert_null(flow_endpoint_by_id(flow, 0));
	assert_int_equal(flow->generation, 7);
	flow_release(flow);
}

static void ten_thousand_endpoints_are_all_found(void **state)
{
	enum { COUNT = 10000 };
	size_t capacity = 1024 + COUNT * 128;
	char *text = alloc_array(capacity, 1);
	struct writer writer = writer_of(text, capacity);
	char host[32];
	char path[32];

	(void)state;
	write_text(&writer, LISTENERS STORE TARGETS "endpoints:\n");
	for (unsigned i = 0; i < COUNT; i++) {
		write_format(&writer, "- { name: e%u, path: /hooks/%u, ", i, i / 2);
		if (i % 2 == 1) write_format(&writer, "host: h%u.example, ", i);
		write_text(&writer, GITHUB " }\n");
	}
	assert_false(writer.failed);
	struct flow *flow = compile_bytes(writer_bytes(&writer));
	alloc_free(text);

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(path, sizeof path, "/hooks/%u", i / 2);
		snprintf(host, sizeof host, "h%u.example", i | 1);
		const struct flow_endpoint *exact =
			flow_endpoint_find(flow, bytes_of_text(host), bytes_of_text(path));
		const struct flow_endpoint *any =
			flow_endpoint_find(flow, BYTES_LITERAL("x"), bytes_of_text(path));
		assert_ptr_equal(exact, &flow->endpoints[i | 1]);
		assert_ptr_equal(any, &flow->endpoints[i & ~1u]);
		assert_ptr_equal(flow_endpoint_by_id(flow, exact->id), exact);
	}
	assert_string_equal(found_name(flow, "h1.example", "/hooks/5000"), "none");
	flow_release(flow);
}

/* Two names whose ids are equal: found by trying, as an operator would by bad luck. */
static void equal_ids_are_refused(void **state)
{
	enum { SLOTS = 1 << 19, NAMES_MAX = 400000 };
	uint32_t *seen = alloc_array(SLOTS, sizeof *seen); /* number of the name, from 1 */
	unsigned other = 0;
	char first[16];
	char second[16];
	char text[512];

	(void)state;
	for (unsigned i = 1; i < NAMES_MAX && other == 0; i++) {
		snprintf(second, sizeof second, "n%u", i);
		uint32_t id = flow_id_of_name(second);
		for (uint32_t at = id % SLOTS;; at = (at + 1) % SLOTS) {
			if (seen[at] == 0) {
				seen[at] = i;
				break;
			}
			snprintf(first, sizeof first, "n%u", seen[at]);
			if (flow_id_of_name(first) == id) {
				other = seen[at];
				break;
			}
		}
	}
	alloc_free(seen);
	assert_true(other > 0);
	snprintf(text, sizeof text,
		LISTENERS STORE TARGETS "endpoints:\n"
					"- { name: %s, path: /a, " GITHUB " }\n"
					"- { name: %s, path: /b, " GITHUB " }\n",
		first, second);
	expect_refused(text, PS_ID_COLLISION, 6, 3);
}

/* ---- Secrets --------------------------------------------------------------------------------- */

static void secrets_that_cannot_be_used_are_refused_at_their_place(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *code;
	} cases[] = {
		{ GOOD_WHSEC, 0644, PS_SECRET_MODE },
		{ GOOD_WHSEC, 0604, PS_SECRET_MODE },
		{ GOOD_WHSEC, 0602, PS_SECRET_MODE },
		{ "", 0600, PS_SECRET_FORM },
		{ "\n", 0600, PS_SECRET_FORM },
		{ "whsec_a\nwhsec_b\n", 0600, PS_SECRET_FORM },
		{ "whsec_!!!!\n", 0600, PS_SECRET_FORM },
		{ "plain\n", 0600, PS_SECRET_FORM },
	};
	static const char endpoint[] = LISTENERS STORE TARGETS "endpoints:\n"
							       "  - name: a\n"
							       "    path: /a\n"
							       "    scheme: standard-webhooks\n"
							       "    secret_file: other\n"
							       "    target: app\n";
	static const char previous[] = LISTENERS STORE TARGETS
		"endpoints:\n"
		"  - { name: a, path: /a, scheme: standard-webhooks, target: app,\n"
		"      secret_file: whsec,\n"
		"      previous_secret_file: other }\n";
	static const char target[] = LISTENERS STORE ENDPOINTS "targets:\n"
							       "  - name: app\n"
							       "    url: 'http://127.0.0.1'\n"
							       "    secret_file:   other\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		file_write("other", cases[i].text, cases[i].mode);
		expect_refused(endpoint, cases[i].code, 8, 18);
		expect_refused(previous, cases[i].code, 7, 29);
		expect_refused(target, cases[i].code, 7, 20);
	}
	assert_int_equal(unlink(path_of("other")), 0);
	expect_refused(endpoint, PS_SECRET_UNREADABLE, 8, 18);

	assert_int_equal(mkdir(path_of("other"), 0700), 0);
	expect_refused(endpoint, PS_SECRET_UNREADABLE, 8, 18);
	assert_int_equal(rmdir(path_of("other")), 0);
}

/* Every secret is tried, so that one run shows all that is wrong; none of them is shown. */
static void all_wrong_secrets_are_reported_without_showing_them(void **state)
{
	struct config *config = parse(BYTES_LITERAL(LISTENERS STORE
		"targets: [{ name: app, url: 'http://127.0.0.1', secret_file: other }]\n"
		"endpoints:\n"
		"  - { name: a, path: /a, scheme: github, secret_file: none, target: app }\n"
		"  - { name: b, path: /b, scheme: svix, secret_file: other, target: app }\n"));
	struct flow *flow = NULL;

	(void)state;
	file_write("other", "hunter2\n", 0600);
	assert_int_equal(flow_compile(config, 1, &flow, &report), RESULT_CONFIG);
	assert_int_equal(report.error_count, 3);
	for (uint32_t i = 0; i < report.count; i++) {
		assert_null(strstr(report.diagnostics[i].sentence, "hunter2"));
		assert_null(strstr(report.diagnostics[i].excerpt, "hunter2"));
	}
	assert_non_null(strstr(report.diagnostics[0].sentence, "whsec_"));
	config_free(config);
}

static struct verify_outcome sign_and_verify(const struct verifier *signer,
	const struct verifier *verifier)
{
	static char memory[1024];
	struct writer writer = writer_of(memory, sizeof memory);
	struct http_fields fields = { .count = 0 };
	struct verify_outcome outcome;
	const struct sign_input to_sign = {
		.event_id = BYTES_LITERAL("event-1"),
		.method = BYTES_LITERAL("POST"),
		.body = BYTES_LITERAL("{}"),
		.now = { 1700000000 * US_PER_S },
	};

	assert_int_equal(verifier_sign(signer, &to_sign, &writer), RESULT_OK);
	struct bytes rest = writer_bytes(&writer);
	struct bytes line;
	while (bytes_split(rest, '\n', &line, &rest)) {
		struct http_field *field = &fields.field[fields.count++];
		assert_true(bytes_split(line, ':', &field->name, &field->value));
		field->value.size--; /* the carriage return */
		field->value = bytes_trim(field->value);
	}
	const struct verify_input to_verify = {
		.method = to_sign.method,
		.fields = &fields,
		.body = to_sign.body,
	};
	verify_request(verifier, &to_verify, to_sign.now, &outcome);
	return outcome;
}

/* What a target's signer signs, an endpoint of the same secret takes: with the current secret and
 * with the previous one. */
static void signers_and_verifiers_come_from_the_files(void **state)
{
	file_write("other", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n", 0600);
	struct flow *flow = compile(LISTENERS STORE
		"targets:\n"
		"  - { name: old, url: 'http://127.0.0.1', secret_file: other }\n"
		"  - { name: new, url: 'http://127.0.0.1', secret_file: whsec }\n"
		"  - { name: unsigned, url: 'http://127.0.0.1' }\n"
		"endpoints:\n"
		"  - { name: a, path: /a, targets: [old, new, unsigned],\n"
		"      scheme: standard-webhooks,\n"
		"      secret_file: whsec, previous_secret_file: other, tolerance: 1m }\n");
	const struct flow_endpoint *endpoint = &flow->endpoints[0];

	(void)state;
	assert_string_equal(scheme_name(verifier_scheme(endpoint->verifier)), "standard-webhooks");
	assert_int_equal(endpoint->target_count, 3);
	assert_null(flow->targets[endpoint->targets[2]].signer);
	for (uint32_t i = 0; i < 2; i++) {
		const struct flow_target *target = &flow->targets[endpoint->targets[i]];
		struct verify_outcome outcome = sign_and_verify(target->signer, endpoint->verifier);
		assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
		assert_int_equal(outcome.key_index, target == &flow->targets[0] ? 1 : 0);
	}
	flow_release(flow);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void targets_get_their_addresses(void **state)
{
	struct flow *flow = compile(LISTENERS STORE
		"targets:\n"
		"  - { name: four, url: 'https://127.1.2.3/x' }\n"
		"  - { name: six, url: 'https://[::1]:8443/' }\n"
		"  - { name: local, url: 'http://LOCALHOST:8080/' }\n"
		"  - { name: again, url: 'http://localhost/' }\n"
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: github,\n"
		"  targets: [four, six, local, again] }]\n");
	char text[ADDRESS_TEXT_SIZE];

	(void)state;
	assert_int_equal(report.count, 0);
	for (uint32_t i = 0; i < flow->target_count; i++) assert_true(flow->targets[i].resolved);
	address_format(&flow->targets[0].address, text);
	assert_string_equal(text, "127.1.2.3:443");
	assert_string_equal(flow->targets[0].host_field, "127.1.2.3");
	address_format(&flow->targets[1].address, text);
	assert_string_equal(text, "[::1]:8443");
	assert_string_equal(flow->targets[1].host_field, "[::1]:8443");
	assert_string_equal(flow->targets[2].host_field, "localhost:8080");
	assert_int_equal(flow->targets[2].address.port, 8080);
	assert_string_equal(flow->targets[3].host_field, "localhost");
	assert_int_equal(flow->targets[3].address.port, 80);
	flow_release(flow);
}

/* Whatever has become of the files since: nothing but names is looked at. */
static void a_moved_target_changes_addresses_alone(void **state)
{
	file_write("other", GOOD_WHSEC, 0600);
	struct flow *flow = compile(LISTENERS STORE
		"targets:\n"
		"  - { name: stays, url: 'https://127.1.2.3/x' }\n"
		"  - { name: moves, url: 'http://localhost:8080/', secret_file: other }\n"
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: github,\n"
		"  targets: [stays, moves] }]\n");
	(void)state;

	assert_null(flow_readdress(flow, 2));
	/* As if the name service had given something else before. */
	const struct io_address right = flow->targets[1].address;
	flow->targets[1].address.ip[3] ^= 0x55;
	flow->targets[1].metrics_slot = 7;
	flow->endpoints[0].metrics_slot = 5;
	assert_int_equal(unlink(path_of("other")), 0);
	struct flow *second = flow_readdress(flow, 2);
	assert_non_null(second);
	assert_int_equal(second->generation, 2);
	assert_true(address_equal(&second->targets[1].address, &right));
	assert_true(address_equal(&second->targets[0].address, &flow->targets[0].address));
	assert_ptr_equal(second->config, flow->config);
	assert_ptr_equal(second->targets[1].signer, flow->targets[1].signer);
	assert_int_equal(second->targets[1].metrics_slot, 7);
	assert_int_equal(second->endpoints[0].metrics_slot, 5);

	/* A name that did not resolve, and does now. The first one may go before the others. */
	second->targets[1].resolved = false;
	flow_release(flow);
	struct flow *third = flow_readdress(second, 3);
	assert_non_null(third);
	flow_release(second);
	assert_true(third->targets[1].resolved);
	assert_ptr_equal(flow_target_by_id(third, flow_id_of_name("moves")), &third->targets[1]);
	assert_string_equal(found_name(third, "x", "/a"), "a");
	assert_null(flow_readdress(third, 4));
	flow_release(third);
}

/* Names under .invalid never resolve (RFC 6761 §6.4). Several, so that several threads wait. */
static void names_that_do_not_resolve_are_warnings(void **state)
{
	static const char text[] = LISTENERS STORE
		"targets:\n"
		"  - { name: one, url: 'https://one.invalid/' }\n"
		"  - { name: two, url: 'https://two.invalid/' }\n"
		"  - { name: three, url: 'https://127.0.0.1/' }\n"
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: github,\n"
		"  targets: [one, two, three] }]\n";
	struct flow *flow = compile(text);

	(void)state;
	assert_int_equal(report.count, 2);
	assert_int_equal(report.error_count, 0);
	assert_string_equal(report.diagnostics[1].code, PS_UNRESOLVED);
	assert_int_equal(report.diagnostics[1].position.line, 5);
	assert_int_equal(report.diagnostics[1].position.column, 23);
	assert_false(flow->targets[0].resolved || flow->targets[1].resolved);
	assert_true(flow->targets[2].resolved);
	assert_int_equal(flow->targets[0].address.port, 443);
	/* Not to resolve for the moment is not a change. */
	assert_null(flow_readdress(flow, 2));

	/* A reload while the name service is down keeps what was known. */
	struct flow *next = compile(text);
	assert_int_equal(flow_keep_addresses(next, flow), 0);
	flow->targets[1].resolved = true;
	flow->targets[1].address.ip[0] = 10;
	assert_int_equal(flow_keep_addresses(next, flow), 1);
	assert_true(next->targets[1].resolved);
	assert_int_equal(next->targets[1].address.ip[0], 10);
	assert_int_equal(next->targets[1].address.port, 443);
	assert_false(next->targets[0].resolved);
	flow_release(next);
	flow_release(flow);
}

static void the_last_release_frees(void **state)
{
	struct flow *flow = compile(LISTENERS STORE TARGETS ENDPOINTS);

	(void)state;
	assert_ptr_equal(flow_acquire(flow), flow);
	flow_release(flow);
	assert_string_equal(found_name(flow, "x", "/a"), "a");
	flow_release(flow); /* what is left over, the address sanitizer reports */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_found_by_host_and_path),
		cmocka_unit_test(ids_are_the_same_for_ever),
		cmocka_unit_test(ten_thousand_endpoints_are_all_found),
		cmocka_unit_test(equal_ids_are_refused),
		cmocka_unit_test(secrets_that_cannot_be_used_are_refused_at_their_place),
		cmocka_unit_test(all_wrong_secrets_are_reported_without_showing_them),
		cmocka_unit_test(signers_and_verifiers_come_from_the_files),
		cmocka_unit_test(targets_get_their_addresses),
		cmocka_unit_test(a_moved_target_changes_addresses_alone),
		cmocka_unit_test(names_that_do_not_resolve_are_warnings),
		cmocka_unit_test(the_last_release_frees),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

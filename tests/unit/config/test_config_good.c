/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Good configurations: every key ends up in its field, every default is the documented one, and
 * the bounds hold on both sides.
 */
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
#include "config/config.h"
#include "config/config_codes.h"

#define EXAMPLE_FILE "packaging/penstock.yaml.example"
#define INSTALLED_FILE "packaging/penstock.yaml"

static struct config_report report;

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	enum result result =
		config_parse("etc/penstock.yaml", bytes_of_text(text), &config, &report);

	config_report_print(&report, stderr, false);
	assert_int_equal(result, RESULT_OK);
	return config;
}

/* Refused with this code and nothing else. */
static void expect_refused(struct bytes text, const char *code)
{
	struct config *config = NULL;

	assert_int_equal(config_parse("t", text, &config, &report), RESULT_CONFIG);
	assert_null(config);
	assert_int_equal(report.error_count, 1);
	assert_string_equal(report.diagnostics[0].code, code);
}

static const char everything[] =
	"listeners:\n"
	"  - name: public\n"
	"    address: 0.0.0.0:443\n"
	"    tls:\n"
	"      certificate: tls/a.pem\n"
	"      key: /abs/a.key\n"
	"      client_certificate: required\n"
	"      client_ca: tls/clients.pem\n"
	"      certificates:\n"
	"        - { certificate: b.pem, key: b.key, names: [B.example, '*.b.example'] }\n"
	"        - { certificate: c.pem, key: c.key, names: [c.example] }\n"
	"  - { address: '[::1]:8080', tls: off }\n"
	"endpoints:\n"
	"  - name: first\n"
	"    host: Hooks.Example\n"
	"    path: /a/b%20c\n"
	"    scheme: standard-webhooks\n"
	"    secret_file: secrets/first\n"
	"    previous_secret_file: secrets/first.old\n"
	"    public_url: https://Hooks.example:8443\n"
	"    tolerance: 90s\n"
	"    replay_window: 2h\n"
	"    body_size: 64KiB\n"
	"    targets: [app, audit]\n"
	"  - { name: second, path: /, scheme: github, secret_file: /s, target: app }\n"
	"targets:\n"
	"  - name: app\n"
	"    url: HTTPS://App.Example:8443/hooks?x=1\n"
	"    secret_file: secrets/app\n"
	"    previous_secret_file: secrets/app.old\n"
	"    ca_file: ca.pem\n"
	"    client_certificate: client.pem\n"
	"    client_key: client.key\n"
	"    timeout: 2500ms\n"
	"    connect_timeout: 700ms\n"
	"    connections: 7\n"
	"    retry: { attempts: 9, base: 250ms, max: 1h }\n"
	"  - { name: audit, url: 'http://[::1]?y' }\n"
	"store: { path: ../data, quota: 10GiB, retention: 30d, replay_entries: 4096 }\n"
	"workers: { cpus: auto, per_cpu: 3, connections: 100, requests: 200 }\n"
	"control: { socket: /run/x.sock, group: adm, admins: [alice, Bob_1], operators: [carol] }\n"
	"metrics: { address: '127.0.0.1:9464' }\n"
	"telemetry: { otlp: { endpoint: 'http://[::1]', sample_ratio: 0.05 } }\n"
	"log: { level: debug, format: journal }\n"
	"drain_timeout: 1m\n";

static void check_listeners(const struct config *config)
{
	const struct config_listener *public = &config->listeners[0];
	const struct config_listener *plain = &config->listeners[1];

	assert_int_equal(config->listener_count, 2);
	assert_string_equal(public->name, "public");
	assert_int_equal(public->address.port, 443);
	assert_false(public->address.is_ipv6);
	assert_true(public->tls);
	assert_int_equal(public->client_certificate, CONFIG_CLIENT_CERTIFICATE_REQUIRED);
	assert_string_equal(public->client_ca_file, "etc/tls/clients.pem");
	assert_int_equal(public->position.line, 2);
	assert_int_equal(public->position.column, 5);

	assert_int_equal(public->certificate_count, 3);
	assert_string_equal(public->certificates[0].certificate_file, "etc/tls/a.pem");
	assert_string_equal(public->certificates[0].key_file, "/abs/a.key");
	assert_int_equal(public->certificates[0].name_count, 0);
	assert_int_equal(public->certificates[0].position.line, 5);
	assert_string_equal(public->certificates[1].key_file, "etc/b.key");
	assert_int_equal(public->certificates[1].name_count, 2);
	assert_string_equal(public->certificates[1].names[0], "b.example");
	assert_string_equal(public->certificates[1].names[1], "*.b.example");
	assert_string_equal(public->certificates[2].certificate_file, "etc/c.pem");
	assert_int_equal(public->certificates[2].position.line, 11);

	assert_string_equal(plain->name, "[::1]:8080");
	assert_true(plain->address.is_ipv6);
	assert_false(plain->tls);
	assert_int_equal(plain->certificate_count, 0);
}

static void check_endpoints(const struct config *config)
{
	const struct config_endpoint *first = &config->endpoints[0];
	const struct config_endpoint *second = &config->endpoints[1];
	const struct config_position nowhere = { 0 };

	assert_int_equal(config->endpoint_count, 2);
	assert_string_equal(first->name, "first");
	assert_string_equal(first->host, "hooks.example");
	assert_string_equal(first->path, "/a/b%20c");
	assert_string_equal(first->scheme, "standard-webhooks");
	assert_string_equal(first->secret_file, "etc/secrets/first");
	assert_string_equal(first->previous_secret_file, "etc/secrets/first.old");
	assert_string_equal(first->public_url, "https://Hooks.example:8443");
	assert_int_equal(first->tolerance_s, 90);
	assert_int_equal(first->replay_window_s, 7200);
	assert_int_equal(first->body_size_max, 65536);
	assert_int_equal(first->target_count, 2);
	assert_string_equal(first->targets[0], "app");
	assert_string_equal(first->targets[1], "audit");
	assert_int_equal(first->scheme_position.line, 17);
	assert_int_equal(first->scheme_position.column, 13);
	assert_int_equal(first->secret_position.line, 18);
	assert_int_equal(config_position_of(config, &first->targets[1], nowhere).line, 24);
	assert_int_equal(config_position_of(config, &first->targets[1], nowhere).column, 20);
	assert_int_equal(config_position_of(config, &second->host, nowhere).line, 0);
	assert_int_equal(config_position_of(config, &second->host, second->position).line, 25);

	assert_null(second->host);
	assert_string_equal(second->path, "/");
	assert_string_equal(second->secret_file, "/s");
	assert_int_equal(second->target_count, 1);
	assert_string_equal(second->targets[0], "app");
}

static void check_targets(const struct config *config)
{
	const struct config_target *app = &config->targets[0];
	const struct config_target *audit = &config->targets[1];

	assert_int_equal(config->target_count, 2);
	assert_string_equal(app->url, "HTTPS://App.Example:8443/hooks?x=1");
	assert_true(app->tls);
	assert_string_equal(app->host, "app.example");
	assert_int_equal(app->port, 8443);
	assert_string_equal(app->path, "/hooks?x=1");
	assert_string_equal(app->secret_file, "etc/secrets/app");
	assert_string_equal(app->previous_secret_file, "etc/secrets/app.old");
	assert_string_equal(app->ca_file, "etc/ca.pem");
	assert_string_equal(app->client_certificate_file, "etc/client.pem");
	assert_string_equal(app->client_key_file, "etc/client.key");
	assert_int_equal(app->timeout_ms, 2500);
	assert_int_equal(app->connect_timeout_ms, 700);
	assert_int_equal(app->connections_max, 7);
	assert_int_equal(app->retry.attempts_max, 9);
	assert_int_equal(app->retry.backoff_base_ms, 250);
	assert_int_equal(app->retry.backoff_max_ms, 3600000);

	assert_false(audit->tls);
	assert_string_equal(audit->host, "::1");
	assert_int_equal(audit->port, 80);
	assert_string_equal(audit->path, "/?y");
	assert_null(audit->secret_file);
}

static void every_key_ends_up_in_its_field(void **state)
{
	struct config *config = parse(everything);

	(void)state;
	assert_int_equal(report.count, 0);
	check_listeners(config);
	check_endpoints(config);
	check_targets(config);
	assert_string_equal(config->path, "etc/penstock.yaml");
	assert_string_equal(config->store.path, "etc/../data");
	assert_true(config->store.quota_size == UINT64_C(10) << 30);
	assert_int_equal(config->store.retention_s, 30 * 86400);
	assert_int_equal(config->store.replay_entries_max, 4096);
	assert_int_equal(config->workers_per_cpu, 3);
	assert_int_equal(config->connections_max, 100);
	assert_int_equal(config->requests_max, 200);
	assert_string_equal(config->control_socket, "/run/x.sock");
	assert_string_equal(config->control_group, "adm");
	assert_int_equal(config->control_admin_count, 2);
	assert_string_equal(config->control_admins[1], "Bob_1");
	assert_int_equal(config->control_operator_count, 1);
	assert_string_equal(config->control_operators[0], "carol");
	assert_int_equal(config->metrics_address.port, 9464);
	assert_string_equal(config->otlp_endpoint, "http://[::1]");
	assert_int_equal(config->otlp_sample_ppm, 50000);
	assert_int_equal(config->log_level, CONFIG_LOG_DEBUG);
	assert_int_equal(config->log_format, CONFIG_LOG_JOURNAL);
	assert_int_equal(config->drain_timeout_s, 60);
	config_free(config);
}

#define SMALLEST_LISTENERS \
	"listeners: [{ address: 127.0.0.1:8443, tls: { certificate: c, key: k } }]\n"
#define SMALLEST_TARGETS "targets: [{ name: app, url: 'https://app.example' }]\n"
#define SMALLEST_STORE "store: { path: d }\n"
#define SMALLEST \
	SMALLEST_LISTENERS SMALLEST_TARGETS SMALLEST_STORE \
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: app }]\n"

static void what_is_not_written_has_its_default(void **state)
{
	struct config *config = parse(SMALLEST);
	const struct config_endpoint *endpoint = &config->endpoints[0];
	const struct config_target *target = &config->targets[0];

	(void)state;
	assert_string_equal(config->listeners[0].name, "127.0.0.1:8443");
	assert_int_equal(config->listeners[0].client_certificate, CONFIG_CLIENT_CERTIFICATE_NONE);
	assert_null(endpoint->host);
	assert_null(endpoint->previous_secret_file);
	assert_null(endpoint->public_url);
	assert_int_equal(endpoint->tolerance_s, 0);
	assert_int_equal(endpoint->replay_window_s, REPLAY_WINDOW_S_DEFAULT);
	assert_int_equal(endpoint->body_size_max, RECEIVE_BODY_SIZE_DEFAULT);
	assert_string_equal(target->path, "/");
	assert_int_equal(target->port, 443);
	assert_null(target->ca_file);
	assert_int_equal(target->timeout_ms, DELIVER_TIMEOUT_MS_DEFAULT);
	assert_int_equal(target->connect_timeout_ms, DELIVER_CONNECT_TIMEOUT_MS_DEFAULT);
	assert_int_equal(target->connections_max, DELIVER_CONNECTIONS_DEFAULT);
	assert_int_equal(target->retry.attempts_max, DELIVER_ATTEMPTS_DEFAULT);
	assert_int_equal(target->retry.backoff_base_ms, DELIVER_BACKOFF_BASE_MS_DEFAULT);
	assert_int_equal(target->retry.backoff_max_ms, DELIVER_BACKOFF_MAX_MS_DEFAULT);
	assert_true(config->store.quota_size == 0);
	assert_int_equal(config->store.retention_s, STORE_RETENTION_S_DEFAULT);
	assert_int_equal(config->store.replay_entries_max, REPLAY_ENTRIES_DEFAULT);
	assert_int_equal(config->workers_per_cpu, 1);
	assert_int_equal(config->connections_max, RECEIVE_CONNECTIONS_DEFAULT);
	assert_int_equal(config->requests_max, RECEIVE_REQUESTS_DEFAULT);
	assert_string_equal(config->control_socket, "/run/penstock/control.sock");
	assert_null(config->control_group);
	assert_int_equal(config->control_admin_count, 0);
	assert_int_equal(config->metrics_address.port, 0);
	assert_int_equal(config->log_level, CONFIG_LOG_NOTICE);
	assert_int_equal(config->log_format, CONFIG_LOG_AUTO);
	assert_int_equal(config->drain_timeout_s, DRAIN_TIMEOUT_S_DEFAULT);
	/* auto: the CPUs of this process, in order */
	assert_true(config->cpu_count > 0);
	for (uint32_t i = 1; i < config->cpu_count; i++) {
		assert_true(config->cpus[i - 1] < config->cpus[i]);
	}
	config_free(config);
}

static void spellings_of_the_same_are_the_same(void **state)
{
	static const char *const spellings[] = {
		"metrics: off\n" SMALLEST,
		"metrics: false\n" SMALLEST,
		"---\n" SMALLEST,
		"\xEF\xBB\xBF" SMALLEST,
		"%YAML 1.2\n---\n" SMALLEST "...\n",
		"\"log\": { 'level': \"notice\" }\n" SMALLEST,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(spellings); i++) {
		struct config *config = parse(spellings[i]);
		assert_int_equal(config->metrics_address.port, 0);
		assert_int_equal(config->log_level, CONFIG_LOG_NOTICE);
		config_free(config);
	}
}

static void cpu_lists_are_sorted_sets(void **state)
{
	static const char *const lists[] = { "[7, 0, 2, 4-6]", "'0,2,4-7'", "[0, '2', 4-5, 6-7]" };
	static const uint16_t expected[] = { 0, 2, 4, 5, 6, 7 };
	char text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
		snprintf(text, sizeof text, "workers: { cpus: %s }\n%s", lists[i], SMALLEST);
		struct config *config = parse(text);
		assert_int_equal(config->cpu_count, ARRAY_COUNT(expected));
		assert_memory_equal(config->cpus, expected, sizeof expected);
		config_free(config);
	}
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static char *text_of_size(size_t size, struct writer *ret_writer)
{
	char *text = alloc_array(size, 1);
	*ret_writer = writer_of(text, size);
	return text;
}

/* A configuration with `count` endpoints, each with a name and a path of its own. */
static char *text_with_endpoints(uint32_t count, struct writer *ret_writer)
{
	char *text = text_of_size(256 + (size_t)count * 96, ret_writer);

	write_text(ret_writer, SMALLEST_LISTENERS SMALLEST_TARGETS SMALLEST_STORE "endpoints:\n");
	for (uint32_t i = 0; i < count; i++) {
		write_format(ret_writer,
			"- { name: e%u, path: /%u, scheme: github, secret_file: s, target: app }\n",
			i, i);
	}
	assert_false(ret_writer->failed);
	return text;
}

static void the_most_endpoints_are_taken_and_one_more_is_not(void **state)
{
	struct config *config = NULL;
	struct writer writer;

	(void)state;
	char *text = text_with_endpoints(ENDPOINTS_MAX, &writer);
	assert_true(writer.size < CONFIG_FILE_SIZE_MAX);
	assert_int_equal(config_parse("t", writer_bytes(&writer), &config, &report), RESULT_OK);
	assert_int_equal(config->endpoint_count, ENDPOINTS_MAX);
	assert_string_equal(config->endpoints[ENDPOINTS_MAX - 1].name, "e65535");
	config_free(config);
	alloc_free(text);

	text = text_with_endpoints(ENDPOINTS_MAX + 1, &writer);
	expect_refused(writer_bytes(&writer), PS_TOO_MANY);
	assert_int_equal(report.diagnostics[0].position.line, 4 + ENDPOINTS_MAX + 1);
	alloc_free(text);
}

static void too_many_elements_are_refused_at_the_first_one_too_many(void **state)
{
	struct writer writer;
	char *text = text_of_size(65536, &writer);

	(void)state;
	write_text(&writer,
		SMALLEST_STORE "endpoints: [{ name: a, path: /a, scheme: github, "
			       "secret_file: s, target: app }]\n" SMALLEST_TARGETS);
	write_text(&writer, "listeners:\n");
	for (uint32_t i = 0; i <= LISTENERS_MAX; i++) {
		write_format(&writer, "- { address: 127.0.0.1:%u, tls: off }\n", 1000 + i);
	}
	expect_refused(writer_bytes(&writer), PS_TOO_MANY);
	assert_int_equal(report.diagnostics[0].position.line, 5 + LISTENERS_MAX);
	assert_int_equal(report.diagnostics[0].position.column, 3);
	alloc_free(text);
}

static void too_large_files_and_values_are_refused(void **state)
{
	struct writer writer;
	size_t size = CONFIG_FILE_SIZE_MAX;
	char *text = text_of_size(size + 1, &writer);

	(void)state;
	/* A comment fills a good file up to the bound, and one byte beyond it. */
	write_text(&writer, SMALLEST "#");
	memset(text + writer.size, 'x', size + 1 - writer.size);
	struct config *config = NULL;
	assert_int_equal(config_parse("t", bytes_of(text, size), &config, &report), RESULT_OK);
	config_free(config);
	expect_refused(bytes_of(text, size + 1), PS_TOO_LARGE);

	writer = writer_of(text, size);
	write_text(&writer, SMALLEST "log: { level: ");
	memset(text + writer.size, 'x', CONFIG_SCALAR_SIZE_MAX + 1);
	writer.size += CONFIG_SCALAR_SIZE_MAX + 1;
	write_text(&writer, " }\n");
	expect_refused(writer_bytes(&writer), PS_TOO_LARGE);
	assert_int_equal(report.diagnostics[0].position.column, 15);

	/* One value more than there may be: the smallest text for many is a list in brackets. */
	writer = writer_of(text, size);
	write_text(&writer, "x: [");
	for (uint32_t i = 0; i < CONFIG_NODES_MAX; i++) write_text(&writer, "a,");
	expect_refused(writer_bytes(&writer), PS_TOO_LARGE);
	alloc_free(text);
}

/* Nothing is expanded, so a small file stays small. */
static void aliases_do_not_blow_up(void **state)
{
	struct config *config = NULL;
	struct writer writer;
	char *text = text_of_size(65536, &writer);

	(void)state;
	write_text(&writer, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (uint32_t i = 1; i < 200; i++) {
		write_format(&writer, "a%u: &a%u [*a%u, *a%u, *a%u, *a%u, *a%u]\n", i, i, i - 1,
			i - 1, i - 1, i - 1, i - 1);
	}
	assert_int_equal(config_parse("t", writer_bytes(&writer), &config, &report), RESULT_CONFIG);
	assert_int_equal(report.count, CONFIG_DIAGNOSTICS_MAX);
	/* An anchor and an unknown key in each line, five aliases in all but the first, and
	 * four keys that are missing. */
	assert_int_equal(report.error_count, 200 * 2 + 199 * 5 + 4);
	assert_int_equal(report.dropped_count, report.error_count - CONFIG_DIAGNOSTICS_MAX);
	alloc_free(text);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void expect_unreadable(const char *path, const char *code)
{
	struct config *config = NULL;

	assert_int_equal(config_load(path, &config, &report), RESULT_CONFIG);
	assert_null(config);
	assert_int_equal(report.error_count, 1);
	assert_string_equal(report.diagnostics[0].code, code);
	assert_int_equal(report.diagnostics[0].position.line, 0);
}

static void what_is_no_readable_file_is_refused(void **state)
{
	char folder[] = "/tmp/penstock-test-XXXXXX";
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	expect_unreadable(folder, PS_FILE_UNREADABLE);

	snprintf(path, sizeof path, "%s/none", folder);
	expect_unreadable(path, PS_FILE_UNREADABLE);

	/* A FIFO must not make the daemon wait for a writer. */
	snprintf(path, sizeof path, "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_unreadable(path, PS_FILE_UNREADABLE);
	assert_int_equal(unlink(path), 0);

	snprintf(path, sizeof path, "%s/large", folder);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), (off_t)CONFIG_FILE_SIZE_MAX + 1), 0);
	assert_int_equal(fclose(file), 0);
	expect_unreadable(path, PS_TOO_LARGE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void a_file_that_others_can_change_is_a_warning(void **state)
{
	char path[] = "/tmp/penstock-test-XXXXXX";
	struct config *config = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, SMALLEST, strlen(SMALLEST)), strlen(SMALLEST));
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(config_load(path, &config, &report), RESULT_OK);
	assert_int_equal(report.count, 0);
	config_free(config);

	assert_int_equal(fchmod(fd, 0664), 0);
	assert_int_equal(config_load(path, &config, &report), RESULT_OK);
	assert_int_equal(report.count, 1);
	assert_string_equal(report.diagnostics[0].code, PS_FILE_WRITABLE);
	config_free(config);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* ---- The example file ------------------------------------------------------------------------ */

static char *file_read(const char *path)
{
	static char text[65536];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t size = fread(text, 1, sizeof text - 1, file);
	assert_true(size > 0 && size < sizeof text - 1);
	text[size] = '\0';
	assert_int_equal(fclose(file), 0);
	return text;
}

/* What a package installs: right, without a warning, and nobody can connect to it. */
static void the_installed_file_opens_no_port(void **state)
{
	(void)state;
	struct config *config = parse(file_read(INSTALLED_FILE));

	assert_int_equal(report.count, 0);
	assert_int_equal(config->listener_count, 0);
	assert_int_equal(config->endpoint_count, 0);
	assert_int_equal(config->target_count, 0);
	assert_int_equal(config->metrics_address.port, 0);
	assert_string_equal(config->store.path, "/var/lib/penstock");
	config_free(config);
}

/* "    # key: value" becomes "    key: value"; prose is told apart by its capital letter or its
 * place at the start of a line. */
static void uncomment(const char *from, struct writer *to)
{
	struct bytes rest = bytes_of_text(from);
	struct bytes line;

	while (rest.size > 0) {
		(void)bytes_split(rest, '\n', &line, &rest); /* the file ends with a line end */
		size_t indent = 0;
		while (indent < line.size && line.data[indent] == ' ') indent++;
		struct bytes text = bytes_from(line, indent);
		bool is_option = indent > 0 && bytes_starts_with(text, BYTES_LITERAL("# "));

		write_bytes(to, bytes_of(line.data, indent));
		if (is_option) text = bytes_from(text, 2);
		write_bytes(to, text);
		write_text(to, "\n");
	}
}

static void the_example_is_valid_with_and_without_its_options(void **state)
{
	static char memory[65536];
	struct writer writer = writer_of(memory, sizeof memory - 1);
	struct config *config = NULL;

	(void)state;
	assert_int_equal(config_load(EXAMPLE_FILE, &config, &report), RESULT_OK);
	assert_int_equal(report.count, 0);

	uncomment(file_read(EXAMPLE_FILE), &writer);
	assert_false(writer.failed);
	struct config *whole = parse(memory);
	assert_int_equal(report.count, 0);

	/* The options show the defaults, as the file says. */
	assert_int_equal(whole->connections_max, config->connections_max);
	assert_int_equal(whole->requests_max, config->requests_max);
	assert_int_equal(whole->store.retention_s, config->store.retention_s);
	assert_int_equal(whole->store.replay_entries_max, config->store.replay_entries_max);
	assert_int_equal(whole->endpoints[0].body_size_max, config->endpoints[0].body_size_max);
	assert_int_equal(whole->endpoints[0].replay_window_s, config->endpoints[0].replay_window_s);
	assert_int_equal(whole->targets[0].timeout_ms, config->targets[0].timeout_ms);
	assert_int_equal(whole->targets[0].connect_timeout_ms,
		config->targets[0].connect_timeout_ms);
	assert_int_equal(whole->targets[0].connections_max, config->targets[0].connections_max);
	assert_memory_equal(&whole->targets[0].retry, &config->targets[0].retry,
		sizeof whole->targets[0].retry);
	/* They were really taken. */
	assert_int_equal(whole->listeners[0].certificate_count, 2);
	assert_string_equal(whole->endpoints[0].host, "hooks.example.org");
	assert_true(whole->store.quota_size == UINT64_C(10) << 30);
	config_free(whole);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_ends_up_in_its_field),
		cmocka_unit_test(what_is_not_written_has_its_default),
		cmocka_unit_test(spellings_of_the_same_are_the_same),
		cmocka_unit_test(cpu_lists_are_sorted_sets),
		cmocka_unit_test(the_most_endpoints_are_taken_and_one_more_is_not),
		cmocka_unit_test(too_many_elements_are_refused_at_the_first_one_too_many),
		cmocka_unit_test(too_large_files_and_values_are_refused),
		cmocka_unit_test(aliases_do_not_blow_up),
		cmocka_unit_test(what_is_no_readable_file_is_refused),
		cmocka_unit_test(a_file_that_others_can_change_is_a_warning),
		cmocka_unit_test(the_installed_file_opens_no_port),
		cmocka_unit_test(the_example_is_valid_with_and_without_its_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_check — what no single value can show: duplicates, contradictions, keys that need
 * others, and what is allowed but unsafe. Endpoints and their references are in
 * config_check_routes.c.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_check.h"
#include "config/config_codes.h"
#include "config/config_values.h"

bool config_written(const struct config *config, const void *field)
{
	return config_position_of(config, field, (struct config_position){ 0 }).line > 0;
}

static int named_compare(const void *a, const void *b)
{
	const struct config_named *left = a;
	const struct config_named *right = b;
	int order = strcmp(left->name, right->name);

	if (order != 0) return order;
	return left->index < right->index ? -1 : left->index > right->index ? 1 : 0;
}

void config_named_sort(struct config_named *named, size_t count)
{
	if (count > 0) qsort(named, count, sizeof *named, named_compare);
}

static int name_compare(const void *name, const void *entry)
{
	return strcmp(name, ((const struct config_named *)entry)->name);
}

const struct config_named *config_named_find(const struct config_named *named, size_t count,
	const char *name)
{
	if (count == 0) return NULL;
	return bsearch(name, named, count, sizeof *named, name_compare);
}

bool config_check_names(const struct config *config, const char *noun,
	const struct config_named *named, size_t count, struct config_report *report)
{
	bool unique = true;

	for (size_t i = 1, first = 0; i < count; i++) {
		if (strcmp(named[i].name, named[first].name) != 0) {
			first = i;
			continue;
		}
		unique = false;
		struct config_position taken = config_position_of(config, named[first].field,
			(struct config_position){ 0 });
		config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_NAME,
			config_position_of(config, named[i].field, (struct config_position){ 0 }),
			NULL, "the name '%s' is already taken by the %s in line %u", named[i].name,
			noun, taken.line);
	}
	return unique;
}

/* ---- Listeners ------------------------------------------------------------------------------- */

static bool is_loopback(const struct io_address *address)
{
	static const uint8_t ipv6_loopback[16] = { [15] = 1 };

	if (!address->is_ipv6) return address->ip[0] == 127;
	return memcmp(address->ip, ipv6_loopback, sizeof ipv6_loopback) == 0;
}

static void check_certificates(const struct config *config, const struct config_listener *listener,
	struct config_report *report)
{
	const struct config_certificate *only = &listener->only;
	struct config_position position =
		config_position_of(config, &listener->tls, listener->position);
	bool has_certificate = config_written(config, &only->certificate_file);
	bool has_key = config_written(config, &only->key_file);

	if (has_certificate != has_key) {
		const void *written = has_key ? &only->key_file : &only->certificate_file;
		config_report_add(report, CONFIG_ERROR, PS_NEEDS_OTHER_KEY,
			config_position_of(config, written, position), NULL,
			"'%s' of tls of listener '%s' needs '%s'", has_key ? "key" : "certificate",
			listener->name, has_key ? "certificate" : "key");
	}
	if (!has_certificate && !has_key && !config_written(config, &listener->certificates)) {
		config_report_add(report, CONFIG_ERROR, PS_MISSING_KEY, position,
			"for example { certificate: tls/cert.pem, key: tls/key.pem }",
			"missing key 'certificate' in tls of listener '%s'", listener->name);
	}
	for (uint32_t i = 1; i < listener->certificate_count; i++) {
		const struct config_certificate *certificate = &listener->certificates[i];
		if (certificate->name_count > 0 || certificate->certificate_file == NULL) continue;
		config_report_add(report, CONFIG_ERROR, PS_NEEDS_OTHER_KEY, certificate->position,
			"add names: [a.example]; only the first certificate serves every name",
			"certificate %u of listener '%s' would never be used without 'names'",
			i + 1, listener->name);
	}
}

static void check_client_certificates(const struct config *config,
	const struct config_listener *listener, struct config_report *report)
{
	bool asked = listener->client_certificate != CONFIG_CLIENT_CERTIFICATE_NONE;
	bool chosen = config_written(config, &listener->client_certificate);
	struct config_position choice =
		config_position_of(config, &listener->client_certificate, listener->position);
	struct config_position ca =
		config_position_of(config, &listener->client_ca_file, listener->position);

	if (asked && !config_written(config, &listener->client_ca_file)) {
		config_report_add(report, CONFIG_ERROR, PS_NEEDS_OTHER_KEY, choice,
			"add client_ca: a PEM file with the authorities you accept",
			"'client_certificate' of listener '%s' needs 'client_ca'", listener->name);
	}
	if (listener->client_ca_file == NULL || asked) return;
	if (!chosen) {
		config_report_add(report, CONFIG_ERROR, PS_NEEDS_OTHER_KEY, ca,
			"add client_certificate: required, or optional",
			"'client_ca' of listener '%s' needs 'client_certificate'", listener->name);
		return;
	}
	config_report_add(report, CONFIG_WARNING, PS_NO_EFFECT, ca, NULL,
		"'client_ca' of listener '%s' has no effect: client_certificate is none",
		listener->name);
}

static void check_listeners(const struct config *config, struct config_report *report)
{
	struct config_named named[LISTENERS_MAX];
	size_t named_count = 0;

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		struct config_position position =
			config_position_of(config, &listener->address, listener->position);

		if (config_written(config, &listener->name)) {
			named[named_count++] =
				(struct config_named){ listener->name, i, &listener->name };
		}
		for (uint32_t j = 0; j < i && listener->address.port != 0; j++) {
			const struct config_listener *other = &config->listeners[j];
			if (!address_equal(&listener->address, &other->address)) continue;
			config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_ADDRESS, position,
				NULL, "the address is already taken by the listener in line %u",
				other->position.line);
			break;
		}
		if (listener->tls) {
			check_certificates(config, listener, report);
			check_client_certificates(config, listener, report);
		} else if (config_written(config, &listener->tls) && listener->address.port != 0 &&
			!is_loopback(&listener->address)) {
			config_report_add(report, CONFIG_WARNING, PS_PLAIN_LISTENER, position,
				"right only behind a proxy that ends TLS on a trusted network",
				"listener '%s' takes webhooks over plain text from other hosts",
				listener->name);
		}
	}
	config_named_sort(named, named_count);
	(void)config_check_names(config, "listener", named, named_count, report);
}

/* Neither is what a fresh installation has; one without the other is a list that was lost. */
static void check_intake(const struct config *config, struct config_report *report)
{
	if (report->error_count > 0) return; /* then one may be missing for another reason */
	if (config->listener_count > 0 && config->endpoint_count == 0) {
		config_report_add(report, CONFIG_WARNING, PS_NO_EFFECT,
			config->listeners[0].position, "add endpoints",
			"listeners without endpoints: every request is answered 404");
	}
	if (config->listener_count == 0 && config->endpoint_count > 0) {
		config_report_add(report, CONFIG_WARNING, PS_NO_EFFECT,
			config->endpoints[0].position, "add listeners",
			"endpoints without listeners: no event can arrive");
	}
}

/* ---- Targets --------------------------------------------------------------------------------- */

static bool is_loopback_host(const char *host)
{
	static const char suffix[] = ".localhost";
	uint8_t ip[16];
	size_t size = strlen(host);

	if (strcmp(host, "localhost") == 0) return true;
	if (size > sizeof suffix && strcmp(host + size - (sizeof suffix - 1), suffix) == 0) {
		return true;
	}
	if (inet_pton(AF_INET, host, ip) == 1) return ip[0] == 127;
	return strcmp(host, "::1") == 0;
}

/* `field` needs `other`, which is not there. */
static void check_needs(const struct config *config, const struct config_target *target,
	const char *const *field, const char *name, const char *const *other,
	const char *other_name, struct config_report *report)
{
	if (*field == NULL || config_written(config, other)) return;
	config_report_add(report, CONFIG_ERROR, PS_NEEDS_OTHER_KEY,
		config_position_of(config, field, target->position), NULL,
		"'%s' of target '%s' needs '%s'", name, target->name, other_name);
}

static void check_target_tls(const struct config *config, const struct config_target *target,
	struct config_report *report)
{
	const struct {
		const char *const *field;
		const char *name;
	} keys[] = {
		{ &target->ca_file, "ca_file" },
		{ &target->client_certificate_file, "client_certificate" },
		{ &target->client_key_file, "client_key" },
	};

	check_needs(config, target, &target->client_certificate_file, "client_certificate",
		&target->client_key_file, "client_key", report);
	check_needs(config, target, &target->client_key_file, "client_key",
		&target->client_certificate_file, "client_certificate", report);

	if (target->host == NULL || target->tls) return;
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		if (*keys[i].field == NULL) continue;
		config_report_add(report, CONFIG_ERROR, PS_CONTRADICTION,
			config_position_of(config, keys[i].field, target->position),
			"write https:// in the URL, or remove the key",
			"'%s' of target '%s' needs a URL with https://", keys[i].name,
			target->name);
	}
	if (!is_loopback_host(target->host)) {
		config_report_add(report, CONFIG_WARNING, PS_PLAIN_TARGET,
			config_position_of(config, &target->url, target->position),
			"write https://",
			"target '%s' gets events over plain text from another host", target->name);
	}
}

static void check_target(const struct config *config, const struct config_target *target,
	struct config_report *report)
{
	check_needs(config, target, &target->previous_secret_file, "previous_secret_file",
		&target->secret_file, "secret_file", report);
	check_target_tls(config, target, report);
	if (target->retry.backoff_base_ms > target->retry.backoff_max_ms) {
		char base[CONFIG_QUANTITY_SIZE];
		char most[CONFIG_QUANTITY_SIZE];
		config_format_duration_ms(target->retry.backoff_base_ms, base);
		config_format_duration_ms(target->retry.backoff_max_ms, most);
		config_report_add(report, CONFIG_ERROR, PS_CONTRADICTION,
			config_position_of(config,
				config_written(config, &target->retry.backoff_base_ms)
					? &target->retry.backoff_base_ms
					: &target->retry.backoff_max_ms,
				target->position),
			NULL, "'base' of retry of target '%s' (%s) is above 'max' (%s)",
			target->name, base, most);
	}
	if (config_written(config, &target->connect_timeout_ms) &&
		target->connect_timeout_ms > target->timeout_ms) {
		config_report_add(report, CONFIG_WARNING, PS_NO_EFFECT,
			config_position_of(config, &target->connect_timeout_ms, target->position),
			NULL,
			"'connect_timeout' of target '%s' has no effect: 'timeout' is shorter",
			target->name);
	}
}

/* ---- Store, workers, control, metrics -------------------------------------------------------- */

static void check_workers(const struct config *config, struct config_report *report)
{
	struct config_position position =
		config_position_of(config, &config->cpus, (struct config_position){ 0 });
	struct config_cpus allowed;

	if (config->cpu_count * config->workers_per_cpu > WORKERS_MAX) {
		config_report_add(report, CONFIG_ERROR, PS_TOO_MANY, position, NULL,
			"cpus of workers: %u CPUs with per_cpu: %u; at most %u workers are allowed",
			config->cpu_count, config->workers_per_cpu, WORKERS_MAX);
		return;
	}
	if (position.line == 0 || !config_value_cpus_auto(&allowed)) return;
	for (uint32_t i = 0; i < config->cpu_count; i++) {
		if (config_cpus_has(&allowed, config->cpus[i])) continue;
		/* A warning: the file may be meant for another host. */
		config_report_add(report, CONFIG_WARNING, PS_CPU_MISSING, position,
			"write auto to take what there is",
			"cpus of workers: on this host the process may not run on CPU %u",
			config->cpus[i]);
		return;
	}
}

/* Each user once, in one of the two lists. */
static void check_users(const struct config *config, struct config_report *report)
{
	struct config_position nowhere = { 0 };
	uint32_t admin_count = config->control_admin_count;
	uint32_t count = admin_count + config->control_operator_count;

	for (uint32_t i = 0; i < count; i++) {
		bool is_admin = i < admin_count;
		const char *const *at = is_admin ? &config->control_admins[i]
						 : &config->control_operators[i - admin_count];
		for (uint32_t j = 0; j < i; j++) {
			const char *other = j < admin_count
				? config->control_admins[j]
				: config->control_operators[j - admin_count];
			if (strcmp(*at, other) != 0) continue;
			config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_ELEMENT,
				config_position_of(config, at, nowhere),
				is_admin ? NULL : "admins may do all that operators may",
				"%s of control: '%s' is listed twice",
				is_admin ? "admins" : "operators", *at);
			break;
		}
	}
}

static void check_control(const struct config *config, struct config_report *report)
{
	struct config_position nowhere = { 0 };

	if (strlen(config->control_socket) > SOCKET_NAME_SIZE_MAX) {
		config_report_add(report, CONFIG_ERROR, PS_FILE_NAME,
			config_position_of(config, &config->control_socket, nowhere), NULL,
			"socket of control: %zu bytes; the longest name of a socket has %u",
			strlen(config->control_socket), SOCKET_NAME_SIZE_MAX);
	}
	check_users(config, report);
}

static void check_metrics(const struct config *config, struct config_report *report)
{
	struct config_position position =
		config_position_of(config, &config->metrics_address, (struct config_position){ 0 });

	if (config->metrics_address.port == 0) return;
	if (!is_loopback(&config->metrics_address)) {
		config_report_add(report, CONFIG_WARNING, PS_METRICS_EXPOSED, position,
			"prefer a loopback address, 127.0.0.1:9464",
			"metrics can be read by anybody who reaches this address");
	}
	for (uint32_t i = 0; i < config->listener_count; i++) {
		if (!address_equal(&config->metrics_address, &config->listeners[i].address)) {
			continue;
		}
		config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_ADDRESS, position, NULL,
			"the address is already taken by the listener in line %u",
			config->listeners[i].position.line);
	}
}

static void check_telemetry(const struct config *config, struct config_report *report)
{
	if (config->otlp_endpoint == NULL) return;
	if (strncasecmp(config->otlp_endpoint, "http://", strlen("http://")) == 0) return;
	config_report_add(report, CONFIG_ERROR, PS_URL,
		config_position_of(config, &config->otlp_endpoint, (struct config_position){ 0 }),
		"write http://127.0.0.1:4318: a collector on this host speaks TLS to others",
		"endpoint of otlp: traces are sent over plain HTTP");
}

void config_check(const struct config *config, struct config_report *report)
{
	check_listeners(config, report);
	check_intake(config, report);
	for (uint32_t i = 0; i < config->target_count; i++) {
		const struct config_target *target = &config->targets[i];
		if (target->name != NULL) check_target(config, target, report);
	}
	config_check_routes(config, report);
	check_workers(config, report);
	check_control(config, report);
	check_metrics(config, report);
	check_telemetry(config, report);

	if (config->store.path != NULL && config->store.retention_s < STORE_RETENTION_S_SHORT) {
		config_report_add(report, CONFIG_WARNING, PS_SHORT_RETENTION,
			config_position_of(config, &config->store.retention_s,
				config->store.position),
			"a week is the default",
			"settled events are kept for less than a day: nothing is left to replay");
	}
}

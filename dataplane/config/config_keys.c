/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_keys.h"

#include <stddef.h>

#include "base/check.h"

#define AT(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LIST_AT(type, member, count) \
	.arity = CONFIG_LIST, .offset = offsetof(struct type, member), \
	.size = sizeof(*((struct type *)0)->member), .extra = offsetof(struct type, count)
#define DEFAULT(value) .has_default = true, .default_value = (value)
#define DEFAULT_TEXT(text) .has_default = true, .default_text = (text)
#define CHOICES(list) .choices = (list), .choice_count = ARRAY_COUNT(list)
#define KEYS(list) .keys = (list), .key_count = ARRAY_COUNT(list)

#define SECRET_HINT "put the secret into a file with mode 0600 and name it: 'secret_file: …'"

static const char *const client_certificate_choices[] = { "none", "optional", "required" };
BOUND(CONFIG_CLIENT_CERTIFICATE_REQUIRED == 2);
static const char *const log_level_choices[] = { "error", "warning", "notice", "info", "debug" };
BOUND(CONFIG_LOG_DEBUG == 4);
static const char *const log_format_choices[] = { "auto", "text", "json", "journal" };
BOUND(CONFIG_LOG_JOURNAL == 3);

static const struct config_key certificate_keys[] = {
	{ "certificate", CONFIG_TYPE_FILE, .required = true,
		AT(config_certificate, certificate_file), .example = "tls/cert.pem",
		.help = "PEM file with the certificate chain, leaf first" },
	{ "key", CONFIG_TYPE_FILE, .required = true, AT(config_certificate, key_file),
		.example = "tls/key.pem", .help = "PEM file with the certificate's private key" },
	{ "names", CONFIG_TYPE_HOST_PATTERN, LIST_AT(config_certificate, names, name_count),
		.max = NAMES_PER_CERTIFICATE_MAX, .example = "[a.example, '*.b.example']",
		.help = "names it serves, exact or with '*.' in front" },
};

static const struct config_section certificate_section = {
	.name = "certificate",
	.label_key = "certificate",
	.help = "a certificate with its key and the names it serves",
	KEYS(certificate_keys),
	.position = offsetof(struct config_certificate, position),
};

static const struct config_key tls_keys[] = {
	{ "certificate", CONFIG_TYPE_FILE, AT(config_listener, only.certificate_file),
		.example = "tls/cert.pem",
		.help = "PEM file with the certificate chain, leaf first" },
	{ "key", CONFIG_TYPE_FILE, AT(config_listener, only.key_file), .example = "tls/key.pem",
		.help = "PEM file with the certificate's private key" },
	{ "certificates", CONFIG_TYPE_SECTION,
		LIST_AT(config_listener, certificates, certificate_count),
		.merged_from = offsetof(struct config_listener, only.certificate_file),
		.max = CERTIFICATES_PER_LISTENER_MAX, .section = &certificate_section,
		.example = "[{ certificate: a.pem, key: a.key, names: [a.example] }]",
		.help = "further certificates, chosen by the name the client asks for" },
	{ "client_certificate", CONFIG_TYPE_CHOICE, AT(config_listener, client_certificate),
		CHOICES(client_certificate_choices), DEFAULT(CONFIG_CLIENT_CERTIFICATE_NONE),
		.example = "required", .help = "whether clients must show a certificate" },
	{ "client_ca", CONFIG_TYPE_FILE, AT(config_listener, client_ca_file),
		.example = "tls/clients.pem",
		.help = "PEM file with the authorities that clients' certificates come from" },
};

static const struct config_section tls_section = {
	.name = "tls",
	.help = "TLS of a listener",
	KEYS(tls_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key listener_keys[] = {
	{ "name", CONFIG_TYPE_NAME, AT(config_listener, name), .default_text = "the address",
		.example = "public", .help = "name in logs and metrics" },
	{ "address", CONFIG_TYPE_ADDRESS, .required = true, AT(config_listener, address),
		.example = "0.0.0.0:443", .help = "numeric address and port to listen on" },
	{ "tls", CONFIG_TYPE_SECTION_OR_OFF, .required = true, .section = &tls_section,
		.extra = offsetof(struct config_listener, tls),
		.example = "{ certificate: tls/cert.pem, key: tls/key.pem }",
		.help = "certificates, or off for plain text, which must be asked for" },
};

static const struct config_section listener_section = {
	.name = "listener",
	.label_key = "address",
	.help = "an address that providers send to",
	KEYS(listener_keys),
	.position = offsetof(struct config_listener, position),
};

static const struct config_key endpoint_keys[] = {
	{ "name", CONFIG_TYPE_NAME, .required = true, AT(config_endpoint, name),
		.example = "github", .help = "name in logs, metrics and records" },
	{ "host", CONFIG_TYPE_HOST, AT(config_endpoint, host), .default_text = "any",
		.example = "hooks.example.org", .help = "host that requests must be for" },
	{ "path", CONFIG_TYPE_PATH, .required = true, AT(config_endpoint, path),
		.example = "/github", .help = "path of its requests, compared exactly" },
	{ "scheme", CONFIG_TYPE_WORD, .required = true, AT(config_endpoint, scheme),
		.example = "github", .help = "how the provider signs: the name of a scheme" },
	{ "secret_file", CONFIG_TYPE_FILE, .required = true, AT(config_endpoint, secret_file),
		.example = "secrets/github",
		.help = "file whose first line is the secret shared with the provider" },
	{ "previous_secret_file", CONFIG_TYPE_FILE, AT(config_endpoint, previous_secret_file),
		.example = "secrets/github.old",
		.help = "the secret before it was changed; accepted as well" },
	{ "secret", CONFIG_TYPE_REFUSED, .help = SECRET_HINT },
	{ "previous_secret", CONFIG_TYPE_REFUSED, .help = SECRET_HINT },
	{ "public_url", CONFIG_TYPE_ORIGIN, AT(config_endpoint, public_url),
		.default_text = "none: schemes that sign the URL need it",
		.example = "https://hooks.example.org",
		.help = "scheme://host[:port] as the provider sees it, for schemes that sign it" },
	{ "tolerance", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_S,
		AT(config_endpoint, tolerance_s), .min = 1, .max = VERIFY_TOLERANCE_S_LIMIT,
		.default_text = "the scheme's own", .example = "5m",
		.help = "how far a request's timestamp may be off, either way" },
	{ "replay_window", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_S,
		AT(config_endpoint, replay_window_s), .min = REPLAY_WINDOW_S_MIN,
		.max = REPLAY_WINDOW_S_LIMIT, DEFAULT(REPLAY_WINDOW_S_DEFAULT), .example = "24h",
		.help = "how long an event is remembered, to know it when it comes again" },
	{ "body_size", CONFIG_TYPE_SIZE, .unit = CONFIG_UNIT_BYTES,
		AT(config_endpoint, body_size_max), .min = RECEIVE_BODY_SIZE_MIN,
		.max = RECEIVE_BODY_SIZE_LIMIT, DEFAULT(RECEIVE_BODY_SIZE_DEFAULT),
		.example = "1MiB", .help = "largest body accepted" },
	{ "target", CONFIG_TYPE_NAME, .arity = CONFIG_LIST_OF_ONE,
		.offset = offsetof(struct config_endpoint, targets), .size = sizeof(char *),
		.extra = offsetof(struct config_endpoint, target_count), .max = 1, .example = "app",
		.help = "the target that its events go to" },
	{ "targets", CONFIG_TYPE_NAME, LIST_AT(config_endpoint, targets, target_count),
		.max = TARGETS_PER_ENDPOINT_MAX, .may_be_empty = true, .example = "[app, audit]",
		.help = "the targets, when there are several; each gets every event; "
			"[]: events are kept, and go nowhere" },
};

static const struct config_section endpoint_section = {
	.name = "endpoint",
	.label_key = "name",
	.help = "where a provider's events arrive, how they are verified, and where they go",
	KEYS(endpoint_keys),
	.position = offsetof(struct config_endpoint, position),
};

static const struct config_key retry_keys[] = {
	{ "attempts", CONFIG_TYPE_COUNT, AT(config_retry, attempts_max), .min = 1,
		.max = DELIVER_ATTEMPTS_LIMIT, DEFAULT(DELIVER_ATTEMPTS_DEFAULT), .example = "5",
		.help = "attempts before an event is parked as dead, the first one included" },
	{ "base", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_MS, AT(config_retry, backoff_base_ms),
		.min = DELIVER_BACKOFF_MS_MIN, .max = DELIVER_BACKOFF_MS_LIMIT,
		DEFAULT(DELIVER_BACKOFF_BASE_MS_DEFAULT), .example = "1s",
		.help = "wait after the first failed attempt; doubles with each further one" },
	{ "max", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_MS, AT(config_retry, backoff_max_ms),
		.min = DELIVER_BACKOFF_MS_MIN, .max = DELIVER_BACKOFF_MS_LIMIT,
		DEFAULT(DELIVER_BACKOFF_MAX_MS_DEFAULT), .example = "60s",
		.help = "longest wait between two attempts" },
};

static const struct config_section retry_section = {
	.name = "retry",
	.help = "when a failed delivery is tried again",
	KEYS(retry_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key target_keys[] = {
	{ "name", CONFIG_TYPE_NAME, .required = true, AT(config_target, name), .example = "app",
		.help = "name in logs, metrics and records" },
	{ "url", CONFIG_TYPE_TARGET_URL, .required = true, AT(config_target, url),
		.example = "https://app.internal/hooks", .help = "where events are posted to" },
	{ "secret_file", CONFIG_TYPE_FILE, AT(config_target, secret_file),
		.default_text = "deliveries are not signed", .example = "secrets/app",
		.help = "file with a whsec_ secret that signs deliveries (Standard Webhooks)" },
	{ "previous_secret_file", CONFIG_TYPE_FILE, AT(config_target, previous_secret_file),
		.example = "secrets/app.old",
		.help = "the secret before it was changed; deliveries carry both signatures" },
	{ "secret", CONFIG_TYPE_REFUSED, .help = SECRET_HINT },
	{ "previous_secret", CONFIG_TYPE_REFUSED, .help = SECRET_HINT },
	{ "ca_file", CONFIG_TYPE_FILE, AT(config_target, ca_file),
		.default_text = "the system's authorities", .example = "tls/internal-ca.pem",
		.help = "PEM file with the authorities that the target's certificate comes from" },
	{ "client_certificate", CONFIG_TYPE_FILE, AT(config_target, client_certificate_file),
		.example = "tls/client.pem",
		.help = "PEM file with the certificate chain shown to the target (mTLS)" },
	{ "client_key", CONFIG_TYPE_FILE, AT(config_target, client_key_file),
		.example = "tls/client.key",
		.help = "PEM file with that certificate's private key" },
	{ "timeout", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_MS, AT(config_target, timeout_ms),
		.min = DELIVER_TIMEOUT_MS_MIN, .max = DELIVER_TIMEOUT_MS_LIMIT,
		DEFAULT(DELIVER_TIMEOUT_MS_DEFAULT), .example = "15s",
		.help = "one attempt, from its start to the end of the answer" },
	{ "connect_timeout", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_MS,
		AT(config_target, connect_timeout_ms), .min = DELIVER_CONNECT_TIMEOUT_MS_MIN,
		.max = DELIVER_CONNECT_TIMEOUT_MS_LIMIT,
		DEFAULT(DELIVER_CONNECT_TIMEOUT_MS_DEFAULT), .example = "5s",
		.help = "connecting and the TLS handshake, within the attempt's time" },
	{ "connections", CONFIG_TYPE_COUNT, AT(config_target, connections_max), .min = 1,
		.max = DELIVER_CONNECTIONS_LIMIT, DEFAULT(DELIVER_CONNECTIONS_DEFAULT),
		.example = "64", .help = "connections each worker may hold to the target" },
	{ "retry", CONFIG_TYPE_SECTION, .section = &retry_section, AT(config_target, retry),
		.example = "{ attempts: 5, base: 1s, max: 60s }",
		.help = "when a failed delivery is tried again" },
};

static const struct config_section target_section = {
	.name = "target",
	.label_key = "name",
	.help = "where events go",
	KEYS(target_keys),
	.position = offsetof(struct config_target, position),
};

static const struct config_key store_keys[] = {
	{ "path", CONFIG_TYPE_FILE, .fixed = true, .required = true, AT(config_store, path),
		.example = "/var/lib/penstock", .help = "folder that events are kept in" },
	{ "quota", CONFIG_TYPE_SIZE, .fixed = true, .unit = CONFIG_UNIT_BYTES,
		AT(config_store, quota_size), .min = STORE_QUOTA_SIZE_MIN,
		.max = STORE_QUOTA_SIZE_LIMIT,
		.default_text = "what the file system has, less a reserve", .example = "10GiB",
		.help = "most that events may take; past it providers are asked to come again" },
	{ "retention", CONFIG_TYPE_DURATION, .fixed = true, .unit = CONFIG_UNIT_S,
		AT(config_store, retention_s), .min = STORE_RETENTION_S_MIN,
		.max = STORE_RETENTION_S_LIMIT, DEFAULT(STORE_RETENTION_S_DEFAULT), .example = "7d",
		.help = "how long delivered and dead events are kept" },
	{ "replay_entries", CONFIG_TYPE_COUNT, .fixed = true, AT(config_store, replay_entries_max),
		.min = REPLAY_ENTRIES_MIN, .max = REPLAY_ENTRIES_LIMIT,
		DEFAULT(REPLAY_ENTRIES_DEFAULT), .example = "1048576",
		.help = "events remembered against replay, over all endpoints" },
};

static const struct config_section store_section = {
	.name = "store",
	.help = "where and how long events are kept",
	KEYS(store_keys),
	.position = offsetof(struct config_store, position),
};

static const struct config_key worker_keys[] = {
	{ "cpus", CONFIG_TYPE_CPUS, .fixed = true, AT(config, cpus), .default_text = "auto",
		.example = "[0, 2, 4-7]",
		.help = "CPUs that workers are pinned to; auto: all that the process may run on" },
	{ "per_cpu", CONFIG_TYPE_COUNT, .fixed = true, AT(config, workers_per_cpu), .min = 1,
		.max = WORKERS_PER_CPU_LIMIT, DEFAULT(WORKERS_PER_CPU_DEFAULT), .example = "2",
		.help = "workers on each CPU; more than one only to hold more connections than "
			"the limit of open files" },
	{ "connections", CONFIG_TYPE_COUNT, .fixed = true, AT(config, connections_max),
		.min = RECEIVE_CONNECTIONS_MIN, .max = RECEIVE_CONNECTIONS_LIMIT,
		DEFAULT(RECEIVE_CONNECTIONS_DEFAULT), .example = "16384",
		.help = "connections from providers, per worker" },
	{ "requests", CONFIG_TYPE_COUNT, .fixed = true, AT(config, requests_max),
		.min = RECEIVE_REQUESTS_MIN, .max = RECEIVE_REQUESTS_LIMIT,
		DEFAULT(RECEIVE_REQUESTS_DEFAULT), .example = "4096",
		.help = "requests between first byte and answer, per worker" },
};

static const struct config_section worker_section = {
	.name = "workers",
	.help = "the threads that do the work",
	KEYS(worker_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key control_keys[] = {
	{ "socket", CONFIG_TYPE_FILE, .fixed = true, AT(config, control_socket),
		DEFAULT_TEXT("/run/penstock/control.sock"), .example = "/run/penstock/control.sock",
		.help = "socket that penstockctl talks to" },
	{ "group", CONFIG_TYPE_WORD, .fixed = true, AT(config, control_group),
		.default_text = "none", .example = "penstock",
		.help = "group whose members may open the socket, and read" },
	{ "admins", CONFIG_TYPE_WORD, .fixed = true,
		LIST_AT(config, control_admins, control_admin_count), .max = CONTROL_ADMINS_MAX,
		.default_text = "root and the daemon's own user", .example = "[alice, bob]",
		.help = "users who may do everything, see payloads, too" },
	{ "operators", CONFIG_TYPE_WORD, .fixed = true,
		LIST_AT(config, control_operators, control_operator_count),
		.max = CONTROL_OPERATORS_MAX, .default_text = "none", .example = "[carol]",
		.help = "users who may read, and replay, reload and drain" },
};

static const struct config_section control_section = {
	.name = "control",
	.help = "the control socket",
	KEYS(control_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key metrics_keys[] = {
	{ "address", CONFIG_TYPE_ADDRESS, .fixed = true, .required = true,
		AT(config, metrics_address), .example = "127.0.0.1:9464",
		.help = "numeric address and port of /metrics, /healthz and /readyz" },
};

static const struct config_section metrics_section = {
	.name = "metrics",
	.help = "metrics and health over HTTP",
	KEYS(metrics_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key otlp_keys[] = {
	{ "endpoint", CONFIG_TYPE_ORIGIN, .fixed = true, .required = true,
		AT(config, otlp_endpoint), .example = "http://127.0.0.1:4318",
		.help = "http://host[:port] of an OpenTelemetry collector, which gets traces" },
	{ "sample_ratio", CONFIG_TYPE_RATIO, .fixed = true, AT(config, otlp_sample_ppm), .min = 0,
		.max = TELEMETRY_RATIO_ONE, DEFAULT(TELEMETRY_RATIO_DEFAULT), .example = "0.01",
		.help = "part of the events whose trace begins here; senders decide for theirs" },
};

static const struct config_section otlp_section = {
	.name = "otlp",
	.help = "OpenTelemetry traces over OTLP/HTTP",
	KEYS(otlp_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key telemetry_keys[] = {
	{ "otlp", CONFIG_TYPE_SECTION, .section = &otlp_section, .default_text = "none",
		.example = "{ endpoint: 'http://127.0.0.1:4318', sample_ratio: 0.01 }",
		.help = "OpenTelemetry traces over OTLP/HTTP" },
};

static const struct config_section telemetry_section = {
	.name = "telemetry",
	.help = "traces of events, for a collector",
	KEYS(telemetry_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key log_keys[] = {
	{ "level", CONFIG_TYPE_CHOICE, AT(config, log_level), CHOICES(log_level_choices),
		DEFAULT(CONFIG_LOG_NOTICE), .example = "notice",
		.help = "least severe line written" },
	{ "format", CONFIG_TYPE_CHOICE, AT(config, log_format), CHOICES(log_format_choices),
		DEFAULT(CONFIG_LOG_AUTO), .example = "json",
		.help = "auto: what PENSTOCK_LOG_FORMAT says, or what fits standard error: journal "
			"where it is systemd's journal, text where it is a terminal, else json "
			"(an object a line)" },
};

static const struct config_section log_section = {
	.name = "log",
	.help = "log lines, written to standard error or to systemd's journal",
	KEYS(log_keys),
	.position = CONFIG_NO_OFFSET,
};

static const struct config_key root_keys[] = {
	{ "listeners", CONFIG_TYPE_SECTION, .required = true,
		LIST_AT(config, listeners, listener_count), .max = LISTENERS_MAX,
		.may_be_empty = true, .section = &listener_section,
		.example = "[{ address: 0.0.0.0:443, tls: { certificate: …, key: … } }]",
		.help = "addresses that providers send to" },
	{ "endpoints", CONFIG_TYPE_SECTION, .required = true,
		LIST_AT(config, endpoints, endpoint_count), .max = ENDPOINTS_MAX,
		.may_be_empty = true, .section = &endpoint_section,
		.example = "[{ name: …, path: …, scheme: …, secret_file: …, target: … }]",
		.help = "where events arrive" },
	{ "targets", CONFIG_TYPE_SECTION, .required = true, LIST_AT(config, targets, target_count),
		.max = TARGETS_MAX, .may_be_empty = true, .section = &target_section,
		.example = "[{ name: app, url: 'https://app.internal/hooks' }]",
		.help = "where events go" },
	{ "store", CONFIG_TYPE_SECTION, .required = true, .section = &store_section,
		AT(config, store), .example = "{ path: /var/lib/penstock }",
		.help = "where and how long events are kept" },
	{ "workers", CONFIG_TYPE_SECTION, .section = &worker_section, .example = "{ cpus: auto }",
		.help = "the threads that do the work" },
	{ "control", CONFIG_TYPE_SECTION, .section = &control_section,
		.example = "{ socket: /run/penstock/control.sock }", .help = "the control socket" },
	{ "metrics", CONFIG_TYPE_SECTION_OR_OFF, .section = &metrics_section,
		.extra = CONFIG_NO_OFFSET, .default_text = "off",
		.example = "{ address: '127.0.0.1:9464' }",
		.help = "metrics and health over HTTP, or off" },
	{ "telemetry", CONFIG_TYPE_SECTION, .section = &telemetry_section,
		.example = "{ otlp: { endpoint: 'http://127.0.0.1:4318' } }",
		.help = "traces of events, for a collector" },
	{ "log", CONFIG_TYPE_SECTION, .section = &log_section, .example = "{ level: notice }",
		.help = "log lines" },
	{ "drain_timeout", CONFIG_TYPE_DURATION, .unit = CONFIG_UNIT_S, AT(config, drain_timeout_s),
		.min = 1, .max = DRAIN_TIMEOUT_S_LIMIT, DEFAULT(DRAIN_TIMEOUT_S_DEFAULT),
		.example = "30s",
		.help = "how long a stopping daemon waits for what is under way" },
};

const struct config_section config_root = {
	.name = "",
	.help = "the whole file",
	KEYS(root_keys),
	.position = CONFIG_NO_OFFSET,
};

const struct config_section *const *config_sections(size_t *ret_count)
{
	static const struct config_section *const sections[] = { &config_root, &listener_section,
		&tls_section, &certificate_section, &endpoint_section, &target_section,
		&retry_section, &store_section, &worker_section, &control_section, &metrics_section,
		&otlp_section, &telemetry_section, &log_section };

	*ret_count = ARRAY_COUNT(sections);
	return sections;
}

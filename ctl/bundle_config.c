/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_config — see the header. */
#include "bundle_config.h"

#include <inttypes.h>
#include <string.h>

enum { TOKEN_SIZE_MIN = 10 };

/* ---- As text --------------------------------------------------------------------------------- */

static void write_text(FILE *file, const char *margin, const char *key, const char *value)
{
	if (value != NULL) fprintf(file, "%s%s: %s\n", margin, key, value);
}

static void write_number(FILE *file, const char *margin, const char *key, uint64_t value)
{
	fprintf(file, "%s%s: %" PRIu64 "\n", margin, key, value);
}

static void write_listener(const struct config_listener *listener, FILE *file)
{
	static const char *const clients[] = {
		[CONFIG_CLIENT_CERTIFICATE_NONE] = "none",
		[CONFIG_CLIENT_CERTIFICATE_OPTIONAL] = "optional",
		[CONFIG_CLIENT_CERTIFICATE_REQUIRED] = "required",
	};
	char address[ADDRESS_TEXT_SIZE];
	const char *margin = "    ";
	address_format(&listener->address, address);
	fprintf(file, "  - address: %s\n", address);
	write_text(file, margin, "name", listener->name);
	write_text(file, margin, "tls", listener->tls ? "on" : "off");
	for (uint32_t i = 0; i < listener->certificate_count; i++) {
		write_text(file, margin, "certificate", listener->certificates[i].certificate_file);
		write_text(file, margin, "key", listener->certificates[i].key_file);
		for (uint32_t j = 0; j < listener->certificates[i].name_count; j++) {
			write_text(file, margin, "certificate_name",
				listener->certificates[i].names[j]);
		}
	}
	write_text(file, margin, "client_certificate", clients[listener->client_certificate]);
	write_text(file, margin, "client_ca", listener->client_ca_file);
}

static void write_endpoint(const struct config_endpoint *endpoint, FILE *file)
{
	const char *margin = "    ";
	fprintf(file, "  - name: %s\n", endpoint->name);
	write_text(file, margin, "host", endpoint->host);
	write_text(file, margin, "path", endpoint->path);
	write_text(file, margin, "scheme", endpoint->scheme);
	write_text(file, margin, "secret_file", endpoint->secret_file);
	write_text(file, margin, "previous_secret_file", endpoint->previous_secret_file);
	write_text(file, margin, "public_url", endpoint->public_url);
	write_number(file, margin, "tolerance_s", endpoint->tolerance_s);
	write_number(file, margin, "replay_window_s", endpoint->replay_window_s);
	write_number(file, margin, "body_size_max", endpoint->body_size_max);
	for (uint32_t i = 0; i < endpoint->target_count; i++) {
		write_text(file, margin, "target", endpoint->targets[i]);
	}
}

static void write_target(const struct config_target *target, FILE *file)
{
	const char *margin = "    ";
	fprintf(file, "  - name: %s\n", target->name);
	write_text(file, margin, "url", target->url);
	write_text(file, margin, "tls", target->tls ? "on" : "off");
	write_text(file, margin, "secret_file", target->secret_file);
	write_text(file, margin, "previous_secret_file", target->previous_secret_file);
	write_text(file, margin, "ca", target->ca_file);
	write_text(file, margin, "client_certificate", target->client_certificate_file);
	write_text(file, margin, "client_key", target->client_key_file);
	write_number(file, margin, "timeout_ms", target->timeout_ms);
	write_number(file, margin, "connect_timeout_ms", target->connect_timeout_ms);
	write_number(file, margin, "connections_max", target->connections_max);
	write_number(file, margin, "retry_attempts_max", target->retry.attempts_max);
	write_number(file, margin, "retry_base_ms", target->retry.backoff_base_ms);
	write_number(file, margin, "retry_max_ms", target->retry.backoff_max_ms);
}

void bundle_config_write(const struct config *config, FILE *file)
{
	char address[ADDRESS_TEXT_SIZE];
	fprintf(file, "file: %s\nlisteners:\n", config->path);
	for (uint32_t i = 0; i < config->listener_count; i++) {
		write_listener(&config->listeners[i], file);
	}
	fputs("endpoints:\n", file);
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		write_endpoint(&config->endpoints[i], file);
	}
	fputs("targets:\n", file);
	for (uint32_t i = 0; i < config->target_count; i++) {
		write_target(&config->targets[i], file);
	}
	fputs("store:\n", file);
	write_text(file, "  ", "path", config->store.path);
	write_number(file, "  ", "quota_size", config->store.quota_size);
	write_number(file, "  ", "retention_s", config->store.retention_s);
	write_number(file, "  ", "replay_entries_max", config->store.replay_entries_max);
	fputs("workers:\n", file);
	for (uint32_t i = 0; i < config->cpu_count; i++) {
		write_number(file, "  ", "cpu", config->cpus[i]);
	}
	write_number(file, "  ", "connections_max", config->connections_max);
	write_number(file, "  ", "requests_max", config->requests_max);
	fputs("control:\n", file);
	write_text(file, "  ", "socket", config->control_socket);
	write_text(file, "  ", "group", config->control_group);
	for (uint32_t i = 0; i < config->control_admin_count; i++) {
		write_text(file, "  ", "admin", config->control_admins[i]);
	}
	address_format(&config->metrics_address, address);
	write_text(file, "", "metrics", config->metrics_address.port != 0 ? address : "off");
	write_number(file, "", "log_level", config->log_level);
	write_number(file, "", "log_format", config->log_format);
	write_number(file, "", "drain_timeout_s", config->drain_timeout_s);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void add(struct anonymizer *anonymizer, const char *kind, const char *text)
{
	if (text != NULL) anonymizer_add(anonymizer, kind, bytes_of_text(text));
}

/* The file and its folder: a line may have either. */
static void add_path(struct anonymizer *anonymizer, const char *path)
{
	if (path == NULL) return;
	add(anonymizer, "path", path);
	const char *slash = strrchr(path, '/');
	if (slash == NULL) return;
	anonymizer_add(anonymizer, "path", bytes_of(path, (size_t)(slash - path)));
}

static void add_url_path(struct anonymizer *anonymizer, const char *path)
{
	if (path == NULL) return;
	add(anonymizer, "path", path);
	/* What a router or a log may show of it. */
	size_t size = strcspn(path, "?");
	anonymizer_add(anonymizer, "path", bytes_of(path, size));
	for (const char *at = path; *at != '\0';) {
		size_t part = strcspn(at, "/?&=");
		/* Receivers put tokens there; "hooks" and "v1" are none. */
		if (part >= TOKEN_SIZE_MIN) anonymizer_add(anonymizer, "part", bytes_of(at, part));
		at += part;
		if (*at != '\0') at++;
	}
}

static void add_address(struct anonymizer *anonymizer, const struct io_address *address)
{
	char text[ADDRESS_TEXT_SIZE];
	address_format(address, text);
	add(anonymizer, "address", text);
}

static void add_public_url(struct anonymizer *anonymizer, const char *url)
{
	if (url == NULL) return;
	add(anonymizer, "url", url);
	const char *host = strstr(url, "://");
	if (host == NULL) return;
	host += 3;
	anonymizer_add(anonymizer, "host", bytes_of(host, strcspn(host, ":/")));
}

static void add_listener(struct anonymizer *anonymizer, const struct config_listener *listener)
{
	add(anonymizer, "listener", listener->name);
	add_address(anonymizer, &listener->address);
	add_path(anonymizer, listener->client_ca_file);
	for (uint32_t i = 0; i < listener->certificate_count; i++) {
		const struct config_certificate *one = &listener->certificates[i];
		add_path(anonymizer, one->certificate_file);
		add_path(anonymizer, one->key_file);
		for (uint32_t j = 0; j < one->name_count; j++) {
			const char *name = one->names[j];
			add(anonymizer, "host", name);
			if (strncmp(name, "*.", 2) == 0) add(anonymizer, "host", name + 2);
		}
	}
}

static void add_target(struct anonymizer *anonymizer, const struct config_target *target)
{
	add(anonymizer, "target", target->name);
	add(anonymizer, "url", target->url);
	add(anonymizer, "host", target->host);
	add_url_path(anonymizer, target->path);
	add_path(anonymizer, target->secret_file);
	add_path(anonymizer, target->previous_secret_file);
	add_path(anonymizer, target->ca_file);
	add_path(anonymizer, target->client_certificate_file);
	add_path(anonymizer, target->client_key_file);
}

void bundle_config_names(const struct config *config, struct anonymizer *anonymizer)
{
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		const struct config_endpoint *endpoint = &config->endpoints[i];
		add(anonymizer, "endpoint", endpoint->name);
		add(anonymizer, "host", endpoint->host);
		add_url_path(anonymizer, endpoint->path);
		add_public_url(anonymizer, endpoint->public_url);
		add_path(anonymizer, endpoint->secret_file);
		add_path(anonymizer, endpoint->previous_secret_file);
	}
	for (uint32_t i = 0; i < config->target_count; i++) {
		add_target(anonymizer, &config->targets[i]);
	}
	for (uint32_t i = 0; i < config->listener_count; i++) {
		add_listener(anonymizer, &config->listeners[i]);
	}
	for (uint32_t i = 0; i < config->control_admin_count; i++) {
		add(anonymizer, "user", config->control_admins[i]);
	}
	add(anonymizer, "group", config->control_group);
	add_address(anonymizer, &config->metrics_address);
	add_path(anonymizer, config->store.path);
	add_path(anonymizer, config->control_socket);
	add_path(anonymizer, config->path);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker/contexts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"

/* Certificates, keys and bundles: the system's bundle is about 220 KiB. */
enum { PEM_SIZE_MAX = 4 * 1024 * 1024 };

/* ---- Files ----------------------------------------------------------------------------------- */

static void report_unreadable(struct config_report *report, struct config_position position,
	const char *path, const char *why)
{
	config_report_add(report, CONFIG_ERROR, PS_PEM_UNREADABLE, position,
		"check the path, and that the daemon's user may read it", "cannot read %s: %s",
		path, why);
}

const char *contexts_file_load(const char *path, struct bytes *ret)
{
	struct stat status;

	*ret = BYTES_EMPTY;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0) {
		const char *why = strerror(errno);
		if (fd >= 0) close(fd);
		return why;
	}
	if (status.st_size > PEM_SIZE_MAX) {
		close(fd);
		return "it is larger than 4 MiB";
	}
	size_t size = 0;
	size_t capacity = (size_t)status.st_size;
	uint8_t *data = alloc_array(capacity + 1, 1);
	ssize_t got;
	while (size < capacity && (got = read(fd, data + size, capacity - size)) > 0) {
		size += (size_t)got;
	}
	close(fd);
	*ret = bytes_of(data, size);
	/* The TLS library would take no authority for the system's, and no certificate for none. */
	return size == 0 ? "it is empty" : NULL;
}

/* The same with a diagnostic. A NULL path gives an empty view. */
static bool file_read(const char *path, struct config_position position,
	struct config_report *report, struct bytes *ret)
{
	*ret = BYTES_EMPTY;
	if (path == NULL) return true;
	const char *why = contexts_file_load(path, ret);
	if (why == NULL) return true;
	report_unreadable(report, position, path, why);
	return false;
}

void contexts_file_free(struct bytes file)
{
	if (file.data == NULL) return;
	/* It may have been a private key. */
	bytes_wipe((void *)(uintptr_t)file.data, file.size);
	alloc_free((void *)(uintptr_t)file.data);
}

/* ---- Listeners ------------------------------------------------------------------------------- */

static bool certificates_read(const struct config_listener *listener, struct config_report *report,
	struct tls_certificate *certificates)
{
	bool ok = true;

	for (uint32_t i = 0; i < listener->certificate_count; i++) {
		const struct config_certificate *from = &listener->certificates[i];
		certificates[i].names = from->names;
		certificates[i].name_count = from->name_count;
		ok &= file_read(from->certificate_file, from->position, report,
			&certificates[i].chain_pem);
		ok &= file_read(from->key_file, from->position, report, &certificates[i].key_pem);
	}
	return ok;
}

static enum tls_client_certificate client_certificate(const struct config_listener *listener)
{
	switch (listener->client_certificate) {
	case CONFIG_CLIENT_CERTIFICATE_NONE: return TLS_CLIENT_NONE;
	case CONFIG_CLIENT_CERTIFICATE_OPTIONAL: return TLS_CLIENT_OPTIONAL;
	case CONFIG_CLIENT_CERTIFICATE_REQUIRED: return TLS_CLIENT_REQUIRED;
	}
	UNREACHABLE();
}

static struct tls_context *listener_context(const struct config_listener *listener,
	struct config_report *report)
{
	char error[256];
	struct tls_context *context = NULL;
	struct bytes client_ca = BYTES_EMPTY;
	struct tls_certificate *certificates =
		alloc_array(listener->certificate_count, sizeof *certificates);

	bool ok = certificates_read(listener, report, certificates);
	ok &= file_read(listener->client_ca_file, listener->position, report, &client_ca);
	struct tls_server_config config = {
		.certificates = certificates,
		.certificate_count = listener->certificate_count,
		.client_certificate = client_certificate(listener),
		.client_ca_pem = client_ca,
	};
	if (ok && tls_server_context_create(&config, &context, error, sizeof error) != RESULT_OK) {
		config_report_add(report, CONFIG_ERROR, PS_LISTENER_TLS, listener->position,
			"check certificate and key with: openssl x509 -in FILE -noout -text",
			"listener '%s': %s", listener->name, error);
		context = NULL;
	}
	for (uint32_t i = 0; i < listener->certificate_count; i++) {
		contexts_file_free(certificates[i].chain_pem);
		contexts_file_free(certificates[i].key_pem);
	}
	contexts_file_free(client_ca);
	alloc_free(certificates);
	return context;
}

/* ---- Targets --------------------------------------------------------------------------------- */

/* Each with its size in front, so that what stands in one file is not taken for the next. */
static void files_digest(const struct tls_client_config *config, struct bytes system_ca,
	uint8_t digest[static SHA256_SIZE])
{
	const struct bytes files[] = { config->ca_pem, system_ca, config->chain_pem,
		config->key_pem };
	struct bytes parts[2 * ARRAY_COUNT(files)];
	uint64_t sizes[ARRAY_COUNT(files)];

	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		sizes[i] = files[i].size;
		parts[2 * i] = bytes_of(&sizes[i], sizeof sizes[i]);
		parts[2 * i + 1] = files[i];
	}
	hash_sha256_parts(parts, ARRAY_COUNT(parts), digest);
}

static bool target_tls_make(const struct config_target *target, struct config_report *report,
	struct deliver_tls *ret)
{
	char error[256];
	struct tls_client_config config = { .ca_pem = BYTES_EMPTY };
	struct bytes system_ca = BYTES_EMPTY;

	bool ok = file_read(target->ca_file, target->position, report, &config.ca_pem);
	ok &= file_read(target->client_certificate_file, target->position, report,
		&config.chain_pem);
	ok &= file_read(target->client_key_file, target->position, report, &config.key_pem);
	/* That it cannot be read the TLS library says. */
	if (target->ca_file == NULL) (void)contexts_file_load(tls_system_ca_file(), &system_ca);
	if (ok &&
		tls_client_context_create(&config, &ret->context, error, sizeof error) !=
			RESULT_OK) {
		config_report_add(report, CONFIG_ERROR, PS_TARGET_TLS, target->position,
			"check ca_file, client_certificate and client_key", "target '%s': %s",
			target->name, error);
		ret->context = NULL;
	}
	files_digest(&config, system_ca, ret->digest);
	contexts_file_free(config.ca_pem);
	contexts_file_free(config.chain_pem);
	contexts_file_free(config.key_pem);
	contexts_file_free(system_ca);
	return ret->context != NULL;
}

static bool text_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL) return a == b;
	return strcmp(a, b) == 0;
}

static bool settings_equal(const struct config_target *a, const struct config_target *b)
{
	return text_equal(a->ca_file, b->ca_file) &&
		text_equal(a->client_certificate_file, b->client_certificate_file) &&
		text_equal(a->client_key_file, b->client_key_file);
}

/* For target `index`: that of an earlier target with the same settings, or a new one. */
static bool target_tls_share(const struct flow *flow, struct contexts *contexts, uint32_t index,
	struct config_report *report)
{
	const struct config_target *target = flow->targets[index].config;
	struct deliver_tls *tls = contexts->targets;

	/* Most configurations have a handful of distinct settings, met early in the list. */
	for (uint32_t i = 0; i < index; i++) {
		if (tls[i].context == NULL) continue;
		if (!settings_equal(flow->targets[i].config, target)) continue;
		tls[index] = tls[i];
		tls_context_acquire(tls[i].context);
		return true;
	}
	return target_tls_make(target, report, &tls[index]);
}

enum result contexts_build(const struct flow *flow, struct config_report *report,
	struct contexts **ret)
{
	const struct config *config = flow->config;
	struct contexts *contexts = alloc_array(1, sizeof *contexts);
	bool ok = true;

	config_report_borrow(report, config);
	contexts->listener_count = config->listener_count;
	contexts->target_count = flow->target_count;
	contexts->listeners = alloc_array(config->listener_count, sizeof *contexts->listeners);
	contexts->targets = alloc_array(flow->target_count, sizeof *contexts->targets);
	for (uint32_t i = 0; i < config->listener_count; i++) {
		if (!config->listeners[i].tls) continue;
		contexts->listeners[i] = listener_context(&config->listeners[i], report);
		ok &= contexts->listeners[i] != NULL;
	}
	for (uint32_t i = 0; i < flow->target_count; i++) {
		if (!flow->targets[i].config->tls) continue;
		ok &= target_tls_share(flow, contexts, i, report);
	}
	config_report_borrow(report, NULL);
	if (!ok) {
		contexts_free(contexts);
		return RESULT_CONFIG;
	}
	*ret = contexts;
	return RESULT_OK;
}

void contexts_free(struct contexts *contexts)
{
	if (contexts == NULL) return;
	for (uint32_t i = 0; i < contexts->listener_count; i++) {
		if (contexts->listeners[i] != NULL) tls_context_release(contexts->listeners[i]);
	}
	for (uint32_t i = 0; i < contexts->target_count; i++) {
		struct tls_context *context = contexts->targets[i].context;
		if (context != NULL) tls_context_release(context);
	}
	alloc_free(contexts->listeners);
	alloc_free(contexts->targets);
	alloc_free(contexts);
}

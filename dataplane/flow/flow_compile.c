/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow_compile — from a checked config to the snapshot that workers read: secrets become
 * verifiers and signers, names become indexes and addresses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"
#include "flow/flow_internal.h"
#include "secrets/secret.h"

/* Targets are signed to as Standard Webhooks has it. */
#define SIGNER_SCHEME "standard-webhooks"

/* ---- Secrets --------------------------------------------------------------------------------- */

/* Whose secrets are being read, for messages. */
struct owner {
	const char *noun;
	const char *name;
	struct config_report *report;
};

/* One secret file as it is written in the config. */
struct secret_source {
	const char *key;
	const char *path;
	struct config_position position;
};

static void report_permission(const struct owner *owner, const struct secret_source *source)
{
	struct stat status;
	bool known = stat(source->path, &status) == 0;

	if (known && S_ISREG(status.st_mode) && (status.st_mode & 066) != 0) {
		char hint[FILE_NAME_SIZE_MAX + 16];
		snprintf(hint, sizeof hint, "chmod 600 %s", source->path);
		config_report_add(owner->report, CONFIG_ERROR, PS_SECRET_MODE, source->position,
			hint, "%s of %s '%s': %s has mode %04o: others can read or change it",
			source->key, owner->noun, owner->name, source->path,
			(unsigned)status.st_mode & 07777);
		return;
	}
	config_report_add(owner->report, CONFIG_ERROR, PS_SECRET_UNREADABLE, source->position, NULL,
		"%s of %s '%s': %s %s", source->key, owner->noun, owner->name, source->path,
		known && !S_ISREG(status.st_mode) ? "is not a regular file"
						  : "may not be read by this process");
}

static void report_secret(const struct owner *owner, const struct secret_source *source,
	enum result result)
{
	if (result == RESULT_PERMISSION) {
		report_permission(owner, source);
		return;
	}
	const char *code = result == RESULT_MALFORMED ? PS_SECRET_FORM : PS_SECRET_UNREADABLE;
	const char *why = result == RESULT_NOT_FOUND ? "does not exist"
		: result == RESULT_FULL              ? "is too long for a secret"
		: result == RESULT_MALFORMED ? "is empty, or holds more than one line of text"
					     : result_text(result);
	config_report_add(owner->report, CONFIG_ERROR, code, source->position, NULL,
		"%s of %s '%s': %s %s", source->key, owner->noun, owner->name, source->path, why);
}

static struct secret *secret_read(const struct owner *owner, const struct secret_source *source)
{
	struct secret *secret = NULL;
	enum result result = secret_load_file(source->path, &secret);

	if (result == RESULT_OK) return secret;
	report_secret(owner, source, result);
	return NULL;
}

static struct verifier *verifier_make(const struct owner *owner, const struct secret_source *source,
	const struct scheme *scheme, struct bytes current, struct bytes previous,
	uint32_t tolerance_s)
{
	struct verifier *verifier = NULL;
	const char *error = NULL;
	enum result result =
		verifier_create(scheme, current, previous, tolerance_s, &verifier, &error);

	if (result == RESULT_OK) return verifier;
	config_report_add(owner->report, CONFIG_ERROR, PS_SECRET_FORM, source->position,
		"copy it again from the provider, whole and without quotes",
		"%s of %s '%s': wrong form for scheme '%s': %s", source->key, owner->noun,
		owner->name, scheme_name(scheme), error == NULL ? result_text(result) : error);
	return NULL;
}

/* NULL when reported. `previous` has no path when there is only one secret. */
static struct verifier *verifier_load(const struct owner *owner, const struct scheme *scheme,
	const struct secret_source *current, const struct secret_source *previous,
	uint32_t tolerance_s)
{
	struct verifier *verifier = NULL;
	struct secret *current_secret = secret_read(owner, current);
	struct secret *previous_secret = previous->path == NULL ? NULL
								: secret_read(owner, previous);
	struct bytes previous_bytes = BYTES_EMPTY;
	bool good = current_secret != NULL && (previous->path == NULL || previous_secret != NULL);

	if (good && previous_secret != NULL) {
		/* First alone: otherwise nobody knows which of the two has the wrong form. */
		previous_bytes = secret_bytes(previous_secret);
		struct verifier *alone =
			verifier_make(owner, previous, scheme, previous_bytes, BYTES_EMPTY, 0);
		good = alone != NULL;
		verifier_free(alone);
	}
	if (good) {
		verifier = verifier_make(owner, current, scheme, secret_bytes(current_secret),
			previous_bytes, tolerance_s);
	}
	secret_free(current_secret);
	secret_free(previous_secret);
	return verifier;
}

/* ---- Targets --------------------------------------------------------------------------------- */

static void host_field_write(struct flow_target *target)
{
	const struct config_target *config = target->config;
	bool is_ipv6 = strchr(config->host, ':') != NULL;
	bool is_usual_port = config->port == (config->tls ? 443 : 80);
	char port[8] = "";

	if (!is_usual_port) snprintf(port, sizeof port, ":%u", (unsigned)config->port);
	int size = snprintf(target->host_field, sizeof target->host_field, "%s%s%s%s",
		is_ipv6 ? "[" : "", config->host, is_ipv6 ? "]" : "", port);
	CHECK(size > 0 && (size_t)size < sizeof target->host_field);
}

static void target_compile(struct flow *flow, uint32_t index, struct config_report *report)
{
	const struct config *config = flow->config;
	const struct config_target *from = &config->targets[index];
	struct flow_target *target = &flow->targets[index];

	target->id = flow_id_of_name(from->name);
	target->index = index;
	target->config = from;
	CHECK(bytes_to_text(bytes_of_text(from->name), target->name, sizeof target->name));
	host_field_write(target);
	if (from->secret_file == NULL) return;

	const struct owner owner = { "target", from->name, report };
	const struct secret_source current = { "secret_file", from->secret_file,
		config_position_of(config, &from->secret_file, from->position) };
	const struct secret_source previous = { "previous_secret_file", from->previous_secret_file,
		config_position_of(config, &from->previous_secret_file, from->position) };
	const struct scheme *scheme = scheme_find(BYTES_LITERAL(SIGNER_SCHEME));
	CHECK(scheme != NULL);
	target->signer = verifier_load(&owner, scheme, &current, &previous, 0);
}

static void targets_resolve(struct flow *flow, struct config_report *report)
{
	size_t count;
	struct flow_host *hosts = flow_hosts_resolve(flow, &count);

	for (uint32_t i = 0; i < flow->target_count; i++) {
		struct flow_target *target = &flow->targets[i];
		const struct config_target *config = target->config;
		const struct flow_host *host = flow_host_find(hosts, count, config->host);

		flow_target_address(target, host);
		if (target->resolved) continue;
		config_report_add(report, CONFIG_WARNING, PS_UNRESOLVED,
			config_position_of(flow->config, &config->url, config->position),
			"events for it are kept and tried again",
			"the host '%.100s' of target '%s' does not resolve", config->host,
			config->name);
	}
	alloc_free(hosts);
}

/* ---- Endpoints ------------------------------------------------------------------------------- */

struct target_name {
	const char *name;
	uint32_t index;
};

static int target_name_compare(const void *a, const void *b)
{
	return strcmp(((const struct target_name *)a)->name, ((const struct target_name *)b)->name);
}

/* The names of all targets, sorted. Released with alloc_free(). */
static struct target_name *target_names_sort(const struct config *config)
{
	struct target_name *names = alloc_array(config->target_count, sizeof *names);

	for (uint32_t i = 0; i < config->target_count; i++) {
		names[i] = (struct target_name){ config->targets[i].name, i };
	}
	if (config->target_count > 0) {
		qsort(names, config->target_count, sizeof *names, target_name_compare);
	}
	return names;
}

static void endpoint_compile(struct flow *flow, uint32_t index, const struct target_name *names,
	struct config_report *report)
{
	const struct config *config = flow->config;
	const struct config_endpoint *from = &config->endpoints[index];
	struct flow_endpoint *endpoint = &flow->endpoints[index];

	endpoint->id = flow_id_of_name(from->name);
	endpoint->index = index;
	endpoint->config = from;
	CHECK(bytes_to_text(bytes_of_text(from->name), endpoint->name, sizeof endpoint->name));

	CHECK(from->target_count <= TARGETS_PER_ENDPOINT_MAX);
	endpoint->target_count = from->target_count;
	for (uint32_t i = 0; i < from->target_count; i++) {
		const struct target_name wanted = { .name = from->targets[i] };
		const struct target_name *found = bsearch(&wanted, names, config->target_count,
			sizeof *names, target_name_compare);
		CHECK(found != NULL); /* config_check() has seen to it */
		endpoint->targets[i] = found->index;
		endpoint->target_ids[i] = flow->targets[found->index].id;
	}

	const struct owner owner = { "endpoint", from->name, report };
	const struct secret_source current = { "secret_file", from->secret_file,
		from->secret_position };
	const struct secret_source previous = { "previous_secret_file", from->previous_secret_file,
		config_position_of(config, &from->previous_secret_file, from->position) };
	const struct scheme *scheme = scheme_find(bytes_of_text(from->scheme));
	CHECK(scheme != NULL); /* config_check() has seen to it */
	endpoint->verifier = verifier_load(&owner, scheme, &current, &previous, from->tolerance_s);
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* What a flow compiled from a config has and one derived from it borrows. */
static void flow_free_own(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		verifier_free(flow->endpoints[i].verifier);
	}
	for (uint32_t i = 0; i < flow->target_count; i++) verifier_free(flow->targets[i].signer);
	flow_tables_free(flow->private);
}

static void flow_free_copies(struct flow *flow)
{
	alloc_free(flow->private);
	alloc_free(flow->endpoints);
	alloc_free(flow->targets);
	alloc_free(flow);
}

enum result flow_compile(struct config *config, uint64_t generation, struct flow **ret,
	struct config_report *report)
{
	uint32_t errors_before = report->error_count;
	struct flow *flow = alloc_array(1, sizeof *flow);
	struct flow_private *private = alloc_array(1, sizeof *private);

	*ret = NULL;
	flow->generation = generation;
	flow->config = config;
	flow->endpoint_count = config->endpoint_count;
	flow->endpoints = alloc_array(flow->endpoint_count, sizeof *flow->endpoints);
	flow->target_count = config->target_count;
	flow->targets = alloc_array(flow->target_count, sizeof *flow->targets);
	flow->private = private;
	atomic_init(&private->references, 1);

	config_report_borrow(report, config);
	struct target_name *names = target_names_sort(config);
	for (uint32_t i = 0; i < flow->target_count; i++) target_compile(flow, i, report);
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		endpoint_compile(flow, i, names, report);
	}
	alloc_free(names);
	flow_tables_build(flow, report);
	/* Last, because it may take long: not for a configuration that is refused anyway. */
	if (report->error_count == errors_before) targets_resolve(flow, report);
	config_report_borrow(report, NULL);

	if (report->error_count > errors_before) {
		flow_free_own(flow); /* the config stays the caller's */
		flow_free_copies(flow);
		return RESULT_CONFIG;
	}
	*ret = flow;
	return RESULT_OK;
}

struct flow *flow_derive(struct flow *flow, uint64_t generation)
{
	struct flow_private *own = flow->private;
	struct flow *derived = alloc_array(1, sizeof *derived);
	struct flow_private *private = alloc_array(1, sizeof *private);

	*derived = *flow;
	derived->generation = generation;
	derived->private = private;
	derived->endpoints = alloc_array(flow->endpoint_count, sizeof *flow->endpoints);
	derived->targets = alloc_array(flow->target_count, sizeof *flow->targets);
	memcpy(derived->endpoints, flow->endpoints, flow->endpoint_count * sizeof *flow->endpoints);
	memcpy(derived->targets, flow->targets, flow->target_count * sizeof *flow->targets);
	/* Of a chain of them only the first is kept. */
	private->base = flow_acquire(own->base != NULL ? own->base : flow);
	flow_tables_borrow(private, own);
	atomic_init(&private->references, 1);
	return derived;
}

struct flow *flow_acquire(struct flow *flow)
{
	struct flow_private *private = flow->private;
	uint_fast32_t before =
		atomic_fetch_add_explicit(&private->references, 1, memory_order_relaxed);

	CHECK(before > 0);
	return flow;
}

void flow_release(struct flow *flow)
{
	struct flow_private *private = flow->private;
	uint_fast32_t before =
		atomic_fetch_sub_explicit(&private->references, 1, memory_order_acq_rel);

	CHECK(before > 0);
	if (before > 1) return;
	struct flow *base = private->base;
	if (base == NULL) {
		flow_free_own(flow);
		/* The owner of the last reference may free what others only read. */
		config_free((struct config *)(uintptr_t)flow->config);
	}
	flow_free_copies(flow);
	if (base != NULL) flow_release(base);
}

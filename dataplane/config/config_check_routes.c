/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_check_routes — endpoints and targets as a whole: names and routes that are there
 * twice, references, schemes, secrets, and whether the replay memory is long enough.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "config/config_check.h"
#include "config/config_codes.h"
#include "verify/verify.h"

enum { SCHEMES_MAX = 64 };

/* ---- Routes ---------------------------------------------------------------------------------- */

/* An endpoint whose path and host could be read. */
struct route {
	const struct config_endpoint *endpoint;
};

static int route_compare(const void *a, const void *b)
{
	const struct config_endpoint *left = ((const struct route *)a)->endpoint;
	const struct config_endpoint *right = ((const struct route *)b)->endpoint;
	int order = strcmp(left->path, right->path);

	if (order != 0) return order;
	order = strcmp(left->host == NULL ? "" : left->host,
		right->host == NULL ? "" : right->host);
	if (order != 0) return order;
	return left < right ? -1 : left > right ? 1 : 0;
}

static bool route_equal(const struct config_endpoint *a, const struct config_endpoint *b)
{
	if (strcmp(a->path, b->path) != 0) return false;
	if (a->host == NULL || b->host == NULL) return a->host == b->host;
	return strcmp(a->host, b->host) == 0;
}

static void report_duplicate_route(const struct config *config, const struct route *route,
	const struct route *first, struct config_report *report)
{
	const struct config_endpoint *endpoint = route->endpoint;
	const char *host = endpoint->host;

	config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_ROUTE,
		config_position_of(config, &endpoint->path, endpoint->position),
		"change the path, or tell them apart by 'host'",
		"the path '%.100s' on %s%.60s is already taken by the endpoint in line %u",
		endpoint->path, host == NULL ? "any host" : "host ", host == NULL ? "" : host,
		first->endpoint->position.line);
}

static void check_duplicate_routes(const struct config *config, struct config_report *report)
{
	struct route *routes = alloc_array(config->endpoint_count, sizeof *routes);
	size_t count = 0;

	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		/* A host that could not be read must not pass for "any host". */
		const struct config_endpoint *endpoint = &config->endpoints[i];
		bool host_lost = endpoint->host == NULL && config_written(config, &endpoint->host);
		if (endpoint->path != NULL && !host_lost) {
			routes[count++] = (struct route){ endpoint };
		}
	}
	if (count > 0) qsort(routes, count, sizeof *routes, route_compare);

	for (size_t i = 1, first = 0; i < count; i++) {
		if (route_equal(routes[i].endpoint, routes[first].endpoint)) {
			report_duplicate_route(config, &routes[i], &routes[first], report);
		} else {
			first = i;
		}
	}
	alloc_free(routes);
}

/* ---- References ------------------------------------------------------------------------------ */

struct target_names {
	struct config_named *named; /* sorted */
	const char **names;
	bool *used;      /* by index in config->targets */
	bool incomplete; /* names that are there twice, missing or misspelled */
	size_t count;
};

static void check_reference(const struct config *config, const struct config_endpoint *endpoint,
	uint32_t at, struct target_names *targets, struct config_report *report)
{
	const char *name = endpoint->targets[at];
	struct config_position position =
		config_position_of(config, &endpoint->targets[at], endpoint->position);
	const char *label = endpoint->name == NULL ? "?" : endpoint->name;
	char hint[128] = "";

	for (uint32_t i = 0; i < at; i++) {
		if (strcmp(endpoint->targets[i], name) != 0) continue;
		config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_ELEMENT, position, NULL,
			"targets of endpoint '%s': '%s' is listed twice", label, name);
		return;
	}
	const struct config_named *found = config_named_find(targets->named, targets->count, name);
	if (found != NULL) {
		targets->used[found->index] = true;
		return;
	}
	targets->incomplete = true;
	/* Searching all names is slow; a report that is full does not show the hint anyway. */
	if (report->count < CONFIG_DIAGNOSTICS_MAX) {
		const char *nearest = config_nearest(name, targets->names, targets->count);
		if (nearest != NULL) snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
	}
	config_report_add(report, CONFIG_ERROR, PS_UNKNOWN_TARGET, position, hint,
		"endpoint '%s' sends to target '%s', which does not exist", label, name);
}

static void check_targets_used(const struct config *config, const struct target_names *targets,
	struct config_report *report)
{
	for (uint32_t i = 0; i < config->target_count; i++) {
		const struct config_target *target = &config->targets[i];
		if (target->name == NULL || targets->used[i]) continue;
		config_report_add(report, CONFIG_WARNING, PS_UNUSED_TARGET,
			config_position_of(config, &target->name, target->position), NULL,
			"no endpoint sends to target '%s'", target->name);
	}
}

/* ---- Endpoints ------------------------------------------------------------------------------- */

static void check_scheme(const struct config_endpoint *endpoint, struct config_report *report)
{
	const char *names[SCHEMES_MAX];
	size_t count = scheme_count() < SCHEMES_MAX ? scheme_count() : SCHEMES_MAX;
	char hint[256];
	struct writer writer = writer_of(hint, sizeof hint - 1);

	if (endpoint->scheme == NULL) return;
	if (scheme_find(bytes_of_text(endpoint->scheme)) != NULL) return;

	for (size_t i = 0; i < count; i++) names[i] = scheme_name(scheme_at(i));
	const char *nearest = config_nearest(endpoint->scheme, names, count);
	if (nearest != NULL) {
		write_format(&writer, "did you mean '%s'?", nearest);
	} else {
		write_text(&writer, "known schemes: ");
		for (size_t i = 0; i < count; i++) {
			write_format(&writer, "%s%s", i == 0 ? "" : ", ", names[i]);
		}
	}
	hint[writer.failed ? 0 : writer.size] = '\0';
	config_report_add(report, CONFIG_ERROR, PS_UNKNOWN_SCHEME, endpoint->scheme_position, hint,
		"scheme of endpoint '%s': there is no scheme '%s'",
		endpoint->name == NULL ? "?" : endpoint->name, endpoint->scheme);
}

static uint32_t tolerance_of(const struct config_endpoint *endpoint)
{
	const struct scheme *scheme = NULL;

	if (endpoint->tolerance_s > 0) return endpoint->tolerance_s;
	if (endpoint->scheme != NULL) scheme = scheme_find(bytes_of_text(endpoint->scheme));
	return scheme == NULL ? 0 : scheme_tolerance_s(scheme);
}

/* Behind a proxy only the operator knows the URL that the provider has signed. */
static void check_public_url(const struct config_endpoint *endpoint, const char *label,
	struct config_report *report)
{
	const struct scheme *scheme = NULL;

	if (endpoint->scheme != NULL) scheme = scheme_find(bytes_of_text(endpoint->scheme));
	if (scheme == NULL || !scheme_signs_url(scheme) || endpoint->public_url != NULL) return;
	config_report_add(report, CONFIG_ERROR, PS_MISSING_KEY, endpoint->scheme_position,
		"for example public_url: https://hooks.example.org",
		"missing key 'public_url' in endpoint '%s': scheme '%s' signs the URL", label,
		endpoint->scheme);
}

static void check_endpoint(const struct config *config, const struct config_endpoint *endpoint,
	struct config_report *report)
{
	const char *label = endpoint->name == NULL ? "?" : endpoint->name;

	check_scheme(endpoint, report);
	check_public_url(endpoint, label, report);
	if (endpoint->target_count == 0 && endpoint->position.line > 0 &&
		!config_written(config, &endpoint->targets)) {
		config_report_add(report, CONFIG_ERROR, PS_MISSING_KEY, endpoint->position,
			"for example target: app", "missing key 'target' in endpoint '%s'", label);
	}
	if (endpoint->secret_file != NULL && endpoint->previous_secret_file != NULL &&
		strcmp(endpoint->secret_file, endpoint->previous_secret_file) == 0) {
		config_report_add(report, CONFIG_WARNING, PS_NO_EFFECT,
			config_position_of(config, &endpoint->previous_secret_file,
				endpoint->position),
			NULL,
			"'previous_secret_file' of endpoint '%s' has no effect: the same file",
			label);
	}
	/* A timestamp may lie `tolerance` ahead, and is then good for twice as long. */
	if (endpoint->replay_window_s < 2 * tolerance_of(endpoint)) {
		config_report_add(report, CONFIG_WARNING, PS_SHORT_REPLAY_WINDOW,
			config_position_of(config, &endpoint->replay_window_s,
				config_position_of(config, &endpoint->tolerance_s,
					endpoint->position)),
			"make it at least twice the tolerance",
			"replay_window of endpoint '%s' ends before its tolerance: a recorded "
			"request could be sent again",
			label);
	}
}

static void check_endpoint_names(const struct config *config, struct config_report *report)
{
	struct config_named *named = alloc_array(config->endpoint_count, sizeof *named);
	size_t count = 0;

	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		const char *const *name = &config->endpoints[i].name;
		if (*name != NULL) named[count++] = (struct config_named){ *name, i, name };
	}
	config_named_sort(named, count);
	(void)config_check_names(config, "endpoint", named, count, report);
	alloc_free(named);
}

void config_check_routes(const struct config *config, struct config_report *report)
{
	struct target_names targets = {
		.named = alloc_array(config->target_count, sizeof *targets.named),
		.names = alloc_array(config->target_count, sizeof *targets.names),
		.used = alloc_array(config->target_count, sizeof *targets.used),
	};
	/* Names that could not be read are not reported a second time as unknown. */
	bool all_named = config->target_count > 0;

	for (uint32_t i = 0; i < config->target_count; i++) {
		const char *const *name = &config->targets[i].name;
		all_named = all_named && *name != NULL;
		if (*name == NULL) continue;
		targets.names[targets.count] = *name;
		targets.named[targets.count++] = (struct config_named){ *name, i, name };
	}
	config_named_sort(targets.named, targets.count);
	targets.incomplete =
		!config_check_names(config, "target", targets.named, targets.count, report);
	check_endpoint_names(config, report);
	check_duplicate_routes(config, report);

	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		const struct config_endpoint *endpoint = &config->endpoints[i];

		check_endpoint(config, endpoint, report);
		if (endpoint->target_count == 0) targets.incomplete = true;
		for (uint32_t j = 0; j < endpoint->target_count && all_named; j++) {
			check_reference(config, endpoint, j, &targets, report);
		}
	}
	/* Otherwise it is not known which targets are meant to be used. */
	if (all_named && !targets.incomplete) check_targets_used(config, &targets, report);

	alloc_free(targets.named);
	alloc_free(targets.names);
	alloc_free(targets.used);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_flow — the endpoints and targets being served, with their counters.
 *
 * In the order of the configuration; a page is continued after a name. Of a target's URL only the
 * origin is shown: some receivers put a secret into the path.
 */
#include <stdio.h>

#include "control/control_internal.h"
#include "metrics/metrics.h"

struct page {
	uint32_t first;
	uint32_t end;
	uint32_t count; /* of all rows */
};

/* Rows `first` … `end`-1 of `count`. False: the answer is a problem already. */
static bool page_find(struct control_call *call, const struct flow *flow, uint32_t count,
	const char *(*name_at)(const struct flow *flow, uint32_t index), struct page *ret)
{
	uint32_t limit;
	if (!control_limit(call, &limit)) return false;
	const char *after = control_query_get(&call->query, "after");
	*ret = (struct page){ .count = count };
	if (after != NULL) {
		while (ret->first < count && strcmp(name_at(flow, ret->first), after) != 0)
			ret->first++;
		if (ret->first == count) {
			control_problem(call, 400, "bad_cursor", "That is no position in this list",
				"there is no \"%s\" (any more)", after);
			return false;
		}
		ret->first++;
	}
	ret->end = count - ret->first > limit ? ret->first + limit : count;
	return true;
}

static void write_next(struct json *json, const struct page *page, const char *last_name)
{
	if (page->end < page->count && page->end > page->first) {
		json_text(json, "next_after", last_name);
	} else {
		json_null(json, "next_after");
	}
}

/* ---- Endpoints ------------------------------------------------------------------------------- */

static const char *endpoint_name(const struct flow *flow, uint32_t index)
{
	return flow->endpoints[index].name;
}

static void write_endpoint(struct json *json, const struct flow *flow,
	const struct flow_endpoint *endpoint)
{
	const struct config_endpoint *config = endpoint->config;
	json_object(json, NULL);
	json_text(json, "name", endpoint->name);
	json_text_or_null(json, "host",
		config->host != NULL ? bytes_of_text(config->host) : BYTES_EMPTY);
	json_text(json, "path", config->path);
	json_text(json, "scheme", config->scheme);
	json_bool(json, "previous_secret", config->previous_secret_file != NULL);
	json_number(json, "body_size_max", config->body_size_max);
	json_number(json, "replay_window_s", config->replay_window_s);
	json_array(json, "targets");
	for (uint32_t i = 0; i < endpoint->target_count; i++) {
		json_text(json, NULL, flow->targets[endpoint->targets[i]].name);
	}
	json_array_end(json);
	json_object(json, "counters");
	static const struct {
		const char *key;
		enum metrics_endpoint counter;
	} counters[] = {
		{ "accepted", METRICS_ENDPOINT_ACCEPTED },
		{ "accepted_bytes", METRICS_ENDPOINT_BYTES },
		{ "duplicate", METRICS_ENDPOINT_DUPLICATE },
		{ "refused_signature", METRICS_ENDPOINT_REFUSED_SIGNATURE },
		{ "refused_timestamp", METRICS_ENDPOINT_REFUSED_TIMESTAMP },
		{ "refused_conflict", METRICS_ENDPOINT_REFUSED_CONFLICT },
		{ "refused_size", METRICS_ENDPOINT_REFUSED_SIZE },
		{ "shed", METRICS_ENDPOINT_SHED },
		{ "previous_secret", METRICS_ENDPOINT_PREVIOUS_SECRET },
	};
	BOUND(ARRAY_COUNT(counters) == METRICS_ENDPOINT_COUNT);
	for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
		json_number(json, counters[i].key,
			metrics_endpoint_sum(endpoint->metrics_slot, counters[i].counter));
	}
	json_object_end(json);
	json_object_end(json);
}

void control_handle_endpoints(struct control_call *call)
{
	struct flow *flow = control_flow(call);
	if (flow == NULL) return;
	struct page page;
	if (page_find(call, flow, flow->endpoint_count, endpoint_name, &page)) {
		struct json *json = control_answer(call, "penstock.endpoints/v1");
		json_number(json, "generation", flow->generation);
		json_number(json, "count", page.count);
		json_array(json, "endpoints");
		for (uint32_t i = page.first; i < page.end; i++) {
			write_endpoint(json, flow, &flow->endpoints[i]);
		}
		json_array_end(json);
		write_next(json, &page, page.end > 0 ? endpoint_name(flow, page.end - 1) : "");
		json_object_end(json);
	}
	flow_release(flow);
}

/* ---- Targets --------------------------------------------------------------------------------- */

static const char *target_name(const struct flow *flow, uint32_t index)
{
	return flow->targets[index].name;
}

static void write_target(struct json *json, const struct control_daemon *daemon,
	const struct flow_target *target)
{
	const struct config_target *config = target->config;
	struct control_target_status status = { 0 };
	daemon->target_status(daemon->owner, target->id, &status);

	char origin[sizeof target->host_field + 16];
	snprintf(origin, sizeof origin, "%s://%s", config->tls ? "https" : "http",
		target->host_field);
	char address[ADDRESS_TEXT_SIZE];
	address_format(&target->address, address);
	json_object(json, NULL);
	json_text(json, "name", target->name);
	json_text(json, "origin", origin);
	json_text_or_null(json, "address", target->resolved ? bytes_of_text(address) : BYTES_EMPTY);
	json_bool(json, "signed", target->signer != NULL);
	json_bool(json, "client_certificate", config->client_certificate_file != NULL);
	json_number(json, "attempts_max", config->retry.attempts_max);
	json_number(json, "timeout_ms", config->timeout_ms);
	json_number(json, "connections_max", config->connections_max);
	json_number(json, "connections_active", status.active);
	json_number(json, "connections_idle", status.idle);
	json_number(json, "ready", status.ready);
	json_text_or_null(json, "last_error", bytes_of_text(status.last_error));
	json_object(json, "counters");
	uint32_t slot = target->metrics_slot;
	json_number(json, "attempts", metrics_target_sum(slot, METRICS_TARGET_ATTEMPTS));
	json_number(json, "delivered", metrics_target_sum(slot, METRICS_TARGET_DELIVERED));
	json_number(json, "retried", metrics_target_sum(slot, METRICS_TARGET_RETRIED));
	json_number(json, "dead", metrics_target_sum(slot, METRICS_TARGET_DEAD));
	json_object_end(json);
	json_object_end(json);
}

void control_handle_targets(struct control_call *call)
{
	struct flow *flow = control_flow(call);
	if (flow == NULL) return;
	struct page page;
	if (page_find(call, flow, flow->target_count, target_name, &page)) {
		struct json *json = control_answer(call, "penstock.targets/v1");
		json_number(json, "generation", flow->generation);
		json_number(json, "count", page.count);
		json_array(json, "targets");
		for (uint32_t i = page.first; i < page.end; i++) {
			write_target(json, call->daemon, &flow->targets[i]);
		}
		json_array_end(json);
		write_next(json, &page, page.end > 0 ? target_name(flow, page.end - 1) : "");
		json_object_end(json);
	}
	flow_release(flow);
}

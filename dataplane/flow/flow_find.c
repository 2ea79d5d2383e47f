/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow_find — hash tables over routes and ids. Built on a cold thread, then only read. */
#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "config/config_codes.h"
#include "flow/flow_internal.h"

enum { SLOTS_MIN = 8 };

uint32_t flow_id_of_name(const char *name)
{
	uint32_t id = (uint32_t)hash_xxh3(bytes_of_text(name), 0);
	/* 0 stays free for "none" in records. */
	return id == 0 ? 1 : id;
}

/* A power of two that keeps the table at most half full. */
static uint32_t slots_for(uint32_t count)
{
	uint32_t slots = SLOTS_MIN;

	CHECK(count <= 1u << 24);
	while (slots < 2 * count) slots *= 2;
	return slots;
}

/* ---- Routes ------------------------------------------------------------------------------- */

/* A route without host hashes its path alone; a host then hashes on from there. */
static uint64_t route_hash(uint64_t path_hash, struct bytes host)
{
	return host.size == 0 ? path_hash : hash_xxh3(host, path_hash);
}

static const struct flow_endpoint *route_find(const struct flow *flow, uint64_t hash,
	struct bytes host, struct bytes path)
{
	const struct flow_private *private = flow->private;

	for (uint32_t at = (uint32_t)hash & private->route_mask;;
		at = (at + 1) & private->route_mask) {
		const struct flow_route_slot *slot = &private->route_slots[at];
		if (slot->index == 0) return NULL;
		if (slot->hash != hash) continue;
		const struct flow_route *route = &private->routes[slot->index - 1];
		if (bytes_equal(route->path, path) && bytes_equal(route->host, host)) {
			return &flow->endpoints[slot->index - 1];
		}
	}
}

/* The Host field's host in lower case: no port, no brackets, no dot at the end. False when it is
 * none that an endpoint could have. */
static bool host_normalise(struct bytes field, char to[static HOST_SIZE_MAX + 1], struct bytes *ret)
{
	struct bytes host = field;
	struct bytes rest;

	if (field.size > 0 && field.data[0] == '[') {
		if (!bytes_split(bytes_from(field, 1), ']', &host, &rest)) return false;
	} else {
		(void)bytes_split(field, ':', &host, &rest); /* without port it is whole already */
	}
	if (host.size > 0 && host.data[host.size - 1] == '.') host.size--;
	if (host.size == 0 || host.size > HOST_SIZE_MAX) return false;

	for (size_t i = 0; i < host.size; i++) {
		uint8_t byte = host.data[i];
		to[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
	}
	*ret = bytes_of(to, host.size);
	return true;
}

const struct flow_endpoint *flow_endpoint_find(const struct flow *flow, struct bytes host,
	struct bytes path)
{
	const struct flow_private *private = flow->private;
	uint64_t path_hash = hash_xxh3(path, 0);
	char lower[HOST_SIZE_MAX + 1];
	struct bytes name;

	if (private->has_hosts && host_normalise(host, lower, &name)) {
		const struct flow_endpoint *endpoint =
			route_find(flow, route_hash(path_hash, name), name, path);
		if (endpoint != NULL) return endpoint;
	}
	return route_find(flow, path_hash, BYTES_EMPTY, path);
}

static void routes_build(struct flow *flow)
{
	struct flow_private *private = flow->private;
	uint32_t slots = slots_for(flow->endpoint_count);

	private->routes = alloc_array(flow->endpoint_count, sizeof *private->routes);
	private->route_slots = alloc_array(slots, sizeof *private->route_slots);
	private->route_mask = slots - 1;
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		const struct config_endpoint *config = flow->endpoints[i].config;
		struct flow_route *route = &private->routes[i];

		route->path = bytes_of_text(config->path);
		route->host = config->host == NULL ? BYTES_EMPTY : bytes_of_text(config->host);
		private->has_hosts = private->has_hosts || config->host != NULL;

		uint64_t hash = route_hash(hash_xxh3(route->path, 0), route->host);
		/* config_check() has refused routes that are there twice. */
		CHECK(route_find(flow, hash, route->host, route->path) == NULL);
		uint32_t at = (uint32_t)hash & private->route_mask;
		while (private->route_slots[at].index != 0) at = (at + 1) & private->route_mask;
		private->route_slots[at] = (struct flow_route_slot){ hash, i + 1 };
	}
}

/* ---- Ids ---------------------------------------------------------------------------------- */

/* Index from 1, or 0. */
static uint32_t id_find(const struct flow_id_table *table, uint32_t id)
{
	uint32_t at = id & table->mask;

	while (table->slots[at].index != 0 && table->slots[at].id != id) {
		at = (at + 1) & table->mask;
	}
	return table->slots[at].index;
}

static void id_table_init(struct flow_id_table *table, uint32_t count)
{
	uint32_t slots = slots_for(count);

	table->slots = alloc_array(slots, sizeof *table->slots);
	table->mask = slots - 1;
}

/* Returns the index from 1 of another one with this id, or 0 when the id is new and now in. */
static uint32_t id_add(struct flow_id_table *table, uint32_t id, uint32_t index)
{
	uint32_t taken = id_find(table, id);
	if (taken != 0) return taken;

	uint32_t at = id & table->mask;
	while (table->slots[at].index != 0) at = (at + 1) & table->mask;
	table->slots[at] = (struct flow_id_slot){ id, index + 1 };
	return 0;
}

static void report_collision(struct config_report *report, struct config_position position,
	const char *noun, const char *name, const char *other)
{
	config_report_add(report, CONFIG_ERROR, PS_ID_COLLISION, position,
		"rename the newer of the two", "%s '%s' has the same 32-bit id as '%s'", noun, name,
		other);
}

static void ids_build(struct flow *flow, struct config_report *report)
{
	struct flow_private *private = flow->private;

	id_table_init(&private->endpoint_ids, flow->endpoint_count);
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		const struct flow_endpoint *endpoint = &flow->endpoints[i];
		uint32_t taken = id_add(&private->endpoint_ids, endpoint->id, i);
		if (taken == 0) continue;
		report_collision(report, endpoint->config->position, "endpoint", endpoint->name,
			flow->endpoints[taken - 1].name);
	}
	id_table_init(&private->target_ids, flow->target_count);
	for (uint32_t i = 0; i < flow->target_count; i++) {
		const struct flow_target *target = &flow->targets[i];
		uint32_t taken = id_add(&private->target_ids, target->id, i);
		if (taken == 0) continue;
		report_collision(report, target->config->position, "target", target->name,
			flow->targets[taken - 1].name);
	}
}

const struct flow_endpoint *flow_endpoint_by_id(const struct flow *flow, uint32_t id)
{
	const struct flow_private *private = flow->private;
	uint32_t index = id_find(&private->endpoint_ids, id);
	return index == 0 ? NULL : &flow->endpoints[index - 1];
}

const struct flow_target *flow_target_by_id(const struct flow *flow, uint32_t id)
{
	const struct flow_private *private = flow->private;
	uint32_t index = id_find(&private->target_ids, id);
	return index == 0 ? NULL : &flow->targets[index - 1];
}

void flow_tables_build(struct flow *flow, struct config_report *report)
{
	routes_build(flow);
	ids_build(flow, report);
}

void flow_tables_free(struct flow_private *private)
{
	alloc_free(private->routes);
	alloc_free(private->route_slots);
	alloc_free(private->endpoint_ids.slots);
	alloc_free(private->target_ids.slots);
}

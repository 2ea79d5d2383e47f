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

/* ---- Routes ---------------------------------------------------------------------------------- */

/* A route without host hashes its path alone; a host then hashes on from there. */
static uint64_t route_hash(uint64_t path_hash, struct bytes host)
{
	return host.size == 0 ? path_hash : hash_xxh3(host, path_hash);
}

static const struct flow_route_key *key_at(const struct flow_private *private, uint32_t place)
{
	const void *key = private->keys + (size_t)(place - 1) * FLOW_KEY_ALIGN;
	return key;
}

static const struct flow_endpoint *route_find(const struct flow *flow, uint64_t hash,
	struct bytes host, struct bytes path)
{
	const struct flow_private *private = flow->private;
	const uint32_t mask = private->route_mask;
	const uint32_t tag = (uint32_t)(hash >> 32);

	for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
		const struct flow_route_slot *slot = &private->route_slots[at];
		if (slot->place == 0) return NULL;
		if (slot->tag != tag) continue;
		const struct flow_route_key *key = key_at(private, slot->place);
		if (key->host_size != host.size || key->path_size != path.size) continue;
		if (memcmp(key->text + host.size, path.data, path.size) != 0) continue;
		if (host.size > 0 && memcmp(key->text, host.data, host.size) != 0) continue;
		return &flow->endpoints[key->endpoint];
	}
}

/* ASCII letters to lower case, eight at a time. Control characters change, too: the HTTP parser
 * lets none through, and no endpoint's host has any. '_' and DEL become the same, likewise. */
static void host_lower(struct bytes host, uint8_t *to)
{
	const uint64_t case_bits = UINT64_C(0x2020202020202020);
	size_t at = 0;

	for (; at + sizeof case_bits <= host.size; at += sizeof case_bits) {
		uint64_t eight;
		memcpy(&eight, host.data + at, sizeof eight);
		eight |= case_bits;
		memcpy(to + at, &eight, sizeof eight);
	}
	for (; at < host.size; at++) to[at] = host.data[at] | 0x20;
}

/* The Host field's host as the tables have it: lower case, no port, no brackets, no dot at the
 * end. False when it is none that an endpoint could have. */
static bool host_normalise(struct bytes field, uint8_t to[static HOST_SIZE_MAX], struct bytes *ret)
{
	size_t size = field.size;

	if (size == 0) return false;
	if (field.data[0] == '[') {
		field = bytes_from(field, 1);
		size = bytes_find(field, ']');
		if (size == field.size) return false;
	} else {
		const void *colon = memchr(field.data, ':', size);
		if (colon != NULL) size = (size_t)((const uint8_t *)colon - field.data);
	}
	if (size > 0 && field.data[size - 1] == '.') size--;
	if (size == 0 || size > HOST_SIZE_MAX) return false;
	host_lower(bytes_of(field.data, size), to);
	*ret = bytes_of(to, size);
	return true;
}

const struct flow_endpoint *flow_endpoint_find(const struct flow *flow, struct bytes host,
	struct bytes path)
{
	const struct flow_private *private = flow->private;
	uint64_t path_hash = hash_xxh3(path, 0);
	uint8_t lower[HOST_SIZE_MAX];
	struct bytes name;

	if (private->has_hosts && host_normalise(host, lower, &name)) {
		const struct flow_endpoint *endpoint =
			route_find(flow, route_hash(path_hash, name), name, path);
		if (endpoint != NULL) return endpoint;
	}
	return route_find(flow, path_hash, BYTES_EMPTY, path);
}

static size_t key_size(const struct config_endpoint *endpoint)
{
	size_t size = sizeof(struct flow_route_key) + strlen(endpoint->path);

	if (endpoint->host != NULL) size += strlen(endpoint->host);
	return (size + FLOW_KEY_ALIGN - 1) / FLOW_KEY_ALIGN * FLOW_KEY_ALIGN;
}

static void key_write(const struct config_endpoint *endpoint, uint32_t index,
	struct flow_route_key *key)
{
	struct bytes path = bytes_of_text(endpoint->path);
	struct bytes host = bytes_of_text(endpoint->host == NULL ? "" : endpoint->host);

	key->endpoint = index;
	key->host_size = (uint16_t)host.size;
	key->path_size = (uint16_t)path.size;
	host_lower(host, key->text); /* '_' as in host_normalise() */
	memcpy(key->text + host.size, path.data, path.size);
}

static void routes_build(struct flow *flow)
{
	struct flow_private *private = flow->private;
	uint32_t slots = slots_for(flow->endpoint_count);
	size_t size = 0;

	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		size += key_size(flow->endpoints[i].config);
	}
	CHECK(size / FLOW_KEY_ALIGN < UINT32_MAX);
	private->keys = alloc_array(size, 1);
	private->route_slots = alloc_array(slots, sizeof *private->route_slots);
	private->route_mask = slots - 1;

	size = 0;
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		const struct config_endpoint *config = flow->endpoints[i].config;
		struct flow_route_key *key = (void *)(private->keys + size);
		uint32_t place = (uint32_t)(size / FLOW_KEY_ALIGN) + 1;

		size += key_size(config);
		key_write(config, i, key);
		private->has_hosts = private->has_hosts || key->host_size > 0;

		struct bytes host = bytes_of(key->text, key->host_size);
		struct bytes path = bytes_of(key->text + key->host_size, key->path_size);
		uint64_t hash = route_hash(hash_xxh3(path, 0), host);
		/* config_check() has refused routes that are there twice. */
		CHECK(route_find(flow, hash, host, path) == NULL);
		uint32_t at = (uint32_t)hash & private->route_mask;
		while (private->route_slots[at].place != 0) at = (at + 1) & private->route_mask;
		private->route_slots[at] =
			(struct flow_route_slot){ (uint32_t)(hash >> 32), place };
	}
}

/* ---- Ids ------------------------------------------------------------------------------------- */

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
	alloc_free(private->keys);
	alloc_free(private->route_slots);
	alloc_free(private->endpoint_ids.slots);
	alloc_free(private->target_ids.slots);
}

void flow_tables_borrow(struct flow_private *private, const struct flow_private *base)
{
	private->keys = base->keys;
	private->route_slots = base->route_slots;
	private->route_mask = base->route_mask;
	private->has_hosts = base->has_hosts;
	private->endpoint_ids = base->endpoint_ids;
	private->target_ids = base->target_ids;
}

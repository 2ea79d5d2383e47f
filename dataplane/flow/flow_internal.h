/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow_internal — the tables behind a flow (flow_find.c) and the looking up of host names
 * (flow_resolve.c).
 */
#pragma once

#include <stdatomic.h>

#include "flow/flow.h"

/* What a request is compared with, in one piece so that a lookup touches a slot, a key and
 * nothing else. */
struct flow_route_key {
	uint32_t endpoint;  /* index */
	uint16_t host_size; /* 0: any host */
	uint16_t path_size;
	uint8_t text[]; /* the host in lower case, then the path */
};
BOUND(HOST_SIZE_MAX <= UINT16_MAX && ENDPOINT_PATH_SIZE_MAX <= UINT16_MAX);

/* Open addressing, at most half full. Places and indexes count from 1; 0 is a free slot. */
struct flow_route_slot {
	uint32_t tag;   /* the half of the hash that does not choose the slot */
	uint32_t place; /* of the key in `keys`, in units of FLOW_KEY_ALIGN */
};

enum { FLOW_KEY_ALIGN = 8 };

struct flow_id_slot {
	uint32_t id;
	uint32_t index;
};

struct flow_id_table {
	struct flow_id_slot *slots;
	uint32_t mask;
};

struct flow_private {
	atomic_uint_fast32_t references;
	struct flow *base; /* a readdressed flow: whose all but its addresses is, a reference */
	uint8_t *keys;     /* every struct flow_route_key, one behind the other */
	struct flow_route_slot *route_slots;
	uint32_t route_mask;
	bool has_hosts; /* some endpoint names one */
	struct flow_id_table endpoint_ids;
	struct flow_id_table target_ids;
};

/* After endpoints and targets are filled in. Reports two names with one id. */
void flow_tables_build(struct flow *flow, struct config_report *report);
void flow_tables_free(struct flow_private *private);
/* Of a base, to look up in. */
void flow_tables_borrow(struct flow_private *private, const struct flow_private *base);

/* A copy that may get other addresses, see flow_readdress(). */
struct flow *flow_derive(struct flow *flow, uint64_t generation);

enum { FLOW_ADDRESSES_MAX = 8 };

/* A host and what it stands for, in the system's order of preference; ports are 0. */
struct flow_host {
	const char *name;
	struct io_address addresses[FLOW_ADDRESSES_MAX];
	uint32_t address_count; /* 0: it does not resolve */
};

/* Every host of the flow's targets once, sorted by name. Released with alloc_free(). */
struct flow_host *flow_hosts_resolve(const struct flow *flow, size_t *ret_count);
void flow_target_address(struct flow_target *target, const struct flow_host *host);
const struct flow_host *flow_host_find(const struct flow_host *hosts, size_t count,
	const char *name);

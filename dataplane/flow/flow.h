/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow — the compiled, immutable snapshot of what goes where: endpoints with their verifiers,
 * targets with their signers, found by path, host or id.
 *
 * Compiled from a config on a cold thread (secret files are read here), published by pointer;
 * workers swap at a turn boundary. Reference-counted: whoever holds a pointer across turns
 * holds a reference. Reading is free of locks and allowed on any thread.
 *
 * Ids: 32-bit hash of the name, the same in every process and shard for ever, so that a record
 * can name its endpoint in four bytes. Two names with one id are refused when compiling.
 */
#pragma once

#include "base/clock.h"
#include "config/config.h"
#include "verify/verify.h"

#define FLOW_TENANT_DEFAULT 0u
#define FLOW_VERSION_FIRST 1u

struct flow_target {
	uint32_t id;
	uint32_t index; /* in flow->targets */
	char name[NAME_SIZE_MAX + 1];
	const struct config_target *config; /* lives as long as the flow */
	struct io_address address;
	bool resolved;           /* false: the name did not resolve; attempts fail until it does */
	struct verifier *signer; /* NULL: deliveries are not signed */
	char host_field[300];    /* what the Host field says: host[:port] */
	uint32_t metrics_slot;   /* given out by whoever publishes the snapshot */
};

struct flow_endpoint {
	uint32_t id;
	uint32_t index;
	char name[NAME_SIZE_MAX + 1];
	const struct config_endpoint *config;
	struct verifier *verifier;
	uint32_t target_count;
	uint32_t targets[TARGETS_PER_ENDPOINT_MAX]; /* indexes in flow->targets */
	uint32_t target_ids[TARGETS_PER_ENDPOINT_MAX];
	uint32_t metrics_slot; /* given out by whoever publishes the snapshot */
};

struct flow {
	uint64_t generation;
	const struct config
		*config; /* owned, alone or together with the flow it was readdressed from */
	struct flow_endpoint *endpoints;
	uint32_t endpoint_count;
	struct flow_target *targets;
	uint32_t target_count;
	void *private; /* tables and reference count */
};

uint32_t flow_id_of_name(const char *name);

/* Takes the config over when RESULT_OK (freed with the flow). RESULT_CONFIG with diagnostics
 * otherwise: unreadable secrets, wrong secret form, id collisions. Names that do not resolve
 * are warnings. Adds to the report, which config_load() or config_report_init() began. Blocks
 * while names are looked up (several at a time). */
MUST_USE enum result flow_compile(struct config *config, uint64_t generation, struct flow **ret,
	struct config_report *report);
struct flow *flow_acquire(struct flow *flow);
/* The last release frees: on whichever thread, so workers hand theirs back to control. */
void flow_release(struct flow *flow);

/* Exact path; an endpoint with a host beats one without. `host` may carry a port, which is
 * ignored; it is compared without case. NULL when there is none. */
const struct flow_endpoint *flow_endpoint_find(const struct flow *flow, struct bytes host,
	struct bytes path);
const struct flow_endpoint *flow_endpoint_by_id(const struct flow *flow, uint32_t id);
const struct flow_target *flow_target_by_id(const struct flow *flow, uint32_t id);

/* Resolves the names again (blocking: cold thread). NULL when every target is still where it was;
 * else a flow that differs in addresses alone. No file is read for it: it shares the config, the
 * verifiers and the signers, and holds a reference to the flow that has them.
 * A target has moved when its name gives addresses and the one in use is not among them. A name
 * that rotates through its addresses, or does not resolve for the moment, has not. */
MUST_USE struct flow *flow_readdress(struct flow *flow, uint64_t generation);

/* Before publishing: targets of `next` whose name does not resolve now keep the address that
 * `previous` had for the same host, so that a reload while the name service is down does not
 * stop deliveries. Returns how many did. */
uint32_t flow_keep_addresses(struct flow *next, const struct flow *previous);

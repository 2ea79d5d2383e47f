/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_ledger — what the simulated providers sent and were told, what the targets were given: the
 * outside view that the system's own state is held against. Event bodies are made from their
 * number, so nobody keeps them, and a target can compare every byte.
 */
#pragma once

#include "base/cursor.h"
#include "queue/event.h"
#include "sim/io_sim.h"

enum {
	LEDGER_TARGETS_MAX = 8,
	LEDGER_BODY_SIZE_MAX = 160 * 1024,
	LEDGER_ID_SIZE = 12, /* "ev-" or "at-", eight digits, NUL */
};

struct ledger_event {
	uint32_t endpoint;
	uint32_t size;
	uint32_t try_count;
	uint64_t next_try_us;
	bool in_flight;
	bool acked;     /* a 2xx came */
	bool abandoned; /* its provider has given up: it may be stored, or not */
	/* What it is called, as the provider was told or a target saw first; empty: unknown. */
	char id[EVENT_ID_TEXT_SIZE];
	uint32_t received[LEDGER_TARGETS_MAX]; /* complete requests */
	uint32_t taken[LEDGER_TARGETS_MAX];    /* of these, answered 2xx */
};

struct ledger {
	struct sim_world *world;
	uint64_t seed;
	struct ledger_event *events;
	uint32_t event_count;
	uint32_t target_count;
	uint32_t unresolved_count; /* neither acked nor abandoned */
	uint64_t body_base;
	/* For the summary. */
	uint64_t duplicates;
	uint64_t refused_503;
	uint64_t attacks;
};

void ledger_open(struct ledger *ledger, struct sim_world *world, uint64_t seed,
	uint32_t event_count, uint32_t endpoint_count, uint32_t target_count);
void ledger_close(struct ledger *ledger);

void ledger_event_id(uint32_t number, char to[static LEDGER_ID_SIZE]);
/* The body of an event. */
void ledger_body(const struct ledger *ledger, uint32_t number, struct writer *to);
/* A body that must never get through; it may carry the id of an event. */
void ledger_attack_body(const struct ledger *ledger, const char *id, uint32_t size,
	struct writer *to);
/* The number of the event with exactly this body; anything else is a violation. */
uint32_t ledger_identify(const struct ledger *ledger, struct bytes body, const char *where);

/* A provider was told, or a target saw, that the event is called so: always the same. */
void ledger_name(struct ledger *ledger, uint32_t number, struct bytes id, const char *where);
void ledger_acked(struct ledger *ledger, uint32_t number, struct bytes id);
void ledger_abandon(struct ledger *ledger, uint32_t number);

/* ---- Violations ------------------------------------------------------------------------------ */

/* Which seed is running: said when the program dies, with how to run it again. */
void sim_seed_begin(uint64_t seed);
/* An invariant does not hold: says which and when, and aborts. */
void sim_violation(const struct sim_world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn, cold));

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_target — a target inside the simulation: takes deliveries over the simulated network,
 * holds each against the ledger, and answers as its mood has it: well, slowly, badly, or not at
 * all. It speaks through engine/io.h alone, so it shares no code with what it tests but the
 * parsers.
 */
#pragma once

#include "flow/flow.h"
#include "sim/sim_ledger.h"

enum { TARGET_SESSIONS_MAX = 48 };

/* What it does with a request that has come in completely, or, for EARLY, with its head. */
enum target_reaction {
	REACT_OK,         /* 200 with a length */
	REACT_NO_CONTENT, /* 204 */
	REACT_CHUNKED,
	REACT_UNTIL_CLOSE,
	REACT_INTERIM, /* 1xx, then 200 */
	REACT_LAST,    /* 200, Connection: close */
	REACT_VANISH,  /* 200, and the connection is closed all the same, soon */
	REACT_SURPLUS, /* 200, and bytes that nobody asked for */
	REACT_GOOD_COUNT,
	REACT_FAIL = REACT_GOOD_COUNT, /* 4xx, 5xx, 3xx */
	REACT_BUSY,                    /* 429 or 503 with Retry-After */
	REACT_EARLY_ON,                /* 413 before the body was read, and reads on */
	REACT_EARLY,                   /* 413 before the body was read, then closed */
	REACT_HALF_HEAD,
	REACT_HALF_BODY,
	REACT_GARBAGE,
	REACT_RESET,
	REACT_NEVER,
	REACT_COUNT
};

struct target_session;

struct sim_target {
	struct ledger *ledger;
	struct loop *loop;
	const struct flow_target *flow;
	struct verifier *verifier; /* of its secret; NULL: not signed */
	uint32_t index;
	struct io_socket *listener;
	bool listener_closing;
	struct target_session *sessions;
	uint32_t session_count;
	bool up;
	/* Its mood: how often it reacts badly, and how long it takes. */
	enum target_reaction bad; /* REACT_COUNT: any of them */
	uint32_t bad_ppm;
	uint64_t delay_us_max;
};

/* Not up yet. */
void sim_target_open(struct sim_target *target, struct ledger *ledger, struct loop *loop,
	const struct flow_target *flow, uint32_t index, const char *secret);
void sim_target_up(struct sim_target *target);
/* Stops listening and resets what it has: connections are refused from now on. */
void sim_target_down(struct sim_target *target);
bool sim_target_idle(const struct sim_target *target);
/* Down and idle. */
void sim_target_close(struct sim_target *target);

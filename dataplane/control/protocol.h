/* SPDX-License-Identifier: GPL-2.0-or-later */
/* protocol — what the daemon's control socket and its clients agree on: where the socket is, the
 * roles, and the one table of routes.
 *
 * HTTP/1.1 over a Unix stream socket; answers are JSON, or newline-delimited JSON where the help
 * says "streams"; errors are problem documents (RFC 9457) with a stable `code`. Requests have
 * no body: parameters stand in the query. Every shape says what it is in its first member,
 * "schema":"penstock.<noun>/v1".
 *
 * When to bump: adding a route, a parameter, a member or a code needs nothing, and clients must
 * ignore members they do not know. Taking one away, or changing what one means or its type, makes
 * a new schema version for a shape ("penstock.event/v2") and a new CONTROL_API for a
 * route; the old one stays for at least one minor release.
 */
#pragma once

#include <stdint.h>

#define CONTROL_SOCKET_DEFAULT "/run/penstock/control.sock"
#define CONTROL_API "/v1"

/* From the peer's credentials. Each role may do what those before it may. */
#define CONTROL_ROLE_TABLE(X) \
	X(NONE,  "none",  "whoever can reach the loopback listener: metrics and health") \
	X(READ,  "read",  "members of control.group: everything but payloads and changes") \
	X(OPERATE, "operate", "control.operators: what keeps deliveries going, too: replay, reload, drain") \
	X(ADMIN, "admin", "root, the daemon's own user and control.admins: everything")
enum control_role {
#define X(name, code, text) CONTROL_ROLE_##name,
	CONTROL_ROLE_TABLE(X)
#undef X
	CONTROL_ROLE_COUNT
};

/* How a route answers. QUICK: on the control thread. SLOW: on a thread of its own, one at a
 * time per route. STREAM: the same, and lines come as they are made. */
enum control_pace { CONTROL_QUICK, CONTROL_SLOW, CONTROL_STREAM };

/* enumerator, handler, method, path ({id}: an event id), role, pace, parameters, help */
#define CONTROL_ROUTE_TABLE(X) \
	X(HEALTHZ,   healthz,   "GET",  "/healthz",  NONE,  QUICK,  "", "200 while the daemon works, 503 once it has failed") \
	X(READYZ,    readyz,    "GET",  "/readyz",   NONE,  QUICK,  "", "200 while events are taken in, 503 while starting or draining") \
	X(METRICS,   metrics,   "GET",  "/metrics",  NONE,  QUICK,  "", "all metrics in the Prometheus text format, or OpenMetrics") \
	X(ROUTES,    routes,    "GET",  "/v1",       READ,  QUICK,  "", "this list") \
	X(VERSION,   version,   "GET",  "/v1/version", READ, QUICK, "", "version of the daemon and of this protocol, your role") \
	X(STATUS,    status,    "GET",  "/v1/status", READ, QUICK,  "", "state, workers, queues, stores, totals and latencies") \
	X(ENDPOINTS, endpoints, "GET",  "/v1/endpoints", READ, QUICK, "limit after", "endpoints with their counters") \
	X(TARGETS,   targets,   "GET",  "/v1/targets", READ, QUICK, "limit after", "targets with connections, waiting deliveries, last error") \
	X(LEDGER,    ledger,    "GET",  "/v1/ledger", READ, QUICK,  "limit after", "what became of all deliveries, by endpoint") \
	X(LEDGER_CHECK, ledger_check, "GET", "/v1/ledger/check", READ, SLOW, "", "counts again what waits and what is dead, and compares") \
	X(EVENTS,    events,    "GET",  "/v1/events", READ, QUICK,  "limit before after endpoint state", "events, newest first") \
	X(EVENT,     event,     "GET",  "/v1/events/{id}", READ, QUICK, "", "one event with its deliveries and attempts") \
	X(ATTEMPTS,  attempts,  "GET",  "/v1/events/{id}/attempts", READ, QUICK, "target", "the attempts to deliver one event") \
	X(PAYLOAD,   payload,   "GET",  "/v1/events/{id}/payload", ADMIN, QUICK, "", "the bytes the provider sent") \
	X(DEAD,      dead,      "GET",  "/v1/dead",  READ,  QUICK,  "limit after target", "dead letters, oldest first") \
	X(DEAD_EVENT, dead_event, "GET", "/v1/dead/{id}", READ, QUICK, "target", "the dead letters of one event with their last attempts") \
	X(REPLAY,    replay,    "POST", "/v1/dead/replay", OPERATE, SLOW, "event target all expect", "dead letters get new tries: event=, target=, all=true") \
	X(VERIFY,    verify,    "POST", "/v1/audit/verify", READ, STREAM, "", "recomputes the audit log of every shard; streams progress and findings") \
	X(CONFIG,    config,    "GET",  "/v1/config", ADMIN, SLOW,  "", "the configuration being served, setting by setting, with defaults") \
	X(TAIL,      tail,      "GET",  "/v1/tail",  READ,  STREAM, "endpoint refusals sample", "requests and deliveries as they happen; streams") \
	X(ACTIONS,   actions,   "GET",  "/v1/audit/actions", READ, QUICK, "limit before", "what people did to the daemon, newest first") \
	X(BACKUP,    backup,    "POST", "/v1/backup", ADMIN, STREAM, "path", "copies the store into a new folder of the daemon's host; streams progress") \
	X(RELOAD,    reload,    "POST", "/v1/reload", OPERATE, SLOW,  "confirm_within", "loads the configuration again; answers when every worker serves it") \
	X(CONFIRM,   confirm,   "POST", "/v1/confirm", OPERATE, SLOW, "", "keeps the generation that was to be confirmed") \
	X(ROLLBACK,  rollback,  "POST", "/v1/rollback", OPERATE, SLOW, "to confirm_within", "serves an earlier generation's text again") \
	X(HISTORY,   history,   "GET",  "/v1/history", READ, QUICK, "limit", "generations, newest first: when, who, what changed, what became of it") \
	X(DRAIN,     drain,     "POST", "/v1/drain", OPERATE, SLOW, "deadline", "ends intake; answers when all is delivered, or with what is left") \
	X(UPGRADE,   upgrade,   "POST", "/v1/upgrade", ADMIN, SLOW, "", "the program on disk takes over; answers when it has been found fit to") \
	X(STOP,      stop,      "POST", "/v1/stop",  ADMIN, SLOW,  "", "drains, then exits")

enum control_route {
#define X(name, handler, method, path, role, pace, parameters, help) CONTROL_ROUTE_##name,
	CONTROL_ROUTE_TABLE(X)
#undef X
	CONTROL_ROUTE_COUNT
};

/* Rows in a page. */
#define CONTROL_LIMIT_DEFAULT 50u
#define CONTROL_LIMIT_MAX 1000u

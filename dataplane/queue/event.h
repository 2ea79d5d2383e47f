/* SPDX-License-Identifier: GPL-2.0-or-later */
/* event — the stored form of an event and of an attempt, and the public event id.
 *
 * Records carry tenant, endpoint, flow version, correlation id and content type from the
 * first format on; later formats add at the end and bump the version byte. Pure.
 */
#pragma once

#include "base/clock.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "bounds.h"

enum { EVENT_FORMAT = 1, ATTEMPT_FORMAT = 1 };

/* Views borrow from the request (when encoding) or the store (when decoded). */
struct event {
	uint64_t sequence; /* in its shard; part of the key, not of the record */
	uint16_t shard;
	wall_t received;
	uint32_t tenant_id;
	uint32_t endpoint_id;
	uint32_t flow_version;
	uint8_t key_index; /* which secret verified it: 0 current, 1 previous */
	uint8_t target_count;
	uint32_t target_ids[TARGETS_PER_ENDPOINT_MAX];
	uint32_t payload_size;
	uint8_t payload_sha256[SHA256_SIZE];
	struct bytes content_type;
	struct bytes provider_event_id;
	struct bytes correlation_id;
	struct bytes forward_fields; /* complete header lines for the target */
};

/* Largest encoded header: a record's first chunk holds it and the first payload bytes. */
#define EVENT_HEADER_SIZE_MAX \
	(128u + 4u * TARGETS_PER_ENDPOINT_MAX + CONTENT_TYPE_SIZE_MAX + EVENT_ID_SIZE_MAX + \
		CORRELATION_ID_SIZE_MAX + FORWARD_FIELDS_SIZE_MAX)
BOUND(EVENT_HEADER_SIZE_MAX + 1024u < STORE_VALUE_SIZE_MAX);

/* Whether an earlier one is the same target: it is delivered to once. */
bool event_target_is_repeated(const struct event *event, unsigned index);
/* Deliveries that the event makes. */
unsigned event_delivery_count(const struct event *event);

void event_encode(const struct event *event, struct writer *writer);
/* *ret_header_size is where the payload starts. sequence and shard are left alone. */
MUST_USE enum result event_decode(struct bytes record, struct event *ret, size_t *ret_header_size);

/* "evt_" and 26 characters of Crockford base32: 48 bit milliseconds, 16 bit shard, 64 bit
 * sequence. Sorts by time; says where to look, so no index is needed. */
enum { EVENT_ID_TEXT_SIZE = 31 };
void event_id_format(const struct event *event, char to[static EVENT_ID_TEXT_SIZE]);
/* Sets received (to the millisecond), shard and sequence. */
MUST_USE enum result event_id_parse(struct bytes text, struct event *ret);

#define ATTEMPT_OUTCOME_TABLE(X) \
	X(DELIVERED, "delivered", "the target answered 2xx") \
	X(RETRY,     "retry",     "it will be tried again") \
	X(DEAD,      "dead",      "parked in the dead letter queue")
enum attempt_outcome {
#define X(name, code, text) ATTEMPT_##name,
	ATTEMPT_OUTCOME_TABLE(X)
#undef X
	ATTEMPT_OUTCOME_COUNT
};
const char *attempt_outcome_code(enum attempt_outcome outcome);

#define ATTEMPT_ERROR_TABLE(X) \
	X(NONE,           "none",            "an answer came") \
	X(UNRESOLVED,     "unresolved",      "the target's name does not resolve") \
	X(CONNECT,        "connect",         "the connection was refused or unreachable") \
	X(CONNECT_TIMEOUT, "connect_timeout", "no connection within the time allowed") \
	X(TLS,            "tls",             "the TLS handshake failed or the certificate is not trusted") \
	X(RESET,          "reset",           "the connection broke before an answer") \
	X(TIMEOUT,        "timeout",         "no complete answer within the time allowed") \
	X(PROTOCOL,       "protocol",        "the answer was not HTTP/1.1") \
	X(STATUS,         "status",          "the answer was not 2xx") \
	X(TARGET_REMOVED, "target_removed",  "the target is no longer configured")
enum attempt_error {
#define X(name, code, text) ATTEMPT_ERROR_##name,
	ATTEMPT_ERROR_TABLE(X)
#undef X
	ATTEMPT_ERROR_COUNT
};
const char *attempt_error_code(enum attempt_error error);
const char *attempt_error_text(enum attempt_error error);

struct attempt {
	uint64_t sequence; /* sequence, target_id, number: the key */
	uint32_t target_id;
	uint16_t number; /* from 1, over replays */
	enum attempt_outcome outcome;
	enum attempt_error error;
	uint16_t status; /* 0: none came */
	wall_t started;
	uint64_t duration_us;
	wall_t next_due;      /* when outcome is RETRY */
	struct bytes detail;  /* a sentence when there was an error, ≤ 96 bytes */
	struct bytes excerpt; /* first bytes of the answer's body, ≤ ATTEMPT_EXCERPT_SIZE_MAX */
};
enum { ATTEMPT_DETAIL_SIZE_MAX = 96 };
void attempt_encode(const struct attempt *attempt, struct writer *writer);
MUST_USE enum result attempt_decode(struct bytes record, struct attempt *ret);

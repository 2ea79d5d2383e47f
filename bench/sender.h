/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sender — plays the providers: signs events and sends them over keep-alive connections, at a
 * rate (open loop: latency counts from the intended start, whatever the daemon does) or as
 * fast as the answers come (closed loop).
 *
 * An event that got no answer, or 503, is sent again with a fresh signature, as providers do,
 * until it is answered or the run ends. In between, attacks: forged, stale and replayed ones.
 */
#pragma once

#include "base/random.h"
#include "ledger.h"
#include "payload.h"
#include "tls/stream.h"
#include "verify/verify.h"

enum { SENDER_ENDPOINTS_MAX = 16, SENDER_ADDRESSES_MAX = 16 };

struct sender_endpoint {
	char path[256];
	char scheme[32];
	struct verifier *signer;
	struct verifier *forger; /* the same scheme under another key */
	bool timestamped;        /* the scheme signs a timestamp: stale requests can be made */
};

struct sender_config {
	struct streams *streams;
	struct ledger *ledger;
	struct payload_shape shape;
	const struct io_address *addresses; /* connections go to them in turn */
	uint32_t address_count;
	const char *host_name;       /* SNI, Host, and what the certificate must be for */
	struct tls_context *context; /* NULL: plaintext */
	const struct sender_endpoint *endpoints;
	uint32_t endpoint_count;
	uint32_t spread; /* over 1: so many paths for each, with 0, 1, … behind it */
	uint32_t connections;
	bool gradual;   /* none is opened before sender_connect_next() */
	double rate;    /* events per second; 0: closed loop */
	uint64_t count; /* events in all; 0: until sender_finish() */
	/* Of 1000 requests how many are, besides the events, attacks of each kind. */
	uint32_t forged_permille;
	uint32_t stale_permille;
	uint32_t replay_permille;
	bool retry; /* send again what got no answer */
	/* A new connection for each event: connect, full handshake, request, answer, close. No
	 * session is ever resumed. Latency includes the handshake. */
	bool full_handshakes;
	uint64_t seed;
};

struct sender;

/* What the first handshake agreed on; empty texts in plaintext. */
struct sender_security {
	char protocol[16];
	char cipher[48];
};

/* Connects; nothing is sent before sender_begin(). */
void sender_open(const struct sender_config *config, struct sender **ret);
/* With `gradual`: opens one more. */
void sender_connect_next(struct sender *sender);
/* How many were opened, whether they stand or not. */
uint32_t sender_connected_count(const struct sender *sender);
/* How many connections stand and wait for something to carry. */
uint32_t sender_ready_count(const struct sender *sender);
/* When the last connection stood: now, while there is one; before the first, when it was opened. */
mono_t sender_connected_at(const struct sender *sender);
/* From here on events are due. The ledger's start must be set to now before. */
void sender_begin(struct sender *sender);
/* From now on events are due at this rate, 0: whenever a connection is free. What was due before
 * and is not sent yet is not owed any more. */
void sender_set_rate(struct sender *sender, double rate);
/* No events are due until the next sender_set_rate(). */
void sender_pause(struct sender *sender);
/* Schedules no new events; those under way go on. */
void sender_finish(struct sender *sender);
/* Nothing is under way and nothing waits to be sent again. */
bool sender_idle(const struct sender *sender);
/* All events of `count` were scheduled. */
bool sender_exhausted(const struct sender *sender);
/* Gives up what is under way (it stays unknown). */
void sender_abort(struct sender *sender);
/* Once no connection is open any more. */
bool sender_closed(const struct sender *sender);
void sender_close(struct sender *sender);
/* From here on latencies count (after the warm-up). */
void sender_reset_latency(struct sender *sender);
/* Handshakes completed so far. */
uint64_t sender_handshakes(const struct sender *sender);
struct sender_security sender_security(const struct sender *sender);

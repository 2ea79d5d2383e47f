/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sender_internal — what the two halves of the sender share: sender.c chooses what is sent and
 * when, sender_lane.c carries it over one connection.
 */
#pragma once

#include "sender.h"

enum { HEAD_SIZE_MAX = 2048, ANSWER_SIZE_MAX = 8192, SENDER_HOST_SIZE = 260 };

enum request_kind { REQUEST_EVENT, REQUEST_FORGED, REQUEST_STALE, REQUEST_REPLAY };

/* One connection and what it is doing. */
struct lane {
	struct list node; /* of the ready lanes */
	struct stream stream;
	struct sender *sender;
	struct timer timer;
	bool open;   /* the stream exists */
	bool stands; /* and is connected */
	bool ready;  /* it can carry a request: it is in the list */
	bool busy;   /* a request is under way */
	bool closing;
	bool failed; /* the connection broke: not at once again */
	enum request_kind kind;
	uint64_t number;
	mono_t intended;
	uint8_t *request; /* kept for a partly taken write */
	size_t request_size;
	size_t request_taken;
	size_t scanned;
	uint32_t filled;
	uint8_t answer[ANSWER_SIZE_MAX];
};

/* What waits to be sent again, oldest first. */
struct resend {
	uint64_t number;
	mono_t due;
};

struct sender {
	struct sender_config config;
	char host_field[SENDER_HOST_SIZE]; /* of the requests */
	struct loop *loop;
	struct lane *lanes;
	struct list ready;
	struct random random;
	mono_t pace_at; /* open loop: when the next event is due; UINT64_MAX: nothing is */
	struct task pump;
	uint64_t next_number;
	uint64_t paced_from; /* the event that was due at `paced_since` */
	mono_t paced_since;
	bool paused;
	uint64_t handshakes;
	struct sender_security security;
	uint32_t connected_count;
	uint32_t busy_count;
	uint32_t open_count;
	uint32_t ready_count;
	uint32_t standing_count;
	mono_t connected_at; /* of the last moment that any stood, when none does */
	bool begun;
	bool finishing;
	struct resend *resends; /* ring */
	uint64_t resend_first, resend_count, resend_capacity;
};

/* Starts connecting; everything else follows from the stream's events. */
void lane_connect(struct lane *lane);
void lane_close(struct lane *lane, bool abort);
/* Sends what was chosen for it, over a lane that is ready; connects for it when each event has a
 * connection of its own. */
void lane_begin(struct lane *lane);
void lane_timer_expired(void *owner);

void lane_set_ready(struct lane *lane, bool ready);

/* The event will be sent again, when events are. */
void sender_put_resend(struct sender *sender, uint64_t number);
/* What is due now goes out on the lanes that are ready. */
void sender_send_ready(struct sender *sender);

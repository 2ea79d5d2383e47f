/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_internal — what the files of deliver/ share. Not for other folders. */
#pragma once

#include "deliver/deliver.h"
#include "deliver/outcome.h"
#include "http/http_chunked.h"
#include "http/http_response.h"

enum channel_state {
	CHANNEL_CONNECTING, /* with its first delivery waiting */
	CHANNEL_SENDING,    /* a request is (partly) written, no answer head yet */
	CHANNEL_BODY,       /* the answer's head has come */
	CHANNEL_IDLE,       /* warm */
	CHANNEL_CLOSING,
};

/* Which trace an attempt belongs to. */
struct attempt_trace {
	bool known;
	struct trace_context context; /* with the attempt's own span, when it is sampled */
	uint8_t parent_id[SPAN_ID_SIZE];
};

/* A connection to a target. */
struct channel {
	struct list node;      /* of the target's idle list, or its busy list */
	struct list idle_node; /* of the idle ones of all targets */
	struct stream stream;
	struct deliver_target *target;
	struct delivery *delivery; /* while an attempt is under way */
	struct timer timer;
	uint8_t state; /* enum channel_state */
	bool reused;   /* carried an attempt before this one */
	bool answered; /* a byte of the answer has come */
	bool input_ended;
	uint32_t epoch; /* of the target when it was opened */
	mono_t started;
	wall_t started_wall;
	wall_t received; /* the event, where; 0: it has not been read yet */
	uint16_t shard;
	struct attempt_trace trace;
	uint64_t payload_size;
	uint64_t payload_sent;
	/* The answer. */
	size_t scanned;
	uint32_t filled;
	uint32_t interim_count;
	uint16_t status;
	bool keep_alive;
	enum http_body body;
	uint64_t body_left; /* of a body with a length */
	uint64_t body_size; /* read so far, decoded */
	uint64_t retry_after_s;
	struct http_chunked chunked;
	uint32_t excerpt_size;
	uint8_t excerpt[ATTEMPT_EXCERPT_SIZE_MAX];
	uint8_t buffer[HTTP_HEAD_SIZE_MAX]; /* last: large, and mostly untouched */
};

struct deliver_target {
	struct list pending; /* in deliver->pending when it is to be pumped */
	struct deliver *deliver;
	const struct flow_target *flow; /* NULL: not configured any more */
	struct deliver_tls tls;
	uint32_t id;
	uint32_t epoch;   /* counts the ways it has been reached */
	struct list idle; /* channels, warmest first */
	struct list busy;
	uint32_t idle_count;
	uint32_t busy_count; /* connecting, sending, reading, closing */
	char last_error[ATTEMPT_DETAIL_SIZE_MAX];
};

struct deliver {
	struct deliver_config config;
	struct loop *loop;
	const struct flow *flow;
	struct pool channels;
	struct pool targets;
	struct deliver_target **table; /* by id, open addressing, power of two */
	uint32_t table_size;
	struct list pending; /* targets to pump */
	struct list idle;    /* channels of all targets, coldest first */
	struct task pump;
	struct timer again; /* pumps when a resource of ours was short */
	uint32_t attempts;  /* under way */
	bool draining;
	uint8_t *scratch; /* a request being composed: head, then body */
};

/* Head of a request to a target: our fields and what was kept of the provider's. */
#define REQUEST_HEAD_SIZE_MAX (HTTP_TARGET_SIZE_MAX + FORWARD_FIELDS_SIZE_MAX + 4096u)

/* ---- deliver.c ------------------------------------------------------------------------------- */
struct deliver_target *target_of_id(struct deliver *deliver, uint32_t target_id);
/* Has it pumped at the end of this turn. */
void target_pump_later(struct deliver_target *target);
/* Records the end of an attempt (or of a delivery that could not be tried), and settles. */
struct attempt_end {
	enum attempt_error error; /* NONE: answered */
	const char *detail;       /* or NULL */
	uint16_t status;
	uint64_t retry_after_s;
	wall_t received; /* the event, where; 0: not known */
	uint16_t shard;
	const struct attempt_trace *trace; /* or NULL */
	wall_t started;
	uint64_t duration_us;
	struct bytes excerpt;
};
void delivery_settle(struct deliver_target *target, struct delivery *delivery,
	const struct attempt_end *end);

/* ---- deliver_tap.c --------------------------------------------------------------------------- */
struct outcome;
/* Only while tap_is_open(), of a delivery that is not settled yet. */
void tap_attempt(const struct deliver_target *target, struct delivery *delivery,
	const struct attempt_end *end, const struct outcome *outcome);

/* ---- deliver_channel.c ----------------------------------------------------------------------- */
/* Opens a new channel for this delivery. False, with the delivery released, when this host
 * lacks what a connection needs. */
bool channel_open(struct deliver_target *target, struct delivery *delivery);
/* Sends a delivery over a warm channel. */
void channel_reuse(struct channel *channel, struct delivery *delivery);
/* The attempt on it failed: settle, close. */
void channel_fail(struct channel *channel, enum attempt_error error, const char *detail);
/* The attempt on it was answered: settle, keep warm or close. */
void channel_answered(struct channel *channel, bool reusable);
void channel_close(struct channel *channel);
/* Also while it closes. */
void channel_abort(struct channel *channel);

/* ---- deliver_attempt.c ----------------------------------------------------------------------- */
/* Composes and writes the request. RESULT_BUSY when the target has not taken the one before yet;
 * RESULT_NOT_FOUND and RESULT_MALFORMED when the event cannot be read. */
MUST_USE enum result attempt_send(struct channel *channel);
/* Goes on writing a large payload after the stream drained. */
MUST_USE enum result attempt_send_more(struct channel *channel);

/* ---- deliver_answer.c ------------------------------------------------------------------------ */
void answer_reset(struct channel *channel);
/* Reads what is there. Calls channel_answered() or channel_fail() when it is decided. */
void answer_read(struct channel *channel);
/* No more of it will come: decides what that means. */
void answer_cut(struct channel *channel, enum attempt_error error, const char *detail);
/* The target closed: the same, after what is still unread. */
void answer_ended(struct channel *channel, const char *detail);

/* ---- deliver_trace.c ------------------------------------------------------------------------- */
/* The event has been read: what it forwards belongs to a trace, or not. Then *ret_rest is what
 * stands behind that line. */
void attempt_trace_note(struct channel *channel, const struct event *event, struct bytes *ret_rest);
/* Reads the event of an attempt that has come to its end without. */
void attempt_trace_read(struct channel *channel);
/* The attempt is judged: its span is done. */
void attempt_trace_end(const struct deliver_target *target, const struct delivery *delivery,
	const struct attempt_end *end, const struct outcome *outcome);

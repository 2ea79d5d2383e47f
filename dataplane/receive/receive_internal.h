/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_internal — what the files of receive/ share. Not for other folders. */
#pragma once

#include <stdalign.h>
#include <stddef.h>

#include "base/tap.h"
#include "http/http_chunked.h"
#include "http/http_request.h"
#include "receive/receive.h"
#include "verify/verify.h"

/* Where a connection stands. */
enum connection_state {
	CONNECTION_HANDSHAKE, /* TLS is being set up */
	CONNECTION_IDLE,      /* between requests, holds nothing */
	CONNECTION_HEAD,      /* a request's first bytes have come */
	CONNECTION_BODY,
	CONNECTION_GATHERED, /* the request is whole and waits to be verified with others */
	CONNECTION_COMMIT,   /* the event is on its way to disk */
	CONNECTION_CLOSING,  /* stream_close() was called */
};

struct connection;

/* Which trace the event belongs to. */
struct request_trace {
	struct trace_context context; /* with the request's own span, when it is sampled */
	uint8_t parent_id[SPAN_ID_SIZE];
	bool has_parent;
	bool tls;
	char endpoint[NAME_SIZE_MAX + 1]; /* when it is sampled */
};

/* What is known of a request's head when it has been parsed, for as long as the request lasts. */
struct request_head {
	uint64_t content_length;
	uint8_t body; /* enum http_body */
	uint8_t minor_version;
	bool keep_alive;
	bool expect_continue;
	bool is_head; /* the method is HEAD */
};

/* A request between its first byte and its answer. One of usual size is in one page of memory, from
 * the used part of `forward` to its last byte: with some hundred requests under way each page more
 * is one whose address the CPU has to look up, which costs as much as parsing the head. */
enum { REQUEST_ALIGNMENT = 4096, REQUEST_USUAL_SIZE = 1400 };
struct request {
	alignas(REQUEST_ALIGNMENT) uint8_t forward[FORWARD_FIELDS_SIZE_MAX];
	/* From here to `append` it starts as zeros. */
	struct letter reply; /* the commit comes back with it */
	struct receive *receive;
	struct connection *connection; /* NULL once the client has gone */
	uint8_t *buffer;
	uint32_t buffer_size;
	bool large; /* buffer is from the large pool; else it is `small` */
	bool continue_sent;
	uint32_t filled;    /* bytes in the buffer */
	uint32_t received;  /* bytes from the wire; codings that were taken off count */
	size_t scanned;     /* see http_head_find() */
	uint32_t head_size; /* 0 until the head is complete */
	uint32_t body_size; /* decoded so far; with a length: of the whole */
	uint32_t next;      /* where the following request's bytes start; 0: unknown yet */
	uint32_t next_size;
	uint32_t body_size_max;
	uint32_t flow_number; /* receive->flow_number when `endpoint` was found */
	const struct flow_endpoint *endpoint;
	struct request_head head;
	struct http_chunked chunked;
	mono_t body_waited; /* when the body first proved incomplete; 0: it has not */
	mono_t complete;    /* when the last byte had come */
	uint32_t metrics_slot;
	struct request_trace trace; /* when there are traces */
	struct shard_append append;
	uint8_t small[RECEIVE_BUFFER_SIZE];
};
BOUND(offsetof(struct request, small) + REQUEST_USUAL_SIZE <= REQUEST_ALIGNMENT);

struct connection {
	struct list node; /* in receive->idle_connections or busy_connections */
	struct stream stream;
	struct receive *receive;
	struct request *request; /* NULL between requests */
	struct timer timer;
	mono_t deadline;
	mono_t armed;      /* when the timer will fire */
	mono_t idle_since; /* while in idle_connections */
	uint32_t request_count;
	uint8_t state; /* enum connection_state */
	bool input_ended;
	bool secure;
	bool blocked; /* the next request waits until the answers so far have left */
	bool shed;    /* taken only to be told, politely, to come back */
	bool evicted; /* closed to make room for another */
};

/* An accepted socket that waits for a connection. Nothing is received on it. */
struct parked {
	struct list node; /* in receive->parked_sockets until it is closed */
	struct listener *listener;
	struct io_socket *socket;
	mono_t deadline;
};

/* A listener leaves in steps, so that whom it has accepted is served: it stops accepting, and is
 * closed when it has; its slot is free when nobody that it has accepted is parked any more. */
enum listener_state {
	LISTENER_FREE,
	LISTENER_OPEN,
	LISTENER_LEAVING, /* its last accepted sockets may still come */
	LISTENER_CLOSING,
	LISTENER_CLOSED, /* only a name for those that are parked */
};

struct listener {
	struct receive *receive;
	struct io_socket *socket; /* not when free or closed */
	struct tls_context *context;
	enum listener_state state;
	uint32_t parked_count;
};

/* Requests that are verified together, and what is known of them so far. */
struct gathering {
	bool usable; /* there is something to be won by it */
	bool finishing;
	uint32_t count;
	struct request *requests[VERIFY_TASKS_MAX];
	struct verify_task tasks[VERIFY_TASKS_MAX];
	struct task task;
	mono_t since; /* the first of them came */
};

struct receive {
	struct receive_config config;
	const struct flow *flow;
	uint32_t flow_number; /* counts the flows: an address may be used again */
	struct loop *loop;
	struct pool connections;
	struct pool requests;
	struct pool large_buffers;
	struct list idle_connections; /* the longest idle first; all CONNECTION_IDLE */
	struct list busy_connections;
	struct pool parked;
	struct list parked_sockets; /* in the order they came */
	struct timer parked_timer;
	struct task admission_task;
	uint32_t admission_turns;   /* it has looked at, without a decision */
	mono_t admission_since;     /* the first of them */
	bool starved;               /* of descriptors */
	uint32_t parked_count;      /* in parked_sockets */
	uint32_t evicting_count;    /* connections closed to make room that are not yet gone */
	uint32_t serving_count;     /* connections neither that nor told to come again */
	struct listener *listeners; /* config.listeners_max of them */
	uint32_t listeners_open;    /* with a socket, however long */
	struct timer leaving_timer;
	bool draining;
	mono_t drain_since;
	struct timer drain_timer;
	bool accept_paused;
	struct gathering gathering;
	struct http_request http; /* see request_http() */
	const struct request *http_of;
	mono_t replay_full_told; /* when the log was last told; 0: never */
	uint64_t date_s;         /* the second that `date` is the text of */
	char date[HTTP_DATE_SIZE];
	uint8_t discard[4096];                   /* scratch: of requests that get no slot */
	uint8_t url[HTTP_TARGET_SIZE_MAX + 512]; /* scratch: the URL a provider signed */
};

/* ---- receive_listener.c ---------------------------------------------------------------------- */
void listeners_open(struct receive *receive);
void listeners_close(struct receive *receive);
/* All of them leave. */
void listeners_leave(struct receive *receive);
/* Accept, or not for now. */
void listeners_pause(struct receive *receive, bool pause);
/* One that was parked is not any more. */
void listener_unpark(struct listener *listener);

/* ---- receive_admission.c --------------------------------------------------------------------- */
void admission_open(struct receive *receive);
/* No descriptor is left for the next one: the longest idle connections leave for it. */
void admission_starved(struct receive *receive);
/* A socket was accepted: it becomes a connection now, or, when they run short, at the end of a turn
 * in which there is one. */
void admission_offer(struct listener *listener, struct io_socket *socket);
/* A connection has become free. */
void admission_update(struct receive *receive);
/* Nobody waits any more; whoever did is closed. */
void admission_abort(struct receive *receive);
void admission_close(struct receive *receive);

/* ---- receive_connection.c -------------------------------------------------------------------- */
/* Takes the socket over; not when all connections are taken (pool `connections`). `shed`: only to
 * be told to come back. */
void connection_open(struct listener *listener, struct io_socket *socket, bool shed);
/* The next one is to be told so, unless another makes room. */
bool connections_nearly_full(const struct receive *receive);
/* Closes the connection that has been idle for the longest, to make room. False when none has
 * been for RECEIVE_EVICT_IDLE_MS. */
bool connection_evict(struct receive *receive);
/* Reads what is there and goes on with it as far as possible. */
void connection_run(struct connection *connection);
void connection_close(struct connection *connection);
/* The same after an answer in the middle of a request, so that the client gets to see it. */
void connection_linger(struct connection *connection);
void connection_abort(struct connection *connection);
/* From now on the connection has this long for what it is doing. */
void connection_limit(struct connection *connection, uint64_t limit_ms);
/* After an answer was written: next request, or close. */
void connection_next(struct connection *connection, bool keep_alive);

/* ---- receive_request.c ----------------------------------------------------------------------- */
/* NULL when the pool is empty. */
struct request *request_take(struct receive *receive, struct connection *connection);
void request_give(struct request *request);
/* The parsed head, from the request's bytes: of the request that was asked for last, there is no
 * other. After the head was complete. */
const struct http_request *request_http(struct request *request);

/* How much may be read now: what this request is known to need, or a bounded look-ahead. */
size_t request_room(const struct request *request);

enum request_progress {
	REQUEST_MORE,     /* more bytes are needed */
	REQUEST_COMPLETE, /* head and body are there */
	REQUEST_ANSWERED, /* refused; the answer was written and the connection closes */
};
/* Goes on with the bytes in the buffer. */
enum request_progress request_parse(struct request *request);
/* NULL: nobody's. Only once there is a head. */
const struct flow_endpoint *request_endpoint(struct request *request);
struct bytes request_body(const struct request *request);

/* ---- receive_event.c ------------------------------------------------------------------------- */
/* Verifies and appends, or answers. */
void event_receive(struct request *request);
/* Goes on with a request that was gathered; its client may have gone. */
void event_judge(struct request *request, const struct verify_outcome *outcome);

/* ---- receive_gather.c ------------------------------------------------------------------------ */
void gather_open(struct receive *receive);
void gather_close(struct receive *receive);
/* Where verify_begin() may write, if the request can wait then; NULL: it can not. */
struct verify_task *gather_task(struct receive *receive, const struct request *request);
/* It waits, with that task; event_judge() follows, perhaps before this returns. */
void gather_add(struct request *request);
/* Nobody waits any longer. */
void gather_finish(struct receive *receive);

/* ---- receive_tap.c --------------------------------------------------------------------------- */
/* Only while tap_is_open(). */
void tap_accepted(const struct request *request);
void tap_duplicate(struct request *request, const struct event *original);
/* `request` NULL: the connection never got one. `reason` is a literal. */
void tap_refused(struct receive *receive, struct request *request, unsigned status,
	const char *reason);

/* ---- receive_answer.c ------------------------------------------------------------------------ */
/* The largest answer: a problem document with all its texts is under 700 bytes. */
enum { ANSWER_SIZE_MAX = 1536 };

/* What an authentic or refused event is answered with: status, code, sentence, whether the
 * client is told to come back. */
#define ANSWER_TABLE(X) \
	X(UNROUTED,  404, "no_endpoint",          "no endpoint has this host and path", false) \
	X(METHOD,    405, "method_not_allowed",   "events are sent with POST", false) \
	X(SIGNATURE, 401, "signature",            "the request is not authentic", false) \
	X(SLOW,      408, "body_too_slow",        "the body comes too slowly", false) \
	X(CONFLICT,  409, "id_reused",            "this id was used before with another body", false) \
	X(PENDING,   503, "event_in_flight",      "the same event is being stored right now", true) \
	X(REPLAY,    503, "replay_memory_full",   "the replay memory is full", true) \
	X(OVERLOAD,  503, "overloaded",           "too many requests are under way", true) \
	X(SPACE,     503, "store_full",           "the store has no room", true) \
	X(DISK,      503, "store_failed",         "the store cannot write", true)
enum answer {
#define X(name, status, code, text, again) ANSWER_##name,
	ANSWER_TABLE(X)
#undef X
	ANSWER_COUNT
};

/* All of these write the answer and then go on with the connection: the request is given
 * back, so it must not be touched afterwards. */
void answer_problem(struct request *request, enum answer answer, const char *detail_code,
	const char *detail);
void answer_fault(struct request *request, enum http_fault fault);
void answer_accepted(struct request *request, const struct event *event, bool duplicate);
/* For a connection that could not even get a request; closes. */
void answer_overload(struct connection *connection);
/* Does not answer, but lets the client go on. When there is no room it is for connection_run() to
 * come here again; the body's time limit ends the wait. */
void answer_continue(struct request *request);

/* ---- receive_trace.c ------------------------------------------------------------------------- */
/* Only where there are traces. Notes the request's trace, and writes what the target is to be told
 * of it: as the first of the event's lines. */
void request_trace_begin(struct request *request, const struct flow_endpoint *endpoint,
	struct writer *lines);
/* Its answer is decided: the span is done. */
void request_trace_end(struct request *request, uint16_t status);

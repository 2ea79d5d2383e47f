/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream — a byte stream over an io socket, plain or TLS: the same verbs for both. Used by
 * receive (server side), deliver and bench (client side).
 *
 * Output is collected in one buffer while another is being sent: whatever was written during
 * a turn leaves in one send. Output buffers come from a pool and are held only while there is
 * something in them; an idle stream holds none. Input stays in the ring's buffers until it
 * is read; beyond IO_BUFFERS_PER_SOCKET_MAX receiving pauses until the owner has read.
 *
 * One worker thread. All callbacks come from the loop's turn (a completion, or a deferred
 * task), never from inside a stream function.
 */
#pragma once

#include "base/pool.h"
#include "engine/loop.h"
#include "tls/tls.h"

/* A full TLS record (16 KiB and its overhead) and small change. */
enum { STREAM_OUTPUT_SIZE = 20480 };

enum stream_end {
	STREAM_END_PEER,      /* the peer closed in an orderly way */
	STREAM_END_TRUNCATED, /* TLS: the peer's end came without close_notify */
	STREAM_END_ERROR,     /* reset, or another errno */
	STREAM_END_TLS,       /* handshake or record failure: see stream_error() */
	STREAM_END_CONNECT,   /* could not connect */
};

struct stream_events {
	/* Connected and, with TLS, handshake done. Not called for plain accepted streams. */
	void (*opened)(void *owner);
	/* There is something to read, or there was when it was noticed. Level-triggered within
	 * reason: called again when more came; an owner that leaves bytes unread calls
	 * stream_read() later by itself. */
	void (*readable)(void *owner);
	/* Everything written has left, after a stream_write() that was cut short or after
	 * stream_notify_drained(). */
	void (*drained)(void *owner);
	/* No more input (unread input can still be read), or the stream failed. The owner calls
	 * stream_close() sooner or later. */
	void (*ended)(void *owner, enum stream_end end);
	/* After stream_close(): nothing of the stream is in use any more. */
	void (*closed)(void *owner);
};

/* Per worker. */
struct streams {
	struct loop *loop;
	struct pool outputs;
};
void streams_open(struct streams *streams, struct loop *loop, uint32_t stream_count_max);
void streams_close(struct streams *streams);

struct stream_output;

/* Private, but for `tls`, of which tls_conn_peer() and tls_conn_session_take() may be asked. */
struct stream {
	struct streams *streams;
	struct io_socket *socket;
	struct tls_conn *tls; /* NULL for a plain stream */
	const struct stream_events *events;
	void *owner;
	struct io_buffer *input_first;
	struct io_buffer *input_last;
	struct stream_output *filling;
	struct stream_output *sending;
	struct task flush;
	uint32_t input_count;
	uint32_t flags;
	int error; /* errno, when there was one */
	enum stream_end end;
	struct tls_transport transport;
	struct tls_conn tls_conn;
};

/* Takes over an accepted socket and starts receiving. `context` NULL: plain. On a result other
 * than OK the socket was closed and no callback comes. The content of `stream` does not matter
 * before; it must stay where it is until closed(). */
MUST_USE enum result stream_accept(struct stream *stream, struct streams *streams,
	struct io_socket *socket, struct tls_context *context, const struct stream_events *events,
	void *owner);
/* Starts connecting; opened() or ended(STREAM_END_CONNECT …) comes later. `host_name` is
 * what the certificate must be for; it is copied by the TLS library. */
MUST_USE enum result stream_connect(struct stream *stream, struct streams *streams,
	const struct io_address *address, struct tls_context *context, const char *host_name,
	const struct tls_session *session, const struct stream_events *events, void *owner);

/* How many bytes were read; 0 when nothing is there (then readable() or ended() comes). */
size_t stream_read(struct stream *stream, uint8_t *to, size_t size);
/* Whether stream_read() may find something, be it the end: asking is cheaper than reading in vain.
 * When it says no, readable() or ended() comes. */
bool stream_has_input(const struct stream *stream);
/* How many bytes were taken; fewer than `size` when the buffers are full: go on in drained().
 * It leaves at the end of this turn. Nothing is taken once the stream has failed. Not before
 * opened(). */
size_t stream_write(struct stream *stream, const uint8_t *from, size_t size);
/* Whether a stream_write() of that size would be taken whole. */
bool stream_has_room(struct stream *stream, size_t size);
/* Asks for one drained() even though nothing was cut short. */
void stream_notify_drained(struct stream *stream);
bool stream_handshaking(const struct stream *stream);

/* Sends what is pending (and close_notify), then closes; does not wait for the peer for longer
 * than the kernel's own buffers. `abort` drops pending output and resets, also while a close
 * waits for a peer that does not read. closed() comes, once. */
void stream_close(struct stream *stream);
void stream_abort(struct stream *stream);
/* As stream_close() for a peer that is still sending: a close with input unread is a reset, and
 * may cost it our last words. So it sees our end, and what it sends is thrown away until it ends,
 * too. How long that may take is for the owner, who then calls stream_abort(). */
void stream_linger(struct stream *stream);

/* It ended other than by the peer's orderly close: writes are dropped. */
bool stream_failed(const struct stream *stream);

/* A sentence about why it ended, never NULL. */
const char *stream_error(const struct stream *stream);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream — see stream.h. From io's callbacks to the owner's, plain or through TLS.
 *
 *   life:    (connecting) → (handshaking) → open → closing → closed
 *   output:  filling → sending → back to the pool. The flush task, once per turn, starts the
 *            send; sent() starts the next one.
 *   input:   a chain of the ring's buffers, given back as soon as they are used up. TLS takes
 *            from it through transport_take().
 *
 * The owner may close from any callback. So nothing of the stream is looked at after a callback
 * but its flags; the memory stays valid until closed().
 */
#include "tls/stream.h"

#include "base/check.h"
#include "tls/stream_internal.h"

enum {
	/* What application data leaves free for alerts, key updates and tickets. */
	CONTROL_RESERVE = 1024,
	/* Rather wait for an empty buffer than send records smaller than this. */
	RECORD_SIZE_MIN = 1024,
};
BOUND(STREAM_OUTPUT_SIZE >= TLS_RECORD_SIZE_MAX + TLS_RECORD_OVERHEAD + CONTROL_RESERVE);

static void close_socket(struct stream *stream)
{
	if (stream_has(stream, STREAM_SOCKET_CLOSING)) return;
	stream_set(stream, STREAM_SOCKET_CLOSING);
	stream_output_give(stream, &stream->filling);
	io_socket_close(stream_io(stream), stream->socket);
}

/* Closing, and all output has left. */
static void close_or_linger(struct stream *stream)
{
	if (!stream_has(stream, STREAM_LINGERING) || stream_has(stream, STREAM_INPUT_OVER)) {
		close_socket(stream);
	} else if (!stream_has(stream, STREAM_SHUT)) {
		stream_set(stream, STREAM_SHUT);
		io_shutdown(stream_io(stream), stream->socket);
	}
}

/* ---- TLS's view ------------------------------------------------------------------------------ */

static size_t transport_take(void *owner, uint8_t *to, size_t size)
{
	return stream_input_take(owner, to, size);
}

static bool transport_ready(void *owner)
{
	const struct stream *stream = owner;
	return stream->input_first != NULL;
}

static size_t transport_put(void *owner, const uint8_t *from, size_t size)
{
	struct stream *stream = owner;
	size_t room = stream_output_room(stream, size);
	size_t piece = size < room ? size : room;

	if (piece < size) stream_set(stream, STREAM_OUTPUT_BLOCKED);
	stream_output_append(stream, from, piece);
	return piece;
}

static uint8_t *transport_look(void *owner, size_t *ret_size)
{
	return stream_input_look(owner, ret_size);
}

static void transport_drop(void *owner, size_t size)
{
	stream_input_drop(owner, size);
}

static uint8_t *transport_room(void *owner, size_t size)
{
	return stream_output_reserve(owner, size);
}

static void transport_fill(void *owner, size_t size)
{
	stream_output_fill(owner, size);
}

static const struct tls_transport_calls transport_calls = {
	.take = transport_take,
	.ready = transport_ready,
	.put = transport_put,
	.look = transport_look,
	.drop = transport_drop,
	.room = transport_room,
	.fill = transport_fill,
};

/* ---- Telling the owner ----------------------------------------------------------------------- */

static void tell_end(struct stream *stream, enum stream_end end)
{
	if (stream_has(stream, STREAM_ENDED) || stream_has(stream, STREAM_CLOSING)) return;
	stream_set(stream, STREAM_ENDED);
	stream->end = end;
	stream->events->ended(stream->owner, end);
}

/* The same, from inside a function the owner has called. */
static void tell_end_later(struct stream *stream, enum stream_end end)
{
	if (stream_has(stream, STREAM_ENDED) || stream_has(stream, STREAM_END_PENDING)) return;
	stream_set(stream, STREAM_END_PENDING);
	stream->end = end;
	stream_flush_later(stream);
}

static void tell_readable(struct stream *stream)
{
	if (!stream_has(stream, STREAM_CLOSING) && !stream_has(stream, STREAM_FAILED))
		stream->events->readable(stream->owner);
}

static void handshake(struct stream *stream)
{
	stream_clear(stream, STREAM_OUTPUT_BLOCKED);
	enum tls_status status = tls_handshake(stream->tls);
	stream_input_resume(stream);

	if (status == TLS_OK) {
		stream_clear(stream, STREAM_HANDSHAKING);
		stream->events->opened(stream->owner);
		/* A client's first request often comes together with the end of its handshake. */
		if (stream->input_first != NULL) tell_readable(stream);
	} else if (status == TLS_FAILED) {
		stream_set(stream, STREAM_FAILED);
		tell_end(stream, STREAM_END_TLS);
	}
}

/* Output has left, or there was none. */
static void after_output(struct stream *stream)
{
	bool blocked = stream_has(stream, STREAM_OUTPUT_BLOCKED);

	stream_clear(stream, STREAM_OUTPUT_BLOCKED);
	if (stream_has(stream, STREAM_CLOSING)) {
		if (stream_output_empty(stream)) close_or_linger(stream);
		return;
	}
	if (blocked && stream_has(stream, STREAM_HANDSHAKING)) handshake(stream);
	if (blocked && !stream_has(stream, STREAM_HANDSHAKING)) tell_readable(stream);
	if (stream_has(stream, STREAM_CLOSING) || stream_has(stream, STREAM_FAILED)) return;
	if (stream_has(stream, STREAM_NOTIFY) && stream_output_empty(stream)) {
		stream_clear(stream, STREAM_NOTIFY);
		stream->events->drained(stream->owner);
	}
}

/* The task at the end of a turn. */
static void stream_flush(void *owner)
{
	struct stream *stream = owner;

	if (stream_has(stream, STREAM_SOCKET_CLOSING)) return;
	stream_output_send(stream);
	if (stream_has(stream, STREAM_END_PENDING)) {
		stream_clear(stream, STREAM_END_PENDING);
		tell_end(stream, stream->end);
	}
	if (stream_output_empty(stream) && !stream_has(stream, STREAM_CONNECTING))
		after_output(stream);
}

/* ---- io's callbacks -------------------------------------------------------------------------- */

static void on_connected(void *owner, int error)
{
	struct stream *stream = owner;

	stream_clear(stream, STREAM_CONNECTING);
	if (error != 0) {
		stream->error = error;
		stream_set(stream, STREAM_FAILED);
		tell_end(stream, STREAM_END_CONNECT);
		return;
	}
	io_receive_start(stream_io(stream), stream->socket);
	if (stream->tls != NULL) {
		handshake(stream);
	} else {
		stream->events->opened(stream->owner);
	}
}

static void on_received(void *owner, struct io_buffer *buffer)
{
	struct stream *stream = owner;

	if (stream_has(stream, STREAM_CLOSING) || stream_has(stream, STREAM_FAILED)) {
		/* Read and thrown away: were it left in the kernel, the close would become a reset,
		 * and the peer might lose our last words. */
		io_buffer_return(stream_io(stream), buffer);
		return;
	}
	stream_input_append(stream, buffer);
	if (stream_has(stream, STREAM_HANDSHAKING)) {
		handshake(stream);
	} else {
		tell_readable(stream);
	}
}

static void on_ended(void *owner, int error)
{
	struct stream *stream = owner;

	stream_set(stream, STREAM_INPUT_OVER);
	if (stream_has(stream, STREAM_CLOSING)) {
		/* A peer that has reset takes nothing any more; sent() will not always say so. */
		if (error != 0 || stream_has(stream, STREAM_SHUT)) close_socket(stream);
		return;
	}
	if (error != 0) {
		stream->error = error;
		stream_set(stream, STREAM_FAILED);
		tell_end(stream, STREAM_END_ERROR);
	} else if (stream_has(stream, STREAM_HANDSHAKING)) {
		stream_set(stream, STREAM_FAILED);
		tell_end(stream, STREAM_END_TRUNCATED);
	} else if (stream->tls == NULL) {
		tell_end(stream, STREAM_END_PEER);
	} else if (stream->input_first == NULL && !stream_has(stream, STREAM_END_PENDING)) {
		tell_end(stream, STREAM_END_TRUNCATED);
	}
	/* Else close_notify may be in what the owner has not read yet: stream_read() will tell. */
}

static void on_sent(void *owner, int error)
{
	struct stream *stream = owner;

	stream_output_give(stream, &stream->sending);
	if (error != 0) {
		stream_output_give(stream, &stream->filling);
		stream->error = error;
		stream_set(stream, STREAM_FAILED);
		if (stream_has(stream, STREAM_CLOSING)) {
			close_socket(stream);
		} else {
			tell_end(stream, STREAM_END_ERROR);
		}
		return;
	}
	stream_output_send(stream);
	after_output(stream);
}

static void on_closed(void *owner)
{
	struct stream *stream = owner;

	stream->socket = NULL;
	task_cancel(&stream->flush);
	stream_input_drop_all(stream);
	stream_output_give(stream, &stream->sending);
	stream_output_give(stream, &stream->filling);
	if (stream->tls != NULL) tls_conn_close(stream->tls);
	stream->tls = NULL;
	stream->events->closed(stream->owner);
}

static const struct io_events io_events = {
	.connected = on_connected,
	.received = on_received,
	.ended = on_ended,
	.sent = on_sent,
	.closed = on_closed,
};

/* ---- Opening --------------------------------------------------------------------------------- */

static void stream_init(struct stream *stream, struct streams *streams,
	const struct stream_events *events, void *owner)
{
	*stream = (struct stream){
		.streams = streams,
		.events = events,
		.owner = owner,
		.transport = { .calls = &transport_calls, .owner = stream },
	};
	task_init(&stream->flush, stream_flush, stream);
}

enum result stream_accept(struct stream *stream, struct streams *streams, struct io_socket *socket,
	struct tls_context *context, const struct stream_events *events, void *owner)
{
	stream_init(stream, streams, events, owner);
	if (context != NULL) {
		enum result result =
			tls_conn_open_server(&stream->tls_conn, context, &stream->transport);
		if (result != RESULT_OK) {
			/* Not adopted yet, so nobody hears of its end. */
			io_socket_close(streams->loop->io, socket);
			return result;
		}
		stream->tls = &stream->tls_conn;
		stream_set(stream, STREAM_HANDSHAKING);
	}
	stream->socket = socket;
	io_socket_adopt(socket, &io_events, stream);
	io_receive_start(streams->loop->io, socket);
	return RESULT_OK;
}

enum result stream_connect(struct stream *stream, struct streams *streams,
	const struct io_address *address, struct tls_context *context, const char *host_name,
	const struct tls_session *session, const struct stream_events *events, void *owner)
{
	stream_init(stream, streams, events, owner);
	stream_set(stream, STREAM_CONNECTING);
	if (context != NULL) {
		TRY(tls_conn_open_client(&stream->tls_conn, context, host_name, session,
			&stream->transport));
		stream->tls = &stream->tls_conn;
		stream_set(stream, STREAM_HANDSHAKING);
	}
	enum result result =
		io_connect(streams->loop->io, address, &io_events, stream, &stream->socket);
	if (result != RESULT_OK && stream->tls != NULL) {
		tls_conn_close(stream->tls);
		stream->tls = NULL;
	}
	return result;
}

bool stream_failed(const struct stream *stream)
{
	return stream_has(stream, STREAM_FAILED);
}

bool stream_handshaking(const struct stream *stream)
{
	return stream_has(stream, STREAM_HANDSHAKING);
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static size_t read_tls(struct stream *stream, uint8_t *to, size_t size)
{
	size_t done = 0;

	/* Reading may have to answer (key updates). A peer that asks and does not read the
	 * answers is not read from, until it does. */
	if (stream_output_room(stream, CONTROL_RESERVE) < CONTROL_RESERVE / 2) {
		stream_set(stream, STREAM_OUTPUT_BLOCKED);
		return 0;
	}
	switch (tls_read(stream->tls, to, size, &done)) {
	case TLS_OK: break;
	case TLS_MORE:
		if (stream_has(stream, STREAM_INPUT_OVER) && stream->input_first == NULL) {
			tell_end_later(stream, STREAM_END_TRUNCATED);
		}
		break;
	case TLS_CLOSED: tell_end_later(stream, STREAM_END_PEER); break;
	case TLS_FAILED:
		stream_set(stream, STREAM_FAILED);
		tell_end_later(stream, STREAM_END_TLS);
		break;
	}
	return done;
}

bool stream_has_input(const struct stream *stream)
{
	if (stream->input_first != NULL) return true;
	if (stream->tls == NULL) return false;
	/* That the peer ended without close_notify is found out by reading. */
	bool end_untold = stream_has(stream, STREAM_INPUT_OVER) &&
		!stream_has(stream, STREAM_ENDED);
	return end_untold || tls_has_plaintext(stream->tls);
}

size_t stream_read(struct stream *stream, uint8_t *to, size_t size)
{
	CHECK(!stream_has(stream, STREAM_CLOSING));
	if (size == 0 || stream_has(stream, STREAM_FAILED) ||
		stream_has(stream, STREAM_HANDSHAKING))
		return 0;

	size_t done = stream->tls == NULL ? stream_input_take(stream, to, size)
					  : read_tls(stream, to, size);
	stream_input_resume(stream);
	return done;
}

static size_t write_plain(struct stream *stream, const uint8_t *from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t room = stream_output_room(stream, 1);
		if (room == 0) break;
		size_t piece = size - done < room ? size - done : room;
		stream_output_append(stream, from + done, piece);
		done += piece;
	}
	return done;
}

/* Only records that fit are made, as large as they can be. */
static size_t write_tls(struct stream *stream, const uint8_t *from, size_t size)
{
	const size_t kept = TLS_RECORD_OVERHEAD + CONTROL_RESERVE;
	size_t done = 0;

	while (done < size) {
		size_t left = size - done;
		size_t enough = left < RECORD_SIZE_MIN ? left : RECORD_SIZE_MIN;
		size_t room = stream_output_room(stream, enough + kept);
		if (room < enough + kept) break;
		size_t piece = left < room - kept ? left : room - kept;
		if (piece > TLS_RECORD_SIZE_MAX) piece = TLS_RECORD_SIZE_MAX;
		size_t taken;
		enum tls_status status = tls_write(stream->tls, from + done, piece, &taken);
		stream_output_release(stream);
		if (status != TLS_OK) {
			stream_set(stream, STREAM_FAILED);
			tell_end_later(stream, STREAM_END_TLS);
			break;
		}
		CHECK(taken == piece);
		done += piece;
	}
	return done;
}

size_t stream_write(struct stream *stream, const uint8_t *from, size_t size)
{
	CHECK(!stream_has(stream, STREAM_CLOSING) && !stream_has(stream, STREAM_CONNECTING) &&
		!stream_has(stream, STREAM_HANDSHAKING));
	if (stream_has(stream, STREAM_FAILED)) return 0;

	size_t done = stream->tls == NULL ? write_plain(stream, from, size)
					  : write_tls(stream, from, size);
	if (done < size) stream_set(stream, STREAM_NOTIFY);
	return done;
}

bool stream_has_room(struct stream *stream, size_t size)
{
	const size_t wanted = size + TLS_RECORD_OVERHEAD + CONTROL_RESERVE;
	return stream_output_room(stream, wanted) >= wanted;
}

void stream_notify_drained(struct stream *stream)
{
	stream_set(stream, STREAM_NOTIFY);
	stream_flush_later(stream);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

void stream_close(struct stream *stream)
{
	CHECK(!stream_has(stream, STREAM_CLOSING));
	stream_set(stream, STREAM_CLOSING);
	stream_input_drop_all(stream);
	if (stream_has(stream, STREAM_CONNECTING)) {
		close_socket(stream);
		return;
	}
	if (stream->tls != NULL && !stream_has(stream, STREAM_FAILED)) tls_shutdown(stream->tls);
	/* A failed stream has an alert to send at most; one with an errno has nobody to send to. */
	if (stream->error != 0) {
		close_socket(stream);
		return;
	}
	stream_input_resume(stream);
	if (stream_output_empty(stream)) {
		close_or_linger(stream);
	} else {
		stream_flush_later(stream);
	}
}

void stream_linger(struct stream *stream)
{
	stream_set(stream, STREAM_LINGERING);
	stream_close(stream);
}

void stream_abort(struct stream *stream)
{
	if (stream_has(stream, STREAM_SOCKET_CLOSING)) return;
	stream_set(stream, STREAM_CLOSING);
	stream_set(stream, STREAM_SOCKET_CLOSING);
	stream_input_drop_all(stream);
	stream_output_give(stream, &stream->filling);
	io_socket_abort(stream_io(stream), stream->socket);
}

const char *stream_error(const struct stream *stream)
{
	if (stream->error != 0) {
		const char *text = strerrordesc_np(stream->error);
		return text != NULL ? text : "an unknown error of the kernel";
	}
	if (stream->tls != NULL && stream->end == STREAM_END_TLS) return tls_error(stream->tls);
	if (stream_has(stream, STREAM_HANDSHAKING))
		return "the peer closed the connection during the handshake";
	if (stream->end == STREAM_END_TRUNCATED) {
		return "the peer closed the connection without saying so in TLS (close_notify)";
	}
	return "the peer closed the connection";
}

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

#include <string.h>

#include "base/check.h"

enum stream_flag {
	CONNECTING = 1 << 0,
	HANDSHAKING = 1 << 1,
	PAUSED = 1 << 2,         /* receiving */
	INPUT_OVER = 1 << 3,     /* io has said so; the chain may still hold bytes */
	OUTPUT_BLOCKED = 1 << 4, /* TLS could not put something: go on when output has left */
	NOTIFY = 1 << 5,         /* the owner waits for drained() */
	END_PENDING = 1 << 6,    /* ended() is due, from the flush task */
	ENDED = 1 << 7,          /* ended() was called */
	FAILED = 1 << 8,         /* no more reading and writing */
	CLOSING = 1 << 9,        /* the owner has closed; pending output may still have to leave */
	SOCKET_CLOSING = 1 << 10,
};

enum {
	/* Of a record: header, explicit nonce, content type and tag are 30 bytes at most. */
	RECORD_OVERHEAD = 64,
	RECORD_SIZE_MAX = 16384,
	/* What application data leaves free for alerts, key updates and tickets. */
	CONTROL_RESERVE = 1024,
	/* Rather wait for an empty buffer than send records smaller than this. */
	RECORD_SIZE_MIN = 1024,
};
BOUND(STREAM_OUTPUT_SIZE >= RECORD_SIZE_MAX + RECORD_OVERHEAD + CONTROL_RESERVE);

struct stream_output {
	size_t size;
	uint8_t data[STREAM_OUTPUT_SIZE];
};

void streams_open(struct streams *streams, struct loop *loop, uint32_t stream_count_max)
{
	*streams = (struct streams){ .loop = loop };
	/* Two for each, so that there is always one. Untouched pages cost nothing. */
	pool_init(&streams->outputs, sizeof(struct stream_output), (size_t)stream_count_max * 2);
}

void streams_close(struct streams *streams)
{
	pool_done(&streams->outputs);
}

static bool has(const struct stream *stream, enum stream_flag flag)
{
	return (stream->flags & (uint32_t)flag) != 0;
}

static void set(struct stream *stream, enum stream_flag flag)
{
	stream->flags |= (uint32_t)flag;
}

static void clear(struct stream *stream, enum stream_flag flag)
{
	stream->flags &= ~(uint32_t)flag;
}

static struct io *io_of(const struct stream *stream)
{
	return stream->streams->loop->io;
}

/* ---- Input ------------------------------------------------------------------------------------- */

static void input_append(struct stream *stream, struct io_buffer *buffer)
{
	buffer->next = NULL;
	if (stream->input_first == NULL) {
		stream->input_first = buffer;
	} else {
		stream->input_last->next = buffer;
	}
	stream->input_last = buffer;
	stream->input_count++;
	if (stream->input_count >= IO_BUFFERS_PER_SOCKET_MAX && !has(stream, PAUSED)) {
		set(stream, PAUSED);
		io_receive_pause(io_of(stream), stream->socket);
	}
}

static void input_drop_first(struct stream *stream)
{
	struct io_buffer *buffer = stream->input_first;

	stream->input_first = buffer->next;
	stream->input_count--;
	io_buffer_return(io_of(stream), buffer);
}

static void input_drop_all(struct stream *stream)
{
	while (stream->input_first != NULL) input_drop_first(stream);
}

static size_t input_take(struct stream *stream, uint8_t *to, size_t size)
{
	size_t done = 0;

	while (done < size && stream->input_first != NULL) {
		struct io_buffer *buffer = stream->input_first;
		size_t left = buffer->size - buffer->offset;
		size_t piece = size - done < left ? size - done : left;
		memcpy(to + done, buffer->data + buffer->offset, piece);
		done += piece;
		buffer->offset += (uint32_t)piece;
		if (buffer->offset == buffer->size) input_drop_first(stream);
	}
	return done;
}

static void input_resume(struct stream *stream)
{
	if (!has(stream, PAUSED) || has(stream, INPUT_OVER) || has(stream, SOCKET_CLOSING)) return;
	/* Half, so that a slow reader does not start and stop with every buffer. */
	if (stream->input_count > IO_BUFFERS_PER_SOCKET_MAX / 2) return;
	clear(stream, PAUSED);
	io_receive_start(io_of(stream), stream->socket);
}

/* ---- Output ------------------------------------------------------------------------------------ */

static void flush_later(struct stream *stream)
{
	loop_defer(stream->streams->loop, &stream->flush);
}

static void output_give(struct stream *stream, struct stream_output **output)
{
	if (*output == NULL) return;
	pool_give(&stream->streams->outputs, *output);
	*output = NULL;
}

static void output_send(struct stream *stream)
{
	if (stream->sending != NULL || stream->filling == NULL) return;
	CHECK(stream->filling->size > 0);
	stream->sending = stream->filling;
	stream->filling = NULL;
	io_send(io_of(stream), stream->socket, stream->sending->data, stream->sending->size);
}

/* How much fits; a full buffer is sent off when nothing else is being sent. */
static size_t output_room(struct stream *stream, size_t enough)
{
	if (stream->filling != NULL && STREAM_OUTPUT_SIZE - stream->filling->size < enough) {
		output_send(stream);
	}
	return stream->filling == NULL ? STREAM_OUTPUT_SIZE : STREAM_OUTPUT_SIZE - stream->filling->size;
}

static void output_append(struct stream *stream, const uint8_t *from, size_t size)
{
	if (size == 0) return;
	if (stream->filling == NULL) {
		stream->filling = pool_take(&stream->streams->outputs);
		CHECK(stream->filling != NULL); /* more streams than streams_open() was told */
		stream->filling->size = 0;
	}
	CHECK(size <= STREAM_OUTPUT_SIZE - stream->filling->size);
	memcpy(stream->filling->data + stream->filling->size, from, size);
	stream->filling->size += size;
	flush_later(stream);
}

static bool output_empty(const struct stream *stream)
{
	return stream->filling == NULL && stream->sending == NULL;
}

static void close_socket(struct stream *stream)
{
	if (has(stream, SOCKET_CLOSING)) return;
	set(stream, SOCKET_CLOSING);
	output_give(stream, &stream->filling);
	io_socket_close(io_of(stream), stream->socket);
}

/* ---- TLS's view ----------------------------------------------------------------------------------- */

static size_t transport_take(void *owner, uint8_t *to, size_t size)
{
	return input_take(owner, to, size);
}

static size_t transport_put(void *owner, const uint8_t *from, size_t size)
{
	struct stream *stream = owner;
	size_t room = output_room(stream, size);
	size_t piece = size < room ? size : room;

	if (piece < size) set(stream, OUTPUT_BLOCKED);
	output_append(stream, from, piece);
	return piece;
}

/* ---- Telling the owner ------------------------------------------------------------------------------ */

static void tell_end(struct stream *stream, enum stream_end end)
{
	if (has(stream, ENDED) || has(stream, CLOSING)) return;
	set(stream, ENDED);
	stream->end = end;
	stream->events->ended(stream->owner, end);
}

/* The same, from inside a function the owner has called. */
static void tell_end_later(struct stream *stream, enum stream_end end)
{
	if (has(stream, ENDED) || has(stream, END_PENDING)) return;
	set(stream, END_PENDING);
	stream->end = end;
	flush_later(stream);
}

static void tell_readable(struct stream *stream)
{
	if (!has(stream, CLOSING) && !has(stream, FAILED)) stream->events->readable(stream->owner);
}

static void handshake(struct stream *stream)
{
	clear(stream, OUTPUT_BLOCKED);
	enum tls_status status = tls_handshake(stream->tls);
	input_resume(stream);

	if (status == TLS_OK) {
		clear(stream, HANDSHAKING);
		stream->events->opened(stream->owner);
		/* A client's first request often comes together with the end of its handshake. */
		if (stream->input_first != NULL) tell_readable(stream);
	} else if (status == TLS_FAILED) {
		set(stream, FAILED);
		tell_end(stream, STREAM_END_TLS);
	}
}

/* Output has left, or there was none. */
static void after_output(struct stream *stream)
{
	bool blocked = has(stream, OUTPUT_BLOCKED);

	clear(stream, OUTPUT_BLOCKED);
	if (has(stream, CLOSING)) {
		if (output_empty(stream)) close_socket(stream);
		return;
	}
	if (blocked && has(stream, HANDSHAKING)) handshake(stream);
	if (blocked && !has(stream, HANDSHAKING)) tell_readable(stream);
	if (has(stream, CLOSING) || has(stream, FAILED)) return;
	if (has(stream, NOTIFY) && output_empty(stream)) {
		clear(stream, NOTIFY);
		stream->events->drained(stream->owner);
	}
}

/* The task at the end of a turn. */
static void stream_flush(void *owner)
{
	struct stream *stream = owner;

	if (has(stream, SOCKET_CLOSING)) return;
	output_send(stream);
	if (has(stream, END_PENDING)) {
		clear(stream, END_PENDING);
		tell_end(stream, stream->end);
	}
	if (output_empty(stream) && !has(stream, CONNECTING)) after_output(stream);
}

/* ---- io's callbacks ------------------------------------------------------------------------------------ */

static void on_connected(void *owner, int error)
{
	struct stream *stream = owner;

	clear(stream, CONNECTING);
	if (error != 0) {
		stream->error = error;
		set(stream, FAILED);
		tell_end(stream, STREAM_END_CONNECT);
		return;
	}
	io_receive_start(io_of(stream), stream->socket);
	if (stream->tls != NULL) {
		handshake(stream);
	} else {
		stream->events->opened(stream->owner);
	}
}

static void on_received(void *owner, struct io_buffer *buffer)
{
	struct stream *stream = owner;

	if (has(stream, CLOSING) || has(stream, FAILED)) {
		/* Read and thrown away: were it left in the kernel, the close would become a reset,
		 * and the peer might lose our last words. */
		io_buffer_return(io_of(stream), buffer);
		return;
	}
	input_append(stream, buffer);
	if (has(stream, HANDSHAKING)) {
		handshake(stream);
	} else {
		tell_readable(stream);
	}
}

static void on_ended(void *owner, int error)
{
	struct stream *stream = owner;

	set(stream, INPUT_OVER);
	if (has(stream, CLOSING)) {
		/* A peer that has reset takes nothing any more; sent() will not always say so. */
		if (error != 0) close_socket(stream);
		return;
	}
	if (error != 0) {
		stream->error = error;
		set(stream, FAILED);
		tell_end(stream, STREAM_END_ERROR);
	} else if (has(stream, HANDSHAKING)) {
		set(stream, FAILED);
		tell_end(stream, STREAM_END_TRUNCATED);
	} else if (stream->tls == NULL) {
		tell_end(stream, STREAM_END_PEER);
	} else if (stream->input_first == NULL && !has(stream, END_PENDING)) {
		tell_end(stream, STREAM_END_TRUNCATED);
	}
	/* Else close_notify may be in what the owner has not read yet: stream_read() will tell. */
}

static void on_sent(void *owner, int error)
{
	struct stream *stream = owner;

	output_give(stream, &stream->sending);
	if (error != 0) {
		output_give(stream, &stream->filling);
		stream->error = error;
		set(stream, FAILED);
		if (has(stream, CLOSING)) {
			close_socket(stream);
		} else {
			tell_end(stream, STREAM_END_ERROR);
		}
		return;
	}
	output_send(stream);
	after_output(stream);
}

static void on_closed(void *owner)
{
	struct stream *stream = owner;

	stream->socket = NULL;
	task_cancel(&stream->flush);
	input_drop_all(stream);
	output_give(stream, &stream->sending);
	output_give(stream, &stream->filling);
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

/* ---- Opening ------------------------------------------------------------------------------------------- */

static void stream_init(struct stream *stream, struct streams *streams,
	const struct stream_events *events, void *owner)
{
	*stream = (struct stream){
		.streams = streams,
		.events = events,
		.owner = owner,
		.transport = { .take = transport_take, .put = transport_put, .owner = stream },
	};
	task_init(&stream->flush, stream_flush, stream);
}

enum result stream_accept(struct stream *stream, struct streams *streams,
	struct io_socket *socket, struct tls_context *context, const struct stream_events *events,
	void *owner)
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
		set(stream, HANDSHAKING);
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
	set(stream, CONNECTING);
	if (context != NULL) {
		TRY(tls_conn_open_client(&stream->tls_conn, context, host_name, session,
			&stream->transport));
		stream->tls = &stream->tls_conn;
		set(stream, HANDSHAKING);
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
	return has(stream, FAILED);
}

bool stream_handshaking(const struct stream *stream)
{
	return has(stream, HANDSHAKING);
}

/* ---- Reading and writing ------------------------------------------------------------------------------- */

static size_t read_tls(struct stream *stream, uint8_t *to, size_t size)
{
	size_t done = 0;

	/* Reading may have to answer (key updates). A peer that asks and does not read the
	 * answers is not read from, until it does. */
	if (output_room(stream, CONTROL_RESERVE) < CONTROL_RESERVE / 2) {
		set(stream, OUTPUT_BLOCKED);
		return 0;
	}
	switch (tls_read(stream->tls, to, size, &done)) {
	case TLS_OK:
		break;
	case TLS_MORE:
		if (has(stream, INPUT_OVER) && stream->input_first == NULL) {
			tell_end_later(stream, STREAM_END_TRUNCATED);
		}
		break;
	case TLS_CLOSED:
		tell_end_later(stream, STREAM_END_PEER);
		break;
	case TLS_FAILED:
		set(stream, FAILED);
		tell_end_later(stream, STREAM_END_TLS);
		break;
	}
	return done;
}

size_t stream_read(struct stream *stream, uint8_t *to, size_t size)
{
	CHECK(!has(stream, CLOSING));
	if (size == 0 || has(stream, FAILED) || has(stream, HANDSHAKING)) return 0;

	size_t done = stream->tls == NULL ? input_take(stream, to, size) : read_tls(stream, to, size);
	input_resume(stream);
	return done;
}

static size_t write_plain(struct stream *stream, const uint8_t *from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t room = output_room(stream, 1);
		if (room == 0) break;
		size_t piece = size - done < room ? size - done : room;
		output_append(stream, from + done, piece);
		done += piece;
	}
	return done;
}

/* Only records that fit are made, so nothing waits inside wolfSSL. */
static size_t write_tls(struct stream *stream, const uint8_t *from, size_t size)
{
	const size_t kept = RECORD_OVERHEAD + CONTROL_RESERVE;
	size_t done = 0;

	while (done < size) {
		size_t left = size - done;
		size_t enough = left < RECORD_SIZE_MIN ? left : RECORD_SIZE_MIN;
		size_t room = output_room(stream, enough + kept);
		if (room < enough + kept) break;
		size_t piece = left < room - kept ? left : room - kept;
		if (piece > RECORD_SIZE_MAX) piece = RECORD_SIZE_MAX;
		size_t taken;
		if (tls_write(stream->tls, from + done, piece, &taken) != TLS_OK) {
			set(stream, FAILED);
			tell_end_later(stream, STREAM_END_TLS);
			break;
		}
		CHECK(taken == piece && stream->tls->write_pending == 0);
		done += piece;
	}
	return done;
}

size_t stream_write(struct stream *stream, const uint8_t *from, size_t size)
{
	CHECK(!has(stream, CLOSING) && !has(stream, CONNECTING) && !has(stream, HANDSHAKING));
	if (has(stream, FAILED)) return 0;

	size_t done = stream->tls == NULL ? write_plain(stream, from, size)
									  : write_tls(stream, from, size);
	if (done < size) set(stream, NOTIFY);
	return done;
}

void stream_notify_drained(struct stream *stream)
{
	set(stream, NOTIFY);
	flush_later(stream);
}

/* ---- Ending ---------------------------------------------------------------------------------------------- */

void stream_close(struct stream *stream)
{
	CHECK(!has(stream, CLOSING));
	set(stream, CLOSING);
	input_drop_all(stream);
	if (has(stream, CONNECTING)) {
		close_socket(stream);
		return;
	}
	if (stream->tls != NULL && !has(stream, FAILED)) tls_shutdown(stream->tls);
	/* A failed stream has an alert to send at most; one with an errno has nobody to send to. */
	if (stream->error != 0 || output_empty(stream)) {
		close_socket(stream);
		return;
	}
	input_resume(stream);
	flush_later(stream);
}

void stream_abort(struct stream *stream)
{
	if (has(stream, SOCKET_CLOSING)) return;
	set(stream, CLOSING);
	set(stream, SOCKET_CLOSING);
	input_drop_all(stream);
	output_give(stream, &stream->filling);
	io_socket_abort(io_of(stream), stream->socket);
}

const char *stream_error(const struct stream *stream)
{
	if (stream->error != 0) {
		const char *text = strerrordesc_np(stream->error);
		return text != NULL ? text : "an unknown error of the kernel";
	}
	if (stream->tls != NULL && stream->end == STREAM_END_TLS) return tls_error(stream->tls);
	if (has(stream, HANDSHAKING)) return "the peer closed the connection during the handshake";
	if (stream->end == STREAM_END_TRUNCATED) {
		return "the peer closed the connection without saying so in TLS (close_notify)";
	}
	return "the peer closed the connection";
}

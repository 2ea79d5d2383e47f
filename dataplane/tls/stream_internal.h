/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_internal — what stream.c and stream_buffers.c share. */
#pragma once

#include "tls/stream.h"

enum stream_flag {
	STREAM_CONNECTING = 1 << 0,
	STREAM_HANDSHAKING = 1 << 1,
	/* Receiving is. */
	STREAM_PAUSED = 1 << 2,
	/* io has said so; the chain may still hold bytes. */
	STREAM_INPUT_OVER = 1 << 3,
	/* TLS could not put something: go on when output has left. */
	STREAM_OUTPUT_BLOCKED = 1 << 4,
	/* The owner waits for drained(). */
	STREAM_NOTIFY = 1 << 5,
	/* ended() is due, from the flush task. */
	STREAM_END_PENDING = 1 << 6,
	/* ended() was called. */
	STREAM_ENDED = 1 << 7,
	/* No more reading and writing. */
	STREAM_FAILED = 1 << 8,
	/* The owner has closed; pending output may still have to leave. */
	STREAM_CLOSING = 1 << 9,
	STREAM_SOCKET_CLOSING = 1 << 10,
	/* stream_linger(): the peer's end is waited for. */
	STREAM_LINGERING = 1 << 11,
	/* The peer has been shown our end. */
	STREAM_SHUT = 1 << 12,
};

static inline bool stream_has(const struct stream *stream, enum stream_flag flag)
{
	return (stream->flags & (uint32_t)flag) != 0;
}

static inline void stream_set(struct stream *stream, enum stream_flag flag)
{
	stream->flags |= (uint32_t)flag;
}

static inline void stream_clear(struct stream *stream, enum stream_flag flag)
{
	stream->flags &= ~(uint32_t)flag;
}

static inline struct io *stream_io(const struct stream *stream)
{
	return stream->streams->loop->io;
}

/* To the end of the chain; pauses receiving when it is long. */
void stream_input_append(struct stream *stream, struct io_buffer *buffer);
/* How many bytes were there, up to `size`. Used-up buffers go back to the ring. */
size_t stream_input_take(struct stream *stream, uint8_t *to, size_t size);
/* What stream_input_take() would give from the first buffer; NULL when there is none. It may be
 * written over and stays until stream_input_drop(). */
uint8_t *stream_input_look(struct stream *stream, size_t *ret_size);
/* No more than that. */
void stream_input_drop(struct stream *stream, size_t size);
void stream_input_drop_all(struct stream *stream);
/* Goes on receiving when it was paused and the chain has become short. */
void stream_input_resume(struct stream *stream);

/* The flush task runs at the end of this turn. */
void stream_flush_later(struct stream *stream);
/* How much fits now. When that is less than `enough` and nothing is being sent, what is there is
 * sent off first. */
size_t stream_output_room(struct stream *stream, size_t enough);
/* No more than fits. Leaves with the flush task. */
void stream_output_append(struct stream *stream, const uint8_t *from, size_t size);
/* Where stream_output_fill() would add, NULL when so much does not fit. The stream may hold an
 * empty buffer until stream_output_release(), which may be called at any time. */
uint8_t *stream_output_reserve(struct stream *stream, size_t size);
/* So many bytes were written there. Leaves with the flush task. */
void stream_output_fill(struct stream *stream, size_t size);
void stream_output_release(struct stream *stream);
/* Starts sending, if something is there and nothing is being sent. */
void stream_output_send(struct stream *stream);
bool stream_output_empty(const struct stream *stream);
/* Back to the pool, whatever is in it; `output` becomes NULL. */
void stream_output_give(struct stream *stream, struct stream_output **output);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_buffers — the bytes a stream holds: received ones in the ring's buffers, those to be sent
 * in at most two of its worker's output buffers.
 */
#include "tls/stream_internal.h"

#include <string.h>

#include "base/check.h"

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

/* ---- Input ----------------------------------------------------------------------------------- */

void stream_input_append(struct stream *stream, struct io_buffer *buffer)
{
	buffer->next = NULL;
	if (stream->input_first == NULL) {
		stream->input_first = buffer;
	} else {
		stream->input_last->next = buffer;
	}
	stream->input_last = buffer;
	stream->input_count++;
	if (stream->input_count >= IO_BUFFERS_PER_SOCKET_MAX &&
		!stream_has(stream, STREAM_PAUSED)) {
		stream_set(stream, STREAM_PAUSED);
		io_receive_pause(stream_io(stream), stream->socket);
	}
}

static void input_drop_first(struct stream *stream)
{
	struct io_buffer *buffer = stream->input_first;

	stream->input_first = buffer->next;
	stream->input_count--;
	io_buffer_return(stream_io(stream), buffer);
}

void stream_input_drop_all(struct stream *stream)
{
	while (stream->input_first != NULL) input_drop_first(stream);
}

size_t stream_input_take(struct stream *stream, uint8_t *to, size_t size)
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

uint8_t *stream_input_look(struct stream *stream, size_t *ret_size)
{
	struct io_buffer *buffer = stream->input_first;

	if (buffer == NULL) return NULL;
	*ret_size = buffer->size - buffer->offset;
	return buffer->data + buffer->offset;
}

void stream_input_drop(struct stream *stream, size_t size)
{
	struct io_buffer *buffer = stream->input_first;

	CHECK(size <= buffer->size - buffer->offset);
	buffer->offset += (uint32_t)size;
	if (buffer->offset == buffer->size) input_drop_first(stream);
}

void stream_input_resume(struct stream *stream)
{
	if (!stream_has(stream, STREAM_PAUSED) || stream_has(stream, STREAM_INPUT_OVER) ||
		stream_has(stream, STREAM_SOCKET_CLOSING))
		return;
	/* Half, so that a slow reader does not start and stop with every buffer. */
	if (stream->input_count > IO_BUFFERS_PER_SOCKET_MAX / 2) return;
	stream_clear(stream, STREAM_PAUSED);
	io_receive_start(stream_io(stream), stream->socket);
}

/* ---- Output ---------------------------------------------------------------------------------- */

void stream_flush_later(struct stream *stream)
{
	loop_defer(stream->streams->loop, &stream->flush);
}

void stream_output_give(struct stream *stream, struct stream_output **output)
{
	if (*output == NULL) return;
	pool_give(&stream->streams->outputs, *output);
	*output = NULL;
}

void stream_output_send(struct stream *stream)
{
	if (stream->sending != NULL || stream->filling == NULL) return;
	CHECK(stream->filling->size > 0);
	stream->sending = stream->filling;
	stream->filling = NULL;
	io_send(stream_io(stream), stream->socket, stream->sending->data, stream->sending->size);
}

/* How much fits; a full buffer is sent off when nothing else is being sent. */
size_t stream_output_room(struct stream *stream, size_t enough)
{
	if (stream->filling != NULL && STREAM_OUTPUT_SIZE - stream->filling->size < enough) {
		stream_output_send(stream);
	}
	return stream->filling == NULL ? STREAM_OUTPUT_SIZE
				       : STREAM_OUTPUT_SIZE - stream->filling->size;
}

uint8_t *stream_output_reserve(struct stream *stream, size_t size)
{
	if (stream_output_room(stream, size) < size) return NULL;
	if (stream->filling == NULL) {
		stream->filling = pool_take(&stream->streams->outputs);
		CHECK(stream->filling != NULL); /* more streams than streams_open() was told */
		stream->filling->size = 0;
	}
	return stream->filling->data + stream->filling->size;
}

void stream_output_fill(struct stream *stream, size_t size)
{
	CHECK(size <= STREAM_OUTPUT_SIZE - stream->filling->size);
	stream->filling->size += size;
	stream_flush_later(stream);
}

void stream_output_release(struct stream *stream)
{
	if (stream->filling != NULL && stream->filling->size == 0)
		stream_output_give(stream, &stream->filling);
}

void stream_output_append(struct stream *stream, const uint8_t *from, size_t size)
{
	if (size == 0) return;
	uint8_t *to = stream_output_reserve(stream, size);
	CHECK(to != NULL);
	memcpy(to, from, size);
	stream_output_fill(stream, size);
}

bool stream_output_empty(const struct stream *stream)
{
	return stream->filling == NULL && stream->sending == NULL;
}

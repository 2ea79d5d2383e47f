/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring of receive buffers. The kernel takes buffers from it in the order they were put in,
 * so a full ring would walk through all its memory, cold for the caches and touched for ever:
 * a tenth of the cost of a small request. Only a window of buffers is in the ring; the others
 * lie on a stack, where the warm ones are on top. The window doubles when it runs low, and
 * halves after a second in which it did not.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include "base/check.h"

enum { WINDOW_MIN = 64, WINDOW_LOW_DIVISOR = 4 };
#define WINDOW_SHRINK_US US_PER_S

static void put_in_ring(struct io *io, struct io_buffer *buffer)
{
	uint32_t size = io->config.buffer_size;
	uint8_t *data = io->buffer_memory + (size_t)buffer->id * size;
	int mask = io_uring_buf_ring_mask(io->config.buffer_count);

	io_uring_buf_ring_add(io->buffer_ring, data, size, buffer->id, mask, 0);
	io_uring_buf_ring_advance(io->buffer_ring, 1);
	io->buffers_in_ring++;
}

static void grow_window(struct io *io)
{
	io->buffer_window *= 2;
	if (io->buffer_window > io->config.buffer_count) {
		io->buffer_window = io->config.buffer_count;
	}
	io->window_changed = io->mono;
}

void buffers_init(struct io *io)
{
	io_uring_buf_ring_init(io->buffer_ring);
	io->buffer_window = io->config.buffer_count;
	if (io->buffer_window > WINDOW_MIN) io->buffer_window = WINDOW_MIN;
	for (uint32_t i = 0; i < io->config.buffer_count; i++) {
		io->buffers[i].id = (uint16_t)i;
		io->buffers[i].data = io->buffer_memory + (size_t)i * io->config.buffer_size;
		io_buffer_return(io, &io->buffers[i]);
	}
}

void io_buffer_return(struct io *io, struct io_buffer *buffer)
{
	CHECK(io->buffers_free < io->config.buffer_count);

	io->buffers_free++;
	if (io->buffers_in_ring < io->buffer_window) {
		put_in_ring(io, buffer);
	} else {
		buffer->next = io->spare_buffers;
		io->spare_buffers = buffer;
	}
}

struct io_buffer *buffer_taken(struct io *io, uint32_t id, uint32_t size)
{
	CHECK(id < io->config.buffer_count);
	CHECK(io->buffers_in_ring > 0);

	io->buffers_in_ring--;
	io->buffers_free--;
	struct io_buffer *buffer = &io->buffers[id];
	buffer->next = NULL;
	buffer->offset = 0;
	buffer->size = size;
	return buffer;
}

void buffers_refill(struct io *io)
{
	uint32_t low = io->buffer_window / WINDOW_LOW_DIVISOR;

	if (io->buffers_in_ring < low && io->spare_buffers != NULL) {
		grow_window(io);
	} else if (io->buffer_window > WINDOW_MIN &&
		mono_since_us(io->window_changed, io->mono) > WINDOW_SHRINK_US) {
		io->buffer_window /= 2;
		io->window_changed = io->mono;
	}
	while (io->buffers_in_ring < io->buffer_window && io->spare_buffers != NULL) {
		struct io_buffer *buffer = io->spare_buffers;
		io->spare_buffers = buffer->next;
		put_in_ring(io, buffer);
	}
}

void buffers_missed(struct io *io)
{
	if (io->spare_buffers == NULL)
		io->statistics.buffers_exhausted++;
	else
		grow_window(io);
}

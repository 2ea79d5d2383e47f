/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/io_chaos.h"

#include <string.h>

#include "base/check.h"

enum {
	BUFFERS = 32,
	BUFFER_SIZE = 1024,
	/* Slots for both ends of more connections than ends are used, and the listener. */
	SOCKETS = 2 * CHAOS_ENDS,
	SEND_SIZE_MAX = 100000,
	PATTERN_PERIOD = 65521,
	TURN_US_MAX = 100,
	CLOSE_TURN_US = 100000,
	ACT_IN_CALLBACK_ONE_IN = 8,
};

/* Every direction of every connection carries the same bytes by position. */
static uint8_t pattern[PATTERN_PERIOD + SEND_SIZE_MAX];

static void fill_pattern(void)
{
	struct random random = { .state = 42 };

	if (pattern[0] != 0 || pattern[1] != 0) return;
	for (size_t i = 0; i < PATTERN_PERIOD; i++) pattern[i] = (uint8_t)random_u64(&random);
	for (size_t i = PATTERN_PERIOD; i < sizeof pattern; i++) {
		pattern[i] = pattern[i - PATTERN_PERIOD];
	}
}

static bool one_in(struct chaos *chaos, uint64_t count)
{
	return random_below(&chaos->random, count) == 0;
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void return_held(struct chaos_end *end)
{
	while (end->held != NULL) {
		struct io_buffer *buffer = end->held;
		end->held = buffer->next;
		end->chaos->buffers_held--;
		io_buffer_return(end->chaos->io, buffer);
	}
}

static void close_end(struct chaos_end *end)
{
	struct chaos *chaos = end->chaos;

	end->closing = true;
	if (one_in(chaos, 2)) return_held(end);
	if (one_in(chaos, 4))
		io_socket_abort(chaos->io, end->socket);
	else
		io_socket_close(chaos->io, end->socket);
}

static void send_some(struct chaos_end *end)
{
	struct chaos *chaos = end->chaos;
	uint64_t magnitude = random_below(&chaos->random, 17);
	size_t size = 1 + (size_t)random_below(&chaos->random, UINT64_C(1) << magnitude);
	if (size > SEND_SIZE_MAX) size = SEND_SIZE_MAX;

	end->sending_size = size;
	io_send(chaos->io, end->socket, pattern + end->sent_size % PATTERN_PERIOD, size);
}

static void act_on(struct chaos_end *end)
{
	struct chaos *chaos = end->chaos;

	chaos->action_count++;
	switch (random_below(&chaos->random, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		if (!end->connected || end->sending_size > 0 || end->shut || end->failed) break;
		send_some(end);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		end->receiving = true;
		io_receive_start(chaos->io, end->socket);
		break;
	case 10: io_receive_pause(chaos->io, end->socket); break;
	case 11:
		io_receive_pause(chaos->io, end->socket);
		io_receive_start(chaos->io, end->socket);
		end->receiving = true;
		break;
	case 12:
	case 13: return_held(end); break;
	case 14:
		if (!end->connected || end->shut) break;
		end->shut = true;
		io_shutdown(chaos->io, end->socket);
		break;
	default:
		if (one_in(chaos, 3)) close_end(end);
		break;
	}
}

static void act_in_callback(struct chaos_end *end)
{
	struct chaos *chaos = end->chaos;

	if (chaos->closing || end->closing || !one_in(chaos, ACT_IN_CALLBACK_ONE_IN)) return;
	act_on(end);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static void end_connected(void *owner, int error)
{
	struct chaos_end *end = owner;

	CHECK(end->used && !end->closing && end->is_client && !end->connected && !end->failed);
	end->connected = error == 0;
	end->failed = error != 0;
	if (error != 0) end->chaos->error_count++;
	act_in_callback(end);
}

static void end_received(void *owner, struct io_buffer *buffer)
{
	struct chaos_end *end = owner;
	struct chaos *chaos = end->chaos;
	size_t at = end->received_size % PATTERN_PERIOD;

	CHECK(end->used && !end->closing && end->connected && end->receiving && !end->ended);
	CHECK(buffer->size > 0 && buffer->size <= BUFFER_SIZE);
	CHECK(memcmp(buffer->data, pattern + at, buffer->size) == 0);
	end->received_size += buffer->size;
	chaos->byte_count += buffer->size;
	if (chaos->buffers_held < chaos->buffers_held_max && one_in(chaos, 2)) {
		buffer->next = end->held;
		end->held = buffer;
		chaos->buffers_held++;
	} else {
		io_buffer_return(chaos->io, buffer);
	}
	act_in_callback(end);
}

static void end_ended(void *owner, int error)
{
	struct chaos_end *end = owner;

	CHECK(end->used && !end->closing && end->connected && end->receiving && !end->ended);
	end->ended = true;
	if (error == 0)
		end->chaos->orderly_end_count++;
	else
		end->chaos->error_count++;
	act_in_callback(end);
}

static void end_sent(void *owner, int error)
{
	struct chaos_end *end = owner;

	CHECK(end->used && !end->closing && end->sending_size > 0);
	end->sent_size += end->sending_size;
	end->sending_size = 0;
	if (error != 0) {
		end->failed = true;
		end->chaos->error_count++;
	}
	act_in_callback(end);
}

static void end_closed(void *owner)
{
	struct chaos_end *end = owner;

	CHECK(end->used && end->closing);
	return_held(end);
	end->used = false;
}

static const struct io_events end_events = {
	.connected = end_connected,
	.received = end_received,
	.ended = end_ended,
	.sent = end_sent,
	.closed = end_closed,
};

static struct chaos_end *take_end(struct chaos *chaos, bool is_client)
{
	size_t start = (size_t)random_below(&chaos->random, CHAOS_ENDS);

	for (size_t i = 0; i < CHAOS_ENDS; i++) {
		struct chaos_end *end = &chaos->ends[(start + i) % CHAOS_ENDS];
		if (end->used) continue;
		*end = (struct chaos_end){ .chaos = chaos, .used = true, .is_client = is_client };
		return end;
	}
	return NULL;
}

static void chaos_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct chaos *chaos = owner;

	CHECK(!chaos->closing && peer->port != 0);
	struct chaos_end *end = take_end(chaos, false);
	if (end == NULL) {
		io_socket_close(chaos->io, socket);
		return;
	}
	end->socket = socket;
	end->connected = true;
	io_socket_adopt(socket, &end_events, end);
	act_in_callback(end);
}

static void chaos_closed(void *owner)
{
	struct chaos *chaos = owner;

	CHECK(chaos->closing && !chaos->listener_closed);
	chaos->listener_closed = true;
}

static const struct io_events listener_events = {
	.accepted = chaos_accepted,
	.closed = chaos_closed,
};

/* ---- The run --------------------------------------------------------------------------------- */

void chaos_open(struct chaos *chaos, uint64_t seed, const struct io_address *address)
{
	struct io_config config = { .sockets_max = SOCKETS,
		.buffer_count = BUFFERS,
		.buffer_size = BUFFER_SIZE,
		.seed = seed };

	fill_pattern();
	*chaos = (struct chaos){ .random = { .state = seed } };
	/* Some runs never starve, others all the time. */
	chaos->buffers_held_max = (uint32_t)random_below(&chaos->random, BUFFERS + 1);
	CHECK(io_open(&config, &chaos->io) == RESULT_OK);
	CHECK(io_listen(chaos->io, address, &listener_events, chaos, &chaos->listener) ==
		RESULT_OK);
	chaos->address = io_listen_address(chaos->listener);
}

static void start_client(struct chaos *chaos)
{
	struct chaos_end *end = take_end(chaos, true);
	if (end == NULL) return;

	enum result result = io_connect(chaos->io, &chaos->address, &end_events, end, &end->socket);
	if (result != RESULT_OK) {
		CHECK(result == RESULT_FULL);
		end->used = false;
	}
}

static void act(struct chaos *chaos)
{
	struct chaos_end *end = &chaos->ends[random_below(&chaos->random, CHAOS_ENDS)];

	if (one_in(chaos, 16)) {
		start_client(chaos);
	} else if (one_in(chaos, 64)) {
		io_accept_pause(chaos->io, chaos->listener);
		if (one_in(chaos, 2)) CHECK(io_turn(chaos->io, 0) == RESULT_OK);
		io_accept_resume(chaos->io, chaos->listener);
	} else if (end->used && end->closing) {
		return_held(end);
	} else if (end->used) {
		act_on(end);
	}
}

void chaos_step(struct chaos *chaos)
{
	uint64_t actions = random_below(&chaos->random, 8);

	for (; actions > 0; actions--) act(chaos);
	uint64_t wait_us = random_below(&chaos->random, 2) *
		random_below(&chaos->random, TURN_US_MAX);
	CHECK(io_turn(chaos->io, wait_us) == RESULT_OK);
}

void chaos_close(struct chaos *chaos)
{
	chaos->closing = true;
	for (size_t i = 0; i < CHAOS_ENDS; i++) {
		struct chaos_end *end = &chaos->ends[i];
		if (end->used && !end->closing) close_end(end);
	}
	io_socket_close(chaos->io, chaos->listener);
	while (io_statistics(chaos->io).sockets_used > 0) {
		CHECK(io_turn(chaos->io, CLOSE_TURN_US) == RESULT_OK);
	}
	CHECK(chaos->listener_closed);
	for (size_t i = 0; i < CHAOS_ENDS; i++) CHECK(!chaos->ends[i].used);
	CHECK(chaos->buffers_held == 0);
	CHECK(io_statistics(chaos->io).buffers_free == BUFFERS);
	CHECK(io_statistics(chaos->io).strays == 0);
	io_close(chaos->io);
}

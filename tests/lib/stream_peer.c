/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/stream_peer.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { TURN_WAIT_US = 20000, TURNS_MAX = 100000 };

uint8_t peer_pattern(size_t position)
{
	return (uint8_t)(position ^ position >> 8 ^ position >> 16);
}

/* ---- What peers do --------------------------------------------------------------------------- */

static size_t pattern_piece(struct peer *peer, uint8_t *to, size_t size)
{
	size_t left = peer->write_total - peer->written_size;

	if (size > left) size = left;
	for (size_t i = 0; i < size; i++) {
		size_t position = peer->written_size + i;
		to[i] = peer->text != NULL ? (uint8_t)peer->text[position % strlen(peer->text)]
					   : peer_pattern(position);
	}
	return size;
}

void peer_write(struct peer *peer)
{
	static uint8_t piece[1 << 20];

	CHECK(peer->write_chunk <= sizeof piece);
	while (peer->written_size < peer->write_total) {
		size_t size = pattern_piece(peer, piece, peer->write_chunk);
		size_t taken = stream_write(&peer->stream, piece, size);
		peer->written_size += taken;
		if (taken < size) return; /* drained() calls again */
	}
}

static void echo_back(struct peer *peer)
{
	size_t size = peer->echo_end - peer->echo_start;

	if (size == 0) return;
	peer->echo_start += stream_write(&peer->stream, peer->echo_data + peer->echo_start, size);
	if (peer->echo_start == peer->echo_end) peer->echo_start = peer->echo_end = 0;
}

static void check_pattern(struct peer *peer, const uint8_t *from, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (from[i] != peer_pattern(peer->received_size + i)) peer->wrong_byte = true;
	}
}

void peer_read(struct peer *peer)
{
	while (!peer->deaf && !peer->closed_by_us) {
		uint8_t *to = peer->echo_data + peer->echo_end;
		size_t room = sizeof peer->echo_data - peer->echo_end;
		if (room == 0) return; /* drained() goes on */
		size_t size = stream_read(&peer->stream, to, room);
		if (size == 0) return;
		check_pattern(peer, to, size);
		peer->received_size += size;
		if (peer->echo) {
			peer->echo_end += size;
			echo_back(peer);
		}
	}
}

void peer_close(struct peer *peer)
{
	if (peer->closed_by_us) return;
	peer->closed_by_us = true;
	stream_close(&peer->stream);
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static void peer_opened(void *owner)
{
	struct peer *peer = owner;

	CHECK(!peer->closed_by_us);
	peer->opened_count++;
	if (peer->on_opened != NULL) {
		peer->on_opened(peer);
		return;
	}
	peer_write(peer);
}

static void peer_readable(void *owner)
{
	struct peer *peer = owner;

	CHECK(!peer->closed_by_us);
	if (peer->on_readable != NULL) {
		peer->on_readable(peer);
		return;
	}
	peer_read(peer);
}

static void peer_drained(void *owner)
{
	struct peer *peer = owner;

	CHECK(!peer->closed_by_us);
	if (peer->on_drained != NULL) {
		peer->on_drained(peer);
		return;
	}
	peer_write(peer);
	if (peer->echo) {
		echo_back(peer);
		peer_read(peer);
	}
}

static void peer_ended(void *owner, enum stream_end end)
{
	struct peer *peer = owner;

	CHECK(!peer->closed_by_us);
	peer->ended_count++;
	peer->end = end;
	if (peer->on_ended != NULL) peer->on_ended(peer);
}

static void peer_closed(void *owner)
{
	struct peer *peer = owner;

	CHECK(peer->closed_by_us || peer->closed_count == 0);
	peer->closed_count++;
	tls_context_release(peer->context);
	peer->context = NULL;
}

static const struct stream_events peer_events = {
	.opened = peer_opened,
	.readable = peer_readable,
	.drained = peer_drained,
	.ended = peer_ended,
	.closed = peer_closed,
};

/* ---- The world ------------------------------------------------------------------------------- */

static void world_accepted(void *owner, struct io_socket *socket, const struct io_address *from)
{
	struct stream_world *world = owner;
	struct peer *peer = world->next_accepted;
	(void)from; /* ourselves */

	if (peer == NULL || peer->accepted) {
		io_socket_close(world->loop.io, socket);
		return;
	}
	peer->accepted = true;
	CHECK(stream_accept(&peer->stream, &world->streams, socket, world->context, &peer_events,
		      peer) == RESULT_OK);
}

static void world_listener_closed(void *owner)
{
	struct stream_world *world = owner;
	world->listener_closed = true;
}

static const struct io_events listener_events = {
	.accepted = world_accepted,
	.closed = world_listener_closed,
};

void stream_world_open(struct stream_world *world)
{
	const struct io_config config = {
		.sockets_max = 2 * WORLD_STREAMS,
		.buffer_count = WORLD_BUFFERS,
		.buffer_size = IO_BUFFER_SIZE,
	};

	*world = (struct stream_world){ 0 };
	enum result result = loop_open(&world->loop, &config);
	if (result != RESULT_OK) fprintf(stderr, "%s\n", io_open_error());
	CHECK(result == RESULT_OK);
	streams_open(&world->streams, &world->loop, WORLD_STREAMS);
}

void stream_world_listen(struct stream_world *world, struct tls_context *context)
{
	struct io_address address;

	CHECK(address_parse(BYTES_LITERAL("127.0.0.1:0"), &address) == RESULT_OK);
	CHECK(io_listen(world->loop.io, &address, &listener_events, world, &world->listener) ==
		RESULT_OK);
	world->address = io_listen_address(world->listener);
	world->context = context;
}

void world_stop_listening(struct stream_world *world)
{
	if (world->listener == NULL) return;
	io_socket_close(world->loop.io, world->listener);
	world->listener = NULL;
	while (!world->listener_closed) stream_world_turn(world);
}

void stream_world_turn(struct stream_world *world)
{
	/* So that a turn in which nothing happens ends: loop_turn() alone would wait for ever. */
	io_wake(world->loop.io);
	CHECK(loop_turn(&world->loop) == RESULT_OK);
}

void stream_world_run(struct stream_world *world, bool (*done)(void))
{
	for (int turns = 0; !done(); turns++) {
		CHECK(turns < TURNS_MAX);
		stream_world_turn(world);
	}
}

void stream_world_close(struct stream_world *world)
{
	world_stop_listening(world);
	CHECK(world->streams.outputs.used_count == 0);
	CHECK(io_statistics(world->loop.io).buffers_free == WORLD_BUFFERS);
	streams_close(&world->streams);
	loop_close(&world->loop);
	tls_context_release(world->context);
}

void peer_init(struct peer *peer, struct stream_world *world)
{
	memset(peer, 0, sizeof *peer);
	peer->world = world;
	peer->write_chunk = 1;
}

void peer_connect(struct peer *peer, struct tls_context *context, const char *host_name,
	const struct tls_session *session)
{
	peer->context = context;
	CHECK(stream_connect(&peer->stream, &peer->world->streams, &peer->world->address, context,
		      host_name, session, &peer_events, peer) == RESULT_OK);
}

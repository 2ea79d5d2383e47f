/* SPDX-License-Identifier: GPL-2.0-or-later */
/* echo — a server that sends back what comes, and clients that check every byte of it. Over
 * engine/io.h alone, so the same for the ring and for the simulation.
 */
#pragma once

#include "base/pool.h"
#include "engine/io.h"

enum { ECHO_CHUNK_SIZE_MAX = 16384 };

struct echo_server {
	struct io *io;
	struct io_socket *listener;
	struct pool connections;
	uint32_t held_max; /* buffers one connection holds before it stops receiving */
	uint64_t accepted_count;
	uint64_t closed_count;
	uint64_t error_count;
	uint64_t byte_count;
	bool listener_closed;
};

/* `held_max` 0 means 16. */
MUST_USE enum result echo_server_open(struct echo_server *server, struct io *io,
	const struct io_address *address, uint32_t connections_max, uint32_t held_max);
/* Stops listening. Connections end when their clients do. */
void echo_server_close(struct echo_server *server);
bool echo_server_idle(const struct echo_server *server);
void echo_server_done(struct echo_server *server);

struct echo_client {
	struct io *io;
	struct io_socket *socket;
	uint64_t seed;
	uint64_t size_total;
	uint64_t sent_size;
	uint64_t received_size;
	uint32_t chunk_size;
	int error; /* errno of connect, send or receive; -1: ended too early */
	bool connected;
	bool complete; /* all bytes came back, and the server's end */
	bool closed;
	uint8_t chunk[ECHO_CHUNK_SIZE_MAX];
};

/* Connects, sends `size_total` bytes in pieces of `chunk_size`, half-closes, and closes when
 * the server has closed. */
MUST_USE enum result echo_client_start(struct echo_client *client, struct io *io,
	const struct io_address *address, uint64_t seed, uint64_t size_total, uint32_t chunk_size);

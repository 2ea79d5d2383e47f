/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_peer — one loop with a listener, and peers on it that write a pattern, echo what comes,
 * check it, and do what a test hangs into their callbacks.
 */
#pragma once

#include "lib/tls_pair.h"
#include "tls/stream.h"

enum { WORLD_BUFFERS = 1024, WORLD_STREAMS = 64, PEER_ECHO_SIZE = 65536 };

struct peer;

struct stream_world {
	struct loop loop;
	struct streams streams;
	struct io_socket *listener; /* NULL when not listening */
	struct io_address address;
	struct tls_context *context; /* the listener's, NULL for plain; the world releases it */
	struct peer *next_accepted;
	bool listener_closed;
};

struct peer {
	struct stream stream;
	struct stream_world *world;
	struct tls_context *context; /* of a client; the peer releases it when closed */
	bool accepted;
	bool echo; /* write back what comes */
	bool deaf; /* do not read */
	bool wrong_byte;
	bool closed_by_us;
	const char *text;   /* write this instead of the pattern */
	size_t write_total; /* write so much of the pattern */
	size_t write_chunk;
	size_t written_size;
	size_t received_size;
	uint8_t echo_data[PEER_ECHO_SIZE];
	size_t echo_start;
	size_t echo_end;
	int opened_count;
	int drained_count;
	int ended_count;
	int closed_count;
	enum stream_end end;
	void (*on_opened)(struct peer *peer); /* instead of what is done usually */
	void (*on_readable)(struct peer *peer);
	void (*on_drained)(struct peer *peer);
	void (*on_ended)(struct peer *peer);
};

void stream_world_open(struct stream_world *world);
/* On a port of the kernel's choice of 127.0.0.1. */
void stream_world_listen(struct stream_world *world, struct tls_context *context);
void world_stop_listening(struct stream_world *world);
void stream_world_turn(struct stream_world *world);
/* Turns until done; CHECKs that it does not take for ever. */
void stream_world_run(struct stream_world *world, bool (*done)(void));
/* All peers must be closed. */
void stream_world_close(struct stream_world *world);

void peer_init(struct peer *peer, struct stream_world *world);
/* To the world's address; CHECKs that it starts. */
void peer_connect(struct peer *peer, struct tls_context *context, const char *host_name,
	const struct tls_session *session);
void peer_write(struct peer *peer);
void peer_read(struct peer *peer);
void peer_close(struct peer *peer);
/* The byte at a position of the pattern. */
uint8_t peer_pattern(size_t position);

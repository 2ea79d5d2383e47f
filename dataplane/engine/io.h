/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io — the one seam to the outside: sockets, time, wake-ups and randomness.
 *
 * Two implementations, chosen when linking: io_uring*.c for real (the only files that include
 * liburing.h), tests/sim/io_sim.c for a world made from a seed. Everything above is the same
 * code in both.
 *
 * One struct io per worker thread; all functions belong to that thread, except io_wake().
 * Callbacks run from io_turn() on that thread, never from inside the call that started the
 * operation. Inside a callback every function may be called, io_turn() excepted.
 *
 * Life of a socket: io_connect(), io_listen() or an accepted() callback gives it; the owner
 * calls io_socket_close(); when the last completion has come, closed() is called and the slot
 * is free for another. No other callback comes after closed(), and after io_socket_close()
 * only closed() comes.
 *
 * A connection needs a descriptor of the process only while it is made, where the kernel has a
 * table of sockets per ring (decision 13): then the limit of descriptors counts once for each
 * struct io, and once more for the process.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "bounds.h"
#include "engine/address.h"

struct io;
struct io_socket;

/* A piece of received bytes in one of the ring's buffers. Whoever is given one hands it back
 * with io_buffer_return() when the bytes were used, however late. */
struct io_buffer {
	struct io_buffer *next; /* for the holder's own chain */
	uint8_t *data;          /* the holder may write over it */
	uint32_t size;
	uint32_t offset; /* for the holder: how much was used */
	uint16_t id;     /* private */
};

struct io_events {
	/* On listeners: a new connection, without owner until io_socket_adopt(). */
	void (*accepted)(void *owner, struct io_socket *socket, const struct io_address *peer);
	/* On listeners: there is no descriptor, or no slot, for the next one. It is tried again by
	 * time; meanwhile the owner may close something. */
	void (*starved)(void *owner);
	/* On io_connect(): 0 or an errno. */
	void (*connected)(void *owner, int error);
	/* Bytes have come; the buffer is the owner's now. */
	void (*received)(void *owner, struct io_buffer *buffer);
	/* Nothing more will be received: 0 for the peer's orderly end, else an errno. */
	void (*ended)(void *owner, int error);
	/* The whole piece given to io_send() was handed to the kernel: 0, or an errno. */
	void (*sent)(void *owner, int error);
	/* The slot is free. The last callback of this socket. */
	void (*closed)(void *owner);
};

struct io_config {
	uint32_t sockets_max; /* listeners and connections together */
	uint32_t buffer_count;
	uint32_t buffer_size;
	uint64_t seed; /* simulation only */
	/* Called once per turn after one or more io_wake(). */
	void (*woken)(void *owner);
	void *owner;
};

/* On the thread that will own it. RESULT_UNSUPPORTED or RESULT_PERMISSION (kernel too old, or
 * io_uring disabled by sysctl): io_open_error() then has the sentence with the fix. */
MUST_USE enum result io_open(const struct io_config *config, struct io **ret);
/* The sentence for the last failed io_open() of this thread. */
const char *io_open_error(void);
/* All sockets must be closed and reported. */
void io_close(struct io *io);

/* A listening socket with SO_REUSEPORT; accepting starts at once. An IPv6 one takes IPv6 only.
 * RESULT_BUSY (address in use), RESULT_PERMISSION, RESULT_FULL (sockets_max), RESULT_KERNEL;
 * errno is left as the kernel set it. */
MUST_USE enum result io_listen(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret);
/* The same with a descriptor that listens already; it is the engine's when RESULT_OK. */
MUST_USE enum result io_listen_on(struct io *io, int fd, const struct io_events *events,
	void *owner, struct io_socket **ret);
/* The address it is bound to (the port, when 0 was asked for). */
struct io_address io_listen_address(const struct io_socket *socket);
/* Stops and starts accepting; connections wait in the kernel's backlog meanwhile. The engine
 * pauses by itself, and tries again by time, when descriptors run out. */
void io_accept_pause(struct io *io, struct io_socket *socket);
void io_accept_resume(struct io *io, struct io_socket *socket);
/* Paused, and all that was accepted before has been handed to accepted(): nothing is lost by a
 * close now but what waits in the backlog. */
bool io_accept_stopped(const struct io_socket *socket);

/* connected() comes later. RESULT_FULL when sockets_max is reached, RESULT_KERNEL. */
MUST_USE enum result io_connect(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret);
/* Makes `owner` the one who gets an accepted socket's callbacks. */
void io_socket_adopt(struct io_socket *socket, const struct io_events *events, void *owner);
void io_socket_close(struct io *io, struct io_socket *socket);
/* As io_socket_close(), but the peer sees a reset and the kernel forgets what was not sent:
 * nothing lingers for a peer that does not read. */
void io_socket_abort(struct io *io, struct io_socket *socket);

/* Receiving is off until started. After a pause, buffers that were under way still come. */
void io_receive_start(struct io *io, struct io_socket *socket);
void io_receive_pause(struct io *io, struct io_socket *socket);
void io_buffer_return(struct io *io, struct io_buffer *buffer);

/* One send at a time per socket; `data` stays untouched until sent(). */
void io_send(struct io *io, struct io_socket *socket, const void *data, size_t size);
/* No more sends: the peer sees an orderly end after what was sent; where no descriptor is to be had
 * for it, only when the socket is closed. */
void io_shutdown(struct io *io, struct io_socket *socket);

/* Submits what was asked for, waits for at least one completion but no longer than
 * wait_us (0: do not wait; UINT64_MAX: for ever), then runs the callbacks. RESULT_KERNEL only
 * for what cannot be gone on with. */
MUST_USE enum result io_turn(struct io *io, uint64_t wait_us);

/* Any thread: makes the owner's present or next io_turn() return and call woken(). */
void io_wake(struct io *io);

/* Time as of the start of this turn's callbacks: cheap, and the same for all of one turn. */
mono_t io_mono(const struct io *io);
wall_t io_wall(const struct io *io);
/* Jitter and spreading; not for secrets. */
uint64_t io_random(struct io *io);

struct io_statistics {
	uint64_t turns;
	uint64_t completions;
	uint64_t submissions;
	uint64_t overflows;         /* turns that found the completion queue overflown */
	uint64_t buffers_exhausted; /* receives that had to wait for a buffer's return */
	uint64_t accept_errors;
	uint64_t strays; /* completions for a slot's former user: ignored, never expected */
	uint32_t buffers_free;
	uint32_t sockets_used;
};
struct io_statistics io_statistics(const struct io *io);
/* How many sockets this one holds without a descriptor. */
uint32_t io_table_size(const struct io *io);
/* Which rung of the fallback ladder and which features are in use, for status and --version. */
const char *io_features(const struct io *io);

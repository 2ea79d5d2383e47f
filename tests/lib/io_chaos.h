/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_chaos — connections to itself over engine/io.h, on which a seed does everything that is
 * allowed at any moment: connect, send, pause, resume, hold buffers, shut down, close, abort,
 * between turns and inside callbacks. It checks the contract of io.h and every byte received.
 */
#pragma once

#include "base/random.h"
#include "engine/io.h"

enum { CHAOS_ENDS = 64 };

struct chaos_end {
	struct chaos *chaos;
	struct io_socket *socket;
	struct io_buffer *held;
	uint64_t sent_size;
	uint64_t received_size;
	size_t sending_size; /* 0: not sending */
	bool used;
	bool is_client;
	bool connected;
	bool failed; /* the connect, or a send */
	bool receiving;
	bool ended;
	bool shut;
	bool closing;
};

struct chaos {
	struct io *io;
	struct io_socket *listener;
	struct io_address address;
	struct random random;
	struct chaos_end ends[CHAOS_ENDS];
	uint32_t buffers_held;
	uint32_t buffers_held_max;
	uint64_t action_count;
	uint64_t byte_count;
	uint64_t error_count;
	uint64_t orderly_end_count;
	bool closing;
	bool listener_closed;
};

/* Opens an io and a listener on `address`. */
void chaos_open(struct chaos *chaos, uint64_t seed, const struct io_address *address);
/* A few actions and a turn. */
void chaos_step(struct chaos *chaos);
/* Closes everything, waits until it is closed, checks that nothing is left. */
void chaos_close(struct chaos *chaos);

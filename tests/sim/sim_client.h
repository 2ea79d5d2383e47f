/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_client — a client inside the simulation that follows a script to the letter: sends given
 * bytes at a given pace, keeps what it gets, and notes when it was cut off.
 */
#pragma once

#include "sim/io_sim.h"

enum { SIM_CLIENT_TEXT_SIZE = 65536 };

struct sim_client {
	/* Set before the start. */
	struct bytes data; /* to be sent */
	size_t piece_size; /* at a time; 0: all at once */
	uint64_t gap_us;   /* between pieces */
	bool deaf;         /* never reads */

	struct sim_world *world;
	struct loop *loop;
	struct io_socket *socket;
	struct timer timer;
	size_t sent;
	size_t piece;
	char text[SIM_CLIENT_TEXT_SIZE]; /* NUL-terminated */
	size_t text_size;
	uint64_t started_us; /* connected */
	uint64_t text_us;    /* last bytes came */
	uint64_t ended_us;   /* 0: not yet */
	int error;           /* errno of the end */
	bool open;
};

void sim_client_start(struct sim_client *client, struct sim_world *world, struct loop *loop,
	const struct io_address *address);
/* If it is still open; closed when `open` is false again. */
void sim_client_close(struct sim_client *client);

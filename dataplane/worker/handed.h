/* SPDX-License-Identifier: GPL-2.0-or-later */
/* handed — sockets that the process was given when it was started: by systemd's socket activation
 * or descriptor store (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), or by the
 * process before it, which runs this one in its own place.
 *
 * They listen already, so that whoever connects in between waits and is not refused.
 */
#pragma once

#include "config/config.h"

/* What we call those that we hand on, to systemd or to ourselves: this and the address. One that
 * was called so and is in no configuration any more is closed; any other must be in it. */
#define HANDED_NAME_PREFIX "penstock-"

enum { HANDED_NAME_SIZE = 80 };

struct handed_socket {
	int fd; /* -1: taken */
	bool ours;
	char name[HANDED_NAME_SIZE];
	struct io_address address;
};

struct handed {
	uint32_t count;
	struct handed_socket *sockets;
};

/* Reads the environment and takes these variables out of it. RESULT_CONFIG with a sentence when
 * one of the descriptors is no listening socket. */
MUST_USE enum result handed_take(struct handed *ret, char *error, size_t error_size);
/* Each must be a listener's: by its address, and by its name when a listener is called so.
 * RESULT_CONFIG with a sentence; ours that are in no listener are closed. */
MUST_USE enum result handed_match(struct handed *handed, const struct config *config, char *error,
	size_t error_size);
/* Takes those of that address out, at most `fds_max`; returns how many. */
uint32_t handed_give(struct handed *handed, const struct io_address *address, int *fds,
	uint32_t fds_max);
/* Closes what nobody took. */
void handed_close(struct handed *handed);

/* Runs the program in our place, with these sockets; returns only when that fails: then they can be
 * handed to another program. */
void handed_exec(struct handed *handed, const char *path, char *const *arguments);

/* The name for an address: it may hold no ':'. */
void handed_name(const struct io_address *address, char to[static HANDED_NAME_SIZE]);

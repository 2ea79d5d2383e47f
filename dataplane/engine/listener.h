/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listener — opens a socket that listens, for one worker of several on the same address. */
#pragma once

#include "engine/address.h"

/* With SO_REUSEPORT, and the backlog of bounds.h; an IPv6 one takes IPv6 only. The descriptor or
 * -errno. */
int listener_open(const struct io_address *address);
/* Nobody connects to it any more: who tries asks again a second later, when another socket may be
 * there. What is connected is not touched. As far as the host lets us: some allow filters to root
 * alone. */
void listener_hush(int fd);
/* The opposite. */
void listener_unhush(int fd);
/* Where it is bound (the port, when 0 was asked for). False: it is no socket of IPv4 or IPv6. */
bool listener_address(int fd, struct io_address *ret);

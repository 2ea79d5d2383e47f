/* SPDX-License-Identifier: GPL-2.0-or-later */
/* address — an IP address and port, its text form and the kernel's. Pure. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"

struct io_address {
	uint8_t ip[16]; /* IPv4 in the first four bytes */
	uint16_t port;  /* host byte order */
	bool is_ipv6;
};

/* "127.0.0.1:8443", "[::1]:443", "[::]:0". Names are not resolved. RESULT_MALFORMED. */
MUST_USE enum result address_parse(struct bytes text, struct io_address *ret);

enum { ADDRESS_TEXT_SIZE = 64 };
/* NUL-terminated. */
void address_format(const struct io_address *address, char to[static ADDRESS_TEXT_SIZE]);
bool address_equal(const struct io_address *a, const struct io_address *b);
/* As socket calls want it; returns the size. */
socklen_t address_to_storage(const struct io_address *from, struct sockaddr_storage *to);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* claim — the listeners' addresses are ours alone, before the workers open them.
 *
 * Workers share an address through SO_REUSEPORT, and so would a second daemon of the same user:
 * the kernel would give it a part of the connections without a word. A claim is a socket without
 * that option which listens on the address, what the kernel allows to one process only, however
 * many start at the same moment. Then the option is set, so that our own sockets may join it.
 *
 * No connection is lost to a claim: it drops what arrives, and clients ask again a second later.
 * A host may forbid that to us; then one that comes in these few milliseconds is reset.
 */
#pragma once

#include "config/config.h"

struct claim {
	uint32_t count;
	int fds[LISTENERS_MAX];
};

/* On every listener's address. RESULT_BUSY when another process listens there and goes on for
 * `patience_ms`; `error` gets a sentence with the address, and nothing is held. */
MUST_USE enum result claim_take(const struct config *config, uint32_t patience_ms,
	struct claim *ret, char *error, size_t error_size);
/* Once a worker listens: from then on its sockets keep others out. */
void claim_release(struct claim *claim);

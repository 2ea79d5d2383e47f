/* SPDX-License-Identifier: GPL-2.0-or-later */
/* post — one HTTP request of a cold thread, over a connection of its own: blocking, and over within
 * TELEMETRY_POST_TIMEOUT_MS but for the name server's time. */
#pragma once

#include "base/bytes.h"
#include "bounds.h"

struct post_target {
	const char *host; /* IPv6 without brackets */
	uint16_t port;
};

/* JSON. NULL when the answer was 2xx, else a sentence that says why not. */
MUST_USE const char *post(const struct post_target *target, const char *path, struct bytes body);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* payload — the body of event number N of a run: the same on both sides, so that the sink can
 * tell a corrupt body from a right one without being told.
 *
 * {"id":"<run>-<number>","type":"bench.event","pad":"…"}: JSON, because providers send it and
 * some schemes look for the id in it.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

enum { PAYLOAD_ID_SIZE = 16 + 1 + 12, PAYLOAD_SIZE_MIN = 80, PAYLOAD_SIZE_MAX = 16 * 1024 * 1024 };

struct payload_shape {
	uint64_t run;  /* random, so that runs do not meet in the replay memory */
	uint32_t size; /* bytes, PAYLOAD_SIZE_MIN or more */
};

/* `to` has shape->size bytes. */
void payload_write(const struct payload_shape *shape, uint64_t number, uint8_t *to);
/* The "<run>-<number>" part, for schemes that carry the id in a header. */
void payload_id(const struct payload_shape *shape, uint64_t number,
	char to[static PAYLOAD_ID_SIZE]);
/* False when it is not a body of this run at all; *ret_intact says whether every byte is
 * right. `scratch` has shape->size bytes. */
bool payload_read(const struct payload_shape *shape, struct bytes body, uint8_t *scratch,
	uint64_t *ret_number, bool *ret_intact);

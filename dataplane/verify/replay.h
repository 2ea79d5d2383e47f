/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay — remembers events, so that a replayed or retried one is not delivered twice.
 *
 * One table for the whole process, in memory, fixed size, cut into stripes with a lock each
 * (docs/decisions/ says why not messages between workers). It is rebuilt at start from rows
 * that were committed together with the events. Life of an entry: reserved while its event is
 * on its way to disk, then confirmed or released; a confirmed entry stays until it expires.
 *
 * Correct across workers: a reservation is atomic. Any thread, no allocation after open.
 */
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include <stdbool.h>

#include "base/result.h"

struct replay;

enum replay_verdict {
	REPLAY_NEW,       /* reserved for the caller, who must confirm or release it */
	REPLAY_DUPLICATE, /* on disk already: *ret_original says where */
	REPLAY_PENDING,   /* another request with it is being committed right now */
	REPLAY_CONFLICT,  /* same identity, different body: a sender's bug or an attack */
	REPLAY_FULL,      /* no room that has expired: refuse, fail closed */
};

/* Where the first one went. */
struct replay_place {
	uint64_t sequence;
	uint64_t received_us;
	uint16_t shard;
};

/* entries_max is rounded up to a power of two; memory is entries_max * 56 bytes,
 * touched as it fills. `secret`: random, this process's own, so that no sender can choose
 * identities that fall into one place. */
MUST_USE enum result replay_open(uint32_t entries_max, struct hash128 secret, struct replay **ret);
void replay_close(struct replay *replay);

/* Begins to load what reserving this identity will need, or confirming it; any thread, nothing else
 * happens. */
void replay_prefetch(const struct replay *replay, struct hash128 identity);
/* Entries that expired before `now` count as absent and are reused. */
enum replay_verdict replay_reserve(struct replay *replay, struct hash128 identity,
	uint64_t body_hash, wall_t now, struct replay_place *ret_original);
void replay_confirm(struct replay *replay, struct hash128 identity, struct replay_place place,
	wall_t expires);
void replay_release(struct replay *replay, struct hash128 identity);
/* At start, from stored rows; false when full (the caller then reports how many are missing). */
bool replay_restore(struct replay *replay, struct hash128 identity, uint64_t body_hash,
	struct replay_place place, wall_t expires);

struct replay_usage {
	uint64_t used_count;
	uint64_t entries_max;
};
struct replay_usage replay_usage(struct replay *replay);
/* Without a look at what is used, for which each stripe must be locked. */
uint64_t replay_entries_max(const struct replay *replay);

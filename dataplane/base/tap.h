/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap — what happens to requests and deliveries, for whoever follows it: people, not machines.
 *
 * A ring per worker, written by that worker alone and read by any number of followers, each at its
 * own pace. The writer never waits: who is too slow misses records, and learns how many. While
 * nobody follows a happening costs one relaxed load, and there are no rings before somebody has.
 *
 * Of what belongs to an event one in N is wanted, chosen by the event's number, so that the whole
 * life of a chosen one is seen.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

#define TAP_KIND_TABLE(X) \
	X(ACCEPTED,  "accepted",  "verified, new and on disk") \
	X(DUPLICATE, "duplicate", "on disk already, answered as such") \
	X(REFUSED,   "refused",   "answered with a problem: `reason` says which") \
	X(DELIVERED, "delivered", "a target answered 2xx") \
	X(FAILED,    "failed",    "an attempt failed and will be repeated") \
	X(DEAD,      "dead",      "no tries are left")
enum tap_kind {
#define X(name, code, text) TAP_##name,
	TAP_KIND_TABLE(X)
#undef X
	TAP_KIND_COUNT
};
const char *tap_kind_code(enum tap_kind kind);

enum { TAP_DETAIL_SIZE = 96 };

/* No payload, no field of a request, no address. Copied as 64-bit words. */
struct tap_record {
	uint64_t time_us;     /* wall */
	uint64_t received_us; /* of the event, wall; 0: there is none */
	uint64_t sequence;    /* of the event; 0: there is none */
	uint64_t duration_us; /* from a request's last byte, or of an attempt; 0: not known */
	const char *reason;   /* a literal, or NULL */
	uint32_t endpoint_id; /* 0: none */
	uint32_t target_id;   /* 0: none */
	uint16_t shard;
	uint16_t status; /* of the answer; 0: none */
	uint16_t attempt_number;
	uint16_t kind;                /* enum tap_kind */
	char detail[TAP_DETAIL_SIZE]; /* a sentence of ours about an attempt, or empty */
};

/* ---- Writing: worker threads ----------------------------------------------------------------- */

/* Private. */
extern _Atomic uint32_t tap_follower_count;

/* Which ring the calling thread writes to from now on; no two threads the same at a time. Other
 * threads must not write. */
void tap_thread(uint32_t ring);

static inline bool tap_is_open(void)
{
	return atomic_load_explicit(&tap_follower_count, memory_order_relaxed) != 0;
}
/* Only when tap_is_open(). Whether any follower wants what belongs to that event. */
bool tap_wants(uint64_t sequence);
/* Only when tap_is_open(). */
void tap_write(const struct tap_record *record);

/* ---- Following: cold threads ----------------------------------------------------------------- */

struct tap_follower {
	uint32_t slot;
	uint32_t ring_count;
	uint32_t sample; /* one event in so many */
	uint64_t missed; /* records that were written over before they were read */
	uint64_t next[WORKERS_MAX];
};

/* From now on, over so many workers. False: TAP_FOLLOWERS_MAX follow. */
bool tap_follow(struct tap_follower *follower, uint32_t ring_count, uint32_t sample);
void tap_leave(struct tap_follower *follower);
/* The next record of a worker that this follower wants. False: there is none for now. */
bool tap_read(struct tap_follower *follower, uint32_t ring, struct tap_record *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay — hash table with linear probing, in stripes of at most STRIPE_ENTRIES, each under a
 * lock of its own and wrapping around in itself.
 *
 * There are no tombstones: an entry is taken out by moving the later ones of its run back
 * (Knuth 6.4, algorithm R), so a search always ends at the first empty slot. Nobody sweeps:
 * a search for a new identity overwrites the first expired entry on its way and takes out some
 * of the others it passes. The more of them there are, the more a search meets: a new entry
 * soon takes out one old one on average, and their number stays level.
 *
 * A stripe takes no more than 15/16 of its slots, which bounds the length of a run. Entries
 * fall into stripes at random: at 80 % of the whole table a stripe of 2048 holds 1638 ± 40, and
 * its limit of 1920 is seven standard deviations away. When a stripe is that full, a hand that
 * goes round looks at up to a quarter of it for something expired before it says FULL.
 *
 * Cost: a lock, one or two cache lines at the usual fill, a handful at 80 %.
 */
#include "verify/replay.h"

#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum {
	STRIPE_ENTRIES = 2048,
	ENTRIES_MIN = 16,
	EXPIRED_REMOVED_MAX = 4, /* per search: bounds the moving under the lock */
	HAND_STEPS = 512,
	CACHE_LINE = 64,
};
#define ENTRIES_LIMIT (UINT32_C(1) << 30)

enum entry_state { ENTRY_EMPTY, ENTRY_RESERVED, ENTRY_CONFIRMED };

struct entry {
	struct hash128 identity;
	uint64_t body_hash;
	uint64_t sequence;
	uint64_t received_us;
	uint32_t expires_s; /* whole seconds, rounded up; until 2106 */
	uint16_t shard;
	uint8_t state;
	uint8_t unused;
};
BOUND(sizeof(struct entry) == 48);

struct stripe {
	alignas(CACHE_LINE) pthread_mutex_t lock;
	struct entry *entry;
	uint32_t used_count; /* expired ones that nobody came across included */
	uint32_t hand;
};
BOUND(sizeof(struct stripe) == CACHE_LINE);

struct replay {
	struct stripe *stripe;
	struct entry *entries;
	uint32_t stripe_count;
	uint32_t stripe_entries; /* both powers of two */
};

static uint32_t round_up(uint32_t count)
{
	uint32_t rounded = ENTRIES_MIN;
	while (rounded < count) rounded *= 2;
	return rounded;
}

static size_t entries_size(const struct replay *replay)
{
	return (size_t)replay->stripe_count * replay->stripe_entries * sizeof(struct entry);
}

enum result replay_open(uint32_t entries_max, struct replay **ret)
{
	if (entries_max > ENTRIES_LIMIT) return RESULT_FULL;

	uint32_t count = round_up(entries_max);
	struct replay *replay = alloc_array(1, sizeof *replay);
	replay->stripe_entries = count < STRIPE_ENTRIES ? count : STRIPE_ENTRIES;
	replay->stripe_count = count / replay->stripe_entries;
	replay->entries = alloc_map_huge(entries_size(replay));
	replay->stripe = alloc_map(replay->stripe_count * sizeof *replay->stripe);
	for (uint32_t i = 0; i < replay->stripe_count; i++) {
		CHECK(pthread_mutex_init(&replay->stripe[i].lock, NULL) == 0);
		replay->stripe[i].entry = replay->entries + (size_t)i * replay->stripe_entries;
	}
	*ret = replay;
	return RESULT_OK;
}

void replay_close(struct replay *replay)
{
	if (replay == NULL) return;
	for (uint32_t i = 0; i < replay->stripe_count; i++) {
		CHECK(pthread_mutex_destroy(&replay->stripe[i].lock) == 0);
	}
	alloc_unmap(replay->entries, entries_size(replay));
	alloc_unmap(replay->stripe, replay->stripe_count * sizeof *replay->stripe);
	alloc_free(replay);
}

/* ---- one stripe, its lock held --------------------------------------------------------------- */

/* Identities are hashes, but a caller may have mixed its endpoint in by simple means. */
static uint64_t spread(struct hash128 identity)
{
	uint64_t mixed = (identity.low ^ identity.high << 32 ^ identity.high >> 32) *
		UINT64_C(0x9E3779B97F4A7C15);
	return mixed ^ mixed >> 32;
}

static uint32_t home_of(const struct replay *replay, struct hash128 identity)
{
	return (uint32_t)spread(identity) & (replay->stripe_entries - 1);
}

static uint32_t stripe_index(const struct replay *replay, struct hash128 identity)
{
	/* Bits that home_of() does not use: there are at most 2^11 slots in a stripe. */
	return (uint32_t)(spread(identity) >> 11) & (replay->stripe_count - 1);
}

void replay_prefetch(const struct replay *replay, struct hash128 identity)
{
	uint32_t index = stripe_index(replay, identity);
	size_t slot = (size_t)index * replay->stripe_entries + home_of(replay, identity);

	/* Lock and slot are two cache misses. In the line behind are the slot's end, if it is not
	 * in the first, and most of the next slot, where a search often goes on. */
	uintptr_t entry = (uintptr_t)&replay->entries[slot];
	__builtin_prefetch(&replay->stripe[index], 1);
	__builtin_prefetch((const void *)entry, 1);
	__builtin_prefetch((const void *)(entry + CACHE_LINE), 1);
}

static struct stripe *stripe_lock(struct replay *replay, struct hash128 identity)
{
	struct stripe *stripe = &replay->stripe[stripe_index(replay, identity)];
	CHECK(pthread_mutex_lock(&stripe->lock) == 0);
	return stripe;
}
BOUND(STRIPE_ENTRIES == 1 << 11);

static void stripe_unlock(struct stripe *stripe)
{
	CHECK(pthread_mutex_unlock(&stripe->lock) == 0);
}

static bool is_same(const struct entry *entry, struct hash128 identity)
{
	return entry->identity.low == identity.low && entry->identity.high == identity.high;
}

/* A reservation does not expire: whoever holds it confirms or releases it. */
static bool is_expired(const struct entry *entry, wall_t now)
{
	return entry->state == ENTRY_CONFIRMED && entry->expires_s * US_PER_S <= now.us;
}

/* Closes the hole at `at`: every later entry of the run whose home does not lie behind the
 * hole moves into it and leaves a hole itself. */
static void remove_at(const struct replay *replay, struct stripe *stripe, uint32_t at)
{
	uint32_t mask = replay->stripe_entries - 1;
	uint32_t hole = at;

	for (uint32_t i = (at + 1) & mask;; i = (i + 1) & mask) {
		struct entry *entry = &stripe->entry[i];
		if (entry->state == ENTRY_EMPTY) break;
		uint32_t distance_home = (i - home_of(replay, entry->identity)) & mask;
		uint32_t distance_hole = (i - hole) & mask;
		if (distance_home < distance_hole) continue;
		stripe->entry[hole] = *entry;
		hole = i;
	}
	stripe->entry[hole] = (struct entry){ .state = ENTRY_EMPTY };
	stripe->used_count--;
}

/* The entry of that identity, or NULL. *ret_free is where one could be put: the first expired
 * entry on the way, else the empty slot at the end of the run. */
static struct entry *find(const struct replay *replay, struct stripe *stripe,
	struct hash128 identity, wall_t now, struct entry **ret_free)
{
	uint32_t mask = replay->stripe_entries - 1;
	uint32_t at = home_of(replay, identity);
	unsigned removed = 0;

	*ret_free = NULL;
	for (;;) {
		struct entry *entry = &stripe->entry[at];
		if (entry->state == ENTRY_EMPTY) {
			if (*ret_free == NULL) *ret_free = entry;
			return NULL;
		}
		if (is_same(entry, identity)) return entry;
		if (is_expired(entry, now)) {
			if (*ret_free == NULL) {
				*ret_free = entry;
			} else if (removed < EXPIRED_REMOVED_MAX) {
				removed++;
				remove_at(replay, stripe, at);
				continue; /* another entry stands here now */
			}
		}
		at = (at + 1) & mask;
	}
}

/* When the stripe is as full as it may get: takes out one expired entry if the hand finds
 * any. The slot that find() chose may move by that, so search again afterwards. */
static bool make_room(const struct replay *replay, struct stripe *stripe, wall_t now)
{
	for (unsigned i = 0; i < HAND_STEPS; i++) {
		stripe->hand = (stripe->hand + 1) & (replay->stripe_entries - 1);
		if (is_expired(&stripe->entry[stripe->hand], now)) {
			remove_at(replay, stripe, stripe->hand);
			return true;
		}
	}
	return false;
}

/* The entry of that identity, or a slot for it (*ret_found says which); NULL when full. */
static struct entry *find_or_place(const struct replay *replay, struct stripe *stripe,
	struct hash128 identity, wall_t now, bool *ret_found)
{
	uint32_t used_max = replay->stripe_entries / 16 * 15;
	struct entry *place;
	struct entry *entry = find(replay, stripe, identity, now, &place);

	*ret_found = entry != NULL;
	if (entry != NULL) return entry;
	if (place->state != ENTRY_EMPTY) return place; /* an expired one gives up its slot */
	if (stripe->used_count >= used_max) {
		if (!make_room(replay, stripe, now)) return NULL;
		entry = find(replay, stripe, identity, now, &place);
		CHECK(entry == NULL && place != NULL);
	}
	if (place->state == ENTRY_EMPTY) stripe->used_count++;
	return place;
}

static struct replay_place place_of(const struct entry *entry)
{
	return (struct replay_place){
		.sequence = entry->sequence,
		.received_us = entry->received_us,
		.shard = entry->shard,
	};
}

static void fill(struct entry *entry, struct replay_place place, wall_t expires)
{
	uint64_t seconds = (expires.us + US_PER_S - 1) / US_PER_S;
	entry->sequence = place.sequence;
	entry->received_us = place.received_us;
	entry->shard = place.shard;
	entry->expires_s = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
	entry->state = ENTRY_CONFIRMED;
}

/* ---- the whole table ------------------------------------------------------------------------- */

enum replay_verdict replay_reserve(struct replay *replay, struct hash128 identity,
	uint64_t body_hash, wall_t now, struct replay_place *ret_original)
{
	enum replay_verdict verdict = REPLAY_NEW;
	bool found;

	*ret_original = (struct replay_place){ 0 };
	struct stripe *stripe = stripe_lock(replay, identity);
	struct entry *entry = find_or_place(replay, stripe, identity, now, &found);
	if (entry == NULL) {
		verdict = REPLAY_FULL;
	} else if (!found || is_expired(entry, now)) {
		*entry = (struct entry){
			.identity = identity,
			.body_hash = body_hash,
			.state = ENTRY_RESERVED,
		};
	} else {
		*ret_original = place_of(entry);
		if (entry->body_hash != body_hash)
			verdict = REPLAY_CONFLICT;
		else if (entry->state == ENTRY_RESERVED)
			verdict = REPLAY_PENDING;
		else
			verdict = REPLAY_DUPLICATE;
	}
	stripe_unlock(stripe);
	return verdict;
}

/* The reservation that the caller holds. */
static struct entry *reserved(const struct replay *replay, struct stripe *stripe,
	struct hash128 identity)
{
	static const wall_t nothing_expires = { .us = 0 };
	struct entry *place;
	struct entry *entry = find(replay, stripe, identity, nothing_expires, &place);
	CHECK(entry != NULL);
	CHECK(entry->state == ENTRY_RESERVED);
	return entry;
}

void replay_confirm(struct replay *replay, struct hash128 identity, struct replay_place place,
	wall_t expires)
{
	struct stripe *stripe = stripe_lock(replay, identity);
	fill(reserved(replay, stripe, identity), place, expires);
	stripe_unlock(stripe);
}

void replay_release(struct replay *replay, struct hash128 identity)
{
	struct stripe *stripe = stripe_lock(replay, identity);
	struct entry *entry = reserved(replay, stripe, identity);
	remove_at(replay, stripe, (uint32_t)(entry - stripe->entry));
	stripe_unlock(stripe);
}

bool replay_restore(struct replay *replay, struct hash128 identity, uint64_t body_hash,
	struct replay_place place, wall_t expires)
{
	static const wall_t nothing_expires = { .us = 0 };
	bool found;

	struct stripe *stripe = stripe_lock(replay, identity);
	struct entry *entry = find_or_place(replay, stripe, identity, nothing_expires, &found);
	/* Two rows of one identity: the first had expired when the second was accepted. */
	if (entry != NULL && (!found || entry->received_us <= place.received_us)) {
		*entry = (struct entry){ .identity = identity, .body_hash = body_hash };
		fill(entry, place, expires);
	}
	stripe_unlock(stripe);
	return entry != NULL;
}

struct replay_usage replay_usage(struct replay *replay)
{
	struct replay_usage usage = {
		.entries_max = (uint64_t)replay->stripe_count * replay->stripe_entries,
	};
	for (uint32_t i = 0; i < replay->stripe_count; i++) {
		struct stripe *stripe = &replay->stripe[i];
		CHECK(pthread_mutex_lock(&stripe->lock) == 0);
		usage.used_count += stripe->used_count;
		CHECK(pthread_mutex_unlock(&stripe->lock) == 0);
	}
	return usage;
}

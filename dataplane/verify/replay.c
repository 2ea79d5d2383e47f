/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay — entries in the order they came, found by an index, in stripes of at most STRIPE_ENTRIES,
 * each under a lock of its own and wrapping around in itself.
 *
 * A slot of the index has 4 bytes: a part of the identity's hash and the number of the entry. There
 * are twice as many as entries, so a search meets an empty one soon. There are no tombstones: a
 * slot is taken out by moving the later ones of its run back (Knuth 6.4, algorithm R), for which
 * their part of the hash tells where they belong.
 *
 * Why two tables: were the entries of 48 bytes the slots, each event would look into one of twelve
 * thousand pages at random, and on a machine whose host has small pages it waits longer for the
 * page's address than for the memory. The index has a sixth of these pages, and entries of one
 * time lie side by side.
 *
 * A hand that goes round takes the next empty entry. Another one sweeps, when something may have
 * expired: after every SWEEP_EVERY new entries it looks at the next SWEEP_ENTRIES. That is four
 * times as fast as they can come in, so that at most a third of the table has expired and is not
 * empty yet. A stripe takes no more than 15/16 of its entries, so that the first hand finds one;
 * when it is that full it is swept as a whole, and if nothing has expired not again before
 * something will have. Entries fall into stripes at random: at 80 % of the whole table a stripe of
 * 8192 holds 6554 ± 81, and its limit of 7680 is thirteen standard deviations away.
 */
#include "verify/replay.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum {
	STRIPE_ENTRIES = 8192,
	ENTRIES_MIN = 16,
	SLOTS_PER_ENTRY = 2,
	SWEEP_EVERY = 16,
	SWEEP_ENTRIES = 64,
	CACHE_LINE = 64,
	/* A slot: the number of its entry, from 1, in the low bits; 0 is an empty one. */
	NUMBER_BITS = 14,
	TAG_BITS = 18,
};
#define ENTRIES_LIMIT (UINT32_C(1) << 30)
BOUND(STRIPE_ENTRIES < 1 << NUMBER_BITS);
BOUND(STRIPE_ENTRIES *SLOTS_PER_ENTRY <= 1 << TAG_BITS);
BOUND(NUMBER_BITS + TAG_BITS == 32);

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
	uint32_t used_count;     /* expired ones that were not swept yet included */
	_Atomic uint32_t hand;   /* where the next entry is looked for */
	uint32_t sweep;          /* where expired ones are */
	uint32_t placed_count;   /* may wrap */
	uint32_t earliest_s;     /* nothing in it expires before */
	uint32_t lap_earliest_s; /* the same of what was swept or confirmed since `sweep` was 0 */
};
BOUND(sizeof(struct stripe) % CACHE_LINE == 0); /* one, or two where a lock is larger */
BOUND(STRIPE_ENTRIES % SWEEP_ENTRIES == 0);

struct replay {
	struct stripe *stripe;
	struct entry *entries;
	uint32_t *slots;
	uint32_t stripe_count;
	uint32_t stripe_entries; /* both powers of two */
	struct hash128 secret;
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

static size_t slots_size(const struct replay *replay)
{
	return (size_t)replay->stripe_count * replay->stripe_entries * SLOTS_PER_ENTRY *
		sizeof *replay->slots;
}

enum result replay_open(uint32_t entries_max, struct hash128 secret, struct replay **ret)
{
	if (entries_max > ENTRIES_LIMIT) return RESULT_FULL;

	uint32_t count = round_up(entries_max);
	struct replay *replay = alloc_array(1, sizeof *replay);
	replay->secret = secret;
	replay->stripe_entries = count < STRIPE_ENTRIES ? count : STRIPE_ENTRIES;
	replay->stripe_count = count / replay->stripe_entries;
	replay->entries = alloc_map_huge(entries_size(replay));
	replay->slots = alloc_map_huge(slots_size(replay));
	replay->stripe = alloc_map(replay->stripe_count * sizeof *replay->stripe);
	for (uint32_t i = 0; i < replay->stripe_count; i++) {
		CHECK(pthread_mutex_init(&replay->stripe[i].lock, NULL) == 0);
		replay->stripe[i].earliest_s = UINT32_MAX;
		replay->stripe[i].lap_earliest_s = UINT32_MAX;
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
	alloc_unmap(replay->slots, slots_size(replay));
	alloc_unmap(replay->stripe, replay->stripe_count * sizeof *replay->stripe);
	alloc_free(replay);
}

/* ---- one stripe, its lock held --------------------------------------------------------------- */

/* Identities are hashes that anybody can compute. The product of both halves, each made secret,
 * with its own halves folded: who does not know the secret cannot choose where one falls. */
static uint64_t spread(const struct replay *replay, struct hash128 identity)
{
	unsigned __int128 product = (unsigned __int128)(identity.low ^ replay->secret.low) *
		(identity.high ^ replay->secret.high);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The tag is the hash's lowest bits, and the lowest of these say where the search begins. */
static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)hash & ((1u << TAG_BITS) - 1);
}

static uint32_t stripe_index(const struct replay *replay, uint64_t hash)
{
	return (uint32_t)(hash >> TAG_BITS) & (replay->stripe_count - 1);
}

static uint32_t slot_mask(const struct replay *replay)
{
	return replay->stripe_entries * SLOTS_PER_ENTRY - 1;
}

static uint32_t *slots_of(const struct replay *replay, uint32_t index)
{
	return replay->slots + (size_t)index * replay->stripe_entries * SLOTS_PER_ENTRY;
}

static struct entry *entries_of(const struct replay *replay, const struct stripe *stripe)
{
	return replay->entries + (size_t)(stripe - replay->stripe) * replay->stripe_entries;
}

static void prefetch_slot(const struct replay *replay, uint64_t hash)
{
	const uint32_t *slots = slots_of(replay, stripe_index(replay, hash));
	__builtin_prefetch(slots + (tag_of(hash) & slot_mask(replay)), 1);
	/* GCC leaves out calls of a function that does nothing but this (seen with GCC 12). */
	__asm__ volatile("");
}

void replay_prefetch(const struct replay *replay, struct hash128 identity)
{
	uint64_t hash = spread(replay, identity);
	const struct stripe *stripe = &replay->stripe[stripe_index(replay, hash)];
	uint32_t hand = atomic_load_explicit(&stripe->hand, memory_order_relaxed);
	uint32_t mask = replay->stripe_entries - 1;
	const struct entry *entries = entries_of(replay, stripe);

	/* What will be taken; and what was last, which is confirmed soon. */
	__builtin_prefetch(&entries[hand].state, 1);
	__builtin_prefetch(&entries[(hand - 1) & mask], 1);
	prefetch_slot(replay, hash);
}

static struct stripe *stripe_lock(struct replay *replay, struct hash128 identity)
{
	struct stripe *stripe = &replay->stripe[stripe_index(replay, spread(replay, identity))];
	CHECK(pthread_mutex_lock(&stripe->lock) == 0);
	return stripe;
}
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

static uint32_t *stripe_slots(const struct replay *replay, const struct stripe *stripe)
{
	return slots_of(replay, (uint32_t)(stripe - replay->stripe));
}

/* Closes the hole at `at`: every later slot of the run that does not belong behind the hole moves
 * into it and leaves a hole itself. */
static void slot_remove(const struct replay *replay, const struct stripe *stripe, uint32_t at)
{
	uint32_t *slots = stripe_slots(replay, stripe);
	uint32_t mask = slot_mask(replay);
	uint32_t hole = at;

	for (uint32_t i = (at + 1) & mask; slots[i] != 0; i = (i + 1) & mask) {
		uint32_t home = slots[i] >> NUMBER_BITS & mask;
		uint32_t distance_home = (i - home) & mask;
		uint32_t distance_hole = (i - hole) & mask;
		if (distance_home < distance_hole) continue;
		slots[hole] = slots[i];
		hole = i;
	}
	slots[hole] = 0;
}

/* The entry of that identity, or NULL. *ret_at is its slot, else the empty one where it could
 * be. */
static struct entry *find(const struct replay *replay, const struct stripe *stripe,
	struct hash128 identity, uint32_t *ret_at)
{
	const uint32_t *slots = stripe_slots(replay, stripe);
	struct entry *entries = entries_of(replay, stripe);
	uint32_t mask = slot_mask(replay);
	uint32_t tag = tag_of(spread(replay, identity));
	uint32_t at = tag & mask;

	for (; slots[at] != 0; at = (at + 1) & mask) {
		if (slots[at] >> NUMBER_BITS != tag) continue;
		uint32_t number = slots[at] & ((1u << NUMBER_BITS) - 1);
		struct entry *entry = &entries[number - 1];
		if (!is_same(entry, identity)) continue;
		*ret_at = at;
		return entry;
	}
	*ret_at = at;
	return NULL;
}

static void entry_remove(const struct replay *replay, struct stripe *stripe, struct entry *entry)
{
	uint32_t at;

	CHECK(find(replay, stripe, entry->identity, &at) == entry);
	slot_remove(replay, stripe, at);
	entry->state = ENTRY_EMPTY;
	stripe->used_count--;
}

/* Makes expired ones among the next entries empty. Once round, it is known when the first of the
 * others expires. */
static void sweep(const struct replay *replay, struct stripe *stripe, uint32_t count, wall_t now)
{
	struct entry *entries = entries_of(replay, stripe) + stripe->sweep;

	/* Their slots are anywhere. */
	for (uint32_t i = 0; i < count; i++) {
		if (is_expired(&entries[i], now)) {
			prefetch_slot(replay, spread(replay, entries[i].identity));
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		if (entries[i].state != ENTRY_CONFIRMED) continue;
		if (is_expired(&entries[i], now)) {
			entry_remove(replay, stripe, &entries[i]);
		} else if (entries[i].expires_s < stripe->lap_earliest_s) {
			stripe->lap_earliest_s = entries[i].expires_s;
		}
	}
	stripe->sweep += count;
	if (stripe->sweep < replay->stripe_entries) return;
	stripe->sweep = 0;
	stripe->earliest_s = stripe->lap_earliest_s;
	stripe->lap_earliest_s = UINT32_MAX;
}

static void sweep_all(const struct replay *replay, struct stripe *stripe, wall_t now)
{
	stripe->sweep = 0;
	stripe->lap_earliest_s = UINT32_MAX;
	sweep(replay, stripe, replay->stripe_entries, now);
}

static bool is_full(const struct replay *replay, const struct stripe *stripe)
{
	return stripe->used_count >= replay->stripe_entries / 16 * 15;
}

/* Whether there is an empty entry to be taken. */
static bool make_room(const struct replay *replay, struct stripe *stripe, wall_t now)
{
	uint32_t few = replay->stripe_entries < SWEEP_ENTRIES ? replay->stripe_entries
							      : SWEEP_ENTRIES;
	bool has_expired = now.us >= stripe->earliest_s * US_PER_S;

	if (is_full(replay, stripe)) {
		if (has_expired) sweep_all(replay, stripe, now);
	} else if (++stripe->placed_count % SWEEP_EVERY == 0 && has_expired) {
		sweep(replay, stripe, few, now);
	}
	return !is_full(replay, stripe);
}

/* The next empty entry, of which there are some. */
static struct entry *entry_take(const struct replay *replay, struct stripe *stripe)
{
	struct entry *entries = entries_of(replay, stripe);
	uint32_t mask = replay->stripe_entries - 1;
	uint32_t hand = atomic_load_explicit(&stripe->hand, memory_order_relaxed);

	for (uint32_t steps = 0; entries[hand].state != ENTRY_EMPTY; steps++) {
		CHECK(steps < replay->stripe_entries);
		hand = (hand + 1) & mask;
	}
	atomic_store_explicit(&stripe->hand, (hand + 1) & mask, memory_order_relaxed);
	stripe->used_count++;
	return &entries[hand];
}

/* The entry of that identity, or one for it (*ret_found says which); NULL when full. */
static struct entry *find_or_place(const struct replay *replay, struct stripe *stripe,
	struct hash128 identity, wall_t now, bool *ret_found)
{
	uint32_t at;
	struct entry *entry = find(replay, stripe, identity, &at);

	*ret_found = entry != NULL;
	if (entry != NULL) return entry;
	if (!make_room(replay, stripe, now)) return NULL;
	entry = entry_take(replay, stripe);
	/* Making room may have moved slots. */
	CHECK(find(replay, stripe, identity, &at) == NULL);
	uint32_t number = (uint32_t)(entry - entries_of(replay, stripe)) + 1;
	stripe_slots(replay, stripe)[at] = tag_of(spread(replay, identity)) << NUMBER_BITS | number;
	return entry;
}

static struct replay_place place_of(const struct entry *entry)
{
	return (struct replay_place){
		.sequence = entry->sequence,
		.received_us = entry->received_us,
		.shard = entry->shard,
	};
}

static void fill(struct stripe *stripe, struct entry *entry, struct replay_place place,
	wall_t expires)
{
	uint64_t seconds = (expires.us + US_PER_S - 1) / US_PER_S;
	entry->sequence = place.sequence;
	entry->received_us = place.received_us;
	entry->shard = place.shard;
	entry->expires_s = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
	entry->state = ENTRY_CONFIRMED;
	if (entry->expires_s < stripe->earliest_s) stripe->earliest_s = entry->expires_s;
	if (entry->expires_s < stripe->lap_earliest_s) stripe->lap_earliest_s = entry->expires_s;
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
	uint32_t at;
	struct entry *entry = find(replay, stripe, identity, &at);
	CHECK(entry != NULL);
	CHECK(entry->state == ENTRY_RESERVED);
	return entry;
}

void replay_confirm(struct replay *replay, struct hash128 identity, struct replay_place place,
	wall_t expires)
{
	struct stripe *stripe = stripe_lock(replay, identity);
	fill(stripe, reserved(replay, stripe, identity), place, expires);
	stripe_unlock(stripe);
}

void replay_release(struct replay *replay, struct hash128 identity)
{
	struct stripe *stripe = stripe_lock(replay, identity);
	entry_remove(replay, stripe, reserved(replay, stripe, identity));
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
		fill(stripe, entry, place, expires);
	}
	stripe_unlock(stripe);
	return entry != NULL;
}

uint64_t replay_entries_max(const struct replay *replay)
{
	return (uint64_t)replay->stripe_count * replay->stripe_entries;
}

struct replay_usage replay_usage(struct replay *replay)
{
	struct replay_usage usage = { .entries_max = replay_entries_max(replay) };

	for (uint32_t i = 0; i < replay->stripe_count; i++) {
		struct stripe *stripe = &replay->stripe[i];
		CHECK(pthread_mutex_lock(&stripe->lock) == 0);
		usage.used_count += stripe->used_count;
		CHECK(pthread_mutex_unlock(&stripe->lock) == 0);
	}
	return usage;
}

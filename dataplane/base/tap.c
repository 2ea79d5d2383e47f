/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap — see the header.
 *
 * Each slot of a ring has a turn: 2n+1 while record n is written into it, 2n+2 when it is there. A
 * reader copies, and looks at the turn before and after: when it is another one, the record was
 * written over. The words are atomic, so that the copy that is thrown away is no data race; they
 * are released and acquired one by one, so that who sees a new word sees the turn that announced
 * it, too. (With fences it would be the same; the thread sanitizer does not know them.)
 */
#include "base/tap.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { RECORD_WORDS = sizeof(struct tap_record) / sizeof(uint64_t) };
BOUND(sizeof(struct tap_record) % sizeof(uint64_t) == 0);
BOUND((TAP_RING_RECORDS & (TAP_RING_RECORDS - 1)) == 0);

struct slot {
	_Atomic uint64_t turn;
	_Atomic uint64_t words[RECORD_WORDS];
};

struct ring {
	_Atomic uint64_t count; /* ever written */
	struct slot slots[TAP_RING_RECORDS];
};

_Atomic uint32_t tap_follower_count;
static _Thread_local uint32_t own_ring;

static struct {
	pthread_mutex_t lock;                        /* over who follows, and making rings */
	_Atomic uint32_t samples[TAP_FOLLOWERS_MAX]; /* 0: free */
	_Atomic(struct ring *) rings[WORKERS_MAX];   /* never given back */
} tap = { .lock = PTHREAD_MUTEX_INITIALIZER };

const char *tap_kind_code(enum tap_kind kind)
{
	static const char *const codes[] = {
#define X(name, code, text) [TAP_##name] = code,
		TAP_KIND_TABLE(X)
#undef X
	};
	CHECK((unsigned)kind < TAP_KIND_COUNT);
	return codes[kind];
}

/* ---- Writing --------------------------------------------------------------------------------- */

void tap_thread(uint32_t ring)
{
	CHECK(ring < WORKERS_MAX);
	own_ring = ring;
}

bool tap_wants(uint64_t sequence)
{
	for (size_t i = 0; i < TAP_FOLLOWERS_MAX; i++) {
		uint32_t sample = atomic_load_explicit(&tap.samples[i], memory_order_relaxed);
		if (sample != 0 && sequence % sample == 0) return true;
	}
	return false;
}

void tap_write(const struct tap_record *record)
{
	uint64_t words[RECORD_WORDS];
	struct ring *ring = atomic_load_explicit(&tap.rings[own_ring], memory_order_acquire);
	/* Somebody follows fewer workers than there are: not done, but no reason to fall. */
	if (ring == NULL) return;

	uint64_t number = atomic_load_explicit(&ring->count, memory_order_relaxed);
	struct slot *slot = &ring->slots[number % TAP_RING_RECORDS];
	memcpy(words, record, sizeof words);
	atomic_store_explicit(&slot->turn, 2 * number + 1, memory_order_relaxed);
	for (size_t i = 0; i < RECORD_WORDS; i++) {
		atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
	}
	atomic_store_explicit(&slot->turn, 2 * number + 2, memory_order_release);
	atomic_store_explicit(&ring->count, number + 1, memory_order_release);
}

/* ---- Following ------------------------------------------------------------------------------- */

bool tap_follow(struct tap_follower *follower, uint32_t ring_count, uint32_t sample)
{
	CHECK(ring_count <= WORKERS_MAX);
	CHECK(sample > 0);

	*follower = (struct tap_follower){ .ring_count = ring_count, .sample = sample };
	pthread_mutex_lock(&tap.lock);
	while (follower->slot < TAP_FOLLOWERS_MAX &&
		atomic_load(&tap.samples[follower->slot]) != 0) {
		follower->slot++;
	}
	bool found = follower->slot < TAP_FOLLOWERS_MAX;
	for (uint32_t i = 0; found && i < ring_count; i++) {
		struct ring *ring = atomic_load(&tap.rings[i]);
		if (ring == NULL) {
			ring = alloc_map(sizeof *ring);
			atomic_store(&tap.rings[i], ring);
		}
		follower->next[i] = atomic_load(&ring->count);
	}
	if (found) {
		atomic_store(&tap.samples[follower->slot], sample);
		atomic_fetch_add(&tap_follower_count, 1);
	}
	pthread_mutex_unlock(&tap.lock);
	return found;
}

void tap_leave(struct tap_follower *follower)
{
	pthread_mutex_lock(&tap.lock);
	atomic_store(&tap.samples[follower->slot], 0);
	atomic_fetch_sub(&tap_follower_count, 1);
	pthread_mutex_unlock(&tap.lock);
}

/* False: it was written over, or is being. */
static bool slot_copy(struct slot *slot, uint64_t number, struct tap_record *ret)
{
	uint64_t words[RECORD_WORDS];
	uint64_t wanted = 2 * number + 2;
	if (atomic_load_explicit(&slot->turn, memory_order_acquire) != wanted) return false;
	for (size_t i = 0; i < RECORD_WORDS; i++) {
		words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
	}
	if (atomic_load_explicit(&slot->turn, memory_order_relaxed) != wanted) return false;
	memcpy(ret, words, sizeof words);
	return true;
}

bool tap_read(struct tap_follower *follower, uint32_t ring_index, struct tap_record *ret)
{
	CHECK(ring_index < follower->ring_count);

	struct ring *ring = atomic_load(&tap.rings[ring_index]);
	uint64_t *next = &follower->next[ring_index];
	for (;;) {
		uint64_t count = atomic_load_explicit(&ring->count, memory_order_acquire);
		if (*next == count) return false;
		/* The slot of the oldest one may be in the middle of being written over. */
		uint64_t oldest = count >= TAP_RING_RECORDS ? count - TAP_RING_RECORDS + 1 : 0;
		if (*next < oldest) {
			follower->missed += oldest - *next;
			*next = oldest;
		}
		bool copied = slot_copy(&ring->slots[*next % TAP_RING_RECORDS], *next, ret);
		(*next)++;
		if (!copied) {
			follower->missed++;
		} else if (ret->sequence == 0 || ret->sequence % follower->sample == 0) {
			return true;
		}
	}
}

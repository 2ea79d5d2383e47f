/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics — the cells of all threads, the slots of endpoints and targets, and their sums.
 *
 * Two locks, both for cold threads: one over the register of cells, one over the names of
 * slots. Counting takes neither.
 */
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "metrics/metrics_internal.h"

/* A worker has one set of cells; a few more for threads that are none and for tests. */
enum { CELLS_MAX = WORKERS_MAX + 16 };

/* Twice the slots, so that probing stays short. */
enum { SLOT_TABLE_SIZE = 2 * METRICS_SLOTS_MAX };
BOUND((SLOT_TABLE_SIZE & (SLOT_TABLE_SIZE - 1)) == 0);
BOUND(METRICS_SLOTS_MAX <= UINT16_MAX);

struct slots {
	uint32_t count;                  /* given out by name, at most METRICS_SLOT_OTHER */
	uint16_t table[SLOT_TABLE_SIZE]; /* slot + 1; 0: empty */
	bool overflowed;
	char names[METRICS_SLOTS_MAX][NAME_SIZE_MAX + 1];
};

static pthread_mutex_t cells_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metrics *cells_known[CELLS_MAX];

static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slots endpoint_slots;
static struct slots target_slots;

/* ---- Cells ----------------------------------------------------------------------------------- */

static size_t round_to_line(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

enum {
	ENDPOINTS_SIZE = sizeof(uint64_t[METRICS_SLOTS_MAX][METRICS_ENDPOINT_COUNT]),
	TARGETS_SIZE = sizeof(uint64_t[METRICS_SLOTS_MAX][METRICS_TARGET_COUNT]),
};
BOUND(sizeof(_Atomic uint64_t) == sizeof(uint64_t));

static size_t cells_size(void)
{
	return round_to_line(sizeof(struct metrics)) + ENDPOINTS_SIZE + TARGETS_SIZE;
}

struct metrics *metrics_cells_create(void)
{
	/* Mapped, not carved from the heap: no other thread's data shares a cache line with the
	 * cells, and the slots nobody uses cost no memory. */
	uint8_t *memory = alloc_map(cells_size());
	struct metrics *cells = (struct metrics *)(void *)memory;
	uint8_t *endpoints = memory + round_to_line(sizeof(struct metrics));
	cells->endpoints = (void *)endpoints;
	cells->targets = (void *)(endpoints + ENDPOINTS_SIZE);

	pthread_mutex_lock(&cells_lock);
	size_t at = 0;
	while (at < CELLS_MAX && cells_known[at] != NULL) at++;
	CHECK(at < CELLS_MAX);
	cells_known[at] = cells;
	pthread_mutex_unlock(&cells_lock);
	return cells;
}

void metrics_cells_free(struct metrics *cells)
{
	if (cells == NULL) return;

	pthread_mutex_lock(&cells_lock);
	size_t at = 0;
	while (at < CELLS_MAX && cells_known[at] != cells) at++;
	CHECK(at < CELLS_MAX);
	cells_known[at] = NULL;
	pthread_mutex_unlock(&cells_lock);
	alloc_unmap(cells, cells_size());
}

/* ---- Slots ----------------------------------------------------------------------------------- */

static uint32_t slot_of_name(struct slots *slots, const char *name)
{
	struct bytes text = bytes_of_text(name);
	CHECK(text.size <= NAME_SIZE_MAX);

	uint64_t at = hash_xxh3(text, 0);
	for (;; at++) {
		uint16_t *entry = &slots->table[at & (SLOT_TABLE_SIZE - 1)];
		if (*entry != 0) {
			if (strcmp(slots->names[*entry - 1], name) == 0) return *entry - 1u;
			continue;
		}
		if (slots->count == METRICS_SLOT_OTHER) {
			slots->overflowed = true;
			return METRICS_SLOT_OTHER;
		}
		uint32_t slot = slots->count++;
		memcpy(slots->names[slot], text.data, text.size);
		*entry = (uint16_t)(slot + 1);
		return slot;
	}
}

static uint32_t slot_of_name_locked(struct slots *slots, const char *name)
{
	pthread_mutex_lock(&slots_lock);
	uint32_t slot = slot_of_name(slots, name);
	pthread_mutex_unlock(&slots_lock);
	return slot;
}

uint32_t metrics_endpoint_slot(const char *name)
{
	return slot_of_name_locked(&endpoint_slots, name);
}

uint32_t metrics_target_slot(const char *name)
{
	return slot_of_name_locked(&target_slots, name);
}

bool metrics_slot_is_shared(uint32_t slot)
{
	return slot == METRICS_SLOT_OTHER;
}

static const char *slot_name(const struct slots *slots, uint32_t slot)
{
	const char *name = NULL;
	pthread_mutex_lock(&slots_lock);
	/* A name is written once, before its slot is counted: it may be read without the lock. */
	if (slot < slots->count) name = slots->names[slot];
	if (slot == METRICS_SLOT_OTHER && slots->overflowed) name = METRICS_OTHER;
	pthread_mutex_unlock(&slots_lock);
	return name;
}

const char *metrics_endpoint_slot_name(uint32_t slot)
{
	return slot_name(&endpoint_slots, slot);
}

const char *metrics_target_slot_name(uint32_t slot)
{
	return slot_name(&target_slots, slot);
}

static uint64_t cell_read(const _Atomic uint64_t *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

/* ---- Histograms ------------------------------------------------------------------------------ */

#define EXEMPLAR_SEQUENCE_MASK ((UINT64_C(1) << 48) - 1)

/* Bounds in µs: bucket 0 is 1; then for each power of two one step in its middle (even
 * buckets) and one at its end (odd ones). There is no whole µs between 1 and 2. */
uint64_t metrics_bucket_us(unsigned bucket)
{
	CHECK(bucket < METRICS_BUCKETS);

	if (bucket == METRICS_BUCKETS - 1) return UINT64_MAX;
	if (bucket == 0) return 1;
	if (bucket % 2 == 1) return UINT64_C(1) << (bucket + 1) / 2;
	return UINT64_C(3) << (bucket / 2 - 1);
}

static unsigned bucket_of_us(uint64_t us)
{
	if (us <= 1) return 0;
	/* us is in (2^power, 2^(power+1)]. */
	unsigned power = 63u - (unsigned)__builtin_clzll(us - 1);
	if (2 * power >= METRICS_BUCKETS - 1) return METRICS_BUCKETS - 1;
	unsigned bucket = 2 * us <= UINT64_C(3) << power ? 2 * power : 2 * power + 1;
	return bucket < METRICS_BUCKETS ? bucket : METRICS_BUCKETS - 1;
}

static void exemplar_write(struct metrics_exemplar_cell *cell, const struct metrics_exemplar *from)
{
	uint32_t turn = atomic_load_explicit(&cell->turn, memory_order_relaxed);
	uint64_t place = (uint64_t)from->shard << 48 | (from->sequence & EXEMPLAR_SEQUENCE_MASK);

	/* Who sees one of these sees that the turn is odd. */
	atomic_store_explicit(&cell->turn, turn + 1, memory_order_relaxed);
	atomic_store_explicit(&cell->place, place, memory_order_release);
	atomic_store_explicit(&cell->received_us, from->received_us, memory_order_release);
	atomic_store_explicit(&cell->value_us, from->value_us, memory_order_release);
	atomic_store_explicit(&cell->time_us, from->time_us, memory_order_release);
	atomic_store_explicit(&cell->turn, turn + 2, memory_order_release);
}

/* False: there is none, or its writer is at it. */
static bool exemplar_read(const struct metrics_exemplar_cell *cell, struct metrics_exemplar *ret)
{
	uint32_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
	uint64_t place = atomic_load_explicit(&cell->place, memory_order_acquire);
	struct metrics_exemplar exemplar = {
		.sequence = place & EXEMPLAR_SEQUENCE_MASK,
		.shard = (uint16_t)(place >> 48),
		.received_us = atomic_load_explicit(&cell->received_us, memory_order_acquire),
		.value_us = atomic_load_explicit(&cell->value_us, memory_order_acquire),
		.time_us = atomic_load_explicit(&cell->time_us, memory_order_acquire),
	};
	uint32_t again = atomic_load_explicit(&cell->turn, memory_order_relaxed);
	if (turn == 0 || turn % 2 == 1 || turn != again) return false;
	*ret = exemplar;
	return true;
}

void metrics_observe(struct metrics *cells, enum metrics_histogram histogram,
	const struct metrics_exemplar *exemplar)
{
	struct metrics_histogram_cells *own = &cells->histograms[histogram];
	unsigned bucket = bucket_of_us(exemplar->value_us);

	metrics_cell_add(&own->buckets[bucket], 1);
	metrics_cell_add(&own->sum_us, exemplar->value_us);
	/* A clock that was set back gives a difference that is too large: taken at once. */
	struct metrics_exemplar_cell *cell = &own->exemplars[bucket];
	uint64_t since_us = exemplar->time_us - cell_read(&cell->time_us);
	if (since_us < METRICS_EXEMPLAR_INTERVAL_US || exemplar->received_us == 0) return;
	exemplar_write(cell, exemplar);
}

uint64_t metrics_quantile_us(const struct metrics_histogram_sum *sum, double q)
{
	CHECK(q > 0 && q < 1);

	if (sum->count == 0) return 0;
	double rank = q * (double)sum->count;
	uint64_t below = 0;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		below += sum->buckets[i];
		if ((double)below >= rank && below > 0) return metrics_bucket_us(i);
	}
	return UINT64_MAX;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

uint64_t metrics_sum(enum metrics_counter counter)
{
	uint64_t sum = 0;
	pthread_mutex_lock(&cells_lock);
	for (size_t i = 0; i < CELLS_MAX; i++) {
		if (cells_known[i] != NULL) sum += cell_read(&cells_known[i]->counters[counter]);
	}
	pthread_mutex_unlock(&cells_lock);
	return sum;
}

uint64_t metrics_endpoint_sum(uint32_t slot, enum metrics_endpoint counter)
{
	CHECK(slot < METRICS_SLOTS_MAX);

	uint64_t sum = 0;
	pthread_mutex_lock(&cells_lock);
	for (size_t i = 0; i < CELLS_MAX; i++) {
		if (cells_known[i] == NULL) continue;
		sum += cell_read(&cells_known[i]->endpoints[slot][counter]);
	}
	pthread_mutex_unlock(&cells_lock);
	return sum;
}

uint64_t metrics_target_sum(uint32_t slot, enum metrics_target counter)
{
	CHECK(slot < METRICS_SLOTS_MAX);

	uint64_t sum = 0;
	pthread_mutex_lock(&cells_lock);
	for (size_t i = 0; i < CELLS_MAX; i++) {
		if (cells_known[i] == NULL) continue;
		sum += cell_read(&cells_known[i]->targets[slot][counter]);
	}
	pthread_mutex_unlock(&cells_lock);
	return sum;
}

static void exemplars_merge(const struct metrics_histogram_cells *from,
	struct metrics_histogram_sum *to)
{
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		struct metrics_exemplar exemplar;
		if (!exemplar_read(&from->exemplars[i], &exemplar)) continue;
		if (exemplar.time_us >= to->exemplars[i].time_us) to->exemplars[i] = exemplar;
	}
}

void metrics_histogram_sum(enum metrics_histogram histogram, struct metrics_histogram_sum *ret)
{
	*ret = (struct metrics_histogram_sum){ 0 };
	pthread_mutex_lock(&cells_lock);
	for (size_t i = 0; i < CELLS_MAX; i++) {
		if (cells_known[i] == NULL) continue;
		const struct metrics_histogram_cells *one = &cells_known[i]->histograms[histogram];
		for (unsigned j = 0; j < METRICS_BUCKETS; j++) {
			ret->buckets[j] += cell_read(&one->buckets[j]);
		}
		ret->sum_us += cell_read(&one->sum_us);
		exemplars_merge(one, ret);
	}
	pthread_mutex_unlock(&cells_lock);
	/* Counted from the buckets, so that the exposition is never at odds with itself. */
	for (unsigned j = 0; j < METRICS_BUCKETS; j++) ret->count += ret->buckets[j];
}

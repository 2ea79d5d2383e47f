/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store_recent.h"

#include "base/alloc.h"

void recents_init(struct recents *recents)
{
	CHECK(pthread_mutex_init(&recents->lock, NULL) == 0);
	for (unsigned i = 0; i < RECENT_EPOCHS; i++) {
		recents->blocks[i].rows =
			alloc_map(RECENT_ROWS_MAX * sizeof *recents->blocks[i].rows);
		recents->blocks[i].tail = alloc_map_huge(JOURNAL_TAIL_SIZE);
	}
	recents->now = &recents->blocks[0];
	recents->now->number = 1;
}

void recents_done(struct recents *recents)
{
	if (recents->now == NULL) return;
	for (unsigned i = 0; i < RECENT_EPOCHS; i++) {
		alloc_unmap(recents->blocks[i].rows,
			RECENT_ROWS_MAX * sizeof *recents->blocks[i].rows);
		alloc_unmap(recents->blocks[i].tail, JOURNAL_TAIL_SIZE);
	}
	pthread_mutex_destroy(&recents->lock);
}

void recents_add(struct recents *recents, uint64_t key, struct journal_place place,
	const uint8_t *record)
{
	CHECK(recents->added_count < RECENT_ROWS_MAX);
	uint64_t last_key = recents->added_count == 0
		? recents->last_key
		: recents->now->rows[recents->added_count - 1].key;
	CHECK(last_key < key || last_key == 0);
	recents->now->rows[recents->added_count++] = (struct recent){ key, place, record };
}

void recents_publish(struct recents *recents)
{
	atomic_store_explicit(&recents->now->count, recents->added_count, memory_order_release);
}

void recents_abort(struct recents *recents)
{
	recents->added_count = atomic_load_explicit(&recents->now->count, memory_order_relaxed);
}

uint32_t recents_room(const struct recents *recents)
{
	return RECENT_ROWS_MAX - recents->added_count;
}

bool recents_turn(struct recents *recents)
{
	struct store_epoch *next = NULL;

	pthread_mutex_lock(&recents->lock);
	for (unsigned i = 0; i < RECENT_EPOCHS; i++) {
		struct store_epoch *block = &recents->blocks[i];
		if (block != recents->now && block->reader_count == 0) next = block;
	}
	recents_publish(recents);
	if (next != NULL) {
		if (recents->added_count > 0) {
			recents->last_key = recents->now->rows[recents->added_count - 1].key;
		}
		next->number = recents->now->number + 1;
		atomic_store_explicit(&next->count, 0, memory_order_relaxed);
		recents->last = recents->now;
		recents->now = next;
		recents->added_count = 0;
		recents->taken_count = 0;
	}
	pthread_mutex_unlock(&recents->lock);
	return next != NULL;
}

uint64_t recents_oldest(struct recents *recents)
{
	pthread_mutex_lock(&recents->lock);
	uint64_t oldest = recents->now->number;
	for (unsigned i = 0; i < RECENT_EPOCHS; i++) {
		const struct store_epoch *block = &recents->blocks[i];
		if (block->reader_count > 0 && block->number < oldest) oldest = block->number;
	}
	pthread_mutex_unlock(&recents->lock);
	return oldest;
}

struct store_epochs recents_acquire_begin(struct recents *recents)
{
	pthread_mutex_lock(&recents->lock);
	recents->now->reader_count++;
	if (recents->last != NULL) recents->last->reader_count++;
	return (struct store_epochs){ recents->now, recents->last };
}

void recents_acquire_end(struct recents *recents)
{
	pthread_mutex_unlock(&recents->lock);
}

void recents_release(struct recents *recents, struct store_epochs epochs)
{
	pthread_mutex_lock(&recents->lock);
	CHECK(epochs.now->reader_count > 0);
	epochs.now->reader_count--;
	if (epochs.last == NULL) {
		pthread_mutex_unlock(&recents->lock);
		return;
	}
	CHECK(epochs.last->reader_count > 0);
	epochs.last->reader_count--;
	pthread_mutex_unlock(&recents->lock);
}

uint32_t recents_seek(const struct store_epoch *epoch, uint64_t key)
{
	uint32_t low = 0;
	uint32_t high = atomic_load_explicit(&epoch->count, memory_order_acquire);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (epoch->rows[middle].key < key) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

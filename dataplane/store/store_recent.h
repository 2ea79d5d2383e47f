/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_recent — places of the values that the journal has and LMDB's last checkpoint has not, in
 * memory, for those who read. Epochs: each begins at a checkpoint; who reads holds the one
 * that was there when his snapshot of LMDB was taken, so that the two together miss nothing. (They
 * may overlap.)
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "store/store_journal.h"

/* One filled, the last one, and room for slow readers, who hold two each. A tail costs memory only
 * when it was used. */
enum { RECENT_EPOCHS = 6 };

struct recent {
	uint64_t key; /* the row's, as a number: rows of EVENTS sort by it */
	struct journal_place place;
	const uint8_t *record; /* in the epoch's tail, or NULL */
};

struct store_epoch {
	uint64_t number;
	struct recent *rows; /* RECENT_ROWS_MAX, sorted by key */
	uint8_t *tail;       /* the journal's end in memory; JOURNAL_TAIL_SIZE */
	_Atomic uint32_t count;
	uint32_t reader_count; /* under the lock */
};

struct recents {
	pthread_mutex_t lock;
	struct store_epoch blocks[RECENT_EPOCHS];
	/* Changed under the lock. Of the last one LMDB has all places, but what is in its tail need
	 * not be read from the disk. */
	struct store_epoch *now;
	struct store_epoch *last; /* or NULL */
	uint32_t added_count;     /* writer: with those of the open batch */
	uint32_t taken_count;     /* writer: of these, LMDB's pending transaction has the first */
	uint64_t last_key;        /* writer: of the epochs before; 0: none */
};

void recents_init(struct recents *recents);
void recents_done(struct recents *recents);

/* Writer thread. Keys only grow. */
void recents_add(struct recents *recents, uint64_t key, struct journal_place place,
	const uint8_t *record);
void recents_publish(struct recents *recents);
void recents_abort(struct recents *recents);
/* What else fits. */
uint32_t recents_room(const struct recents *recents);
/* LMDB has all of them, those of the open batch too: begins the next epoch. False when the
 * readers of the old ones leave no room for one; then this one goes on. */
bool recents_turn(struct recents *recents);
/* The oldest that is read in, or may be. */
uint64_t recents_oldest(struct recents *recents);

/* Readers. Between begin and end of the call no epoch turns: take the snapshot there. */
struct store_epochs {
	struct store_epoch *now;
	struct store_epoch *last; /* or NULL */
};
struct store_epochs recents_acquire_begin(struct recents *recents);
void recents_acquire_end(struct recents *recents);
void recents_release(struct recents *recents, struct store_epochs epochs);
/* Index of the first row whose key is not less; the number of rows when there is none. */
uint32_t recents_seek(const struct store_epoch *epoch, uint64_t key);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_rig — a store in a temporary folder whose journal has small segments, filled with events
 * 1, 2, 3 … of known values, and batches of them. What is wrong fails the test. */
#pragma once

#include "lib/folder.h"
#include "store/store_internal.h"

enum { JOURNAL_RIG_VALUE_SIZE = 50000 };

struct journal_rig {
	char folder[FOLDER_PATH_SIZE];
	struct store_config config;
	struct store *store;
	char error[256];
	uint64_t next; /* key of the next event */
	uint64_t batches;
};

/* For cmocka: *state is the rig. */
int journal_rig_begin(void **state);
int journal_rig_end(void **state);
enum result journal_rig_open(struct journal_rig *rig);
/* Closes without a checkpoint, as a crash leaves it. */
void journal_rig_crash(struct journal_rig *rig);
void journal_rig_reopen(struct journal_rig *rig);
/* Gives the folder up for a new store with that quota. */
void journal_rig_renew(struct journal_rig *rig, uint64_t quota_size);

/* Valid until the next call. */
struct bytes journal_rig_key(uint64_t number);
struct bytes journal_rig_value(uint64_t number, size_t size);
/* The next event, into a batch that is open. */
void journal_rig_add(struct journal_rig *rig, struct store_txn *txn, size_t size);
/* A batch of events, and a row that only the journal has until the checkpoint. */
void journal_rig_commit(struct journal_rig *rig, unsigned count);
/* Batches without events until the next one begins a new segment. */
void journal_rig_fill_segment(struct journal_rig *rig);
/* Batches of one event until fewer than `size` bytes of the segment are left. */
void journal_rig_approach_end(struct journal_rig *rig, uint64_t size);
/* A batch that deletes events *first … end_key-1. */
void journal_rig_delete_below(struct journal_rig *rig, uint64_t *first, uint64_t end_key);
void journal_rig_checkpoint(struct journal_rig *rig);

void journal_rig_assert_event(struct store_txn *txn, uint64_t number);
/* Events `first` to the last are there and no others, whichever way one looks. */
void journal_rig_assert_events(struct journal_rig *rig, uint64_t first);
uint64_t journal_rig_row_count(struct journal_rig *rig, enum store_table table);

/* "folder/journal-<file>" */
void journal_rig_path(const struct journal_rig *rig, uint32_t file, char path[FOLDER_PATH_SIZE]);
/* Turns one bit of the byte at a position, in its file. */
void journal_rig_change_byte(const struct journal_rig *rig, uint64_t position);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* world — a shard and its queue in a temporary folder, on one thread: the test says when the
 * writer commits and when the worker works. Time is a number. */
#pragma once

#include "lib/folder.h"
#include "queue/queue.h"
#include "queue/queue_internal.h"

enum { WORLD_ENDPOINT_FIRST = 2, WORLD_ENDPOINTS = 3 };
enum { WORLD_TARGETS_MAX = 64, WORLD_PAYLOAD_SIZE_MAX = 160 * 1024 };

struct world {
	char folder[FOLDER_PATH_SIZE];
	struct shard_config config;
	struct queue_limits limits; /* window_events 0: those of bounds.h */
	struct replay *replay;
	struct shard *shard;
	struct queue *queue;
	uint64_t now_us;
	bool untold; /* world_append() does not tell the queue */
	/* What the queue has said. */
	unsigned wakes;
	unsigned ready_calls;
	uint64_t due_us;
	enum result failed;
};

/* Opens shard and queue in a new folder. Small quota, no retention: change config, reopen. */
void world_open(struct world *world);
/* In a folder that is there. */
enum result world_open_at(struct world *world, const char *folder);
void world_close(struct world *world);
/* And opens again: what a restart does. */
void world_reopen(struct world *world);
/* Closes and removes the folder. */
void world_end(struct world *world);
/* For a test's setup and teardown: an open world that is all defaults, one at a time; its end. */
int world_setup(void **state);
int world_teardown(void **state);

/* One event with that payload to the targets, committed and told to the queue. Its result. */
enum result world_append(struct world *world, size_t payload_size, unsigned target_count, ...);
/* For a test that appends by itself and looks at the job's result. */
void world_append_done(struct store_job *job);
/* The payload of an event made by world_append(). */
void world_payload(uint64_t sequence, uint8_t *payload, size_t size);
/* Commits and works until nothing moves any more. */
void world_run(struct world *world);
/* Leases, or fails the test. */
struct delivery *world_lease(struct world *world, uint32_t target_id);
void world_settle(struct world *world, struct delivery *delivery, enum attempt_outcome outcome,
	uint64_t next_due_us);
/* Leases one of the target and settles it as delivered, or fails the test. Its sequence. */
uint64_t world_deliver(struct world *world, uint32_t target_id);
/* A second passes, in which everything is done that can be. */
void world_pass_a_second(struct world *world);
/* Delivers those of the target from first to last, each once, in order, over the time that takes;
 * or fails the test. */
void world_deliver_some(struct world *world, uint32_t target_id, uint64_t first, uint64_t last);
/* And there are no more. */
void world_deliver_all(struct world *world, uint32_t target_id, uint64_t first, uint64_t last);
/* One round of the worker, then one of the writer. What is ready of the target is delivered; how
 * much that was. */
unsigned world_deliver_round(struct world *world, uint32_t target_id);
/* Rows of a table that are on disk. */
uint64_t world_row_count(struct world *world, enum store_table table);
/* The ledger says what a count of the rows says, or the check fails. */
void world_check_ledger(struct world *world);
/* Of an endpoint; WORLD_ENDPOINTS of them take turns with the events, from WORLD_ENDPOINT_FIRST. */
struct account world_account(struct world *world, uint32_t endpoint_id);
/* A row whose key is none of its table's, as rot makes them; LMDB has it. */
void world_put_damaged_key(struct world *world, enum store_table table, struct bytes key);

/* One name. */
enum result world_remember_name(struct shard *shard, char kind, uint32_t id, const char *text);

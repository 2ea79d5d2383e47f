/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_action — what people did to the daemon, as rows with a leaf of the audit log each: who,
 * when, what, with which arguments. Secrets are never among them.
 *
 * What was done to a delivery (a replay) stands beside it, under its sequence, and is written with
 * the change itself. What is about no delivery stands in shard 0 under sequence 0 and a counter,
 * and is written by shard_action_submit(). Such rows are few and small, and are never deleted.
 */
#pragma once

#include "base/clock.h"
#include "store/store_writer.h"

struct shard;

/* Stored: numbers stay. */
#define SHARD_ACTION_TABLE(X) \
	X(REPLAY, 1, "dlq replay") \
	X(RELOAD, 2, "reload") \
	X(DRAIN, 3, "drain") \
	X(STOP, 4, "stop") \
	X(BACKUP, 5, "backup") \
	X(UPGRADE, 6, "upgrade")
enum shard_action_kind {
#define X(name, number, text) SHARD_ACTION_##name = number,
	SHARD_ACTION_TABLE(X)
#undef X
};
/* "reload"; "?" for one that a newer version wrote. */
const char *shard_action_text(uint8_t kind);

enum { SHARD_ACTOR_SIZE = 64, SHARD_ACTION_TEXT_SIZE = 192 };

struct shard_action {
	struct store_job job; /* complete by the caller; the rest is set by submit */
	struct shard *shard;
	enum shard_action_kind kind;
	wall_t when;
	char actor[SHARD_ACTOR_SIZE];      /* "alice uid 1000 pid 4711" */
	char text[SHARD_ACTION_TEXT_SIZE]; /* arguments and outcome; may be empty */
	uint64_t counter;                  /* set when applied: from 1 */
};
/* Any thread. On disk, with its leaf, when it completes with RESULT_OK. */
void shard_action_submit(struct shard *shard, struct shard_action *action);

/* One of them, read; the texts are views until the read ends. */
struct shard_action_row {
	uint64_t counter;
	uint8_t kind;
	wall_t when;
	struct bytes actor;
	struct bytes text;
};
/* The last one before `before` (0: the last of all). RESULT_NOT_FOUND: there is none;
 * RESULT_MALFORMED: this one has rotted, its counter is set. */
MUST_USE enum result shard_action_before(struct store_txn *txn, uint64_t before,
	struct shard_action_row *ret);

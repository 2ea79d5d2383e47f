/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_rig — control over two shards in a temporary folder and a daemon that only remembers
 * what it was asked. The test's thread is the worker and the writer of both shards: it works
 * while it waits for an answer.
 */
#pragma once

#include "control/control_internal.h"
#include "lib/world.h"

enum { RIG_SHARDS = 2, RIG_BODY_SIZE = 1 << 20 };

struct rig {
	struct world worlds[RIG_SHARDS];
	struct shard *shards[RIG_SHARDS];
	struct queue *queues[RIG_SHARDS];
	struct flow *flow;
	struct config *config; /* what control was started with; the flow's */
	struct control *control;
	char folder[FOLDER_PATH_SIZE];
	char socket[FOLDER_PATH_SIZE];
	/* The daemon. */
	atomic_int state;
	atomic_int drains;
	atomic_int stops;
	atomic_int reloads;
	atomic_bool reload_is_held; /* reload() does not return before this is false */
	enum result reload_result;
	struct control_change change; /* as it was last asked for */
	/* The last answer. */
	unsigned status;
	char head[4096];
	char body[RIG_BODY_SIZE];
	size_t body_size;
};

/* Targets "orders" and "audit", endpoint "github" to both; nothing is in the shards. */
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
/* Without and with control, for tests of starting. */
void rig_open_stopped(struct rig *rig);
enum result rig_start(struct rig *rig, char *error, size_t error_size);

/* An event of "github" in that shard, received at that time; its id. */
const char *rig_event(struct rig *rig, uint32_t shard, uint64_t received_us);
/* Settles one delivery of the shard's next ready event to the target. */
void rig_settle(struct rig *rig, uint32_t shard, const char *target, enum attempt_outcome outcome);

/* A connection to the control socket, or -1. */
int rig_connect(const struct rig *rig);
void rig_send(int fd, const char *text, size_t size);
/* Reads to the end of the connection, working meanwhile, and takes the answer apart. False when
 * nothing came. */
bool rig_receive(struct rig *rig, int fd);
/* One request on a connection of its own; status, head and body are in the rig. */
unsigned rig_ask(struct rig *rig, const char *method, const char *target);
/* Fails the test unless the body holds the text. */
void rig_expect(const struct rig *rig, const char *text);
void rig_expect_not(const struct rig *rig, const char *text);
/* The text of a JSON member in the body: the first of that name. */
const char *rig_member(const struct rig *rig, const char *name);

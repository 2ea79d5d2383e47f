/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop — one worker's turn: submit and wait → callbacks → mail → due timers → deferred work.
 *
 * Work that a callback should not do at once (it would recurse, or use up the stack) is
 * deferred: a task embedded in its owner runs once at the end of the same turn. When deferred
 * work was added during that phase, the next turn does not wait.
 */
#pragma once

#include "base/mailbox.h"
#include "engine/io.h"
#include "engine/timers.h"

struct task {
	struct list node; /* private */
	void (*run)(void *owner);
	void *owner;
};

struct loop {
	struct io *io;
	struct timers timers;
	struct list tasks;
	struct mailbox mailbox;
	/* What to do with mail; set by the worker before the first turn. */
	void (*mail)(void *owner, struct mail *mail);
	/* May be NULL. Before each turn; `looked`: the last one found nothing to do, and this one
	 * would wait. Returns for how long at most (us); after that it is asked again. */
	uint64_t (*rest)(void *owner, bool looked);
	void *owner;
	bool looked; /* private */
};

/* Opens the io with the loop's own woken(). `config->woken` and `owner` are ignored. */
MUST_USE enum result loop_open(struct loop *loop, const struct io_config *config);
void loop_close(struct loop *loop);

/* One turn. Never waits when tasks or mail are waiting; else until the next timer. */
MUST_USE enum result loop_turn(struct loop *loop);
/* How long the next turn may wait; for the simulation's scheduler. */
uint64_t loop_wait_us(struct loop *loop);

void task_init(struct task *task, void (*run)(void *owner), void *owner);
/* Idempotent until it runs. */
void loop_defer(struct loop *loop, struct task *task);
void task_cancel(struct task *task);

/* Any thread: puts the mail in the box and wakes the loop. */
void loop_post(struct loop *loop, struct mail *mail);
/* The same without waking it: who posts several in a row wakes it with the last. */
void loop_post_followed(struct loop *loop, struct mail *mail);

/* This turn has brought nothing: what is worth waiting for is not on its way. */
static inline bool loop_found_nothing(const struct loop *loop)
{
	return loop->looked;
}

static inline mono_t loop_now(const struct loop *loop)
{
	return io_mono(loop->io);
}

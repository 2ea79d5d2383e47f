/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timers — a hierarchical timer wheel with intrusive entries: start, stop and restart in
 * O(1), no allocation, no clock of its own. One thread.
 *
 * Coarse on purpose: a timer fires at its time or up to TIMER_TICK_MS later, never earlier.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"

enum { TIMER_TICK_MS = 4, TIMER_LEVELS = 5, TIMER_SLOTS = 64 };

struct timer {
	struct list node; /* private */
	uint64_t tick;    /* private */
	void (*expired)(void *owner);
	void *owner;
};

struct timers {
	uint64_t now_tick;
	uint64_t count;
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
	uint64_t occupied[TIMER_LEVELS]; /* a bit per slot that may be non-empty */
};

void timers_init(struct timers *timers, mono_t now);

/* Once, before first use. */
void timer_init(struct timer *timer, void (*expired)(void *owner), void *owner);
/* Starts or restarts. delay_us beyond the wheel's span (48 days) is cut to it. */
void timer_start(struct timers *timers, struct timer *timer, mono_t now, uint64_t delay_us);
/* Safe on a timer that is not running. */
void timer_stop(struct timers *timers, struct timer *timer);
bool timer_running(const struct timer *timer);

/* Runs what is due; an expired() callback may start and stop any timer. */
void timers_run(struct timers *timers, mono_t now);
/* Microseconds until the next timer could be due (a lower bound, at times early by a wheel
 * level), UINT64_MAX when there is none: the wait of the next turn. */
uint64_t timers_wait_us(const struct timers *timers, mono_t now);
/* CHECKs the structure; for tests. */
void timers_validate(const struct timers *timers);

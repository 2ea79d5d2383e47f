/* SPDX-License-Identifier: GPL-2.0-or-later */
/* search — looks for the highest rate that holds: which rate to try next, when it is found.
 * Pure: what "holds" means is for the caller.
 *
 * Doubles until a rate does not hold, then halves the distance (geometrically) until what
 * holds and what does not are SEARCH_CLOSENESS apart. A rate counts as failed only after a second
 * try: on a machine that others use a single bad step says little.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SEARCH_CLOSENESS 1.03

/* What was acked, of what was asked for: less means that a backlog grew. */
#define SEARCH_REACHED_MIN 0.98

/* Answers that the edges of the measured time may cost: one at its begin, one at its end. */
enum { SEARCH_STEPS_MAX = 40, SEARCH_EDGE_ANSWERS = 2 };

struct search {
	double rate;   /* to try next, events per second */
	double held;   /* the highest that held; 0: none yet */
	double failed; /* the lowest that did not; 0: none yet */
	bool again;    /* `rate` has failed once */
	uint32_t step_count;
};

/* Whether what was asked for was done: `acked` answers within `seconds`, of `rate` a second, are at
 * most a fiftieth too few, or the two that fall out at the edges of the time: with twenty events
 * asked for, one that is answered a moment too late would be a twentieth.
 */
bool search_kept_up(double rate, double seconds, uint64_t acked);

struct search search_from(double rate);
void search_tell(struct search *search, bool holds);
/* Found, or given up: then `held` is 0, or the best there was time for. */
bool search_done(const struct search *search);

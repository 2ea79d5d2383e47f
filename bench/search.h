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

enum { SEARCH_STEPS_MAX = 40 };

struct search {
	double rate;   /* to try next, events per second */
	double held;   /* the highest that held; 0: none yet */
	double failed; /* the lowest that did not; 0: none yet */
	bool again;    /* `rate` has failed once */
	uint32_t step_count;
};

struct search search_from(double rate);
void search_tell(struct search *search, bool holds);
/* Found, or given up: then `held` is 0, or the best there was time for. */
bool search_done(const struct search *search);

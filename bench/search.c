/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "search.h"

#include <math.h>

#define GROWTH 2
/* Each rate that does not hold costs two steps: down it goes faster. */
#define DESCENT 4
/* Below an event per second there is nothing to be found. */
#define RATE_MIN 1.0

bool search_kept_up(double rate, double seconds, uint64_t acked)
{
	double asked = rate * seconds;

	return (double)acked >= asked * SEARCH_REACHED_MIN ||
		(double)acked + SEARCH_EDGE_ANSWERS >= asked;
}

struct search search_from(double rate)
{
	return (struct search){ .rate = rate > RATE_MIN ? rate : RATE_MIN };
}

static double next_rate(const struct search *search)
{
	if (search->failed <= 0) return search->held * GROWTH;
	if (search->held <= 0) {
		double lower = search->failed / DESCENT;
		return lower < RATE_MIN && search->failed > RATE_MIN ? RATE_MIN : lower;
	}
	return sqrt(search->held * search->failed);
}

void search_tell(struct search *search, bool holds)
{
	search->step_count++;
	if (!holds && !search->again) {
		search->again = true;
		return;
	}
	search->again = false;
	if (holds) {
		search->held = search->rate;
	} else {
		search->failed = search->rate;
	}
	search->rate = next_rate(search);
}

bool search_done(const struct search *search)
{
	if (search->step_count >= SEARCH_STEPS_MAX || search->rate < RATE_MIN) return true;
	return search->held > 0 && search->failed > 0 &&
		search->failed / search->held <= SEARCH_CLOSENESS;
}

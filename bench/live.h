/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live — what a person sees while a run goes on: on a terminal a few lines that are drawn over
 * again, elsewhere (a file, a pipe) a plain line now and then.
 */
#pragma once

#include <stdio.h>

#include "base/bars.h"
#include "watch.h"

enum { LIVE_BARS = 40 };

struct live {
	FILE *to;
	bool terminal;
	bool end_to_end;
	const struct ledger *ledger;
	const char *phase; /* "warming up"; a literal, changed as the run goes on */
	double until_s;    /* when sending ends, since the start; 0: not known */
	bool drawn;
	double said_s; /* when the last plain line was written */
	struct bars rates;
};

void live_show(struct live *live, const struct sample *sample);
/* Takes the lines away, for something else to be written in their place. */
void live_clear(struct live *live);
/* The lines stay; what is written next comes below. */
void live_end(struct live *live);

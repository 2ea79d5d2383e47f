/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find — the highest rate whose p99 stays within a limit, by steps of an open loop.
 *
 * A step holds when the p99 of the acks (and, with a sink, of the deliveries) is within the
 * limit, the asked rate was reached, and nothing was refused or broken. Between two steps
 * everything that is under way is waited for, so that one does not pay for the other. The rate
 * found is tried once more, and that is what the report tells of.
 */
#pragma once

#include "bench.h"
#include "report.h"

/* The run has begun. Fills in what was measured; report->found_rate is 0 when nothing held. */
void find_highest(struct bench *bench, struct report *report);

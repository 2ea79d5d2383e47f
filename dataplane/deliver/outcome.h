/* SPDX-License-Identifier: GPL-2.0-or-later */
/* outcome — what an attempt's end means for its delivery. Pure: a table and arithmetic. */
#pragma once

#include "base/clock.h"
#include "deliver/backoff.h"
#include "queue/event.h"

struct outcome_input {
	enum attempt_error error; /* NONE: an answer came */
	uint16_t status;
	uint32_t tries; /* of the present budget, with this one */
	uint32_t tries_max;
	struct backoff backoff;
	uint64_t retry_after_s; /* 0: the target did not ask */
	wall_t now;
	uint64_t random;
};

struct outcome {
	enum attempt_outcome outcome;
	enum attempt_error error; /* STATUS is filled in for answers other than 2xx */
	wall_t next_due;          /* for RETRY */
};

/* A  an answer 2xx                         → delivered
 * B  any other answer, or none, tries left → retry after the back-off, or after Retry-After
 *                                            when that is longer (429, 503 …)
 * C  the same, no tries left               → dead
 * D  the target is no longer configured    → dead at once: nobody could answer a retry
 *
 * 3xx is a failure (Standard Webhooks: no redirects). 410 is one like any other: hosting
 * companies and CDNs return it by mistake (standard-webhooks issue 291). */
struct outcome outcome_judge(const struct outcome_input *input);

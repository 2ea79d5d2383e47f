/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "deliver/outcome.h"

#include "base/check.h"
#include "bounds.h"

struct outcome outcome_judge(const struct outcome_input *input)
{
	CHECK(input->tries > 0);
	CHECK(input->tries_max > 0);

	bool answered = input->error == ATTEMPT_ERROR_NONE;
	if (answered && input->status >= 200 && input->status <= 299) {
		return (struct outcome){ .outcome = ATTEMPT_DELIVERED }; /* A */
	}

	struct outcome outcome = { .error = answered ? ATTEMPT_ERROR_STATUS : input->error };
	if (input->error == ATTEMPT_ERROR_TARGET_REMOVED || input->tries >= input->tries_max) {
		outcome.outcome = ATTEMPT_DEAD; /* C, D */
		return outcome;
	}
	uint64_t delay_ms = backoff_delay_ms(&input->backoff, input->tries, input->random);
	uint64_t asked_s = input->retry_after_s < DELIVER_RETRY_AFTER_MAX_S
		? input->retry_after_s
		: DELIVER_RETRY_AFTER_MAX_S;
	if (answered && asked_s * 1000 > delay_ms) delay_ms = asked_s * 1000;
	outcome.outcome = ATTEMPT_RETRY; /* B */
	outcome.next_due.us = input->now.us + delay_ms * US_PER_MS;
	return outcome;
}

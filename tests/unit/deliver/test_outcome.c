/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Question answered: is every end of an attempt judged as the table in outcome.h says? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "bounds.h"
#include "deliver/outcome.h"

#define NOW_US UINT64_C(1700000000000000)

static struct outcome judge(enum attempt_error error, uint16_t status, uint32_t tries,
	uint64_t retry_after_s)
{
	return outcome_judge(&(struct outcome_input){
		.error = error,
		.status = status,
		.tries = tries,
		.tries_max = 5,
		.backoff = { .base_ms = 1000, .max_ms = 60000 },
		.retry_after_s = retry_after_s,
		.now = { NOW_US },
		.random = 0,
	});
}

/* Row A: 2xx is delivered, whatever else is said, and nothing else is. */
static void only_2xx_is_delivered(void **state)
{
	(void)state;
	for (uint16_t status = 100; status < 600; status++) {
		struct outcome outcome = judge(ATTEMPT_ERROR_NONE, status, 1, 0);
		if (status >= 200 && status <= 299) {
			assert_int_equal(outcome.outcome, ATTEMPT_DELIVERED);
			assert_int_equal(outcome.error, ATTEMPT_ERROR_NONE);
		} else {
			assert_int_equal(outcome.outcome, ATTEMPT_RETRY);
			assert_int_equal(outcome.error, ATTEMPT_ERROR_STATUS);
		}
	}
}

/* Rows B and C: every failure is tried again until the tries are spent, then it is dead. */
static void failures_are_retried_until_tries_are_spent(void **state)
{
	static const enum attempt_error errors[] = {
		ATTEMPT_ERROR_UNRESOLVED,
		ATTEMPT_ERROR_CONNECT,
		ATTEMPT_ERROR_CONNECT_TIMEOUT,
		ATTEMPT_ERROR_TLS,
		ATTEMPT_ERROR_RESET,
		ATTEMPT_ERROR_TIMEOUT,
		ATTEMPT_ERROR_PROTOCOL,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
		for (uint32_t tries = 1; tries <= 6; tries++) {
			struct outcome outcome = judge(errors[i], 0, tries, 0);
			assert_int_equal(outcome.outcome, tries < 5 ? ATTEMPT_RETRY : ATTEMPT_DEAD);
			assert_int_equal(outcome.error, errors[i]);
			assert_true(tries >= 5 || outcome.next_due.us > NOW_US);
		}
	}
	assert_int_equal(judge(ATTEMPT_ERROR_NONE, 500, 5, 0).outcome, ATTEMPT_DEAD);
}

/* Row B: Retry-After lengthens the wait, never shortens it, and is bounded. */
static void retry_after_is_honoured_within_bounds(void **state)
{
	(void)state;
	uint64_t plain_us = judge(ATTEMPT_ERROR_NONE, 429, 3, 0).next_due.us - NOW_US;
	assert_int_equal(judge(ATTEMPT_ERROR_NONE, 429, 3, 1).next_due.us - NOW_US, plain_us);
	assert_int_equal(judge(ATTEMPT_ERROR_NONE, 429, 3, 30).next_due.us - NOW_US, 30 * US_PER_S);
	assert_int_equal(judge(ATTEMPT_ERROR_NONE, 503, 3, UINT64_MAX).next_due.us - NOW_US,
		DELIVER_RETRY_AFTER_MAX_S * US_PER_S);
	/* Without an answer nobody has asked for anything. */
	assert_int_equal(judge(ATTEMPT_ERROR_RESET, 0, 3, 30).next_due.us - NOW_US, plain_us);
}

/* Row D: a target that is no longer configured is not waited for. */
static void removed_target_is_dead_at_once(void **state)
{
	(void)state;
	assert_int_equal(judge(ATTEMPT_ERROR_TARGET_REMOVED, 0, 1, 0).outcome, ATTEMPT_DEAD);
}

/* 410 and 3xx are failures like others: no endpoint is given up, no redirect followed. */
static void gone_and_redirects_are_ordinary_failures(void **state)
{
	static const uint16_t statuses[] = { 301, 302, 307, 308, 410 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(statuses); i++) {
		assert_int_equal(judge(ATTEMPT_ERROR_NONE, statuses[i], 1, 0).outcome,
			ATTEMPT_RETRY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_2xx_is_delivered),
		cmocka_unit_test(failures_are_retried_until_tries_are_spent),
		cmocka_unit_test(retry_after_is_honoured_within_bounds),
		cmocka_unit_test(removed_target_is_dead_at_once),
		cmocka_unit_test(gone_and_redirects_are_ordinary_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

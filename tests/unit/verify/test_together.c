/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that are checked together are judged as each alone: of any scheme, right ones beside
 * forged and late ones, while their header fields are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "lib/webhook.h"
#include "verify/verify.h"

enum { NOW_S = 1700000000, LATE_S = 100000 };

static struct webhook webhooks[VERIFY_TASKS_MAX];
static struct verifier *verifiers[VERIFY_TASKS_MAX];
static struct verify_task tasks[VERIFY_TASKS_MAX]; /* of those that waited */
static struct verify_outcome outcomes[VERIFY_TASKS_MAX];
static enum verdict wanted[VERIFY_TASKS_MAX];
static wall_t now = { .us = NOW_S * US_PER_S };

enum fault { FAULT_NONE, FAULT_BODY, FAULT_KEY, FAULT_SIGNATURE, FAULT_OLD_KEY, FAULT_COUNT };

static void set_text(char *to, const char *text)
{
	assert_true(bytes_to_text(bytes_of_text(text), to, WEBHOOK_TEXT_MAX));
}

/* A request of that scheme with a body of its own, and what is wrong with it. */
static void make(size_t i, const struct scheme *scheme, enum fault fault, size_t body_size)
{
	struct webhook *webhook = &webhooks[i];

	webhook_sign(webhook, scheme, NOW_S);
	struct verifier *signer = webhook_verifier(webhook, 0);
	assert_true(body_size < sizeof webhook->body);
	for (size_t k = 0; k < body_size; k++) webhook->body[k] = (char)('a' + (i + k) % 23);
	webhook->body[body_size] = '\0';

	uint8_t lines[WEBHOOK_TEXT_MAX];
	struct writer writer = writer_of(lines, sizeof lines);
	const struct sign_input input = {
		.event_id = BYTES_LITERAL("m5g_n0nce_1"),
		.method = bytes_of_text(webhook->method),
		.url = bytes_of_text(webhook->url),
		.body = bytes_of_text(webhook->body),
		.now = now,
	};
	assert_int_equal(verifier_sign(signer, &input, &writer), RESULT_OK);
	webhook->field_count = 0;
	webhook_add_lines(webhook, writer_bytes(&writer));
	verifier_free(signer);

	if (fault == FAULT_BODY) webhook->body[body_size / 2] ^= 1;
	if (fault == FAULT_KEY) set_text(webhook->secret, webhook_secret(scheme, 1));
	if (fault == FAULT_SIGNATURE) {
		char *value = webhook_value(webhook, scheme_signature_header(scheme));
		value[strlen(value) - 3] ^= 1;
	}
	if (fault == FAULT_OLD_KEY) {
		set_text(webhook->previous, webhook->secret);
		set_text(webhook->secret, webhook_secret(scheme, 1));
	}
	verifiers[i] = webhook_verifier(webhook, 0);
	assert_non_null(verifiers[i]);
	bool right = fault == FAULT_NONE || fault == FAULT_OLD_KEY;
	wanted[i] = right ? VERDICT_AUTHENTIC : VERDICT_SIGNATURE_MISMATCH;
}

static void assert_same(const struct verify_outcome *a, const struct verify_outcome *b)
{
	assert_int_equal(a->verdict, b->verdict);
	assert_ptr_equal(a->header, b->header);
	assert_int_equal(a->key_index, b->key_index);
	assert_int_equal(a->timestamp_s, b->timestamp_s);
	assert_true(bytes_equal(a->event_id, b->event_id));
	assert_memory_equal(&a->identity, &b->identity, sizeof a->identity);
	assert_int_equal(a->body_hash, b->body_hash);
	assert_int_equal(a->body_hashed, b->body_hashed);
	if (a->body_hashed) {
		assert_memory_equal(a->body_sha256, b->body_sha256, sizeof a->body_sha256);
	}
}

/* Returns how many of them waited. */
static size_t judge_together(size_t count, wall_t at)
{
	struct verify_outcome alone[VERIFY_TASKS_MAX];
	size_t waiting[VERIFY_TASKS_MAX];
	size_t waiting_count = 0;

	for (size_t i = 0; i < count; i++) {
		struct verify_task *task = &tasks[waiting_count];
		struct http_fields fields;
		const struct verify_input input = webhook_input(&webhooks[i], &fields);
		verify_request(verifiers[i], &input, at, &alone[i]);
		if (verify_begin(verifiers[i], &input, at, task)) {
			assert_int_not_equal(task->outcome.verdict, VERDICT_AUTHENTIC);
			waiting[waiting_count++] = i;
		} else {
			outcomes[i] = task->outcome;
		}
		memset(&fields, 0xff, sizeof fields); /* they are the next request's now */
	}
	verify_finish(tasks, waiting_count, at);
	for (size_t k = 0; k < waiting_count; k++) outcomes[waiting[k]] = tasks[k].outcome;
	for (size_t i = 0; i < count; i++) {
		assert_same(&outcomes[i], &alone[i]);
		verifier_free(verifiers[i]);
	}
	return waiting_count;
}

/* Nothing is signed, so nothing shows that the body was changed. */
static bool is_token(const struct scheme *scheme)
{
	return strcmp(scheme_name(scheme), "gitlab-token") == 0;
}

/* By what was done to it, whatever it is judged as alone. */
static void assert_wanted(size_t i, const struct scheme *scheme, bool late)
{
	const struct verify_outcome *outcome = &outcomes[i];
	static const struct hash128 none = { 0 };

	if (is_token(scheme)) return;
	if (wanted[i] == VERDICT_AUTHENTIC) {
		bool refused = late && scheme_tolerance_s(scheme) > 0;
		assert_int_equal(outcome->verdict, refused ? VERDICT_TIMESTAMP : wanted[i]);
		return;
	}
	assert_true(outcome->verdict == VERDICT_SIGNATURE_MISMATCH ||
		outcome->verdict == VERDICT_MALFORMED_SIGNATURE);
	assert_false(outcome->body_hashed);
	assert_int_equal(outcome->event_id.size, 0);
	assert_memory_equal(&outcome->identity, &none, sizeof none);
}

/* Which schemes wait: those with SHA-256 whose signed text ends with the body. */
static void test_which_wait(void **state)
{
	static const struct {
		const char *scheme;
		bool waits;
	} cases[] = {
		{ "github", true }, { "standard-webhooks", true }, { "stripe", true },
		{ "slack", true }, { "shopify", true }, { "square", true },
		{ "box", false },          /* the timestamp stands behind the body */
		{ "gitlab-token", false }, /* nothing is hashed */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		make(0, scheme_find(bytes_of_text(cases[i].scheme)), FAULT_NONE, 100);
		size_t waited = judge_together(1, now);
		if ((waited == 1) != cases[i].waits) fail_msg("%s", cases[i].scheme);
		assert_int_equal(outcomes[0].verdict, VERDICT_AUTHENTIC);
	}
}

static void test_together_as_alone(void **state)
{
	struct random random = { .state = 23 };
	size_t waited = 0;
	(void)state;

	for (unsigned round = 0; round < 400; round++) {
		const struct scheme *schemes[VERIFY_TASKS_MAX];
		size_t count = random_below(&random, VERIFY_TASKS_MAX) + 1;
		bool late = round % 5 == 0;
		wall_t at = now;
		for (size_t i = 0; i < count; i++) {
			enum fault fault = (enum fault)random_below(&random, FAULT_COUNT);
			size_t size = random_below(&random, 500);
			if (fault == FAULT_BODY) size++; /* there must be one to be changed */
			schemes[i] = scheme_at(random_below(&random, scheme_count()));
			make(i, schemes[i], fault, size);
		}
		if (late) at.us += LATE_S * US_PER_S;
		waited += judge_together(count, at);
		for (size_t i = 0; i < count; i++) assert_wanted(i, schemes[i], late);
	}
	assert_true(waited > 1000);
}

/* What stands before the body and has no room in a task is judged at once, as before. */
static void test_a_long_url_does_not_wait(void **state)
{
	(void)state;
	const struct scheme *square = scheme_find(BYTES_LITERAL("square"));
	assert_true(scheme_signs_url(square));
	for (size_t size = VERIFY_BEFORE_SIZE_MAX - 1; size <= VERIFY_BEFORE_SIZE_MAX + 1; size++) {
		struct webhook *webhook = &webhooks[0];
		make(0, square, FAULT_NONE, 50);
		memset(webhook->url, 'u', size);
		webhook->url[size] = '\0';
		size_t waited = judge_together(1, now);
		assert_int_equal(waited, size <= VERIFY_BEFORE_SIZE_MAX ? 1 : 0);
		assert_int_equal(outcomes[0].verdict, VERDICT_SIGNATURE_MISMATCH);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_wait),
		cmocka_unit_test(test_together_as_alone),
		cmocka_unit_test(test_a_long_url_does_not_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An identity follows the event and nothing else: not the attempt, not what an attacker could
 * change. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"

enum { NOW_S = 1700000000 };

static struct webhook webhook;

static void set_text(char *to, const char *text)
{
	assert_true(bytes_to_text(bytes_of_text(text), to, WEBHOOK_TEXT_MAX));
}

static struct verify_outcome accepted(void)
{
	struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
	assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
	return outcome;
}

/* Signs the same again after a change: body, id, time or unsigned headers. */
struct change {
	const char *body;
	const char *event_id;
	uint64_t later_s;
	const char *field[2]; /* name and value */
};

static void sign_changed(const char *scheme, const struct change *change)
{
	char lines[2048];
	struct writer writer = writer_of(lines, sizeof lines);
	const char *id = change->event_id == NULL ? "id_1" : change->event_id;

	webhook = (struct webhook){ .scheme = scheme_find(bytes_of_text(scheme)) };
	set_text(webhook.secret, webhook_secret(webhook.scheme, 0));
	set_text(webhook.body, change->body == NULL ? "{\"id\":\"e1\",\"n\":1}" : change->body);
	set_text(webhook.url, "https://example.com/");
	memcpy(webhook.method, "POST", 5);
	struct verifier *verifier = webhook_verifier(&webhook, 0);
	struct sign_input input = {
		.event_id = bytes_of_text(id),
		.method = bytes_of_text(webhook.method),
		.url = bytes_of_text(webhook.url),
		.body = bytes_of_text(webhook.body),
		.now = { .us = (NOW_S + change->later_s) * US_PER_S },
	};
	assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);
	webhook_add_lines(&webhook, writer_bytes(&writer));
	verifier_free(verifier);
	if (change->field[0] != NULL)
		webhook_add_field(&webhook, change->field[0], change->field[1]);
}

#define OTHER_BODY "{\"id\":\"e1\",\"n\":2}"
#define OTHER_EVENT "{\"id\":\"e2\",\"n\":1}"
#define NO_ID "{\"n\":1}"
#define ODD_ID "{\"id\":7}"

static void test_what_makes_it_the_same_event(void **state)
{
	static const struct {
		const char *scheme;
		struct change first;
		struct change second;
		bool same;
	} cases[] = {
		/* The signed id alone: a retry is signed later, a changed body is a conflict. */
		{ "standard-webhooks", { 0 }, { .later_s = 60 }, true },
		{ "standard-webhooks", { 0 }, { .body = OTHER_BODY }, true },
		{ "standard-webhooks", { 0 }, { .event_id = "id_2" }, false },
		{ "zen", { 0 }, { .later_s = 60 }, true },
		{ "zen", { 0 }, { .event_id = "id_2" }, false },
		/* The body's id; without one, the body. */
		{ "stripe", { 0 }, { .later_s = 60 }, true },
		{ "stripe", { 0 }, { .body = OTHER_BODY }, true },
		{ "stripe", { 0 }, { .body = OTHER_EVENT }, false },
		{ "stripe", { .body = NO_ID }, { .body = NO_ID, .later_s = 60 }, true },
		{ "stripe", { .body = NO_ID }, { .body = ODD_ID }, false },
		/* The body and the unsigned type beside it; never the unsigned id. */
		{ "github", { 0 }, { .event_id = "forged" }, true },
		{ "github", { 0 }, { .body = OTHER_BODY }, false },
		{ "github", { .field = { "X-GitHub-Event", "push" } },
			{ .field = { "x-github-event", "push" } }, true },
		{ "github", { .field = { "X-GitHub-Event", "push" } },
			{ .field = { "X-GitHub-Event", "ping" } }, false },
		{ "shopify", { 0 }, { .event_id = "forged" }, true },
		{ "shopify", { .field = { "X-Shopify-Topic", "orders/create" } },
			{ .field = { "X-Shopify-Topic", "orders/paid" } }, false },
		{ "slack", { 0 }, { .later_s = 60 }, true },
		{ "slack", { 0 }, { .body = OTHER_BODY }, false },
		/* Nothing is signed: GitLab's key for retries; recursive hooks share a UUID. */
		{ "gitlab-token", { 0 }, { .body = OTHER_BODY }, true },
		{ "gitlab-token", { 0 }, { .event_id = "id_2" }, false },
		{ "gitlab-token", { .event_id = "" }, { .event_id = "" }, true },
		{ "gitlab-token", { .event_id = "", .field = { "X-Gitlab-Event-UUID", "u1" } },
			{ .event_id = "", .field = { "X-Gitlab-Event-UUID", "u1" } }, true },
		{ "gitlab-token", { .event_id = "", .field = { "X-Gitlab-Event-UUID", "u1" } },
			{ .event_id = "",
				.field = { "X-Gitlab-Event-UUID", "u1" },
				.body = OTHER_BODY },
			false },
		{ "gitlab-token", { .event_id = "", .field = { "X-Gitlab-Event", "Push Hook" } },
			{ .event_id = "", .field = { "X-Gitlab-Event", "Tag Push Hook" } }, false },
		/* A value cannot move from one header to the next. */
		{ "gitlab-token", { .event_id = "", .field = { "X-Gitlab-Event", "x" } },
			{ .event_id = "", .field = { "X-Gitlab-Event-UUID", "x" } }, false },
		/* A body that says nothing of its own: the signed time tells two events apart. */
		{ "zendesk", { 0 }, { 0 }, true },
		{ "zendesk", { 0 }, { .later_s = 60 }, false },
		{ "sanity", { 0 }, { .event_id = "forged" }, true },
		{ "sanity", { 0 }, { .later_s = 60 }, false },
		{ "box", { 0 }, { .body = OTHER_BODY, .later_s = 60 }, true },
		{ "convoy", { 0 }, { .body = OTHER_BODY }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		sign_changed(cases[i].scheme, &cases[i].first);
		struct verify_outcome first = accepted();
		sign_changed(cases[i].scheme, &cases[i].second);
		struct verify_outcome second = accepted();
		bool same = memcmp(&first.identity, &second.identity, sizeof first.identity) == 0;
		if (same != cases[i].same) fail_msg("case %zu, %s", i, cases[i].scheme);
		bool same_body = cases[i].first.body == cases[i].second.body;
		assert_int_equal(first.body_hash == second.body_hash, same_body);
	}
}

/* The same body under two schemes is two events: an endpoint that changes scheme forgets. */
static void test_identities_differ_between_schemes(void **state)
{
	(void)state;
	sign_changed("slack", &(struct change){ 0 });
	struct verify_outcome slack = accepted();
	sign_changed("convoy", &(struct change){ 0 });
	struct verify_outcome convoy = accepted();
	assert_memory_not_equal(&slack.identity, &convoy.identity, sizeof slack.identity);
}

static unsigned expected_count;

static void count_expected(void *owner, struct hash128 identity)
{
	assert_null(owner);
	MAYBE(identity.low == 0);
	expected_count++;
}

static struct verify_outcome judge_directly(const char *scheme, const char *body)
{
	static struct http_fields fields;
	struct verify_outcome outcome;

	sign_changed(scheme, &(struct change){ .body = body });
	struct verify_input input = webhook_input(&webhook, &fields);
	input.expected = count_expected;
	struct verifier *verifier = webhook_verifier(&webhook, 0);
	expected_count = 0;
	verify_request(verifier, &input, (wall_t){ .us = NOW_S * US_PER_S }, &outcome);
	verifier_free(verifier);
	assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
	return outcome;
}

/* Early where headers or the whole body are the identity; never by reading in a body that nobody
 * has vouched for. The hash comes along where what is signed ends with the body. */
static void test_what_is_known_before_the_signature(void **state)
{
	(void)state;
	struct verify_outcome outcome = judge_directly("github", OTHER_BODY);
	assert_int_equal(expected_count, 1);
	assert_true(outcome.body_hashed);
	outcome = judge_directly("stripe", OTHER_BODY);
	assert_int_equal(expected_count, 0);
	assert_true(outcome.body_hashed);
	outcome = judge_directly("box", OTHER_BODY);
	assert_false(outcome.body_hashed);
}

static void test_event_ids(void **state)
{
	static const struct {
		const char *scheme;
		struct change change;
		const char *event_id;
	} cases[] = {
		{ "standard-webhooks", { 0 }, "id_1" },
		{ "zen", { 0 }, "id_1" },
		{ "github", { 0 }, "id_1" },
		{ "stripe", { 0 }, "e1" },
		{ "stripe", { .body = NO_ID }, "" },
		{ "slack", { .body = "{\"event_id\":\"Ev1\"}" }, "Ev1" },
		{ "square", { .body = "{\"id\":\"x\",\"event_id\":\"Ev1\"}" }, "Ev1" },
		{ "shopify", { .field = { "X-Shopify-Event-Id", "ev" } }, "id_1" },
		{ "shopify", { .event_id = "", .field = { "X-Shopify-Event-Id", "ev" } }, "ev" },
		{ "shopify", { .event_id = "", .field = { "X-Shopify-Event-Id", "e v" } }, "" },
		{ "box", { .body = NO_ID, .field = { "BOX-DELIVERY-ID", "d" } }, "d" },
		{ "convoy", { 0 }, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		sign_changed(cases[i].scheme, &cases[i].change);
		struct verify_outcome outcome = accepted();
		if (!bytes_equal(outcome.event_id, bytes_of_text(cases[i].event_id))) {
			fail_msg("case %zu, %s: \"%.*s\"", i, cases[i].scheme,
				(int)outcome.event_id.size, (const char *)outcome.event_id.data);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_makes_it_the_same_event),
		cmocka_unit_test(test_identities_differ_between_schemes),
		cmocka_unit_test(test_what_is_known_before_the_signature),
		cmocka_unit_test(test_event_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

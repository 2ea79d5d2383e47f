/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is signed here verifies here, under the current key and after a rotation, and nothing
 * that would not verify or would break the head is ever written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"
#include "verify/scheme.h"

enum { NOW_S = 1700000000 };

static struct webhook webhook;

static struct verifier *verifier_for(const char *scheme)
{
	static struct webhook only;
	only.scheme = scheme_find(bytes_of_text(scheme));
	assert_non_null(only.scheme);
	assert_true(bytes_to_text(bytes_of_text(webhook_secret(only.scheme, 0)), only.secret,
		sizeof only.secret));
	struct verifier *verifier = webhook_verifier(&only, 0);
	assert_non_null(verifier);
	return verifier;
}

static void test_every_scheme_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < scheme_count(); i++) {
		webhook_sign(&webhook, scheme_at(i), NOW_S);
		assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_AUTHENTIC);
	}
}

/* Signed before the rotation, verified after it. */
static void test_what_the_previous_key_signed_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *scheme = scheme_at(i);
		webhook_sign(&webhook, scheme, NOW_S);
		memcpy(webhook.previous, webhook.secret, sizeof webhook.previous);
		assert_true(bytes_to_text(bytes_of_text(webhook_secret(scheme, 1)), webhook.secret,
			sizeof webhook.secret));
		struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
		assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
		assert_int_equal(outcome.key_index, 1);
	}
}

/* The timestamp on the line is the one that was signed, at both ends of its unit's range. */
static void test_timestamps_of_all_times(void **state)
{
	static const uint64_t times_s[] = { 0, 1, 951782399, 951782400, 1582934400, 1709164800,
		4107542400, 253402300799 };

	(void)state;
	for (size_t t = 0; t < ARRAY_COUNT(times_s); t++) {
		for (size_t i = 0; i < scheme_count(); i++) {
			webhook_sign(&webhook, scheme_at(i), times_s[t]);
			struct verify_outcome outcome = webhook_judge(&webhook, times_s[t]);
			assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
			if (scheme_at(i)->timestamp.place == TIMESTAMP_NOWHERE) continue;
			assert_int_equal(outcome.timestamp_s, times_s[t]);
		}
	}
}

/* Complete lines in the provider's spelling; the values come from Python's hmac. */
static const struct {
	const char *scheme;
	const char *lines;
} provider_lines[] = {
	{ "standard-webhooks",
		"webhook-id: id_1\r\n"
		"webhook-timestamp: 1700000000\r\n"
		"webhook-signature: v1,MmUOp0Syum9THH6ZNRUFBqtI6nyIlZUnAbh2ZYHTveI=\r\n" },
	{ "svix",
		"svix-id: id_1\r\n"
		"svix-timestamp: 1700000000\r\n"
		"svix-signature: v1,MmUOp0Syum9THH6ZNRUFBqtI6nyIlZUnAbh2ZYHTveI=\r\n" },
	{ "gitlab",
		"webhook-id: id_1\r\n"
		"webhook-timestamp: 1700000000\r\n"
		"webhook-signature: v1,MmUOp0Syum9THH6ZNRUFBqtI6nyIlZUnAbh2ZYHTveI=\r\n" },
	{ "gitlab-token",
		"Idempotency-Key: id_1\r\n"
		"X-Gitlab-Token: a perfectly good secret\r\n" },
	{ "github",
		"X-GitHub-Delivery: id_1\r\n"
		"X-Hub-Signature-256: sha256=a5a8171e33ca4982a2999313ac696b09ce13895d5b"
		"0d4af8017951a372afde02\r\n" },
	{ "stripe",
		"Stripe-Signature: t=1700000000,v1=2e530d15d5a972074a1a0acd477fedde59ba"
		"5eed46367508959023f36d720bd2\r\n" },
	{ "slack",
		"X-Slack-Request-Timestamp: 1700000000\r\n"
		"X-Slack-Signature: v0=877d7bffeba64ef0e691e97e639a206916e45b57319ebafc"
		"51090934167be32b\r\n" },
	{ "shopify",
		"X-Shopify-Webhook-Id: id_1\r\n"
		"X-Shopify-Hmac-Sha256: pagXHjPKSYKimZMTrGlrCc4TiV1bDUr4AXlRo3Kv3gI=\r\n" },
	{ "zen",
		"X-Zen-Signature: t=1700000000,n=id_1,v1=66ec523508edf822ec4d4b330d9fd0"
		"ac022fe563b7101b262fef2c66cf5305d1\r\n" },
	{ "box",
		"BOX-DELIVERY-TIMESTAMP: 2023-11-14T22:13:20Z\r\n"
		"BOX-SIGNATURE-VERSION: 1\r\n"
		"BOX-SIGNATURE-ALGORITHM: HmacSHA256\r\n"
		"BOX-SIGNATURE-PRIMARY: +SMPt41xy7M+gNbDjCTv4asbb9WI8a1E8dLH4F0PWZ8=\r\n" },
	{ "circleci",
		"circleci-signature: v1=a5a8171e33ca4982a2999313ac696b09ce13895d5b0d4af"
		"8017951a372afde02\r\n" },
	{ "convoy",
		"X-Convoy-Signature: a5a8171e33ca4982a2999313ac696b09ce13895d5b0d4af801"
		"7951a372afde02\r\n" },
	{ "hubspot-v3",
		"X-HubSpot-Request-Timestamp: 1700000000005\r\n"
		"X-HubSpot-Signature-v3: UXNFFQ0w3BN+Z45ba828lZ+YpDRJQkwfIdHM7RmjvEo=\r\n" },
	{ "sanity",
		"idempotency-key: id_1\r\n"
		"sanity-webhook-signature: t=1700000000005,v1=etdptgfMvoZFNHKrHxsoX2RiT"
		"JVT_Milh-WNQS4tT2s\r\n" },
	{ "square",
		"x-square-hmacsha256-signature: gV/6qkQaaKjm2JGzA6xXc8LQpWwwGv/OxgcoXQo"
		"TEfM=\r\n" },
	{ "zendesk",
		"X-Zendesk-Webhook-Invocation-Id: id_1\r\n"
		"X-Zendesk-Webhook-Signature-Timestamp: 2023-11-14T22:13:20Z\r\n"
		"X-Zendesk-Webhook-Signature: 4Ry5cFQFqfHROapI1pGUFy3k1/76wY0x0+6MRmhlR"
		"zU=\r\n" },
};

static void test_lines_are_the_providers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(provider_lines); i++) {
		char lines[1024];
		struct writer writer = writer_of(lines, sizeof lines - 1);
		struct verifier *verifier = verifier_for(provider_lines[i].scheme);
		struct sign_input input = {
			.event_id = BYTES_LITERAL("id_1"),
			.method = BYTES_LITERAL("POST"),
			.url = BYTES_LITERAL("https://example.com/in?to=%2Fa%3Fb%20c%2f"),
			.body = BYTES_LITERAL("{\"a\":1}"),
			.now = { .us = NOW_S * US_PER_S + 5000 },
		};
		assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);
		lines[writer.size] = '\0';
		assert_string_equal(lines, provider_lines[i].lines);
		verifier_free(verifier);
	}
}

static void test_ids_that_cannot_be_signed(void **state)
{
	static char too_long[EVENT_ID_SIZE_MAX + 2];
	static const struct {
		const char *scheme;
		const char *id;
		enum result wanted;
	} cases[] = {
		{ "standard-webhooks", "", RESULT_MALFORMED },
		{ "standard-webhooks", "a.b", RESULT_MALFORMED },
		{ "standard-webhooks", "a\r\nX: y", RESULT_MALFORMED },
		{ "standard-webhooks", too_long, RESULT_MALFORMED },
		{ "zen", "a,b", RESULT_MALFORMED },
		{ "zen", "", RESULT_MALFORMED },
		{ "github", "", RESULT_OK },
		{ "github", "a.b", RESULT_OK },
		{ "github", "a\r\nX: y", RESULT_MALFORMED },
		{ "github", too_long, RESULT_MALFORMED },
		{ "stripe", "ignored", RESULT_OK },
	};

	(void)state;
	memset(too_long, 'x', sizeof too_long - 1);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char lines[1024];
		struct writer writer = writer_of(lines, sizeof lines);
		struct verifier *verifier = verifier_for(cases[i].scheme);
		struct sign_input input = {
			.event_id = bytes_of_text(cases[i].id),
			.body = BYTES_LITERAL("body"),
			.now = { .us = NOW_S * US_PER_S },
		};
		assert_int_equal(verifier_sign(verifier, &input, &writer), cases[i].wanted);
		if (cases[i].wanted != RESULT_OK) assert_int_equal(writer.size, 0);
		verifier_free(verifier);
	}
}

static void test_a_writer_too_small_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < scheme_count(); i++) {
		char lines[1024];
		struct verifier *verifier = verifier_for(scheme_name(scheme_at(i)));
		struct writer writer = writer_of(lines, sizeof lines);
		struct sign_input input = {
			.event_id = BYTES_LITERAL("id_1"),
			.url = BYTES_LITERAL("https://example.com/"),
			.body = BYTES_LITERAL("body"),
			.now = { .us = NOW_S * US_PER_S },
		};
		assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);
		size_t size = writer.size;
		for (size_t capacity = 0; capacity <= size; capacity++) {
			writer = writer_of(lines, capacity);
			enum result wanted = capacity < size ? RESULT_FULL : RESULT_OK;
			assert_int_equal(verifier_sign(verifier, &input, &writer), wanted);
		}
		verifier_free(verifier);
	}
}

/* A URL beyond what can be decoded is neither signed nor authentic, and stays in bounds. */
static void test_a_url_too_long_to_decode(void **state)
{
	static char url[10000];
	static const struct http_fields none;
	char lines[1024];
	struct writer writer = writer_of(lines, sizeof lines);
	struct verifier *verifier = verifier_for("hubspot-v3");
	struct sign_input input = { .now = { .us = NOW_S * US_PER_S } };

	(void)state;
	memset(url, 'x', sizeof url);
	input.url = bytes_of(url, sizeof url);
	assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_FULL);
	input.url = bytes_of(url, 8000);
	assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);

	struct verify_input request = { .url = bytes_of(url, sizeof url), .fields = &none };
	writer = writer_of(lines, sizeof lines);
	assert_int_equal(verify_signed_text(verifier, &request, &writer), RESULT_NOT_FOUND);
	verifier_free(verifier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_scheme_verifies),
		cmocka_unit_test(test_what_the_previous_key_signed_verifies),
		cmocka_unit_test(test_timestamps_of_all_times),
		cmocka_unit_test(test_lines_are_the_providers),
		cmocka_unit_test(test_ids_that_cannot_be_signed),
		cmocka_unit_test(test_a_writer_too_small_is_told),
		cmocka_unit_test(test_a_url_too_long_to_decode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

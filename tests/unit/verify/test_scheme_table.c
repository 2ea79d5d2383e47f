/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows keep to what the engine takes for granted, a secret of the wrong form is refused
 * when it is loaded, and only descriptions are forwarded. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"
#include "verify/scheme.h"

static void check_parts(const struct part *parts, size_t count, bool signed_parts)
{
	bool ended = false;
	for (size_t i = 0; i < count; i++) {
		enum part_kind kind = parts[i].kind;
		bool named = kind == PART_LITERAL || kind == PART_HEADER || kind == PART_JSON;
		if (ended) assert_int_equal(kind, PART_END);
		if (kind == PART_END) ended = true;
		assert_int_equal(parts[i].text.size > 0, named);
		if (signed_parts) {
			assert_true(kind != PART_HEADER && kind != PART_JSON);
		} else {
			assert_true(kind != PART_LITERAL && kind != PART_BODY_SHA256);
			assert_true(kind != PART_URL_DECODED);
		}
	}
}

static bool has_part(const struct part *parts, size_t count, enum part_kind kind)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i].kind == kind) return true;
	}
	return false;
}

/* What the engine takes for granted holds for every row. */
static void test_rows_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *row = scheme_at(i);
		bool token = row->signature.form == SIGNATURE_TOKEN;
		bool id_signed = has_part(row->message, MESSAGE_PARTS_MAX, PART_ID);
		bool time_signed = has_part(row->message, MESSAGE_PARTS_MAX, PART_TIMESTAMP);

		assert_ptr_equal(scheme_find(bytes_of_text(row->name)), row);
		assert_non_null(row->key.wants);
		assert_true(strlen(row->title) > 0 && row->signature.header.size > 0);
		check_parts(row->message, MESSAGE_PARTS_MAX, true);
		check_parts(&row->identity_key, 1, false);
		check_parts(row->identity, IDENTITY_PARTS_MAX, false);
		check_parts(row->event_id, EVENT_ID_PARTS_MAX, false);
		/* A row that signs, signs the body; what is read is signed, and the reverse. */
		assert_int_equal(has_part(row->message, MESSAGE_PARTS_MAX, PART_BODY), !token);
		assert_int_equal(row->id.place != ID_NOWHERE, id_signed);
		assert_int_equal(row->timestamp.place != TIMESTAMP_NOWHERE, time_signed);
		/* An identity stands on the signed id or on the body, never on headers alone. */
		assert_true(has_part(row->identity, IDENTITY_PARTS_MAX, PART_ID) ||
			has_part(row->identity, IDENTITY_PARTS_MAX, PART_BODY));
		if (!token) assert_int_not_equal(row->identity_key.kind, PART_HEADER);
		/* An id in an item must not be able to hold a separator. */
		if (row->id.place == ID_IN_ITEM) assert_int_equal(row->id.charset, ID_TOKEN);
	}
	assert_null(scheme_find(BYTES_LITERAL("nobody")));
	assert_null(scheme_find(BYTES_LITERAL("GitHub")));
	assert_null(scheme_find(BYTES_EMPTY));
}

/* Descriptions go on to the target; what proves or could forge a request does not. */
static void test_forwarded_fields(void **state)
{
	static const struct {
		const char *scheme;
		const char *field;
		bool forwards;
	} cases[] = {
		{ "github", "X-GitHub-Event", true },
		{ "github", "x-github-delivery", true },
		{ "github", "X-Hub-Signature-256", false },
		{ "github", "X-Hub-Signature", false },
		{ "github", "Authorization", false },
		{ "github", "Cookie", false },
		{ "github", "X-Shopify-Topic", false },
		{ "shopify", "X-Shopify-Topic", true },
		{ "shopify", "X-Shopify-Hmac-Sha256", false },
		{ "slack", "X-Slack-Retry-Num", true },
		{ "slack", "X-Slack-Request-Timestamp", false },
		{ "gitlab-token", "X-Gitlab-Event", true },
		{ "gitlab-token", "X-Gitlab-Token", false },
		{ "stripe", "ce-type", true },
		{ "zen", "CE-Source", true },
		{ "zen", "ce-", false },
		{ "zen", "ce", false },
		{ "zen", "", false },
		{ "zen", "X-Zen-Signature", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct scheme *row = scheme_find(bytes_of_text(cases[i].scheme));
		bool forwards = scheme_forwards_field(row, bytes_of_text(cases[i].field));
		if (forwards != cases[i].forwards)
			fail_msg("%s %s", cases[i].scheme, cases[i].field);
	}
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *row = scheme_at(i);
		assert_false(scheme_forwards_field(row, row->signature.header));
		assert_false(scheme_forwards_field(row, row->timestamp.name));
		assert_false(scheme_forwards_field(row, row->id.name));
	}
}

static void test_secrets_of_the_wrong_form(void **state)
{
	static const struct {
		const char *scheme;
		const char *secret;
		bool taken;
	} cases[] = {
		{ "standard-webhooks", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
			true }, /* 24 bytes */
		{ "standard-webhooks", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", true },
		{ "standard-webhooks", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY=", false }, /* 23 */
		{ "standard-webhooks", "whsec_", false },
		{ "standard-webhooks", "", false },
		{ "standard-webhooks", "not base64 at all, but long enough for it", false },
		{ "standard-webhooks", "whpk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", false },
		{ "gitlab", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", false }, /* wants 32 */
		{ "gitlab", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", true },
		{ "gitlab-token", "a token", true },
		{ "gitlab-token", "a\r\nX-Evil: token", false },
		{ "gitlab-token", "", false },
		{ "github", "", false },
		{ "github", "x", true },
		{ "stripe", "whsec_not_decoded", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		static struct webhook only;
		only.scheme = scheme_find(bytes_of_text(cases[i].scheme));
		assert_true(bytes_to_text(bytes_of_text(cases[i].secret), only.secret,
			sizeof only.secret));
		struct verifier *verifier = webhook_verifier(&only, 0);
		if ((verifier != NULL) != cases[i].taken) fail_msg("%s", cases[i].secret);
		verifier_free(verifier);
	}
	/* The previous one is looked at with the same care. */
	static struct webhook both;
	webhook_sign(&both, scheme_find(BYTES_LITERAL("standard-webhooks")), 1700000000);
	memcpy(both.previous, "whsec_short", sizeof "whsec_short");
	assert_null(webhook_verifier(&both, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_sound),
		cmocka_unit_test(test_forwarded_fields),
		cmocka_unit_test(test_secrets_of_the_wrong_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

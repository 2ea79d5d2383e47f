/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The row format says more than the shipped rows use. These are providers that could be added
 * with nothing but a row: each is signed and judged, and where the provider is known to spell
 * things in its own way, that spelling is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"
#include "verify/scheme.h"

enum { NOW_S = 1700000000 };

#define TEXT(text) \
	{ .data = (const uint8_t *)(text), .size = sizeof(text) - 1 }
#define END \
	{ .data = NULL, .size = 0 }
#define BODY_IDENTITY \
	{ \
		{ \
			PART_BODY, END \
		} \
	}
#define VERBATIM \
	{ .form = KEY_TEXT, .wants = "a secret" }

static const struct scheme paddle = {
	.name = "paddle",
	.signature = { .digest = MAC_SHA256,
		.header = TEXT("paddle-signature"),
		.separators = ";",
		.prefix = TEXT("h1=") },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_IN_ITEM, .name = TEXT("ts="), .tolerance_s = 5 },
	.message = { { PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(":") }, { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme recurly = {
	.name = "recurly",
	.signature = { .digest = MAC_SHA256,
		.header = TEXT("recurly-signature"),
		.separators = "," },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_FIRST_ITEM, .unit = TIMESTAMP_MS, .tolerance_s = 300 },
	.message = { { PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme persona = {
	.name = "persona",
	.signature = { .digest = MAC_SHA256,
		.header = TEXT("persona-signature"),
		.separators = ", ",
		.prefix = TEXT("v1=") },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_IN_ITEM, .name = TEXT("t="), .tolerance_s = 300 },
	.message = { { PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme affirm = {
	.name = "affirm",
	.signature = { .digest = MAC_SHA512,
		.header = TEXT("x-affirm-signature"),
		.separators = ",",
		.prefix = TEXT("v0=") },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_IN_ITEM, .name = TEXT("t="), .tolerance_s = 300 },
	.message = { { PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme sinch = {
	.name = "sinch",
	.signature = { .encoding = SIGNATURE_BASE64,
		.digest = MAC_SHA256,
		.header = TEXT("x-sinch-webhook-signature") },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_IN_HEADER,
		.name = TEXT("x-sinch-webhook-signature-timestamp"),
		.tolerance_s = 300 },
	.id = { .place = ID_IN_HEADER,
		.charset = ID_VISIBLE_NO_DOT,
		.size_max = 128,
		.name = TEXT("x-sinch-webhook-signature-nonce") },
	.message = { { PART_BODY, END }, { PART_LITERAL, TEXT(".") }, { PART_ID, END },
		{ PART_LITERAL, TEXT(".") }, { PART_TIMESTAMP, END } },
	.identity = { { PART_ID, END } },
};

static const struct scheme klaviyo = {
	.name = "klaviyo",
	.signature = { .digest = MAC_SHA256, .header = TEXT("klaviyo-signature") },
	.key = VERBATIM,
	.timestamp = { .place = TIMESTAMP_IN_HEADER,
		.unit = TIMESTAMP_OPAQUE,
		.name = TEXT("klaviyo-timestamp") },
	.message = { { PART_BODY, END }, { PART_TIMESTAMP, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme vercel = {
	.name = "vercel",
	.signature = { .digest = MAC_SHA1, .header = TEXT("x-vercel-signature") },
	.key = VERBATIM,
	.message = { { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme authorize_net = {
	.name = "authorize-net",
	.signature = { .encoding = SIGNATURE_HEX_UPPER,
		.digest = MAC_SHA512,
		.header = TEXT("x-anet-signature"),
		.prefix = TEXT("sha512=") },
	.key = { .form = KEY_HEX, .wants = "hex" },
	.message = { { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme airtable = {
	.name = "airtable",
	.signature = { .digest = MAC_SHA256,
		.header = TEXT("x-airtable-content-mac"),
		.prefix = TEXT("hmac-sha256=") },
	.key = { .form = KEY_BASE64, .wants = "base64" },
	.message = { { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme pagerduty = {
	.name = "pagerduty",
	.signature = { .digest = MAC_SHA256,
		.header = TEXT("x-pagerduty-signature"),
		.separators = ",",
		.prefix = TEXT("v1=") },
	.key = VERBATIM,
	.message = { { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme docusign = {
	.name = "docusign",
	.signature = { .encoding = SIGNATURE_BASE64,
		.digest = MAC_SHA256,
		.header = TEXT("x-docusign-signature-#") },
	.key = VERBATIM,
	.message = { { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme linkedin = {
	.name = "linkedin",
	.signature = { .digest = MAC_SHA256, .header = TEXT("x-li-signature") },
	.key = VERBATIM,
	.message = { { PART_LITERAL, TEXT("hmacsha256=") }, { PART_BODY, END } },
	.identity = BODY_IDENTITY,
};

static const struct scheme tebex = {
	.name = "tebex",
	.signature = { .digest = MAC_SHA256, .header = TEXT("x-signature") },
	.key = VERBATIM,
	.message = { { PART_BODY_SHA256, END } },
	.identity = BODY_IDENTITY,
};

static const struct {
	const struct scheme *scheme;
	const char *secret;
} rows[] = {
	{ &paddle, "a secret" },
	{ &recurly, "a secret" },
	{ &persona, "a secret" },
	{ &affirm, "a secret" },
	{ &sinch, "a secret" },
	{ &klaviyo, "a secret" },
	{ &vercel, "a secret" },
	{ &authorize_net, "00FF10ab" },
	{ &airtable, "c2VjcmV0" },
	{ &pagerduty, "a secret" },
	{ &docusign, "a secret" },
	{ &linkedin, "a secret" },
	{ &tebex, "a secret" },
};

static struct webhook webhook;

static void sign(const struct scheme *scheme, const char *secret)
{
	char lines[1024];
	struct writer writer = writer_of(lines, sizeof lines);

	webhook = (struct webhook){ .scheme = scheme };
	assert_true(bytes_to_text(bytes_of_text(secret), webhook.secret, sizeof webhook.secret));
	memcpy(webhook.body, "{\"a\":1}", sizeof "{\"a\":1}");
	struct verifier *verifier = webhook_verifier(&webhook, 0);
	assert_non_null(verifier);
	struct sign_input input = {
		.event_id = BYTES_LITERAL("nonce"),
		.body = bytes_of_text(webhook.body),
		.now = { .us = NOW_S * US_PER_S },
	};
	assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);
	webhook_add_lines(&webhook, writer_bytes(&writer));
	verifier_free(verifier);
}

static void set_value(const char *name, const char *value)
{
	assert_true(bytes_to_text(bytes_of_text(value), webhook_value(&webhook, name),
		WEBHOOK_TEXT_MAX));
}

static void test_each_row_signs_and_verifies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		sign(rows[i].scheme, rows[i].secret);
		struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
		if (outcome.verdict != VERDICT_AUTHENTIC) {
			fail_msg("%s: %s", rows[i].scheme->name, verdict_code(outcome.verdict));
		}
		webhook.body[2] ^= 1;
		outcome = webhook_judge(&webhook, NOW_S);
		assert_int_equal(outcome.verdict, VERDICT_SIGNATURE_MISMATCH);
	}
}

/* Computed with another implementation (Python's hmac) over the body {"a":1}. */
static void test_known_signatures(void **state)
{
	static const struct {
		const struct scheme *scheme;
		const char *secret;
		const char *header;
		const char *value;
	} cases[] = {
		{ &paddle, "a secret", "paddle-signature",
			"ts=1700000000;h1=62638d1a6ff125c6428d678cd0f6e9adad0418dac484383"
			"3f8ab98f9e81c4e9c" },
		{ &recurly, "a secret", "recurly-signature",
			"1700000000000,9126bdac8b4d347024f33a4be4aeba3d26fe749d950901f66e"
			"5025c36a513259" },
		{ &affirm, "a secret", "x-affirm-signature",
			"t=1700000000,v0=05a17cea07fd53cb2cf2c06948563d0d6495ce4d3b5a87d8"
			"c2b35b2ba6118c4868d234ca10f588ad9d16306e14e5d295508003a908ae0f70"
			"6c00678a7f03bc13" },
		{ &sinch, "a secret", "x-sinch-webhook-signature",
			"8BuhKWNu5q0vzWEvju2oDorfbwQmER530EdkZqAwRRc=" },
		{ &vercel, "a secret", "x-vercel-signature",
			"4a23902f07079b899e8ec3d6afefc35c82e14c5c" },
		{ &authorize_net, "00FF10ab", "x-anet-signature",
			"sha512=D916DF91994D4469040561369B6EA9BB22E2311B034BF44B8581617BE"
			"69F9D5D74515999E3A4B1C0410CA5D1CE7F35119C131D2FF18A2ED156489945B"
			"D15ACE7" },
		{ &airtable, "c2VjcmV0", "x-airtable-content-mac",
			"hmac-sha256=aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d"
			"6a51747a8494" },
		{ &docusign, "a secret", "x-docusign-signature-1",
			"/yBnCml12DWm+4j7vqzwvTmYPE+swQBPn5GGBTFXt4Y=" },
		{ &linkedin, "a secret", "x-li-signature",
			"e136a45f9be72eadbac9cb726125d050b328493dfe61c048c1383472bfcf4fc8" },
		{ &tebex, "a secret", "x-signature",
			"f6c3b043392dfb6ad861627672326eb1e1b0658da316cf32d4c9dbce37f13cdc" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		sign(cases[i].scheme, cases[i].secret);
		assert_string_equal(webhook_value(&webhook, cases[i].header), cases[i].value);
	}
}

/* While its key rolls, Persona sends two pairs of the same moment. */
static void test_two_pairs_in_one_header(void **state)
{
	char both[WEBHOOK_TEXT_MAX];
	(void)state;
	sign(&persona, "a secret");
	const char *right = webhook_value(&webhook, "persona-signature");
	struct writer writer = writer_of(both, sizeof both - 1);
	write_format(&writer, "t=%d,v1=%064d %s", NOW_S, 0, right);
	both[writer.size] = '\0';
	set_value("persona-signature", both);
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_AUTHENTIC);
}

static void test_a_list_with_blanks(void **state)
{
	char list[WEBHOOK_TEXT_MAX];
	(void)state;
	sign(&pagerduty, "a secret");
	struct writer writer = writer_of(list, sizeof list - 1);
	write_format(&writer, "v1=%064d, %s", 0, webhook_value(&webhook, "x-pagerduty-signature"));
	list[writer.size] = '\0';
	set_value("x-pagerduty-signature", list);
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_AUTHENTIC);
}

static void test_numbered_headers(void **state)
{
	(void)state;
	sign(&docusign, "a secret");
	webhook_add_field(&webhook, "X-DocuSign-Signature-2", "AAAA");
	webhook_add_field(&webhook, "X-DocuSign-Signature-", "ignored");
	webhook_add_field(&webhook, "X-DocuSign-Signature-x", "ignored");
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_AUTHENTIC);
	memcpy(webhook.field_name[0], "X-DocuSign-Signature-17", sizeof "X-DocuSign-Signature-17");
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_AUTHENTIC);
	memcpy(webhook.field_name[0], "Other", sizeof "Other");
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_MALFORMED_SIGNATURE);
	webhook.field_count = 1;
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_MISSING_HEADER);
}

static void test_positional_timestamp(void **state)
{
	(void)state;
	sign(&recurly, "a secret");
	assert_int_equal(webhook_judge(&webhook, NOW_S + 300).verdict, VERDICT_AUTHENTIC);
	assert_int_equal(webhook_judge(&webhook, NOW_S + 301).verdict, VERDICT_TIMESTAMP);
	set_value("recurly-signature", "1700000000000");
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_MALFORMED_SIGNATURE);
	set_value("recurly-signature", "soon,00");
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_MALFORMED_TIMESTAMP);
}

/* Signed, but with no meaning that could be checked against a clock. */
static void test_opaque_timestamp(void **state)
{
	(void)state;
	sign(&klaviyo, "a secret");
	struct verifier *verifier = webhook_verifier(&webhook, 60);
	struct verify_outcome outcome = webhook_verify(&webhook, verifier, NOW_S + 1000000);
	assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
	assert_int_equal(outcome.timestamp_s, 0);
	set_value("klaviyo-timestamp", "whenever");
	outcome = webhook_verify(&webhook, verifier, NOW_S);
	assert_int_equal(outcome.verdict, VERDICT_SIGNATURE_MISMATCH);
	verifier_free(verifier);
}

static void test_hex_has_one_case(void **state)
{
	(void)state;
	sign(&authorize_net, "00FF10ab");
	char *value = webhook_value(&webhook, "x-anet-signature");
	for (char *c = value + strlen("sha512="); *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'F') *c = (char)(*c + 32);
	}
	assert_int_equal(webhook_judge(&webhook, NOW_S).verdict, VERDICT_MALFORMED_SIGNATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_signs_and_verifies),
		cmocka_unit_test(test_known_signatures),
		cmocka_unit_test(test_two_pairs_in_one_header),
		cmocka_unit_test(test_a_list_with_blanks),
		cmocka_unit_test(test_numbered_headers),
		cmocka_unit_test(test_positional_timestamp),
		cmocka_unit_test(test_opaque_timestamp),
		cmocka_unit_test(test_hex_has_one_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

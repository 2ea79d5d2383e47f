/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What providers published is authentic, and one changed bit anywhere makes it not. The same
 * for a request of every scheme that was signed by ourselves.
 *
 * What a changed signature header should be called is told by regular expressions, so that
 * the test does not lean on the parser it tests.
 */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"
#include "verify/scheme.h"

enum { NOW_S = 1700000000, VECTOR_COUNT = 16 };

static struct webhook webhooks[2 * WEBHOOKS_MAX];
static size_t webhook_count;

/* Without a published time, the moment of signing. */
static uint64_t time_of(const struct webhook *webhook)
{
	if (webhook->now_s != 0) return webhook->now_s;
	return webhook_judge(webhook, 0).timestamp_s;
}

static int load_all(void **state)
{
	(void)state;
	webhook_count = webhook_load_vectors(webhooks);
	for (size_t i = 0; i < scheme_count(); i++) {
		webhook_sign(&webhooks[webhook_count++], scheme_at(i), NOW_S);
	}
	assert_true(webhook_count <= ARRAY_COUNT(webhooks));
	return 0;
}

#define HEX64 "[0-9a-f]{64}"
/* 32 bytes: the last digit holds four bits, and two that must be zero. */
#define BASE64_OF_32 "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
#define BASE64URL_OF_32 "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"

/* The first expression that fits tells the verdict; none: malformed_signature. */
static const struct form {
	const char *scheme;
	const char *mismatch;
	const char *malformed_timestamp;
	const char *malformed_id;
} forms[] = {
	{ "standard-webhooks", "^v1," BASE64_OF_32 "$", NULL, NULL },
	{ "svix", "^v1," BASE64_OF_32 "$", NULL, NULL },
	{ "gitlab", "^v1," BASE64_OF_32 "$", NULL, NULL },
	{ "gitlab-token", ".*", NULL, NULL },
	{ "github", "^sha256=" HEX64 "$", NULL, NULL },
	{ "slack", "^v0=" HEX64 "$", NULL, NULL },
	{ "convoy", "^" HEX64 "$", NULL, NULL },
	{ "circleci", "^v1=" HEX64 "$", NULL, NULL },
	{ "shopify", "^" BASE64_OF_32 "$", NULL, NULL },
	{ "square", "^" BASE64_OF_32 "$", NULL, NULL },
	{ "zendesk", "^" BASE64_OF_32 "$", NULL, NULL },
	{ "hubspot-v3", "^" BASE64_OF_32 "$", NULL, NULL },
	{ "box", "^" BASE64_OF_32 "$", NULL, NULL },
	{ "stripe", "^t=[0-9]+ ?,v1=" HEX64 "$", "^t=[^,]*,v1=" HEX64 "$", NULL },
	{ "sanity", "^t=[0-9]+ ?,v1=" BASE64URL_OF_32 "$", "^t=[^,]*,v1=" BASE64URL_OF_32 "$",
		NULL },
	{ "zen", "^t=[0-9]+ ?,n=[A-Za-z0-9_-]+,v1=" HEX64 "$",
		"^t=[^,]*(,n=[A-Za-z0-9_-]+)?,v1=" HEX64 "$", "^t=[0-9]+ ?,n=[^,]*,v1=" HEX64 "$" },
};

static bool fits(const char *expression, const char *text)
{
	regex_t regex;
	if (expression == NULL) return false;
	assert_int_equal(regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB), 0);
	bool fit = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return fit;
}

static enum verdict expected_verdict(const struct scheme *scheme, const char *header)
{
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		if (strcmp(forms[i].scheme, scheme_name(scheme)) != 0) continue;
		if (fits(forms[i].mismatch, header)) return VERDICT_SIGNATURE_MISMATCH;
		if (fits(forms[i].malformed_timestamp, header)) return VERDICT_MALFORMED_TIMESTAMP;
		if (fits(forms[i].malformed_id, header)) return VERDICT_MALFORMED_ID;
		return VERDICT_MALFORMED_SIGNATURE;
	}
	fail_msg("no form for scheme %s", scheme_name(scheme));
	return VERDICT_COUNT;
}

static void assert_verdict(const struct webhook *webhook, enum verdict verdict, enum verdict wanted,
	const char *where, size_t bit)
{
	if (verdict == wanted) return;
	fail_msg("%s (%s), %s, bit %zu: %s instead of %s", webhook->name,
		scheme_name(webhook->scheme), where, bit, verdict_code(verdict),
		verdict_code(wanted));
}

/* Every scheme has a vector or a sample, and the vectors have not got lost. */
static void test_all_are_authentic(void **state)
{
	(void)state;
	assert_true(webhook_count == VECTOR_COUNT + scheme_count());
	for (size_t i = 0; i < webhook_count; i++) {
		struct verify_outcome outcome = webhook_judge(&webhooks[i], time_of(&webhooks[i]));
		assert_verdict(&webhooks[i], outcome.verdict, VERDICT_AUTHENTIC, "unchanged", 0);
		assert_int_equal(outcome.key_index, 0);
	}
}

static void flip(char *text, size_t bit)
{
	text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
}

static void test_each_bit_of_the_body_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		static struct webhook changed;
		const struct webhook *webhook = &webhooks[i];
		if (strcmp(scheme_name(webhook->scheme), "gitlab-token") == 0) continue;
		struct verifier *verifier = webhook_verifier(webhook, 0);
		for (size_t bit = 0; bit < 8 * strlen(webhook->body); bit++) {
			changed = *webhook;
			flip(changed.body, bit);
			enum verdict verdict =
				webhook_verify(&changed, verifier, time_of(webhook)).verdict;
			assert_verdict(webhook, verdict, VERDICT_SIGNATURE_MISMATCH, "body", bit);
		}
		verifier_free(verifier);
	}
}

/* Box: a change in one of its two signatures leaves the other one right; so only one key. */
static void test_each_bit_of_the_signature_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		static struct webhook webhook, changed;
		webhook = webhooks[i];
		webhook.previous[0] = '\0';
		const char *name = scheme_signature_header(webhook.scheme);
		struct verifier *verifier = webhook_verifier(&webhook, 0);
		for (size_t bit = 0; bit < 8 * strlen(webhook_value(&webhook, name)); bit++) {
			changed = webhook;
			char *value = webhook_value(&changed, name);
			flip(value, bit);
			/* Box's second signature does not match, but is well formed. */
			bool other = scheme_find(BYTES_LITERAL("box")) == webhook.scheme &&
				webhook.field_count > 4;
			enum verdict wanted = other ? VERDICT_SIGNATURE_MISMATCH
						    : expected_verdict(webhook.scheme, value);
			enum verdict verdict =
				webhook_verify(&changed, verifier, time_of(&webhook)).verdict;
			assert_verdict(&webhook, verdict, wanted, "signature", bit);
		}
		verifier_free(verifier);
	}
}

static void flip_field(const struct webhook *webhook, struct bytes name, enum verdict malformed)
{
	static struct webhook changed;
	struct verifier *verifier = webhook_verifier(webhook, 0);
	const char *field = (const char *)name.data;

	changed = *webhook;
	size_t bits = 8 * strlen(webhook_value(&changed, field));
	for (size_t bit = 0; bit < bits; bit++) {
		changed = *webhook;
		flip(webhook_value(&changed, field), bit);
		enum verdict verdict = webhook_verify(&changed, verifier, time_of(webhook)).verdict;
		if (verdict == malformed) continue;
		assert_verdict(webhook, verdict, VERDICT_SIGNATURE_MISMATCH, field, bit);
	}
	verifier_free(verifier);
}

static void test_each_bit_of_signed_headers_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		const struct scheme *scheme = webhooks[i].scheme;
		if (scheme->timestamp.place == TIMESTAMP_IN_HEADER) {
			flip_field(&webhooks[i], scheme->timestamp.name,
				VERDICT_MALFORMED_TIMESTAMP);
		}
		if (scheme->id.place == ID_IN_HEADER) {
			flip_field(&webhooks[i], scheme->id.name, VERDICT_MALFORMED_ID);
		}
	}
}

/* A changed secret either is none of the scheme's, or does not match. */
static void test_each_bit_of_the_secret_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		static struct webhook changed;
		for (size_t bit = 0; bit < 8 * strlen(webhooks[i].secret); bit++) {
			changed = webhooks[i];
			changed.previous[0] = '\0';
			flip(changed.secret, bit);
			struct verifier *verifier = webhook_verifier(&changed, 0);
			if (verifier == NULL) continue;
			enum verdict verdict =
				webhook_verify(&changed, verifier, time_of(&webhooks[i])).verdict;
			verifier_free(verifier);
			assert_verdict(&changed, verdict, VERDICT_SIGNATURE_MISMATCH, "secret",
				bit);
		}
	}
}

/* The last second inside and the first one outside, early and late. */
static void test_the_window_is_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		const struct webhook *webhook = &webhooks[i];
		uint64_t tolerance_s = scheme_tolerance_s(webhook->scheme);
		uint64_t signed_s = time_of(webhook);
		if (tolerance_s == 0) continue;
		const struct {
			uint64_t now_s;
			enum verdict wanted;
		} cases[] = {
			{ signed_s + tolerance_s, VERDICT_AUTHENTIC },
			{ signed_s - tolerance_s, VERDICT_AUTHENTIC },
			{ signed_s + tolerance_s + 1, VERDICT_TIMESTAMP },
			{ signed_s - tolerance_s - 1, VERDICT_TIMESTAMP },
		};
		for (size_t c = 0; c < ARRAY_COUNT(cases); c++) {
			struct verify_outcome outcome = webhook_judge(webhook, cases[c].now_s);
			assert_verdict(webhook, outcome.verdict, cases[c].wanted, "time", c);
			assert_int_equal(outcome.timestamp_s, signed_s);
		}
	}
}

/* Only who has the key learns that the timestamp was the trouble. */
static void test_a_forged_request_learns_nothing_about_the_window(void **state)
{
	(void)state;
	for (size_t i = 0; i < webhook_count; i++) {
		static struct webhook forged;
		if (strcmp(scheme_name(webhooks[i].scheme), "gitlab-token") == 0) continue;
		forged = webhooks[i];
		forged.body[0] ^= 1;
		enum verdict verdict =
			webhook_judge(&forged, time_of(&webhooks[i]) + 86400).verdict;
		assert_verdict(&forged, verdict, VERDICT_SIGNATURE_MISMATCH, "forged and old", 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_authentic),
		cmocka_unit_test(test_each_bit_of_the_body_counts),
		cmocka_unit_test(test_each_bit_of_the_signature_counts),
		cmocka_unit_test(test_each_bit_of_signed_headers_counts),
		cmocka_unit_test(test_each_bit_of_the_secret_counts),
		cmocka_unit_test(test_the_window_is_exact),
		cmocka_unit_test(test_a_forged_request_learns_nothing_about_the_window),
	};
	return cmocka_run_group_tests(tests, load_all, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every way a request can be wrong has its verdict and names its header; several signatures
 * and two keys do what rotation needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/webhook.h"
#include "verify/scheme.h"

enum { NOW_S = 1700000000 };

static struct webhook webhook;

static void sign(const char *scheme)
{
	const struct scheme *row = scheme_find(bytes_of_text(scheme));
	assert_non_null(row);
	webhook_sign(&webhook, row, NOW_S);
}

static void set_text(char *to, const char *text)
{
	assert_true(bytes_to_text(bytes_of_text(text), to, WEBHOOK_TEXT_MAX));
}

static void set_value(const char *name, const char *text)
{
	set_text(webhook_value(&webhook, name), text);
}

static void remove_field(uint32_t at)
{
	webhook.field_count--;
	for (uint32_t i = at; i < webhook.field_count; i++) {
		memcpy(webhook.field_name[i], webhook.field_name[i + 1],
			sizeof webhook.field_name[i]);
		memcpy(webhook.field_value[i], webhook.field_value[i + 1],
			sizeof webhook.field_value[i]);
	}
}

static void assert_verdict(enum verdict wanted, const char *header)
{
	struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
	if (outcome.verdict != wanted || strcmp(outcome.header, header) != 0) {
		fail_msg("%s: %s (%s) instead of %s (%s)", webhook.name,
			verdict_code(outcome.verdict), outcome.header, verdict_code(wanted),
			header);
	}
}

/* ---- headers --------------------------------------------------------------------------------- */

/* Each header that verifier_sign() writes is needed, except those that are for people. */
static void test_missing_and_repeated_headers(void **state)
{
	(void)state;
	for (size_t s = 0; s < scheme_count(); s++) {
		const struct scheme *row = scheme_at(s);
		webhook_sign(&webhook, row, NOW_S);
		uint32_t count = webhook.field_count;
		for (uint32_t i = 0; i < count; i++) {
			char name[128], value[WEBHOOK_TEXT_MAX];
			webhook_sign(&webhook, row, NOW_S);
			memcpy(name, webhook.field_name[i], sizeof name);
			memcpy(value, webhook.field_value[i], sizeof value);
			bool for_people = row->event_id[0].kind == PART_HEADER &&
				bytes_equal(row->event_id[0].text, bytes_of_text(name));

			webhook_add_field(&webhook, name, value);
			if (for_people)
				assert_int_equal(webhook_judge(&webhook, NOW_S).verdict,
					VERDICT_AUTHENTIC);
			else
				assert_verdict(VERDICT_DUPLICATE_HEADER, name);

			webhook_sign(&webhook, row, NOW_S);
			remove_field(i);
			if (for_people)
				assert_int_equal(webhook_judge(&webhook, NOW_S).verdict,
					VERDICT_AUTHENTIC);
			else
				assert_verdict(VERDICT_MISSING_HEADER, name);
		}
	}
}

static void test_header_names_have_no_case(void **state)
{
	(void)state;
	sign("standard-webhooks");
	for (uint32_t i = 0; i < webhook.field_count; i++) {
		for (char *c = webhook.field_name[i]; *c != '\0'; c++) {
			if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
		}
	}
	assert_verdict(VERDICT_AUTHENTIC, "webhook-signature");
}

/* Signature headers that are not of the scheme's form, or nearly. %s: the right signature. */
static const struct {
	const char *scheme;
	const char *form;
	enum verdict wanted;
} signature_forms[] = {
	{ "github", "%s", VERDICT_AUTHENTIC },
	{ "github", "", VERDICT_MALFORMED_SIGNATURE },
	{ "github", "sha256=", VERDICT_MALFORMED_SIGNATURE },
	{ "github", "SHA256=00", VERDICT_MALFORMED_SIGNATURE },
	{ "github", "%s00", VERDICT_MALFORMED_SIGNATURE },
	{ "github", "%s ", VERDICT_MALFORMED_SIGNATURE },
	{ "github", "%s,%s", VERDICT_MALFORMED_SIGNATURE },
	{ "standard-webhooks", "v1a,AAAA %s", VERDICT_AUTHENTIC },
	{ "standard-webhooks", "%s v1a,AAAA", VERDICT_AUTHENTIC },
	{ "standard-webhooks", "v1,AAAA v1,not=base64 %s", VERDICT_AUTHENTIC },
	{ "standard-webhooks", "  %s  ", VERDICT_AUTHENTIC },
	{ "standard-webhooks", "v1a,AAAA", VERDICT_MALFORMED_SIGNATURE },
	{ "standard-webhooks", "v1,AAAA", VERDICT_MALFORMED_SIGNATURE },
	{ "standard-webhooks", "%s,v2,x", VERDICT_MALFORMED_SIGNATURE },
	{ "standard-webhooks", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= %s",
		VERDICT_AUTHENTIC },
	{ "standard-webhooks",
		"v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", VERDICT_SIGNATURE_MISMATCH },
	{ "stripe", "v0=00,%s,v2=x,later=thing,nothing", VERDICT_AUTHENTIC },
	{ "stripe", "%s,t=1700000000", VERDICT_AUTHENTIC },
	{ "stripe", "%s,t=1700000001", VERDICT_MALFORMED_SIGNATURE },
	{ "stripe", "%s,t=", VERDICT_MALFORMED_SIGNATURE },
	{ "stripe", "t=1700000000", VERDICT_MALFORMED_SIGNATURE },
	{ "stripe", "t=,v1=00", VERDICT_MALFORMED_TIMESTAMP },
	{ "stripe", "t=-1,v1=00", VERDICT_MALFORMED_TIMESTAMP },
	{ "stripe", "t=99999999999999999999,v1=00", VERDICT_MALFORMED_TIMESTAMP },
	{ "stripe", "t=1700000000,v1=00", VERDICT_MALFORMED_SIGNATURE },
	{ "stripe", ",,,", VERDICT_MALFORMED_SIGNATURE },
	{ "zen", "%s,n=other", VERDICT_MALFORMED_SIGNATURE },
	{ "zen", "t=1700000000,v1=00", VERDICT_MALFORMED_SIGNATURE },
	{ "zen", "t=1700000000,n=,v1=00", VERDICT_MALFORMED_ID },
	{ "zen", "t=1700000000,n=a.b,v1=00", VERDICT_MALFORMED_ID },
	{ "zen", "t=1700000000,n=a b,v1=00", VERDICT_MALFORMED_ID },
	{ "zen", "t=x,n=a b,v1=00", VERDICT_MALFORMED_TIMESTAMP },
	{ "gitlab-token", "%s", VERDICT_AUTHENTIC },
	{ "gitlab-token", "%s ", VERDICT_SIGNATURE_MISMATCH },
	{ "gitlab-token", "", VERDICT_SIGNATURE_MISMATCH },
};

static void test_forms_of_signature_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(signature_forms); i++) {
		char text[WEBHOOK_TEXT_MAX];
		sign(signature_forms[i].scheme);
		const char *header = scheme_signature_header(webhook.scheme);
		const char *right = webhook_value(&webhook, header);
		struct writer writer = writer_of(text, sizeof text - 1);
		for (const char *c = signature_forms[i].form; *c != '\0'; c++) {
			if (c[0] == '%' && c[1] == 's') {
				write_text(&writer, right);
				c++;
			} else {
				write_u8(&writer, (uint8_t)*c);
			}
		}
		assert_false(writer.failed);
		text[writer.size] = '\0';
		set_value(header, text);
		struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
		if (outcome.verdict != signature_forms[i].wanted) {
			fail_msg("%s \"%s\": %s", signature_forms[i].scheme,
				signature_forms[i].form, verdict_code(outcome.verdict));
		}
		assert_string_equal(outcome.header, header);
	}
}

/* Sixteen signatures are tried, a seventeenth is an attack on our time. */
static void test_the_number_of_signatures_is_bounded(void **state)
{
	(void)state;
	for (unsigned others = 14; others <= 16; others++) {
		char text[WEBHOOK_TEXT_MAX];
		sign("standard-webhooks");
		struct writer writer = writer_of(text, sizeof text - 1);
		for (unsigned i = 0; i < others; i++) write_text(&writer, "v1,AAAA ");
		write_text(&writer, webhook_value(&webhook, "webhook-signature"));
		assert_false(writer.failed);
		text[writer.size] = '\0';
		set_value("webhook-signature", text);
		assert_verdict(others < 16 ? VERDICT_AUTHENTIC : VERDICT_MALFORMED_SIGNATURE,
			"webhook-signature");
	}
}

static void test_ids(void **state)
{
	static const struct {
		const char *id;
		enum verdict wanted;
	} cases[] = {
		{ "msg_1", VERDICT_SIGNATURE_MISMATCH }, /* well formed, not what was signed */
		{ "!~", VERDICT_SIGNATURE_MISMATCH },
		{ "", VERDICT_MALFORMED_ID },
		{ "msg.1", VERDICT_MALFORMED_ID },
		{ "msg 1", VERDICT_MALFORMED_ID },
		{ "msg\t1", VERDICT_MALFORMED_ID },
		{ "msg\x7f", VERDICT_MALFORMED_ID },
		{ "m\xc3\xa9g", VERDICT_MALFORMED_ID },
	};
	char id[EVENT_ID_SIZE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		bool mismatch = cases[i].wanted == VERDICT_SIGNATURE_MISMATCH;
		sign("standard-webhooks");
		set_value("webhook-id", cases[i].id);
		assert_verdict(cases[i].wanted, mismatch ? "webhook-signature" : "webhook-id");
	}
	memset(id, 'x', sizeof id);
	id[EVENT_ID_SIZE_MAX + 1] = '\0';
	sign("standard-webhooks");
	set_value("webhook-id", id);
	assert_verdict(VERDICT_MALFORMED_ID, "webhook-id");
	id[EVENT_ID_SIZE_MAX] = '\0';
	set_value("webhook-id", id);
	assert_verdict(VERDICT_SIGNATURE_MISMATCH, "webhook-signature");
}

/* "whole.1700000000.body" must not be readable as another id, timestamp and body. */
static void test_parts_cannot_be_shifted(void **state)
{
	(void)state;
	sign("standard-webhooks");
	set_text(webhook.body, "1700000000.x");
	assert_verdict(VERDICT_SIGNATURE_MISMATCH, "webhook-signature");
	set_value("webhook-timestamp", "1700000000.1700000000");
	assert_verdict(VERDICT_MALFORMED_TIMESTAMP, "webhook-timestamp");
}

static void test_required_headers_of_box(void **state)
{
	(void)state;
	sign("box");
	set_value("BOX-SIGNATURE-VERSION", "2");
	assert_verdict(VERDICT_MALFORMED_SIGNATURE, "BOX-SIGNATURE-VERSION");
	sign("box");
	set_value("BOX-SIGNATURE-ALGORITHM", "none");
	assert_verdict(VERDICT_MALFORMED_SIGNATURE, "BOX-SIGNATURE-ALGORITHM");
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void test_the_previous_key_is_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *row = scheme_at(i);
		webhook_sign(&webhook, row, NOW_S);
		set_text(webhook.previous, webhook_secret(row, 1));
		struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
		assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
		assert_int_equal(outcome.key_index, 0);
		struct hash128 identity = outcome.identity;

		set_text(webhook.secret, webhook_secret(row, 1));
		set_text(webhook.previous, webhook_secret(row, 0));
		outcome = webhook_judge(&webhook, NOW_S);
		assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
		assert_int_equal(outcome.key_index, 1);
		assert_memory_equal(&outcome.identity, &identity, sizeof identity);

		/* Both keys the same: the current one is meant. */
		set_text(webhook.secret, webhook_secret(row, 0));
		assert_int_equal(webhook_judge(&webhook, NOW_S).key_index, 0);

		set_text(webhook.secret, webhook_secret(row, 1));
		webhook.previous[0] = '\0';
		assert_int_equal(webhook_judge(&webhook, NOW_S).verdict,
			VERDICT_SIGNATURE_MISMATCH);
	}
}

/* Box sends a signature under each of its two keys; either alone is enough. */
static void test_box_secondary_signature(void **state)
{
	static struct webhook vectors[WEBHOOKS_MAX];
	size_t count = webhook_load_vectors(vectors);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(vectors[i].name, "box") != 0) continue;
		webhook = vectors[i];
		assert_int_equal(webhook_judge(&webhook, webhook.now_s).key_index, 0);
		set_value("BOX-SIGNATURE-PRIMARY", "AAAA");
		struct verify_outcome outcome = webhook_judge(&webhook, webhook.now_s);
		assert_int_equal(outcome.verdict, VERDICT_AUTHENTIC);
		assert_int_equal(outcome.key_index, 1);
		set_value("BOX-SIGNATURE-SECONDARY", "AAAA");
		outcome = webhook_judge(&webhook, webhook.now_s);
		assert_int_equal(outcome.verdict, VERDICT_MALFORMED_SIGNATURE);
		return;
	}
	fail_msg("the vector is gone");
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_the_operator_may_set_the_tolerance(void **state)
{
	static const struct {
		const char *scheme;
		uint32_t tolerance_s;
		uint64_t late_s;
		enum verdict wanted;
	} cases[] = {
		{ "stripe", 10, 10, VERDICT_AUTHENTIC }, { "stripe", 10, 11, VERDICT_TIMESTAMP },
		{ "stripe", 86400, 86400, VERDICT_AUTHENTIC },
		{ "sanity", 0, 1000000, VERDICT_AUTHENTIC }, /* knows no window of its own */
		{ "sanity", 60, 61, VERDICT_TIMESTAMP },
		{ "github", 60, 1000000, VERDICT_AUTHENTIC }, /* has no timestamp */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		sign(cases[i].scheme);
		struct verifier *verifier = webhook_verifier(&webhook, cases[i].tolerance_s);
		enum verdict verdict =
			webhook_verify(&webhook, verifier, NOW_S + cases[i].late_s).verdict;
		assert_int_equal(verdict, cases[i].wanted);
		verifier_free(verifier);
	}
}

/* Only the spelling is judged here: what is well formed was not what was signed. */
static void test_spellings_of_iso_timestamps(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds; /* 0: malformed */
	} cases[] = {
		{ "2023-11-14T22:13:20Z", 1700000000 },
		{ "2023-11-14t22:13:20z", 1700000000 },
		{ "2023-11-14 22:13:20Z", 1700000000 },
		{ "2023-11-14T22:13:20.5Z", 1700000000 },
		{ "2023-11-14T22:13:20.123456789123Z", 1700000000 },
		{ "2023-11-14T14:13:20-08:00", 1700000000 },
		{ "2023-11-15T03:43:20+05:30", 1700000000 },
		{ "2020-02-29T00:00:00Z", 1582934400 },
		{ "2000-02-29T00:00:00Z", 951782400 },
		{ "1970-01-01T00:00:01Z", 1 },
		{ "2100-03-01T00:00:00Z", 4107542400 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "2016-12-31T23:59:60Z", 1483228800 }, /* a leap second */
		{ "9999-12-31T23:59:59-23:59", 0 },
		{ "1970-01-01T00:00:00+00:01", 0 },
		{ "1969-12-31T23:59:59Z", 0 },
		{ "2023-02-29T00:00:00Z", 0 },
		{ "2100-02-29T00:00:00Z", 0 },
		{ "2023-13-01T00:00:00Z", 0 },
		{ "2023-00-01T00:00:00Z", 0 },
		{ "2023-11-31T00:00:00Z", 0 },
		{ "2023-11-00T00:00:00Z", 0 },
		{ "2023-11-14T24:00:00Z", 0 },
		{ "2023-11-14T22:60:00Z", 0 },
		{ "2023-11-14T22:13:61Z", 0 },
		{ "2023-11-14T22:13:20", 0 },
		{ "2023-11-14T22:13:20.Z", 0 },
		{ "2023-11-14T22:13:20ZZ", 0 },
		{ "2023-11-14T22:13:20+0530", 0 },
		{ "2023-11-14T22:13:20+24:00", 0 },
		{ "2023-11-14T22:13Z", 0 },
		{ "2023-11-14", 0 },
		{ "1700000000", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		sign("zendesk");
		set_value("X-Zendesk-Webhook-Signature-Timestamp", cases[i].text);
		struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
		bool malformed = outcome.verdict == VERDICT_MALFORMED_TIMESTAMP;
		if (malformed != (cases[i].seconds == 0) ||
			outcome.timestamp_s != cases[i].seconds) {
			fail_msg("%s: %s", cases[i].text, verdict_code(outcome.verdict));
		}
	}
}

/* ---- what a refusal gives away --------------------------------------------------------------- */

/* Who has no key learns nothing but the verdict. */
static void test_a_refused_request_gives_no_identity(void **state)
{
	static const struct hash128 none = { 0 };
	(void)state;
	sign("standard-webhooks");
	webhook.body[0] ^= 1;
	struct verify_outcome outcome = webhook_judge(&webhook, NOW_S);
	assert_int_equal(outcome.verdict, VERDICT_SIGNATURE_MISMATCH);
	assert_int_equal(outcome.event_id.size, 0);
	assert_memory_equal(&outcome.identity, &none, sizeof none);

	/* But a late one by somebody who has it does. */
	sign("standard-webhooks");
	outcome = webhook_judge(&webhook, NOW_S + 301);
	assert_int_equal(outcome.verdict, VERDICT_TIMESTAMP);
	assert_string_equal(outcome.header, "webhook-timestamp");
	assert_int_equal(outcome.event_id.size, strlen("m5g_n0nce_1"));
}

/* Memory that was zeroed and never judged is not authentic. */
static void test_nothing_is_authentic_by_default(void **state)
{
	static struct verify_outcome outcome;
	(void)state;
	assert_int_not_equal(outcome.verdict, VERDICT_AUTHENTIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_and_repeated_headers),
		cmocka_unit_test(test_header_names_have_no_case),
		cmocka_unit_test(test_forms_of_signature_headers),
		cmocka_unit_test(test_the_number_of_signatures_is_bounded),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_parts_cannot_be_shifted),
		cmocka_unit_test(test_required_headers_of_box),
		cmocka_unit_test(test_the_previous_key_is_told_apart),
		cmocka_unit_test(test_box_secondary_signature),
		cmocka_unit_test(test_the_operator_may_set_the_tolerance),
		cmocka_unit_test(test_spellings_of_iso_timestamps),
		cmocka_unit_test(test_a_refused_request_gives_no_identity),
		cmocka_unit_test(test_nothing_is_authentic_by_default),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

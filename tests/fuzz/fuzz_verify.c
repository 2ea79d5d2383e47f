/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Aims at verify_request(), verify_signed_text(), verifier_sign(). Without the key nothing is
 * ever authentic; what was signed is, and is not any more after any change.
 *
 * Input: scheme, seconds since the timestamp of signing, a byte that says what to do, then
 * header lines, an empty line, body.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "verify/scheme.h"
#include "verify/verify.h"

enum { SCHEMES_MAX = 64, NOW_S = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct verifier *verifiers[SCHEMES_MAX];
static struct http_fields fields;

static void create_verifiers(void)
{
	CHECK(scheme_count() <= SCHEMES_MAX);
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *scheme = scheme_at(i);
		bool standard = scheme->key.form == KEY_BASE64;
		const char *error = NULL;
		struct bytes current = standard
			? BYTES_LITERAL("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
			: BYTES_LITERAL("0123456789abcdef0123456789abcdef");
		struct bytes previous = standard
			? BYTES_LITERAL("whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=")
			: BYTES_LITERAL("fedcba9876543210fedcba9876543210");
		CHECK(verifier_create(scheme, current, previous, 0, &verifiers[i], &error) ==
			RESULT_OK);
	}
}

/* "Name: value" lines until an empty one; the rest is the body. Not as strict as the HTTP
 * parser: the verifier must stand any bytes. */
static struct bytes read_fields(struct bytes text)
{
	fields.count = 0;
	while (text.size > 0 && fields.count < HTTP_FIELDS_MAX) {
		struct bytes line;
		struct http_field *field = &fields.field[fields.count];
		bytes_split(text, '\n', &line, &text);
		if (line.size == 0) break;
		bytes_split(line, ':', &field->name, &field->value);
		field->value = bytes_trim(field->value);
		fields.count++;
	}
	return text;
}

static void check_outcome(const struct verify_outcome *outcome)
{
	CHECK(outcome->verdict < VERDICT_COUNT);
	CHECK(outcome->header != NULL);
	CHECK(outcome->event_id.size <= EVENT_ID_SIZE_MAX);
}

static void judge_foreign(const struct verifier *verifier, struct bytes body, wall_t now)
{
	static uint8_t text[1 << 20];
	struct verify_outcome outcome;
	struct writer writer = writer_of(text, sizeof text);
	struct verify_input input = {
		.method = BYTES_LITERAL("POST"),
		.url = body, /* as good a URL as any */
		.fields = &fields,
		.body = body,
	};

	verify_request(verifier, &input, now, &outcome);
	check_outcome(&outcome);
	CHECK(outcome.verdict != VERDICT_AUTHENTIC && outcome.verdict != VERDICT_TIMESTAMP);
	CHECK(outcome.event_id.size == 0);
	enum result result = verify_signed_text(verifier, &input, &writer);
	CHECK(result == RESULT_OK || result == RESULT_NOT_FOUND || result == RESULT_FULL);
}

/* Signs the body, judges it with our own header lines and the input's behind them. */
static void judge_signed(const struct verifier *verifier, struct bytes lines, uint8_t change)
{
	static uint8_t body_bytes[1 << 16];
	static char signed_lines[2048];
	struct verify_outcome outcome;
	struct writer writer = writer_of(signed_lines, sizeof signed_lines);
	struct bytes body = read_fields(lines);

	if (body.size > sizeof body_bytes) body.size = sizeof body_bytes;
	if (body.size > 0) memcpy(body_bytes, body.data, body.size);
	struct sign_input sign = {
		.event_id = fields.count > 0 ? fields.field[0].value : BYTES_LITERAL("id"),
		.method = BYTES_LITERAL("POST"),
		.url = BYTES_LITERAL("https://example.com/%2F"),
		.body = bytes_of(body_bytes, body.size),
		.now = { .us = NOW_S * US_PER_S },
	};
	if (verifier_sign(verifier, &sign, &writer) != RESULT_OK) return;

	/* No line of ours may have been split by what the id holds. */
	struct bytes rest = writer_bytes(&writer);
	fields.count = 0;
	while (rest.size > 0) {
		struct bytes line;
		struct http_field *field = &fields.field[fields.count++];
		CHECK(bytes_split(rest, '\n', &line, &rest));
		CHECK(line.size > 1 && line.data[line.size - 1] == '\r');
		line.size--;
		CHECK(bytes_split(line, ':', &field->name, &field->value));
		field->value = bytes_trim(field->value);
	}
	struct verify_input input = {
		.method = sign.method,
		.url = sign.url,
		.fields = &fields,
		.body = sign.body,
	};
	verify_request(verifier, &input, sign.now, &outcome);
	check_outcome(&outcome);
	CHECK(outcome.verdict == VERDICT_AUTHENTIC);

	bool token = verifier_scheme(verifier)->signature.form == SIGNATURE_TOKEN;
	if (body.size == 0 || change == 0 || token) return;
	body_bytes[change % body.size] ^= change;
	verify_request(verifier, &input, sign.now, &outcome);
	CHECK(outcome.verdict == VERDICT_SIGNATURE_MISMATCH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (verifiers[0] == NULL) create_verifiers();
	if (size < 3) return 0;

	const struct verifier *verifier = verifiers[data[0] % scheme_count()];
	wall_t now = { .us = (NOW_S + data[1] * UINT64_C(4)) * US_PER_S };
	struct bytes rest = bytes_of(data + 3, size - 3);
	if (data[2] % 2 == 0)
		judge_foreign(verifier, read_fields(rest), now);
	else
		judge_signed(verifier, rest, data[2] / 2);
	return 0;
}

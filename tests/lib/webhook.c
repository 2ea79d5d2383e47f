/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/check.h"

#define VECTORS_PATH "tests/data/signature-vectors.json"

static void copy_text(char *to, size_t to_size, const char *text)
{
	if (text == NULL) text = "";
	assert_true(bytes_to_text(bytes_of_text(text), to, to_size));
}

void webhook_add_field(struct webhook *webhook, const char *name, const char *value)
{
	assert_true(webhook->field_count < WEBHOOK_FIELDS_MAX);
	uint32_t at = webhook->field_count++;
	copy_text(webhook->field_name[at], sizeof webhook->field_name[at], name);
	copy_text(webhook->field_value[at], sizeof webhook->field_value[at], value);
}

void webhook_add_lines(struct webhook *webhook, struct bytes lines)
{
	while (lines.size > 0) {
		struct bytes line, name, value;
		char name_text[128];
		char value_text[WEBHOOK_TEXT_MAX];
		assert_true(bytes_split(lines, '\n', &line, &lines));
		assert_true(line.size > 0 && line.data[line.size - 1] == '\r');
		line.size--;
		assert_true(bytes_split(line, ':', &name, &value));
		assert_true(value.size > 0 && value.data[0] == ' ');
		assert_true(bytes_to_text(name, name_text, sizeof name_text));
		assert_true(bytes_to_text(bytes_from(value, 1), value_text, sizeof value_text));
		webhook_add_field(webhook, name_text, value_text);
	}
}

char *webhook_value(struct webhook *webhook, const char *name)
{
	for (uint32_t i = 0; i < webhook->field_count; i++) {
		struct bytes field = bytes_of_text(webhook->field_name[i]);
		if (bytes_equal_ignore_case(field, bytes_of_text(name)))
			return webhook->field_value[i];
	}
	fail_msg("%s has no field %s", webhook->name, name);
	return NULL;
}

/* "SamplePrimaryKey / SampleSecondaryKey" */
static void split_secrets(struct webhook *webhook)
{
	char *separator = strstr(webhook->secret, " / ");
	if (separator == NULL) return;
	copy_text(webhook->previous, sizeof webhook->previous, separator + 3);
	*separator = '\0';
}

static void load_vector(struct webhook *webhook, yyjson_val *item)
{
	size_t index, count;
	yyjson_val *name, *value;

	copy_text(webhook->name, sizeof webhook->name,
		yyjson_get_str(yyjson_obj_get(item, "name")));
	copy_text(webhook->secret, sizeof webhook->secret,
		yyjson_get_str(yyjson_obj_get(item, "secret")));
	split_secrets(webhook);
	copy_text(webhook->method, sizeof webhook->method,
		yyjson_get_str(yyjson_obj_get(item, "method")));
	copy_text(webhook->url, sizeof webhook->url, yyjson_get_str(yyjson_obj_get(item, "url")));
	copy_text(webhook->body, sizeof webhook->body,
		yyjson_get_str(yyjson_obj_get(item, "body")));
	copy_text(webhook->signed_text, sizeof webhook->signed_text,
		yyjson_get_str(yyjson_obj_get(item, "signed_string")));
	webhook->now_s = yyjson_get_uint(yyjson_obj_get(item, "now"));
	yyjson_obj_foreach(yyjson_obj_get(item, "headers"), index, count, name, value)
	{
		webhook_add_field(webhook, yyjson_get_str(name), yyjson_get_str(value));
	}
}

/* webhook-id becomes svix-id, and so on. */
static void rename_for_svix(struct webhook *webhook)
{
	for (uint32_t i = 0; i < webhook->field_count; i++) {
		char renamed[128];
		const char *dash = strchr(webhook->field_name[i], '-');
		assert_non_null(dash);
		(void)snprintf(renamed, sizeof renamed, "svix%s", dash);
		copy_text(webhook->field_name[i], sizeof webhook->field_name[i], renamed);
	}
	webhook->scheme = scheme_find(BYTES_LITERAL("svix"));
}

size_t webhook_load_vectors(struct webhook to[static WEBHOOKS_MAX])
{
	yyjson_read_err error;
	yyjson_doc *document = yyjson_read_file(VECTORS_PATH, 0, NULL, &error);
	if (document == NULL) fail_msg("%s: %s", VECTORS_PATH, error.msg);

	size_t loaded = 0;
	size_t index, count;
	yyjson_val *item;
	yyjson_arr_foreach(yyjson_doc_get_root(document), index, count, item)
	{
		const char *provider = yyjson_get_str(yyjson_obj_get(item, "provider"));
		const struct scheme *scheme = scheme_find(bytes_of_text(provider));
		if (scheme == NULL) continue;
		assert_true(loaded + 2 <= WEBHOOKS_MAX);
		to[loaded] = (struct webhook){ .scheme = scheme };
		load_vector(&to[loaded++], item);
		if (strcmp(provider, "standard-webhooks") == 0) {
			to[loaded] = to[loaded - 1];
			rename_for_svix(&to[loaded++]);
		}
	}
	yyjson_doc_free(document);
	return loaded;
}

const char *webhook_secret(const struct scheme *scheme, int variant)
{
	static const char *const encoded[] = {
		"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
	};
	static const char *const plain[] = { "a perfectly good secret", "another good secret" };
	struct bytes header = bytes_of_text(scheme_signature_header(scheme));
	bool standard = bytes_equal(header, BYTES_LITERAL("webhook-signature")) ||
		bytes_equal(header, BYTES_LITERAL("svix-signature"));

	CHECK(variant == 0 || variant == 1);
	return standard ? encoded[variant] : plain[variant];
}

void webhook_sign(struct webhook *to, const struct scheme *scheme, uint64_t now_s)
{
	char lines[2048];
	struct writer writer = writer_of(lines, sizeof lines);

	*to = (struct webhook){ .scheme = scheme, .now_s = now_s };
	copy_text(to->name, sizeof to->name, scheme_name(scheme));
	copy_text(to->secret, sizeof to->secret, webhook_secret(scheme, 0));
	copy_text(to->method, sizeof to->method, "POST");
	copy_text(to->url, sizeof to->url, "https://hooks.example.com/in/1?a=b%2Fc");
	copy_text(to->body, sizeof to->body, "{\"id\":\"evt_1\",\"event_id\":\"Ev1\",\"n\":[1,2]}");

	struct verifier *verifier = webhook_verifier(to, 0);
	struct sign_input input = {
		.event_id = BYTES_LITERAL("m5g_n0nce_1"),
		.method = bytes_of_text(to->method),
		.url = bytes_of_text(to->url),
		.body = bytes_of_text(to->body),
		.now = { .us = now_s * US_PER_S },
	};
	assert_non_null(verifier);
	assert_int_equal(verifier_sign(verifier, &input, &writer), RESULT_OK);
	webhook_add_lines(to, writer_bytes(&writer));
	verifier_free(verifier);
}

struct verifier *webhook_verifier(const struct webhook *webhook, uint32_t tolerance_s)
{
	struct verifier *verifier = NULL;
	const char *error = NULL;

	if (verifier_create(webhook->scheme, bytes_of_text(webhook->secret),
		    bytes_of_text(webhook->previous), tolerance_s, &verifier,
		    &error) != RESULT_OK) {
		assert_non_null(error);
		return NULL;
	}
	return verifier;
}

/* What was said before the signature was judged. */
struct expectation {
	struct hash128 identity;
	unsigned calls;
};

static void note_expected(void *owner, struct hash128 identity)
{
	struct expectation *expectation = owner;
	expectation->identity = identity;
	expectation->calls++;
}

static void assert_along(const struct verify_input *input, const struct verify_outcome *outcome,
	const struct expectation *expectation)
{
	uint8_t sha256[SHA256_SIZE];

	hash_sha256(input->body, sha256);
	if (outcome->body_hashed) assert_memory_equal(outcome->body_sha256, sha256, SHA256_SIZE);
	assert_true(expectation->calls <= 1);
	bool known = outcome->verdict == VERDICT_AUTHENTIC || outcome->verdict == VERDICT_TIMESTAMP;
	struct hash128 identity = outcome->identity;
	if (!known) {
		/* Nothing of it is told when it was not right. */
		assert_true(identity.low == 0 && identity.high == 0);
	} else if (expectation->calls == 1) {
		assert_true(identity.low == expectation->identity.low);
		assert_true(identity.high == expectation->identity.high);
	}
}

struct verify_input webhook_input(const struct webhook *webhook, struct http_fields *fields)
{
	fields->count = webhook->field_count;
	for (uint32_t i = 0; i < webhook->field_count; i++) {
		fields->field[i].name = bytes_of_text(webhook->field_name[i]);
		fields->field[i].value = bytes_of_text(webhook->field_value[i]);
	}
	return (struct verify_input){
		.method = bytes_of_text(webhook->method),
		.url = bytes_of_text(webhook->url),
		.fields = fields,
		.body = bytes_of_text(webhook->body),
	};
}

struct verify_outcome webhook_verify(const struct webhook *webhook, const struct verifier *verifier,
	uint64_t now_s)
{
	static struct http_fields fields;
	struct verify_outcome outcome;
	struct expectation expectation = { 0 };

	struct verify_input input = webhook_input(webhook, &fields);
	input.expected = note_expected;
	input.owner = &expectation;
	verify_request(verifier, &input, (wall_t){ .us = now_s * US_PER_S }, &outcome);
	assert_along(&input, &outcome, &expectation);

	if (webhook->signed_text[0] != '\0' && outcome.verdict == VERDICT_AUTHENTIC) {
		char text[2 * WEBHOOK_TEXT_MAX];
		struct writer writer = writer_of(text, sizeof text);
		assert_int_equal(verify_signed_text(verifier, &input, &writer), RESULT_OK);
		assert_true(bytes_equal(writer_bytes(&writer),
			bytes_of_text(webhook->signed_text)));
	}
	return outcome;
}

struct verify_outcome webhook_judge(const struct webhook *webhook, uint64_t now_s)
{
	struct verifier *verifier = webhook_verifier(webhook, 0);
	assert_non_null(verifier);
	struct verify_outcome outcome = webhook_verify(webhook, verifier, now_s);
	verifier_free(verifier);
	return outcome;
}

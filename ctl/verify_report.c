/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify_report — see the header. A request is somebody else's text: what of it goes to a
 * terminal is escaped. */
#include "verify_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <yyjson.h>

#include "base/alloc.h"
#include "base/check.h"

enum { SHOWN_TEXT_MAX = 400 };

/* The signature was right: under which key, and for which event, is known. */
static bool signature_was_right(const struct verify_report *report)
{
	enum verdict verdict = report->outcome.verdict;
	return verdict == VERDICT_AUTHENTIC || verdict == VERDICT_TIMESTAMP;
}

static const char *key_name(const struct verify_report *report)
{
	return report->outcome.key_index == 0 ? "current" : "previous";
}

/* Positive: the request is older than `now`. */
static int64_t skew_s(const struct verify_report *report)
{
	return (int64_t)wall_seconds(report->now) - (int64_t)report->outcome.timestamp_s;
}

static bool is_outside_window(const struct verify_report *report)
{
	int64_t skew = skew_s(report);
	int64_t size = skew < 0 ? -skew : skew;
	if (report->outcome.timestamp_s == 0 || report->tolerance_s == 0) return false;
	return size > (int64_t)report->tolerance_s;
}

/* ---- the signed text ------------------------------------------------------------------------- */

struct signed_text {
	uint8_t *memory;
	size_t capacity;
	struct bytes text; /* NULL data: there is none */
};

static struct signed_text signed_text_of(const struct verify_report *report,
	const struct verifier *verifier)
{
	/* Any part that is not the body or the URL stands in a header. */
	size_t capacity = report->input.body.size + report->input.url.size + 2 * HTTP_HEAD_SIZE_MAX;
	struct signed_text signed_text = { .memory = alloc_map(capacity), .capacity = capacity };
	struct writer writer = writer_of(signed_text.memory, capacity);
	if (verify_signed_text(verifier, &report->input, &writer) == RESULT_OK) {
		signed_text.text = writer_bytes(&writer);
	}
	return signed_text;
}

static void signed_text_done(struct signed_text *signed_text)
{
	alloc_unmap(signed_text->memory, signed_text->capacity);
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_escaped(struct bytes text)
{
	size_t shown = text.size < SHOWN_TEXT_MAX ? text.size : SHOWN_TEXT_MAX;
	for (size_t i = 0; i < shown; i++) {
		uint8_t c = text.data[i];
		if (c == '\n')
			(void)fputs("\\n", stdout);
		else if (c == '\\')
			(void)fputs("\\\\", stdout);
		else if (c < ' ' || c > '~')
			printf("\\x%02x", c);
		else
			(void)putchar(c);
	}
	if (shown < text.size) printf(" ... (%zu bytes in all)", text.size);
	(void)putchar('\n');
}

static void print_time(const struct verify_report *report)
{
	int64_t skew = skew_s(report);

	if (report->outcome.timestamp_s == 0) return;
	printf("  timestamp    %" PRIu64 ", %" PRId64 " s %s", report->outcome.timestamp_s,
		skew < 0 ? -skew : skew, skew < 0 ? "ahead" : "ago");
	if (report->tolerance_s == 0)
		printf(" (any time is allowed)\n");
	else
		printf(" (%" PRIu32 " s are allowed)\n", report->tolerance_s);
}

/* What the operator should look at next; each sentence is a line or more of its own. */
static const char *advice(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_AUTHENTIC: return "";
	case VERDICT_SIGNATURE_MISMATCH:
		return "  Usual reasons: the secret is another endpoint's or an old one; the body\n"
		       "  is not byte for byte what was sent (parsed and written again, or an\n"
		       "  editor added a newline); the scheme is another one.\n";
	case VERDICT_TIMESTAMP:
		return "  The signature is right, only the time is not: an old request, or a\n"
		       "  clock that is wrong here or there. For a request from a file, give the\n"
		       "  time it came with --now.\n";
	case VERDICT_MISSING_HEADER:
		return "  Give every header of the request with --header; something in front of\n"
		       "  the endpoint may have taken it away.\n";
	case VERDICT_DUPLICATE_HEADER:
		return "  Which of them the provider meant cannot be known.\n";
	case VERDICT_MALFORMED_SIGNATURE:
	case VERDICT_MALFORMED_TIMESTAMP:
	case VERDICT_MALFORMED_ID:
		return "  Is this the scheme the provider uses? penstockctl verify --list\n";
	case VERDICT_COUNT: break;
	}
	UNREACHABLE();
}

static void print_advice(const struct verify_report *report)
{
	enum verdict verdict = report->outcome.verdict;

	(void)fputs(advice(verdict), stdout);
	if (verdict == VERDICT_SIGNATURE_MISMATCH && scheme_signs_url(report->scheme)) {
		printf("  Or the URL is not exactly the one the provider called.\n");
	}
	if (verdict == VERDICT_SIGNATURE_MISMATCH && is_outside_window(report)) {
		printf("  The timestamp would be outside the window, too.\n");
	}
	if (verdict == VERDICT_AUTHENTIC && report->outcome.key_index == 1) {
		printf("  The provider still signs with the previous secret.\n");
	}
}

void verify_report_text(const struct verify_report *report, const struct verifier *verifier)
{
	const struct verify_outcome *outcome = &report->outcome;
	struct signed_text signed_text = signed_text_of(report, verifier);

	if (outcome->verdict == VERDICT_AUTHENTIC)
		printf("authentic: ");
	else
		printf("refused: %s: ", verdict_code(outcome->verdict));
	printf("%s\n", verdict_text(outcome->verdict));
	print_advice(report);
	printf("  scheme       %s\n", scheme_name(report->scheme));
	printf("  header       %s\n", outcome->header);
	if (signature_was_right(report)) printf("  key          %s\n", key_name(report));
	print_time(report);
	if (outcome->event_id.size > 0) {
		printf("  event id     ");
		print_escaped(outcome->event_id);
	}
	if (signed_text.text.data != NULL) {
		printf("  signed text  ");
		print_escaped(signed_text.text);
	}
	signed_text_done(&signed_text);
}

void verify_report_schemes(void)
{
	printf("%-18s %-30s %s\n", "NAME", "SIGNATURE HEADER", "FOR");
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *scheme = scheme_at(i);
		printf("%-18s %-30s %s%s\n", scheme_name(scheme), scheme_signature_header(scheme),
			scheme_title(scheme), scheme_signs_url(scheme) ? " (signs the URL)" : "");
	}
}

/* ---- for programs ---------------------------------------------------------------------------- */

struct json {
	yyjson_mut_doc *document;
	yyjson_mut_val *root;
};

/* Every member is always there; what is unknown is null. */
static void add_text(struct json *json, const char *name, struct bytes text)
{
	yyjson_mut_val *value = text.data == NULL
		? yyjson_mut_null(json->document)
		: yyjson_mut_strncpy(json->document, (const char *)text.data, text.size);
	CHECK(yyjson_mut_obj_add_val(json->document, json->root, name, value));
}

static void add_number(struct json *json, const char *name, bool known, int64_t number)
{
	yyjson_mut_val *value = known ? yyjson_mut_sint(json->document, number)
				      : yyjson_mut_null(json->document);
	CHECK(yyjson_mut_obj_add_val(json->document, json->root, name, value));
}

static void add_base64(struct json *json, const char *name, struct bytes bytes)
{
	char *base64 = alloc_array(base64_encoded_size(bytes.size), 1);
	add_text(json, name, bytes_of(base64, base64_encode(bytes, base64)));
	alloc_free(base64);
}

/* NULL when a text is not UTF-8, which can only be the signed one. Release with free(). */
static char *write_json(const struct verify_report *report, struct bytes signed_text, bool encoded)
{
	const struct verify_outcome *outcome = &report->outcome;
	bool authentic = outcome->verdict == VERDICT_AUTHENTIC;
	bool timed = outcome->timestamp_s != 0;
	struct json json = { .document = yyjson_mut_doc_new(NULL) };
	json.root = yyjson_mut_obj(json.document);
	yyjson_mut_doc_set_root(json.document, json.root);

	add_text(&json, "schema", BYTES_LITERAL("penstock.verify/v1"));
	add_text(&json, "scheme", bytes_of_text(scheme_name(report->scheme)));
	add_text(&json, "verdict", bytes_of_text(authentic ? "authentic" : "refused"));
	add_text(&json, "reason", bytes_of_text(verdict_code(outcome->verdict)));
	add_text(&json, "detail", bytes_of_text(verdict_text(outcome->verdict)));
	add_text(&json, "header", bytes_of_text(outcome->header));
	add_number(&json, "timestamp", timed, (int64_t)outcome->timestamp_s);
	add_number(&json, "skew_s", timed, skew_s(report));
	add_number(&json, "tolerance_s", report->tolerance_s != 0, report->tolerance_s);
	add_text(&json, "key",
		signature_was_right(report) ? bytes_of_text(key_name(report)) : BYTES_EMPTY);
	add_text(&json, "event_id", outcome->event_id);
	if (encoded)
		add_base64(&json, "signed_string_base64", signed_text);
	else
		add_text(&json, "signed_string", signed_text);
	char *text = yyjson_mut_write(json.document, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
	yyjson_mut_doc_free(json.document);
	return text;
}

void verify_report_json(const struct verify_report *report, const struct verifier *verifier)
{
	struct signed_text signed_text = signed_text_of(report, verifier);
	char *text = write_json(report, signed_text.text, false);
	if (text == NULL) text = write_json(report, signed_text.text, true);
	CHECK(text != NULL);
	(void)puts(text);
	free(text);
	signed_text_done(&signed_text);
}

void verify_report_schemes_json(void)
{
	struct json json = { .document = yyjson_mut_doc_new(NULL) };
	json.root = yyjson_mut_obj(json.document);
	yyjson_mut_doc_set_root(json.document, json.root);
	add_text(&json, "schema", BYTES_LITERAL("penstock.schemes/v1"));
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(json.document, json.root, "schemes");
	for (size_t i = 0; i < scheme_count(); i++) {
		const struct scheme *scheme = scheme_at(i);
		struct json row = { json.document, yyjson_mut_arr_add_obj(json.document, list) };
		add_text(&row, "name", bytes_of_text(scheme_name(scheme)));
		add_text(&row, "signature_header", bytes_of_text(scheme_signature_header(scheme)));
		add_text(&row, "title", bytes_of_text(scheme_title(scheme)));
		CHECK(yyjson_mut_obj_add_bool(json.document, row.root, "signs_url",
			scheme_signs_url(scheme)));
	}
	char *text = yyjson_mut_write(json.document, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
	CHECK(text != NULL);
	(void)puts(text);
	free(text);
	yyjson_mut_doc_free(json.document);
}

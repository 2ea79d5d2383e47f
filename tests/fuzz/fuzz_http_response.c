/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a response: parsed or refused with a fault; what was taken obeys the grammar, and a
 * connection is kept only where the end of the body is known. */
#include <string.h>

#include "base/check.h"
#include "http/http_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_response response;

static bool lies_within(struct bytes view, struct bytes whole)
{
	if (view.data == NULL) return view.size == 0;
	return view.data >= whole.data && view.data + view.size <= whole.data + whole.size;
}

static void check_response(struct bytes head, bool head_method)
{
	uint32_t lengths = http_field_count(&response.fields, BYTES_LITERAL("content-length"));
	uint32_t codings = http_field_count(&response.fields, BYTES_LITERAL("transfer-encoding"));
	bool bodiless = head_method || response.status < 200 || response.status == 204 ||
		response.status == 304;

	CHECK(response.status >= 100 && response.status <= 599);
	CHECK(response.minor_version <= 1);
	CHECK(lengths + codings <= 1);
	if (bodiless) CHECK(response.body == HTTP_BODY_NONE);
	if (response.body == HTTP_BODY_CLOSE) CHECK(!response.keep_alive && lengths + codings == 0);
	if (response.body == HTTP_BODY_LENGTH) CHECK(lengths == 1 && response.content_length > 0);
	if (response.body == HTTP_BODY_CHUNKED) CHECK(codings == 1 && response.minor_version == 1);

	CHECK(response.fields.count <= HTTP_FIELDS_MAX);
	for (uint32_t i = 0; i < response.fields.count; i++) {
		const struct http_field *field = &response.fields.field[i];
		CHECK(lies_within(field->name, head) && lies_within(field->value, head));
		CHECK(field->name.size > 0);
	}
}

static void check_retry_after(void)
{
	uint64_t now_s = 1700000000;
	uint64_t seconds;

	enum result result = http_retry_after(&response.fields, now_s, &seconds);
	bool there = http_field_count(&response.fields, BYTES_LITERAL("retry-after")) > 0;
	CHECK(there == (result != RESULT_NOT_FOUND));
	CHECK(result == RESULT_OK || result == RESULT_MALFORMED || result == RESULT_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t scanned = 0;
	size_t head_size = 0;

	if (http_head_find(bytes_of(data, size), &scanned, &head_size, &fault) != HTTP_PARSE_DONE) {
		return 0;
	}
	struct bytes head = bytes_of(data, head_size);
	for (unsigned i = 0; i < 2; i++) {
		bool head_method = i == 1;
		enum http_parse parse = http_response_parse(head, head_method, &response, &fault);
		CHECK(parse != HTTP_PARSE_MORE);
		CHECK((parse == HTTP_PARSE_DONE) == (fault == HTTP_FAULT_NONE));
		if (parse != HTTP_PARSE_DONE) continue;
		check_response(head, head_method);
		check_retry_after();
	}
	return 0;
}

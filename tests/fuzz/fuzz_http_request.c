/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a request: found and parsed, or refused with a fault, the same in one piece and in
 * several; what was taken obeys the grammar, and written out again says the same. */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "http/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_request request;
static struct http_request again;

static bool lies_within(struct bytes view, struct bytes whole)
{
	if (view.data == NULL) return view.size == 0;
	return view.data >= whole.data && view.data + view.size <= whole.data + whole.size;
}

static bool holds_any(struct bytes text, const char *bytes, size_t count)
{
	for (size_t i = 0; i < text.size; i++) {
		if (memchr(bytes, text.data[i], count) != NULL) return true;
	}
	return false;
}

static void check_fields(struct bytes head)
{
	CHECK(request.fields.count <= HTTP_FIELDS_MAX);
	for (uint32_t i = 0; i < request.fields.count; i++) {
		const struct http_field *field = &request.fields.field[i];
		CHECK(lies_within(field->name, head) && lies_within(field->value, head));
		CHECK(field->name.size > 0);
		CHECK(!holds_any(field->name, "\0\t\n\r :", 6));
		CHECK(!holds_any(field->value, "\0\n\r\x7f", 4));
		CHECK(bytes_equal(bytes_trim(field->value), field->value));
	}
}

static void check_framing(void)
{
	uint32_t lengths = http_field_count(&request.fields, BYTES_LITERAL("content-length"));
	uint32_t codings = http_field_count(&request.fields, BYTES_LITERAL("transfer-encoding"));
	uint32_t hosts = http_field_count(&request.fields, BYTES_LITERAL("host"));

	CHECK(lengths + codings <= 1);
	CHECK(hosts == 1 || (hosts == 0 && request.minor_version == 0));
	CHECK(request.minor_version <= 1);
	CHECK(request.body != HTTP_BODY_CLOSE);
	CHECK((request.body == HTTP_BODY_LENGTH) == (request.content_length > 0));
	CHECK((request.body == HTTP_BODY_CHUNKED) == (codings == 1));
	if (request.body == HTTP_BODY_LENGTH) CHECK(lengths == 1);
	if (request.body == HTTP_BODY_CHUNKED) CHECK(request.minor_version == 1);
	if (request.expect_continue) CHECK(request.body != HTTP_BODY_NONE);
	if (request.minor_version == 1) CHECK(request.host.size > 0);
}

static void check_request(struct bytes head)
{
	CHECK(lies_within(request.method, head) && request.method.size > 0);
	CHECK(lies_within(request.target, head) && request.target.size > 0);
	CHECK(lies_within(request.path, head) && lies_within(request.query, head));
	CHECK(lies_within(request.host, head));
	CHECK(request.target.size <= HTTP_TARGET_SIZE_MAX);
	CHECK(!holds_any(request.target, "\0\t\n\r #", 6));
	CHECK(!holds_any(request.host, "\0\t\n\r /@?#,", 10));
	if (request.path.size == 0) {
		CHECK(bytes_equal(request.target, BYTES_LITERAL("*")));
	} else {
		CHECK(request.path.data[0] == '/');
		CHECK(!holds_any(request.path, "?", 1));
	}
	check_fields(head);
	check_framing();
}

/* A request written out in the one way we would write it is read as the same request. */
static void check_written_again(void)
{
	static uint8_t memory[HTTP_HEAD_SIZE_MAX + 2 * HTTP_FIELDS_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	enum http_fault fault;

	write_bytes(&writer, request.method);
	write_text(&writer, " ");
	write_bytes(&writer, request.target);
	write_text(&writer, request.minor_version == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	for (uint32_t i = 0; i < request.fields.count; i++) {
		write_bytes(&writer, request.fields.field[i].name);
		write_text(&writer, ": ");
		write_bytes(&writer, request.fields.field[i].value);
		write_text(&writer, "\r\n");
	}
	write_text(&writer, "\r\n");
	CHECK(!writer.failed);

	CHECK(http_request_parse(writer_bytes(&writer), &again, &fault) == HTTP_PARSE_DONE);
	CHECK(bytes_equal(again.method, request.method) &&
		bytes_equal(again.target, request.target));
	CHECK(bytes_equal(again.path, request.path) && bytes_equal(again.query, request.query));
	CHECK(bytes_equal(again.host, request.host));
	CHECK(again.body == request.body && again.content_length == request.content_length);
	CHECK(again.keep_alive == request.keep_alive);
	CHECK(again.expect_continue == request.expect_continue);
	CHECK(again.fields.count == request.fields.count);
}

static bool same_view(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || a.data == b.data);
}

/* In pieces whose sizes come from the input itself, as they would from a network. */
static enum http_parse find_in_pieces(struct bytes input, size_t *ret_size,
	enum http_fault *ret_fault)
{
	enum http_parse parse = HTTP_PARSE_MORE;
	size_t scanned = 0;

	for (size_t given = 0; given < input.size && parse == HTTP_PARSE_MORE;) {
		size_t step = 1 + input.data[given] % 16u;
		given = input.size - given < step ? input.size : given + step;
		parse = http_head_find(bytes_of(input.data, given), &scanned, ret_size, ret_fault);
		CHECK(scanned <= given);
	}
	return parse;
}

/* In one pass: the same request from the same bytes, or nothing. */
static void check_at_once(struct bytes input, bool whole, size_t head_size)
{
	static struct http_request at_once;
	size_t size = 0;

	CHECK(http_request_parse_at_once(input, &at_once, &size) == whole);
	if (!whole) return;
	CHECK(size == head_size);
	CHECK(same_view(at_once.method, request.method) && same_view(at_once.host, request.host));
	CHECK(same_view(at_once.target, request.target) && same_view(at_once.path, request.path));
	CHECK(same_view(at_once.query, request.query));
	CHECK(at_once.minor_version == request.minor_version && at_once.body == request.body);
	CHECK(at_once.content_length == request.content_length);
	CHECK(at_once.keep_alive == request.keep_alive);
	CHECK(at_once.expect_continue == request.expect_continue);
	CHECK(at_once.fields.count == request.fields.count);
	for (uint32_t i = 0; i < request.fields.count; i++) {
		CHECK(same_view(at_once.fields.field[i].name, request.fields.field[i].name));
		CHECK(same_view(at_once.fields.field[i].value, request.fields.field[i].value));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = bytes_of(data, size);
	enum http_fault fault = HTTP_FAULT_NONE;
	enum http_fault pieces_fault = HTTP_FAULT_NONE;
	size_t scanned = 0;
	size_t head_size = 0;
	size_t pieces_size = 0;

	enum http_parse parse = http_head_find(input, &scanned, &head_size, &fault);
	CHECK(find_in_pieces(input, &pieces_size, &pieces_fault) == parse);
	CHECK(pieces_size == head_size && pieces_fault == fault);
	if (parse == HTTP_PARSE_MORE) CHECK(size < HTTP_HEAD_SIZE_MAX);
	if (parse != HTTP_PARSE_DONE) {
		check_at_once(input, false, 0);
		return 0;
	}

	CHECK(head_size <= size && head_size <= HTTP_HEAD_SIZE_MAX);
	const void *end = memmem(data, size, "\r\n\r\n", 4);
	CHECK(end == data + head_size - 4);

	struct bytes head = bytes_of(data, head_size);
	parse = http_request_parse(head, &request, &fault);
	CHECK(parse != HTTP_PARSE_MORE);
	CHECK((parse == HTTP_PARSE_DONE) == (fault == HTTP_FAULT_NONE));
	check_at_once(input, parse == HTTP_PARSE_DONE, head_size);
	if (parse != HTTP_PARSE_DONE) return 0;
	check_request(head);
	check_written_again();
	return 0;
}

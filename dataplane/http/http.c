/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/http.h"

#include "base/check.h"
#include "http/http_internal.h"

struct fault_row {
	unsigned status;
	const char *code;
	const char *text;
};

static const struct fault_row fault_rows[] = {
#define X(name, status, code, text) [HTTP_FAULT_##name] = { (status), (code), (text) },
	HTTP_FAULT_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(fault_rows) == HTTP_FAULT_COUNT);

unsigned http_fault_status(enum http_fault fault)
{
	CHECK(fault < HTTP_FAULT_COUNT);
	return fault_rows[fault].status;
}

const char *http_fault_code(enum http_fault fault)
{
	CHECK(fault < HTTP_FAULT_COUNT);
	return fault_rows[fault].code;
}

const char *http_fault_text(enum http_fault fault)
{
	CHECK(fault < HTTP_FAULT_COUNT);
	return fault_rows[fault].text;
}

const struct http_field *http_field_find(const struct http_fields *fields, struct bytes name)
{
	for (uint32_t i = 0; i < fields->count; i++) {
		if (bytes_equal_ignore_case(fields->field[i].name, name)) return &fields->field[i];
	}
	return NULL;
}

uint32_t http_field_count(const struct http_fields *fields, struct bytes name)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < fields->count; i++) {
		if (bytes_equal_ignore_case(fields->field[i].name, name)) count++;
	}
	return count;
}

bool http_head_is_complete(struct bytes head)
{
	return head.size >= 4 && memcmp(head.data + head.size - 4, "\r\n\r\n", 4) == 0;
}

enum http_parse http_head_find(struct bytes input, size_t *scanned, size_t *ret_size,
	enum http_fault *ret_fault)
{
	/* A head's end must lie within the bound, so what stands behind it is not looked at:
	 * the verdict is the same however the input was split. */
	size_t limit = input.size < HTTP_HEAD_SIZE_MAX ? input.size : HTTP_HEAD_SIZE_MAX;
	CHECK(*scanned <= limit);

	while (*scanned < limit) {
		const uint8_t *found = memchr(input.data + *scanned, '\n', limit - *scanned);
		if (found == NULL) break;

		/* RFC 9112 §2.2: "Although the line terminator for the start-line and fields is
		 * the sequence CRLF, a recipient MAY recognize a single LF as a line terminator
		 * and ignore any preceding CR." We do not: who does sees other lines than who
		 * does not. */
		if (found == input.data || found[-1] != '\r') {
			*ret_fault = HTTP_FAULT_BARE_LF;
			return HTTP_PARSE_BAD;
		}
		*scanned = (size_t)(found - input.data) + 1;
		if (http_head_is_complete(bytes_of(input.data, *scanned))) {
			*ret_size = *scanned;
			return HTTP_PARSE_DONE;
		}
	}
	*scanned = limit;
	if (limit == HTTP_HEAD_SIZE_MAX) {
		*ret_fault = HTTP_FAULT_HEAD_SIZE;
		return HTTP_PARSE_BAD;
	}
	return HTTP_PARSE_MORE;
}

enum http_fault http_line_take(struct bytes *rest, struct bytes *ret_line)
{
	if (rest->size == 0) return HTTP_FAULT_HEAD_SIZE;
	/* As nearly all are: nothing in it but text. */
	const uint8_t *end = rest->data + rest->size;
	const uint8_t *text_end = http_text_end(rest->data, end);
	if (end - text_end >= 2 && text_end[0] == '\r' && text_end[1] == '\n') {
		*ret_line = bytes_of(rest->data, (size_t)(text_end - rest->data));
		*rest = bytes_from(*rest, ret_line->size + 2);
		return HTTP_FAULT_NONE;
	}

	size_t size = bytes_find(*rest, '\n');
	if (size == rest->size) return HTTP_FAULT_HEAD_SIZE;
	if (size == 0 || rest->data[size - 1] != '\r') return HTTP_FAULT_BARE_LF;
	*ret_line = bytes_of(rest->data, size - 1);
	*rest = bytes_from(*rest, size + 1);

	/* RFC 9112 §2.2: "A recipient of such a bare CR MUST consider that element to be
	 * invalid or replace each bare CR with SP before processing the element or forwarding
	 * the message." */
	if (bytes_find(*ret_line, '\r') < ret_line->size) return HTTP_FAULT_BARE_CR;
	return HTTP_FAULT_NONE;
}

enum http_fault http_version_parse(struct bytes text, enum http_fault malformed, uint8_t *ret_minor)
{
	/* RFC 9112 §2.3: HTTP-version = HTTP-name "/" DIGIT "." DIGIT; "HTTP-version is
	 * case-sensitive." */
	if (text.size != 8 || memcmp(text.data, "HTTP/", 5) != 0) return malformed;
	uint8_t major = text.data[5];
	uint8_t minor = text.data[7];
	if (!http_char_is(major, CHAR_DIGIT) || text.data[6] != '.') return malformed;
	if (!http_char_is(minor, CHAR_DIGIT)) return malformed;

	if (major != '1' || minor > '1') return HTTP_FAULT_VERSION;
	*ret_minor = (uint8_t)(minor - '0');
	return HTTP_FAULT_NONE;
}

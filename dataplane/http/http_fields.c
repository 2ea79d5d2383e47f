/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_fields — field lines, and what those that frame the message say together.
 *
 * One pass: every byte of a line is looked at once, and the few fields that this server
 * itself obeys are noted as they come by.
 */
#include "base/check.h"
#include "http/http_internal.h"

/* Why a line could not be read on at `at`: a line break of the wrong kind, or `other`. */
static enum http_fault line_fault(const uint8_t *at, enum http_fault other)
{
	if (*at == '\n') return HTTP_FAULT_BARE_LF;
	if (*at == '\r' && at[1] != '\n') return HTTP_FAULT_BARE_CR;
	return other;
}

/* Four at a time: a branch for each is what costs. */
static bool is_token_4(const uint8_t *at)
{
	return (http_chars[at[0]] & http_chars[at[1]] & http_chars[at[2]] & http_chars[at[3]] &
		       CHAR_TOKEN) != 0;
}

/* One field line, off *lines. HTTP_FAULT_HEAD_SIZE: it does not end there, which cannot happen
 * in a whole head. */
static enum http_fault field_parse(struct bytes *lines, bool first, struct http_field *ret_field)
{
	const uint8_t *name = lines->data;
	const uint8_t *end = lines->data + lines->size;

	/* RFC 9112 §2.2: "A recipient that receives whitespace between the start-line and the
	 * first header field MUST either reject the message as invalid or consume each
	 * whitespace-preceded line without further processing of it"; §5.2: "A server that
	 * receives an obs-fold in a request message […] MUST either reject the message by
	 * sending a 400 (Bad Request) […] or replace each received obs-fold with one or more SP
	 * octets". We reject both. */
	if (*name == ' ' || *name == '\t') {
		return first ? HTTP_FAULT_FIELD_NAME : HTTP_FAULT_FIELD_FOLD;
	}

	/* RFC 9112 §5.1: "A server MUST reject, with a response status code of 400 (Bad
	 * Request), any received request message that contains whitespace between a header
	 * field name and colon." A space is no token character. */
	const uint8_t *colon = name;
	while (end - colon >= 4 && is_token_4(colon)) colon += 4;
	while (colon < end && http_char_is(*colon, CHAR_TOKEN)) colon++;
	if (end - colon < 2) return HTTP_FAULT_HEAD_SIZE;
	if (*colon != ':' || colon == name) return line_fault(colon, HTTP_FAULT_FIELD_NAME);

	/* RFC 9110 §5.5: "a recipient of CR, LF, or NUL within a field value MUST either reject
	 * the message or replace each of those characters with SP […]. Field values containing
	 * other CTL characters are also invalid". */
	const uint8_t *value = colon + 1;
	const uint8_t *value_end = http_text_end(value, end);
	if (end - value_end < 2) return HTTP_FAULT_HEAD_SIZE;
	if (value_end[0] != '\r' || value_end[1] != '\n') {
		return line_fault(value_end, HTTP_FAULT_CONTROL);
	}

	ret_field->name = bytes_of(name, (size_t)(colon - name));
	ret_field->value = bytes_trim(bytes_of(value, (size_t)(value_end - value)));
	*lines = bytes_of(value_end + 2, (size_t)(end - value_end) - 2);
	return HTTP_FAULT_NONE;
}

static void note_connection(struct http_known *known, struct bytes value)
{
	struct bytes option;
	bool more;

	do {
		more = bytes_split(value, ',', &option, &value);
		option = bytes_trim(option);
		if (bytes_equal_ignore_case(option, BYTES_LITERAL("close"))) known->close = true;
		if (bytes_equal_ignore_case(option, BYTES_LITERAL("keep-alive"))) {
			known->keep_alive = true;
		}
	} while (more);
}

static void note_expect(struct http_known *known, struct bytes value)
{
	bool is_continue = bytes_equal_ignore_case(value, BYTES_LITERAL("100-continue"));
	known->expect_continue = is_continue &&
		(known->expect_count == 0 || known->expect_continue);
	known->expect_count++;
}

static void note(struct http_known *known, const struct http_field *field)
{
	struct bytes name = field->name;

	/* By size first: nearly every other field is told apart without comparing. */
	switch (name.size) {
	case sizeof("Host") - 1:
		if (!bytes_equal_ignore_case(name, BYTES_LITERAL("Host"))) return;
		known->host = field->value;
		known->host_count++;
		return;
	case sizeof("Expect") - 1:
		if (!bytes_equal_ignore_case(name, BYTES_LITERAL("Expect"))) return;
		note_expect(known, field->value);
		return;
	case sizeof("Connection") - 1:
		if (!bytes_equal_ignore_case(name, BYTES_LITERAL("Connection"))) return;
		note_connection(known, field->value);
		return;
	case sizeof("Content-Length") - 1:
		if (!bytes_equal_ignore_case(name, BYTES_LITERAL("Content-Length"))) return;
		known->length = field->value;
		known->length_count++;
		return;
	case sizeof("Transfer-Encoding") - 1:
		if (!bytes_equal_ignore_case(name, BYTES_LITERAL("Transfer-Encoding"))) return;
		known->coding = field->value;
		known->coding_count++;
		return;
	default: return;
	}
}

enum http_fault http_fields_parse(struct bytes *lines, struct http_fields *ret_fields,
	struct http_known *ret_known)
{
	ret_fields->count = 0;
	*ret_known = (struct http_known){ 0 };

	for (;;) {
		if (lines->size < 2) return HTTP_FAULT_HEAD_SIZE;
		if (lines->data[0] == '\r') break;
		if (ret_fields->count == HTTP_FIELDS_MAX) return HTTP_FAULT_FIELD_COUNT;
		struct http_field *field = &ret_fields->field[ret_fields->count];
		enum http_fault fault = field_parse(lines, ret_fields->count == 0, field);
		if (fault != HTTP_FAULT_NONE) return fault;
		note(ret_known, field);
		ret_fields->count++;
	}
	if (lines->data[1] != '\n') return HTTP_FAULT_BARE_CR;
	*lines = bytes_from(*lines, 2);
	return HTTP_FAULT_NONE;
}

static enum http_fault length_parse(struct bytes text, uint64_t *ret_length)
{
	/* RFC 9112 §6.3: "If a message is received without Transfer-Encoding and with an
	 * invalid Content-Length header field, then the message framing is invalid and the
	 * recipient MUST treat it as an unrecoverable error, unless the field value can be
	 * successfully parsed as a comma-separated list". We take no lists either.
	 *
	 * Zeros in front are in the grammar, but some read such a number as octal. */
	if (text.size > 1 && text.data[0] == '0') return HTTP_FAULT_LENGTH_INVALID;

	/* RFC 9110 §8.6: "a recipient MUST anticipate potentially large decimal numerals and
	 * prevent parsing errors due to integer conversion overflows". */
	if (bytes_parse_u64(text, ret_length) != RESULT_OK) return HTTP_FAULT_LENGTH_INVALID;
	return HTTP_FAULT_NONE;
}

enum http_fault http_body_parse(const struct http_known *known, uint8_t minor_version,
	enum http_body *ret_body, uint64_t *ret_length)
{
	*ret_body = HTTP_BODY_NONE;
	*ret_length = 0;

	if (known->coding_count > 0) {
		/* RFC 9112 §6.3: "Such a message might indicate an attempt to perform request
		 * smuggling or response splitting and ought to be handled as an error." */
		if (known->length_count > 0) return HTTP_FAULT_LENGTH_AND_CODING;

		/* RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing
		 * a Transfer-Encoding header field MUST treat the message as if the framing is
		 * faulty". */
		if (minor_version == 0) return HTTP_FAULT_CODING_VERSION;

		/* RFC 9112 §6.3: "If a Transfer-Encoding header field is present in a request and
		 * the chunked transfer coding is not the final encoding, the message body length
		 * cannot be determined reliably; the server MUST respond with the 400 (Bad Request)
		 * status code and then close the connection." Codings before a final chunked one
		 * are not offered here (no TE field is ever sent), so nobody needs them. */
		if (known->coding_count > 1) return HTTP_FAULT_CODING_INVALID;
		if (!bytes_equal_ignore_case(known->coding, BYTES_LITERAL("chunked"))) {
			return HTTP_FAULT_CODING_INVALID;
		}
		*ret_body = HTTP_BODY_CHUNKED;
		return HTTP_FAULT_NONE;
	}

	if (known->length_count == 0) return HTTP_FAULT_NONE;
	if (known->length_count > 1) return HTTP_FAULT_LENGTH_DUPLICATE;
	enum http_fault fault = length_parse(known->length, ret_length);
	if (fault == HTTP_FAULT_NONE && *ret_length > 0) *ret_body = HTTP_BODY_LENGTH;
	return fault;
}

bool http_known_keep_alive(const struct http_known *known, uint8_t minor_version)
{
	/* RFC 9112 §9.3: "If the "close" connection option is present, the connection will not
	 * persist after the current response". It wins over keep-alive. */
	if (known->close) return false;
	return minor_version >= 1 || known->keep_alive;
}

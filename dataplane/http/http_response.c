/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/http_response.h"

#include "base/check.h"
#include "http/http_internal.h"

static void response_clear(struct http_response *response)
{
	response->status = 0;
	response->minor_version = 0;
	response->body = HTTP_BODY_NONE;
	response->content_length = 0;
	response->keep_alive = false;
	response->fields.count = 0;
}

static enum http_fault status_line_parse(struct bytes *rest, struct http_response *response)
{
	struct bytes line;
	enum http_fault fault = http_line_take(rest, &line);
	if (fault != HTTP_FAULT_NONE) return fault;

	/* RFC 9112 §4: status-line = HTTP-version SP status-code SP [ reason-phrase ]; "A server
	 * MUST send the space that separates the status-code from the reason-phrase even when
	 * the reason-phrase is absent". */
	struct bytes version;
	struct bytes status;
	struct bytes reason;
	if (!bytes_split(line, ' ', &version, &line)) return HTTP_FAULT_STATUS_LINE;
	if (!bytes_split(line, ' ', &status, &reason)) return HTTP_FAULT_STATUS_LINE;

	fault = http_version_parse(version, HTTP_FAULT_STATUS_LINE, &response->minor_version);
	if (fault != HTTP_FAULT_NONE) return fault;

	uint64_t value;
	if (status.size != 3 || bytes_parse_u64(status, &value) != RESULT_OK) {
		return HTTP_FAULT_STATUS_LINE;
	}
	if (value < 100 || value > 599) return HTTP_FAULT_STATUS_LINE;
	if (reason.size > 0 && !http_text_is(reason, CHAR_TEXT)) return HTTP_FAULT_STATUS_LINE;
	response->status = (uint16_t)value;
	return HTTP_FAULT_NONE;
}

/* RFC 9112 §6.3: "Any response to a HEAD request and any response with a 1xx
 * (Informational), 204 (No Content), or 304 (Not Modified) status code is always terminated
 * by the first empty line after the header fields, regardless of the header fields present
 * in the message". */
static enum http_fault bodiless_parse(struct http_response *response, bool head_method)
{
	bool framed = response->body != HTTP_BODY_NONE;

	response->body = HTTP_BODY_NONE;
	/* A HEAD and a 304 describe the body that would have come. */
	if (!framed || head_method || response->status == 304) return HTTP_FAULT_NONE;

	/* RFC 9112 §6.1: "A server MUST NOT send a Transfer-Encoding header field in any
	 * response with a status code of 1xx (Informational) or 204 (No Content)."; likewise
	 * Content-Length (RFC 9110 §8.6). A 204 is the last word on its event, so the connection
	 * is what pays. After a 1xx the final response would be read from the announced body. */
	if (response->status == 204) {
		response->keep_alive = false;
		return HTTP_FAULT_NONE;
	}
	return response->content_length > 0 ? HTTP_FAULT_LENGTH_INVALID : HTTP_FAULT_CODING_INVALID;
}

static enum http_fault response_parse(struct bytes head, bool head_method,
	struct http_response *response)
{
	struct http_known known;

	enum http_fault fault = status_line_parse(&head, response);
	if (fault != HTTP_FAULT_NONE) return fault;
	fault = http_fields_parse(&head, &response->fields, &known);
	if (fault != HTTP_FAULT_NONE) return fault;
	CHECK(head.size == 0); /* a head ends with its first empty line */
	fault = http_body_parse(&known, response->minor_version, &response->body,
		&response->content_length);
	if (fault != HTTP_FAULT_NONE) return fault;
	response->keep_alive = http_known_keep_alive(&known, response->minor_version);

	if (head_method || response->status < 200 || response->status == 204 ||
		response->status == 304) {
		return bodiless_parse(response, head_method);
	}

	/* RFC 9112 §6.3: "Otherwise, this is a response message without a declared message body
	 * length, so the message body length is determined by the number of octets received
	 * prior to the server closing the connection." */
	if (known.length_count == 0 && known.coding_count == 0) {
		response->body = HTTP_BODY_CLOSE;
		response->keep_alive = false;
	}
	return HTTP_FAULT_NONE;
}

enum http_parse http_response_parse(struct bytes head, bool head_method,
	struct http_response *ret_response, enum http_fault *ret_fault)
{
	CHECK(http_head_is_complete(head));

	response_clear(ret_response);
	*ret_fault = response_parse(head, head_method, ret_response);
	return *ret_fault == HTTP_FAULT_NONE ? HTTP_PARSE_DONE : HTTP_PARSE_BAD;
}

enum result http_retry_after(const struct http_fields *fields, uint64_t now_s,
	uint64_t *ret_seconds)
{
	const struct http_field *field = http_field_find(fields, BYTES_LITERAL("Retry-After"));
	if (field == NULL) return RESULT_NOT_FOUND;

	if (bytes_parse_u64(field->value, ret_seconds) == RESULT_OK) return RESULT_OK;

	uint64_t at_s;
	TRY(http_date_parse(field->value, now_s, &at_s));
	*ret_seconds = at_s > now_s ? at_s - now_s : 0;
	return RESULT_OK;
}

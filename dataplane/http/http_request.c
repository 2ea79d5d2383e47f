/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/http_request.h"

#include "base/check.h"
#include "http/http_internal.h"

/* Sets all but the fields: their hundred rows are not worth clearing for each request. */
static void request_clear(struct http_request *request)
{
	request->method = BYTES_EMPTY;
	request->target = BYTES_EMPTY;
	request->path = BYTES_EMPTY;
	request->query = BYTES_EMPTY;
	request->host = BYTES_EMPTY;
	request->minor_version = 0;
	request->body = HTTP_BODY_NONE;
	request->content_length = 0;
	request->keep_alive = false;
	request->expect_continue = false;
	request->fields.count = 0;
}

static enum http_fault request_line_parse(struct bytes *rest, struct http_request *request)
{
	/* RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD
	 * ignore at least one empty line (CRLF) received prior to the request-line." One: two
	 * are a head without a request line. */
	if (bytes_starts_with(*rest, BYTES_LITERAL("\r\n"))) *rest = bytes_from(*rest, 2);

	struct bytes line;
	enum http_fault fault = http_line_take(rest, &line);
	if (fault != HTTP_FAULT_NONE) return fault;

	/* RFC 9112 §3: request-line = method SP request-target SP HTTP-version; "lenient parsing
	 * can result in request smuggling security vulnerabilities if there are multiple
	 * recipients of the message and each has its own unique interpretation of robustness". */
	struct bytes version;
	if (!bytes_split(line, ' ', &request->method, &line)) return HTTP_FAULT_REQUEST_LINE;
	if (!bytes_split(line, ' ', &request->target, &version)) return HTTP_FAULT_REQUEST_LINE;

	if (!http_text_is(request->method, CHAR_TOKEN)) return HTTP_FAULT_METHOD;
	if (request->target.size == 0) return HTTP_FAULT_REQUEST_LINE;
	fault = http_version_parse(version, HTTP_FAULT_REQUEST_LINE, &request->minor_version);
	if (fault != HTTP_FAULT_NONE) return fault;
	return http_target_parse(request);
}

static enum http_fault host_parse(const struct http_known *known, struct http_request *request)
{
	/* RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any
	 * HTTP/1.1 request message that lacks a Host header field and to any request message
	 * that contains more than one Host header field line or a Host header field with an
	 * invalid field value." */
	if (known->host_count == 0) {
		return request->minor_version == 0 ? HTTP_FAULT_NONE : HTTP_FAULT_HOST_MISSING;
	}
	if (known->host_count > 1) return HTTP_FAULT_HOST_DUPLICATE;
	if (!http_host_is_valid(known->host)) return HTTP_FAULT_HOST_INVALID;

	/* RFC 9112 §3.2: "If the target URI includes an authority component, then a client MUST
	 * send a field value for Host that is identical to that authority component". One that
	 * differs lets a proxy in front route by the one and us by the other. */
	if (request->host.size > 0 && !bytes_equal_ignore_case(request->host, known->host)) {
		return HTTP_FAULT_HOST_MISMATCH;
	}
	request->host = known->host;
	return HTTP_FAULT_NONE;
}

static enum http_fault expect_parse(const struct http_known *known, struct http_request *request)
{
	if (known->expect_count == 0) return HTTP_FAULT_NONE;

	/* RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member
	 * other than 100-continue MAY respond with a 417 (Expectation Failed) status code". */
	if (!known->expect_continue) return HTTP_FAULT_EXPECTATION;

	/* RFC 9110 §10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0
	 * request MUST ignore that expectation." Nobody waits where no body follows. */
	request->expect_continue = request->minor_version >= 1 && request->body != HTTP_BODY_NONE;
	return HTTP_FAULT_NONE;
}

/* Takes the head off *input. */
static enum http_fault request_parse(struct bytes *input, struct http_request *request)
{
	struct http_known known;

	request_clear(request);
	enum http_fault fault = request_line_parse(input, request);
	if (fault != HTTP_FAULT_NONE) return fault;
	fault = http_fields_parse(input, &request->fields, &known);
	if (fault != HTTP_FAULT_NONE) return fault;
	fault = host_parse(&known, request);
	if (fault != HTTP_FAULT_NONE) return fault;
	fault = http_body_parse(&known, request->minor_version, &request->body,
		&request->content_length);
	if (fault != HTTP_FAULT_NONE) return fault;
	request->keep_alive = http_known_keep_alive(&known, request->minor_version);
	return expect_parse(&known, request);
}

enum http_parse http_request_parse(struct bytes head, struct http_request *ret_request,
	enum http_fault *ret_fault)
{
	CHECK(http_head_is_complete(head));

	*ret_fault = request_parse(&head, ret_request);
	if (*ret_fault != HTTP_FAULT_NONE) return HTTP_PARSE_BAD;
	CHECK(head.size == 0); /* it ends with its first empty line */
	return HTTP_PARSE_DONE;
}

bool http_request_parse_at_once(struct bytes input, struct http_request *ret_request,
	size_t *ret_size)
{
	struct bytes rest = input;

	if (rest.size > HTTP_HEAD_SIZE_MAX) rest.size = HTTP_HEAD_SIZE_MAX;
	size_t size = rest.size;
	if (request_parse(&rest, ret_request) != HTTP_FAULT_NONE) return false;
	*ret_size = size - rest.size;
	return true;
}

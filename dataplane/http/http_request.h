/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_request — a request head, parsed whole once its end was found. */
#pragma once

#include "http/http.h"

enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,  /* content_length bytes follow, at least one */
	HTTP_BODY_CHUNKED, /* see http_chunked.h */
	HTTP_BODY_CLOSE,   /* responses only: until the connection ends */
};

struct http_request {
	struct bytes method;
	struct bytes target;   /* as sent */
	struct bytes path;     /* of the target, starts with '/', not decoded; empty for "*" */
	struct bytes query;    /* without '?'; empty when there is none */
	struct bytes host;     /* host[:port] of the Host field or of an absolute target; empty in
	                      * an HTTP/1.0 request that names none */
	uint8_t minor_version; /* 0 or 1 */
	enum http_body body;
	uint64_t content_length;
	bool keep_alive;      /* after version and Connection field */
	bool expect_continue; /* Expect: 100-continue, and a body follows (ignored in HTTP/1.0) */
	struct http_fields fields;
};

/* `head` is exactly one head, as found by http_head_find(); one empty line before the request
 * line is skipped. Returns DONE or BAD and always sets *ret_fault; after BAD the request holds
 * what was read until then. A method with a body but neither length nor coding has no body. */
enum http_parse http_request_parse(struct bytes head, struct http_request *ret_request,
	enum http_fault *ret_fault);

/* http_head_find() and http_request_parse() in one pass, for input that begins with a head which is
 * likely all there and right. False: it is not; the two know what is wrong, or whether more must
 * come. True: they would say DONE, with the same request and size. */
bool http_request_parse_at_once(struct bytes input, struct http_request *ret_request,
	size_t *ret_size);

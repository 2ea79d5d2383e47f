/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_response — a target's response head. As strict as for requests: a target that frames
 * its answer badly loses the connection, not the event. */
#pragma once

#include "http/http_request.h"

struct http_response {
	uint16_t status; /* 100 … 599 */
	uint8_t minor_version;
	enum http_body body;
	uint64_t content_length;
	bool keep_alive;
	struct http_fields fields;
};

/* `head` as found by http_head_find(). `head_method` is true when the request was HEAD: then
 * there is no body, as there is none for 1xx, 204 and 304 (RFC 9112 §6.3). A 204 that
 * announces a body all the same is taken and its connection not kept; a 1xx is refused. */
enum http_parse http_response_parse(struct bytes head, bool head_method,
	struct http_response *ret_response, enum http_fault *ret_fault);

/* Retry-After as whole seconds (RFC 9110 §10.2.3: digits or an HTTP date measured from
 * now_s); RESULT_NOT_FOUND when absent, RESULT_MALFORMED when neither. */
MUST_USE enum result http_retry_after(const struct http_fields *fields, uint64_t now_s,
	uint64_t *ret_seconds);

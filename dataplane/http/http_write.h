/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_write — heads and small messages, written into a writer. */
#pragma once

#include "base/cursor.h"
#include "base/json_string.h"
#include "http/http.h"

/* "OK", "Service Unavailable" …; "Status" for one without a registered phrase. */
const char *http_reason(unsigned status);

/* "HTTP/1.1 <status> <reason>\r\n" */
void http_write_status(struct writer *writer, unsigned status);
/* "<method> <target> HTTP/1.1\r\nHost: <host>\r\n". CHECKs that target and host hold nothing
 * that would end the line. */
void http_write_request_line(struct writer *writer, const char *method, struct bytes target,
	struct bytes host);
/* CHECKs that name and value hold no CR, LF or NUL: peers' text was parsed before. */
void http_write_field(struct writer *writer, struct bytes name, struct bytes value);
void http_write_field_decimal(struct writer *writer, const char *name, uint64_t value);
void http_write_end(struct writer *writer);

/* A complete response with a problem document (RFC 9457, application/problem+json):
 * {"type":"urn:penstock:problem:<code>","title":…,"status":…,"code":…,"detail":…,"instance":…}.
 * `detail`, `instance` and `date` may be NULL; `date` is as http_date() writes it, for the
 * Date field that an origin server with a clock owes (RFC 9110 §6.6.1). retry_after_s 0 means
 * no such field; `allow` names the methods of a 405, `challenge` is what a 401 asks for
 * (RFC 9110 §11.6.1). `connection` is the Connection field's option; NULL: no such field.
 * `head_method` leaves the body away, because the request was HEAD. Text is escaped as JSON;
 * `code` is one of ours and needs no escape. */
struct http_problem {
	unsigned status;
	const char *code;
	const char *title;
	const char *detail;
	const char *instance;
	const char *date;
	const char *allow;
	const char *challenge;
	const char *connection;
	uint32_t retry_after_s;
	bool head_method;
};
void http_write_problem(struct writer *writer, const struct http_problem *problem);

/* The same as write_json_string(). */
static inline void http_write_json_string(struct writer *writer, struct bytes text)
{
	write_json_string(writer, text);
}

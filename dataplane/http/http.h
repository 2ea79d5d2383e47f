/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http — what requests and responses share: fields, parse outcomes, faults.
 *
 * HTTP/1.1 after RFC 9110 and RFC 9112, strict: what the RFCs let a recipient forgive is
 * refused here, because two recipients that forgive differently are how requests get
 * smuggled. Pure: no fd, no clock, no allocation. All views point into the caller's input and
 * are valid until it moves; after moving it, parse again.
 */
#pragma once

#include "base/bytes.h"
#include "bounds.h"

enum http_parse {
	HTTP_PARSE_DONE,
	HTTP_PARSE_MORE, /* nothing wrong so far; come back with more bytes */
	HTTP_PARSE_BAD,  /* see the fault; answer and close: the framing is lost */
};

/* Why a message was refused: name, status to answer with, stable code, sentence. */
#define HTTP_FAULT_TABLE(X) \
	X(NONE,                   200, "ok",                        "no fault") \
	X(REQUEST_LINE,           400, "bad_request_line",          "the request line is malformed") \
	X(STATUS_LINE,            502, "bad_status_line",           "the status line is malformed") \
	X(METHOD,                 400, "bad_method",                "the method is not a token") \
	X(TARGET,                 400, "bad_target",                "the request target is malformed") \
	X(TARGET_SIZE,            414, "target_too_long",           "the request target is too long") \
	X(VERSION,                505, "version_not_supported",     "only HTTP/1.1 and HTTP/1.0 are spoken here") \
	X(BARE_LF,                400, "bare_line_feed",            "a line ends without a carriage return") \
	X(BARE_CR,                400, "bare_carriage_return",      "a carriage return stands alone") \
	X(CONTROL,                400, "control_character",         "a field holds a control character") \
	X(FIELD_NAME,             400, "bad_field_name",            "a field name is empty or not a token") \
	X(FIELD_FOLD,             400, "folded_field",              "a field is folded over lines") \
	X(FIELD_COUNT,            431, "too_many_fields",           "there are too many fields") \
	X(HEAD_SIZE,              431, "head_too_large",            "the head is too large") \
	X(HOST_MISSING,           400, "host_missing",              "the Host field is missing") \
	X(HOST_DUPLICATE,         400, "host_duplicate",            "the Host field is there more than once") \
	X(HOST_INVALID,           400, "host_invalid",              "the Host field is malformed") \
	X(HOST_MISMATCH,          400, "host_mismatch",             "the Host field and the request target differ") \
	X(LENGTH_AND_CODING,      400, "length_and_coding",         "Content-Length and Transfer-Encoding are both there") \
	X(LENGTH_INVALID,         400, "bad_content_length",        "Content-Length is not one plain number") \
	X(LENGTH_DUPLICATE,       400, "duplicate_content_length",  "Content-Length is there more than once") \
	X(CODING_INVALID,         400, "bad_transfer_encoding",     "Transfer-Encoding is not exactly chunked") \
	X(CODING_VERSION,         400, "transfer_encoding_in_1_0",  "Transfer-Encoding in an HTTP/1.0 message") \
	X(EXPECTATION,            417, "expectation_failed",        "only 100-continue can be expected") \
	X(CHUNK_SIZE,             400, "bad_chunk_size",            "a chunk size is malformed") \
	X(CHUNK_LINE_SIZE,        400, "chunk_line_too_long",       "a chunk header is too long") \
	X(CHUNK_END,              400, "bad_chunk_end",             "a chunk does not end where it said") \
	X(TRAILER,                400, "bad_trailer",               "the trailer is malformed or too large") \
	X(BODY_SIZE,              413, "body_too_large",            "the body is too large")

enum http_fault {
#define X(name, status, code, text) HTTP_FAULT_##name,
	HTTP_FAULT_TABLE(X)
#undef X
	HTTP_FAULT_COUNT
};

unsigned http_fault_status(enum http_fault fault);
const char *http_fault_code(enum http_fault fault);
const char *http_fault_text(enum http_fault fault);

struct http_field {
	struct bytes name;
	struct bytes value; /* without surrounding white space */
};

struct http_fields {
	uint32_t count;
	struct http_field field[HTTP_FIELDS_MAX];
};

/* First field of that name (compared without case), or NULL. */
const struct http_field *http_field_find(const struct http_fields *fields, struct bytes name);
/* How many fields have that name. */
uint32_t http_field_count(const struct http_fields *fields, struct bytes name);

/* Looks for the empty line that ends a head. *scanned keeps what was looked at already: set
 * it to 0 for a new message and pass it again when more has come; total work is linear in
 * the input. DONE: *ret_size is the head's size with the empty line. BAD: the head exceeds
 * HTTP_HEAD_SIZE_MAX or has a bare LF. Leading empty lines are not skipped: see
 * http_request_parse(). */
enum http_parse http_head_find(struct bytes input, size_t *scanned, size_t *ret_size,
	enum http_fault *ret_fault);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7); 29 characters and a NUL. */
enum { HTTP_DATE_SIZE = 30 };
void http_date(uint64_t unix_seconds, char to[static HTTP_DATE_SIZE]);

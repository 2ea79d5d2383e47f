/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_request — from bytes to a complete request: head, framing, body, limits.
 *
 * Head and body lie in one buffer, so that a request of usual size is parsed, verified and
 * stored from where it was decrypted to. Bodies beyond the usual buffer move once to a large
 * one; there are few of those, and when they are out the request is shed.
 */
#include "receive/receive_internal.h"

#include "base/check.h"

/* Beyond the head of a request whose length is unknown, no more than this is read ahead, so
 * that what belongs to the following request fits its buffer. */
enum { READ_AHEAD_MAX = RECEIVE_BUFFER_SIZE / 2 };

struct request *request_take(struct receive *receive, struct connection *connection)
{
	struct request *request = pool_take(&receive->requests);
	if (request == NULL) return NULL;

	const size_t start = offsetof(struct request, reply);
	memset((uint8_t *)request + start, 0, offsetof(struct request, append) - start);
	request->receive = receive;
	request->connection = connection;
	request->buffer = request->small;
	request->buffer_size = sizeof request->small;
	return request;
}

void request_give(struct request *request)
{
	struct receive *receive = request->receive;

	if (receive->http_of == request) receive->http_of = NULL;
	if (request->large) pool_give(&receive->large_buffers, request->buffer);
	pool_give(&receive->requests, request);
}

/* Moves to a large buffer. False when there is none. */
static bool request_enlarge(struct request *request)
{
	struct receive *receive = request->receive;
	CHECK(!request->large);

	uint8_t *buffer = pool_take(&receive->large_buffers);
	if (buffer == NULL) return false;
	memcpy(buffer, request->buffer, request->filled);
	request->buffer = buffer;
	request->buffer_size = (uint32_t)receive->large_buffers.object_size;
	request->large = true;

	/* The parsed head's views pointed into the old buffer. */
	receive->http_of = NULL;
	return true;
}

const struct http_request *request_http(struct request *request)
{
	struct receive *receive = request->receive;
	enum http_fault fault;

	CHECK(request->head_size > 0);
	if (receive->http_of != request) {
		/* Its body came later, and others in between. */
		struct bytes head = bytes_of(request->buffer, request->head_size);
		CHECK(http_request_parse(head, &receive->http, &fault) == HTTP_PARSE_DONE);
		receive->http_of = request;
	}
	return &receive->http;
}

size_t request_room(const struct request *request)
{
	size_t room = request->buffer_size - request->filled;
	if (request->head_size > 0 && request->head.body == HTTP_BODY_LENGTH) {
		size_t whole = request->head_size + request->head.content_length;
		CHECK(whole > request->filled);
		return room < whole - request->filled ? room : whole - request->filled;
	}
	return room < READ_AHEAD_MAX ? room : READ_AHEAD_MAX;
}

struct bytes request_body(const struct request *request)
{
	return bytes_of(request->buffer + request->head_size, request->body_size);
}

static enum request_progress request_refuse(struct request *request, enum http_fault fault)
{
	answer_fault(request, fault);
	return REQUEST_ANSWERED;
}

/* ---- Head ------------------------------------------------------------------------------------ */

/* Found once for a request, and again when a reload came while its body did. */
const struct flow_endpoint *request_endpoint(struct request *request)
{
	struct receive *receive = request->receive;

	if (request->flow_number != receive->flow_number) {
		request->flow_number = receive->flow_number;
		const struct http_request *http = request_http(request);
		request->endpoint = flow_endpoint_find(receive->flow, http->host, http->path);
	}
	return request->endpoint;
}

/* Decides what is known once the head is there: how large the body may be, and whether there
 * is room for it. A request for nobody is read to its end when it is small, and answered then
 * (receive_event.c): an answer in the middle of a body is often lost to the reset. */
static bool request_admit(struct request *request)
{
	struct receive *receive = request->receive;
	const struct request_head *head = &request->head;

	const struct flow_endpoint *endpoint = request_endpoint(request);
	request->body_size_max = endpoint != NULL ? endpoint->config->body_size_max
						  : RECEIVE_BUFFER_SIZE - HTTP_HEAD_SIZE_MAX;
	/* A reload may have raised it beyond what the buffers were made for. */
	if (request->body_size_max > receive->config.body_size_max) {
		request->body_size_max = receive->config.body_size_max;
	}
	if (head->body != HTTP_BODY_LENGTH) return true;

	if (head->content_length > request->body_size_max) {
		if (endpoint != NULL) {
			metrics_endpoint_add(receive->config.metrics, endpoint->metrics_slot,
				METRICS_ENDPOINT_REFUSED_SIZE, 1);
		}
		answer_fault(request, HTTP_FAULT_BODY_SIZE);
		return false;
	}
	if (request->head_size + head->content_length > request->buffer_size &&
		!request_enlarge(request)) {
		answer_problem(request, ANSWER_OVERLOAD, NULL, NULL);
		return false;
	}
	return true;
}

static struct request_head head_of(const struct http_request *http)
{
	return (struct request_head){
		.content_length = http->content_length,
		.body = (uint8_t)http->body,
		.minor_version = http->minor_version,
		.keep_alive = http->keep_alive,
		.expect_continue = http->expect_continue,
		.is_head = bytes_equal(http->method, BYTES_LITERAL("HEAD")),
	};
}

/* `receive->http` is this request's now. */
static enum request_progress head_accept(struct request *request, size_t head_size)
{
	struct receive *receive = request->receive;

	receive->http_of = request;
	request->head = head_of(&receive->http);
	request->head_size = (uint32_t)head_size;
	request->connection->state = CONNECTION_BODY;
	if (!request_admit(request)) return REQUEST_ANSWERED;
	/* Chunked bytes that came with the head are still coded; decoding starts there. */
	return REQUEST_COMPLETE;
}

static enum request_progress head_parse(struct request *request)
{
	struct receive *receive = request->receive;
	size_t head_size = 0;
	enum http_fault fault = HTTP_FAULT_NONE;

	struct bytes input = bytes_of(request->buffer, request->filled);
	receive->http_of = NULL;
	/* Nearly always it comes whole. */
	if (request->scanned == 0 &&
		http_request_parse_at_once(input, &receive->http, &head_size)) {
		return head_accept(request, head_size);
	}
	switch (http_head_find(input, &request->scanned, &head_size, &fault)) {
	case HTTP_PARSE_MORE: return REQUEST_MORE;
	case HTTP_PARSE_BAD: return request_refuse(request, fault);
	case HTTP_PARSE_DONE: break;
	}
	struct bytes head = bytes_of(request->buffer, head_size);
	if (http_request_parse(head, &receive->http, &fault) != HTTP_PARSE_DONE) {
		return request_refuse(request, fault);
	}
	return head_accept(request, head_size);
}

/* ---- Body ------------------------------------------------------------------------------------ */

static enum request_progress length_parse(struct request *request)
{
	uint32_t whole = request->head_size + (uint32_t)request->head.content_length;

	request->body_size = (uint32_t)request->head.content_length;
	if (request->filled < whole) return REQUEST_MORE;
	request->next = whole;
	request->next_size = request->filled - whole;
	return REQUEST_COMPLETE;
}

/* The body's decoded part is [head_size, head_size + body_size); coded bytes follow it. */
static enum request_progress chunks_parse(struct request *request)
{
	uint32_t decoded_end = request->head_size + request->body_size;
	size_t consumed = 0;
	size_t decoded = 0;
	enum http_fault fault = HTTP_FAULT_NONE;

	enum http_parse parse = http_chunked_decode(&request->chunked,
		request->buffer + decoded_end, request->filled - decoded_end, &consumed, &decoded,
		&fault);
	if (parse == HTTP_PARSE_BAD) return request_refuse(request, fault);

	request->body_size += (uint32_t)decoded;
	if (request->body_size > request->body_size_max) {
		return request_refuse(request, HTTP_FAULT_BODY_SIZE);
	}
	if (parse == HTTP_PARSE_DONE) {
		request->next = decoded_end + (uint32_t)consumed;
		request->next_size = request->filled - request->next;
		return REQUEST_COMPLETE;
	}
	request->filled = decoded_end + (uint32_t)decoded;
	if (request->filled == request->buffer_size) {
		if (request->large) return request_refuse(request, HTTP_FAULT_BODY_SIZE);
		if (!request_enlarge(request)) {
			answer_problem(request, ANSWER_OVERLOAD, NULL, NULL);
			return REQUEST_ANSWERED;
		}
	}
	return REQUEST_MORE;
}

enum request_progress request_parse(struct request *request)
{
	if (request->head_size == 0) {
		enum request_progress progress = head_parse(request);
		if (progress != REQUEST_COMPLETE) return progress;
	}

	enum request_progress progress = REQUEST_COMPLETE;
	switch ((enum http_body)request->head.body) {
	case HTTP_BODY_NONE:
	case HTTP_BODY_CLOSE: /* of responses only */
		request->next = request->head_size;
		request->next_size = request->filled - request->head_size;
		break;
	case HTTP_BODY_LENGTH: progress = length_parse(request); break;
	case HTTP_BODY_CHUNKED: progress = chunks_parse(request); break;
	}
	if (progress == REQUEST_MORE && request->head.expect_continue && !request->continue_sent) {
		answer_continue(request);
	}
	return progress;
}

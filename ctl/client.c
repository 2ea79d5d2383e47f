/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client — see the header. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_chunked.h"
#include "http/http_response.h"
#include "http/http_write.h"

enum {
	REQUEST_SIZE_MAX = CLIENT_TARGET_SIZE_MAX + 256,
	INPUT_SIZE_FIRST = 64 * 1024,
	/* More than the largest payload and all metrics together. */
	INPUT_SIZE_MAX = 64 * 1024 * 1024,
};

struct exchange {
	const struct invocation *invocation;
	int fd;
	uint8_t *input;
	size_t input_size;
	size_t input_capacity;
	size_t head_size;
	struct http_response response;
	struct http_chunked chunked;
	bool is_json;
	size_t decoded; /* end of the body that is there, in chunked answers */
	client_line_fn *line;
	void *line_owner;
	struct client_answer answer;
};

/* ---- Problems of our own --------------------------------------------------------------------- */

static void fail(struct exchange *exchange, int exit_code, const char *code, const char *title,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

static void fail(struct exchange *exchange, int exit_code, const char *code, const char *title,
	const char *format, ...)
{
	enum { PROBLEM_SIZE = 2048 };
	char detail[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);

	uint8_t *memory = alloc_array(PROBLEM_SIZE, 1);
	struct writer writer = writer_of(memory, PROBLEM_SIZE);
	write_format(&writer,
		"{\"schema\":\"penstock.problem/v1\",\"type\":\"urn:penstock:problem:%s\","
		"\"title\":",
		code);
	http_write_json_string(&writer, bytes_of_text(title));
	write_format(&writer, ",\"code\":\"%s\",\"detail\":", code);
	http_write_json_string(&writer, bytes_of_text(detail));
	write_text(&writer, "}");
	CHECK(!writer.failed);
	exchange->answer = (struct client_answer){
		.exit_code = exit_code,
		.is_json = true,
		.body = writer_bytes(&writer),
		.memory = memory,
	};
}

static void fail_connect(struct exchange *exchange, int reason)
{
	const char *path = exchange->invocation->socket_path;
	if (reason == EACCES || reason == EPERM) {
		fail(exchange, EX_NOPERM, "socket_permission", "You may not use the control socket",
			"%s: only root, the daemon's user, members of control.group and who is in "
			"control.operators or control.admins may connect",
			path);
		return;
	}
	if (reason == ENOENT || reason == ECONNREFUSED) {
		fail(exchange, EX_UNAVAILABLE, "not_running", "The daemon is not running",
			"nobody listens at %s; start it with \"systemctl start penstockd\" or "
			"\"penstockd\", or name its socket with --socket",
			path);
		return;
	}
	fail(exchange, EX_UNAVAILABLE, "socket_failed", "The control socket cannot be used",
		"%s: %s", path, strerror(reason));
}

/* ---- The socket ------------------------------------------------------------------------------ */

/* False when the time is up: then the failure is set. */
static bool wait_for(struct exchange *exchange, short events)
{
	struct pollfd fd = { .fd = exchange->fd, .events = events };
	int timeout_ms = (int)exchange->invocation->timeout_s * 1000;
	int count;
	do {
		count = poll(&fd, 1, timeout_ms);
	} while (count < 0 && errno == EINTR);
	if (count > 0) return true;
	fail(exchange, EX_TEMPFAIL, "timeout", "The daemon does not answer",
		"nothing came for %u s; see --timeout", exchange->invocation->timeout_s);
	return false;
}

static bool connect_to(struct exchange *exchange)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = exchange->invocation->socket_path;
	if (!bytes_to_text(bytes_of_text(path), address.sun_path, sizeof address.sun_path)) {
		fail(exchange, EX_USAGE, "socket_path", "The socket's path is too long", "%s",
			path);
		return false;
	}
	exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (exchange->fd < 0) {
		fail_connect(exchange, errno);
		return false;
	}
	/* A Unix socket blocks here only while the daemon's backlog is full. */
	struct timeval limit = { .tv_sec = exchange->invocation->timeout_s };
	setsockopt(exchange->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(exchange->fd, (struct sockaddr *)&address, sizeof address) != 0) {
		fail_connect(exchange, errno);
		return false;
	}
	return true;
}

static bool send_request(struct exchange *exchange, const char *method, const char *target)
{
	uint8_t memory[REQUEST_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	http_write_request_line(&writer, method, bytes_of_text(target), BYTES_LITERAL("penstock"));
	http_write_field(&writer, BYTES_LITERAL("User-Agent"), BYTES_LITERAL("penstockctl"));
	http_write_field(&writer, BYTES_LITERAL("Connection"), BYTES_LITERAL("close"));
	http_write_end(&writer);
	CHECK(!writer.failed);

	struct bytes rest = writer_bytes(&writer);
	while (rest.size > 0) {
		ssize_t size = send(exchange->fd, rest.data, rest.size, MSG_NOSIGNAL);
		if (size < 0 && errno == EINTR) continue;
		/* It may have answered and closed before it read all: look for the answer. */
		if (size < 0 && (errno == EPIPE || errno == ECONNRESET)) return true;
		if (size < 0) {
			fail_connect(exchange, errno);
			return false;
		}
		rest = bytes_from(rest, (size_t)size);
	}
	return true;
}

/* More input. *ret_end says that there is no more. False: the failure is set. */
static bool receive_more(struct exchange *exchange, bool *ret_end)
{
	*ret_end = false;
	if (exchange->input_size == exchange->input_capacity) {
		size_t capacity = exchange->input_capacity * 2;
		if (capacity > INPUT_SIZE_MAX) {
			fail(exchange, EX_SOFTWARE, "answer_too_large", "The answer is too large",
				"more than %d bytes", INPUT_SIZE_MAX);
			return false;
		}
		uint8_t *input = alloc_array(capacity, 1);
		memcpy(input, exchange->input, exchange->input_size);
		alloc_free(exchange->input);
		exchange->input = input;
		exchange->input_capacity = capacity;
	}
	if (!wait_for(exchange, POLLIN)) return false;
	ssize_t size = recv(exchange->fd, exchange->input + exchange->input_size,
		exchange->input_capacity - exchange->input_size, 0);
	if (size < 0 && errno == EINTR) return true;
	if (size < 0 && errno != ECONNRESET) {
		fail_connect(exchange, errno);
		return false;
	}
	if (size <= 0) {
		*ret_end = true;
	} else {
		exchange->input_size += (size_t)size;
	}
	return true;
}

/* ---- The answer ------------------------------------------------------------------------------ */

static bool fail_cut(struct exchange *exchange)
{
	fail(exchange, EX_TEMPFAIL, "answer_cut", "The answer is not complete",
		"the daemon closed the connection; it may be stopping");
	return false;
}

static bool receive_head(struct exchange *exchange)
{
	size_t scanned = 0;
	enum http_fault fault = HTTP_FAULT_NONE;
	enum http_parse parse = HTTP_PARSE_MORE;
	while (parse == HTTP_PARSE_MORE) {
		bool end;
		if (!receive_more(exchange, &end)) return false;
		if (end) return fail_cut(exchange);
		parse = http_head_find(bytes_of(exchange->input, exchange->input_size), &scanned,
			&exchange->head_size, &fault);
	}
	if (parse == HTTP_PARSE_DONE) {
		parse = http_response_parse(bytes_of(exchange->input, exchange->head_size), false,
			&exchange->response, &fault);
	}
	if (parse != HTTP_PARSE_DONE) {
		fail(exchange, EX_PROTOCOL, "not_penstock", "That is no answer of penstockd",
			"%s: %s", exchange->invocation->socket_path, http_fault_text(fault));
		return false;
	}
	/* Looked at now: the fields point into input that moves as it grows. */
	const struct http_field *type =
		http_field_find(&exchange->response.fields, BYTES_LITERAL("Content-Type"));
	struct bytes name = type != NULL ? type->value : BYTES_EMPTY;
	exchange->is_json = bytes_starts_with(name, BYTES_LITERAL("application/json")) ||
		bytes_starts_with(name, BYTES_LITERAL("application/problem+json"));
	return true;
}

/* Hands complete lines over and takes them out of what is decoded. */
static void take_lines(struct exchange *exchange, bool end)
{
	uint8_t *body = exchange->input + exchange->head_size;
	size_t size = exchange->decoded - exchange->head_size;
	size_t used = 0;
	while (exchange->line != NULL && used < size) {
		struct bytes rest = bytes_of(body + used, size - used);
		size_t at = bytes_find(rest, '\n');
		if (at == rest.size && !end) break;
		if (at > 0) exchange->line(exchange->line_owner, bytes_of(rest.data, at));
		used += at < rest.size ? at + 1 : at;
	}
	memmove(body, body + used, exchange->input_size - exchange->head_size - used);
	exchange->input_size -= used;
	exchange->decoded -= used;
}

static bool receive_chunked(struct exchange *exchange)
{
	exchange->decoded = exchange->head_size;
	for (;;) {
		size_t consumed;
		size_t decoded;
		enum http_fault fault;
		enum http_parse parse = http_chunked_decode(&exchange->chunked,
			exchange->input + exchange->decoded,
			exchange->input_size - exchange->decoded, &consumed, &decoded, &fault);
		if (parse == HTTP_PARSE_BAD) {
			fail(exchange, EX_PROTOCOL, "not_penstock",
				"That is no answer of penstockd", "%s", http_fault_text(fault));
			return false;
		}
		exchange->decoded += decoded;
		exchange->input_size =
			exchange->decoded; /* all input was consumed, or it is the end */
		take_lines(exchange, parse == HTTP_PARSE_DONE);
		if (parse == HTTP_PARSE_DONE) return true;
		bool end;
		if (!receive_more(exchange, &end)) return false;
		if (end) return fail_cut(exchange);
	}
}

static bool receive_body(struct exchange *exchange)
{
	const struct http_response *response = &exchange->response;
	if (response->body == HTTP_BODY_CHUNKED) return receive_chunked(exchange);
	uint64_t wanted = response->body == HTTP_BODY_LENGTH ? response->content_length : 0;
	for (;;) {
		uint64_t size = exchange->input_size - exchange->head_size;
		if (response->body != HTTP_BODY_CLOSE && size >= wanted) {
			exchange->decoded = exchange->head_size + (size_t)wanted;
			return true;
		}
		bool end;
		if (!receive_more(exchange, &end)) return false;
		if (!end) continue;
		if (response->body != HTTP_BODY_CLOSE) return fail_cut(exchange);
		exchange->decoded = exchange->input_size;
		return true;
	}
}

/* What a status means to a shell. The code is looked at where one status has two meanings. */
static int exit_code_of(unsigned status)
{
	if (status >= 200 && status <= 299) return EX_OK;
	switch (status) {
	case 400: return EX_USAGE;
	case 403: return EX_NOPERM;
	case 404: return EX_NOINPUT;
	case 409: return EX_TEMPFAIL;
	case 422: return EX_CONFIG;
	case 503: return EX_TEMPFAIL;
	default: return status < 500 ? EX_PROTOCOL : EX_UNAVAILABLE;
	}
}

static void answer_take(struct exchange *exchange)
{
	exchange->answer = (struct client_answer){
		.status = exchange->response.status,
		.exit_code = exit_code_of(exchange->response.status),
		.is_json = exchange->is_json,
		.body = bytes_of(exchange->input + exchange->head_size,
			exchange->decoded - exchange->head_size),
		.memory = exchange->input,
	};
	exchange->input = NULL;
}

struct client_answer client_ask(const struct invocation *invocation, const char *method,
	const char *target, client_line_fn *line, void *owner)
{
	struct exchange *exchange = alloc_array(1, sizeof *exchange);
	exchange->invocation = invocation;
	exchange->line = line;
	exchange->line_owner = owner;
	exchange->fd = -1;
	exchange->input = alloc_array(INPUT_SIZE_FIRST, 1);
	exchange->input_capacity = INPUT_SIZE_FIRST;
	if (connect_to(exchange) && send_request(exchange, method, target) &&
		receive_head(exchange) && receive_body(exchange)) {
		answer_take(exchange);
	}
	if (exchange->fd >= 0) close(exchange->fd);
	struct client_answer answer = exchange->answer;
	alloc_free(exchange->input);
	alloc_free(exchange);
	return answer;
}

void client_answer_free(struct client_answer *answer)
{
	alloc_free(answer->memory);
	*answer = (struct client_answer){ 0 };
}

/* ---- Targets --------------------------------------------------------------------------------- */

static void target_add(struct client_target *target, const char *text, bool escape)
{
	static const char digits[] = "0123456789ABCDEF";
	for (const char *at = text; *at != '\0'; at++) {
		uint8_t c = (uint8_t)*at;
		bool plain = !escape || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			(c >= 'a' && c <= 'z') || strchr("-._~", c) != NULL;
		if (target->size + 4 > sizeof target->text) {
			target->failed = true;
			return;
		}
		if (plain) {
			target->text[target->size++] = (char)c;
		} else {
			target->text[target->size++] = '%';
			target->text[target->size++] = digits[c >> 4];
			target->text[target->size++] = digits[c & 15];
		}
	}
	target->text[target->size] = '\0';
}

struct client_target client_target_of(const char *path)
{
	struct client_target target = { 0 };
	target_add(&target, path, false);
	return target;
}

void client_target_segment(struct client_target *target, const char *segment)
{
	target_add(target, "/", false);
	target_add(target, segment, true);
}

void client_target_parameter(struct client_target *target, const char *name, const char *value)
{
	if (value == NULL) return;
	target_add(target, strchr(target->text, '?') == NULL ? "?" : "&", false);
	target_add(target, name, false);
	target_add(target, "=", false);
	target_add(target, value, true);
}

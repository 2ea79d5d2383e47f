/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_client — one connection: read a head, run its call, send the answer, again.
 *
 *   READING ──► quick call ───────────────► WRITING ──► READING (keep-alive) or closed
 *      └──────► slow call ──► WAITING ────────┘
 *      └──────► stream ─────► STREAMING (a chunk at a time) ──► WRITING (last chunk)
 *
 * Never blocks. A client that is too slow in any state is closed when its deadline has passed;
 * a waiting one has none, because its task ends by itself.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "control/control_internal.h"
#include "http/http_write.h"

struct control_limits control_limits = {
	.head_ms = CONTROL_HEAD_TIMEOUT_MS,
	.idle_ms = CONTROL_IDLE_TIMEOUT_MS,
	.send_ms = CONTROL_SEND_TIMEOUT_MS,
};

static void deadline_set(struct control_client *client, uint32_t ms)
{
	client->deadline_us = control_mono().us + ms * US_PER_MS;
}

void control_client_open(struct control_client *client, int fd, const struct control_peer *peer)
{
	CHECK(client->state == CLIENT_FREE);

	client->state = CLIENT_READING;
	client->fd = fd;
	client->peer = *peer;
	client->input = alloc_array(HTTP_HEAD_SIZE_MAX, 1);
	client->input_size = 0;
	client->scanned = 0;
	deadline_set(client, control_limits.head_ms);
}

void control_client_close(struct control_client *client)
{
	CHECK(client->state != CLIENT_FREE);

	/* A task goes on without us: a reload is not undone because its caller hung up. */
	if (client->task != NULL) {
		client->task->client = NULL;
		atomic_store(&client->task->abandoned, true);
	}
	control_call_free(client->call);
	alloc_free(client->input);
	close(client->fd);
	struct control *control = client->control;
	*client = (struct control_client){ .control = control, .state = CLIENT_FREE, .fd = -1 };
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void send_some(struct control_client *client);

static void head_write(const struct control_call *call, bool keep_alive, struct writer *head)
{
	http_write_status(head, call->status);
	http_write_field(head, BYTES_LITERAL("Content-Type"), bytes_of_text(call->content_type));
	http_write_field(head, BYTES_LITERAL("Cache-Control"), BYTES_LITERAL("no-store"));
	http_write_field(head, BYTES_LITERAL("X-Content-Type-Options"), BYTES_LITERAL("nosniff"));
	if (call->allow != NULL) {
		http_write_field(head, BYTES_LITERAL("Allow"), bytes_of_text(call->allow));
	}
	if (!keep_alive) {
		http_write_field(head, BYTES_LITERAL("Connection"), BYTES_LITERAL("close"));
	}
}

void control_client_answer(struct control_client *client, struct control_call *call)
{
	CHECK(client->state == CLIENT_READING || client->state == CLIENT_WAITING);

	control_answer_check(call);
	uint8_t memory[CONTROL_HEAD_ROOM];
	struct writer head = writer_of(memory, sizeof memory);
	head_write(call, client->keep_alive, &head);
	http_write_field_decimal(&head, "Content-Length", call->body.size);
	http_write_end(&head);
	CHECK(!head.failed);

	client->call = call;
	client->task = NULL;
	client->output = call->memory + CONTROL_HEAD_ROOM - head.size;
	memcpy(client->output, head.data, head.size);
	client->output_size = head.size + call->body.size;
	client->state = CLIENT_WRITING;
	deadline_set(client, control_limits.send_ms);
	send_some(client);
}

/* The answer of a stream has no call of its own yet: the task writes into its call while we
 * send, so chunks are composed in a call made for that. */
static void stream_begin(struct control_client *client)
{
	struct control_call *call = control_call_create(client->control, &client->peer);
	call->status = 200;
	call->content_type = "application/x-ndjson";
	client->call = call;
	if (!client->chunked) client->keep_alive = false;

	struct writer writer = writer_of(call->memory, CONTROL_ANSWER_SIZE_MAX);
	head_write(call, client->keep_alive, &writer);
	if (client->chunked) {
		http_write_field(&writer, BYTES_LITERAL("Transfer-Encoding"),
			BYTES_LITERAL("chunked"));
	}
	http_write_end(&writer);
	client->output = call->memory;
	client->output_size = writer.size;
	client->state = CLIENT_STREAMING;
	deadline_set(client, control_limits.send_ms);
	send_some(client);
}

void control_client_stream(struct control_client *client, struct bytes lines)
{
	CHECK(client->state == CLIENT_STREAMING);
	CHECK(client->output_size == 0);

	struct writer writer = writer_of(client->call->memory, CONTROL_ANSWER_SIZE_MAX);
	if (client->chunked) write_format(&writer, "%zx\r\n", lines.size);
	write_bytes(&writer, lines);
	if (client->chunked) write_text(&writer, "\r\n");
	CHECK(!writer.failed);
	client->output = client->call->memory;
	client->output_size = writer.size;
	deadline_set(client, control_limits.send_ms);
	send_some(client);
}

void control_client_stream_end(struct control_client *client)
{
	CHECK(client->state == CLIENT_STREAMING);
	CHECK(client->output_size == 0);

	client->task = NULL;
	struct writer writer = writer_of(client->call->memory, CONTROL_ANSWER_SIZE_MAX);
	if (client->chunked) write_text(&writer, "0\r\n\r\n");
	client->output = client->call->memory;
	client->output_size = writer.size;
	client->state = CLIENT_WRITING;
	deadline_set(client, control_limits.send_ms);
	send_some(client);
}

/* The whole answer is gone. */
static void answer_sent(struct control_client *client)
{
	control_call_free(client->call);
	client->call = NULL;
	if (!client->keep_alive) {
		/* Unread bytes would turn our close into a reset, and TCP would then take the
		 * answer back from the client. */
		while (recv(client->fd, client->input, HTTP_HEAD_SIZE_MAX, MSG_DONTWAIT) ==
			HTTP_HEAD_SIZE_MAX)
			continue;
		control_client_close(client);
		return;
	}
	client->state = CLIENT_READING;
	client->scanned = 0;
	deadline_set(client,
		client->input_size > 0 ? control_limits.head_ms : control_limits.idle_ms);
}

static void send_some(struct control_client *client)
{
	while (client->output_size > 0) {
		ssize_t size = send(client->fd, client->output, client->output_size,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (size < 0 && errno == EINTR) continue;
		if (size < 0 && errno == EAGAIN) return;
		if (size < 0) {
			control_client_close(client);
			return;
		}
		client->output += size;
		client->output_size -= (size_t)size;
		deadline_set(client, control_limits.send_ms);
	}
	if (client->state == CLIENT_WRITING) answer_sent(client);
	/* What a stream sends next comes from its task, in its own time. */
	if (client->state == CLIENT_STREAMING) client->deadline_us = UINT64_MAX;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void call_run(struct control_client *client, struct control_call *call)
{
	enum control_pace pace = control_route_pace(call->route);
	if (pace == CONTROL_QUICK) {
		control_route_run(call);
		control_client_answer(client, call);
		return;
	}
	bool admitted = call->route != CONTROL_ROUTE_TAIL || control_tail_admit(call);
	if (!admitted || !control_task_start(client, call)) {
		control_client_answer(client, call);
		return;
	}
	client->deadline_us = UINT64_MAX;
	client->state = CLIENT_WAITING;
	if (pace == CONTROL_STREAM) stream_begin(client);
}

static void refuse(struct control_client *client, enum http_fault fault)
{
	struct control_call *call = control_call_create(client->control, &client->peer);
	client->keep_alive = false;
	control_problem(call, http_fault_status(fault), http_fault_code(fault),
		"The request is not proper HTTP", "%s", http_fault_text(fault));
	control_client_answer(client, call);
}

/* One head is there: runs it and takes it off the input. */
static void request_run(struct control_client *client, size_t head_size)
{
	struct http_request request;
	enum http_fault fault = HTTP_FAULT_NONE;
	if (http_request_parse(bytes_of(client->input, head_size), &request, &fault) !=
		HTTP_PARSE_DONE) {
		refuse(client, fault);
		return;
	}
	struct control_call *call = control_call_create(client->control, &client->peer);
	bool found = control_route_find(call, &request);
	/* A body is refused unread, and what follows it cannot be found without it. */
	client->keep_alive = request.keep_alive && request.body == HTTP_BODY_NONE;
	client->chunked = request.minor_version >= 1;

	/* The request's views die here; the call has copies. */
	client->input_size -= head_size;
	memmove(client->input, client->input + head_size, client->input_size);
	client->scanned = 0;
	if (found) {
		call_run(client, call);
	} else {
		control_client_answer(client, call);
	}
}

static void input_judge(struct control_client *client)
{
	/* Pipelined requests are answered one after the other. */
	while (client->state == CLIENT_READING && client->input_size > 0) {
		size_t head_size = 0;
		enum http_fault fault = HTTP_FAULT_NONE;
		enum http_parse parse = http_head_find(bytes_of(client->input, client->input_size),
			&client->scanned, &head_size, &fault);
		if (parse == HTTP_PARSE_MORE && client->input_size < HTTP_HEAD_SIZE_MAX) return;
		if (parse == HTTP_PARSE_DONE) {
			request_run(client, head_size);
		} else {
			refuse(client, fault == HTTP_FAULT_NONE ? HTTP_FAULT_HEAD_SIZE : fault);
		}
	}
}

static void receive_some(struct control_client *client)
{
	bool first = client->input_size == 0;
	ssize_t size = recv(client->fd, client->input + client->input_size,
		HTTP_HEAD_SIZE_MAX - client->input_size, MSG_DONTWAIT);
	if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
	if (size <= 0) {
		control_client_close(client);
		return;
	}
	/* One limit for the whole head, from its first byte, whatever trickles in. */
	if (first) deadline_set(client, control_limits.head_ms);
	client->input_size += (size_t)size;
	input_judge(client);
}

/* ---- From the loop --------------------------------------------------------------------------- */

short control_client_events(const struct control_client *client)
{
	if (client->state == CLIENT_READING) return POLLIN;
	if (client->output_size > 0) return POLLOUT;
	return 0; /* hang-ups are always reported */
}

void control_client_ready(struct control_client *client, short events)
{
	if (client->state == CLIENT_READING && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
		receive_some(client);
		return;
	}
	if ((events & (POLLERR | POLLHUP)) != 0) {
		control_client_close(client);
		return;
	}
	if ((events & POLLOUT) == 0) return;
	send_some(client);
	control_client_continue(client);
}

void control_client_continue(struct control_client *client)
{
	if (client->state == CLIENT_READING) input_judge(client);
}

void control_client_expire(struct control_client *client, uint64_t now_us)
{
	if (client->state == CLIENT_FREE || now_us < client->deadline_us) return;
	control_client_close(client);
}

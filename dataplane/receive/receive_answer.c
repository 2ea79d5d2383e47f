/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_answer — what is written back, by table. See receive_internal.h. */
#include "receive/receive_internal.h"

#include "base/check.h"
#include "http/http_write.h"

struct answer_row {
	uint16_t status;
	bool again;
	const char *code;
	const char *text;
};

static const struct answer_row answer_rows[ANSWER_COUNT] = {
#define X(name, status_, code_, text_, again_) \
	[ANSWER_##name] = { (status_), (again_), (code_), (text_) },
	ANSWER_TABLE(X)
#undef X
};

/* RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header
 * field (Section 11.6.1) containing at least one challenge applicable to the target resource."
 * No registered scheme is: each provider signs in a way and in fields of its own, and what is
 * wrong with a request is in the problem's code. So it is one name for all of them, and it does
 * not tell a stranger whose webhooks are taken here. */
static const char challenge[] = "Signature realm=\"webhooks\"";

/* Answers fit the stream's buffers, because a request is begun only when there is room for one
 * (connection_run); with 100 Continue before it, unless the client never reads: then it is cut
 * off. Returns whether the connection lives. */
static bool answer_write(struct connection *connection, const struct writer *writer)
{
	CHECK(!writer->failed);

	if (stream_write(&connection->stream, writer->data, writer->size) == writer->size)
		return true;
	connection_abort(connection);
	return false;
}

/* The Date field's text, made once per second (RFC 9110 §6.6.1: "An origin server with a clock
 * MUST generate a Date header field in all 2xx …, 3xx …, and 4xx … responses"). */
static const char *answer_date(struct receive *receive)
{
	uint64_t now_s = wall_seconds(io_wall(receive->loop->io));

	if (now_s != receive->date_s) {
		receive->date_s = now_s;
		http_date(now_s, receive->date);
	}
	return receive->date;
}

/* An answer to HEAD has no body; the client would take it for the next answer. */
static bool is_head(const struct request *request)
{
	return request->head.is_head;
}

/* Whether another request may follow on the connection. Where not, the answer says so: a client
 * that sent its next one into our close could not know what became of it. */
static bool connection_stays(const struct request *request)
{
	return request->head.keep_alive && !request->receive->draining &&
		request->connection->request_count < RECEIVE_REQUESTS_PER_CONNECTION_MAX;
}

/* What the answer says of it; NULL for what goes without saying. RFC 9112 §C.2.2: clients of
 * HTTP/1.0 ask for a connection to be kept, and have to be told that it is. */
static const char *connection_option(const struct request *request, bool keep_alive)
{
	if (!keep_alive) return "close";
	return request->head.minor_version == 0 ? "keep-alive" : NULL;
}

void answer_problem(struct request *request, enum answer answer, const char *detail_code,
	const char *detail)
{
	CHECK(answer < ANSWER_COUNT);

	uint8_t text[ANSWER_SIZE_MAX];
	struct writer writer = writer_of(text, sizeof text);
	struct connection *connection = request->connection;
	const struct answer_row *row = &answer_rows[answer];
	/* The body of a refused request may not have been read: then the framing is unknown. */
	bool complete = request->complete.us != 0;
	bool keep_alive = complete && connection_stays(request);

	const char *code = detail_code == NULL ? row->code : detail_code;
	if (row->again) metrics_add(request->receive->config.metrics, METRICS_REQUESTS_SHED, 1);
	if (tap_is_open()) tap_refused(request->receive, request, row->status, code);
	struct http_problem problem = {
		.status = row->status,
		.code = code,
		.title = row->text,
		.detail = detail,
		.retry_after_s = row->again ? RECEIVE_RETRY_AFTER_S : 0,
		.connection = connection_option(request, keep_alive),
		.date = answer_date(request->receive),
		.allow = answer == ANSWER_METHOD ? "POST" : NULL,
		.challenge = row->status == 401 ? challenge : NULL,
		.head_method = is_head(request),
	};
	http_write_problem(&writer, &problem);
	if (!answer_write(connection, &writer)) return;
	if (complete) {
		connection_next(connection, keep_alive);
	} else {
		connection_linger(connection);
	}
}

void answer_fault(struct request *request, enum http_fault fault)
{
	uint8_t text[ANSWER_SIZE_MAX];
	struct writer writer = writer_of(text, sizeof text);
	struct connection *connection = request->connection;

	metrics_add(request->receive->config.metrics, METRICS_REQUESTS_MALFORMED, 1);
	if (tap_is_open()) {
		tap_refused(request->receive, request, http_fault_status(fault),
			http_fault_code(fault));
	}
	struct http_problem problem = {
		.status = http_fault_status(fault),
		.code = http_fault_code(fault),
		.title = http_fault_text(fault),
		.connection = "close",
		.date = answer_date(request->receive),
		.head_method = is_head(request),
	};
	http_write_problem(&writer, &problem);
	if (answer_write(connection, &writer)) connection_linger(connection);
}

void answer_accepted(struct request *request, const struct event *event, bool duplicate)
{
	uint8_t text[512];
	struct writer writer = writer_of(text, sizeof text);
	struct connection *connection = request->connection;
	bool keep_alive = connection_stays(request);
	const char *option = connection_option(request, keep_alive);
	char id[EVENT_ID_TEXT_SIZE];
	if (duplicate && tap_is_open()) tap_duplicate(request, event);
	static const char head_date[] = "HTTP/1.1 200 OK\r\nDate: ";
	static const char head[] = "\r\nContent-Type: application/json\r\nContent-Length: ";
	static const char tail_new[] = "\",\"status\":\"accepted\"}\n";
	static const char tail_duplicate[] = "\",\"status\":\"duplicate\"}\n";

	event_id_format(event, id);
	size_t tail_size = (duplicate ? sizeof tail_duplicate : sizeof tail_new) - 1;
	write_bytes(&writer, BYTES_LITERAL(head_date));
	write_text(&writer, answer_date(request->receive));
	write_bytes(&writer, BYTES_LITERAL(head));
	write_decimal(&writer, sizeof "{\"id\":\"" - 1 + strlen(id) + tail_size);
	if (option != NULL) {
		write_bytes(&writer, BYTES_LITERAL("\r\nConnection: "));
		write_text(&writer, option);
	}
	write_text(&writer, "\r\n\r\n{\"id\":\"");
	write_text(&writer, id);
	write_bytes(&writer, bytes_of(duplicate ? tail_duplicate : tail_new, tail_size));
	if (answer_write(connection, &writer)) connection_next(connection, keep_alive);
}

void answer_overload(struct connection *connection)
{
	uint8_t text[ANSWER_SIZE_MAX];
	struct writer writer = writer_of(text, sizeof text);

	const struct answer_row *row = &answer_rows[ANSWER_OVERLOAD];
	metrics_add(connection->receive->config.metrics, METRICS_REQUESTS_SHED, 1);
	if (tap_is_open()) tap_refused(connection->receive, NULL, row->status, row->code);
	struct http_problem problem = {
		.status = row->status,
		.code = row->code,
		.title = row->text,
		.retry_after_s = RECEIVE_RETRY_AFTER_S,
		.connection = "close",
		.date = answer_date(connection->receive),
	};
	http_write_problem(&writer, &problem);
	if (answer_write(connection, &writer)) connection_linger(connection);
}

void answer_continue(struct request *request)
{
	struct connection *connection = request->connection;
	struct bytes text = BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");

	/* All of it or nothing yet: a part would be taken for the start of the answer. */
	if (!stream_has_room(&connection->stream, text.size)) {
		stream_notify_drained(&connection->stream);
		return;
	}
	request->continue_sent = true;
	(void)stream_write(&connection->stream, text.data, text.size); /* short: it has failed */
}

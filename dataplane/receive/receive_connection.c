/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_connection — life of one connection: handshake → idle ⇄ request → closing, and the
 * time it may take for each.
 *
 * The timer is lazy: a deadline that moves later only changes a field; the timer, when it
 * fires early, arms itself again for the rest. On a busy connection it is touched about once
 * per idle limit instead of several times per request.
 */
#include "receive/receive_internal.h"

#include "base/check.h"

static const struct stream_events connection_events;

/* ---- Time ------------------------------------------------------------------------------------ */

static void timer_arm(struct connection *connection, uint64_t delay_us)
{
	struct loop *loop = connection->receive->loop;

	connection->armed = (mono_t){ loop_now(loop).us + delay_us };
	timer_start(&loop->timers, &connection->timer, loop_now(loop), delay_us);
}

/* From `start` on it has this long. */
static void connection_limit_since(struct connection *connection, mono_t start, uint64_t limit_us)
{
	connection->deadline.us = start.us + limit_us;
	if (!timer_running(&connection->timer) || connection->deadline.us < connection->armed.us) {
		timer_arm(connection,
			mono_since_us(loop_now(connection->receive->loop), connection->deadline));
	}
}

void connection_limit(struct connection *connection, uint64_t limit_ms)
{
	connection_limit_since(connection, loop_now(connection->receive->loop),
		limit_ms * US_PER_MS);
}

/* The body's limit grows with what has come of it, up to that of the whole. */
static void body_limit(struct connection *connection)
{
	struct request *request = connection->request;

	if (request->body_waited.us == 0)
		request->body_waited = loop_now(connection->receive->loop);
	uint64_t size = request->received - request->head_size;
	uint64_t limit_us = RECEIVE_BODY_GRACE_MS * US_PER_MS +
		size * US_PER_S / RECEIVE_BODY_RATE_MIN;
	if (limit_us > RECEIVE_BODY_TIMEOUT_MS * US_PER_MS) {
		limit_us = RECEIVE_BODY_TIMEOUT_MS * US_PER_MS;
	}
	connection_limit_since(connection, request->body_waited, limit_us);
}

/* For us: the client has nothing to do but to read the answer. */
static bool connection_waits(const struct connection *connection)
{
	return connection->state == CONNECTION_GATHERED || connection->state == CONNECTION_COMMIT;
}

static void connection_timer_expired(void *owner)
{
	struct connection *connection = owner;
	struct receive *receive = connection->receive;
	mono_t now = loop_now(receive->loop);

	if (now.us < connection->deadline.us) {
		timer_arm(connection, connection->deadline.us - now.us);
		return;
	}
	/* The disk has its own limits; the client is not to blame for them. */
	if (connection_waits(connection)) {
		connection_limit(connection, RECEIVE_IDLE_TIMEOUT_MS);
		return;
	}
	if (connection->state != CONNECTION_CLOSING) {
		metrics_add(receive->config.metrics, METRICS_CONNECTIONS_TIMED_OUT, 1);
	}
	switch ((enum connection_state)connection->state) {
	case CONNECTION_IDLE: connection_close(connection); break;
	case CONNECTION_BODY:
		metrics_add(receive->config.metrics, METRICS_REQUESTS_SLOW, 1);
		answer_problem(connection->request, ANSWER_SLOW, NULL, NULL);
		break;
	case CONNECTION_HANDSHAKE:
	case CONNECTION_HEAD:
	case CONNECTION_CLOSING: connection_abort(connection); break;
	case CONNECTION_GATHERED:
	case CONNECTION_COMMIT: UNREACHABLE();
	}
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Idle connections are in the order of their last request, so that the first one is the one to be
 * closed when room is needed. */
static void list_as_idle(struct connection *connection)
{
	struct receive *receive = connection->receive;

	connection->idle_since = loop_now(receive->loop);
	list_remove(&connection->node);
	list_append(&receive->idle_connections, &connection->node);
}

static void list_as_busy(struct connection *connection)
{
	list_remove(&connection->node);
	list_append(&connection->receive->busy_connections, &connection->node);
}

/* The last part of the connections is for saying 503 with Retry-After: a provider that is told
 * so comes back, one that is left waiting times out and counts it as our failure. Those that are
 * told so do not count: where they come back faster than they leave they would keep all others
 * from being served, for ever. */
bool connections_nearly_full(const struct receive *receive)
{
	size_t reserve = receive->connections.count / RECEIVE_SHED_SHARE;
	return receive->serving_count >= receive->connections.count - reserve;
}

static void serving_ends(struct connection *connection)
{
	struct receive *receive = connection->receive;

	if (connection->shed || connection->evicted) return;
	CHECK(receive->serving_count > 0);
	receive->serving_count--;
}

void connection_open(struct listener *listener, struct io_socket *socket, bool shed)
{
	struct receive *receive = listener->receive;

	struct connection *connection = pool_take(&receive->connections);
	CHECK(connection != NULL);
	*connection = (struct connection){
		.receive = receive,
		.state = listener->context == NULL ? CONNECTION_IDLE : CONNECTION_HANDSHAKE,
		.secure = listener->context != NULL,
		.shed = shed,
	};
	if (connection->shed) {
		metrics_add(receive->config.metrics, METRICS_CONNECTIONS_SHED, 1);
	} else {
		receive->serving_count++;
	}
	list_init(&connection->node);
	timer_init(&connection->timer, connection_timer_expired, connection);
	if (stream_accept(&connection->stream, receive->config.streams, socket, listener->context,
		    &connection_events, connection) != RESULT_OK) {
		metrics_add(receive->config.metrics, METRICS_HANDSHAKES_FAILED, 1);
		serving_ends(connection);
		pool_give(&receive->connections, connection);
		return;
	}
	if (connection->secure) {
		list_as_busy(connection);
		connection_limit(connection, RECEIVE_HANDSHAKE_TIMEOUT_MS);
	} else {
		list_as_idle(connection);
		connection_limit(connection, RECEIVE_IDLE_TIMEOUT_MS);
	}
}

/* A request that is whole stays, with those that are gathered or with the writer; all others end
 * with the connection. */
static void request_detach(struct connection *connection)
{
	struct request *request = connection->request;
	if (request == NULL) return;

	connection->request = NULL;
	if (connection_waits(connection)) {
		request->connection = NULL;
	} else {
		request_give(request);
	}
}

static void connection_leave(struct connection *connection, uint64_t limit_ms)
{
	CHECK(connection->state != CONNECTION_CLOSING);

	request_detach(connection);
	list_as_busy(connection);
	connection->state = CONNECTION_CLOSING;
	connection_limit(connection, limit_ms);
}

void connection_close(struct connection *connection)
{
	connection_leave(connection, RECEIVE_SEND_TIMEOUT_MS);
	stream_close(&connection->stream);
}

void connection_linger(struct connection *connection)
{
	connection_leave(connection, RECEIVE_LINGER_TIMEOUT_MS);
	stream_linger(&connection->stream);
}

bool connection_evict(struct receive *receive)
{
	if (list_empty(&receive->idle_connections)) return false;

	struct connection *connection =
		LIST_ENTRY(receive->idle_connections.next, struct connection, node);
	uint64_t idle_us = mono_since_us(connection->idle_since, loop_now(receive->loop));
	if (idle_us < RECEIVE_EVICT_IDLE_MS * US_PER_MS) return false;

	metrics_add(receive->config.metrics, METRICS_CONNECTIONS_EVICTED, 1);
	serving_ends(connection);
	connection->evicted = true;
	receive->evicting_count++;
	connection_leave(connection, RECEIVE_EVICT_TIMEOUT_MS);
	stream_close(&connection->stream);
	return true;
}

void connection_abort(struct connection *connection)
{
	request_detach(connection);
	list_as_busy(connection);
	connection->state = CONNECTION_CLOSING;
	timer_stop(&connection->receive->loop->timers, &connection->timer);
	stream_abort(&connection->stream);
}

static void connection_closed(void *owner)
{
	struct connection *connection = owner;
	struct receive *receive = connection->receive;

	CHECK(connection->state == CONNECTION_CLOSING);
	CHECK(connection->request == NULL);
	timer_stop(&receive->loop->timers, &connection->timer);
	list_remove(&connection->node);
	if (connection->evicted) receive->evicting_count--;
	serving_ends(connection);
	pool_give(&receive->connections, connection);
	admission_update(receive);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void connection_opened(void *owner)
{
	struct connection *connection = owner;

	CHECK(connection->state == CONNECTION_HANDSHAKE);
	metrics_add(connection->receive->config.metrics, METRICS_HANDSHAKES, 1);
	connection->state = CONNECTION_IDLE;
	list_as_idle(connection);
	connection_limit(connection, RECEIVE_IDLE_TIMEOUT_MS);
	connection_run(connection);
}

/* Returns false when nothing new is there. */
static bool request_fill(struct connection *connection)
{
	struct request *request = connection->request;

	if (!stream_has_input(&connection->stream)) return false;
	size_t room = request_room(request);
	size_t size = stream_read(&connection->stream, request->buffer + request->filled, room);

	request->filled += (uint32_t)size;
	request->received += (uint32_t)size;
	return size > 0;
}

/* Answers 503 to a request that gets no slot; not before its first bytes are there. */
static void request_shed(struct connection *connection)
{
	struct receive *receive = connection->receive;

	if (stream_read(&connection->stream, receive->discard, sizeof receive->discard) > 0) {
		answer_overload(connection);
	}
}

/* An idle connection takes a request slot only when there is a byte for it. */
static bool request_begin(struct connection *connection)
{
	CHECK(connection->request == NULL);

	/* After each answer: usually the client has sent nothing yet. */
	if (!stream_has_input(&connection->stream)) return false;
	connection->request = connection->shed ? NULL
					       : request_take(connection->receive, connection);
	if (connection->request == NULL) {
		request_shed(connection);
		return false;
	}
	if (!request_fill(connection)) {
		request_give(connection->request);
		connection->request = NULL;
		return false;
	}
	connection->state = CONNECTION_HEAD;
	list_as_busy(connection);
	return true;
}

/* One request as far as its bytes go. Returns whether to look for more work. */
static bool request_step(struct connection *connection)
{
	struct request *request = connection->request;

	switch (request_parse(request)) {
	case REQUEST_MORE:
		if (request_fill(connection)) return true;
		/* The head's limit runs from its first byte, not from its last. */
		if (connection->state == CONNECTION_BODY) {
			body_limit(connection);
		} else if (connection->deadline.us == 0) {
			connection_limit(connection, RECEIVE_HEAD_TIMEOUT_MS);
		}
		return false;
	case REQUEST_COMPLETE:
		request->complete = loop_now(connection->receive->loop);
		connection->request_count++;
		event_receive(request);
		return true;
	case REQUEST_ANSWERED: return true;
	}
	UNREACHABLE();
}

/* Pipelined requests can be answered faster than the client reads: then the next one waits. */
static bool connection_blocked(struct connection *connection)
{
	if (connection->state == CONNECTION_BODY) return false; /* begun, so there was room */
	if (connection->blocked) return true;
	if (stream_has_room(&connection->stream, ANSWER_SIZE_MAX)) return false;
	connection->blocked = true;
	connection_limit(connection, RECEIVE_SEND_TIMEOUT_MS);
	stream_notify_drained(&connection->stream);
	return true;
}

void connection_run(struct connection *connection)
{
	while (connection->state == CONNECTION_IDLE || connection->state == CONNECTION_HEAD ||
		connection->state == CONNECTION_BODY) {
		if (connection_blocked(connection)) return;
		if (connection->state == CONNECTION_IDLE) {
			if (!request_begin(connection)) break;
			connection->deadline.us = 0;
		}
		if (!request_step(connection)) break;
	}
	if (connection->input_ended && !connection_waits(connection) &&
		connection->state != CONNECTION_CLOSING) {
		connection_close(connection);
	}
}

void connection_next(struct connection *connection, bool keep_alive)
{
	struct receive *receive = connection->receive;
	struct request *request = connection->request;

	if (!keep_alive) {
		/* Not COMMIT any more: closing may give the request back. */
		connection->state = CONNECTION_IDLE;
		connection_close(connection);
		return;
	}
	if (request->next_size == 0) {
		request_give(request);
		connection->request = NULL;
		connection->state = CONNECTION_IDLE;
		list_as_idle(connection);
	} else {
		/* Pipelined: the next request's first bytes came with this one's last. */
		struct request *following = request_take(receive, connection);
		if (following == NULL) {
			connection->state = CONNECTION_IDLE;
			answer_overload(connection);
			return;
		}
		CHECK(request->next_size <= following->buffer_size);
		memcpy(following->buffer, request->buffer + request->next, request->next_size);
		following->filled = request->next_size;
		following->received = request->next_size;
		request_give(request);
		connection->request = following;
		connection->state = CONNECTION_HEAD;
		connection->deadline.us = 0; /* the head's limit starts when it proves incomplete */
		return;
	}
	connection_limit(connection, RECEIVE_IDLE_TIMEOUT_MS);
}

static void connection_readable(void *owner)
{
	connection_run(owner);
}

static void connection_ended(void *owner, enum stream_end end)
{
	struct connection *connection = owner;

	if (connection->state == CONNECTION_CLOSING) return;
	if (connection->state == CONNECTION_HANDSHAKE) {
		metrics_add(connection->receive->config.metrics, METRICS_HANDSHAKES_FAILED, 1);
	}
	/* After an orderly end the answer can still be read: finish what is on its way to disk.
	 * Many TLS clients close without saying so; for a request that is harmless, because its
	 * own framing says whether it is whole. */
	connection->input_ended = true;
	if (end == STREAM_END_TLS) {
		connection_linger(connection); /* with an alert that says what is wrong */
	} else if (end != STREAM_END_PEER && end != STREAM_END_TRUNCATED) {
		connection_abort(connection);
	} else if (!connection_waits(connection)) {
		connection_run(connection);
	}
}

/* What was waited for was the client's reading: its other limits start anew. */
static void connection_drained(void *owner)
{
	struct connection *connection = owner;

	if (connection->blocked) {
		connection->blocked = false;
		connection_limit(connection, RECEIVE_IDLE_TIMEOUT_MS);
		if (connection->state == CONNECTION_HEAD) connection->deadline.us = 0;
	}
	connection_run(connection);
}

static const struct stream_events connection_events = {
	.opened = connection_opened,
	.readable = connection_readable,
	.drained = connection_drained,
	.ended = connection_ended,
	.closed = connection_closed,
};

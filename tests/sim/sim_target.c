/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/sim_target.h"

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_request.h"
#include "http/http_write.h"

enum {
	SESSION_INPUT_SIZE = 2 * (LEDGER_BODY_SIZE_MAX + 16384),
	SESSION_OUTPUT_SIZE = 4096,
	RETRY_AFTER_S_MAX = 90,
	VANISH_US_MAX = 100000,
	FAILS = 6,
	PPM = 1000000,
};

struct target_session {
	struct sim_target *target;
	struct io_socket *socket; /* NULL: free */
	struct timer timer;
	bool closing;
	bool answering; /* a request was taken, its answer is waited with or being sent */
	bool answered;  /* before the request was in: the rest of it is only read */
	bool closes;    /* after what is being sent */
	bool over;      /* the peer has ended */
	enum target_reaction reaction;
	size_t filled;
	size_t output_size;
	uint8_t *input;
	uint8_t output[SESSION_OUTPUT_SIZE];
};

static void session_read(struct target_session *session);

/* ---- Closing --------------------------------------------------------------------------------- */

static void session_end(struct target_session *session, bool reset)
{
	struct io *io = session->target->loop->io;

	if (session->closing) return;
	session->closing = true;
	timer_stop(&session->target->loop->timers, &session->timer);
	if (reset) {
		io_socket_abort(io, session->socket);
	} else {
		io_socket_close(io, session->socket);
	}
}

static void session_closed(void *owner)
{
	struct target_session *session = owner;

	session->socket = NULL;
	session->target->session_count--;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void write_answer(struct target_session *session, struct writer *writer)
{
	static const unsigned fails[FAILS] = { 500, 502, 504, 404, 400, 302 };
	struct sim_world *world = session->target->ledger->world;

	switch (session->reaction) {
	case REACT_INTERIM:
		write_text(writer, "HTTP/1.1 102 Processing\r\n\r\n");
		write_text(writer, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
		write_text(writer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		return;
	case REACT_OK:
	case REACT_VANISH:
		write_text(writer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n");
		return;
	case REACT_SURPLUS:
		write_text(writer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\nHTTP/1.1 2");
		return;
	case REACT_NO_CONTENT: write_text(writer, "HTTP/1.1 204 No Content\r\n\r\n"); return;
	case REACT_CHUNKED:
		write_text(writer, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n");
		write_text(writer, "3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n");
		return;
	case REACT_UNTIL_CLOSE: write_text(writer, "HTTP/1.1 200 OK\r\n\r\nuntil the end"); return;
	case REACT_LAST:
		write_text(writer, "HTTP/1.1 202 Accepted\r\nConnection: close\r\n");
		write_text(writer, "Content-Length: 2\r\n\r\nok");
		return;
	case REACT_FAIL:
		http_write_status(writer, fails[sim_between(world, 0, FAILS - 1)]);
		write_text(writer, "Content-Length: 9\r\n\r\nnot today");
		return;
	case REACT_BUSY:
		http_write_status(writer, sim_chance(world, PPM / 2) ? 429 : 503);
		http_write_field_decimal(writer, "Retry-After",
			sim_between(world, 0, RETRY_AFTER_S_MAX));
		write_text(writer, "Content-Length: 0\r\n\r\n");
		return;
	case REACT_EARLY_ON:
	case REACT_EARLY:
		write_text(writer, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
		return;
	case REACT_HALF_HEAD: write_text(writer, "HTTP/1.1 200 OK\r\nContent-Le"); return;
	case REACT_HALF_BODY:
		write_text(writer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
		return;
	case REACT_GARBAGE: write_text(writer, "SSH-2.0-OpenSSH_9.2\r\n\r\n\xff\x01"); return;
	case REACT_RESET:
	case REACT_NEVER:
	case REACT_COUNT: break;
	}
	UNREACHABLE();
}

static void answer(struct target_session *session)
{
	struct sim_target *target = session->target;
	struct writer writer = writer_of(session->output, sizeof session->output);

	if (session->reaction == REACT_NEVER) return;
	if (session->reaction == REACT_RESET) {
		session_end(session, true);
		return;
	}
	write_answer(session, &writer);
	CHECK(!writer.failed);
	session->output_size = writer.size;
	io_send(target->loop->io, session->socket, session->output, session->output_size);
}

static bool ends_connection(enum target_reaction reaction)
{
	return reaction == REACT_UNTIL_CLOSE || reaction == REACT_LAST || reaction == REACT_EARLY ||
		reaction == REACT_HALF_HEAD || reaction == REACT_HALF_BODY;
}

static void session_sent(void *owner, int error)
{
	struct target_session *session = owner;
	struct sim_target *target = session->target;
	struct sim_world *world = target->ledger->world;

	if (error != 0 || ends_connection(session->reaction)) {
		session_end(session,
			session->reaction == REACT_HALF_BODY && sim_chance(world, PPM / 2));
		return;
	}
	session->answering = false;
	if (session->reaction == REACT_VANISH) {
		/* answering stays false: if the next request comes first, it is lost. */
		session->closes = true;
		timer_start(&target->loop->timers, &session->timer, loop_now(target->loop),
			sim_between(world, 0, VANISH_US_MAX));
		return;
	}
	if (session->over) {
		session_end(session, false);
		return;
	}
	if (!session->answered) session->reaction = REACT_COUNT;
	session_read(session);
}

static void session_timer_expired(void *owner)
{
	struct target_session *session = owner;

	if (session->closes) {
		session_end(session, false);
	} else {
		answer(session);
	}
}

static void react(struct target_session *session, enum target_reaction reaction)
{
	struct sim_target *target = session->target;
	struct sim_world *world = target->ledger->world;

	session->answering = true;
	session->reaction = reaction;
	if (target->delay_us_max == 0) {
		answer(session);
		return;
	}
	timer_start(&target->loop->timers, &session->timer, loop_now(target->loop),
		sim_between(world, 0, target->delay_us_max));
}

/* ---- Requests -------------------------------------------------------------------------------- */

static struct bytes field(const struct http_request *request, const char *name)
{
	const struct http_field *found = http_field_find(&request->fields, bytes_of_text(name));
	return found == NULL ? BYTES_EMPTY : found->value;
}

static void check_signature(const struct sim_target *target, const struct http_request *request,
	struct bytes body)
{
	struct verify_outcome outcome;

	if (target->verifier == NULL) return;
	verify_request(target->verifier,
		&(struct verify_input){
			.method = request->method,
			.fields = &request->fields,
			.body = body,
		},
		io_wall(target->loop->io), &outcome);
	if (outcome.verdict != VERDICT_AUTHENTIC) {
		sim_violation(target->ledger->world, "target %u: a delivery is not signed well: %s",
			target->index, verdict_text(outcome.verdict));
	}
}

/* A complete request: is it exactly what a provider sent, under the one name it has? */
static void check_request(struct target_session *session, const struct http_request *request,
	struct bytes body, bool taken)
{
	struct sim_target *target = session->target;
	struct ledger *ledger = target->ledger;

	uint32_t number = ledger_identify(ledger, body, target->flow->name);
	ledger_name(ledger, number, field(request, "X-Zen-Delivery-Idempotency-Key"),
		target->flow->name);
	if (!bytes_equal(field(request, "Content-Type"), BYTES_LITERAL("application/json")) ||
		!bytes_equal(request->target, bytes_of_text(target->flow->config->path))) {
		sim_violation(ledger->world, "target %u: the head of event %u has changed",
			target->index, number);
	}
	check_signature(target, request, body);
	ledger->events[number].received[target->index]++;
	ledger->events[number].taken[target->index] += taken;
	sim_record(ledger->world, taken ? "taken" : "received", number,
		target->index | (uint64_t)session->reaction << 8);
}

/* The status decides: whoever says 200 has taken it, whatever becomes of the rest. */
static bool says_taken(enum target_reaction reaction)
{
	return reaction < REACT_GOOD_COUNT || reaction == REACT_HALF_BODY;
}

static enum target_reaction choose_reaction(const struct sim_target *target)
{
	struct sim_world *world = target->ledger->world;

	if (sim_chance(world, target->bad_ppm)) {
		if (target->bad != REACT_COUNT) return target->bad;
		return (enum target_reaction)sim_between(world, REACT_GOOD_COUNT, REACT_COUNT - 1);
	}
	return (enum target_reaction)sim_between(world, 0, REACT_GOOD_COUNT - 1);
}

static void session_read(struct target_session *session)
{
	struct http_request request;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t head_size = 0;
	struct sim_target *target = session->target;

	if (session->answering || session->closes || session->filled == 0) return;
	struct bytes input = bytes_of(session->input, session->filled);
	size_t scanned = 0;
	enum http_parse parse = http_head_find(input, &scanned, &head_size, &fault);
	if (parse == HTTP_PARSE_MORE) return;
	if (parse == HTTP_PARSE_BAD ||
		http_request_parse(bytes_of(session->input, head_size), &request, &fault) !=
			HTTP_PARSE_DONE ||
		request.body != HTTP_BODY_LENGTH) {
		sim_violation(target->ledger->world, "target %u: not a request: %s", target->index,
			http_fault_text(fault));
	}
	size_t size = head_size + (size_t)request.content_length;
	CHECK(size <= SESSION_INPUT_SIZE);
	/* One at a time on a connection, and no byte before the answer. */
	if (session->filled > size && !session->answered) {
		sim_violation(target->ledger->world, "target %u: bytes behind a request",
			target->index);
	}
	if (session->reaction == REACT_COUNT) session->reaction = choose_reaction(target);
	bool early = session->reaction == REACT_EARLY || session->reaction == REACT_EARLY_ON;
	if (session->filled < size) {
		if (early && !session->answered) {
			session->answered = true;
			react(session, session->reaction);
		}
		return;
	}
	check_request(session, &request, bytes_of(session->input + head_size, size - head_size),
		says_taken(session->reaction));
	session->filled -= size;
	memmove(session->input, session->input + size, session->filled);
	if (session->answered) {
		session->answered = false;
		session->reaction = REACT_COUNT;
		session_read(session);
	} else {
		react(session, session->reaction);
	}
}

static void session_received(void *owner, struct io_buffer *buffer)
{
	struct target_session *session = owner;
	struct sim_target *target = session->target;

	if (!session->answering && session->filled == 0) session->reaction = REACT_COUNT;
	CHECK(session->filled + buffer->size <= SESSION_INPUT_SIZE);
	memcpy(session->input + session->filled, buffer->data, buffer->size);
	session->filled += buffer->size;
	io_buffer_return(target->loop->io, buffer);
	session_read(session);
}

static void session_ended(void *owner, int error)
{
	struct target_session *session = owner;

	session->over = true;
	/* A client that has only ended its side could still read; ours never does that. */
	if (error != 0 || !session->answering || session->reaction == REACT_NEVER) {
		session_end(session, error != 0);
	}
}

static const struct io_events session_events = {
	.received = session_received,
	.ended = session_ended,
	.sent = session_sent,
	.closed = session_closed,
};

static void listener_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct sim_target *target = owner;
	struct target_session *session = target->sessions;

	MAYBE(peer->port != 0);
	if (target->session_count == TARGET_SESSIONS_MAX) {
		io_socket_abort(target->loop->io, socket);
		return;
	}
	while (session->socket != NULL) session++;
	uint8_t *input = session->input;
	*session = (struct target_session){
		.target = target, .socket = socket, .input = input, .reaction = REACT_COUNT
	};
	timer_init(&session->timer, session_timer_expired, session);
	target->session_count++;
	io_socket_adopt(socket, &session_events, session);
	io_receive_start(target->loop->io, socket);
}

static void target_listen(struct sim_target *target);

static void listener_closed(void *owner)
{
	struct sim_target *target = owner;

	target->listener = NULL;
	target->listener_closing = false;
	if (target->up) target_listen(target);
}

static const struct io_events listener_events = {
	.accepted = listener_accepted,
	.closed = listener_closed,
};

static void target_listen(struct sim_target *target)
{
	CHECK(io_listen(target->loop->io, &target->flow->address, &listener_events, target,
		      &target->listener) == RESULT_OK);
}

/* ---- Opening --------------------------------------------------------------------------------- */

void sim_target_open(struct sim_target *target, struct ledger *ledger, struct loop *loop,
	const struct flow_target *flow, uint32_t index, const char *secret)
{
	const char *error;

	*target = (struct sim_target){
		.ledger = ledger,
		.loop = loop,
		.flow = flow,
		.index = index,
		.bad = REACT_COUNT,
		.sessions = alloc_array(TARGET_SESSIONS_MAX, sizeof *target->sessions),
	};
	for (uint32_t i = 0; i < TARGET_SESSIONS_MAX; i++) {
		target->sessions[i].input = alloc_map(SESSION_INPUT_SIZE);
	}
	if (secret == NULL) return;
	CHECK(verifier_create(scheme_find(BYTES_LITERAL("standard-webhooks")),
		      bytes_of_text(secret), BYTES_EMPTY, 0, &target->verifier,
		      &error) == RESULT_OK);
}

void sim_target_up(struct sim_target *target)
{
	if (target->up) return;
	target->up = true;
	/* Else the old one is still closing. */
	if (target->listener == NULL) target_listen(target);
}

void sim_target_down(struct sim_target *target)
{
	if (!target->up) return;
	target->up = false;
	/* Else the old one is still closing. */
	if (!target->listener_closing) io_socket_close(target->loop->io, target->listener);
	target->listener_closing = true;
	for (uint32_t i = 0; i < TARGET_SESSIONS_MAX; i++) {
		if (target->sessions[i].socket != NULL) session_end(&target->sessions[i], true);
	}
}

bool sim_target_idle(const struct sim_target *target)
{
	return target->session_count == 0 && target->listener == NULL;
}

void sim_target_close(struct sim_target *target)
{
	CHECK(!target->up && sim_target_idle(target));
	for (uint32_t i = 0; i < TARGET_SESSIONS_MAX; i++) {
		alloc_unmap(target->sessions[i].input, SESSION_INPUT_SIZE);
	}
	alloc_free(target->sessions);
	if (target->verifier != NULL) verifier_free(target->verifier);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lanes of a provider: connecting, sending well or badly, reading answers. */
#include "sim/sim_provider.h"

#include "base/alloc.h"
#include "base/check.h"

enum {
	PPM = 1000000,
	LANE_OUTPUT_SIZE = 2 * LEDGER_BODY_SIZE_MAX,
	LANE_INPUT_SIZE = 16384,
	ONE_IN_IDLE = 40,   /* connections on which nothing is ever said */
	ONE_IN_CLOSING = 8, /* answered connections that are given up */
	SLOW_PIECE_MAX = 300,
	SLOW_PAUSE_US_MAX = 1500000,
};
#define ANSWER_TIMEOUT_US (20 * US_PER_S)
#define RECONNECT_US_MAX (US_PER_S / 2)
/* The endpoint's own limit is shorter. */
#define IDLE_TIMEOUT_US (200 * US_PER_S)

enum lane_state { LANE_CLOSED, LANE_CONNECTING, LANE_OPEN, LANE_CLOSING };
enum trouble { TROUBLE_NONE, TROUBLE_SLOW, TROUBLE_CUT, TROUBLE_LEAVE, TROUBLE_END, TROUBLE_COUNT };

struct provider_lane {
	struct sim_provider *provider;
	struct io_socket *socket;
	enum lane_state state;
	enum trouble trouble;
	struct timer timer; /* to connect, to send more, to go on */
	struct timer limit; /* for the answer */
	bool sending;
	bool silent;  /* says nothing on this connection */
	bool aborts;  /* after a cut: by reset */
	size_t piece; /* being sent */
	size_t sent;
	size_t cut; /* nothing is sent beyond */
	struct writer output;
	struct expectation expects[LANE_EXPECTS_MAX];
	uint32_t expect_first;
	uint32_t expect_count;
	size_t filled;
	uint8_t *memory;
	uint8_t input[LANE_INPUT_SIZE];
};

static struct sim_world *lane_world(const struct provider_lane *lane)
{
	return lane->provider->ledger->world;
}

static void lane_after(struct provider_lane *lane, uint64_t delay_us)
{
	struct loop *loop = lane->provider->loop;
	timer_start(&loop->timers, &lane->timer, loop_now(loop), delay_us);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void lane_give_up(struct provider_lane *lane)
{
	while (lane->expect_first < lane->expect_count) {
		provider_unanswered(lane->provider, &lane->expects[lane->expect_first++]);
	}
	lane->expect_first = lane->expect_count = 0;
}

static void lane_close(struct provider_lane *lane, bool reset)
{
	struct loop *loop = lane->provider->loop;

	if (lane->state != LANE_CONNECTING && lane->state != LANE_OPEN) return;
	lane->state = LANE_CLOSING;
	lane->sending = false;
	timer_stop(&loop->timers, &lane->timer);
	timer_stop(&loop->timers, &lane->limit);
	lane_give_up(lane);
	if (reset) {
		io_socket_abort(loop->io, lane->socket);
	} else {
		io_socket_close(loop->io, lane->socket);
	}
}

static void lane_closed(void *owner)
{
	struct provider_lane *lane = owner;

	lane->state = LANE_CLOSED;
	lane->socket = NULL;
	if (!lane->provider->stopping)
		lane_after(lane, sim_between(lane_world(lane), 0, RECONNECT_US_MAX));
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void lane_send(struct provider_lane *lane)
{
	size_t left = lane->cut - lane->sent;

	if (lane->trouble == TROUBLE_SLOW) {
		size_t most = sim_between(lane_world(lane), 1, SLOW_PIECE_MAX);
		if (left > most) left = most;
	}
	CHECK(left > 0);
	lane->piece = left;
	lane->sending = true;
	io_send(lane->provider->loop->io, lane->socket, lane->output.data + lane->sent, left);
}

static void choose_trouble(struct provider_lane *lane)
{
	struct sim_world *world = lane_world(lane);

	lane->trouble = TROUBLE_NONE;
	if (sim_chance(world, lane->provider->trouble_ppm)) {
		lane->trouble =
			(enum trouble)sim_between(world, TROUBLE_NONE + 1, TROUBLE_COUNT - 1);
	}
	lane->cut = lane->output.size;
	lane->aborts = sim_chance(world, PPM / 2);
	if (lane->trouble == TROUBLE_CUT) lane->cut = sim_between(world, 1, lane->output.size);
}

static void lane_work(struct provider_lane *lane)
{
	struct sim_provider *provider = lane->provider;
	struct loop *loop = provider->loop;

	CHECK(lane->state == LANE_OPEN && !lane->sending && lane->expect_count == 0);
	if (provider->stopping) {
		lane_close(lane, false);
		return;
	}
	if (lane->silent) {
		timer_start(&loop->timers, &lane->limit, loop_now(loop), IDLE_TIMEOUT_US);
		return;
	}
	lane->output = writer_of(lane->memory, LANE_OUTPUT_SIZE);
	lane->expect_first = 0;
	lane->expect_count = provider_compose(provider, &lane->output, lane->expects);
	if (lane->expect_count == 0) {
		lane_after(lane,
			provider->ledger->unresolved_count == 0
				? IDLE_TIMEOUT_US
				: provider->gap_us_max + RECONNECT_US_MAX);
		return;
	}
	lane->sent = 0;
	choose_trouble(lane);
	timer_start(&loop->timers, &lane->limit, loop_now(loop), ANSWER_TIMEOUT_US);
	lane_send(lane);
}

/* All was answered: the next one, after a while. */
static void lane_rest(struct provider_lane *lane)
{
	struct sim_provider *provider = lane->provider;
	struct sim_world *world = lane_world(lane);

	lane->expect_first = lane->expect_count = 0;
	timer_stop(&provider->loop->timers, &lane->limit);
	if (lane->trouble == TROUBLE_END || sim_between(world, 1, ONE_IN_CLOSING) == 1) {
		lane_close(lane, sim_chance(world, PPM / 4));
	} else {
		lane_after(lane, sim_between(world, 0, provider->gap_us_max));
	}
}

static void lane_sent(void *owner, int error)
{
	struct provider_lane *lane = owner;
	struct sim_world *world = lane_world(lane);

	lane->sending = false;
	if (error != 0) {
		lane_close(lane, true);
		return;
	}
	lane->sent += lane->piece;
	if (lane->sent < lane->cut) {
		uint64_t pause_us = sim_between(world, 0, SLOW_PAUSE_US_MAX);
		/* Refused before its end, and answered: the rest is not wanted. */
		if (lane->expect_count == 0) {
			lane_close(lane, false);
		} else {
			lane_after(lane, lane->trouble == TROUBLE_SLOW ? pause_us : 0);
		}
		return;
	}
	if (lane->trouble == TROUBLE_CUT || lane->trouble == TROUBLE_LEAVE) {
		lane_close(lane, lane->aborts);
	} else if (lane->trouble == TROUBLE_END) {
		io_shutdown(lane->provider->loop->io, lane->socket);
	} else if (lane->expect_count == 0) {
		lane_rest(lane);
	}
}

/* ---- Answers --------------------------------------------------------------------------------- */

static struct bytes member(struct bytes body, const char *before)
{
	const uint8_t *found = memmem(body.data, body.size, before, strlen(before));
	if (found == NULL) return BYTES_EMPTY;

	struct bytes rest = bytes_from(body, (size_t)(found - body.data) + strlen(before));
	return bytes_of(rest.data, bytes_find(rest, '"'));
}

/* Takes one answer out of the input. False when there is no whole one. */
static bool lane_take_answer(struct provider_lane *lane)
{
	struct http_response response;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t head_size = 0;

	/* From its start: an answer whose body is not there yet was found before. */
	size_t scanned = 0;
	enum http_parse parse =
		http_head_find(bytes_of(lane->input, lane->filled), &scanned, &head_size, &fault);
	if (parse == HTTP_PARSE_MORE) return false;
	if (parse == HTTP_PARSE_BAD ||
		http_response_parse(bytes_of(lane->input, head_size), false, &response, &fault) !=
			HTTP_PARSE_DONE) {
		sim_violation(lane_world(lane), "a provider got what is no answer: %s",
			http_fault_text(fault));
	}
	if (response.body == HTTP_BODY_NONE) response.content_length = 0;
	size_t size = head_size + (size_t)response.content_length;
	CHECK(size <= LANE_INPUT_SIZE);
	if (lane->filled < size) return false;
	if (response.status >= 200) {
		struct bytes body = bytes_of(lane->input + head_size, size - head_size);
		struct bytes status = member(body, "\"status\":\"");
		if (lane->expect_first == lane->expect_count) {
			sim_violation(lane_world(lane), "an answer that nobody asked for");
		}
		provider_answered(lane->provider, &lane->expects[lane->expect_first++],
			response.status, member(body, "{\"id\":\""),
			bytes_equal(status, BYTES_LITERAL("duplicate")));
	}
	lane->filled -= size;
	memmove(lane->input, lane->input + size, lane->filled);
	return true;
}

static void lane_received(void *owner, struct io_buffer *buffer)
{
	struct provider_lane *lane = owner;

	CHECK(lane->filled + buffer->size <= LANE_INPUT_SIZE);
	memcpy(lane->input + lane->filled, buffer->data, buffer->size);
	lane->filled += buffer->size;
	io_buffer_return(lane->provider->loop->io, buffer);
	while (lane_take_answer(lane)) continue;
	if (lane->expect_count == 0 || lane->expect_first < lane->expect_count) return;
	lane->expect_first = lane->expect_count = 0;
	/* Else an answer that came before the request was out: lane_sent() sees to it. */
	if (!lane->sending && lane->sent == lane->cut) lane_rest(lane);
}

static void lane_ended(void *owner, int error)
{
	lane_close(owner, error != 0);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void lane_connected(void *owner, int error)
{
	struct provider_lane *lane = owner;
	struct io *io = lane->provider->loop->io;

	if (error != 0) {
		lane_close(lane, false);
		return;
	}
	lane->state = LANE_OPEN;
	timer_stop(&lane->provider->loop->timers, &lane->limit);
	io_receive_start(io, lane->socket);
	lane_work(lane);
}

static const struct io_events lane_events = {
	.connected = lane_connected,
	.received = lane_received,
	.ended = lane_ended,
	.sent = lane_sent,
	.closed = lane_closed,
};

static void lane_connect(struct provider_lane *lane)
{
	struct sim_provider *provider = lane->provider;
	struct loop *loop = provider->loop;

	lane->state = LANE_CONNECTING;
	lane->silent = sim_between(lane_world(lane), 1, ONE_IN_IDLE) == 1;
	lane->sending = false;
	lane->filled = 0;
	lane->sent = lane->cut = 0;
	lane->expect_first = lane->expect_count = 0;
	CHECK(io_connect(loop->io, &provider->address, &lane_events, lane, &lane->socket) ==
		RESULT_OK);
	timer_start(&loop->timers, &lane->limit, loop_now(loop), ANSWER_TIMEOUT_US);
}

static void lane_timer_expired(void *owner)
{
	struct provider_lane *lane = owner;

	if (lane->state == LANE_CLOSED) {
		if (!lane->provider->stopping) lane_connect(lane);
	} else if (lane->expect_count > 0) {
		lane_send(lane);
	} else if (lane->sent < lane->cut && lane->state == LANE_OPEN) {
		lane_close(lane, false); /* answered before its end */
	} else {
		lane_work(lane);
	}
}

static void lane_limit_expired(void *owner)
{
	lane_close(owner, true);
}

/* ---- Opening --------------------------------------------------------------------------------- */

const char *sim_provider_secret(const struct scheme *scheme, int variant)
{
	static const char *const encoded[] = {
		"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
	};
	static const char *const plain[] = { "a perfectly good secret", "another good secret" };
	struct bytes header = bytes_of_text(scheme_signature_header(scheme));

	return bytes_equal(header, BYTES_LITERAL("webhook-signature")) ? encoded[variant]
								       : plain[variant];
}

static struct verifier *make_verifier(const struct scheme *scheme, int variant)
{
	struct verifier *verifier;
	const char *error;

	CHECK(verifier_create(scheme, bytes_of_text(sim_provider_secret(scheme, variant)),
		      BYTES_EMPTY, 0, &verifier, &error) == RESULT_OK);
	return verifier;
}

void sim_provider_open(struct sim_provider *provider, struct ledger *ledger, struct loop *loop,
	const struct flow_endpoint *endpoint, const struct io_address *address, uint32_t index,
	uint32_t lane_count)
{
	const struct scheme *scheme = scheme_find(bytes_of_text(endpoint->config->scheme));

	CHECK(scheme != NULL && lane_count <= PROVIDER_LANES_MAX);
	*provider = (struct sim_provider){
		.ledger = ledger,
		.loop = loop,
		.endpoint = endpoint,
		.address = *address,
		.index = index,
		.scheme = scheme,
		.signer = make_verifier(scheme, 0),
		.forger = make_verifier(scheme, 1),
		.lanes = alloc_array(lane_count, sizeof *provider->lanes),
		.lane_count = lane_count,
	};
	for (uint32_t i = 0; i < lane_count; i++) {
		struct provider_lane *lane = &provider->lanes[i];
		lane->provider = provider;
		lane->memory = alloc_map(LANE_OUTPUT_SIZE);
		timer_init(&lane->timer, lane_timer_expired, lane);
		timer_init(&lane->limit, lane_limit_expired, lane);
	}
}

void sim_provider_start(struct sim_provider *provider)
{
	struct sim_world *world = provider->ledger->world;

	for (uint32_t i = 0; i < provider->lane_count; i++) {
		lane_after(&provider->lanes[i], sim_between(world, 0, RECONNECT_US_MAX));
	}
}

void sim_provider_stop(struct sim_provider *provider)
{
	provider->stopping = true;
	for (uint32_t i = 0; i < provider->lane_count; i++) {
		struct provider_lane *lane = &provider->lanes[i];
		if (lane->state == LANE_CLOSED) timer_stop(&provider->loop->timers, &lane->timer);
		lane_close(lane, false);
	}
}

bool sim_provider_idle(const struct sim_provider *provider)
{
	for (uint32_t i = 0; i < provider->lane_count; i++) {
		if (provider->lanes[i].state != LANE_CLOSED) return false;
	}
	return true;
}

void sim_provider_close(struct sim_provider *provider)
{
	CHECK(provider->stopping && sim_provider_idle(provider));
	for (uint32_t i = 0; i < provider->lane_count; i++) {
		alloc_unmap(provider->lanes[i].memory, LANE_OUTPUT_SIZE);
	}
	alloc_free(provider->lanes);
	verifier_free(provider->signer);
	verifier_free(provider->forger);
}

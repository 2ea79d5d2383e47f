/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection of the sender: connects, sends one request at a time, reads the answer and
 * books it, closes and connects again. It does not choose what to send.
 */
#include "sender_internal.h"

#include <stdio.h>

#include "base/check.h"
#include "http/http_response.h"
#include "http/http_write.h"

enum {
	STALE_SECONDS = 3600,
	RECONNECT_MS = 50, /* the daemon was just killed: it will be back in a moment */
	ANSWER_TIMEOUT_MS = 20000,
};

/* ---- Requests -------------------------------------------------------------------------------- */

enum { PATH_SIZE_MAX = sizeof((struct sender_endpoint *)NULL)->path + 16 };

static struct bytes path_of(const struct sender_config *config, uint64_t number,
	char memory[static PATH_SIZE_MAX])
{
	const char *path = config->endpoints[number % config->endpoint_count].path;
	unsigned which = (unsigned)(number / config->endpoint_count % config->spread);

	if (config->spread == 1) return bytes_of_text(path);
	snprintf(memory, PATH_SIZE_MAX, "%s%u", path, which);
	return bytes_of_text(memory);
}

static void request_compose(struct lane *lane)
{
	struct sender *sender = lane->sender;
	const struct sender_config *config = &sender->config;
	const struct sender_endpoint *endpoint =
		&config->endpoints[lane->number % config->endpoint_count];
	struct payload_shape shape = config->shape;
	char id[PAYLOAD_ID_SIZE];

	/* Attacks that are to be refused are told from events by their run. */
	if (lane->kind == REQUEST_FORGED || lane->kind == REQUEST_STALE) shape.run ^= 1;
	uint8_t *body = lane->request + HEAD_SIZE_MAX;
	payload_write(&shape, lane->number, body);
	payload_id(&shape, lane->number, id);

	uint8_t head[HEAD_SIZE_MAX];
	struct writer writer = writer_of(head, sizeof head);
	char path[PATH_SIZE_MAX];
	http_write_request_line(&writer, "POST", path_of(config, lane->number, path),
		bytes_of_text(sender->host_field));
	write_text(&writer, "Content-Type: application/json\r\n");
	http_write_field_decimal(&writer, "Content-Length", shape.size);
	wall_t now = io_wall(sender->loop->io);
	if (lane->kind == REQUEST_STALE) now.us -= STALE_SECONDS * US_PER_S;
	CHECK(verifier_sign(lane->kind == REQUEST_FORGED ? endpoint->forger : endpoint->signer,
		      &(struct sign_input){
			      .event_id = bytes_of(id, sizeof id),
			      .method = BYTES_LITERAL("POST"),
			      .body = bytes_of(body, shape.size),
			      .now = now,
		      },
		      &writer) == RESULT_OK);
	http_write_end(&writer);
	CHECK(!writer.failed);
	memmove(body - writer.size, head, writer.size);
	lane->request_size = writer.size + shape.size;
	lane->request_taken = 0;
}

static const uint8_t *request_bytes(const struct lane *lane)
{
	size_t head_size = lane->request_size - lane->sender->config.shape.size;
	return lane->request + HEAD_SIZE_MAX - head_size;
}

static void request_write(struct lane *lane)
{
	const uint8_t *bytes = request_bytes(lane);
	lane->request_taken += stream_write(&lane->stream, bytes + lane->request_taken,
		lane->request_size - lane->request_taken);
}

static void request_book(const struct lane *lane)
{
	struct ledger *ledger = lane->sender->config.ledger;

	switch (lane->kind) {
	case REQUEST_EVENT: {
		struct ledger_entry *entry = &ledger->entries[lane->number];
		if (entry->fate == FATE_NONE) {
			entry->fate = FATE_SENT;
			ledger->sent++;
			histogram_record(&ledger->late,
				mono_since_us(lane->intended, loop_now(lane->sender->loop)));
		}
		break;
	}
	case REQUEST_FORGED: ledger->forged_sent++; break;
	case REQUEST_STALE: ledger->stale_sent++; break;
	case REQUEST_REPLAY: ledger->replay_sent++; break;
	}
}

/* Signed only now, so that the signature is fresh however long the handshake took. */
static void request_send(struct lane *lane)
{
	struct loop *loop = lane->sender->loop;

	request_compose(lane);
	request_write(lane);
	request_book(lane);
	timer_start(&loop->timers, &lane->timer, loop_now(loop), ANSWER_TIMEOUT_MS * US_PER_MS);
}

void lane_begin(struct lane *lane)
{
	lane_set_ready(lane, false);
	lane->busy = true;
	lane->scanned = 0;
	lane->filled = 0;
	lane->sender->busy_count++;
	if (lane->open) {
		request_send(lane);
	} else {
		lane_connect(lane);
	}
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void event_answered(struct lane *lane, uint16_t status, bool duplicate)
{
	struct sender *sender = lane->sender;
	struct ledger *ledger = sender->config.ledger;
	struct ledger_entry *entry = &ledger->entries[lane->number];

	if (status >= 200 && status < 300) {
		if (entry->fate != FATE_SENT) return;
		entry->fate = FATE_ACKED;
		ledger->acked++;
		if (duplicate) ledger->acked_duplicate++;
		latency_record(&ledger->ack, mono_since_us(lane->intended, loop_now(sender->loop)));
		return;
	}
	if (status == 503 || status == 429) {
		ledger->refused_503++;
		sender_put_resend(sender, lane->number);
		return;
	}
	if (entry->fate == FATE_SENT) {
		entry->fate = FATE_REJECTED;
		ledger->rejected++;
	}
}

static void request_answered(struct lane *lane, uint16_t status, bool duplicate)
{
	struct ledger *ledger = lane->sender->config.ledger;
	bool accepted = status >= 200 && status < 300;

	lane->busy = false;
	lane->sender->busy_count--;
	timer_stop(&lane->sender->loop->timers, &lane->timer);
	switch (lane->kind) {
	case REQUEST_EVENT: event_answered(lane, status, duplicate); break;
	case REQUEST_FORGED: ledger->forged_accepted += accepted; break;
	case REQUEST_STALE: ledger->stale_accepted += accepted; break;
	case REQUEST_REPLAY: ledger->replay_answered += accepted && duplicate; break;
	}
}

/* No answer will come: an event is sent again on another connection. */
static void request_lost(struct lane *lane)
{
	struct sender *sender = lane->sender;

	if (!lane->busy) return;
	lane->busy = false;
	sender->busy_count--;
	sender->config.ledger->errors++;
	timer_stop(&sender->loop->timers, &lane->timer);
	if (lane->kind == REQUEST_EVENT) sender_put_resend(sender, lane->number);
}

/* Returns whether a whole answer was there. */
static bool answer_parse(struct lane *lane, struct http_response *response, bool *ret_duplicate,
	bool *ret_bad)
{
	enum http_fault fault;
	size_t head_size;
	struct bytes input = bytes_of(lane->answer, lane->filled);

	enum http_parse parse = http_head_find(input, &lane->scanned, &head_size, &fault);
	if (parse == HTTP_PARSE_MORE) return false;
	if (parse == HTTP_PARSE_BAD ||
		http_response_parse(bytes_of(lane->answer, head_size), false, response, &fault) !=
			HTTP_PARSE_DONE ||
		(response->body != HTTP_BODY_LENGTH && response->body != HTTP_BODY_NONE) ||
		response->content_length > sizeof lane->answer - head_size) {
		*ret_bad = true;
		return false;
	}
	if (lane->filled < head_size + response->content_length) {
		lane->scanned = 0; /* the head is looked for again when more has come */
		return false;
	}
	struct bytes body = bytes_of(lane->answer + head_size, (size_t)response->content_length);
	*ret_duplicate = memmem(body.data, body.size, "\"duplicate\"", 11) != NULL;
	return true;
}

void lane_set_ready(struct lane *lane, bool ready)
{
	struct sender *sender = lane->sender;

	if (lane->ready == ready) return;
	lane->ready = ready;
	if (!ready) {
		list_remove(&lane->node);
		sender->ready_count--;
		return;
	}
	list_append(&sender->ready, &lane->node);
	sender->ready_count++;
	loop_defer(sender->loop, &sender->pump);
}

void lane_close(struct lane *lane, bool abort)
{
	if (lane->closing) return;
	lane->closing = true;
	lane_set_ready(lane, false);
	request_lost(lane);
	if (abort) {
		stream_abort(&lane->stream);
	} else {
		stream_close(&lane->stream);
	}
}

static void lane_readable(void *owner)
{
	struct lane *lane = owner;
	struct http_response response;
	bool duplicate = false;
	bool bad = false;

	if (lane->closing) return;
	size_t size = stream_read(&lane->stream, lane->answer + lane->filled,
		sizeof lane->answer - lane->filled);
	lane->filled += (uint32_t)size;
	if (size == 0 || !lane->busy) return;
	if (!answer_parse(lane, &response, &duplicate, &bad)) {
		if (bad) lane_close(lane, true);
		return;
	}
	request_answered(lane, response.status, duplicate);
	if (!response.keep_alive || lane->sender->config.full_handshakes) {
		lane_close(lane, false);
	} else {
		lane_set_ready(lane, true);
		/* At once: behind the other answers of this turn the next request would be late. */
		sender_send_ready(lane->sender);
	}
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void security_note(struct lane *lane)
{
	struct sender_security *security = &lane->sender->security;
	struct tls_peer peer;

	if (lane->stream.tls == NULL) return;
	tls_conn_peer(lane->stream.tls, &peer);
	bytes_to_text(bytes_of_text(peer.protocol), security->protocol, sizeof security->protocol);
	bytes_to_text(bytes_of_text(peer.cipher), security->cipher, sizeof security->cipher);
}

static void lane_opened(void *owner)
{
	struct lane *lane = owner;

	if (lane->sender->handshakes++ == 0) security_note(lane);
	lane->stands = true;
	lane->sender->standing_count++;
	timer_stop(&lane->sender->loop->timers, &lane->timer);
	if (lane->busy) {
		request_send(lane);
	} else {
		lane_set_ready(lane, true);
	}
}

static void lane_drained(void *owner)
{
	struct lane *lane = owner;
	if (lane->busy && lane->request_taken < lane->request_size) request_write(lane);
}

static void lane_ended(void *owner, enum stream_end end)
{
	struct lane *lane = owner;

	if (lane->closing) return;
	/* The answer may have come together with the end. */
	lane_readable(lane);
	lane->failed = lane->busy;
	lane_close(lane, end != STREAM_END_PEER);
}

/* The next connection: when there is something for it to carry, at once, or after a moment. */
static void lane_renew(struct lane *lane)
{
	struct sender *sender = lane->sender;

	if (sender->config.full_handshakes && !lane->failed) {
		lane_set_ready(lane, true);
		return;
	}
	lane->failed = false;
	timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
		RECONNECT_MS * US_PER_MS);
}

static void lane_closed(void *owner)
{
	struct lane *lane = owner;
	struct sender *sender = lane->sender;

	lane->open = false;
	lane->closing = false;
	sender->open_count--;
	if (lane->stands) {
		lane->stands = false;
		sender->standing_count--;
		sender->connected_at = loop_now(sender->loop);
	}
	if (sender->finishing && sender_idle(sender)) return;
	lane_renew(lane);
}

static const struct stream_events lane_events = {
	.opened = lane_opened,
	.readable = lane_readable,
	.drained = lane_drained,
	.ended = lane_ended,
	.closed = lane_closed,
};

void lane_connect(struct lane *lane)
{
	struct sender *sender = lane->sender;
	const struct sender_config *config = &sender->config;

	const struct io_address *address =
		&config->addresses[(lane - sender->lanes) % config->address_count];

	enum result result = stream_connect(&lane->stream, config->streams, address,
		config->context, config->host_name, NULL, &lane_events, lane);
	if (result != RESULT_OK) {
		request_lost(lane);
		timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
			RECONNECT_MS * US_PER_MS);
		return;
	}
	lane->open = true;
	sender->open_count++;
	timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
		ANSWER_TIMEOUT_MS * US_PER_MS);
}

void lane_timer_expired(void *owner)
{
	struct lane *lane = owner;

	if (lane->open) {
		lane->failed = lane->busy;
		lane_close(lane, true);
	} else if (lane->sender->config.full_handshakes) {
		lane_set_ready(lane, true);
	} else {
		lane_connect(lane);
	}
}

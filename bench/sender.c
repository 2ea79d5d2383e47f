/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sender.h"

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_response.h"
#include "http/http_write.h"

enum {
	HEAD_SIZE_MAX = 2048,
	ANSWER_SIZE_MAX = 8192,
	STALE_SECONDS = 3600,
	RECONNECT_MS = 50, /* the daemon was just killed: it will be back in a moment */
	RESEND_MS = 100,   /* after 503 or a broken connection */
	ANSWER_TIMEOUT_MS = 20000,
};

enum request_kind { REQUEST_EVENT, REQUEST_FORGED, REQUEST_STALE, REQUEST_REPLAY };

/* One connection and what it is doing. */
struct lane {
	struct list node; /* of the ready lanes */
	struct stream stream;
	struct sender *sender;
	struct timer timer;
	bool open;  /* the stream exists */
	bool ready; /* it can carry a request */
	bool busy;  /* a request is under way */
	bool closing;
	enum request_kind kind;
	uint64_t number;
	mono_t intended;
	uint8_t *request; /* kept for a partly taken write */
	size_t request_size;
	size_t request_taken;
	size_t scanned;
	uint32_t filled;
	uint8_t answer[ANSWER_SIZE_MAX];
};

/* What waits to be sent again, oldest first. */
struct resend {
	uint64_t number;
	mono_t due;
};

struct sender {
	struct sender_config config;
	struct loop *loop;
	struct lane *lanes;
	struct list ready;
	struct random random;
	struct timer pace; /* open loop: when the next event is due */
	struct task pump;
	uint64_t next_number;
	uint64_t handshakes;
	uint32_t busy_count;
	uint32_t open_count;
	bool finishing;
	struct resend *resends; /* ring */
	uint64_t resend_first, resend_count, resend_capacity;
};

static void lane_connect(struct lane *lane);
static void sender_pump(void *owner);

static uint64_t sender_us(const struct sender *sender, mono_t at)
{
	return mono_since_us(sender->config.ledger->started, at);
}

/* ---- What to send next ----------------------------------------------------------------------- */

static mono_t event_due(const struct sender *sender, uint64_t number)
{
	if (sender->config.rate <= 0) return loop_now(sender->loop);
	double offset_us = (double)number * 1e6 / sender->config.rate;
	return (mono_t){ sender->config.ledger->started.us + (uint64_t)offset_us };
}

/* When the first of them is due. */
static mono_t resend_due(const struct sender *sender)
{
	if (sender->resend_count == 0) return (mono_t){ UINT64_MAX };
	return sender->resends[sender->resend_first % sender->resend_capacity].due;
}

static bool take_resend(struct sender *sender, uint64_t *ret_number)
{
	if (resend_due(sender).us > loop_now(sender->loop).us) return false;
	*ret_number = sender->resends[sender->resend_first % sender->resend_capacity].number;
	sender->resend_first++;
	sender->resend_count--;
	return true;
}

static void put_resend(struct sender *sender, uint64_t number)
{
	if (!sender->config.retry || sender->resend_count == sender->resend_capacity) return;
	uint64_t at = (sender->resend_first + sender->resend_count++) % sender->resend_capacity;
	sender->resends[at] = (struct resend){
		.number = number,
		.due = { loop_now(sender->loop).us + RESEND_MS * US_PER_MS },
	};
	/* It finds out when to look again. */
	loop_defer(sender->loop, &sender->pump);
}

bool sender_exhausted(const struct sender *sender)
{
	const struct sender_config *config = &sender->config;
	uint64_t count = config->count > 0 ? config->count : config->ledger->capacity;
	return sender->finishing || sender->next_number >= count;
}

/* Now and then an attack goes out before the next event. */
static bool choose_attack(struct sender *sender, struct lane *lane)
{
	const struct sender_config *config = &sender->config;
	uint64_t dice = random_below(&sender->random, 1000);

	if (dice < config->forged_permille) {
		lane->kind = REQUEST_FORGED;
		lane->number = random_below(&sender->random, config->ledger->capacity);
		return true;
	}
	dice -= config->forged_permille;
	if (dice < config->stale_permille) {
		lane->kind = REQUEST_STALE;
		lane->number = random_below(&sender->random, config->ledger->capacity);
		return config->endpoints[lane->number % config->endpoint_count].timestamped;
	}
	dice -= config->stale_permille;
	if (dice < config->replay_permille && sender->next_number > 0) {
		lane->kind = REQUEST_REPLAY;
		lane->number = random_below(&sender->random, sender->next_number);
		return config->ledger->entries[lane->number].fate == FATE_ACKED;
	}
	return false;
}

static void pace_start(struct sender *sender, mono_t at)
{
	uint64_t delay_us = mono_since_us(loop_now(sender->loop), at);
	timer_start(&sender->loop->timers, &sender->pace, loop_now(sender->loop), delay_us);
}

/* Chooses what the next free lane carries. When there is nothing yet, the timer is set. */
static bool choose(struct sender *sender, struct lane *lane)
{
	const struct sender_config *config = &sender->config;

	lane->intended = loop_now(sender->loop);
	if (take_resend(sender, &lane->number)) {
		lane->kind = REQUEST_EVENT;
		config->ledger->retries++;
		return true;
	}
	mono_t resend = resend_due(sender);
	if (sender_exhausted(sender)) {
		if (resend.us != UINT64_MAX) pace_start(sender, resend);
		return false;
	}
	mono_t due = event_due(sender, sender->next_number);
	if (due.us > loop_now(sender->loop).us) {
		pace_start(sender, resend.us < due.us ? resend : due);
		return false;
	}
	if (choose_attack(sender, lane)) return true;
	lane->kind = REQUEST_EVENT;
	lane->number = sender->next_number++;
	lane->intended = due;
	struct ledger_entry *entry = &config->ledger->entries[lane->number];
	entry->endpoint = (uint16_t)(lane->number % config->endpoint_count);
	entry->intended_ms = (uint32_t)(sender_us(sender, due) / US_PER_MS);
	config->ledger->scheduled = sender->next_number;
	return true;
}

/* ---- Requests -------------------------------------------------------------------------------- */

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
	http_write_request_line(&writer, "POST", bytes_of_text(endpoint->path),
		bytes_of_text(config->host_name));
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

static void request_begin(struct lane *lane)
{
	struct sender *sender = lane->sender;
	struct ledger *ledger = sender->config.ledger;

	list_remove(&lane->node);
	lane->busy = true;
	lane->scanned = 0;
	lane->filled = 0;
	sender->busy_count++;
	request_compose(lane);
	request_write(lane);
	switch (lane->kind) {
	case REQUEST_EVENT: {
		struct ledger_entry *entry = &ledger->entries[lane->number];
		if (entry->fate == FATE_NONE) {
			entry->fate = FATE_SENT;
			ledger->sent++;
		}
		break;
	}
	case REQUEST_FORGED: ledger->forged_sent++; break;
	case REQUEST_STALE: ledger->stale_sent++; break;
	case REQUEST_REPLAY: ledger->replay_sent++; break;
	}
	timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
		ANSWER_TIMEOUT_MS * US_PER_MS);
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
		histogram_record(&ledger->ack,
			mono_since_us(lane->intended, loop_now(sender->loop)));
		return;
	}
	if (status == 503 || status == 429) {
		ledger->refused_503++;
		put_resend(sender, lane->number);
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
	if (lane->kind == REQUEST_EVENT) put_resend(sender, lane->number);
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

static void lane_ready(struct lane *lane)
{
	lane->ready = true;
	list_append(&lane->sender->ready, &lane->node);
	loop_defer(lane->sender->loop, &lane->sender->pump);
}

static void lane_close(struct lane *lane, bool abort)
{
	if (lane->closing) return;
	lane->closing = true;
	lane->ready = false;
	list_remove(&lane->node);
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
		lane_ready(lane);
	}
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void lane_opened(void *owner)
{
	struct lane *lane = owner;

	lane->sender->handshakes++;
	timer_stop(&lane->sender->loop->timers, &lane->timer);
	lane_ready(lane);
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
	lane_close(lane, end != STREAM_END_PEER);
}

static void lane_closed(void *owner)
{
	struct lane *lane = owner;
	struct sender *sender = lane->sender;

	lane->open = false;
	lane->closing = false;
	sender->open_count--;
	if (sender->finishing && sender_idle(sender)) return;
	timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
		sender->config.full_handshakes ? 0 : RECONNECT_MS * US_PER_MS);
}

static const struct stream_events lane_events = {
	.opened = lane_opened,
	.readable = lane_readable,
	.drained = lane_drained,
	.ended = lane_ended,
	.closed = lane_closed,
};

static void lane_connect(struct lane *lane)
{
	struct sender *sender = lane->sender;
	const struct sender_config *config = &sender->config;

	enum result result = stream_connect(&lane->stream, config->streams, &config->address,
		config->context, config->host_name, NULL, &lane_events, lane);
	uint64_t wait_ms = result == RESULT_OK ? ANSWER_TIMEOUT_MS : RECONNECT_MS;
	if (result == RESULT_OK) {
		lane->open = true;
		sender->open_count++;
	}
	timer_start(&sender->loop->timers, &lane->timer, loop_now(sender->loop),
		wait_ms * US_PER_MS);
}

static void lane_timer_expired(void *owner)
{
	struct lane *lane = owner;

	if (!lane->open) {
		lane_connect(lane);
	} else if (!lane->closing) {
		lane_close(lane, true);
	}
}

/* ---- The sender ------------------------------------------------------------------------------ */

static void sender_pump(void *owner)
{
	struct sender *sender = owner;

	while (!list_empty(&sender->ready)) {
		struct lane *lane = LIST_ENTRY(sender->ready.next, struct lane, node);
		if (!choose(sender, lane)) return;
		request_begin(lane);
	}
}

void sender_open(const struct sender_config *config, struct sender **ret)
{
	struct sender *sender = alloc_array(1, sizeof *sender);

	sender->config = *config;
	sender->loop = config->streams->loop;
	sender->random.state = config->seed;
	sender->resend_capacity = 1u << 20;
	sender->resends = alloc_map(sender->resend_capacity * sizeof *sender->resends);
	list_init(&sender->ready);
	task_init(&sender->pump, sender_pump, sender);
	timer_init(&sender->pace, sender_pump, sender);
	sender->lanes = alloc_array(config->connections, sizeof *sender->lanes);
	for (uint32_t i = 0; i < config->connections; i++) {
		struct lane *lane = &sender->lanes[i];
		lane->sender = sender;
		lane->request = alloc_array(HEAD_SIZE_MAX + config->shape.size, 1);
		list_init(&lane->node);
		timer_init(&lane->timer, lane_timer_expired, lane);
		lane_connect(lane);
	}
	*ret = sender;
}

void sender_finish(struct sender *sender)
{
	sender->finishing = true;
}

bool sender_idle(const struct sender *sender)
{
	return sender->busy_count == 0 && sender->resend_count == 0;
}

void sender_abort(struct sender *sender)
{
	sender->finishing = true;
	sender->resend_count = 0;
	timer_stop(&sender->loop->timers, &sender->pace);
	sender->config.retry = false;
	for (uint32_t i = 0; i < sender->config.connections; i++) {
		struct lane *lane = &sender->lanes[i];
		timer_stop(&sender->loop->timers, &lane->timer);
		if (lane->open) lane_close(lane, true);
	}
}

bool sender_closed(const struct sender *sender)
{
	return sender->open_count == 0;
}

void sender_close(struct sender *sender)
{
	CHECK(sender_closed(sender));
	task_cancel(&sender->pump);
	for (uint32_t i = 0; i < sender->config.connections; i++) {
		timer_stop(&sender->loop->timers, &sender->lanes[i].timer);
		alloc_free(sender->lanes[i].request);
	}
	alloc_unmap(sender->resends, sender->resend_capacity * sizeof *sender->resends);
	alloc_free(sender->lanes);
	alloc_free(sender);
}

void sender_reset_latency(struct sender *sender)
{
	memset(&sender->config.ledger->ack, 0, sizeof sender->config.ledger->ack);
	memset(&sender->config.ledger->end_to_end, 0, sizeof sender->config.ledger->end_to_end);
}

uint64_t sender_handshakes(const struct sender *sender)
{
	return sender->handshakes;
}

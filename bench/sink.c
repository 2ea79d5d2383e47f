/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "http/http_request.h"

enum { HEAD_ROOM = HTTP_HEAD_SIZE_MAX };
BOUND(FLUSH_FILE_BATCH >= HEAD_ROOM + PAYLOAD_SIZE_MAX);

/* A connection from the daemon. */
struct drain {
	struct list node;
	struct list kept_node; /* in one of the three lists of those who wait for a flush */
	struct stream stream;
	struct sink *sink;
	struct timer timer; /* a delayed answer */
	bool closing;
	bool waiting; /* for the timer, or the flush */
	size_t scanned;
	uint32_t head_size;
	uint32_t filled;
	struct http_request http;
	uint8_t *buffer; /* HEAD_ROOM and the payload */
};

struct sink {
	struct sink_config config;
	struct loop *loop;
	struct io_socket *listener;
	bool listener_open;
	struct pool drains;
	struct list open;
	/* Of those who wait: what is in the open batch, on its way to the disk, in no batch yet. */
	struct list gathered;
	struct list flushing;
	struct list crowded;
	struct flush_file file; /* with config.keep_folder */
	struct task flush;
	uint8_t *buffers;
	size_t buffer_size;
	uint8_t *scratch;
	struct random random;
	struct sink_counts counts;
};

/* ---- Deliveries ------------------------------------------------------------------------------ */

static struct bytes drain_body(const struct drain *drain)
{
	return bytes_of(drain->buffer + drain->head_size, (size_t)drain->http.content_length);
}

static bool signature_right(struct drain *drain)
{
	struct sink *sink = drain->sink;
	struct verify_outcome outcome;

	if (sink->config.verifier == NULL) return true;
	struct verify_input input = {
		.method = drain->http.method,
		.fields = &drain->http.fields,
		.body = drain_body(drain),
	};
	verify_request(sink->config.verifier, &input, io_wall(sink->loop->io), &outcome);
	if (outcome.verdict == VERDICT_AUTHENTIC) return true;
	sink->counts.signature_bad++;
	return false;
}

/* Books a delivery that is being answered with success. */
static void delivery_book(struct drain *drain)
{
	struct sink *sink = drain->sink;
	struct ledger *ledger = sink->config.ledger;
	uint64_t number;
	bool intact;

	if (ledger == NULL) return;
	if (!payload_read(&sink->config.shape, drain_body(drain), sink->scratch, &number,
		    &intact) ||
		number >= ledger->scheduled) {
		/* A body of the attackers' run, or of nobody. */
		ledger->corrupt++;
		return;
	}
	if (!intact || !signature_right(drain)) {
		ledger->corrupt++;
		return;
	}
	const struct http_field *key = http_field_find(&drain->http.fields,
		BYTES_LITERAL("x-zen-delivery-idempotency-key"));
	uint64_t key_hash = key == NULL ? 0 : hash_xxh3(key->value, 0);
	struct ledger_entry *entry = &ledger->entries[number];
	if (entry->deliveries < UINT8_MAX) entry->deliveries++;
	if (entry->deliveries > 1) {
		/* The same acceptance delivered again is at-least-once; another one is a replay
		 * that got through. */
		if (entry->delivery_key == key_hash) {
			ledger->duplicate++;
		} else {
			ledger->replay_delivered++;
		}
		return;
	}
	entry->delivery_key = key_hash;
	ledger->delivered++;
	latency_record(&ledger->end_to_end,
		mono_since_us(ledger_intended(ledger, number), loop_now(sink->loop)));
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void drain_close(struct drain *drain, bool abort)
{
	if (drain->closing) return;
	drain->closing = true;
	timer_stop(&drain->sink->loop->timers, &drain->timer);
	list_remove(&drain->kept_node);
	if (abort) {
		stream_abort(&drain->stream);
	} else {
		stream_close(&drain->stream);
	}
}

static void drain_write(struct drain *drain, struct bytes answer)
{
	if (stream_write(&drain->stream, answer.data, answer.size) != answer.size) {
		drain_close(drain, true);
	}
}

static void drain_run(struct drain *drain);

static void request_done(struct drain *drain)
{
	size_t size = drain->head_size + (size_t)drain->http.content_length;

	drain->filled -= (uint32_t)size;
	memmove(drain->buffer, drain->buffer + size, drain->filled);
	drain->scanned = 0;
	drain->head_size = 0;
}

static void answer_error(struct drain *drain)
{
	static const char error[] =
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nfailed";

	drain->sink->counts.answered_error++;
	drain_write(drain, BYTES_LITERAL(error));
}

static void request_answer(struct drain *drain)
{
	struct sink *sink = drain->sink;
	const struct sink_config *config = &sink->config;
	uint64_t dice = random_below(&sink->random, 1000);
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	drain->waiting = false;
	sink->counts.requests++;
	if (dice < config->reset_permille) {
		sink->counts.resets++;
		drain_close(drain, true);
		return;
	}
	dice -= config->reset_permille;
	if (dice < config->fail_permille) {
		answer_error(drain);
	} else if (dice - config->fail_permille < config->busy_permille) {
		uint8_t text[128];
		struct writer writer = writer_of(text, sizeof text);
		write_format(&writer,
			"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %u\r\n"
			"Content-Length: 0\r\n\r\n",
			config->retry_after_s);
		sink->counts.answered_error++;
		drain_write(drain, writer_bytes(&writer));
	} else {
		delivery_book(drain);
		sink->counts.answered_ok++;
		drain_write(drain, BYTES_LITERAL(ok));
	}
	if (!drain->closing) request_done(drain);
}

static void drain_timer_expired(void *owner)
{
	struct drain *drain = owner;

	request_answer(drain);
	if (!drain->closing) drain_run(drain);
}

/* What was asked for beside keeping it. */
static void request_go_on(struct drain *drain)
{
	struct sink *sink = drain->sink;

	if (sink->config.delay_ms == 0) {
		request_answer(drain);
		return;
	}
	drain->waiting = true;
	timer_start(&sink->loop->timers, &drain->timer, loop_now(sink->loop),
		sink->config.delay_ms * US_PER_MS);
}

static void request_not_kept(struct drain *drain)
{
	drain->waiting = false;
	drain->sink->counts.requests++;
	drain->sink->counts.not_kept++;
	answer_error(drain);
	if (!drain->closing) request_done(drain);
}

/* Until what comes in the same turn, or while a flush is under way, is flushed with it. */
static void request_keep(struct drain *drain)
{
	struct sink *sink = drain->sink;
	size_t size = drain->head_size + (size_t)drain->http.content_length;

	bool added = flush_file_add(&sink->file, bytes_of(drain->buffer, size));
	drain->waiting = true;
	list_append(added ? &sink->gathered : &sink->crowded, &drain->kept_node);
	loop_defer(sink->loop, &sink->flush);
}

static void sink_flush(void *owner)
{
	struct sink *sink = owner;

	/* Those who brought it may have gone. */
	if (flush_file_busy(&sink->file) || !flush_file_gathered(&sink->file)) return;
	list_splice(&sink->flushing, &sink->gathered);
	flush_file_begin(&sink->file);
}

static void sink_flushed(void *owner, bool kept)
{
	struct sink *sink = owner;
	struct list crowded;
	struct list *node;

	while ((node = list_pop(&sink->flushing)) != NULL) {
		struct drain *drain = LIST_ENTRY(node, struct drain, kept_node);
		if (kept) {
			drain->waiting = false;
			request_go_on(drain);
		} else {
			request_not_kept(drain);
		}
		drain_run(drain);
	}
	sink_flush(sink);
	/* There is an empty batch now. */
	list_init(&crowded);
	list_splice(&crowded, &sink->crowded);
	while ((node = list_pop(&crowded)) != NULL) {
		request_keep(LIST_ENTRY(node, struct drain, kept_node));
	}
}

/* Returns whether a whole request is there. */
static bool request_parse(struct drain *drain)
{
	struct sink *sink = drain->sink;
	enum http_fault fault;
	size_t head_size;

	if (drain->head_size == 0) {
		enum http_parse parse = http_head_find(bytes_of(drain->buffer, drain->filled),
			&drain->scanned, &head_size, &fault);
		if (parse == HTTP_PARSE_MORE) return false;
		if (parse == HTTP_PARSE_BAD ||
			http_request_parse(bytes_of(drain->buffer, head_size), &drain->http,
				&fault) != HTTP_PARSE_DONE ||
			drain->http.body != HTTP_BODY_LENGTH ||
			head_size + drain->http.content_length > sink->buffer_size) {
			sink->counts.malformed++;
			drain_close(drain, true);
			return false;
		}
		drain->head_size = (uint32_t)head_size;
	}
	return drain->filled >= drain->head_size + drain->http.content_length;
}

static void drain_run(struct drain *drain)
{
	struct sink *sink = drain->sink;

	while (!drain->closing && !drain->waiting) {
		if (request_parse(drain)) {
			if (sink->config.keep_folder != NULL) {
				request_keep(drain);
			} else {
				request_go_on(drain);
			}
			continue;
		}
		if (drain->closing) return;
		size_t size = stream_read(&drain->stream, drain->buffer + drain->filled,
			sink->buffer_size - drain->filled);
		if (size == 0) return;
		drain->filled += (uint32_t)size;
	}
}

/* ---- Connections ----------------------------------------------------------------------------- */

static void drain_readable(void *owner)
{
	drain_run(owner);
}

static void drain_ended(void *owner, enum stream_end end)
{
	(void)end; /* the daemon closes idle connections as it likes */
	drain_close(owner, false);
}

static void drain_closed(void *owner)
{
	struct drain *drain = owner;

	list_remove(&drain->node);
	pool_give(&drain->sink->drains, drain);
}

static const struct stream_events drain_events = {
	.opened = drain_readable,
	.readable = drain_readable,
	.ended = drain_ended,
	.closed = drain_closed,
};

static void sink_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct sink *sink = owner;

	(void)peer; /* anybody may deliver here */
	struct drain *drain = pool_take(&sink->drains);
	if (drain == NULL) {
		io_socket_close(sink->loop->io, socket);
		return;
	}
	uint8_t *buffer = sink->buffers + pool_index(&sink->drains, drain) * sink->buffer_size;
	memset(drain, 0, sizeof *drain);
	drain->sink = sink;
	drain->buffer = buffer;
	list_init(&drain->kept_node);
	timer_init(&drain->timer, drain_timer_expired, drain);
	if (stream_accept(&drain->stream, sink->config.streams, socket, sink->config.context,
		    &drain_events, drain) != RESULT_OK) {
		pool_give(&sink->drains, drain);
		return;
	}
	list_append(&sink->open, &drain->node);
	sink->counts.connections++;
}

static void sink_listener_closed(void *owner)
{
	struct sink *sink = owner;
	sink->listener_open = false;
}

static const struct io_events sink_events = {
	.accepted = sink_accepted,
	.closed = sink_listener_closed,
};

enum result sink_open(const struct sink_config *config, struct sink **ret)
{
	struct sink *sink = alloc_array(1, sizeof *sink);

	sink->config = *config;
	sink->loop = config->streams->loop;
	sink->random.state = config->seed;
	sink->buffer_size = HEAD_ROOM + config->shape.size;
	sink->buffers = alloc_map(config->connections_max * sink->buffer_size);
	sink->scratch = alloc_array(config->shape.size, 1);
	pool_init(&sink->drains, sizeof(struct drain), config->connections_max);
	list_init(&sink->open);
	list_init(&sink->gathered);
	list_init(&sink->flushing);
	list_init(&sink->crowded);
	task_init(&sink->flush, sink_flush, sink);
	if (config->keep_folder != NULL) {
		TRY(flush_file_open(&sink->file, config->keep_folder, sink->loop, sink_flushed,
			sink));
	}
	TRY(io_listen(sink->loop->io, &config->address, &sink_events, sink, &sink->listener));
	sink->listener_open = true;
	*ret = sink;
	return RESULT_OK;
}

struct io_address sink_address(const struct sink *sink)
{
	return io_listen_address(sink->listener);
}

struct sink_counts sink_counts(const struct sink *sink)
{
	return sink->counts;
}

void sink_set_delay(struct sink *sink, uint32_t delay_ms)
{
	sink->config.delay_ms = delay_ms;
}

void sink_abort(struct sink *sink)
{
	if (sink->listener_open) io_socket_close(sink->loop->io, sink->listener);
	for (struct list *node = sink->open.next; node != &sink->open; node = node->next) {
		drain_close(LIST_ENTRY(node, struct drain, node), true);
	}
}

bool sink_closed(const struct sink *sink)
{
	return !sink->listener_open && sink->drains.used_count == 0 &&
		!flush_file_busy(&sink->file);
}

void sink_close(struct sink *sink)
{
	CHECK(sink_closed(sink));
	task_cancel(&sink->flush);
	if (sink->config.keep_folder != NULL) flush_file_close(&sink->file);
	alloc_unmap(sink->buffers, sink->config.connections_max * sink->buffer_size);
	alloc_free(sink->scratch);
	pool_done(&sink->drains);
	alloc_free(sink);
}

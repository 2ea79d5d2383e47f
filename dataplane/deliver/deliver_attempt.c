/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_attempt — composes the request of an attempt and writes it.
 *
 * Head and body are put together in the deliver's scratch memory and written in one go; of a
 * large payload the rest is read from the store again each time the stream has drained, so
 * that a slow target holds no memory but its stream's buffers.
 */
#include "deliver/deliver_internal.h"

#include "base/check.h"
#include "base/version.h"
#include "http/http_write.h"

/* Largest piece that is signed and written from scratch. */
BOUND(RECEIVE_BODY_SIZE_LIMIT <= UINT32_MAX);

/* Copies the payload from `offset` on, as far as the room goes. */
static enum result payload_copy(struct queue *queue, const struct event *event, uint64_t offset,
	uint8_t *to, size_t to_size, size_t *ret_size)
{
	size_t size = 0;

	while (size < to_size) {
		struct bytes piece;
		TRY(queue_read_payload(queue, event, offset + size, &piece));
		if (piece.size == 0) break;
		if (piece.size > to_size - size) piece.size = to_size - size;
		memcpy(to + size, piece.data, piece.size);
		size += piece.size;
	}
	*ret_size = size;
	return RESULT_OK;
}

/* "evt_…": the same for every try of this event at this target, so that a target can drop what
 * it has seen. */
static void write_identity(struct writer *writer, const char *id, const struct delivery *delivery)
{
	write_text(writer, "X-Zen-Delivery-Idempotency-Key: ");
	write_text(writer, id);
	write_text(writer, "\r\nPenstock-Attempt: ");
	write_decimal(writer, delivery->attempt_number);
	write_text(writer, "\r\n");
}

/* What was kept of the provider's head; the trace goes on with a span of its own. */
static void write_forwarded(struct writer *writer, struct channel *channel,
	const struct event *event)
{
	struct bytes rest = event->forward_fields;

	attempt_trace_note(channel, event, &rest);
	if (channel->trace.known) trace_line_write(writer, &channel->trace.context);
	write_bytes(writer, rest);
}

static enum result head_write(struct writer *writer, struct channel *channel,
	const struct event *event, struct bytes payload)
{
	const struct flow_target *flow = channel->target->flow;
	char id[EVENT_ID_TEXT_SIZE];

	event_id_format(event, id);
	http_write_request_line(writer, "POST", bytes_of_text(flow->config->path),
		bytes_of_text(flow->host_field));
	write_text(writer, "User-Agent: Penstock/");
	write_text(writer, penstock_version);
	write_text(writer, "\r\n");
	if (event->content_type.size > 0) {
		http_write_field(writer, BYTES_LITERAL("Content-Type"), event->content_type);
	}
	http_write_field_decimal(writer, "Content-Length", payload.size);
	write_identity(writer, id, channel->delivery);
	if (event->correlation_id.size > 0) {
		http_write_field(writer, BYTES_LITERAL("X-Correlation-Id"), event->correlation_id);
	}
	write_forwarded(writer, channel, event);
	if (flow->signer != NULL) {
		TRY(verifier_sign(flow->signer,
			&(struct sign_input){
				.event_id = bytes_of_text(id),
				.method = BYTES_LITERAL("POST"),
				.url = BYTES_EMPTY,
				.body = payload,
				.now = channel->started_wall,
			},
			writer));
	}
	http_write_end(writer);
	return writer->failed ? RESULT_FULL : RESULT_OK;
}

static enum result request_compose(struct channel *channel, struct bytes *ret_request,
	size_t *ret_head_size)
{
	struct deliver *deliver = channel->target->deliver;
	struct queue *queue = deliver->config.queue;
	uint8_t *body = deliver->scratch + REQUEST_HEAD_SIZE_MAX;
	uint8_t head[REQUEST_HEAD_SIZE_MAX];
	struct writer writer = writer_of(head, sizeof head);
	struct event event;
	size_t body_size = 0;

	TRY(queue_read_begin(queue, channel->delivery, &event));
	CHECK(event.payload_size <= RECEIVE_BODY_SIZE_LIMIT);
	enum result result = payload_copy(queue, &event, 0, body, event.payload_size, &body_size);
	if (result == RESULT_OK && body_size != event.payload_size) result = RESULT_MALFORMED;
	if (result == RESULT_OK) {
		result = head_write(&writer, channel, &event, bytes_of(body, body_size));
	}
	channel->received = event.received;
	channel->shard = event.shard;
	queue_read_end(queue);
	TRY(result);

	/* The head goes right before the body: it is the smaller of the two to move. */
	uint8_t *request = body - writer.size;
	memcpy(request, head, writer.size);
	channel->payload_size = body_size;
	*ret_request = bytes_of(request, writer.size + body_size);
	*ret_head_size = writer.size;
	return RESULT_OK;
}

enum result attempt_send(struct channel *channel)
{
	struct bytes request;
	size_t head_size;

	TRY(request_compose(channel, &request, &head_size));
	size_t taken = stream_write(&channel->stream, request.data, request.size);
	if (taken < head_size) {
		/* A stream that has failed says so by itself. Else its buffers, which hold any head
		 * when they are empty, still hold the last payload: that was answered unread. */
		channel->payload_sent = 0;
		return stream_failed(&channel->stream) ? RESULT_OK : RESULT_BUSY;
	}
	channel->payload_sent = taken - head_size;
	return RESULT_OK;
}

enum result attempt_send_more(struct channel *channel)
{
	struct deliver *deliver = channel->target->deliver;
	struct queue *queue = deliver->config.queue;
	struct event event;
	size_t size = 0;

	if (channel->payload_sent == channel->payload_size) return RESULT_OK;
	TRY(queue_read_begin(queue, channel->delivery, &event));
	enum result result = payload_copy(queue, &event, channel->payload_sent, deliver->scratch,
		2 * STREAM_OUTPUT_SIZE, &size);
	queue_read_end(queue);
	TRY(result);
	channel->payload_sent += stream_write(&channel->stream, deliver->scratch, size);
	/* By itself the stream only tells of a write that was cut short; this piece may have
	 * fitted. */
	if (channel->payload_sent < channel->payload_size) stream_notify_drained(&channel->stream);
	return RESULT_OK;
}

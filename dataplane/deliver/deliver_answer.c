/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_answer — reads a target's answer: head, then the body to its end, of which only the
 * first bytes are kept.
 */
#include "deliver/deliver_internal.h"

#include "base/check.h"

void answer_reset(struct channel *channel)
{
	channel->scanned = 0;
	channel->filled = 0;
	channel->interim_count = 0;
	channel->status = 0;
	channel->retry_after_s = 0;
	channel->body_size = 0;
	channel->excerpt_size = 0;
	channel->chunked = (struct http_chunked){ 0 };
}

static void excerpt_add(struct channel *channel, const uint8_t *data, size_t size)
{
	size_t room = sizeof channel->excerpt - channel->excerpt_size;
	if (size > room) size = room;
	memcpy(channel->excerpt + channel->excerpt_size, data, size);
	channel->excerpt_size += (uint32_t)size;
}

static void buffer_drop(struct channel *channel, size_t size)
{
	channel->filled -= (uint32_t)size;
	memmove(channel->buffer, channel->buffer + size, channel->filled);
}

/* Whether the target may be spoken to again on this channel. */
static bool answer_reusable(const struct channel *channel)
{
	return channel->keep_alive && channel->body != HTTP_BODY_CLOSE && channel->filled == 0 &&
		channel->payload_sent == channel->payload_size;
}

/* Returns true when a (final) head was taken, false when more is needed or it failed. */
static bool head_read(struct channel *channel)
{
	struct http_response response;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t head_size = 0;
	struct bytes input = bytes_of(channel->buffer, channel->filled);

	switch (http_head_find(input, &channel->scanned, &head_size, &fault)) {
	case HTTP_PARSE_MORE: return false;
	case HTTP_PARSE_BAD:
		channel_fail(channel, ATTEMPT_ERROR_PROTOCOL, http_fault_text(fault));
		return false;
	case HTTP_PARSE_DONE: break;
	}
	if (http_response_parse(bytes_of(channel->buffer, head_size), false, &response, &fault) !=
		HTTP_PARSE_DONE) {
		channel_fail(channel, ATTEMPT_ERROR_PROTOCOL, http_fault_text(fault));
		return false;
	}
	if (response.status < 200) {
		if (++channel->interim_count > HTTP_INTERIM_MAX || response.status == 101) {
			channel_fail(channel, ATTEMPT_ERROR_PROTOCOL, "too many interim answers");
			return false;
		}
		buffer_drop(channel, head_size);
		channel->scanned = 0;
		return head_read(channel); /* at most HTTP_INTERIM_MAX deep */
	}
	channel->status = response.status;
	channel->keep_alive = response.keep_alive;
	channel->body = response.body;
	channel->body_left = response.content_length;
	uint64_t now_s = wall_seconds(io_wall(channel->target->deliver->loop->io));
	if (http_retry_after(&response.fields, now_s, &channel->retry_after_s) != RESULT_OK) {
		channel->retry_after_s = 0;
	}
	buffer_drop(channel, head_size);
	channel->state = CHANNEL_BODY;
	return true;
}

/* Uses up what is in the buffer. Returns true when the body is complete. */
static bool body_read(struct channel *channel)
{
	size_t consumed = 0;
	size_t decoded = 0;
	enum http_fault fault = HTTP_FAULT_NONE;

	switch (channel->body) {
	case HTTP_BODY_NONE: return true;
	case HTTP_BODY_LENGTH:
		decoded = channel->filled < channel->body_left ? channel->filled
							       : (size_t)channel->body_left;
		excerpt_add(channel, channel->buffer, decoded);
		channel->body_left -= decoded;
		channel->body_size += decoded;
		buffer_drop(channel, decoded);
		return channel->body_left == 0;
	case HTTP_BODY_CLOSE:
		excerpt_add(channel, channel->buffer, channel->filled);
		channel->body_size += channel->filled;
		channel->filled = 0;
		return false;
	case HTTP_BODY_CHUNKED: break;
	}
	enum http_parse parse = http_chunked_decode(&channel->chunked, channel->buffer,
		channel->filled, &consumed, &decoded, &fault);
	excerpt_add(channel, channel->buffer, decoded);
	channel->body_size += decoded;
	if (parse == HTTP_PARSE_BAD) {
		/* The status was clear; only the channel is of no more use. */
		channel->keep_alive = false;
		return true;
	}
	buffer_drop(channel, consumed);
	return parse == HTTP_PARSE_DONE;
}

void answer_read(struct channel *channel)
{
	for (;;) {
		size_t room = sizeof channel->buffer - channel->filled;
		size_t size =
			stream_read(&channel->stream, channel->buffer + channel->filled, room);
		if (size == 0) return;
		channel->filled += (uint32_t)size;
		channel->answered = true;

		if (channel->state == CHANNEL_SENDING && !head_read(channel)) {
			if (channel->state == CHANNEL_SENDING) continue;
			return;
		}
		if (body_read(channel)) {
			/* A full buffer may not have been all: what is left unread would be taken
			 * for the next answer. */
			channel_answered(channel, size < room && answer_reusable(channel));
			return;
		}
		if (channel->body_size > DELIVER_ANSWER_SIZE_MAX) {
			channel_answered(channel, false);
			return;
		}
	}
}

void answer_cut(struct channel *channel, enum attempt_error error, const char *detail)
{
	/* The status was clear, and the rest of a body would have been thrown away. But a target
	 * that has not been sent everything can have promised nothing. */
	bool sent = channel->payload_sent == channel->payload_size;
	if (channel->state == CHANNEL_BODY && (sent || channel->status >= 300)) {
		channel_answered(channel, false);
	} else {
		channel_fail(channel, error, detail);
	}
}

void answer_ended(struct channel *channel, const char *detail)
{
	/* What came before the end may still be unread. */
	answer_read(channel);
	if (channel->delivery == NULL) return;

	if (channel->state == CHANNEL_BODY && channel->body == HTTP_BODY_CLOSE) {
		channel_answered(channel, false);
		return;
	}
	answer_cut(channel, ATTEMPT_ERROR_RESET, detail);
}

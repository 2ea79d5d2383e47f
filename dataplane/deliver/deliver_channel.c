/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_channel — life of a connection to a target: connecting → sending → body → idle →
 * sending …, and its ends.
 */
#include "deliver/deliver_internal.h"

#include "base/check.h"
#include "base/log.h"

static const struct stream_events channel_events;
static void channel_timer_expired(void *owner);

static struct loop *channel_loop(const struct channel *channel)
{
	return channel->target->deliver->loop;
}

static void channel_limit(struct channel *channel, uint64_t limit_ms)
{
	struct loop *loop = channel_loop(channel);
	timer_start(&loop->timers, &channel->timer, loop_now(loop), limit_ms * US_PER_MS);
}

/* An attempt's time runs from its start, over connecting too. */
static void channel_limit_attempt(struct channel *channel, const struct config_target *config)
{
	uint64_t gone_ms = mono_since_us(channel->started, loop_now(channel_loop(channel))) /
		US_PER_MS;

	channel_limit(channel, gone_ms < config->timeout_ms ? config->timeout_ms - gone_ms : 0);
}

/* ---- Moving between idle and busy ------------------------------------------------------------ */

static void channel_set_busy(struct channel *channel)
{
	list_remove(&channel->node);
	list_remove(&channel->idle_node);
	list_append(&channel->target->busy, &channel->node);
	channel->target->idle_count--;
	channel->target->busy_count++;
}

static void channel_set_idle(struct channel *channel)
{
	struct deliver_target *target = channel->target;

	list_remove(&channel->node);
	/* Warmest first: the ones at the end grow old and are closed when load falls. */
	list_prepend(&target->idle, &channel->node);
	list_append(&target->deliver->idle, &channel->idle_node);
	target->busy_count--;
	target->idle_count++;
	channel->state = CHANNEL_IDLE;
	channel_limit(channel, DELIVER_IDLE_TIMEOUT_MS);
}

static void attempt_begin(struct channel *channel, struct delivery *delivery)
{
	struct deliver *deliver = channel->target->deliver;

	CHECK(channel->delivery == NULL);
	channel->delivery = delivery;
	channel->started = loop_now(deliver->loop);
	channel->started_wall = io_wall(deliver->loop->io);
	channel->received.us = 0;
	channel->trace.known = false;
	channel->answered = false;
	deliver->attempts++;
	answer_reset(channel);
}

/* Takes the delivery off the channel. */
static struct delivery *attempt_end(struct channel *channel)
{
	struct delivery *delivery = channel->delivery;

	CHECK(delivery != NULL);
	channel->delivery = NULL;
	channel->target->deliver->attempts--;
	return delivery;
}

/* ---- Opening --------------------------------------------------------------------------------- */

bool channel_open(struct deliver_target *target, struct delivery *delivery)
{
	struct deliver *deliver = target->deliver;
	const struct flow_target *flow = target->flow;

	struct channel *channel = pool_take(&deliver->channels);
	CHECK(channel != NULL); /* the pump has looked */
	memset(channel, 0, offsetof(struct channel, excerpt));
	channel->target = target;
	channel->epoch = target->epoch;
	channel->state = CHANNEL_CONNECTING;
	timer_init(&channel->timer, channel_timer_expired, channel);
	list_init(&channel->node);
	list_init(&channel->idle_node);

	metrics_add(deliver->config.metrics, METRICS_TARGET_CONNECTIONS, 1);
	enum result result = stream_connect(&channel->stream, deliver->config.streams,
		&flow->address, target->tls.context, flow->config->host, NULL, &channel_events,
		channel);
	if (result != RESULT_OK) {
		/* Not the target's failure but ours (descriptors, memory): no attempt. */
		log_warning("no connection to target %s: %s", flow->name, result_text(result));
		pool_give(&deliver->channels, channel);
		queue_release(deliver->config.queue, delivery);
		return false;
	}
	list_append(&target->busy, &channel->node);
	target->busy_count++;
	attempt_begin(channel, delivery);
	channel_limit(channel,
		flow->config->connect_timeout_ms < flow->config->timeout_ms
			? flow->config->connect_timeout_ms
			: flow->config->timeout_ms);
	return true;
}

static void channel_send(struct channel *channel)
{
	channel->state = CHANNEL_SENDING;
	enum result result = attempt_send(channel);
	if (result == RESULT_BUSY) {
		/* On a reused channel only: no attempt, it goes out on another one. */
		channel_fail(channel, ATTEMPT_ERROR_RESET, "the target does not read");
	} else if (result != RESULT_OK) {
		channel_fail(channel, ATTEMPT_ERROR_PROTOCOL, "the stored event cannot be read");
	}
}

static void channel_opened(void *owner)
{
	struct channel *channel = owner;

	CHECK(channel->state == CHANNEL_CONNECTING);
	const struct flow_target *flow = channel->target->flow;
	if (flow == NULL) {
		channel_fail(channel, ATTEMPT_ERROR_TARGET_REMOVED,
			attempt_error_text(ATTEMPT_ERROR_TARGET_REMOVED));
		return;
	}
	channel_limit_attempt(channel, flow->config);
	channel_send(channel);
}

void channel_reuse(struct channel *channel, struct delivery *delivery)
{
	CHECK(channel->state == CHANNEL_IDLE);

	struct deliver_target *target = channel->target;
	metrics_add(target->deliver->config.metrics, METRICS_TARGET_CONNECTIONS_REUSED, 1);
	channel_set_busy(channel);
	channel->reused = true;
	attempt_begin(channel, delivery);
	channel_limit_attempt(channel, target->flow->config);
	channel_send(channel);
}

/* ---- Ends of an attempt ---------------------------------------------------------------------- */

static void attempt_settle(struct channel *channel, enum attempt_error error, const char *detail)
{
	attempt_trace_read(channel);
	struct delivery *delivery = attempt_end(channel);
	struct loop *loop = channel_loop(channel);

	delivery_settle(channel->target, delivery,
		&(struct attempt_end){
			.error = error,
			.detail = detail,
			.status = error == ATTEMPT_ERROR_NONE ? channel->status : 0,
			.retry_after_s = channel->retry_after_s,
			.received = channel->received,
			.shard = channel->shard,
			.trace = &channel->trace,
			.started = channel->started_wall,
			.duration_us = mono_since_us(channel->started, loop_now(loop)),
			.excerpt = bytes_of(channel->excerpt, channel->excerpt_size),
		});
}

void channel_fail(struct channel *channel, enum attempt_error error, const char *detail)
{
	CHECK(channel->state != CHANNEL_CLOSING);

	bool stale = channel->reused && !channel->answered && error == ATTEMPT_ERROR_RESET;
	if (stale) {
		/* The target had closed the warm connection: not its failure, nor an attempt.
		 * Its other warm ones are likely to be gone too. */
		struct deliver_target *target = channel->target;
		queue_release(target->deliver->config.queue, attempt_end(channel));
		while (!list_empty(&target->idle)) {
			channel_close(LIST_ENTRY(target->idle.next, struct channel, node));
		}
	} else {
		attempt_settle(channel, error, detail);
	}
	if (error == ATTEMPT_ERROR_TLS) {
		channel_close(channel); /* with an alert that says what is wrong */
	} else {
		channel_abort(channel);
	}
}

void channel_answered(struct channel *channel, bool reusable)
{
	attempt_settle(channel, ATTEMPT_ERROR_NONE, NULL);
	if (channel->payload_sent < channel->payload_size) {
		/* It has decided without the rest, and may never read it. */
		channel_abort(channel);
		return;
	}
	if (!reusable || channel->input_ended || channel->epoch != channel->target->epoch ||
		channel->target->deliver->draining) {
		channel_close(channel);
		return;
	}
	channel_set_idle(channel);
	target_pump_later(channel->target);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void channel_leave(struct channel *channel)
{
	CHECK(channel->state != CHANNEL_CLOSING);

	if (channel->state == CHANNEL_IDLE) channel_set_busy(channel);
	if (channel->delivery != NULL) {
		queue_release(channel->target->deliver->config.queue, attempt_end(channel));
	}
	channel->state = CHANNEL_CLOSING;
}

void channel_close(struct channel *channel)
{
	channel_leave(channel);
	channel_limit(channel, DELIVER_CLOSE_TIMEOUT_MS);
	stream_close(&channel->stream);
}

void channel_abort(struct channel *channel)
{
	if (channel->state != CHANNEL_CLOSING) channel_leave(channel);
	timer_stop(&channel_loop(channel)->timers, &channel->timer);
	stream_abort(&channel->stream);
}

static void channel_closed(void *owner)
{
	struct channel *channel = owner;
	struct deliver_target *target = channel->target;
	struct deliver *deliver = target->deliver;

	CHECK(channel->state == CHANNEL_CLOSING);
	timer_stop(&deliver->loop->timers, &channel->timer);
	list_remove(&channel->node);
	target->busy_count--;
	pool_give(&deliver->channels, channel);
	target_pump_later(target);
	/* Targets that found no free channel wait for any to close. */
	if (!list_empty(&deliver->pending)) loop_defer(deliver->loop, &deliver->pump);
}

/* ---- Events of the stream -------------------------------------------------------------------- */

static void channel_timer_expired(void *owner)
{
	struct channel *channel = owner;

	switch ((enum channel_state)channel->state) {
	case CHANNEL_CONNECTING:
		channel_fail(channel, ATTEMPT_ERROR_CONNECT_TIMEOUT,
			attempt_error_text(ATTEMPT_ERROR_CONNECT_TIMEOUT));
		return;
	case CHANNEL_SENDING:
	case CHANNEL_BODY:
		answer_cut(channel, ATTEMPT_ERROR_TIMEOUT,
			attempt_error_text(ATTEMPT_ERROR_TIMEOUT));
		return;
	case CHANNEL_IDLE: channel_close(channel); return;
	case CHANNEL_CLOSING: channel_abort(channel); return;
	}
	UNREACHABLE();
}

static void channel_readable(void *owner)
{
	struct channel *channel = owner;

	if (channel->state == CHANNEL_IDLE) {
		/* Nobody asked: whatever it says cannot be an answer. TLS may have something of
		 * its own to say, such as a ticket. */
		size_t size =
			stream_read(&channel->stream, channel->buffer, sizeof channel->buffer);
		if (size > 0) channel_abort(channel);
		return;
	}
	if (channel->state == CHANNEL_SENDING || channel->state == CHANNEL_BODY)
		answer_read(channel);
}

static void channel_drained(void *owner)
{
	struct channel *channel = owner;

	/* A target may begin to answer before it has read everything. */
	if (channel->state != CHANNEL_SENDING && channel->state != CHANNEL_BODY) return;
	if (attempt_send_more(channel) != RESULT_OK) {
		channel_fail(channel, ATTEMPT_ERROR_PROTOCOL, "the stored event cannot be read");
	}
}

static void channel_ended(void *owner, enum stream_end end)
{
	struct channel *channel = owner;
	const char *detail = stream_error(&channel->stream);

	channel->input_ended = true;
	switch ((enum channel_state)channel->state) {
	case CHANNEL_CONNECTING:
		channel_fail(channel,
			end == STREAM_END_CONNECT ? ATTEMPT_ERROR_CONNECT : ATTEMPT_ERROR_TLS,
			detail);
		return;
	case CHANNEL_SENDING:
	case CHANNEL_BODY: answer_ended(channel, detail); return;
	case CHANNEL_IDLE: channel_abort(channel); return;
	case CHANNEL_CLOSING: return;
	}
	UNREACHABLE();
}

static const struct stream_events channel_events = {
	.opened = channel_opened,
	.readable = channel_readable,
	.drained = channel_drained,
	.ended = channel_ended,
	.closed = channel_closed,
};

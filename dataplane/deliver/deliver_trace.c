/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_trace — an attempt's place in its event's trace: the line that the target gets has the
 * attempt's own span, whose parent is the one of the request that brought the event.
 */
#include "deliver/deliver_internal.h"

void attempt_trace_note(struct channel *channel, const struct event *event, struct bytes *ret_rest)
{
	struct deliver *deliver = channel->target->deliver;
	struct trace_context context;

	if (deliver->config.spans == NULL) return;
	if (!trace_line_read(event->forward_fields, &context, ret_rest)) return;
	struct attempt_trace *trace = &channel->trace;
	trace->known = true;
	trace->context = context;
	if (!context.sampled) return;
	memcpy(trace->parent_id, context.span_id, SPAN_ID_SIZE);
	span_id_make(io_random(deliver->loop->io), trace->context.span_id);
}

void attempt_trace_read(struct channel *channel)
{
	struct deliver *deliver = channel->target->deliver;
	struct event event;
	struct bytes rest;

	if (deliver->config.spans == NULL || channel->received.us != 0) return;
	if (queue_read_begin(deliver->config.queue, channel->delivery, &event) != RESULT_OK) return;
	attempt_trace_note(channel, &event, &rest);
	channel->received = event.received;
	channel->shard = event.shard;
	queue_read_end(deliver->config.queue);
}

void attempt_trace_end(const struct deliver_target *target, const struct delivery *delivery,
	const struct attempt_end *end, const struct outcome *outcome)
{
	const struct deliver_config *config = &target->deliver->config;
	const struct attempt_trace *trace = end->trace;

	if (trace == NULL || !trace->known || !trace->context.sampled) return;
	if (target->flow == NULL) return; /* nobody knows any more what it was called */
	struct span *span = spans_take(config->spans, config->metrics);
	if (span == NULL) return;
	const struct config_target *where = target->flow->config;
	*span = (struct span){
		.context = trace->context,
		.has_parent = true,
		.kind = SPAN_CLIENT,
		.start_us = end->started.us,
		.end_us = end->started.us + end->duration_us,
		.sequence = delivery->sequence,
		.shard = end->shard,
		.received_us = end->received.us,
		.status = end->status,
		.failed = outcome->outcome != ATTEMPT_DELIVERED,
		.outcome = attempt_outcome_code(outcome->outcome),
		.attempt = delivery->attempt_number,
		.tls = where->tls,
		.port = where->port,
	};
	if (span->failed) span->error = attempt_error_code(outcome->error);
	memcpy(span->parent_id, trace->parent_id, SPAN_ID_SIZE);
	memcpy(span->name, target->flow->name, sizeof span->name);
	if (!bytes_to_text(bytes_of_text(where->host), span->place, sizeof span->place)) {
		span->place[0] = '\0';
	}
	spans_put(config->spans);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_trace — which trace a request belongs to, and its span when that is sampled.
 *
 * The sender's traceparent decides when it is there and well formed; else a part of the events
 * begin a trace of their own. Only authentic requests get a span: whoever can make others' events
 * sampled is the provider himself.
 */
#include "receive/receive_internal.h"

#include "http/http_write.h"

#define TRACEPARENT BYTES_LITERAL("traceparent")
#define TRACESTATE BYTES_LITERAL("tracestate")

/* The lines' values are one list. Longer than what has to be passed on, or not ours to judge, it is
 * left out as a whole: a part of it would say something else. */
static void state_write(const struct http_fields *fields, struct writer *lines)
{
	uint8_t memory[TRACESTATE_SIZE_MAX];
	struct writer list = writer_of(memory, sizeof memory);

	for (uint32_t i = 0; i < fields->count; i++) {
		const struct http_field *field = &fields->field[i];
		if (!bytes_equal_ignore_case(field->name, TRACESTATE)) continue;
		if (list.size > 0) write_u8(&list, ',');
		write_bytes(&list, field->value);
	}
	if (list.failed || list.size == 0) return;
	http_write_field(lines, TRACESTATE, writer_bytes(&list));
}

static bool parent_find(const struct http_fields *fields, struct trace_context *ret)
{
	const struct http_field *field = http_field_find(fields, TRACEPARENT);

	return field != NULL && http_field_count(fields, TRACEPARENT) == 1 &&
		trace_parse(field->value, ret);
}

void request_trace_begin(struct request *request, const struct flow_endpoint *endpoint,
	struct writer *lines)
{
	const struct receive_config *config = &request->receive->config;
	struct io *io = request->receive->loop->io;
	struct request_trace *trace = &request->trace;

	*trace = (struct request_trace){ 0 };
	trace->tls = request->connection->secure;
	trace->has_parent = parent_find(&request_http(request)->fields, &trace->context);
	if (trace->has_parent) {
		memcpy(trace->parent_id, trace->context.span_id, SPAN_ID_SIZE);
	} else {
		trace->context.sampled = spans_sample(config->spans, io_random(io));
		if (!trace->context.sampled) return;
		uint64_t first = io_random(io);
		trace_id_make(first, io_random(io), trace->context.trace_id);
	}
	if (trace->context.sampled) {
		span_id_make(io_random(io), trace->context.span_id);
		/* The flow may be another one when the commit is back. */
		memcpy(trace->endpoint, endpoint->name, sizeof trace->endpoint);
	}
	trace_line_write(lines, &trace->context);
	if (trace->has_parent) state_write(&request_http(request)->fields, lines);
}

void request_trace_end(struct request *request, uint16_t status)
{
	const struct receive *receive = request->receive;
	const struct request_trace *trace = &request->trace;
	const struct event *event = &request->append.event;

	if (!trace->context.sampled) return;
	struct span *span = spans_take(receive->config.spans, receive->config.metrics);
	if (span == NULL) return;
	span->context = trace->context;
	span->has_parent = trace->has_parent;
	memcpy(span->parent_id, trace->parent_id, SPAN_ID_SIZE);
	span->kind = SPAN_SERVER;
	span->start_us = event->received.us;
	span->end_us = event->received.us +
		mono_since_us(request->complete, loop_now(receive->loop));
	span->status = status;
	span->failed = status >= 500;
	span->tls = trace->tls;
	if (!span->failed) {
		span->sequence = event->sequence;
		span->shard = event->shard;
		span->received_us = event->received.us;
	}
	memcpy(span->name, trace->endpoint, sizeof span->name);
	if (!bytes_to_text(request_http(request)->path, span->place, sizeof span->place)) {
		span->place[0] = '\0';
	}
	spans_put(receive->config.spans);
}

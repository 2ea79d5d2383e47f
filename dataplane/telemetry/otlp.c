/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telemetry/otlp.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/version.h"
#include "control/control_json.h"
#include "queue/event.h"

/* 64-bit numbers are texts in this encoding. */
static void write_decimal_text(struct json *json, const char *key, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, value);
	json_text(json, key, text);
}

static void attribute_text(struct json *json, const char *key, const char *value)
{
	if (value == NULL || value[0] == '\0') return;
	json_object(json, NULL);
	json_text(json, "key", key);
	json_object(json, "value");
	json_text(json, "stringValue", value);
	json_object_end(json);
	json_object_end(json);
}

static void attribute_number(struct json *json, const char *key, uint64_t value)
{
	json_object(json, NULL);
	json_text(json, "key", key);
	json_object(json, "value");
	write_decimal_text(json, "intValue", value);
	json_object_end(json);
	json_object_end(json);
}

void otlp_begin(struct writer *writer, const char *host)
{
	struct json json = json_of(writer);

	write_text(writer, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	attribute_text(&json, "service.name", "penstock");
	attribute_text(&json, "service.version", penstock_version);
	attribute_text(&json, "host.name", host);
	write_text(writer, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"penstock\"},\"spans\":[");
}

static void write_server(struct json *json, const struct span *span)
{
	attribute_text(json, "url.path", span->place);
	attribute_text(json, "penstock.endpoint", span->name);
}

static void write_client(struct json *json, const struct span *span)
{
	attribute_text(json, "server.address", span->place);
	attribute_number(json, "server.port", span->port);
	if (span->attempt > 1) {
		attribute_number(json, "http.request.resend_count", span->attempt - 1u);
	}
	attribute_text(json, "penstock.target", span->name);
	attribute_number(json, "penstock.attempt", span->attempt);
	attribute_text(json, "penstock.outcome", span->outcome);
}

/* The conventions want the status where it is the error. */
static void write_error(struct json *json, const struct span *span)
{
	char status[8];

	if (!span->failed) return;
	snprintf(status, sizeof status, "%u", (unsigned)span->status);
	attribute_text(json, "error.type", span->status >= 300 ? status : span->error);
}

static void write_attributes(struct json *json, const struct span *span)
{
	const struct event event = {
		.sequence = span->sequence,
		.shard = span->shard,
		.received = { span->received_us },
	};
	char id[EVENT_ID_TEXT_SIZE];

	json_array(json, "attributes");
	attribute_text(json, "http.request.method", "POST");
	attribute_text(json, "url.scheme", span->tls ? "https" : "http");
	if (span->status != 0) attribute_number(json, "http.response.status_code", span->status);
	write_error(json, span);
	if (span->received_us != 0) {
		event_id_format(&event, id);
		attribute_text(json, "penstock.event_id", id);
	}
	if (span->kind == SPAN_SERVER) {
		write_server(json, span);
	} else {
		write_client(json, span);
	}
	json_array_end(json);
}

void otlp_span(struct writer *writer, const struct span *span, bool first)
{
	struct json json = json_of(writer);
	char name[NAME_SIZE_MAX + 16];

	if (!first) write_u8(writer, ',');
	snprintf(name, sizeof name, "%s %s", span->kind == SPAN_SERVER ? "receive" : "deliver",
		span->name);
	json_object(&json, NULL);
	json_hex(&json, "traceId", bytes_of(span->context.trace_id, TRACE_ID_SIZE));
	json_hex(&json, "spanId", bytes_of(span->context.span_id, SPAN_ID_SIZE));
	if (span->has_parent) {
		json_hex(&json, "parentSpanId", bytes_of(span->parent_id, SPAN_ID_SIZE));
	}
	json_text(&json, "name", name);
	json_number(&json, "kind", span->kind);
	write_decimal_text(&json, "startTimeUnixNano", span->start_us * 1000);
	write_decimal_text(&json, "endTimeUnixNano", span->end_us * 1000);
	write_attributes(&json, span);
	json_object(&json, "status");
	/* STATUS_CODE_ERROR; what went well stays unset, as the conventions want it. */
	if (span->failed) json_number(&json, "code", 2);
	json_object_end(&json);
	json_object_end(&json);
}

void otlp_end(struct writer *writer)
{
	write_text(writer, "]}]}]}");
}

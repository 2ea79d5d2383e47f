/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telemetry/trace.h"

#include "base/check.h"

/* Offsets in "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01". */
enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

#define LINE_NAME BYTES_LITERAL("traceparent: ")

static bool hex_is_lower(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		bool digit = text.data[i] >= '0' && text.data[i] <= '9';
		if (!digit && (text.data[i] < 'a' || text.data[i] > 'f')) return false;
	}
	return true;
}

static bool field_read(struct bytes text, size_t at, uint8_t *to, size_t size)
{
	struct bytes hex = bytes_of(text.data + at, 2 * size);
	size_t decoded = 0;

	return hex_is_lower(hex) && hex_decode(hex, to, size, &decoded) == RESULT_OK;
}

static bool is_zero(const uint8_t *id, size_t size)
{
	uint8_t any = 0;
	for (size_t i = 0; i < size; i++) any |= id[i];
	return any == 0;
}

bool trace_parse(struct bytes traceparent, struct trace_context *ret)
{
	struct trace_context context = { 0 };
	uint8_t version;
	uint8_t flags;

	if (traceparent.size < TRACEPARENT_SIZE) return false;
	const uint8_t *text = traceparent.data;
	if (text[TRACE_AT - 1] != '-' || text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
		return false;
	}
	if (!field_read(traceparent, 0, &version, 1) || version == 0xff) return false;
	/* §4.3: a later version may have more behind another dash. */
	bool longer = traceparent.size > TRACEPARENT_SIZE;
	if (longer && (version == 0 || text[TRACEPARENT_SIZE] != '-')) return false;
	if (!field_read(traceparent, TRACE_AT, context.trace_id, TRACE_ID_SIZE)) return false;
	if (!field_read(traceparent, SPAN_AT, context.span_id, SPAN_ID_SIZE)) return false;
	if (!field_read(traceparent, FLAGS_AT, &flags, 1)) return false;
	if (is_zero(context.trace_id, TRACE_ID_SIZE) || is_zero(context.span_id, SPAN_ID_SIZE)) {
		return false;
	}
	context.sampled = (flags & 1) != 0;
	*ret = context;
	return true;
}

void trace_format(const struct trace_context *context, char to[static TRACEPARENT_SIZE])
{
	memcpy(to, "00-", 3);
	hex_encode(bytes_of(context->trace_id, TRACE_ID_SIZE), to + TRACE_AT);
	to[SPAN_AT - 1] = '-';
	hex_encode(bytes_of(context->span_id, SPAN_ID_SIZE), to + SPAN_AT);
	memcpy(to + FLAGS_AT - 1, context->sampled ? "-01" : "-00", 3);
}

void span_id_make(uint64_t random, uint8_t to[static SPAN_ID_SIZE])
{
	if (random == 0) random = 1;
	memcpy(to, &random, SPAN_ID_SIZE);
}

void trace_id_make(uint64_t first, uint64_t second, uint8_t to[static TRACE_ID_SIZE])
{
	memcpy(to, &first, sizeof first);
	span_id_make(second, to + sizeof first);
}

void trace_line_write(struct writer *writer, const struct trace_context *context)
{
	char text[TRACEPARENT_SIZE];

	trace_format(context, text);
	write_bytes(writer, LINE_NAME);
	write_bytes(writer, bytes_of(text, sizeof text));
	write_text(writer, "\r\n");
}

bool trace_line_read(struct bytes fields, struct trace_context *ret, struct bytes *ret_rest)
{
	size_t line_size = LINE_NAME.size + TRACEPARENT_SIZE + 2;

	if (fields.size < line_size || !bytes_starts_with(fields, LINE_NAME)) return false;
	if (!trace_parse(bytes_of(fields.data + LINE_NAME.size, TRACEPARENT_SIZE), ret)) {
		return false;
	}
	*ret_rest = bytes_from(fields, line_size);
	return true;
}

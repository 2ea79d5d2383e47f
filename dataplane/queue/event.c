/* SPDX-License-Identifier: GPL-2.0-or-later */
/* event — the record header: fixed fields, then sized texts. The payload follows it.
 *
 * format(1) header_size(2) received_us(8) tenant(4) endpoint(4) flow_version(4) key_index(1)
 * target_count(1) target_ids(4 each) payload_size(4) payload_sha256(32), then with 16-bit
 * sizes: content_type, provider_event_id, correlation_id, forward_fields.
 */
#include "queue/event.h"

/* Where header_size stands. */
enum { HEADER_SIZE_OFFSET = 1 };

bool event_target_is_repeated(const struct event *event, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (event->target_ids[i] == event->target_ids[index]) return true;
	}
	return false;
}

unsigned event_delivery_count(const struct event *event)
{
	unsigned count = 0;
	for (unsigned i = 0; i < event->target_count; i++) {
		count += !event_target_is_repeated(event, i);
	}
	return count;
}

void event_encode(const struct event *event, struct writer *writer)
{
	size_t start = writer->size;

	CHECK(event->target_count <= TARGETS_PER_ENDPOINT_MAX);
	write_u8(writer, EVENT_FORMAT);
	write_u16(writer, 0);
	write_u64(writer, event->received.us);
	write_u32(writer, event->tenant_id);
	write_u32(writer, event->endpoint_id);
	write_u32(writer, event->flow_version);
	write_u8(writer, event->key_index);
	write_u8(writer, event->target_count);
	for (unsigned i = 0; i < event->target_count; i++) write_u32(writer, event->target_ids[i]);
	write_u32(writer, event->payload_size);
	write_bytes(writer, bytes_of(event->payload_sha256, SHA256_SIZE));
	write_sized(writer, event->content_type);
	write_sized(writer, event->provider_event_id);
	write_sized(writer, event->correlation_id);
	write_sized(writer, event->forward_fields);
	if (writer->failed) return;

	size_t size = writer->size - start;
	CHECK(size <= EVENT_HEADER_SIZE_MAX);
	writer->data[start + HEADER_SIZE_OFFSET] = (uint8_t)size;
	writer->data[start + HEADER_SIZE_OFFSET + 1] = (uint8_t)(size >> 8);
}

static bool texts_fit(const struct event *event)
{
	return event->content_type.size <= CONTENT_TYPE_SIZE_MAX &&
		event->provider_event_id.size <= EVENT_ID_SIZE_MAX &&
		event->correlation_id.size <= CORRELATION_ID_SIZE_MAX &&
		event->forward_fields.size <= FORWARD_FIELDS_SIZE_MAX;
}

enum result event_decode(struct bytes record, struct event *ret, size_t *ret_header_size)
{
	struct reader start = reader_of(record);
	if (read_u8(&start) != EVENT_FORMAT) return RESULT_MALFORMED;
	size_t header_size = read_u16(&start);
	if (start.failed || header_size > record.size) return RESULT_MALFORMED;

	struct reader reader = reader_of(bytes_of(record.data, header_size));
	read_bytes(&reader, 3);
	ret->received.us = read_u64(&reader);
	ret->tenant_id = read_u32(&reader);
	ret->endpoint_id = read_u32(&reader);
	ret->flow_version = read_u32(&reader);
	ret->key_index = read_u8(&reader);
	ret->target_count = read_u8(&reader);
	if (ret->target_count > TARGETS_PER_ENDPOINT_MAX) return RESULT_MALFORMED;
	for (unsigned i = 0; i < ret->target_count; i++) ret->target_ids[i] = read_u32(&reader);
	ret->payload_size = read_u32(&reader);
	struct bytes sha256 = read_bytes(&reader, SHA256_SIZE);
	if (sha256.size == SHA256_SIZE) memcpy(ret->payload_sha256, sha256.data, SHA256_SIZE);
	ret->content_type = read_sized(&reader);
	ret->provider_event_id = read_sized(&reader);
	ret->correlation_id = read_sized(&reader);
	ret->forward_fields = read_sized(&reader);
	if (!reader_complete(&reader) || !texts_fit(ret)) return RESULT_MALFORMED;
	*ret_header_size = header_size;
	return RESULT_OK;
}

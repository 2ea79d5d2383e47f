/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a stored event, attempt or event id: refused, or taken with everything inside
 * its bounds; and what was taken is written again byte for byte as it was read.
 */
#include "base/check.h"
#include "queue/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct bytes whole, struct bytes part)
{
	if (part.size == 0) return;
	CHECK(part.data >= whole.data && part.size <= whole.size);
	CHECK((size_t)(part.data - whole.data) <= whole.size - part.size);
}

static void check_event(struct bytes record)
{
	uint8_t memory[EVENT_HEADER_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	struct event event = { 0 };
	size_t header_size = 0;

	if (event_decode(record, &event, &header_size) != RESULT_OK) return;
	CHECK(header_size <= record.size && header_size <= EVENT_HEADER_SIZE_MAX);
	check_inside(record, event.content_type);
	check_inside(record, event.provider_event_id);
	check_inside(record, event.correlation_id);
	check_inside(record, event.forward_fields);
	event_encode(&event, &writer);
	CHECK(!writer.failed);
	CHECK(bytes_equal(writer_bytes(&writer), bytes_of(record.data, header_size)));
}

static void check_attempt(struct bytes record)
{
	uint8_t memory[512];
	struct writer writer = writer_of(memory, sizeof memory);
	struct attempt attempt = { 0 };

	if (attempt_decode(record, &attempt) != RESULT_OK) return;
	check_inside(record, attempt.detail);
	check_inside(record, attempt.excerpt);
	attempt_encode(&attempt, &writer);
	CHECK(!writer.failed && bytes_equal(writer_bytes(&writer), record));
}

static void check_id(struct bytes text)
{
	char id[EVENT_ID_TEXT_SIZE];
	struct event event = { 0 };

	if (event_id_parse(text, &event) != RESULT_OK) return;
	event_id_format(&event, id);
	CHECK(bytes_equal(bytes_of_text(id), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = bytes_of(data, size);
	check_event(bytes);
	check_attempt(bytes);
	check_id(bytes);
	return 0;
}

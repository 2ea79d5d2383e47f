/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records and ids come back as they were; whatever else comes is refused, never followed. */
#include "queue/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "lib/guard.h"

static uint8_t text[FORWARD_FIELDS_SIZE_MAX];

static struct bytes some_text(struct random *random, size_t size_max)
{
	static const unsigned edges[] = { 0, 1, 255, 256 };
	size_t size = random_below(random, size_max + 1);
	uint64_t pick = random_below(random, 8);
	if (pick < ARRAY_COUNT(edges) && edges[pick] <= size_max) size = edges[pick];
	if (pick == 7) size = size_max;
	return bytes_of(text, size);
}

static struct event some_event(struct random *random)
{
	struct event event = {
		.received = { random_u64(random) },
		.tenant_id = (uint32_t)random_u64(random),
		.endpoint_id = (uint32_t)random_u64(random),
		.flow_version = (uint32_t)random_u64(random),
		.key_index = (uint8_t)random_below(random, 2),
		.target_count = (uint8_t)random_below(random, TARGETS_PER_ENDPOINT_MAX + 1),
		.payload_size = (uint32_t)random_u64(random),
	};
	for (unsigned i = 0; i < event.target_count; i++) {
		event.target_ids[i] = (uint32_t)random_u64(random);
	}
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		event.payload_sha256[i] = (uint8_t)random_u64(random);
	}
	event.content_type = some_text(random, CONTENT_TYPE_SIZE_MAX);
	event.provider_event_id = some_text(random, EVENT_ID_SIZE_MAX);
	event.correlation_id = some_text(random, CORRELATION_ID_SIZE_MAX);
	event.forward_fields = some_text(random, FORWARD_FIELDS_SIZE_MAX);
	return event;
}

static void assert_same(const struct event *a, const struct event *b)
{
	assert_true(a->received.us == b->received.us);
	assert_int_equal(a->tenant_id, b->tenant_id);
	assert_int_equal(a->endpoint_id, b->endpoint_id);
	assert_int_equal(a->flow_version, b->flow_version);
	assert_int_equal(a->key_index, b->key_index);
	assert_int_equal(a->target_count, b->target_count);
	for (unsigned i = 0; i < a->target_count; i++) {
		assert_int_equal(a->target_ids[i], b->target_ids[i]);
	}
	assert_int_equal(a->payload_size, b->payload_size);
	assert_memory_equal(a->payload_sha256, b->payload_sha256, SHA256_SIZE);
	assert_true(bytes_equal(a->content_type, b->content_type));
	assert_true(bytes_equal(a->provider_event_id, b->provider_event_id));
	assert_true(bytes_equal(a->correlation_id, b->correlation_id));
	assert_true(bytes_equal(a->forward_fields, b->forward_fields));
}

static int begin(void **state)
{
	*state = NULL;
	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)('a' + i % 26);
	return 0;
}

static void test_event_round_trip(void **state)
{
	(void)state;
	struct random random = { 1 };
	static const uint8_t payload[] = "payload";

	for (unsigned i = 0; i < 2000; i++) {
		uint8_t memory[EVENT_HEADER_SIZE_MAX + sizeof payload];
		struct writer writer = writer_of(memory, sizeof memory);
		struct event event = some_event(&random);
		struct event decoded = { .sequence = 77, .shard = 8 };
		size_t header_size = 0;

		event_encode(&event, &writer);
		assert_false(writer.failed);
		size_t size = writer.size;
		assert_true(size <= EVENT_HEADER_SIZE_MAX);
		write_bytes(&writer, bytes_of(payload, sizeof payload));
		assert_int_equal(event_decode(writer_bytes(&writer), &decoded, &header_size),
			RESULT_OK);
		assert_int_equal(header_size, size);
		assert_same(&event, &decoded);
		assert_int_equal(decoded.sequence, 77);
		assert_int_equal(decoded.shard, 8);
	}
}

/* The largest of everything fits into what bounds say, and a writer too small fails. */
static void test_largest_event(void **state)
{
	(void)state;
	uint8_t memory[EVENT_HEADER_SIZE_MAX];
	struct event event = { .target_count = TARGETS_PER_ENDPOINT_MAX };
	event.content_type = bytes_of(text, CONTENT_TYPE_SIZE_MAX);
	event.provider_event_id = bytes_of(text, EVENT_ID_SIZE_MAX);
	event.correlation_id = bytes_of(text, CORRELATION_ID_SIZE_MAX);
	event.forward_fields = bytes_of(text, FORWARD_FIELDS_SIZE_MAX);
	struct writer writer = writer_of(memory, sizeof memory);
	event_encode(&event, &writer);
	assert_false(writer.failed);
	size_t size = writer.size;
	for (size_t capacity = 0; capacity < size; capacity += 7) {
		writer = writer_of(memory, capacity);
		event_encode(&event, &writer);
		assert_true(writer.failed);
	}
}

/* Cut anywhere it is refused; with any bit flipped it is refused or decodes to something whose
 * views are inside. Each in memory that ends where the record ends. */
static void test_damaged_events(void **state)
{
	(void)state;
	struct random random = { 2 };

	struct guard guard;
	guard_init(&guard, EVENT_HEADER_SIZE_MAX);
	for (unsigned i = 0; i < 20; i++) {
		uint8_t memory[EVENT_HEADER_SIZE_MAX];
		struct writer writer = writer_of(memory, sizeof memory);
		struct event event = some_event(&random);
		struct event decoded;
		size_t header_size;

		event_encode(&event, &writer);
		for (size_t size = 0; size < writer.size; size++) {
			uint8_t *cut = guard_place(&guard, bytes_of(memory, size));
			assert_int_equal(event_decode(bytes_of(cut, size), &decoded, &header_size),
				RESULT_MALFORMED);
		}
		uint8_t *copy = guard_place(&guard, writer_bytes(&writer));
		for (size_t bit = 0; bit < writer.size * 8; bit++) {
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
			enum result result =
				event_decode(bytes_of(copy, writer.size), &decoded, &header_size);
			assert_true(result == RESULT_OK || result == RESULT_MALFORMED);
			if (result == RESULT_OK) {
				assert_true(header_size <= writer.size);
				assert_true(decoded.target_count <= TARGETS_PER_ENDPOINT_MAX);
			}
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	guard_done(&guard);
}

static void test_attempt_round_trip_and_damage(void **state)
{
	(void)state;
	struct random random = { 3 };
	for (unsigned i = 0; i < 300; i++) {
		uint8_t memory[512];
		struct writer writer = writer_of(memory, sizeof memory);
		struct attempt decoded = { .sequence = 5, .target_id = 6 };
		struct attempt attempt = {
			.number = (uint16_t)random_u64(&random),
			.outcome =
				(enum attempt_outcome)random_below(&random, ATTEMPT_OUTCOME_COUNT),
			.error = (enum attempt_error)random_below(&random, ATTEMPT_ERROR_COUNT),
			.status = (uint16_t)random_u64(&random),
			.started = { random_u64(&random) },
			.duration_us = random_u64(&random),
			.next_due = { random_u64(&random) },
			.detail = some_text(&random, ATTEMPT_DETAIL_SIZE_MAX),
			.excerpt = some_text(&random, ATTEMPT_EXCERPT_SIZE_MAX),
		};
		attempt_encode(&attempt, &writer);
		assert_false(writer.failed);
		assert_int_equal(attempt_decode(writer_bytes(&writer), &decoded), RESULT_OK);
		assert_int_equal(decoded.number, attempt.number);
		assert_int_equal(decoded.outcome, attempt.outcome);
		assert_int_equal(decoded.error, attempt.error);
		assert_int_equal(decoded.status, attempt.status);
		assert_true(decoded.started.us == attempt.started.us);
		assert_true(decoded.duration_us == attempt.duration_us);
		assert_true(decoded.next_due.us == attempt.next_due.us);
		assert_true(bytes_equal(decoded.detail, attempt.detail));
		assert_true(bytes_equal(decoded.excerpt, attempt.excerpt));
		assert_int_equal(decoded.sequence, 5);
		assert_int_equal(decoded.target_id, 6);

		for (size_t size = 0; size < writer.size; size++) {
			assert_int_equal(attempt_decode(bytes_of(memory, size), &decoded),
				RESULT_MALFORMED);
		}
		for (size_t bit = 0; bit < writer.size * 8; bit++) {
			memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
			enum result result = attempt_decode(writer_bytes(&writer), &decoded);
			assert_true(result == RESULT_OK || result == RESULT_MALFORMED);
			if (result == RESULT_OK) {
				assert_true(decoded.outcome < ATTEMPT_OUTCOME_COUNT);
				assert_true(decoded.error < ATTEMPT_ERROR_COUNT);
			}
			memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void test_codes(void **state)
{
	(void)state;
	assert_string_equal(attempt_outcome_code(ATTEMPT_DEAD), "dead");
	assert_string_equal(attempt_error_code(ATTEMPT_ERROR_CONNECT_TIMEOUT), "connect_timeout");
	for (unsigned i = 0; i < ATTEMPT_ERROR_COUNT; i++) {
		assert_true(strlen(attempt_error_text((enum attempt_error)i)) > 0);
	}
}

static void test_known_ids(void **state)
{
	(void)state;
	static const struct {
		uint64_t ms;
		uint16_t shard;
		uint64_t sequence;
		const char *id;
	} cases[] = {
		{ 0, 0, 0, "evt_00000000000000000000000000" },
		{ 0, 0, 1, "evt_00000000000000000000000001" },
		{ 0, 0, 31, "evt_0000000000000000000000000z" },
		{ 0, 1, 0, "evt_0000000000000g000000000000" },
		{ (UINT64_C(1) << 48) - 1, UINT16_MAX, UINT64_MAX,
			"evt_7zzzzzzzzzzzzzzzzzzzzzzzzz" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct event event = {
			.received = { cases[i].ms * US_PER_MS },
			.shard = cases[i].shard,
			.sequence = cases[i].sequence,
		};
		struct event parsed = { 0 };
		char id[EVENT_ID_TEXT_SIZE];
		event_id_format(&event, id);
		assert_string_equal(id, cases[i].id);
		assert_int_equal(event_id_parse(bytes_of_text(id), &parsed), RESULT_OK);
		assert_true(parsed.received.us == event.received.us);
		assert_int_equal(parsed.shard, event.shard);
		assert_true(parsed.sequence == event.sequence);
	}
}

/* They sort by time, whatever the shard and the sequence. */
static void test_ids_sort_by_time(void **state)
{
	(void)state;
	struct random random = { 4 };
	char before[EVENT_ID_TEXT_SIZE] = "";
	uint64_t ms = 1790000000000;
	for (unsigned i = 0; i < 1000; i++) {
		char id[EVENT_ID_TEXT_SIZE];
		ms += 1 + random_below(&random, 100000);
		const struct event event = {
			.received = { ms * US_PER_MS + random_below(&random, 1000) },
			.shard = (uint16_t)random_u64(&random),
			.sequence = random_u64(&random),
		};
		event_id_format(&event, id);
		assert_true(strcmp(before, id) < 0);
		snprintf(before, sizeof before, "%s", id);
	}
}

static void test_malformed_ids(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"",
		"evt_",
		"evt_0000000000000000000000000",
		"evt_000000000000000000000000000",
		"evx_00000000000000000000000000",
		"evt_80000000000000000000000000",
		"evt_z0000000000000000000000000",
		"evt_0000000000000000000000000Z",
		"evt_0000000000000000000000000i",
		"evt_0000000000000000000000000l",
		"evt_0000000000000000000000000o",
		"evt_0000000000000000000000000u",
		"evt_000000000000-0000000000000",
		" evt_0000000000000000000000000",
	};
	struct event event;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(event_id_parse(bytes_of_text(cases[i]), &event), RESULT_MALFORMED);
	}
	/* A NUL is no digit. */
	static const char nul[] = "evt_0000000000000000000000000\0";
	assert_int_equal(event_id_parse(bytes_of(nul, sizeof nul - 1), &event), RESULT_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_event_round_trip, begin),
		cmocka_unit_test_setup(test_largest_event, begin),
		cmocka_unit_test_setup(test_damaged_events, begin),
		cmocka_unit_test_setup(test_attempt_round_trip_and_damage, begin),
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_known_ids),
		cmocka_unit_test(test_ids_sort_by_time),
		cmocka_unit_test(test_malformed_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

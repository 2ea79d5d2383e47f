/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_events — the list of events, one event, its attempts, its payload.
 *
 * The list merges all shards, newest first. A position in it is the next sequence number to look
 * at in each shard, twelve hex digits apiece: exact even where shards commit out of step, and it
 * stays right while new events come in. Filtering looks at a bounded number of events per
 * request; a page that ends early says so and has a cursor to go on from.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "control/control_internal.h"

enum { POSITION_DIGITS = 12, DELIVERY_STATE_COUNT = DELIVERY_DEAD + 1 };
BOUND(WORKERS_MAX *POSITION_DIGITS < CONTROL_QUERY_SIZE_MAX - 512);

/* One shard's events, from new to old. */
struct walk {
	struct store_txn txn;
	struct store_cursor cursor;
	uint64_t next; /* look at this sequence and lower ones; 0: no more */
	uint64_t stop; /* but at none up to this */
	bool has;
	struct event event; /* when `has` */
};

struct listing {
	struct control_call *call;
	uint32_t limit;
	bool by_endpoint;
	uint32_t endpoint_id;
	bool by_state;
	enum delivery_state state;
	uint32_t walk_count;
	struct walk *walks;
	uint32_t scanned_count;
};

/* ---- Walking --------------------------------------------------------------------------------- */

static uint64_t sequence_of_key(struct bytes key)
{
	uint64_t sequence = 0;
	CHECK(key.size == 8); /* LMDB keeps keys as they were put */
	for (size_t i = 0; i < 6; i++) sequence = sequence << 8 | key.data[i];
	return sequence;
}

/* To the newest event at or before walk->next that can be read. */
static void walk_advance(struct walk *walk, uint16_t shard)
{
	walk->has = false;
	while (walk->next > walk->stop) {
		uint8_t memory[8];
		struct writer key = writer_of(memory, sizeof memory);
		write_u64_be(&key, walk->next << 16 | UINT16_MAX);
		if (!store_cursor_seek_backward(&walk->cursor, writer_bytes(&key))) break;
		uint64_t sequence = sequence_of_key(walk->cursor.key);
		if (sequence <= walk->stop) break;
		walk->next = sequence - 1;
		if (shard_event_read(&walk->txn, sequence, &walk->event) != RESULT_OK) continue;
		walk->event.sequence = sequence;
		walk->event.shard = shard;
		walk->has = true;
		return;
	}
	walk->next = 0;
}

static void walks_open(struct listing *listing)
{
	const struct control_daemon *daemon = listing->call->daemon;
	for (uint32_t i = 0; i < listing->walk_count; i++) {
		struct walk *walk = &listing->walks[i];
		shard_read_begin(daemon->shards[i], &walk->txn);
		store_cursor_open(&walk->cursor, &walk->txn, STORE_EVENTS);
		walk_advance(walk, (uint16_t)i);
	}
}

static enum result walks_close(struct listing *listing)
{
	enum result result = RESULT_OK;
	for (uint32_t i = 0; i < listing->walk_count; i++) {
		struct walk *walk = &listing->walks[i];
		if (walk->txn.result != RESULT_OK) result = walk->txn.result;
		store_cursor_close(&walk->cursor);
		store_read_end(&walk->txn);
		store_read_done(&walk->txn);
	}
	return result;
}

/* The shard whose event is the newest; NULL when all are through. */
static struct walk *walk_newest(struct listing *listing)
{
	struct walk *newest = NULL;
	for (uint32_t i = 0; i < listing->walk_count; i++) {
		struct walk *walk = &listing->walks[i];
		if (!walk->has) continue;
		if (newest == NULL || walk->event.received.us > newest->event.received.us) {
			newest = walk;
		}
	}
	return newest;
}

/* ---- Positions ------------------------------------------------------------------------------- */

static void position_write(const struct listing *listing, struct writer *writer)
{
	for (uint32_t i = 0; i < listing->walk_count; i++) {
		const struct walk *walk = &listing->walks[i];
		uint64_t sequence = walk->has ? walk->event.sequence : walk->stop;
		write_format(writer, "%012llx", (unsigned long long)sequence);
	}
	write_u8(writer, '\0');
}

static bool position_read(struct listing *listing, const char *name, bool before)
{
	struct bytes text = { 0 };
	const char *value = control_query_get(&listing->call->query, name);
	if (value == NULL) return true;
	text = bytes_of_text(value);
	bool good = text.size == (size_t)listing->walk_count * POSITION_DIGITS;
	for (uint32_t i = 0; good && i < listing->walk_count; i++) {
		uint8_t memory[POSITION_DIGITS / 2];
		size_t size;
		struct bytes digits =
			bytes_of(text.data + (size_t)i * POSITION_DIGITS, POSITION_DIGITS);
		good = hex_decode(digits, memory, sizeof memory, &size) == RESULT_OK;
		uint64_t sequence = 0;
		for (size_t j = 0; good && j < sizeof memory; j++)
			sequence = sequence << 8 | memory[j];
		if (before) {
			listing->walks[i].next = sequence;
		} else {
			listing->walks[i].stop = sequence;
		}
	}
	if (!good) {
		control_problem(listing->call, 400, "bad_cursor",
			"That is no position in this list",
			"%s takes next_before or newest of an earlier answer, unchanged", name);
	}
	return good;
}

/* ---- The list -------------------------------------------------------------------------------- */

static bool filter_read(struct listing *listing)
{
	struct control_call *call = listing->call;
	const char *endpoint = control_query_get(&call->query, "endpoint");
	if (endpoint != NULL) {
		if (!control_name_known(call, 'e', endpoint)) {
			control_problem(call, 404, "no_such_endpoint", "There is no such endpoint",
				"no endpoint is or was called \"%s\"", endpoint);
			return false;
		}
		listing->by_endpoint = true;
		listing->endpoint_id = flow_id_of_name(endpoint);
	}
	const char *state = control_query_get(&call->query, "state");
	if (state == NULL) return true;
	for (int i = 0; i < DELIVERY_STATE_COUNT; i++) {
		if (strcmp(state, delivery_state_code((enum delivery_state)i)) != 0) continue;
		listing->by_state = true;
		listing->state = (enum delivery_state)i;
		return true;
	}
	control_problem(call, 400, "bad_parameter", "A parameter is wrong",
		"state is one of: pending, retry, delivered, dead");
	return false;
}

static bool event_matches(const struct listing *listing, struct walk *walk)
{
	const struct event *event = &walk->event;
	if (listing->by_endpoint && event->endpoint_id != listing->endpoint_id) return false;
	if (!listing->by_state) return true;
	for (uint8_t i = 0; i < event->target_count; i++) {
		if (shard_delivery_state(&walk->txn, event->sequence, event->target_ids[i]) ==
			listing->state)
			return true;
	}
	return false;
}

static void write_row(struct json *json, struct walk *walk)
{
	const struct event *event = &walk->event;
	json_object(json, NULL);
	control_json_event_id(json, "id", event);
	json_time(json, "received", event->received);
	control_json_name(json, "endpoint", &walk->txn, 'e', event->endpoint_id);
	json_text_or_null(json, "provider_event_id", event->provider_event_id);
	json_number(json, "payload_size", event->payload_size);
	json_array(json, "deliveries");
	for (uint8_t i = 0; i < event->target_count; i++) {
		uint32_t target_id = event->target_ids[i];
		json_object(json, NULL);
		control_json_name(json, "target", &walk->txn, 't', target_id);
		json_text(json, "state",
			delivery_state_code(shard_delivery_state(&walk->txn, event->sequence,
				target_id)));
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}

static void write_rows(struct listing *listing, struct json *json)
{
	uint32_t written = 0;
	json_array(json, "events");
	while (written < listing->limit && listing->scanned_count < CONTROL_SCAN_EVENTS_MAX) {
		struct walk *walk = walk_newest(listing);
		if (walk == NULL) break;
		listing->scanned_count++;
		if (event_matches(listing, walk)) {
			write_row(json, walk);
			written++;
		}
		walk_advance(walk, (uint16_t)(walk - listing->walks));
	}
	json_array_end(json);
}

static void write_listing(struct listing *listing)
{
	static char position[WORKERS_MAX * POSITION_DIGITS + 1]; /* control thread only */
	struct writer writer = writer_of(position, sizeof position);
	struct json *json = control_answer(listing->call, "penstock.events/v1");
	position_write(listing, &writer);
	json_text(json, "newest", position);

	write_rows(listing, json);
	bool more = walk_newest(listing) != NULL;
	if (more) {
		writer = writer_of(position, sizeof position);
		position_write(listing, &writer);
		json_text(json, "next_before", position);
	} else {
		json_null(json, "next_before");
	}
	json_number(json, "scanned", listing->scanned_count);
	json_bool(json, "scan_limited", more && listing->scanned_count == CONTROL_SCAN_EVENTS_MAX);
	json_object_end(json);
}

void control_handle_events(struct control_call *call)
{
	struct listing listing = { .call = call, .walk_count = call->daemon->worker_count };
	if (!control_limit(call, &listing.limit) || !filter_read(&listing)) return;

	listing.walks = alloc_array(listing.walk_count, sizeof *listing.walks);
	for (uint32_t i = 0; i < listing.walk_count; i++) {
		listing.walks[i].next = (UINT64_C(1) << 48) - 1;
	}
	if (position_read(&listing, "before", true) && position_read(&listing, "after", false)) {
		walks_open(&listing);
		write_listing(&listing);
		enum result result = walks_close(&listing);
		if (result != RESULT_OK) control_problem_store(call, result);
	}
	alloc_free(listing.walks);
}

/* ---- One event ------------------------------------------------------------------------------- */

/* The provider's header lines that go on to the target. */
static void write_fields(struct json *json, struct bytes lines)
{
	json_array(json, "forward_fields");
	while (lines.size > 0) {
		struct bytes line;
		struct bytes name;
		struct bytes value;
		bytes_split(lines, '\n', &line, &lines);
		if (!bytes_split(line, ':', &name, &value)) continue;
		if (value.size > 0 && value.data[value.size - 1] == '\r') value.size--;
		json_object(json, NULL);
		json_bytes(json, "name", name);
		json_bytes(json, "value", bytes_trim(value));
		json_object_end(json);
	}
	json_array_end(json);
}

static void write_delivery(struct control_call *call, struct store_txn *txn,
	const struct event *event, uint32_t target_id)
{
	struct json *json = &call->json;
	json_object(json, NULL);
	control_json_name(json, "target", txn, 't', target_id);
	json_text(json, "state",
		delivery_state_code(shard_delivery_state(txn, event->sequence, target_id)));
	control_json_attempts(call, txn, event, target_id);
	json_object_end(json);
}

void control_handle_event(struct control_call *call)
{
	struct store_txn txn;
	struct event event;
	if (!control_event_begin(call, call->id, &txn, &event)) return;

	struct json *json = control_answer(call, "penstock.event/v1");
	control_json_event_id(json, "id", &event);
	json_number(json, "shard", event.shard);
	json_number(json, "sequence", event.sequence);
	json_time(json, "received", event.received);
	control_json_name(json, "endpoint", &txn, 'e', event.endpoint_id);
	json_number(json, "tenant_id", event.tenant_id);
	json_number(json, "flow_version", event.flow_version);
	json_text(json, "secret", event.key_index == 0 ? "current" : "previous");
	json_text_or_null(json, "provider_event_id", event.provider_event_id);
	json_text_or_null(json, "correlation_id", event.correlation_id);
	json_text_or_null(json, "content_type", event.content_type);
	json_number(json, "payload_size", event.payload_size);
	json_hex(json, "payload_sha256", bytes_of(event.payload_sha256, SHA256_SIZE));
	write_fields(json, event.forward_fields);
	json_array(json, "deliveries");
	for (uint8_t i = 0; i < event.target_count; i++) {
		write_delivery(call, &txn, &event, event.target_ids[i]);
	}
	json_array_end(json);
	json_object_end(json);
	control_event_end(&txn);
}

void control_handle_attempts(struct control_call *call)
{
	struct store_txn txn;
	struct event event;
	bool by_target;
	uint32_t wanted;
	if (!control_target_parameter(call, &by_target, &wanted)) return;
	if (!control_event_begin(call, call->id, &txn, &event)) return;

	struct json *json = control_answer(call, "penstock.attempts/v1");
	control_json_event_id(json, "id", &event);
	json_array(json, "deliveries");
	for (uint8_t i = 0; i < event.target_count; i++) {
		if (by_target && event.target_ids[i] != wanted) continue;
		write_delivery(call, &txn, &event, event.target_ids[i]);
	}
	json_array_end(json);
	json_object_end(json);
	control_event_end(&txn);
}

void control_handle_payload(struct control_call *call)
{
	struct store_txn txn;
	struct event event;
	if (!control_event_begin(call, call->id, &txn, &event)) return;

	call->status = 200;
	/* Whatever the provider called it: nobody is to render it on our word. */
	call->content_type = "application/octet-stream";
	enum result result = RESULT_OK;
	while (call->body.size < event.payload_size && !call->body.failed) {
		struct bytes chunk;
		result = shard_payload_read(&txn, &event, call->body.size, &chunk);
		if (result == RESULT_OK && chunk.size == 0) result = RESULT_MALFORMED;
		if (result != RESULT_OK) break;
		write_bytes(&call->body, chunk);
	}
	control_event_end(&txn);
	if (result != RESULT_OK) control_problem_store(call, result);
}

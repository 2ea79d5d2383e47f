/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_append — a new event: its rows, its audit leaf, its replay fingerprint, one
 * transaction.
 */
#include "queue/shard_internal.h"

enum { US_PER_SECOND = 1000000 };

/* Rows beside the event: leaf, fingerprint, its part of the state. */
enum { APPEND_SIZE_EXTRA = 128 };

static void put_payload(struct store_txn *txn, uint64_t sequence, struct bytes header,
	struct bytes payload)
{
	size_t room = STORE_EVENT_VALUE_SIZE_MAX - header.size;
	struct bytes rest = payload;
	uint16_t chunk = 0;

	/* Chunk 0 is the header and what fits behind it; see bounds.h for why not one value. */
	do {
		struct bytes part = bytes_of(rest.data, rest.size < room ? rest.size : room);
		const struct bytes parts[] = { chunk == 0 ? header : BYTES_EMPTY, part };
		struct row_key key = row_event_key(sequence, chunk);
		store_append(txn, STORE_EVENTS, row_key_bytes(&key), parts, ARRAY_COUNT(parts));
		rest = bytes_from(rest, part.size);
		room = STORE_EVENT_VALUE_SIZE_MAX;
		CHECK(chunk < UINT16_MAX);
		chunk++;
	} while (rest.size > 0);
}

static void remember_fingerprint(struct shard *shard, const struct shard_append *append)
{
	uint64_t received_us = append->event.received.us;
	uint64_t expires_us = append->replay_expires.us;
	uint64_t keep_s = 0;

	if (expires_us > received_us) {
		keep_s = (expires_us - received_us + US_PER_SECOND - 1) / US_PER_SECOND;
	}
	CHECK(shard->fingerprint_count < STORE_BATCH_JOBS_MAX);
	shard->fingerprints[shard->fingerprint_count++] = (struct fingerprint){
		.identity = append->identity,
		.body_hash = append->body_hash,
		.sequence = append->event.sequence,
		.received_us = received_us,
		.keep_s = keep_s < UINT32_MAX ? (uint32_t)keep_s : UINT32_MAX,
	};
}

static void note_latest(struct shard_counters *counters, const struct event *event)
{
	struct shard_latest *latest = counters->latest;

	for (unsigned i = 0; i < event->target_count; i++) {
		if (latest[0].target_id != event->target_ids[i]) latest[1] = latest[0];
		latest[0] = (struct shard_latest){ event->target_ids[i], event->sequence };
	}
}

static void append_apply(struct store_job *job, struct store_txn *txn)
{
	struct shard_append *append = CONTAINER_OF(job, struct shard_append, job);
	struct shard *shard = append->shard;
	struct shard_counters *counters = &shard->state.counters;
	uint8_t header_memory[EVENT_HEADER_SIZE_MAX];
	struct writer header = writer_of(header_memory, sizeof header_memory);

	append->event.shard = shard->number;
	append->event.sequence = counters->next_sequence;
	append->event.payload_size = (uint32_t)append->payload.size;
	event_encode(&append->event, &header);
	CHECK(!header.failed);

	struct bytes record = writer_bytes(&header);
	put_payload(txn, append->event.sequence, record, append->payload);
	const struct audit_subject subject = {
		.kind = AUDIT_EVENT,
		.sequence = append->event.sequence,
	};
	append->leaf_index = audit_append(&shard->audit, txn, subject, record);
	remember_fingerprint(shard, append);

	counters->next_sequence++;
	counters->events_accepted++;
	counters->deliveries_created += append->event.target_count;
	account_accept(accounts_touch(shard->accounts, append->event.endpoint_id),
		event_delivery_count(&append->event));
	note_latest(counters, &append->event);
	shard->appended_count++;
	shard_note_time(shard, append->event.received.us);
}

void shard_append_submit(struct shard *shard, struct shard_append *append)
{
	const struct event *event = &append->event;

	CHECK(append->payload.size <= UINT32_MAX);
	CHECK(event->content_type.size <= CONTENT_TYPE_SIZE_MAX);
	CHECK(event->provider_event_id.size <= EVENT_ID_SIZE_MAX);
	CHECK(event->correlation_id.size <= CORRELATION_ID_SIZE_MAX);
	CHECK(event->forward_fields.size <= FORWARD_FIELDS_SIZE_MAX);

	append->shard = shard;
	append->job.apply = append_apply;
	append->job.uses_reserve = false;
	append->job.may_wait = true;
	append->job.size = (uint32_t)(append->payload.size + event->content_type.size +
		event->provider_event_id.size + event->correlation_id.size +
		event->forward_fields.size + APPEND_SIZE_EXTRA);
	store_writer_submit(shard->writer, &append->job);
}

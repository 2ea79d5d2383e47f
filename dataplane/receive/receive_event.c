/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_event — the promise on one screen: an authentic, new event is appended to the shard,
 * and answered 2xx when its commit has come back. Nothing else answers 2xx for a new event.
 */
#include "receive/receive_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "http/http_write.h"

static void event_count(const struct request *request, enum metrics_endpoint counter)
{
	metrics_endpoint_add(request->receive->config.metrics, request->metrics_slot, counter, 1);
}

/* From the request's last byte until now. */
static void event_observe(const struct request *request, enum metrics_histogram histogram)
{
	const struct receive *receive = request->receive;
	const struct event *event = &request->append.event;
	uint64_t us = mono_since_us(request->complete, loop_now(receive->loop));

	metrics_observe(receive->config.metrics, histogram,
		&(struct metrics_exemplar){
			.sequence = event->sequence,
			.shard = event->shard,
			.received_us = event->received.us,
			.value_us = us,
			.time_us = event->received.us + us,
		});
}

/* ---- After the commit ------------------------------------------------------------------------ */

static void event_committed(struct request *request)
{
	struct receive *receive = request->receive;
	struct shard_append *append = &request->append;

	replay_confirm(receive->config.replay, append->identity,
		(struct replay_place){
			.sequence = append->event.sequence,
			.received_us = append->event.received.us,
			.shard = append->event.shard,
		},
		append->replay_expires);
	queue_appended(receive->config.queue, &append->event);
	event_observe(request, METRICS_HISTOGRAM_COMMIT);
	event_count(request, METRICS_ENDPOINT_ACCEPTED);
	metrics_endpoint_add(receive->config.metrics, request->metrics_slot, METRICS_ENDPOINT_BYTES,
		append->payload.size);
	if (append->event.key_index != 0) event_count(request, METRICS_ENDPOINT_PREVIOUS_SECRET);
	if (tap_is_open()) tap_accepted(request);
}

/* Worker thread: the writer's answer has arrived. */
static void event_returned(struct letter *letter)
{
	struct request *request = CONTAINER_OF(letter, struct request, reply);
	struct receive *receive = request->receive;
	struct connection *connection = request->connection;
	enum result result = request->append.job.result;

	if (result == RESULT_OK) {
		event_committed(request);
	} else {
		/* When the disk has failed nobody knows whether the event is stored. Its identity
		 * stays taken until the process ends, or another worker would store it again. */
		if (result == RESULT_SPACE) {
			replay_release(receive->config.replay, request->append.identity);
		}
		event_count(request, METRICS_ENDPOINT_SHED);
	}
	if (receive->config.spans != NULL)
		request_trace_end(request, result == RESULT_OK ? 200 : 503);
	if (connection == NULL) {
		/* The client has gone; the event stays accepted, its retry will be a duplicate. */
		request_give(request);
		return;
	}
	connection->state = CONNECTION_BODY; /* no longer with the writer: may be given back */
	if (result == RESULT_OK) {
		event_observe(request, METRICS_HISTOGRAM_ACK);
		answer_accepted(request, &request->append.event, false);
	} else {
		answer_problem(request, result == RESULT_SPACE ? ANSWER_SPACE : ANSWER_DISK, NULL,
			NULL);
	}
	connection_run(connection);
}

/* Writer thread. */
static void append_complete(struct store_job *job)
{
	struct request *request = CONTAINER_OF(job, struct request, append.job);

	/* For the confirmation. Worker and writer share a CPU and its cache. */
	replay_prefetch(request->receive->config.replay, request->append.identity);
	/* Appends of a shard are all of one worker. Woken by the first of them it would take the
	 * CPU from the writer, for one answer. */
	if (job->followed) {
		loop_post_followed(request->receive->loop, &request->reply.mail);
	} else {
		loop_post(request->receive->loop, &request->reply.mail);
	}
}

/* ---- Before the commit ----------------------------------------------------------------------- */

/* Header lines of the provider that tell the target what the event is. */
static struct bytes forward_fields(struct request *request, const struct flow_endpoint *endpoint)
{
	const struct scheme *scheme = verifier_scheme(endpoint->verifier);
	const struct http_fields *fields = &request_http(request)->fields;
	struct writer writer = writer_of(request->forward, sizeof request->forward);

	if (request->receive->config.spans != NULL) request_trace_begin(request, endpoint, &writer);
	for (uint32_t i = 0; i < fields->count; i++) {
		const struct http_field *field = &fields->field[i];
		if (!scheme_forwards_field(scheme, field->name)) continue;
		size_t before = writer.size;
		http_write_field(&writer, field->name, field->value);
		if (writer.failed) {
			/* Beyond the bound the rest is left out, whole lines only. */
			writer.size = before;
			break;
		}
	}
	return bytes_of(writer.data, writer.size);
}

static struct bytes field_within(const struct http_fields *fields, struct bytes name,
	size_t size_max)
{
	const struct http_field *field = http_field_find(fields, name);
	if (field == NULL || field->value.size > size_max) return BYTES_EMPTY;
	return field->value;
}

/* What needs the header fields. Before the signature is judged: another request's may be in their
 * place then. */
static void event_fill(struct request *request, const struct flow_endpoint *endpoint)
{
	struct receive *receive = request->receive;
	struct event *event = &request->append.event;
	const struct http_fields *fields = &request_http(request)->fields;

	*event = (struct event){
		.received = io_wall(receive->loop->io),
		.tenant_id = FLOW_TENANT_DEFAULT,
		.endpoint_id = endpoint->id,
		.flow_version = FLOW_VERSION_FIRST,
		.target_count = (uint8_t)endpoint->target_count,
		.payload_size = request->body_size,
		.content_type =
			field_within(fields, BYTES_LITERAL("content-type"), CONTENT_TYPE_SIZE_MAX),
		.correlation_id = field_within(fields, BYTES_LITERAL("x-correlation-id"),
			CORRELATION_ID_SIZE_MAX),
		.forward_fields = forward_fields(request, endpoint),
	};
	memcpy(event->target_ids, endpoint->target_ids,
		endpoint->target_count * sizeof event->target_ids[0]);
}

static void event_complete(struct request *request, const struct verify_outcome *outcome)
{
	struct event *event = &request->append.event;

	event->key_index = outcome->key_index;
	if (outcome->event_id.size <= EVENT_ID_SIZE_MAX) {
		event->provider_event_id = outcome->event_id;
	}
	if (outcome->body_hashed) {
		memcpy(event->payload_sha256, outcome->body_sha256, SHA256_SIZE);
	} else {
		hash_sha256(request_body(request), event->payload_sha256);
	}
}

static void event_append(struct request *request, const struct flow_endpoint *endpoint,
	const struct verify_outcome *outcome, struct hash128 identity)
{
	struct shard_append *append = &request->append;
	struct receive *receive = request->receive;

	append->job = (struct store_job){ .complete = append_complete };
	append->payload = request_body(request);
	append->identity = identity;
	append->body_hash = outcome->body_hash;
	append->replay_expires.us = append->event.received.us +
		endpoint->config->replay_window_s * US_PER_S;
	request->reply.open = event_returned;
	if (request->connection != NULL) request->connection->state = CONNECTION_COMMIT;
	shard_append_submit(receive->config.shard, append);
}

/* The client may have gone while the request waited. */
static void event_refuse(struct request *request, enum answer answer, const char *detail_code,
	const char *detail)
{
	if (request->connection == NULL) {
		request_give(request);
		return;
	}
	answer_problem(request, answer, detail_code, detail);
}

static void event_repeat(struct request *request, const struct replay_place *original)
{
	if (request->connection == NULL) {
		request_give(request);
		return;
	}
	answer_accepted(request,
		&(struct event){
			.sequence = original->sequence,
			.shard = original->shard,
			.received = { original->received_us },
		},
		true);
}

/* The endpoint is part of what makes an event the same: two endpoints may share a provider. */
static struct hash128 identity_at(const struct flow_endpoint *endpoint, struct hash128 identity)
{
	uint64_t words[3] = { identity.low, identity.high, endpoint->id };
	return hash_xxh128(bytes_of(words, sizeof words), 0);
}

/* It fills slowly and then refuses everything, so whoever looks into the log must find why. */
static void tell_replay_full(struct receive *receive)
{
	mono_t now = loop_now(receive->loop);
	bool told = receive->replay_full_told.us != 0;

	if (told && mono_since_us(receive->replay_full_told, now) < RECEIVE_REPLAY_FULL_LOG_US) {
		return;
	}
	receive->replay_full_told = now;
	log_error("the replay memory is full: new events are answered 503 entries=%llu "
		  "hint=\"raise store.replay_entries and restart, or shorten the replay_window of "
		  "busy endpoints\"",
		(unsigned long long)replay_entries_max(receive->config.replay));
}

static void event_admit(struct request *request, const struct flow_endpoint *endpoint,
	const struct verify_outcome *outcome)
{
	struct receive *receive = request->receive;
	struct hash128 identity = identity_at(endpoint, outcome->identity);
	struct replay_place original;

	event_complete(request, outcome);
	enum replay_verdict verdict = replay_reserve(receive->config.replay, identity,
		outcome->body_hash, io_wall(receive->loop->io), &original);
	switch (verdict) {
	case REPLAY_NEW: event_append(request, endpoint, outcome, identity); return;
	case REPLAY_DUPLICATE:
		event_count(request, METRICS_ENDPOINT_DUPLICATE);
		event_repeat(request, &original);
		return;
	case REPLAY_CONFLICT:
		event_count(request, METRICS_ENDPOINT_REFUSED_CONFLICT);
		event_refuse(request, ANSWER_CONFLICT, NULL, NULL);
		return;
	case REPLAY_PENDING:
	case REPLAY_FULL:
		if (verdict == REPLAY_FULL) tell_replay_full(receive);
		event_count(request, METRICS_ENDPOINT_SHED);
		event_refuse(request, verdict == REPLAY_FULL ? ANSWER_REPLAY : ANSWER_PENDING, NULL,
			NULL);
		return;
	}
	UNREACHABLE();
}

/* The URL as the provider wrote it: needed by schemes that sign it, and only the operator
 * knows it when there is a proxy in front. */
static struct bytes public_url(struct receive *receive, const struct flow_endpoint *endpoint,
	struct bytes target)
{
	if (endpoint->config->public_url == NULL) return BYTES_EMPTY;

	struct writer writer = writer_of(receive->url, sizeof receive->url);
	write_text(&writer, endpoint->config->public_url);
	write_bytes(&writer, target);
	return writer.failed ? BYTES_EMPTY : writer_bytes(&writer);
}

struct expectation {
	struct replay *replay;
	const struct flow_endpoint *endpoint;
};

/* Checking a signature takes as long as the table's memory to come. */
static void event_expected(void *owner, struct hash128 identity)
{
	const struct expectation *expectation = owner;

	replay_prefetch(expectation->replay, identity_at(expectation->endpoint, identity));
}

void event_judge(struct request *request, const struct verify_outcome *outcome)
{
	if (outcome->verdict == VERDICT_AUTHENTIC) {
		event_admit(request, request_endpoint(request), outcome);
		return;
	}
	event_count(request,
		outcome->verdict == VERDICT_TIMESTAMP ? METRICS_ENDPOINT_REFUSED_TIMESTAMP
						      : METRICS_ENDPOINT_REFUSED_SIGNATURE);
	event_refuse(request, ANSWER_SIGNATURE, verdict_code(outcome->verdict),
		verdict_text(outcome->verdict));
}

static void event_verify(struct request *request, const struct flow_endpoint *endpoint,
	const struct verify_input *input)
{
	struct receive *receive = request->receive;
	wall_t now = io_wall(receive->loop->io);
	struct verify_outcome outcome;

	struct verify_task *task = gather_task(receive, request);
	if (task != NULL && verify_begin(endpoint->verifier, input, now, task)) {
		event_fill(request, endpoint);
		gather_add(request);
		return;
	}
	if (task != NULL) {
		outcome = task->outcome;
	} else {
		verify_request(endpoint->verifier, input, now, &outcome);
	}
	if (outcome.verdict == VERDICT_AUTHENTIC) event_fill(request, endpoint);
	event_judge(request, &outcome);
}

void event_receive(struct request *request)
{
	struct receive *receive = request->receive;
	struct metrics *metrics = receive->config.metrics;

	metrics_add(metrics, METRICS_REQUESTS, 1);
	const struct flow_endpoint *endpoint = request_endpoint(request);
	const struct http_request *http = request_http(request);
	bool is_post = bytes_equal(http->method, BYTES_LITERAL("POST"));
	if (endpoint == NULL || !is_post) {
		metrics_add(metrics, METRICS_REQUESTS_UNROUTED, 1);
		answer_problem(request, endpoint == NULL ? ANSWER_UNROUTED : ANSWER_METHOD, NULL,
			NULL);
		return;
	}
	request->metrics_slot = endpoint->metrics_slot;
	struct expectation expectation = { .replay = receive->config.replay, .endpoint = endpoint };
	const struct verify_input input = {
		.expected = event_expected,
		.owner = &expectation,
		.method = http->method,
		.url = public_url(receive, endpoint, http->target),
		.fields = &http->fields,
		.body = request_body(request),
	};
	event_verify(request, endpoint, &input);
}

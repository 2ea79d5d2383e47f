/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_record — what the routes about events and dead letters share: finding one event by its
 * id, names and ids, attempts as JSON.
 */
#include <stdio.h>

#include "base/check.h"
#include "control/control_internal.h"

static void problem_no_event(struct control_call *call, const char *id)
{
	control_problem(call, 404, "no_such_event", "There is no such event",
		"%s was never here, or its retention time is over", id);
}

bool control_event_begin(struct control_call *call, const char *id, struct store_txn *txn,
	struct event *ret)
{
	struct event wanted = { 0 };
	if (event_id_parse(bytes_of_text(id), &wanted) != RESULT_OK) {
		control_problem(call, 400, "bad_event_id", "That is no event id",
			"an event id is \"evt_\" and %d characters", EVENT_ID_TEXT_SIZE - 5);
		return false;
	}
	if (wanted.shard >= call->daemon->worker_count) {
		problem_no_event(call, id);
		return false;
	}
	*txn = (struct store_txn){ 0 };
	shard_read_begin(call->daemon->shards[wanted.shard], txn);
	enum result result = shard_event_read(txn, wanted.sequence, ret);
	if (result == RESULT_OK) {
		ret->sequence = wanted.sequence;
		ret->shard = wanted.shard;
		/* An id carries milliseconds. */
		if (ret->received.us / US_PER_MS != wanted.received.us / US_PER_MS) {
			result = RESULT_NOT_FOUND;
		}
	}
	if (result == RESULT_OK) return true;
	control_event_end(txn);
	if (result == RESULT_NOT_FOUND) {
		problem_no_event(call, id);
	} else {
		control_problem_store(call, result);
	}
	return false;
}

void control_event_end(struct store_txn *txn)
{
	store_read_end(txn);
	store_read_done(txn);
}

bool control_name_known(struct control_call *call, char kind, const char *name)
{
	const struct control_daemon *daemon = call->daemon;
	uint32_t id = flow_id_of_name(name);
	bool known = false;
	struct flow *flow = daemon->flow(daemon->owner);
	if (flow != NULL) {
		known = kind == 'e' ? flow_endpoint_by_id(flow, id) != NULL
				    : flow_target_by_id(flow, id) != NULL;
		flow_release(flow);
	}
	/* One that is no longer configured is still in the records. */
	for (uint32_t i = 0; !known && i < daemon->worker_count; i++) {
		char stored[NAME_SIZE_MAX + 1];
		struct store_txn txn = { 0 };
		shard_read_begin(daemon->shards[i], &txn);
		shard_name(&txn, kind, id, stored);
		control_event_end(&txn);
		known = strcmp(stored, name) == 0;
	}
	return known;
}

bool control_target_parameter(struct control_call *call, bool *ret_given, uint32_t *ret_id)
{
	const char *name = control_query_get(&call->query, "target");
	*ret_given = name != NULL;
	*ret_id = 0;
	if (name == NULL) return true;
	if (!control_name_known(call, 't', name)) {
		control_problem(call, 404, "no_such_target", "There is no such target",
			"no target is or was called \"%s\"", name);
		return false;
	}
	*ret_id = flow_id_of_name(name);
	return true;
}

void control_json_event_id(struct json *json, const char *key, const struct event *event)
{
	char id[EVENT_ID_TEXT_SIZE];
	event_id_format(event, id);
	json_text(json, key, id);
}

void control_json_name(struct json *json, const char *key, struct store_txn *txn, char kind,
	uint32_t id)
{
	char name[NAME_SIZE_MAX + 1];
	shard_name(txn, kind, id, name);
	json_text(json, key, name);
}

static void write_attempt(struct control_call *call, const struct attempt *attempt)
{
	struct json *json = &call->json;
	json_object(json, NULL);
	json_number(json, "number", attempt->number);
	json_time(json, "started", attempt->started);
	json_number(json, "duration_us", attempt->duration_us);
	json_text(json, "outcome", attempt_outcome_code(attempt->outcome));
	if (attempt->status != 0) {
		json_number(json, "status", attempt->status);
	} else {
		json_null(json, "status");
	}
	if (attempt->error != ATTEMPT_ERROR_NONE) {
		json_text(json, "error", attempt_error_code(attempt->error));
		json_text(json, "error_text", attempt_error_text(attempt->error));
	} else {
		json_null(json, "error");
		json_null(json, "error_text");
	}
	json_text_or_null(json, "detail", attempt->detail);
	bool admin = call->peer.role == CONTROL_ROLE_ADMIN;
	json_text_or_null(json, "excerpt", admin ? attempt->excerpt : BYTES_EMPTY);
	json_time(json, "next_due",
		attempt->outcome == ATTEMPT_RETRY ? attempt->next_due : (wall_t){ 0 });
	json_object_end(json);
}

void control_json_attempts(struct control_call *call, struct store_txn *txn,
	const struct event *event, uint32_t target_id)
{
	struct attempt attempt;
	uint16_t number = 0;
	json_array(&call->json, "attempts");
	for (;;) {
		enum result result =
			shard_attempt_next(txn, event->sequence, target_id, number, &attempt);
		/* One that has rotted is passed over: the others still tell something. */
		if (result != RESULT_OK && result != RESULT_MALFORMED) break;
		if (result == RESULT_OK) write_attempt(call, &attempt);
		CHECK(attempt.number > number);
		number = attempt.number;
	}
	json_array_end(&call->json);
}

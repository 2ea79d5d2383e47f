/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_tail — what happens, as it happens: streams the records of base/tap.h to one client until
 * it hangs up. A line each; a line "missed" where records were lost because the client, or we, were
 * too slow; a line "alive" now and then.
 *
 * Task thread. Nothing here holds a worker up: who is behind loses records.
 */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/tap.h"
#include "control/control_internal.h"

struct tail {
	struct control_call *call;
	struct tap_follower follower;
	bool by_endpoint;
	uint32_t endpoint_id;
	bool refusals_only;
	uint64_t unsent;   /* lines that the client was too slow for */
	uint64_t told;     /* of missed and unsent together */
	uint64_t alive_us; /* mono: when the next line is due at the latest */
};

/* ---- Parameters ------------------------------------------------------------------------------ */

static bool sample_parse(const char *text, uint32_t *ret)
{
	uint64_t sample = 1;
	if (text != NULL && bytes_parse_u64(bytes_of_text(text), &sample) != RESULT_OK) {
		return false;
	}
	*ret = (uint32_t)sample;
	return sample >= 1 && sample <= CONTROL_TAIL_SAMPLE_MAX;
}

bool control_tail_admit(struct control_call *call)
{
	uint32_t sample;
	const char *endpoint = control_query_get(&call->query, "endpoint");
	const char *refusals = control_query_get(&call->query, "refusals");
	if (!sample_parse(control_query_get(&call->query, "sample"), &sample)) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"sample is a number from 1 to %u", CONTROL_TAIL_SAMPLE_MAX);
		return false;
	}
	if (refusals != NULL && strcmp(refusals, "true") != 0) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"refusals is true, or not there");
		return false;
	}
	if (endpoint != NULL && !control_name_known(call, 'e', endpoint)) {
		control_problem(call, 404, "no_such_endpoint", "There is no such endpoint",
			"no endpoint is or was called \"%s\"", endpoint);
		return false;
	}
	return true;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static struct json *line_open(struct tail *tail, const char *kind)
{
	struct json *json = control_answer(tail->call, "penstock.tail/v1");
	json_text(json, "kind", kind);
	return json;
}

/* What nobody has been told of yet is missing right here. */
static void tell_missed(struct tail *tail)
{
	uint64_t lost = tail->follower.missed + tail->unsent;
	if (lost == tail->told) return;
	struct json *json = line_open(tail, "missed");
	json_number(json, "count", lost - tail->told);
	json_object_end(json);
	if (control_stream_line(tail->call, true)) tail->told = lost;
}

static void write_names(struct json *json, const struct flow *flow, const struct tap_record *record)
{
	const struct flow_endpoint *endpoint =
		record->endpoint_id != 0 ? flow_endpoint_by_id(flow, record->endpoint_id) : NULL;
	const struct flow_target *target =
		record->target_id != 0 ? flow_target_by_id(flow, record->target_id) : NULL;
	json_text_or_null(json, "endpoint",
		endpoint != NULL ? bytes_of_text(endpoint->name) : BYTES_EMPTY);
	json_text_or_null(json, "target",
		target != NULL ? bytes_of_text(target->name) : BYTES_EMPTY);
}

static void write_record(struct tail *tail, const struct flow *flow,
	const struct tap_record *record)
{
	struct json *json = line_open(tail, tap_kind_code((enum tap_kind)record->kind));
	json_time(json, "time", (wall_t){ record->time_us });
	if (record->sequence != 0 && record->received_us != 0) {
		control_json_event_id(json, "id",
			&(struct event){
				.sequence = record->sequence,
				.shard = record->shard,
				.received = { record->received_us },
			});
	} else {
		json_null(json, "id");
	}
	write_names(json, flow, record);
	json_number(json, "status", record->status);
	json_number(json, "attempt", record->attempt_number);
	json_number(json, "duration_us", record->duration_us);
	json_text_or_null(json, "reason",
		record->reason != NULL ? bytes_of_text(record->reason) : BYTES_EMPTY);
	json_text_or_null(json, "detail", bytes_of_text(record->detail));
	json_object_end(json);
	if (!control_stream_line(tail->call, true)) tail->unsent++;
}

/* ---- The stream ------------------------------------------------------------------------------ */

static bool is_wanted(const struct tail *tail, const struct tap_record *record)
{
	if (tail->refusals_only && record->kind != TAP_REFUSED) return false;
	return !tail->by_endpoint || record->endpoint_id == tail->endpoint_id;
}

/* Each worker's records are in order; between workers the clock tells. */
static void take_all(struct tail *tail, const struct flow *flow)
{
	uint64_t now_us = control_mono().us;
	struct tap_record record;
	for (uint32_t i = 0; i < tail->follower.ring_count; i++) {
		/* No more than a ring's worth of each, or one that is busy keeps us here. */
		for (uint32_t j = 0; j < TAP_RING_RECORDS; j++) {
			if (!tap_read(&tail->follower, i, &record)) break;
			if (!is_wanted(tail, &record)) continue;
			tell_missed(tail);
			write_record(tail, flow, &record);
			tail->alive_us = now_us + CONTROL_TAIL_ALIVE_MS * US_PER_MS;
		}
	}
	tell_missed(tail);
	if (now_us < tail->alive_us) return;
	tail->alive_us = now_us + CONTROL_TAIL_ALIVE_MS * US_PER_MS;
	struct json *json = line_open(tail, "alive");
	json_time(json, "time", control_now());
	json_object_end(json);
	(void)control_stream_line(tail->call, true);
}

static bool is_over(const struct control_call *call)
{
	return atomic_load(&call->control->stopping) || atomic_load(&call->task->abandoned);
}

void control_handle_tail(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	const struct timespec pause = { .tv_nsec = CONTROL_TAIL_INTERVAL_MS * 1000000L };
	const char *endpoint = control_query_get(&call->query, "endpoint");
	uint32_t sample;
	struct tail *tail = alloc_array(1, sizeof *tail);

	tail->call = call;
	tail->refusals_only = control_query_get(&call->query, "refusals") != NULL;
	tail->by_endpoint = endpoint != NULL;
	if (endpoint != NULL) tail->endpoint_id = flow_id_of_name(endpoint);
	CHECK(sample_parse(control_query_get(&call->query, "sample"), &sample));
	/* As many tasks as followers; but another control may be in this process, in tests. */
	if (tap_follow(&tail->follower, daemon->worker_count, sample)) {
		while (!is_over(call)) {
			struct flow *flow = daemon->flow(daemon->owner);
			if (flow != NULL) {
				take_all(tail, flow);
				flow_release(flow);
			}
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		}
		tap_leave(&tail->follower);
	}
	alloc_free(tail);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_drain — ends intake, waits until everything is delivered, and says what is not.
 *
 * Deliveries go on after the answer, too, until the daemon stops.
 */
#include <poll.h>

#include "base/alloc.h"
#include "base/log.h"
#include "control/control_internal.h"

/* How often it is looked, and said. */
enum { LOOK_MS = 50, TELL_MS = 1000 };

struct left {
	const struct flow *flow;
	uint64_t *counts; /* by endpoint; those that are in no configuration any more are last */
	bool complete;    /* all of them were counted */
};

static uint64_t outstanding(const struct control_daemon *daemon)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct shard_counters one = shard_counters(daemon->shards[i]);
		uint64_t settled = one.deliveries_delivered + one.deliveries_dead;
		if (one.deliveries_created > settled) sum += one.deliveries_created - settled;
	}
	return sum;
}

/* Requests under way may still become deliveries. */
static bool intake_over(const struct control_daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct control_worker_status status;
		daemon->worker_status(daemon->owner, i, &status);
		if (status.connections > 0 || status.requests > 0) return false;
	}
	return true;
}

/* Returns how many are left: none, or as many as there are at the deadline. */
static uint64_t left_wait(const struct control_call *call, uint64_t deadline_s)
{
	const struct control_daemon *daemon = call->daemon;
	uint64_t end_us = control_mono().us + deadline_s * US_PER_S;
	uint64_t told_us = 0;

	for (;;) {
		bool over = intake_over(daemon);
		uint64_t count = outstanding(daemon);
		uint64_t now_us = control_mono().us;
		if (now_us >= told_us + TELL_MS * US_PER_MS) {
			daemon->drain_left(daemon->owner, count);
			told_us = now_us;
		}
		bool finished = over && count == 0;
		if (finished || now_us >= end_us || atomic_load(&call->control->stopping)) {
			daemon->drain_left(daemon->owner, count);
			return count;
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
}

static void left_visit(void *owner, uint32_t endpoint_id)
{
	struct left *left = owner;
	const struct flow_endpoint *endpoint = flow_endpoint_by_id(left->flow, endpoint_id);

	left->counts[endpoint != NULL ? endpoint->index : left->flow->endpoint_count]++;
}

static void left_find(const struct control_daemon *daemon, struct left *left)
{
	left->complete = true;
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		left->complete &=
			shard_left(daemon->shards[i], CONTROL_DRAIN_EVENTS_MAX, left_visit, left);
	}
}

static void write_left(struct json *json, const struct left *left)
{
	json_bool(json, "counted_all", left->complete);
	json_array(json, "endpoints");
	for (uint32_t i = 0; i <= left->flow->endpoint_count; i++) {
		if (left->counts[i] == 0) continue;
		json_object(json, NULL);
		if (i < left->flow->endpoint_count) {
			json_text(json, "endpoint", left->flow->endpoints[i].name);
		} else {
			json_null(json, "endpoint");
		}
		json_number(json, "outstanding", left->counts[i]);
		json_object_end(json);
	}
	json_array_end(json);
}

static void answer_drain(struct control_call *call, struct flow *flow, uint64_t count,
	uint64_t waited_ms)
{
	const struct control_daemon *daemon = call->daemon;
	struct left left = { .flow = flow,
		.counts = alloc_array((size_t)flow->endpoint_count + 1, sizeof(uint64_t)),
		.complete = true };

	if (count > 0) left_find(daemon, &left);
	struct json *json = control_answer(call, "penstock.drain/v1");
	json_text(json, "state", daemon_state_code(daemon->state(daemon->owner)));
	json_bool(json, "complete", count == 0);
	json_number(json, "outstanding", count);
	json_number(json, "waited_ms", waited_ms);
	write_left(json, &left);
	json_object_end(json);
	alloc_free(left.counts);
}

void control_handle_drain(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	const char *text = control_query_get(&call->query, "deadline");
	struct flow *flow = control_flow(call);
	if (flow == NULL) return;

	uint64_t deadline_s = flow->config->drain_timeout_s;
	if (text != NULL &&
		(bytes_parse_u64(bytes_of_text(text), &deadline_s) != RESULT_OK ||
			deadline_s > DRAIN_TIMEOUT_S_LIMIT)) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"deadline is a number of seconds up to %u", DRAIN_TIMEOUT_S_LIMIT);
		flow_release(flow);
		return;
	}
	control_action(call, SHARD_ACTION_DRAIN, "");
	uint64_t began_us = control_mono().us;
	daemon->drain(daemon->owner);
	uint64_t count = left_wait(call, deadline_s);
	answer_drain(call, flow, count, (control_mono().us - began_us) / US_PER_MS);
	flow_release(flow);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_call — one request on its way to an answer: its memory, its answer's shape, problem
 * documents, and what several handlers need.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "control/control_internal.h"

struct control_call *control_call_create(struct control *control, const struct control_peer *peer)
{
	struct control_call *call = alloc_array(1, sizeof *call);
	call->control = control;
	call->daemon = &control->daemon;
	call->peer = *peer;
	/* Mapped: only what an answer fills costs memory. */
	call->memory = alloc_map(CONTROL_ANSWER_SIZE_MAX);
	call->body = writer_of(call->memory + CONTROL_HEAD_ROOM,
		CONTROL_ANSWER_SIZE_MAX - CONTROL_HEAD_ROOM);
	call->json = json_of(&call->body);
	return call;
}

void control_call_free(struct control_call *call)
{
	if (call == NULL) return;
	alloc_unmap(call->memory, CONTROL_ANSWER_SIZE_MAX);
	alloc_free(call);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static struct json *answer_open(struct control_call *call, unsigned status, const char *type,
	const char *schema)
{
	call->status = status;
	call->content_type = type;
	call->body.size = 0;
	call->body.failed = false;
	call->json = json_of(&call->body);
	json_object(&call->json, NULL);
	json_text(&call->json, "schema", schema);
	return &call->json;
}

struct json *control_answer(struct control_call *call, const char *schema)
{
	return answer_open(call, 200, "application/json", schema);
}

struct json *control_problem_open(struct control_call *call, unsigned status, const char *code,
	const char *title, const char *detail)
{
	struct json *json =
		answer_open(call, status, "application/problem+json", "penstock.problem/v1");
	char type[128];
	snprintf(type, sizeof type, "urn:penstock:problem:%s", code);
	json_text(json, "type", type);
	json_text(json, "title", title);
	json_number(json, "status", status);
	json_text(json, "code", code);
	json_text(json, "detail", detail);
	return json;
}

void control_problem(struct control_call *call, unsigned status, const char *code,
	const char *title, const char *format, ...)
{
	char detail[400];
	va_list arguments;
	va_start(arguments, format);
	/* Cut when too long: it is for reading. */
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	json_object_end(control_problem_open(call, status, code, title, detail));
}

void control_answer_check(struct control_call *call)
{
	/* The payload and the metrics are no JSON: their writers leave the depth at zero. */
	if (call->status != 0 && json_complete(&call->json)) return;
	log_error("control answer is not complete status=%u size=%zu depth=%u failed=%d",
		call->status, call->body.size, call->json.depth, call->body.failed);
	control_problem(call, 500, "answer_too_large", "The answer did not fit",
		"ask for less with limit=");
}

/* ---- Problems and parameters that several handlers share ------------------------------------- */

bool control_limit(struct control_call *call, uint32_t *ret_limit)
{
	const char *text = control_query_get(&call->query, "limit");
	uint64_t limit = CONTROL_LIMIT_DEFAULT;
	if (text != NULL &&
		(bytes_parse_u64(bytes_of_text(text), &limit) != RESULT_OK || limit < 1 ||
			limit > CONTROL_LIMIT_MAX)) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"limit is a number from 1 to %u", CONTROL_LIMIT_MAX);
		return false;
	}
	*ret_limit = (uint32_t)limit;
	return true;
}

void control_problem_store(struct control_call *call, enum result result)
{
	log_error("control: reading the store failed result=\"%s\"", result_text(result));
	control_problem(call, 500, "store_failed", "The store could not be read", "%s",
		result_text(result));
}

struct flow *control_flow(struct control_call *call)
{
	struct flow *flow = call->daemon->flow(call->daemon->owner);
	if (flow == NULL) {
		control_problem(call, 503, "starting", "The daemon is starting",
			"no configuration is served yet");
	}
	return flow;
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

wall_t control_now(void)
{
	struct timespec now;
	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (wall_t){ (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000 };
}

mono_t control_mono(void)
{
	struct timespec now;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (mono_t){ (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000 };
}

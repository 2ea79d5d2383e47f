/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_gather — requests wait for each other to be verified together, which costs half: what is
 * hashed is hashed in lanes (base/sha256_lanes.h).
 *
 * When there are as many as lanes they are verified at once, and else when a turn has brought
 * nothing, however few they are. While turns do bring something, more are coming: for
 * RECEIVE_GATHER_US_MAX, and the turn that is under way then. The task runs at the end of each
 * turn, and keeps the next one from waiting.
 *
 * A request stays although its client goes, as one does that is on its way to disk: it was whole,
 * and what becomes of it may not depend on how busy the worker is.
 */
#include "base/check.h"
#include "base/sha256_lanes.h"
#include "receive/receive_internal.h"

BOUND((int)VERIFY_TASKS_MAX == (int)SHA256_LANES);

/* Those who are answered go on: with a request that was sent together with this one they are among
 * the next to be verified. */
static void finish_all(struct receive *receive)
{
	struct gathering *gathering = &receive->gathering;
	struct request *requests[VERIFY_TASKS_MAX];
	struct verify_outcome outcomes[VERIFY_TASKS_MAX];
	uint32_t count = gathering->count;

	verify_finish(gathering->tasks, count, io_wall(receive->loop->io));
	for (uint32_t i = 0; i < count; i++) {
		requests[i] = gathering->requests[i];
		outcomes[i] = gathering->tasks[i].outcome;
	}
	gathering->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct connection *connection = requests[i]->connection;
		if (connection != NULL) connection->state = CONNECTION_BODY;
		event_judge(requests[i], &outcomes[i]);
		if (connection != NULL) connection_run(connection);
	}
}

void gather_finish(struct receive *receive)
{
	struct gathering *gathering = &receive->gathering;

	if (gathering->finishing) return;
	gathering->finishing = true;
	while (gathering->count > 0) finish_all(receive);
	gathering->finishing = false;
}

static void gather_look(void *owner)
{
	struct receive *receive = owner;
	struct gathering *gathering = &receive->gathering;
	mono_t now = loop_now(receive->loop);

	if (gathering->count == 0) return;
	if (loop_found_nothing(receive->loop) ||
		mono_since_us(gathering->since, now) >= RECEIVE_GATHER_US_MAX) {
		gather_finish(receive);
	} else {
		loop_defer(receive->loop, &gathering->task);
	}
}

void gather_open(struct receive *receive)
{
	struct gathering *gathering = &receive->gathering;

	task_init(&gathering->task, gather_look, receive);
	gathering->usable = sha256_lanes_usable();
}

void gather_close(struct receive *receive)
{
	CHECK(receive->gathering.count == 0);
	task_cancel(&receive->gathering.task);
}

struct verify_task *gather_task(struct receive *receive, const struct request *request)
{
	struct gathering *gathering = &receive->gathering;

	if (!gathering->usable || gathering->count == VERIFY_TASKS_MAX) return NULL;
	if (request->body_size > RECEIVE_GATHER_BODY_SIZE_MAX) return NULL;
	return &gathering->tasks[gathering->count];
}

void gather_add(struct request *request)
{
	struct receive *receive = request->receive;
	struct gathering *gathering = &receive->gathering;

	CHECK(gathering->count < VERIFY_TASKS_MAX);
	if (gathering->count == 0) {
		gathering->since = loop_now(receive->loop);
		loop_defer(receive->loop, &gathering->task);
	}
	request->connection->state = CONNECTION_GATHERED;
	gathering->requests[gathering->count++] = request;
	if (gathering->count == VERIFY_TASKS_MAX) gather_finish(receive);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_task — slow calls on threads of their own, so that health checks and metrics are
 * answered while a configuration loads or an audit log is recomputed.
 *
 * One at a time per route, and TAP_FOLLOWERS_MAX tails. The task's thread owns the call until
 * `finished`; the control thread then joins it and gives the call to the client, or drops it when
 * the client has gone.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "control/control_internal.h"

void control_tasks_init(struct control *control)
{
	for (size_t i = 0; i < CONTROL_TASK_COUNT; i++) {
		control->tasks[i].control = control;
		CHECK(pthread_mutex_init(&control->tasks[i].lock, NULL) == 0);
	}
}

static void *task_run(void *argument)
{
	struct control_task *task = argument;
	control_route_run(task->call);
	pthread_mutex_lock(&task->lock);
	task->finished = true;
	pthread_mutex_unlock(&task->lock);
	control_wake(task->control);
	return NULL;
}

static void stream_memory_free(struct control_task *task)
{
	alloc_free(task->stream.data);
	task->stream = (struct writer){ 0 };
}

/* NULL: none is free. Those behind the routes' own are for tails. */
static struct control_task *task_find(struct control *control, enum control_route route)
{
	size_t end = route == CONTROL_ROUTE_TAIL ? CONTROL_TASK_COUNT : 0;
	if (!control->tasks[route].active) return &control->tasks[route];
	for (size_t i = CONTROL_ROUTE_COUNT; i < end; i++) {
		if (!control->tasks[i].active) return &control->tasks[i];
	}
	return NULL;
}

bool control_task_start(struct control_client *client, struct control_call *call)
{
	struct control_task *task = task_find(call->control, call->route);
	if (task == NULL) {
		bool tail = call->route == CONTROL_ROUTE_TAIL;
		control_problem(call, 409, "busy",
			tail ? "As many as may be are running" : "One is running already",
			"wait until %s is done and ask again", tail ? "one" : "it");
		return false;
	}
	task->call = call;
	task->finished = false;
	atomic_store(&task->abandoned, false);
	call->task = task;
	if (control_route_pace(call->route) == CONTROL_STREAM) {
		task->stream = writer_of(alloc_array(CONTROL_STREAM_SIZE, 1), CONTROL_STREAM_SIZE);
	}
	int failed = pthread_create(&task->thread, NULL, task_run, task);
	if (failed != 0) {
		stream_memory_free(task);
		call->task = NULL;
		log_error("cannot start a thread for a control request: %s", strerror(failed));
		control_problem(call, 503, "no_thread", "The daemon cannot start a thread", "%s",
			strerror(failed));
		return false;
	}
	task->active = true;
	task->client = client;
	client->task = task;
	return true;
}

bool control_stream_line(struct control_call *call, bool may_drop)
{
	struct control_task *task = call->task;
	CHECK(json_complete(&call->json));

	write_u8(&call->body, '\n');
	pthread_mutex_lock(&task->lock);
	/* The second half is kept for lines that must arrive. */
	bool full = task->stream.size > CONTROL_STREAM_SIZE / 2;
	bool taken = !(may_drop && full);
	if (taken) {
		write_bytes(&task->stream, writer_bytes(&call->body));
		/* Only once its client has gone: a client that takes nothing is closed long
		 * before the second half is full. */
		task->stream.failed = false;
	}
	pthread_mutex_unlock(&task->lock);
	call->body.size = 0;
	control_wake(call->control);
	return taken;
}

/* Gives the client what the stream holds, as soon as it has taken what it was given before. */
static void stream_collect(struct control_task *task)
{
	struct control_client *client = task->client;
	if (client == NULL || client->state != CLIENT_STREAMING || client->output_size > 0) return;

	pthread_mutex_lock(&task->lock);
	if (task->stream.size > 0) control_client_stream(client, writer_bytes(&task->stream));
	task->stream.size = 0;
	pthread_mutex_unlock(&task->lock);
}

static void task_end(struct control_task *task)
{
	bool streams = control_route_pace(task->call->route) == CONTROL_STREAM;
	struct control_client *client = task->client;
	/* The last lines are still with the client's socket: come back when they are gone. */
	if (streams && client != NULL && (client->output_size > 0 || task->stream.size > 0)) return;

	CHECK(pthread_join(task->thread, NULL) == 0);
	task->active = false;
	task->client = NULL;
	struct control_call *call = task->call;
	task->call = NULL;
	call->task = NULL;
	stream_memory_free(task);
	if (streams || client == NULL) control_call_free(call);
	if (client == NULL) return;
	if (streams) {
		control_client_stream_end(client);
	} else {
		control_client_answer(client, call);
	}
	control_client_continue(client);
}

void control_tasks_collect(struct control *control)
{
	for (size_t i = 0; i < CONTROL_TASK_COUNT; i++) {
		struct control_task *task = &control->tasks[i];
		if (!task->active) continue;
		pthread_mutex_lock(&task->lock);
		bool finished = task->finished;
		pthread_mutex_unlock(&task->lock);
		stream_collect(task);
		if (finished) task_end(task);
	}
}

void control_tasks_done(struct control *control)
{
	for (size_t i = 0; i < CONTROL_TASK_COUNT; i++) {
		struct control_task *task = &control->tasks[i];
		if (task->active) {
			CHECK(pthread_join(task->thread, NULL) == 0);
			control_call_free(task->call);
			stream_memory_free(task);
			task->active = false;
		}
		CHECK(pthread_mutex_destroy(&task->lock) == 0);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker — see worker.h. The thread's life reads from worker_main() downwards: open, serve,
 * stop; above it stand the letters it answers.
 */
#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

/* Old events are deleted a little at a time, this often. */
#define EXPIRE_INTERVAL_US (30 * US_PER_S)
/* While anything is undelivered the queue is looked at so often, whatever else happens: that a
 * target holds up the others it notices by time. */
#define TICK_INTERVAL_US US_PER_S

struct worker {
	struct worker_config config;
	uint32_t connections_max; /* as it was started with, whatever a reload says */
	struct flow *flow;
	struct contexts *contexts;
	struct metrics *metrics;
	struct loop loop;
	struct streams streams;
	struct queue *queue;
	struct receive *receive;
	struct deliver *deliver;
	pthread_t thread;
	sem_t started;
	enum result start_result;
	char start_error[256];
	/* The queue's wake-up: posted at most once at a time. */
	struct letter queue_letter;
	atomic_bool queue_letter_posted;
	struct timer due;
	wall_t due_at;
	struct timer tick;
	struct timer expire;
	struct timer deadline;
	bool stopping;
	bool overdue; /* the drain time is over */
	sem_t stop_returned;
};

/* ---- The queue's wishes ---------------------------------------------------------------------- */

static void tick_start(struct worker *worker)
{
	if (timer_running(&worker->tick)) return;
	timer_start(&worker->loop.timers, &worker->tick, loop_now(&worker->loop), TICK_INTERVAL_US);
}

static void tick_expired(void *owner)
{
	struct worker *worker = owner;

	queue_work(worker->queue, io_wall(worker->loop.io));
	/* An idle daemon does not wake up. */
	struct queue_usage usage = queue_usage(worker->queue);
	if (usage.window_events > 0 || usage.backlog > 0) tick_start(worker);
}

static void queue_ready(void *owner, uint32_t target_id)
{
	struct worker *worker = owner;

	tick_start(worker);
	deliver_ready(worker->deliver, target_id);
}

static void queue_letter_open(struct letter *letter)
{
	struct worker *worker = CONTAINER_OF(letter, struct worker, queue_letter);

	/* Before the work: a wake that comes during it must post again. */
	atomic_store(&worker->queue_letter_posted, false);
	queue_work(worker->queue, io_wall(worker->loop.io));
}

static void queue_wake(void *owner)
{
	struct worker *worker = owner;

	if (!atomic_exchange(&worker->queue_letter_posted, true)) {
		loop_post(&worker->loop, &worker->queue_letter.mail);
	}
}

static void queue_due(void *owner, wall_t when)
{
	struct worker *worker = owner;

	worker->due_at = when;
	if (when.us == UINT64_MAX) {
		timer_stop(&worker->loop.timers, &worker->due);
		return;
	}
	wall_t now = io_wall(worker->loop.io);
	uint64_t delay_us = when.us > now.us ? when.us - now.us : 0;
	timer_start(&worker->loop.timers, &worker->due, loop_now(&worker->loop), delay_us);
}

static void due_expired(void *owner)
{
	struct worker *worker = owner;
	wall_t now = io_wall(worker->loop.io);

	/* The wall clock has gone back. The queue has said when, and will not say it again. */
	if (now.us < worker->due_at.us) {
		queue_due(worker, worker->due_at);
		return;
	}
	queue_work(worker->queue, now);
}

static void expire_expired(void *owner)
{
	struct worker *worker = owner;

	shard_expire(worker->config.shard, io_wall(worker->loop.io));
	timer_start(&worker->loop.timers, &worker->expire, loop_now(&worker->loop),
		EXPIRE_INTERVAL_US);
}

/* ---- Letters from cold threads --------------------------------------------------------------- */

struct command {
	struct letter letter;
	struct worker *worker;
	sem_t done;
	/* Arguments and answers, as the command needs them. */
	struct flow *flow;
	struct contexts *contexts;
	struct worker_status *status;
	uint32_t target_id;
	struct deliver_target_usage *target;
	bool found;
};

static void command_run(struct worker *worker, struct command *command,
	void (*open)(struct letter *letter))
{
	command->letter.open = open;
	command->worker = worker;
	CHECK(sem_init(&command->done, 0, 0) == 0);
	loop_post(&worker->loop, &command->letter.mail);
	while (sem_wait(&command->done) != 0) continue; /* EINTR */
	sem_destroy(&command->done);
}

static void command_publish(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);
	struct worker *worker = command->worker;
	struct contexts *contexts = command->contexts;

	receive_flow_set(worker->receive, command->flow);
	for (uint32_t i = 0; i < contexts->listener_count; i++) {
		receive_listener_context(worker->receive, i, contexts->listeners[i]);
		contexts->listeners[i] = NULL;
	}
	deliver_flow_set(worker->deliver, command->flow, contexts->targets);
	for (uint32_t i = 0; i < contexts->target_count; i++) contexts->targets[i] = NULL;

	struct flow *old = worker->flow;
	worker->flow = command->flow;
	command->flow = old; /* goes back to be released on a cold thread */
	sem_post(&command->done);
}

void worker_publish(struct worker *worker, struct flow *flow, struct contexts *contexts)
{
	struct command command = { .flow = flow_acquire(flow), .contexts = contexts };

	command_run(worker, &command, command_publish);
	flow_release(command.flow);
	contexts_free(contexts);
}

static void command_drain(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);

	receive_drain(command->worker->receive);
	sem_post(&command->done);
}

void worker_drain(struct worker *worker)
{
	struct command command = { 0 };
	command_run(worker, &command, command_drain);
}

static void deadline_expired(void *owner)
{
	struct worker *worker = owner;

	worker->overdue = true;
	receive_abort(worker->receive);
	deliver_abort(worker->deliver);
}

static void command_stop(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);
	struct worker *worker = command->worker;

	if (!worker->stopping) {
		worker->stopping = true;
		receive_drain(worker->receive);
		deliver_drain(worker->deliver);
		timer_stop(&worker->loop.timers, &worker->expire);
		timer_start(&worker->loop.timers, &worker->deadline, loop_now(&worker->loop),
			worker->config.drain_us);
	}
	sem_post(&command->done);
}

void worker_stop_begin(struct worker *worker)
{
	struct command command = { 0 };

	command_run(worker, &command, command_stop);
	sem_post(&worker->stop_returned);
}

static void command_status(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);
	struct worker *worker = command->worker;
	struct timespec cpu;

	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
	*command->status = (struct worker_status){
		.cpu = worker->config.cpu,
		.connections_max = worker->connections_max,
		.receive = receive_usage(worker->receive),
		.deliver = deliver_usage(worker->deliver),
		.queue = queue_usage(worker->queue),
		.io = io_statistics(worker->loop.io),
		.cpu_us = (uint64_t)cpu.tv_sec * US_PER_S + (uint64_t)cpu.tv_nsec / 1000,
	};
	sem_post(&command->done);
}

void worker_status(struct worker *worker, struct worker_status *ret)
{
	struct command command = { .status = ret };
	command_run(worker, &command, command_status);
}

static void command_target(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);

	command->found =
		deliver_target_usage(command->worker->deliver, command->target_id, command->target);
	sem_post(&command->done);
}

bool worker_target_usage(struct worker *worker, uint32_t target_id,
	struct deliver_target_usage *ret)
{
	struct command command = { .target_id = target_id, .target = ret };

	command_run(worker, &command, command_target);
	return command.found;
}

static void worker_mail(void *owner, struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

	(void)owner; /* a letter knows what it is about */
	letter->open(letter);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	if (cpu < 0) return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
		log_warning("cannot pin a worker to CPU %d; it runs unpinned", cpu);
	}
}

uint32_t worker_body_size_max(const struct config *config)
{
	/* The buffers are made for what the program allows at most only when an endpoint asks for
	 * more than the default; they are touched only when used. */
	uint32_t size = RECEIVE_BODY_SIZE_DEFAULT;
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		if (config->endpoints[i].body_size_max > size) size = RECEIVE_BODY_SIZE_LIMIT;
	}
	return size;
}

static enum result worker_listen(struct worker *worker)
{
	const struct config *config = worker->config.config;

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		uint32_t index;
		enum result result = receive_listen(worker->receive, &listener->address,
			worker->contexts->listeners[i], &index);
		if (result != RESULT_OK) {
			char address[ADDRESS_TEXT_SIZE];
			address_format(&listener->address, address);
			snprintf(worker->start_error, sizeof worker->start_error,
				"cannot listen on %s (%s): %s", address, listener->name,
				strerror(errno));
			return result;
		}
		CHECK(index == i);
		worker->contexts->listeners[i] = NULL;
	}
	return RESULT_OK;
}

static enum result worker_open_queue(struct worker *worker)
{
	struct queue_events events = {
		.ready = queue_ready,
		.wake = queue_wake,
		.due = queue_due,
		.owner = worker,
	};
	enum result result =
		queue_open(worker->config.shard, &events, io_wall(worker->loop.io), &worker->queue);
	if (result != RESULT_OK) {
		snprintf(worker->start_error, sizeof worker->start_error,
			"cannot read the queue of shard %u: %s", worker->config.index,
			result_text(result));
	}
	return result;
}

static enum result worker_open(struct worker *worker)
{
	const struct config *config = worker->config.config;
	struct io_config io_config = {
		.sockets_max = config->connections_max + RECEIVE_PARKED_MAX + DELIVER_CHANNELS_MAX +
			config->listener_count,
		.buffer_count = IO_BUFFER_COUNT,
		.buffer_size = IO_BUFFER_SIZE,
	};

	enum result result = loop_open(&worker->loop, &io_config);
	if (result != RESULT_OK) {
		snprintf(worker->start_error, sizeof worker->start_error, "%s", io_open_error());
		/* Forbidden or too old: for the operator both are a setting of the host. */
		return result == RESULT_PERMISSION ? RESULT_UNSUPPORTED : result;
	}
	worker->loop.mail = worker_mail;
	worker->loop.owner = worker;
	timer_init(&worker->due, due_expired, worker);
	timer_init(&worker->tick, tick_expired, worker);
	timer_init(&worker->expire, expire_expired, worker);
	timer_init(&worker->deadline, deadline_expired, worker);
	worker->queue_letter.open = queue_letter_open;
	streams_open(&worker->streams, &worker->loop,
		config->connections_max + DELIVER_CHANNELS_MAX);
	TRY(worker_open_queue(worker));

	deliver_open(
		&(struct deliver_config){
			.streams = &worker->streams,
			.queue = worker->queue,
			.metrics = worker->metrics,
			.channels_max = DELIVER_CHANNELS_MAX,
			.targets_max = TARGETS_MAX,
		},
		&worker->deliver);
	deliver_flow_set(worker->deliver, worker->flow, worker->contexts->targets);
	for (uint32_t i = 0; i < worker->contexts->target_count; i++) {
		worker->contexts->targets[i] = NULL;
	}
	receive_open(
		&(struct receive_config){
			.streams = &worker->streams,
			.shard = worker->config.shard,
			.queue = worker->queue,
			.replay = worker->config.replay,
			.metrics = worker->metrics,
			.connections_max = config->connections_max,
			.requests_max = config->requests_max,
			.body_size_max = worker_body_size_max(config),
			.listeners_max = config->listener_count,
		},
		worker->flow, &worker->receive);
	TRY(worker_listen(worker));
	timer_start(&worker->loop.timers, &worker->expire, loop_now(&worker->loop),
		EXPIRE_INTERVAL_US);
	queue_wake(worker); /* what was left from before */
	return RESULT_OK;
}

/* ---- Serving and closing --------------------------------------------------------------------- */

static bool worker_finished(const struct worker *worker)
{
	if (!worker->stopping) return false;
	if (!receive_idle(worker->receive) || !deliver_idle(worker->deliver)) return false;
	/* What the store does not take is delivered again after the next start. */
	return worker->overdue || queue_usage(worker->queue).settling == 0;
}

static void worker_turn(struct worker *worker)
{
	/* A ring that fails cannot be gone on with: nothing acked is at stake, the store is. */
	CHECK(loop_turn(&worker->loop) == RESULT_OK);
}

struct fence {
	struct store_job job;
	sem_t passed;
};

static void fence_apply(struct store_job *job, struct store_txn *txn)
{
	(void)job;
	(void)txn; /* it is only there to be completed */
}

static void fence_complete(struct store_job *job)
{
	sem_post(&CONTAINER_OF(job, struct fence, job)->passed);
}

/* Handing a job back, the writer first puts it into a mailbox and then wakes the worker. One that
 * was awake may be done with its last job in between, and must not be gone when it is woken. */
static void writer_wait(struct worker *worker)
{
	struct fence fence = {
		.job = { .apply = fence_apply, .complete = fence_complete, .uses_reserve = true },
	};

	CHECK(sem_init(&fence.passed, 0, 0) == 0);
	store_writer_submit(shard_writer(worker->config.shard), &fence.job);
	while (sem_wait(&fence.passed) != 0) continue; /* EINTR */
	sem_destroy(&fence.passed);
}

static void worker_close(struct worker *worker)
{
	/* The same with the thread that asked for the stop. */
	while (sem_wait(&worker->stop_returned) != 0) continue; /* EINTR */
	receive_close(worker->receive);
	deliver_close(worker->deliver);
	queue_close(worker->queue);
	writer_wait(worker);
	timer_stop(&worker->loop.timers, &worker->due);
	timer_stop(&worker->loop.timers, &worker->tick);
	timer_stop(&worker->loop.timers, &worker->expire);
	timer_stop(&worker->loop.timers, &worker->deadline);
	/* Letters of the queue that are still under way. */
	while (atomic_load(&worker->queue_letter_posted) && !mailbox_empty(&worker->loop.mailbox)) {
		atomic_store(&worker->queue_letter_posted, false);
		(void)mailbox_take_all(&worker->loop.mailbox);
	}
	streams_close(&worker->streams);
	loop_close(&worker->loop);
}

static void *worker_main(void *owner)
{
	struct worker *worker = owner;

	char name[16];
	snprintf(name, sizeof name, "worker-%u", worker->config.index);
	pthread_setname_np(pthread_self(), name);
	pin_to_cpu(worker->config.cpu);
	worker->start_result = worker_open(worker);
	sem_post(&worker->started);
	/* What was opened so far is not closed again: the program ends with the message. */
	if (worker->start_result != RESULT_OK) return NULL;

	alloc_thread_is_hot();
	while (!worker_finished(worker)) worker_turn(worker);
	alloc_thread_is_cold();
	worker_close(worker);
	return NULL;
}

enum result worker_start(const struct worker_config *config, struct flow *flow,
	struct contexts *contexts, struct worker **ret, char *error, size_t error_size)
{
	struct worker *worker = alloc_array(1, sizeof *worker);

	worker->config = *config;
	worker->connections_max = config->config->connections_max;
	worker->flow = flow_acquire(flow);
	worker->contexts = contexts;
	worker->metrics = metrics_cells_create();
	CHECK(sem_init(&worker->started, 0, 0) == 0);
	CHECK(sem_init(&worker->stop_returned, 0, 0) == 0);
	if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
		snprintf(error, error_size, "cannot create a thread: %s", strerror(errno));
		return RESULT_KERNEL;
	}
	while (sem_wait(&worker->started) != 0) continue; /* EINTR */
	if (worker->start_result != RESULT_OK) {
		snprintf(error, error_size, "%s", worker->start_error);
		pthread_join(worker->thread, NULL);
		return worker->start_result;
	}
	contexts_free(worker->contexts);
	worker->contexts = NULL;
	*ret = worker;
	return RESULT_OK;
}

void worker_stop_finish(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->started);
	sem_destroy(&worker->stop_returned);
	metrics_cells_free(worker->metrics);
	flow_release(worker->flow);
	alloc_free(worker);
}

void worker_stop(struct worker *worker)
{
	worker_stop_begin(worker);
	worker_stop_finish(worker);
}

/* ---- What does not change while it runs ------------------------------------------------------ */

struct queue *worker_queue(struct worker *worker)
{
	return worker->queue;
}

const char *worker_io_features(const struct worker *worker)
{
	return io_features(worker->loop.io);
}

struct io_address worker_listener_address(const struct worker *worker, uint32_t index)
{
	return receive_listener_address(worker->receive, index);
}

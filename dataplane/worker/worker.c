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
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "base/tap.h"
#include "worker/wiring.h"

/* What the worker accepts on, as receive knows it. */
struct accepting {
	int held;
	uint32_t index; /* receive's */
};

struct worker {
	struct worker_config config;
	uint32_t connections_max; /* as it was started with, whatever a reload says */
	struct flow *flow;
	struct contexts *contexts;
	struct metrics *metrics;
	struct wiring wiring;
	uint32_t accepting_count;
	struct accepting accepting[RECEIVE_LISTENERS_MAX];
	pthread_t thread;
	sem_t started;
	enum result start_result;
	char start_error[256];
	sem_t stop_returned;
	struct letter ping;
	atomic_bool ping_posted;
};

/* ---- Letters from cold threads --------------------------------------------------------------- */

struct command {
	struct letter letter;
	struct worker *worker;
	sem_t done;
	/* Arguments and answers, as the command needs them. */
	struct flow *flow;
	struct contexts *contexts;
	const struct worker_listeners *listeners;
	uint32_t failed;
	uint64_t drain_us;
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
	loop_post(&worker->wiring.loop, &command->letter.mail);
	while (sem_wait(&command->done) != 0) continue; /* EINTR */
	sem_destroy(&command->done);
}

/* ---- Listeners ------------------------------------------------------------------------------- */

static struct accepting *accepting_find(struct worker *worker, int held)
{
	for (uint32_t i = 0; i < worker->accepting_count; i++) {
		if (worker->accepting[i].held == held) return &worker->accepting[i];
	}
	return NULL;
}

static bool listeners_have(const struct worker_listeners *listeners, int held)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		if (listeners->all[i].held == held) return true;
	}
	return false;
}

/* Each holds a reference of its own. */
static struct tls_context *listener_context(const struct contexts *contexts, uint32_t index)
{
	struct tls_context *context = contexts->listeners[index];
	return context != NULL ? tls_context_acquire(context) : NULL;
}

static enum result listener_take(struct worker *worker, const struct worker_listener *listener,
	struct tls_context *context)
{
	struct accepting *known = accepting_find(worker, listener->held);
	if (known != NULL) {
		receive_listener_context(worker->wiring.receive, known->index, context);
		close(listener->fd);
		return RESULT_OK;
	}
	struct accepting *new = &worker->accepting[worker->accepting_count];
	enum result result = RESULT_FULL;
	if (worker->accepting_count < RECEIVE_LISTENERS_MAX) {
		result = receive_listen_on(worker->wiring.receive, listener->fd, context,
			&new->index);
	}
	if (result == RESULT_OK) {
		new->held = listener->held;
		worker->accepting_count++;
		return RESULT_OK;
	}
	if (context != NULL) tls_context_release(context);
	close(listener->fd);
	return result;
}

/* Returns how many there was no room for. */
static uint32_t listeners_take(struct worker *worker, const struct worker_listeners *listeners,
	const struct contexts *contexts)
{
	uint32_t failed = 0;

	/* First those that go, for their places. */
	for (uint32_t i = 0; i < worker->accepting_count;) {
		struct accepting *one = &worker->accepting[i];
		if (listeners_have(listeners, one->held)) {
			i++;
			continue;
		}
		receive_unlisten(worker->wiring.receive, one->index);
		*one = worker->accepting[--worker->accepting_count];
	}
	for (uint32_t i = 0; i < listeners->count; i++) {
		const struct worker_listener *one = &listeners->all[i];
		struct tls_context *context = listener_context(contexts, one->index);
		enum result result = listener_take(worker, one, context);
		/* One that drains takes none, and lacks none. */
		if (result != RESULT_OK && result != RESULT_CLOSED) failed++;
	}
	return failed;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void command_publish(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);
	struct worker *worker = command->worker;
	struct contexts *contexts = command->contexts;

	receive_flow_set(worker->wiring.receive, command->flow);
	deliver_flow_set(worker->wiring.deliver, command->flow,
		contexts != NULL ? contexts->targets : NULL);
	if (contexts != NULL) {
		/* They are deliver's by now. */
		for (uint32_t i = 0; i < contexts->target_count; i++) {
			contexts->targets[i].context = NULL;
		}
		command->failed = listeners_take(worker, command->listeners, contexts);
	}

	struct flow *old = worker->flow;
	worker->flow = command->flow;
	command->flow = old; /* goes back to be released on a cold thread */
	sem_post(&command->done);
}

uint32_t worker_publish(struct worker *worker, struct flow *flow, struct contexts *contexts,
	const struct worker_listeners *listeners)
{
	struct command command = {
		.flow = flow_acquire(flow), .contexts = contexts, .listeners = listeners
	};

	CHECK((contexts == NULL) == (listeners == NULL));
	command_run(worker, &command, command_publish);
	flow_release(command.flow);
	contexts_free(contexts);
	return command.failed;
}

static void command_drain_deliveries(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);

	deliver_drain(command->worker->wiring.deliver);
	sem_post(&command->done);
}

void worker_drain_deliveries(struct worker *worker)
{
	struct command command = { 0 };
	command_run(worker, &command, command_drain_deliveries);
}

static void command_drain(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);

	receive_drain(command->worker->wiring.receive);
	command->worker->accepting_count = 0; /* they leave by themselves */
	sem_post(&command->done);
}

void worker_drain(struct worker *worker)
{
	struct command command = { 0 };
	command_run(worker, &command, command_drain);
}

static void command_stop(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);
	struct worker *worker = command->worker;

	if (!worker->wiring.draining) wiring_drain(&worker->wiring, command->drain_us);
	sem_post(&command->done);
}

void worker_stop_begin(struct worker *worker, uint64_t drain_us)
{
	struct command command = { .drain_us = drain_us };

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
		.receive = receive_usage(worker->wiring.receive),
		.deliver = deliver_usage(worker->wiring.deliver),
		.queue = queue_usage(worker->wiring.queue),
		.io = io_statistics(worker->wiring.loop.io),
		.cpu_us = (uint64_t)cpu.tv_sec * US_PER_S + (uint64_t)cpu.tv_nsec / 1000,
	};
	sem_post(&command->done);
}

void worker_status(struct worker *worker, struct worker_status *ret)
{
	struct command command = { .status = ret };
	command_run(worker, &command, command_status);
}

static void ping_open(struct letter *letter)
{
	atomic_store(&CONTAINER_OF(letter, struct worker, ping)->ping_posted, false);
}

bool worker_ping(struct worker *worker)
{
	if (atomic_exchange(&worker->ping_posted, true)) return false;
	worker->ping.open = ping_open;
	loop_post(&worker->wiring.loop, &worker->ping.mail);
	return true;
}

static void command_target(struct letter *letter)
{
	struct command *command = CONTAINER_OF(letter, struct command, letter);

	command->found = deliver_target_usage(command->worker->wiring.deliver, command->target_id,
		command->target);
	sem_post(&command->done);
}

bool worker_target_usage(struct worker *worker, uint32_t target_id,
	struct deliver_target_usage *ret)
{
	struct command command = { .target_id = target_id, .target = ret };

	command_run(worker, &command, command_target);
	return command.found;
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
	const struct worker_listeners *listeners = worker->config.listeners;

	if (listeners_take(worker, listeners, worker->contexts) == 0) return RESULT_OK;
	snprintf(worker->start_error, sizeof worker->start_error,
		"worker %u has no room for %u sockets that listen, at most %u: hand fewer over",
		worker->config.index, listeners->count, RECEIVE_LISTENERS_MAX);
	return RESULT_FULL;
}

static enum result worker_open_loop(struct worker *worker)
{
	const struct config *config = worker->config.config;

	enum result result = wiring_open_loop(&worker->wiring,
		&(struct wiring_config){
			.shard = worker->config.shard,
			.replay = worker->config.replay,
			.metrics = worker->metrics,
			.spans = worker->config.spans,
			.connections_max = config->connections_max,
			.requests_max = config->requests_max,
			.body_size_max = worker_body_size_max(config),
			.listeners_max = RECEIVE_LISTENERS_MAX,
			.channels_max = DELIVER_CHANNELS_MAX,
			.targets_max = TARGETS_MAX,
			.buffer_count = IO_BUFFER_COUNT,
			.buffer_size = IO_BUFFER_SIZE,
		});
	if (result == RESULT_OK) return RESULT_OK;
	snprintf(worker->start_error, sizeof worker->start_error, "%s", io_open_error());
	/* Forbidden or too old: for the operator both are a setting of the host. */
	return result == RESULT_PERMISSION ? RESULT_UNSUPPORTED : result;
}

static enum result worker_open_queue(struct worker *worker)
{
	struct wiring *wiring = &worker->wiring;
	struct queue_events events = wiring_queue_events(wiring);

	enum result result =
		queue_open(worker->config.shard, &events, io_wall(wiring->loop.io), &wiring->queue);
	if (result != RESULT_OK) {
		snprintf(worker->start_error, sizeof worker->start_error,
			"cannot read the queue of shard %u: %s", worker->config.index,
			result_text(result));
	}
	return result;
}

static enum result worker_open(struct worker *worker)
{
	struct contexts *contexts = worker->contexts;

	TRY(worker_open_loop(worker));
	TRY(worker_open_queue(worker));
	wiring_open(&worker->wiring, worker->flow, contexts->targets);
	for (uint32_t i = 0; i < contexts->target_count; i++) contexts->targets[i].context = NULL;
	TRY(worker_listen(worker));
	wiring_begin(&worker->wiring);
	return RESULT_OK;
}

/* ---- Serving and closing --------------------------------------------------------------------- */

static void worker_turn(struct worker *worker)
{
	/* A ring that fails cannot be gone on with: nothing acked is at stake, the store is. */
	CHECK(loop_turn(&worker->wiring.loop) == RESULT_OK);
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
	wiring_close(&worker->wiring);
	writer_wait(worker);
	wiring_close_loop(&worker->wiring);
}

static void *worker_main(void *owner)
{
	struct worker *worker = owner;

	char name[16];
	snprintf(name, sizeof name, "worker-%u", worker->config.index);
	pthread_setname_np(pthread_self(), name);
	pin_to_cpu(worker->config.cpu);
	tap_thread(worker->config.index);
	worker->start_result = worker_open(worker);
	sem_post(&worker->started);
	/* What was opened so far is not closed again: the program ends with the message. */
	if (worker->start_result != RESULT_OK) return NULL;

	alloc_thread_is_hot();
	while (!wiring_finished(&worker->wiring)) worker_turn(worker);
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

/* ---- What does not change while it runs ------------------------------------------------------ */

struct queue *worker_queue(struct worker *worker)
{
	return worker->wiring.queue;
}

uint32_t worker_table_size(const struct worker *worker)
{
	return io_table_size(worker->wiring.loop.io);
}

const char *worker_io_features(const struct worker *worker)
{
	return io_features(worker->wiring.loop.io);
}

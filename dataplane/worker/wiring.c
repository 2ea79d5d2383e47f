/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker/wiring.h"

#include "base/check.h"

/* Old events are deleted a little at a time, this often. */
#define EXPIRE_INTERVAL_US (30 * US_PER_S)
/* While anything is undelivered the queue is looked at so often, whatever else happens: that a
 * target holds up the others it notices by time. */
#define TICK_INTERVAL_US US_PER_S

/* ---- The queue's wishes ---------------------------------------------------------------------- */

static void tick_start(struct wiring *wiring)
{
	if (timer_running(&wiring->tick)) return;
	timer_start(&wiring->loop.timers, &wiring->tick, loop_now(&wiring->loop), TICK_INTERVAL_US);
}

static void tick_expired(void *owner)
{
	struct wiring *wiring = owner;

	queue_work(wiring->queue, io_wall(wiring->loop.io));
	/* An idle daemon does not wake up. */
	struct queue_usage usage = queue_usage(wiring->queue);
	if (usage.window_events > 0 || usage.backlog > 0) tick_start(wiring);
}

static void queue_ready(void *owner, uint32_t target_id)
{
	struct wiring *wiring = owner;

	tick_start(wiring);
	deliver_ready(wiring->deliver, target_id);
}

static void queue_letter_open(struct letter *letter)
{
	struct wiring *wiring = CONTAINER_OF(letter, struct wiring, queue_letter);

	/* Before the work: a wake that comes during it must post again. */
	atomic_store(&wiring->queue_letter_posted, false);
	queue_work(wiring->queue, io_wall(wiring->loop.io));
}

static void queue_wake(void *owner)
{
	struct wiring *wiring = owner;

	if (!atomic_exchange(&wiring->queue_letter_posted, true)) {
		loop_post(&wiring->loop, &wiring->queue_letter.mail);
	}
}

static void queue_due(void *owner, wall_t when)
{
	struct wiring *wiring = owner;

	wiring->due_at = when;
	if (when.us == UINT64_MAX) {
		timer_stop(&wiring->loop.timers, &wiring->due);
		return;
	}
	wall_t now = io_wall(wiring->loop.io);
	uint64_t delay_us = when.us > now.us ? when.us - now.us : 0;
	timer_start(&wiring->loop.timers, &wiring->due, loop_now(&wiring->loop), delay_us);
}

static void due_expired(void *owner)
{
	struct wiring *wiring = owner;
	wall_t now = io_wall(wiring->loop.io);

	/* When the wall clock has gone back, too: what was only to wait a moment has waited. */
	queue_work(wiring->queue, now);
	if (timer_running(&wiring->due)) return;
	/* The queue has said when, and will not say it again. */
	if (now.us < wiring->due_at.us) queue_due(wiring, wiring->due_at);
}

static void expire_expired(void *owner)
{
	struct wiring *wiring = owner;

	shard_expire(wiring->config.shard, io_wall(wiring->loop.io));
	timer_start(&wiring->loop.timers, &wiring->expire, loop_now(&wiring->loop),
		EXPIRE_INTERVAL_US);
}

static void deadline_expired(void *owner)
{
	struct wiring *wiring = owner;

	wiring->overdue = true;
	receive_abort(wiring->receive);
	deliver_abort(wiring->deliver);
}

static void letter_arrived(void *owner, struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

	(void)owner; /* a letter knows what it is about */
	letter->open(letter);
}

/* Out of work: now the writer may have what was gathered. */
static uint64_t rest(void *owner, bool looked)
{
	struct wiring *wiring = owner;
	return store_writer_rest(shard_writer(wiring->config.shard), looked,
		receive_gathered(wiring->receive), loop_now(&wiring->loop).us);
}

/* ---- Opening --------------------------------------------------------------------------------- */

enum result wiring_open_loop(struct wiring *wiring, const struct wiring_config *config)
{
	struct io_config io_config = {
		.sockets_max = config->connections_max + RECEIVE_PARKED_MAX + config->channels_max +
			config->listeners_max,
		.buffer_count = config->buffer_count,
		.buffer_size = config->buffer_size,
	};

	*wiring = (struct wiring){ .config = *config };
	TRY(loop_open(&wiring->loop, &io_config));
	wiring->loop.mail = letter_arrived;
	wiring->loop.owner = wiring;
	timer_init(&wiring->due, due_expired, wiring);
	timer_init(&wiring->tick, tick_expired, wiring);
	timer_init(&wiring->expire, expire_expired, wiring);
	timer_init(&wiring->deadline, deadline_expired, wiring);
	wiring->queue_letter.open = queue_letter_open;
	streams_open(&wiring->streams, &wiring->loop,
		config->connections_max + config->channels_max);
	return RESULT_OK;
}

struct queue_events wiring_queue_events(struct wiring *wiring)
{
	return (struct queue_events){
		.ready = queue_ready,
		.wake = queue_wake,
		.due = queue_due,
		.owner = wiring,
	};
}

void wiring_open(struct wiring *wiring, struct flow *flow, const struct deliver_tls *tls)
{
	const struct wiring_config *config = &wiring->config;

	deliver_open(
		&(struct deliver_config){
			.streams = &wiring->streams,
			.queue = wiring->queue,
			.metrics = config->metrics,
			.spans = config->spans,
			.channels_max = config->channels_max,
			.targets_max = config->targets_max,
		},
		&wiring->deliver);
	deliver_flow_set(wiring->deliver, flow, tls);
	receive_open(
		&(struct receive_config){
			.streams = &wiring->streams,
			.shard = config->shard,
			.queue = wiring->queue,
			.replay = config->replay,
			.metrics = config->metrics,
			.spans = config->spans,
			.connections_max = config->connections_max,
			.requests_max = config->requests_max,
			.body_size_max = config->body_size_max,
			.listeners_max = config->listeners_max,
		},
		flow, &wiring->receive);
}

void wiring_begin(struct wiring *wiring)
{
	timer_start(&wiring->loop.timers, &wiring->expire, loop_now(&wiring->loop),
		EXPIRE_INTERVAL_US);
	store_writer_gather(shard_writer(wiring->config.shard), true);
	wiring->loop.rest = rest;
	queue_wake(wiring);
}

/* ---- Closing --------------------------------------------------------------------------------- */

void wiring_drain(struct wiring *wiring, uint64_t drain_us)
{
	CHECK(!wiring->draining);
	wiring->draining = true;
	receive_drain(wiring->receive);
	deliver_drain(wiring->deliver);
	timer_stop(&wiring->loop.timers, &wiring->expire);
	timer_start(&wiring->loop.timers, &wiring->deadline, loop_now(&wiring->loop), drain_us);
}

bool wiring_finished(const struct wiring *wiring)
{
	if (!wiring->draining) return false;
	if (!receive_idle(wiring->receive) || !deliver_idle(wiring->deliver)) return false;
	/* What the store does not take is delivered again after the next start. */
	return wiring->overdue || queue_usage(wiring->queue).settling == 0;
}

void wiring_close(struct wiring *wiring)
{
	struct timers *timers = &wiring->loop.timers;

	store_writer_gather(shard_writer(wiring->config.shard), false);
	wiring->loop.rest = NULL;
	receive_close(wiring->receive);
	deliver_close(wiring->deliver);
	queue_close(wiring->queue);
	timer_stop(timers, &wiring->due);
	timer_stop(timers, &wiring->tick);
	timer_stop(timers, &wiring->expire);
	timer_stop(timers, &wiring->deadline);
}

void wiring_close_loop(struct wiring *wiring)
{
	/* Letters of the queue that are still under way. */
	while (atomic_load(&wiring->queue_letter_posted) && !mailbox_empty(&wiring->loop.mailbox)) {
		atomic_store(&wiring->queue_letter_posted, false);
		(void)mailbox_take_all(&wiring->loop.mailbox);
	}
	streams_close(&wiring->streams);
	loop_close(&wiring->loop);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_admission — who becomes a connection, who waits for one, and when to accept at all.
 *
 * An armed accept hands over a listener's whole backlog, however few connections are left. What
 * comes too much is parked: it keeps its place, has nothing received, and is admitted in order as
 * connections become free, or as idle ones are closed for it. While anybody waits nobody else is
 * accepted; the others wait in the kernel's backlog.
 *
 * Who has been idle for long may have sent his next request while this worker, or the whole
 * machine, stood still: it is there with the new sockets and only not read yet. So nobody is closed
 * or told to come again before a turn has found nothing more; under a load that never lets up, a
 * few in each RECEIVE_ADMISSION_LOOK_MS.
 *
 * Ways it fails: no place within RECEIVE_HANDSHAKE_TIMEOUT_MS, or RECEIVE_PARKED_MAX are waiting
 * already. Then the socket is closed and counted as shed.
 */
#include "receive/receive_internal.h"

#include "base/check.h"

static void parked_timer_expired(void *owner);
static void admission_look(void *owner);

void admission_open(struct receive *receive)
{
	task_init(&receive->admission_task, admission_look, receive);
	pool_init(&receive->parked, sizeof(struct parked), RECEIVE_PARKED_MAX);
	list_init(&receive->parked_sockets);
	timer_init(&receive->parked_timer, parked_timer_expired, receive);
}

static bool connections_full(const struct receive *receive)
{
	return receive->connections.used_count == receive->connections.count;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Receiving is not started on it, so the socket needs no owner meanwhile. */
static void park(struct listener *listener, struct io_socket *socket)
{
	struct receive *receive = listener->receive;

	struct parked *parked = pool_take(&receive->parked);
	if (parked == NULL && !connections_full(receive)) {
		connection_open(listener, socket, true);
		return;
	}
	if (parked == NULL) {
		metrics_add(receive->config.metrics, METRICS_CONNECTIONS_SHED, 1);
		io_socket_close(receive->loop->io, socket);
		return;
	}
	*parked = (struct parked){
		.listener = listener,
		.socket = socket,
		.deadline = { loop_now(receive->loop).us +
			RECEIVE_HANDSHAKE_TIMEOUT_MS * US_PER_MS },
	};
	list_append(&receive->parked_sockets, &parked->node);
	listener->parked_count++;
	receive->parked_count++;
}

/* The one that waits for the longest; NULL when nobody does. */
static struct parked *parked_first(struct receive *receive)
{
	if (list_empty(&receive->parked_sockets)) return NULL;
	return LIST_ENTRY(receive->parked_sockets.next, struct parked, node);
}

static void parked_leave(struct receive *receive, struct parked *parked)
{
	list_remove(&parked->node);
	receive->parked_count--;
}

static void parked_closed(void *owner)
{
	struct parked *parked = owner;
	struct receive *receive = parked->listener->receive;

	listener_unpark(parked->listener);
	pool_give(&receive->parked, parked);
}

static const struct io_events parked_events = { .closed = parked_closed };

/* Its place stays taken until the socket is gone: receive_idle() is about sockets, too. */
static void parked_refuse(struct receive *receive, struct parked *parked)
{
	parked_leave(receive, parked);
	metrics_add(receive->config.metrics, METRICS_CONNECTIONS_SHED, 1);
	io_socket_adopt(parked->socket, &parked_events, parked);
	io_socket_close(receive->loop->io, parked->socket);
}

static void parked_timer_expired(void *owner)
{
	struct receive *receive = owner;
	mono_t now = loop_now(receive->loop);

	for (struct parked *parked = parked_first(receive);
		parked != NULL && parked->deadline.us <= now.us; parked = parked_first(receive)) {
		metrics_add(receive->config.metrics, METRICS_CONNECTIONS_TIMED_OUT, 1);
		parked_refuse(receive, parked);
	}
	admission_update(receive);
}

/* ---- Coming in ------------------------------------------------------------------------------- */

static void parked_admit(struct receive *receive, struct parked *parked, bool shed)
{
	parked_leave(receive, parked);
	connection_open(parked->listener, parked->socket, shed);
	listener_unpark(parked->listener);
	pool_give(&receive->parked, parked);
}

/* For whom nobody need leave. */
static void admit_freely(struct receive *receive)
{
	while (!connections_full(receive) && !connections_nearly_full(receive)) {
		struct parked *parked = parked_first(receive);
		if (parked == NULL) return;
		parked_admit(receive, parked, false);
	}
}

/* To be served when another makes room for it, `evictions_max` times, and else to be told to come
 * again. Whom a connection leaves for that was itself only told so has no room by that. */
static void admit_all(struct receive *receive, uint32_t evictions_max)
{
	while (!connections_full(receive)) {
		struct parked *parked = parked_first(receive);
		bool nearly_full = connections_nearly_full(receive);
		if (parked == NULL || (nearly_full && evictions_max == 0)) break;
		if (nearly_full && connection_evict(receive)) {
			evictions_max--;
			nearly_full = connections_nearly_full(receive);
		}
		parked_admit(receive, parked, nearly_full);
	}
	/* One leaves for each that waits. */
	while (evictions_max > 0 && receive->evicting_count < receive->parked_count &&
		connection_evict(receive)) {
		evictions_max--;
	}
}

/* How many wait in the kernel nobody says: a few at each try, which is soon again. */
static void make_room_for_unknown(struct receive *receive)
{
	receive->starved = false;
	while (receive->evicting_count < RECEIVE_EVICT_AT_ONCE_MAX && connection_evict(receive)) {
		continue;
	}
}

static void look_soon(struct receive *receive)
{
	if (receive->admission_turns == 0) receive->admission_since = loop_now(receive->loop);
	loop_defer(receive->loop, &receive->admission_task);
}

/* At the end of a turn. By time alone, as turns can be long, it is decided for a few, and then it
 * is looked again. */
static void admission_look(void *owner)
{
	struct receive *receive = owner;
	uint64_t looked_us = mono_since_us(receive->admission_since, loop_now(receive->loop));
	bool all_known = receive->admission_turns > 0 && loop_found_nothing(receive->loop);
	bool time_over = receive->admission_turns >= RECEIVE_ADMISSION_LOOK_TURNS &&
		looked_us >= RECEIVE_ADMISSION_LOOK_MS * US_PER_MS;

	admit_freely(receive);
	bool wanted = receive->parked_count > 0 || receive->starved;
	if (wanted && !all_known && !time_over) {
		receive->admission_turns++;
		loop_defer(receive->loop, &receive->admission_task);
		return;
	}
	receive->admission_turns = 0;
	admit_all(receive, all_known ? UINT32_MAX : RECEIVE_EVICT_AT_ONCE_MAX);
	if (receive->starved) make_room_for_unknown(receive);
	if (!all_known && receive->parked_count > 0) look_soon(receive);
	listeners_pause(receive, receive->parked_count > 0);
	if (receive->parked_count == 0) {
		timer_stop(&receive->loop->timers, &receive->parked_timer);
	} else if (!timer_running(&receive->parked_timer)) {
		timer_start(&receive->loop->timers, &receive->parked_timer, loop_now(receive->loop),
			RECEIVE_PARKED_CHECK_MS * US_PER_MS);
	}
}

void admission_update(struct receive *receive)
{
	if (receive->parked_count > 0 || receive->accept_paused) look_soon(receive);
}

void admission_starved(struct receive *receive)
{
	if (receive->draining) return;
	receive->starved = true;
	look_soon(receive);
}

void admission_offer(struct listener *listener, struct io_socket *socket)
{
	struct receive *receive = listener->receive;

	metrics_add(receive->config.metrics, METRICS_CONNECTIONS_ACCEPTED, 1);
	if (receive->parked_count == 0 && !connections_nearly_full(receive) &&
		!connections_full(receive)) {
		connection_open(listener, socket, false);
		return;
	}
	park(listener, socket);
	listeners_pause(receive, true);
	admission_update(receive);
}

void admission_abort(struct receive *receive)
{
	timer_stop(&receive->loop->timers, &receive->parked_timer);
	for (struct parked *parked = parked_first(receive); parked != NULL;
		parked = parked_first(receive)) {
		parked_refuse(receive, parked);
	}
}

void admission_close(struct receive *receive)
{
	task_cancel(&receive->admission_task);
	pool_done(&receive->parked);
}

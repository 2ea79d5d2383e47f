/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_admission — who becomes a connection, who waits for one, and when to accept at all.
 *
 * An armed accept hands over a listener's whole backlog, however few connections are left. What
 * comes too much is parked: it keeps its place, has nothing received, and is admitted in order as
 * connections become free, or as idle ones are closed for it. While anybody waits nobody else is
 * accepted; the others wait in the kernel's backlog.
 *
 * Ways it fails: no place within RECEIVE_HANDSHAKE_TIMEOUT_MS, or RECEIVE_PARKED_MAX are waiting
 * already. Then the socket is closed and counted as shed.
 */
#include "receive/receive_internal.h"

#include "base/check.h"

static void parked_timer_expired(void *owner);

void admission_open(struct receive *receive)
{
	pool_init(&receive->parked, sizeof(struct parked), RECEIVE_PARKED_MAX);
	list_init(&receive->parked_sockets);
	timer_init(&receive->parked_timer, parked_timer_expired, receive);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Receiving is not started on it, so the socket needs no owner meanwhile. */
static void park(struct listener *listener, struct io_socket *socket)
{
	struct receive *receive = listener->receive;

	struct parked *parked = pool_take(&receive->parked);
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

static bool connections_full(const struct receive *receive)
{
	return receive->connections.used_count == receive->connections.count;
}

void admission_update(struct receive *receive)
{
	while (!connections_full(receive)) {
		struct parked *parked = parked_first(receive);
		if (parked == NULL) break;
		parked_leave(receive, parked);
		connection_open(parked->listener, parked->socket);
		listener_unpark(parked->listener);
		pool_give(&receive->parked, parked);
	}
	/* One leaves for each that waits. */
	while (receive->evicting_count < receive->parked_count && connection_evict(receive)) {
		continue;
	}
	listeners_pause(receive, receive->parked_count > 0);
	if (receive->parked_count == 0) {
		timer_stop(&receive->loop->timers, &receive->parked_timer);
	} else if (!timer_running(&receive->parked_timer)) {
		timer_start(&receive->loop->timers, &receive->parked_timer, loop_now(receive->loop),
			RECEIVE_PARKED_CHECK_MS * US_PER_MS);
	}
}

void admission_starved(struct receive *receive)
{
	if (receive->draining) return;
	/* How many wait in the kernel nobody says: a few at each try, which is soon again. */
	while (receive->evicting_count < RECEIVE_STARVED_EVICT_MAX && connection_evict(receive)) {
		continue;
	}
}

void admission_offer(struct listener *listener, struct io_socket *socket)
{
	struct receive *receive = listener->receive;

	metrics_add(receive->config.metrics, METRICS_CONNECTIONS_ACCEPTED, 1);
	if (receive->parked_count == 0 && !connections_full(receive)) {
		connection_open(listener, socket);
		return;
	}
	park(listener, socket);
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

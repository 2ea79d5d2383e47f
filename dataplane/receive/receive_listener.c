/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_listener — the sockets that a worker accepts on, from the first to the last connection.
 *
 * One leaves when a reload takes its address away, or the worker drains: it stops accepting, waits
 * for those that the ring has accepted already, and only then is closed. What waits in the
 * kernel's backlog by then goes on waiting, when somebody else holds the socket too; else it is
 * reset.
 */
#include "receive/receive_internal.h"

#include "base/alloc.h"
#include "base/check.h"

static void leaving_expired(void *owner);

void listeners_open(struct receive *receive)
{
	receive->listeners = alloc_array(receive->config.listeners_max, sizeof *receive->listeners);
	timer_init(&receive->leaving_timer, leaving_expired, receive);
}

static void context_drop(struct listener *listener)
{
	if (listener->context != NULL) tls_context_release(listener->context);
	listener->context = NULL;
}

void listeners_close(struct receive *receive)
{
	CHECK(receive->listeners_open == 0);
	timer_stop(&receive->loop->timers, &receive->leaving_timer);
	for (uint32_t i = 0; i < receive->config.listeners_max; i++) {
		context_drop(&receive->listeners[i]);
	}
	alloc_free(receive->listeners);
}

static void listener_free_if_over(struct listener *listener)
{
	if (listener->state != LISTENER_CLOSED || listener->parked_count > 0) return;
	context_drop(listener);
	listener->state = LISTENER_FREE;
}

void listener_unpark(struct listener *listener)
{
	CHECK(listener->parked_count > 0);
	listener->parked_count--;
	listener_free_if_over(listener);
}

/* ---- What the engine says -------------------------------------------------------------------- */

static void listener_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct listener *listener = owner;

	(void)peer; /* admission by network comes with tenants */
	admission_offer(listener, socket);
}

static void listener_starved(void *owner)
{
	struct listener *listener = owner;

	admission_starved(listener->receive);
}

static void listener_closed(void *owner)
{
	struct listener *listener = owner;

	CHECK(listener->state == LISTENER_CLOSING);
	listener->state = LISTENER_CLOSED;
	listener->socket = NULL;
	listener->receive->listeners_open--;
	listener_free_if_over(listener);
}

static const struct io_events listener_events = {
	.accepted = listener_accepted,
	.starved = listener_starved,
	.closed = listener_closed,
};

/* ---- Coming ---------------------------------------------------------------------------------- */

static struct listener *listener_find_free(struct receive *receive)
{
	for (uint32_t i = 0; i < receive->config.listeners_max; i++) {
		if (receive->listeners[i].state == LISTENER_FREE) return &receive->listeners[i];
	}
	return NULL;
}

/* `opened`: what the engine said. The context stays the caller's unless that was well. */
static enum result listener_begin(struct listener *listener, enum result opened,
	uint32_t *ret_index)
{
	struct receive *receive = listener->receive;

	if (opened != RESULT_OK) {
		*listener = (struct listener){ 0 };
		return opened;
	}
	listener->state = LISTENER_OPEN;
	receive->listeners_open++;
	if (receive->accept_paused) io_accept_pause(receive->loop->io, listener->socket);
	*ret_index = (uint32_t)(listener - receive->listeners);
	return RESULT_OK;
}

enum result receive_listen(struct receive *receive, const struct io_address *address,
	struct tls_context *context, uint32_t *ret_index)
{
	struct listener *listener = listener_find_free(receive);
	if (listener == NULL) return RESULT_FULL;

	*listener = (struct listener){ .receive = receive, .context = context };
	enum result opened = io_listen(receive->loop->io, address, &listener_events, listener,
		&listener->socket);
	return listener_begin(listener, opened, ret_index);
}

enum result receive_listen_on(struct receive *receive, int fd, struct tls_context *context,
	uint32_t *ret_index)
{
	if (receive->draining) return RESULT_CLOSED;

	struct listener *listener = listener_find_free(receive);
	if (listener == NULL) return RESULT_FULL;

	*listener = (struct listener){ .receive = receive, .context = context };
	enum result opened =
		io_listen_on(receive->loop->io, fd, &listener_events, listener, &listener->socket);
	return listener_begin(listener, opened, ret_index);
}

static struct listener *listener_at(const struct receive *receive, uint32_t index)
{
	CHECK(index < receive->config.listeners_max);
	struct listener *listener = &receive->listeners[index];
	CHECK(listener->state == LISTENER_OPEN);
	return listener;
}

void receive_listener_context(struct receive *receive, uint32_t index, struct tls_context *context)
{
	struct listener *listener = listener_at(receive, index);

	context_drop(listener);
	listener->context = context;
}

/* ---- Leaving --------------------------------------------------------------------------------- */

static void leaving_look_later(struct receive *receive)
{
	if (timer_running(&receive->leaving_timer)) return;
	timer_start(&receive->loop->timers, &receive->leaving_timer, loop_now(receive->loop),
		RECEIVE_LEAVE_CHECK_MS * US_PER_MS);
}

static void leaving_expired(void *owner)
{
	struct receive *receive = owner;
	bool more = false;

	for (uint32_t i = 0; i < receive->config.listeners_max; i++) {
		struct listener *listener = &receive->listeners[i];
		if (listener->state != LISTENER_LEAVING) continue;
		if (!io_accept_stopped(listener->socket)) {
			more = true;
			continue;
		}
		listener->state = LISTENER_CLOSING;
		io_socket_close(receive->loop->io, listener->socket);
	}
	if (more) leaving_look_later(receive);
}

static void listener_leave(struct listener *listener)
{
	if (listener->state != LISTENER_OPEN) return;
	io_accept_pause(listener->receive->loop->io, listener->socket);
	listener->state = LISTENER_LEAVING;
	leaving_look_later(listener->receive);
}

void receive_unlisten(struct receive *receive, uint32_t index)
{
	listener_leave(listener_at(receive, index));
}

void listeners_leave(struct receive *receive)
{
	for (uint32_t i = 0; i < receive->config.listeners_max; i++) {
		listener_leave(&receive->listeners[i]);
	}
}

void listeners_pause(struct receive *receive, bool pause)
{
	if (receive->accept_paused == pause) return;

	receive->accept_paused = pause;
	for (uint32_t i = 0; i < receive->config.listeners_max; i++) {
		struct listener *listener = &receive->listeners[i];
		if (listener->state != LISTENER_OPEN) continue;
		if (pause) {
			io_accept_pause(receive->loop->io, listener->socket);
		} else {
			io_accept_resume(receive->loop->io, listener->socket);
		}
	}
}

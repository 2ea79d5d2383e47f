/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive — opening, listening, shedding and draining. See receive.h. */
#include "receive/receive_internal.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

void receive_open(const struct receive_config *config, const struct flow *flow,
	struct receive **ret)
{
	CHECK(config->connections_max > 0);
	CHECK(config->requests_max > 0);
	CHECK(config->body_size_max <= RECEIVE_BODY_SIZE_LIMIT);

	struct receive *receive = alloc_array(1, sizeof *receive);
	receive->config = *config;
	receive->flow = flow;
	receive->flow_number = 1;
	receive->loop = config->streams->loop;
	pool_init(&receive->connections, sizeof(struct connection), config->connections_max);
	pool_init(&receive->requests, sizeof(struct request), config->requests_max);
	pool_init(&receive->buffers, RECEIVE_BUFFER_SIZE, config->requests_max);
	pool_init(&receive->large_buffers, HTTP_HEAD_SIZE_MAX + (size_t)config->body_size_max,
		RECEIVE_LARGE_BUFFERS);
	list_init(&receive->idle_connections);
	list_init(&receive->busy_connections);
	admission_open(receive);
	receive->listeners = alloc_array(config->listeners_max, sizeof *receive->listeners);
	*ret = receive;
}

void receive_close(struct receive *receive)
{
	CHECK(receive_idle(receive));

	for (uint32_t i = 0; i < receive->listener_count; i++) {
		if (receive->listeners[i].context != NULL) {
			tls_context_release(receive->listeners[i].context);
		}
	}
	pool_done(&receive->connections);
	pool_done(&receive->requests);
	pool_done(&receive->buffers);
	pool_done(&receive->large_buffers);
	pool_done(&receive->parked);
	alloc_free(receive->listeners);
	alloc_free(receive);
}

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

	CHECK(!listener->closed);
	listener->closed = true;
	listener->receive->listeners_open--;
}

static const struct io_events listener_events = {
	.accepted = listener_accepted,
	.starved = listener_starved,
	.closed = listener_closed,
};

enum result receive_listen(struct receive *receive, const struct io_address *address,
	struct tls_context *context, uint32_t *ret_index)
{
	if (receive->listener_count == receive->config.listeners_max) return RESULT_FULL;

	struct listener *listener = &receive->listeners[receive->listener_count];
	*listener = (struct listener){ .receive = receive, .context = context };
	TRY(io_listen(receive->loop->io, address, &listener_events, listener, &listener->socket));
	*ret_index = receive->listener_count++;
	receive->listeners_open++;
	return RESULT_OK;
}

struct io_address receive_listener_address(const struct receive *receive, uint32_t index)
{
	CHECK(index < receive->listener_count);
	return io_listen_address(receive->listeners[index].socket);
}

void receive_listener_context(struct receive *receive, uint32_t index, struct tls_context *context)
{
	CHECK(index < receive->listener_count);

	struct listener *listener = &receive->listeners[index];
	CHECK((listener->context == NULL) == (context == NULL));
	if (listener->context != NULL) tls_context_release(listener->context);
	listener->context = context;
}

void receive_flow_set(struct receive *receive, const struct flow *flow)
{
	receive->flow = flow;
	/* 0 is that of requests that have looked for none. */
	if (++receive->flow_number == 0) receive->flow_number = 1;
}

void receive_drain(struct receive *receive)
{
	if (receive->draining) return;
	receive->draining = true;

	for (uint32_t i = 0; i < receive->listener_count; i++) {
		io_socket_close(receive->loop->io, receive->listeners[i].socket);
	}
	admission_drain(receive);
	while (!list_empty(&receive->idle_connections)) {
		struct list *node = receive->idle_connections.next;
		connection_close(LIST_ENTRY(node, struct connection, node));
	}
}

/* Closing moves a connection to the end of the busy ones: only those that are there now. */
static void abort_all(struct list *connections)
{
	struct list now;

	list_init(&now);
	list_splice(&now, connections);
	while (!list_empty(&now)) {
		connection_abort(LIST_ENTRY(now.next, struct connection, node));
	}
}

void receive_abort(struct receive *receive)
{
	abort_all(&receive->idle_connections);
	abort_all(&receive->busy_connections);
}

bool receive_idle(const struct receive *receive)
{
	return receive->connections.used_count == 0 && receive->requests.used_count == 0 &&
		receive->parked.used_count == 0 && receive->listeners_open == 0;
}

struct receive_usage receive_usage(const struct receive *receive)
{
	return (struct receive_usage){
		.connections = (uint32_t)receive->connections.used_count,
		.requests = (uint32_t)receive->requests.used_count,
		.parked = receive->parked_count,
	};
}

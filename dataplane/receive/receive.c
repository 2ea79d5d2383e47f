/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive — opening, draining and closing. See receive.h. */
#include "receive/receive_internal.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

static void drain_expired(void *owner);

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
	pool_init(&receive->large_buffers, HTTP_HEAD_SIZE_MAX + (size_t)config->body_size_max,
		RECEIVE_LARGE_BUFFERS);
	list_init(&receive->idle_connections);
	list_init(&receive->busy_connections);
	admission_open(receive);
	gather_open(receive);
	timer_init(&receive->drain_timer, drain_expired, receive);
	listeners_open(receive);
	*ret = receive;
}

void receive_close(struct receive *receive)
{
	CHECK(receive_idle(receive));

	timer_stop(&receive->loop->timers, &receive->drain_timer);
	listeners_close(receive);
	gather_close(receive);
	admission_close(receive);
	pool_done(&receive->connections);
	pool_done(&receive->requests);
	pool_done(&receive->large_buffers);
	alloc_free(receive);
}

void receive_flow_set(struct receive *receive, const struct flow *flow)
{
	/* Their endpoints and keys are the old one's. */
	gather_finish(receive);
	receive->flow = flow;
	/* 0 is that of requests that have looked for none. */
	if (++receive->flow_number == 0) receive->flow_number = 1;
}

/* A client that is at work finds out with the answer to its next request, which says "close". One
 * that stays idle is closed; should its request be under way just then, it has to send it again,
 * as HTTP/1.1 clients do (RFC 9112 §9.3.1 and §9.5). */
static void drain_expired(void *owner)
{
	struct receive *receive = owner;
	mono_t now = loop_now(receive->loop);

	while (!list_empty(&receive->idle_connections)) {
		struct connection *connection =
			LIST_ENTRY(receive->idle_connections.next, struct connection, node);
		mono_t since = connection->idle_since;
		if (since.us < receive->drain_since.us) since = receive->drain_since;
		if (mono_since_us(since, now) < RECEIVE_DRAIN_IDLE_MS * US_PER_MS) break;
		connection_close(connection);
	}
	timer_start(&receive->loop->timers, &receive->drain_timer, now,
		RECEIVE_DRAIN_CHECK_MS * US_PER_MS);
}

void receive_drain(struct receive *receive)
{
	if (receive->draining) return;
	receive->draining = true;
	receive->drain_since = loop_now(receive->loop);
	listeners_leave(receive);
	timer_start(&receive->loop->timers, &receive->drain_timer, receive->drain_since,
		RECEIVE_DRAIN_CHECK_MS * US_PER_MS);
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
	admission_abort(receive);
	abort_all(&receive->idle_connections);
	abort_all(&receive->busy_connections);
}

bool receive_idle(const struct receive *receive)
{
	return receive->connections.used_count == 0 && receive->requests.used_count == 0 &&
		receive->parked.used_count == 0 && receive->listeners_open == 0;
}

uint32_t receive_gathered(const struct receive *receive)
{
	return receive->gathering.count;
}

struct receive_usage receive_usage(const struct receive *receive)
{
	return (struct receive_usage){
		.connections = (uint32_t)receive->connections.used_count,
		.requests = (uint32_t)receive->requests.used_count,
		.parked = receive->parked_count,
	};
}

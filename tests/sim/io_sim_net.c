/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated network: connections, the bytes in them, and what goes wrong. */
#include "sim/io_sim_internal.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

enum {
	LATENCY_US_MIN = 20,
	LATENCY_SHIFT_MAX = 10, /* up to 20 ms */
	JITTER_US_MAX = 200,
	PIECE_SIZE_MAX = 16384,
	PIPE_SIZE_MIN = 2048,
	ONE_IN_SMALL_PIECE = 4,
};

static uint8_t other(uint8_t side)
{
	return side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT;
}

static void schedule(struct sim_connection *connection, uint64_t time_us, enum event_kind kind,
	uint8_t side, uint32_t size)
{
	struct event *event = sim_schedule(connection->world, time_us, kind, connection);

	event->side = side;
	event->size = size;
	connection->event_count++;
}

static uint64_t travel_us(struct sim_connection *connection)
{
	struct sim_world *world = connection->world;
	return world->now_us + connection->latency_us + sim_between(world, 0, JITTER_US_MAX);
}

/* ---- Life of a connection -------------------------------------------------------------------- */

static struct sim_connection *connection_take(struct sim_world *world)
{
	struct sim_connection *connection = pool_take(&world->connections);
	CHECK(connection != NULL);

	*connection = (struct sim_connection){
		.world = world,
		.id = world->connection_id++,
		.latency_us = (uint64_t)LATENCY_US_MIN << sim_between(world, 0, LATENCY_SHIFT_MAX),
	};
	list_init(&connection->backlog_node);
	list_init(&connection->accepted.node);
	size_t index = pool_index(&world->connections, connection);
	for (uint8_t side = 0; side < SIDES; side++) {
		struct pipe *pipe = &connection->pipes[side];
		pipe->data = world->pipe_memory + (index * SIDES + side) * SIM_PIPE_SIZE_MAX;
		pipe->capacity = (uint32_t)sim_between(world, PIPE_SIZE_MIN, SIM_PIPE_SIZE_MAX);
	}
	return connection;
}

void net_try_release(struct sim_connection *connection)
{
	if (connection->event_count > 0) return;
	if (!connection->closed[SIDE_CLIENT] || !connection->closed[SIDE_SERVER]) return;
	if (!list_empty(&connection->backlog_node)) return;
	if (!list_empty(&connection->accepted.node)) return;
	pool_give(&connection->world->connections, connection);
}

static void send_reset(struct sim_connection *connection, uint8_t to_side, uint64_t time_us)
{
	if (connection->reset_scheduled[to_side]) return;
	connection->reset_scheduled[to_side] = true;
	schedule(connection, time_us, EVENT_RESET, to_side, 0);
}

void net_leave(struct io_socket *socket, bool reset)
{
	struct sim_connection *connection = socket->connection;
	if (connection == NULL) return;

	uint8_t side = socket->side;
	struct pipe *in = &connection->pipes[other(side)];
	struct pipe *out = &connection->pipes[side];
	connection->ends[side] = NULL;
	connection->closed[side] = true;
	socket->connection = NULL;
	sim_record(connection->world, "leave", connection->id, (uint64_t)side << 1 | reset);
	if (!connection->closed[other(side)]) {
		if (reset || connection->reset[side] || in->arrived > in->read) {
			send_reset(connection, other(side), travel_us(connection));
		} else if (!out->end_sent) {
			out->end_sent = true;
			uint64_t time_us = travel_us(connection);
			if (time_us < out->arrival_us) time_us = out->arrival_us;
			schedule(connection, time_us, EVENT_END, side, 0);
		}
	}
	net_try_release(connection);
}

/* ---- Connecting and accepting ---------------------------------------------------------------- */

static void fail_connect(struct sim_connection *connection, int error)
{
	struct io_socket *client = connection->ends[SIDE_CLIENT];

	connection->closed[SIDE_SERVER] = true;
	if (client != NULL) {
		sim_complete(client->io, &client->connected_done, COMPLETION_CONNECTED, client,
			error);
	}
}

static bool address_matches(const struct io_address *bound, const struct io_address *wanted)
{
	static const uint8_t any[sizeof bound->ip];

	if (bound->is_ipv6 != wanted->is_ipv6 || bound->port != wanted->port) return false;
	return memcmp(bound->ip, any, sizeof any) == 0 || address_equal(bound, wanted);
}

/* Listeners with the same address share its connections. */
static struct io_socket *find_listener(struct sim_world *world, const struct io_address *address)
{
	struct io_socket *found = NULL;
	uint64_t count = 0;

	for (struct list *node = world->listeners.next; node != &world->listeners;
		node = node->next) {
		struct io_socket *listener = LIST_ENTRY(node, struct io_socket, listener_node);
		if (!address_matches(&listener->address, address)) continue;
		count++;
		if (random_below(&world->random, count) == 0) found = listener;
	}
	return found;
}

void net_connect(struct io_socket *client, const struct io_address *address)
{
	struct sim_world *world = client->io->world;
	struct sim_connection *connection = connection_take(world);

	client->connection = connection;
	client->side = SIDE_CLIENT;
	connection->ends[SIDE_CLIENT] = client;
	connection->addresses[SIDE_SERVER] = *address;
	connection->addresses[SIDE_CLIENT] = *address;
	connection->addresses[SIDE_CLIENT].port = (uint16_t)(50000 + connection->id % 10000);
	sim_record(world, "connect", connection->id, address->port);
	if (sim_chance(world, world->faults.connect_lost_ppm)) {
		schedule(connection, world->now_us + SIM_CONNECT_TIMEOUT_US, EVENT_CONNECT_TIMEOUT,
			SIDE_CLIENT, 0);
		connection->closed[SIDE_SERVER] = true;
	} else {
		schedule(connection, travel_us(connection), EVENT_CONNECT, SIDE_CLIENT, 0);
	}
}

static void reach_server(struct sim_connection *connection)
{
	struct sim_world *world = connection->world;
	struct io_socket *client = connection->ends[SIDE_CLIENT];

	if (client == NULL) {
		connection->closed[SIDE_SERVER] = true;
		return;
	}
	struct io_socket *listener = find_listener(world, &connection->addresses[SIDE_SERVER]);
	if (listener == NULL || sim_chance(world, world->faults.connect_refused_ppm)) {
		fail_connect(connection, ECONNREFUSED);
		return;
	}
	client->connected = true;
	sim_complete(client->io, &client->connected_done, COMPLETION_CONNECTED, client, 0);
	list_append(&listener->backlog, &connection->backlog_node);
	net_accept(listener);
}

void net_accept(struct io_socket *listener)
{
	struct io *io = listener->io;

	while (!list_empty(&listener->backlog) && listener->receive_wanted && !listener->held) {
		struct io_socket *socket = NULL;
		if (!sim_chance(io->world, io->world->faults.accept_failed_ppm)) {
			socket = sim_slot_take(io);
		}
		if (socket == NULL) {
			io->statistics.accept_errors++;
			listener->held = true;
			sim_schedule(io->world, io->world->now_us + SIM_ACCEPT_RETRY_US,
				EVENT_ACCEPT_RETRY, listener);
			if (listener->events->starved != NULL) {
				listener->events->starved(listener->owner);
			}
			return;
		}
		struct list *node = list_pop(&listener->backlog);
		struct sim_connection *connection =
			LIST_ENTRY(node, struct sim_connection, backlog_node);
		socket->connection = connection;
		socket->side = SIDE_SERVER;
		socket->connected = true;
		connection->ends[SIDE_SERVER] = socket;
		connection->accepted.connection = connection;
		sim_complete(io, &connection->accepted, COMPLETION_ACCEPTED, listener, 0);
	}
}

void net_refuse_backlog(struct io_socket *listener)
{
	for (struct list *node = list_pop(&listener->backlog); node != NULL;
		node = list_pop(&listener->backlog)) {
		struct sim_connection *connection =
			LIST_ENTRY(node, struct sim_connection, backlog_node);
		connection->closed[SIDE_SERVER] = true;
		if (connection->closed[SIDE_CLIENT])
			net_try_release(connection);
		else
			send_reset(connection, SIDE_CLIENT, travel_us(connection));
	}
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void pipe_read(struct pipe *pipe, uint8_t *to, size_t size)
{
	size_t at = pipe->read % pipe->capacity;
	size_t first = pipe->capacity - at < size ? pipe->capacity - at : size;

	memcpy(to, pipe->data + at, first);
	memcpy(to + first, pipe->data, size - first);
	pipe->read += size;
}

static void announce_space(struct sim_connection *connection, uint8_t sender_side)
{
	struct pipe *pipe = &connection->pipes[sender_side];

	if (pipe->space_scheduled || connection->ends[sender_side] == NULL) return;
	pipe->space_scheduled = true;
	schedule(connection, travel_us(connection), EVENT_SPACE, sender_side, 0);
}

static size_t receive_size(struct io *io, uint64_t available)
{
	uint64_t size = available < io->config.buffer_size ? available : io->config.buffer_size;

	if (random_below(&io->world->random, ONE_IN_SMALL_PIECE) == 0) {
		size = sim_between(io->world, 1, size);
	}
	return (size_t)size;
}

static void finish_receiving(struct io_socket *socket, int error)
{
	socket->over = true;
	sim_complete(socket->io, &socket->ended_done, COMPLETION_ENDED, socket, error);
}

/* Moves what has arrived into buffers, as an armed multishot receive does. */
void net_receive(struct io_socket *socket)
{
	struct sim_connection *connection = socket->connection;
	struct io *io = socket->io;

	if (connection == NULL || !socket->receive_wanted || socket->over || !socket->connected)
		return;
	if (!list_empty(&socket->starved_node)) return;

	struct pipe *pipe = &connection->pipes[other(socket->side)];
	while (pipe->arrived > pipe->read) {
		struct io_buffer *buffer = sim_buffer_take(io);
		if (buffer == NULL) {
			io->statistics.buffers_exhausted++;
			list_append(&io->starved, &socket->starved_node);
			return;
		}
		buffer->size = (uint32_t)receive_size(io, pipe->arrived - pipe->read);
		pipe_read(pipe, io->buffer_memory + (size_t)buffer->id * io->config.buffer_size,
			buffer->size);
		struct completion *completion = &io->received[buffer->id];
		completion->buffer = buffer;
		sim_complete(io, completion, COMPLETION_RECEIVED, socket, 0);
		announce_space(connection, other(socket->side));
	}
	if (connection->reset[socket->side])
		finish_receiving(socket, ECONNRESET);
	else if (pipe->end_arrived)
		finish_receiving(socket, 0);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void finish_sending(struct io_socket *socket, int error)
{
	socket->sending = false;
	/* Whoever changed it before sent() broke the contract. */
	CHECK(sim_sum(socket->send_data, socket->send_size) == socket->send_sum);
	sim_complete(socket->io, &socket->sent_done, COMPLETION_SENT, socket, error);
}

static void pipe_write(struct pipe *pipe, const uint8_t *from, size_t size)
{
	size_t at = pipe->written % pipe->capacity;
	size_t first = pipe->capacity - at < size ? pipe->capacity - at : size;

	memcpy(pipe->data + at, from, first);
	memcpy(pipe->data, from + first, size - first);
	pipe->written += size;
}

/* The fate of a piece that was just written. */
static void launch(struct sim_connection *connection, uint8_t side, uint32_t size)
{
	struct sim_world *world = connection->world;
	const struct sim_faults *faults = &world->faults;
	struct pipe *pipe = &connection->pipes[side];
	uint64_t time_us = travel_us(connection);

	if (time_us < pipe->arrival_us) time_us = pipe->arrival_us;
	if (sim_chance(world, faults->stall_ppm)) time_us += faults->stall_us;
	pipe->arrival_us = time_us;
	if (sim_chance(world, faults->reset_ppm)) {
		send_reset(connection, side, time_us);
		send_reset(connection, other(side), time_us);
		pipe->dead = true;
	} else if (sim_chance(world, faults->truncate_ppm)) {
		schedule(connection, time_us, EVENT_END, side, 0);
		send_reset(connection, side, time_us + connection->latency_us);
		pipe->dead = true;
	} else if (sim_chance(world, faults->lose_ppm)) {
		pipe->dead = true;
	}
	if (!pipe->dead)
		schedule(connection, time_us, EVENT_ARRIVAL, side, size);
	else
		pipe->end_sent = true;
}

/* As much as fits. */
void net_send(struct io_socket *socket)
{
	struct sim_connection *connection = socket->connection;
	struct sim_world *world = socket->io->world;

	if (connection->reset[socket->side]) {
		finish_sending(socket, EPIPE);
		return;
	}
	struct pipe *pipe = &connection->pipes[socket->side];
	while (socket->send_offset < socket->send_size) {
		uint64_t rest = socket->send_size - socket->send_offset;
		/* A dead pipe fills up, as one whose acknowledgements never come. */
		uint64_t space = pipe->capacity - (pipe->written - pipe->read);
		if (space == 0) return;
		uint64_t size = rest < space ? rest : space;
		if (size > PIECE_SIZE_MAX) size = PIECE_SIZE_MAX;
		if (random_below(&world->random, ONE_IN_SMALL_PIECE) == 0) {
			size = sim_between(world, 1, size);
		}
		pipe_write(pipe, socket->send_data + socket->send_offset, (size_t)size);
		socket->send_offset += (size_t)size;
		if (!pipe->dead) launch(connection, socket->side, (uint32_t)size);
	}
	finish_sending(socket, 0);
	if (socket->shutdown_wanted) net_shutdown(socket);
}

void net_shutdown(struct io_socket *socket)
{
	struct sim_connection *connection = socket->connection;
	struct pipe *pipe = &connection->pipes[socket->side];

	if (pipe->end_sent || connection->reset[socket->side]) return;
	pipe->end_sent = true;
	uint64_t time_us = travel_us(connection);
	if (time_us < pipe->arrival_us) time_us = pipe->arrival_us;
	schedule(connection, time_us, EVENT_END, socket->side, 0);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void arrive(struct sim_connection *connection, uint8_t from_side, uint32_t size)
{
	uint8_t side = other(from_side);
	struct pipe *pipe = &connection->pipes[from_side];

	pipe->arrived += size;
	if (connection->closed[side] || connection->reset[side]) {
		/* Nobody is there any more. */
		pipe->read = pipe->arrived;
		if (!connection->closed[from_side]) {
			send_reset(connection, from_side, travel_us(connection));
		}
	} else if (connection->ends[side] != NULL) {
		net_receive(connection->ends[side]);
	}
}

static void be_reset(struct sim_connection *connection, uint8_t side)
{
	struct io_socket *socket = connection->ends[side];
	struct pipe *in = &connection->pipes[other(side)];

	connection->reset[side] = true;
	/* Unread input may be lost or not. */
	if (random_below(&connection->world->random, 2) == 0) in->read = in->arrived;
	if (socket == NULL) return;
	if (socket->sending) finish_sending(socket, ECONNRESET);
	net_receive(socket);
}

static void connection_event(struct sim_connection *connection, const struct event *event)
{
	uint8_t side = event->side;

	switch ((enum event_kind)event->kind) {
	case EVENT_CONNECT: reach_server(connection); break;
	case EVENT_CONNECT_TIMEOUT: fail_connect(connection, ETIMEDOUT); break;
	case EVENT_ARRIVAL: arrive(connection, side, event->size); break;
	case EVENT_END:
		connection->pipes[side].end_arrived = true;
		if (connection->ends[other(side)] != NULL)
			net_receive(connection->ends[other(side)]);
		break;
	case EVENT_RESET: be_reset(connection, side); break;
	case EVENT_SPACE:
		connection->pipes[side].space_scheduled = false;
		if (connection->ends[side] != NULL && connection->ends[side]->sending) {
			net_send(connection->ends[side]);
		}
		break;
	case EVENT_NONE:
	case EVENT_CLOSED:
	case EVENT_ACCEPT_RETRY:
	case EVENT_CALL: UNREACHABLE();
	}
}

void net_event(struct sim_world *world, const struct event *event)
{
	if (event->kind == EVENT_CLOSED) {
		struct io_socket *socket = event->object;
		sim_complete(socket->io, &socket->closed_done, COMPLETION_CLOSED, socket, 0);
		return;
	}
	if (event->kind == EVENT_ACCEPT_RETRY) {
		struct io_socket *listener = event->object;
		listener->held = false;
		if (!listener->closing) net_accept(listener);
		return;
	}
	struct sim_connection *connection = event->object;
	sim_record(world, "network", connection->id,
		(uint64_t)event->size << 16 | (uint64_t)event->side << 8 | event->kind);
	connection_event(connection, event);
	connection->event_count--;
	net_try_release(connection);
}

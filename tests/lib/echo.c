/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/echo.h"

#include "base/check.h"

enum { HELD_DEFAULT = 16 };

/* ---- Server ---------------------------------------------------------------------------------- */

struct echo_connection {
	struct echo_server *server;
	struct io_socket *socket;
	struct io_buffer *first;
	struct io_buffer *last;
	uint32_t held_count;
	bool sending;
	bool paused;
	bool ended;
	bool closing;
};

static void connection_return_first(struct echo_connection *connection)
{
	struct io_buffer *buffer = connection->first;

	connection->first = buffer->next;
	if (connection->first == NULL) connection->last = NULL;
	connection->held_count--;
	io_buffer_return(connection->server->io, buffer);
}

static void connection_close(struct echo_connection *connection)
{
	if (connection->closing) return;
	connection->closing = true;
	io_socket_close(connection->server->io, connection->socket);
}

static void connection_go_on(struct echo_connection *connection)
{
	struct echo_server *server = connection->server;

	if (connection->closing || connection->sending) return;
	if (connection->first != NULL) {
		connection->sending = true;
		io_send(server->io, connection->socket, connection->first->data,
			connection->first->size);
	} else if (connection->ended) {
		connection_close(connection);
	}
}

static void connection_received(void *owner, struct io_buffer *buffer)
{
	struct echo_connection *connection = owner;

	CHECK(!connection->closing && !connection->ended);
	if (connection->last != NULL)
		connection->last->next = buffer;
	else
		connection->first = buffer;
	connection->last = buffer;
	connection->server->byte_count += buffer->size;
	connection->held_count++;
	if (connection->held_count >= connection->server->held_max && !connection->paused) {
		connection->paused = true;
		io_receive_pause(connection->server->io, connection->socket);
	}
	connection_go_on(connection);
}

static void connection_ended(void *owner, int error)
{
	struct echo_connection *connection = owner;

	CHECK(!connection->closing && !connection->ended);
	connection->ended = true;
	if (error != 0) {
		connection->server->error_count++;
		connection_close(connection);
		return;
	}
	connection_go_on(connection);
}

static void connection_sent(void *owner, int error)
{
	struct echo_connection *connection = owner;

	CHECK(connection->sending && !connection->closing);
	connection->sending = false;
	if (error != 0) {
		connection->server->error_count++;
		connection_close(connection);
		return;
	}
	connection_return_first(connection);
	if (connection->paused && connection->held_count <= connection->server->held_max / 2) {
		connection->paused = false;
		io_receive_start(connection->server->io, connection->socket);
	}
	connection_go_on(connection);
}

static void connection_closed(void *owner)
{
	struct echo_connection *connection = owner;
	struct echo_server *server = connection->server;

	CHECK(connection->closing);
	while (connection->first != NULL) connection_return_first(connection);
	server->closed_count++;
	pool_give(&server->connections, connection);
}

static const struct io_events connection_events = {
	.received = connection_received,
	.ended = connection_ended,
	.sent = connection_sent,
	.closed = connection_closed,
};

static void server_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct echo_server *server = owner;

	CHECK(peer->port != 0);
	struct echo_connection *connection = pool_take(&server->connections);
	if (connection == NULL) {
		io_socket_close(server->io, socket);
		return;
	}
	*connection = (struct echo_connection){ .server = server, .socket = socket };
	server->accepted_count++;
	io_socket_adopt(socket, &connection_events, connection);
	io_receive_start(server->io, socket);
}

static void server_closed(void *owner)
{
	struct echo_server *server = owner;

	CHECK(!server->listener_closed);
	server->listener_closed = true;
}

static const struct io_events server_events = {
	.accepted = server_accepted,
	.closed = server_closed,
};

enum result echo_server_open(struct echo_server *server, struct io *io,
	const struct io_address *address, uint32_t connections_max, uint32_t held_max)
{
	*server = (struct echo_server){ .io = io, .held_max = held_max };
	if (held_max == 0) server->held_max = HELD_DEFAULT;
	pool_init(&server->connections, sizeof(struct echo_connection), connections_max);
	return io_listen(io, address, &server_events, server, &server->listener);
}

void echo_server_close(struct echo_server *server)
{
	io_socket_close(server->io, server->listener);
}

bool echo_server_idle(const struct echo_server *server)
{
	return server->connections.used_count == 0;
}

void echo_server_done(struct echo_server *server)
{
	CHECK(server->listener_closed);
	pool_done(&server->connections);
}

/* ---- Client ---------------------------------------------------------------------------------- */

static uint8_t pattern(uint64_t seed, uint64_t position)
{
	return (uint8_t)(((position + seed) * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static void client_close(struct echo_client *client)
{
	if (client->socket == NULL) return;
	io_socket_close(client->io, client->socket);
	client->socket = NULL;
}

static void client_fail(struct echo_client *client, int error)
{
	client->error = error;
	client_close(client);
}

static void client_send(struct echo_client *client)
{
	uint64_t rest = client->size_total - client->sent_size;

	if (rest == 0) {
		io_shutdown(client->io, client->socket);
		return;
	}
	uint32_t size = rest < client->chunk_size ? (uint32_t)rest : client->chunk_size;
	for (uint32_t i = 0; i < size; i++) {
		client->chunk[i] = pattern(client->seed, client->sent_size + i);
	}
	client->sent_size += size;
	io_send(client->io, client->socket, client->chunk, size);
}

static void client_connected(void *owner, int error)
{
	struct echo_client *client = owner;

	CHECK(!client->connected);
	if (error != 0) {
		client_fail(client, error);
		return;
	}
	client->connected = true;
	io_receive_start(client->io, client->socket);
	client_send(client);
}

static void client_sent(void *owner, int error)
{
	struct echo_client *client = owner;

	if (error != 0)
		client_fail(client, error);
	else
		client_send(client);
}

static void client_received(void *owner, struct io_buffer *buffer)
{
	struct echo_client *client = owner;

	CHECK(client->received_size + buffer->size <= client->sent_size);
	for (uint32_t i = 0; i < buffer->size; i++) {
		CHECK(buffer->data[i] == pattern(client->seed, client->received_size + i));
	}
	client->received_size += buffer->size;
	io_buffer_return(client->io, buffer);
}

static void client_ended(void *owner, int error)
{
	struct echo_client *client = owner;

	if (error != 0) {
		client_fail(client, error);
	} else if (client->received_size < client->size_total) {
		client_fail(client, -1);
	} else {
		client->complete = true;
		client_close(client);
	}
}

static void client_closed(void *owner)
{
	struct echo_client *client = owner;

	CHECK(!client->closed && client->socket == NULL);
	client->closed = true;
}

static const struct io_events client_events = {
	.connected = client_connected,
	.received = client_received,
	.ended = client_ended,
	.sent = client_sent,
	.closed = client_closed,
};

enum result echo_client_start(struct echo_client *client, struct io *io,
	const struct io_address *address, uint64_t seed, uint64_t size_total, uint32_t chunk_size)
{
	CHECK(chunk_size > 0 && chunk_size <= ECHO_CHUNK_SIZE_MAX);

	client->io = io;
	client->socket = NULL;
	client->seed = seed;
	client->size_total = size_total;
	client->sent_size = 0;
	client->received_size = 0;
	client->chunk_size = chunk_size;
	client->error = 0;
	client->connected = false;
	client->complete = false;
	client->closed = false;
	return io_connect(io, address, &client_events, client, &client->socket);
}

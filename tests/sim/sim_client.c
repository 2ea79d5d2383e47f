/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/sim_client.h"

#include "base/check.h"

static void client_send(struct sim_client *client)
{
	size_t left = client->data.size - client->sent;

	if (left == 0 || client->ended_us != 0) return;
	client->piece = client->piece_size > 0 && client->piece_size < left ? client->piece_size
									    : left;
	io_send(client->loop->io, client->socket, client->data.data + client->sent, client->piece);
}

static void client_timer_expired(void *owner)
{
	client_send(owner);
}

static void client_connected(void *owner, int error)
{
	struct sim_client *client = owner;

	if (error != 0) {
		client->error = error;
		sim_client_close(client);
		return;
	}
	client->started_us = sim_world_now(client->world).us;
	if (!client->deaf) io_receive_start(client->loop->io, client->socket);
	client_send(client);
}

static void client_received(void *owner, struct io_buffer *buffer)
{
	struct sim_client *client = owner;

	CHECK(client->text_size + buffer->size < SIM_CLIENT_TEXT_SIZE);
	memcpy(client->text + client->text_size, buffer->data, buffer->size);
	client->text_size += buffer->size;
	client->text[client->text_size] = '\0';
	client->text_us = sim_world_now(client->world).us;
	io_buffer_return(client->loop->io, buffer);
}

static void client_ended(void *owner, int error)
{
	struct sim_client *client = owner;

	client->ended_us = sim_world_now(client->world).us;
	client->error = error;
	sim_client_close(client);
}

static void client_sent(void *owner, int error)
{
	struct sim_client *client = owner;

	if (error != 0) return; /* then its end comes too */
	client->sent += client->piece;
	if (client->sent == client->data.size) return;
	timer_start(&client->loop->timers, &client->timer, loop_now(client->loop), client->gap_us);
}

static void client_closed(void *owner)
{
	struct sim_client *client = owner;

	client->socket = NULL;
	client->open = false;
}

static const struct io_events client_events = {
	.connected = client_connected,
	.received = client_received,
	.ended = client_ended,
	.sent = client_sent,
	.closed = client_closed,
};

void sim_client_start(struct sim_client *client, struct sim_world *world, struct loop *loop,
	const struct io_address *address)
{
	client->world = world;
	client->loop = loop;
	client->open = true;
	timer_init(&client->timer, client_timer_expired, client);
	CHECK(io_connect(loop->io, address, &client_events, client, &client->socket) == RESULT_OK);
}

void sim_client_close(struct sim_client *client)
{
	if (client->socket == NULL) return;
	timer_stop(&client->loop->timers, &client->timer);
	io_socket_close(client->loop->io, client->socket);
	client->socket = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Closing in every state: only closed() comes afterwards, once, and neither a descriptor nor a
 * slot nor a buffer stays behind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/engine/io_harness.h"

enum { BUFFERS = 8, BUFFER_SIZE = 512, LARGE_SIZE = 32 * 1024 * 1024 };

static uint8_t large[LARGE_SIZE];

struct pair {
	struct io *io;
	struct host host;
	struct party server;
	int peer; /* a plain socket, connected to `server` */
	unsigned descriptors;
};

static void open_pair(struct pair *pair)
{
	*pair = (struct pair){ .descriptors = open_descriptors() };
	pair->io = ring_open(8, BUFFERS, BUFFER_SIZE);
	host_open(&pair->host, pair->io, &pair->server, 1);
	pair->peer = peer_connect(&pair->host.address);
	RING_UNTIL(pair->io, pair->host.accepted_count == 1);
	/* Arms the receive. */
	ring_turn(pair->io, 0);
}

static void done_pair(struct pair *pair)
{
	RING_UNTIL(pair->io, pair->server.closed_count == 1);
	io_socket_close(pair->io, pair->host.listener);
	RING_UNTIL(pair->io, pair->host.closed_count == 1);
	close(pair->peer);
	ring_close(pair->io, BUFFERS);
	assert_int_equal(open_descriptors(), pair->descriptors);
}

/* The peer sees an orderly end. */
static void close_with_receive_armed(void **state)
{
	struct pair pair;
	char byte;
	(void)state;

	open_pair(&pair);
	party_close(&pair.server);
	RING_UNTIL(pair.io, pair.server.closed_count == 1);
	assert_int_equal(recv(pair.peer, &byte, 1, 0), 0);
	assert_int_equal(pair.server.ended_count, 0);
	done_pair(&pair);
}

/* The receive was asked for and the close too before the kernel heard of either. */
static void close_before_receive_is_armed(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	io_receive_pause(pair.io, pair.server.socket);
	ring_turn(pair.io, 0);
	io_receive_start(pair.io, pair.server.socket);
	party_close(&pair.server);
	done_pair(&pair);
}

/* While the cancellation of the receive is under way. */
static void close_while_pausing(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	io_receive_pause(pair.io, pair.server.socket);
	party_close(&pair.server);
	done_pair(&pair);
}

/* Data arrives in the same turn: its buffers go back without a callback. */
static void close_with_data_under_way(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	assert_int_equal(send(pair.peer, large, 2000, 0), 2000);
	party_close(&pair.server);
	done_pair(&pair);
	assert_int_equal(pair.server.received_count, 0);
}

/* The peer does not read: the send is given up, sent() does not come. */
static void close_with_send_in_flight(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	io_send(pair.io, pair.server.socket, large, sizeof large);
	for (unsigned i = 0; i < 5; i++) ring_turn(pair.io, 1000);
	assert_int_equal(pair.server.sent_count, 0);
	party_close(&pair.server);
	done_pair(&pair);
	assert_int_equal(pair.server.sent_count, 0);
}

/* The send was asked for but not yet submitted. */
static void close_before_send_is_submitted(void **state)
{
	struct pair pair;
	char byte;
	(void)state;

	open_pair(&pair);
	io_send(pair.io, pair.server.socket, large, 100);
	party_close(&pair.server);
	RING_UNTIL(pair.io, pair.server.closed_count == 1);
	assert_int_equal(recv(pair.peer, &byte, 1, 0), 0);
	done_pair(&pair);
}

/* Nothing of what was not sent lingers: the peer is told at once. */
static void abort_resets_the_peer(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	io_send(pair.io, pair.server.socket, large, sizeof large);
	for (unsigned i = 0; i < 5; i++) ring_turn(pair.io, 1000);
	pair.server.closing = true;
	io_socket_abort(pair.io, pair.server.socket);
	RING_UNTIL(pair.io, pair.server.closed_count == 1);
	ssize_t size = 1;
	while (size > 0) size = recv(pair.peer, large, sizeof large, 0);
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
	done_pair(&pair);
}

/* After the peer's end; nothing is armed any more. */
static void close_after_end(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	shutdown(pair.peer, SHUT_WR);
	RING_UNTIL(pair.io, pair.server.ended_count == 1);
	assert_int_equal(pair.server.error, 0);
	party_close(&pair.server);
	done_pair(&pair);
}

/* The peer's reset is an end with an error. */
static void close_after_reset(void **state)
{
	struct pair pair;
	struct linger reset = { .l_onoff = 1 };
	(void)state;

	open_pair(&pair);
	assert_int_equal(setsockopt(pair.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	close(pair.peer);
	pair.peer = -1;
	RING_UNTIL(pair.io, pair.server.ended_count == 1);
	assert_int_equal(pair.server.error, ECONNRESET);
	io_send(pair.io, pair.server.socket, large, 10);
	RING_UNTIL(pair.io, pair.server.sent_count == 1);
	assert_int_equal(pair.server.error, EPIPE);
	party_close(&pair.server);
	done_pair(&pair);
}

/* All buffers are held by the owner and the socket starves. */
static void close_while_starved(void **state)
{
	struct pair pair;
	(void)state;

	open_pair(&pair);
	pair.server.hold = true;
	assert_int_equal(send(pair.peer, large, 100 * BUFFER_SIZE, 0), 100 * BUFFER_SIZE);
	RING_UNTIL(pair.io, io_statistics(pair.io).buffers_exhausted > 0);
	assert_int_equal(io_statistics(pair.io).buffers_free, 0);
	party_close(&pair.server);
	RING_UNTIL(pair.io, pair.server.closed_count == 1);
	party_return_held(&pair.server);
	done_pair(&pair);
}

/* Inside its own callbacks. */
static void close_in_callbacks(void **state)
{
	static const enum call calls[] = { CALL_RECEIVED, CALL_ENDED, CALL_SENT };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
		struct pair pair;
		open_pair(&pair);
		pair.server.close_in = calls[i];
		assert_int_equal(send(pair.peer, large, 3000, 0), 3000);
		io_send(pair.io, pair.server.socket, large, 10);
		shutdown(pair.peer, SHUT_WR);
		done_pair(&pair);
	}
}

/* A connection nobody wants: closed in accepted(), without an owner, nobody is told. */
static void close_in_accepted(void **state)
{
	struct io *io = ring_open(8, BUFFERS, BUFFER_SIZE);
	struct host host = { .close_at_once = true };
	unsigned descriptors = open_descriptors();
	char byte;
	(void)state;

	host_open(&host, io, NULL, 0);
	for (unsigned i = 1; i <= 20; i++) {
		int peer = peer_connect(&host.address);
		RING_UNTIL(io, host.accepted_count == i);
		ring_turn(io, 0);
		assert_int_equal(recv(peer, &byte, 1, 0), 0);
		close(peer);
	}
	io_socket_close(io, host.listener);
	RING_UNTIL(io, io_statistics(io).sockets_used == 0);
	assert_int_equal(open_descriptors(), descriptors);
	ring_close(io, BUFFERS);
}

/* The connect was asked for but not yet submitted; submitted and unanswered; answered. */
static void close_during_connect(void **state)
{
	enum { FILLERS = 4 };
	struct io_address address;
	int fillers[FILLERS];
	(void)state;

	for (unsigned turns = 0; turns < 4; turns++) {
		unsigned descriptors = open_descriptors();
		struct io *io = ring_open(8, BUFFERS, BUFFER_SIZE);
		struct party client = { .io = io };
		/* Its backlog is full, so that a further connect gets no answer. */
		int listener = peer_listen(0, &address);
		for (unsigned i = 0; i < FILLERS; i++) {
			struct sockaddr_in to = kernel_address(&address);
			fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			connect(fillers[i], (struct sockaddr *)&to, sizeof to);
		}
		assert_int_equal(io_connect(io, &address, &party_events, &client, &client.socket),
			RESULT_OK);
		io_receive_start(io, client.socket);
		for (unsigned i = 0; i < turns; i++) ring_turn(io, 1000);
		assert_int_equal(client.connected_count, 0);
		party_close(&client);
		RING_UNTIL(io, client.closed_count == 1);
		for (unsigned i = 0; i < FILLERS; i++) close(fillers[i]);
		close(listener);
		ring_close(io, BUFFERS);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

/* Refused, and closed in connected(). */
static void close_in_connected(void **state)
{
	struct io *io = ring_open(8, BUFFERS, BUFFER_SIZE);
	struct party client = { .io = io, .close_in = CALL_CONNECTED };
	struct io_address address;
	(void)state;

	int listener = peer_listen(1, &address);
	assert_int_equal(io_connect(io, &address, &party_events, &client, &client.socket),
		RESULT_OK);
	RING_UNTIL(io, client.closed_count == 1);
	assert_int_equal(client.error, 0);
	close(listener);

	client = (struct party){ .io = io, .close_in = CALL_CONNECTED };
	assert_int_equal(io_connect(io, &address, &party_events, &client, &client.socket),
		RESULT_OK);
	RING_UNTIL(io, client.closed_count == 1);
	assert_int_equal(client.error, ECONNREFUSED);
	ring_close(io, BUFFERS);
}

/* A listener: before it is armed, armed, paused, with connections coming in. */
static void close_listener(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		unsigned descriptors = open_descriptors();
		struct io *io = ring_open(8, BUFFERS, BUFFER_SIZE);
		struct host host = { .close_at_once = true };
		host_open(&host, io, NULL, 0);
		if (variant > 0) ring_turn(io, 0);
		if (variant == 2) io_accept_pause(io, host.listener);
		int peer = variant == 3 ? peer_connect(&host.address) : -1;
		io_socket_close(io, host.listener);
		RING_UNTIL(io, host.closed_count == 1);
		if (peer >= 0) close(peer);
		ring_close(io, BUFFERS);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

/* The end is seen after all that was sent before it, however long that takes. */
static void shutdown_waits_for_send(void **state)
{
	struct pair pair;
	size_t received = 0;
	(void)state;

	open_pair(&pair);
	set_nonblocking(pair.peer);
	io_send(pair.io, pair.server.socket, large, sizeof large);
	io_shutdown(pair.io, pair.server.socket);
	for (;;) {
		static uint8_t sink[65536];
		ssize_t size = recv(pair.peer, sink, sizeof sink, 0);
		if (size == 0) break;
		if (size > 0)
			received += (size_t)size;
		else
			ring_turn(pair.io, 1000);
	}
	assert_int_equal(received, sizeof large);
	RING_UNTIL(pair.io, pair.server.sent_count == 1);
	assert_int_equal(pair.server.error, 0);
	party_close(&pair.server);
	done_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_with_receive_armed),
		cmocka_unit_test(close_before_receive_is_armed),
		cmocka_unit_test(close_while_pausing),
		cmocka_unit_test(close_with_data_under_way),
		cmocka_unit_test(close_with_send_in_flight),
		cmocka_unit_test(close_before_send_is_submitted),
		cmocka_unit_test(abort_resets_the_peer),
		cmocka_unit_test(close_after_end),
		cmocka_unit_test(close_after_reset),
		cmocka_unit_test(close_while_starved),
		cmocka_unit_test(close_in_callbacks),
		cmocka_unit_test(close_in_accepted),
		cmocka_unit_test(close_during_connect),
		cmocka_unit_test(close_in_connected),
		cmocka_unit_test(close_listener),
		cmocka_unit_test(shutdown_waits_for_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

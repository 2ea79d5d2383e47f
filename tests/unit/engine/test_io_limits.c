/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running out of things: buffers, slots, completion entries. Everything goes on
 * when they come back, and no byte is lost meanwhile.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "lib/echo.h"
#include "unit/engine/io_harness.h"

/* Eight connections share four small buffers: they starve all the time, and all get through. */
static void limits_tiny_buffer_ring(void **state)
{
	enum { CLIENTS = 8, BUFFERS = 4, SIZE = 400000 };
	struct io *io = ring_open(2 * CLIENTS + 1, BUFFERS, 512);
	struct echo_server server;
	struct io_address address = loopback();
	(void)state;

	assert_int_equal(echo_server_open(&server, io, &address, CLIENTS, 2), RESULT_OK);
	address = io_listen_address(server.listener);
	struct echo_client *clients = alloc_array(CLIENTS, sizeof *clients);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		assert_int_equal(echo_client_start(&clients[i], io, &address, i, SIZE,
					 ECHO_CHUNK_SIZE_MAX),
			RESULT_OK);
	}
	for (uint32_t i = 0; i < CLIENTS; i++) RING_UNTIL(io, clients[i].closed);
	for (uint32_t i = 0; i < CLIENTS; i++) assert_true(clients[i].complete);
	assert_true(io_statistics(io).buffers_exhausted > 100);
	echo_server_close(&server);
	ring_close(io, BUFFERS);
	alloc_free(clients);
	echo_server_done(&server);
}

/* One hoards all buffers and gives them back: the other, starved, goes on without being asked. */
static void limits_starved_socket_resumes(void **state)
{
	enum { BUFFERS = 4, BUFFER_SIZE = 512 };
	static const uint8_t data[BUFFERS * BUFFER_SIZE];
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	struct party parties[2] = { { .hold = true }, { .hold = false } };
	struct host host = { .close_at_once = false };
	(void)state;

	host_open(&host, io, parties, 2);
	int hoarder = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 1);
	int other = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 2);
	assert_int_equal(send(hoarder, data, sizeof data, 0), sizeof data);
	RING_UNTIL(io, parties[0].received_size == sizeof data);
	assert_int_equal(send(other, data, sizeof data, 0), sizeof data);
	for (unsigned i = 0; i < 10; i++) ring_turn(io, 1000);
	assert_int_equal(parties[1].received_size, 0);
	/* Starving costs no turns. */
	uint64_t turns = io_statistics(io).turns;
	ring_turn(io, 20000);
	assert_int_equal(io_statistics(io).turns, turns + 1);
	party_return_held(&parties[0]);
	RING_UNTIL(io, parties[1].received_size == sizeof data);
	/* The hoarder's own receive ended for want of a buffer, too; it also goes on. */
	parties[0].hold = false;
	assert_int_equal(send(hoarder, data, 10, 0), 10);
	RING_UNTIL(io, parties[0].received_size == sizeof data + 10);
	party_close(&parties[0]);
	party_close(&parties[1]);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(hoarder);
	close(other);
}

/* The first in the queue of the starved does not want the only free buffer: the next one gets
 * it, though nothing else happens. */
static void limits_starved_socket_gives_way(void **state)
{
	enum { BUFFERS = 4, BUFFER_SIZE = 512, EXCESS = 5 * BUFFER_SIZE };
	static const uint8_t data[EXCESS];
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	struct party parties[2] = { { .hold = true }, { .hold = true } };
	struct host host = { .close_at_once = false };
	(void)state;

	host_open(&host, io, parties, 2);
	int first = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 1);
	int second = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 2);
	assert_int_equal(send(first, data, EXCESS, 0), EXCESS);
	RING_UNTIL(io, io_statistics(io).buffers_exhausted == 1);
	assert_int_equal(send(second, data, EXCESS, 0), EXCESS);
	RING_UNTIL(io, io_statistics(io).buffers_exhausted == 2);
	io_receive_pause(io, parties[0].socket);
	ring_turn(io, 0);
	struct io_buffer *buffer = parties[0].held;
	parties[0].held = buffer->next;
	io_buffer_return(io, buffer);
	mono_t start = io_mono(io);
	while (parties[1].received_count == 0) ring_turn(io, 10 * US_PER_S);
	assert_true(mono_since_us(start, io_mono(io)) < US_PER_S);
	for (unsigned i = 0; i < 2; i++) {
		party_return_held(&parties[i]);
		party_close(&parties[i]);
	}
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(first);
	close(second);
}

/* A paused receive stops within what was under way, and goes on where it was. */
static void limits_pause_and_resume(void **state)
{
	enum { BUFFERS = 64, BUFFER_SIZE = 1024, TOTAL = 8 * 1024 * 1024 };
	static uint8_t piece[65536];
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	struct party party = { .hold = false };
	struct host host = { .close_at_once = false };
	uint64_t sent = 0;
	(void)state;

	host_open(&host, io, &party, 1);
	int peer = peer_connect(&host.address);
	set_nonblocking(peer);
	RING_UNTIL(io, host.accepted_count == 1);
	for (unsigned round = 0; party.received_size < TOTAL; round++) {
		while (sent < TOTAL) {
			ssize_t size = send(peer, piece, sizeof piece, MSG_NOSIGNAL);
			if (size < 0) break;
			sent += (uint64_t)size;
		}
		io_receive_pause(io, party.socket);
		/* Taking it back before anything happened costs nothing and changes nothing. */
		if (round % 3 == 0) {
			io_receive_start(io, party.socket);
			io_receive_pause(io, party.socket);
		}
		for (unsigned i = 0; i < 3; i++) ring_turn(io, 100);
		uint64_t paused_at = party.received_size;
		ring_turn(io, 1000);
		assert_int_equal(party.received_size, paused_at);
		io_receive_start(io, party.socket);
		if (sent > paused_at) RING_UNTIL(io, party.received_size > paused_at);
	}
	assert_int_equal(party.received_size, sent);
	party_close(&party);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(peer);
}

/* Pausing right after starting, with data there: nothing is lost, whatever the order. */
static void limits_pause_in_received(void **state)
{
	enum { BUFFERS = 16, BUFFER_SIZE = 512, TOTAL = 50000 };
	static const uint8_t data[TOTAL];
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	struct party party = { .hold = true };
	struct host host = { .do_not_receive = true };
	(void)state;

	host_open(&host, io, &party, 1);
	int peer = peer_connect(&host.address);
	assert_int_equal(send(peer, data, TOTAL, 0), TOTAL);
	shutdown(peer, SHUT_WR);
	RING_UNTIL(io, host.accepted_count == 1);
	while (party.ended_count == 0) {
		io_receive_start(io, party.socket);
		uint64_t before = party.received_size;
		while (party.received_size == before && party.ended_count == 0) {
			ring_turn(io, HARNESS_WAIT_US);
		}
		if (party.ended_count == 0) io_receive_pause(io, party.socket);
		party_return_held(&party);
	}
	assert_int_equal(party.received_size, TOTAL);
	assert_int_equal(party.error, 0);
	party_close(&party);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(peer);
}

/* Without slots: those beyond are turned away or wait; connecting says so at once. */
static void limits_slots(void **state)
{
	enum { SLOTS = 5 };
	static struct party parties[SLOTS + 1];
	struct io *io = ring_open(SLOTS, 4, 512);
	struct host host = { .close_at_once = false };
	struct party extra = { .io = io };
	int clients[SLOTS];
	(void)state;

	host_open(&host, io, parties, SLOTS + 1);
	for (unsigned i = 0; i < SLOTS - 1; i++) clients[i] = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == SLOTS - 1);
	assert_int_equal(io_connect(io, &host.address, &party_events, &extra, &extra.socket),
		RESULT_FULL);
	clients[SLOTS - 1] = peer_connect(&host.address);
	RING_UNTIL(io, io_statistics(io).accept_errors > 0);
	party_close(&parties[0]);
	RING_UNTIL(io, parties[0].closed_count == 1);
	int late = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == SLOTS);
	for (unsigned i = 1; i < SLOTS; i++) party_close(&parties[i]);
	io_socket_close(io, host.listener);
	ring_close(io, 4);
	for (unsigned i = 0; i < SLOTS; i++) close(clients[i]);
	close(late);
}

/* More completions in one turn than the queue holds: none is lost, and it is counted. */
static void limits_completion_queue(void **state)
{
	enum { CLIENTS = IO_COMPLETIONS + 500 };
	static struct party clients[CLIENTS];
	struct io *io = ring_open(CLIENTS, 4, 512);
	struct io_address address;
	struct rlimit limit;
	(void)state;

	allow_descriptors(CLIENTS + 300);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < CLIENTS + 300) {
		ring_close(io, 4);
		skip();
	}
	/* Nobody can be connected to there: the answer comes with the submission. */
	assert_int_equal(address_parse(BYTES_LITERAL("255.255.255.255:1"), &address), RESULT_OK);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct party *client = &clients[i];
		*client = (struct party){ .io = io, .close_in = CALL_CONNECTED };
		assert_int_equal(io_connect(io, &address, &party_events, client, &client->socket),
			RESULT_OK);
	}
	RING_UNTIL(io, io_statistics(io).sockets_used == 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(clients[i].error, ENETUNREACH);
		assert_int_equal(clients[i].closed_count, 1);
	}
	assert_true(io_statistics(io).overflows > 0);
	ring_close(io, 4);
}

/* A receive that fills thousands of small buffers at once takes turns with everything else. */
static void limits_many_small_buffers(void **state)
{
	enum { BUFFERS = 32768, BUFFER_SIZE = 64, TOTAL = 1024 * 1024 };
	static uint8_t piece[65536];
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	struct party party = { .hold = true };
	struct host host = { .do_not_receive = true };
	uint64_t sent = 0;
	(void)state;

	host_open(&host, io, &party, 1);
	int peer = peer_connect(&host.address);
	set_nonblocking(peer);
	RING_UNTIL(io, host.accepted_count == 1);
	while (sent < TOTAL) {
		ssize_t size = send(peer, piece, sizeof piece, MSG_NOSIGNAL);
		if (size < 0) break;
		sent += (uint64_t)size;
	}
	io_receive_start(io, party.socket);
	uint64_t turns = io_statistics(io).turns;
	RING_UNTIL(io, party.received_size == sent);
	assert_true(io_statistics(io).turns - turns > 10);
	party_return_held(&party);
	party_close(&party);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(peer);
}

/* Two listeners on one address share it; a stranger's address is busy. */
static void limits_listen_results(void **state)
{
	struct io *io = ring_open(4, 4, 512);
	struct host first = { .close_at_once = true };
	struct io_socket *second;
	struct io_socket *refused;
	struct io_address address;
	unsigned descriptors;
	(void)state;

	host_open(&first, io, NULL, 0);
	assert_int_equal(io_listen(io, &first.address, &host_events, &first, &second), RESULT_OK);
	int stranger = peer_listen(1, &address);
	descriptors = open_descriptors();
	assert_int_equal(io_listen(io, &address, &host_events, &first, &refused), RESULT_BUSY);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(address_parse(BYTES_LITERAL("192.0.2.1:80"), &address), RESULT_OK);
	assert_int_equal(io_listen(io, &address, &host_events, &first, &refused), RESULT_KERNEL);
	assert_int_equal(errno, EADDRNOTAVAIL);
	assert_int_equal(open_descriptors(), descriptors);
	close(stranger);
	io_socket_close(io, first.listener);
	io_socket_close(io, second);
	ring_close(io, 4);
}

/* A paused listener lets connections wait in the backlog. */
static void limits_accept_pause(void **state)
{
	enum { CLIENTS = 3 };
	static struct party parties[CLIENTS];
	struct io *io = ring_open(CLIENTS + 1, 4, 512);
	struct host host = { .close_at_once = false };
	int clients[CLIENTS];
	(void)state;

	host_open(&host, io, parties, CLIENTS);
	ring_turn(io, 0);
	io_accept_pause(io, host.listener);
	ring_turn(io, 0);
	for (unsigned i = 0; i < CLIENTS; i++) clients[i] = peer_connect(&host.address);
	for (unsigned i = 0; i < 5; i++) ring_turn(io, 1000);
	assert_int_equal(host.accepted_count, 0);
	io_accept_resume(io, host.listener);
	RING_UNTIL(io, host.accepted_count == CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		party_close(&parties[i]);
		close(clients[i]);
	}
	io_socket_close(io, host.listener);
	ring_close(io, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_tiny_buffer_ring),
		cmocka_unit_test(limits_starved_socket_resumes),
		cmocka_unit_test(limits_starved_socket_gives_way),
		cmocka_unit_test(limits_pause_and_resume),
		cmocka_unit_test(limits_pause_in_received),
		cmocka_unit_test(limits_slots),
		cmocka_unit_test(limits_completion_queue),
		cmocka_unit_test(limits_many_small_buffers),
		cmocka_unit_test(limits_listen_results),
		cmocka_unit_test(limits_accept_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

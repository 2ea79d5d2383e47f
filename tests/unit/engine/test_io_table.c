/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets in the ring's table: they take no descriptor, and otherwise are as descriptors are. The
 * other tests of the engine run with the table where the kernel has it; test_io_descriptors.c
 * without.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/io_chaos.h"
#include "unit/engine/io_harness.h"

enum { BUFFERS = 16, BUFFER_SIZE = 512 };

/* Kernels before 6.14. */
static void skip_without_table(struct io *io)
{
	if (io_table_size(io) > 0) return;
	ring_close(io, BUFFERS);
	skip();
}

/* With five descriptors to be had, twenty connections are accepted and held, without a rest. */
static void table_holds_more_than_descriptors(void **state)
{
	enum { CLIENTS = 20, ROOM = 5 };
	static struct party parties[CLIENTS];
	struct io *io = ring_open(CLIENTS + 1, BUFFERS, BUFFER_SIZE);
	struct host host = { .close_at_once = false };
	int clients[CLIENTS];
	(void)state;

	skip_without_table(io);
	allow_descriptors(1024);
	host_open(&host, io, parties, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) clients[i] = peer_connect(&host.address);
	allow_descriptors(limit_with_room(ROOM));
	RING_UNTIL(io, host.accepted_count == CLIENTS);
	assert_int_equal(io_statistics(io).accept_errors, 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(send(clients[i], "x", 1, 0), 1);
		RING_UNTIL(io, parties[i].received_size == 1);
	}
	allow_descriptors(8192);
	for (unsigned i = 0; i < CLIENTS; i++) {
		party_close(&parties[i]);
		close(clients[i]);
	}
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
}

/* Both ends of a connection that was made here have their descriptors back once it stands. */
static void table_sockets_have_no_descriptor(void **state)
{
	struct io *io = ring_open(3, BUFFERS, BUFFER_SIZE);
	struct party server = { .hold = false };
	struct party client = { .io = io };
	struct host host = { .close_at_once = false };
	(void)state;

	skip_without_table(io);
	host_open(&host, io, &server, 1);
	unsigned descriptors = open_descriptors();
	assert_int_equal(io_connect(io, &host.address, &party_events, &client, &client.socket),
		RESULT_OK);
	RING_UNTIL(io, client.connected_count == 1 && host.accepted_count == 1);
	assert_int_equal(open_descriptors(), descriptors);
	party_close(&client);
	RING_UNTIL(io, server.ended_count == 1);
	party_close(&server);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
}

/* The peer sees the close at once, although an idle connection's receive is older. */
static void table_close_does_not_wait_for_others(void **state)
{
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	static struct party parties[2];
	struct host host = { .close_at_once = false };
	char byte;
	(void)state;

	skip_without_table(io);
	host_open(&host, io, parties, 2);
	int idle = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 1);
	ring_turn(io, 0);
	int other = peer_connect(&host.address);
	RING_UNTIL(io, host.accepted_count == 2);
	ring_turn(io, 0);
	party_close(&parties[1]);
	RING_UNTIL(io, parties[1].closed_count == 1);
	assert_int_equal(recv(other, &byte, 1, MSG_DONTWAIT), 0);
	party_close(&parties[0]);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	close(idle);
	close(other);
}

static unsigned threads(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/task");

	CHECK(directory != NULL);
	while (readdir(directory) != NULL) count++;
	closedir(directory);
	return count;
}

/* A shutdown leaves neither a descriptor nor a thread of the kernel's behind; without a descriptor
 * to be had for it the close does its work. */
static void table_shutdown(void **state)
{
	struct io *io = ring_open(4, BUFFERS, BUFFER_SIZE);
	static struct party parties[2];
	struct host host = { .close_at_once = false };
	int peers[2];
	char byte;
	(void)state;

	skip_without_table(io);
	host_open(&host, io, parties, 2);
	for (unsigned i = 0; i < 2; i++) {
		peers[i] = peer_connect(&host.address);
		RING_UNTIL(io, host.accepted_count == i + 1);
	}
	unsigned descriptors = open_descriptors();
	unsigned thread_count = threads();
	io_shutdown(io, parties[0].socket);
	while (recv(peers[0], &byte, 1, MSG_DONTWAIT) != 0) ring_turn(io, 1000);
	assert_int_equal(open_descriptors(), descriptors);
	assert_int_equal(threads(), thread_count);

	allow_descriptors(limit_with_room(0));
	io_shutdown(io, parties[1].socket);
	for (unsigned i = 0; i < 5; i++) ring_turn(io, 1000);
	assert_int_equal(recv(peers[1], &byte, 1, MSG_DONTWAIT), -1);
	party_close(&parties[1]);
	RING_UNTIL(io, parties[1].closed_count == 1);
	assert_int_equal(recv(peers[1], &byte, 1, MSG_DONTWAIT), 0);
	allow_descriptors(8192);
	party_close(&parties[0]);
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
	for (unsigned i = 0; i < 2; i++) close(peers[i]);
}

/* A table for some of the slots: the others are descriptors, and nobody can tell. */
static void table_smaller_than_slots(void **state)
{
	enum { SEEDS = 5, STEPS = 3000, ROOM = 10 };
	static struct chaos chaos;
	struct io_address address = loopback();
	unsigned descriptors = open_descriptors();
	unsigned descriptors_max = 0;
	(void)state;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		allow_descriptors(limit_with_room(ROOM));
		chaos_open(&chaos, seed, &address);
		allow_descriptors(8192);
		assert_true(io_table_size(chaos.io) < CHAOS_ENDS);
		for (unsigned step = 0; step < STEPS; step++) {
			chaos_step(&chaos);
			unsigned now = step % 100 == 0 ? open_descriptors() : 0;
			if (now > descriptors_max) descriptors_max = now;
		}
		chaos_close(&chaos);
	}
	/* Ring, eventfd and listener are three; some sockets were more. */
	assert_true(descriptors_max > descriptors + 3);
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_holds_more_than_descriptors),
		cmocka_unit_test(table_sockets_have_no_descriptor),
		cmocka_unit_test(table_close_does_not_wait_for_others),
		cmocka_unit_test(table_shutdown),
		cmocka_unit_test(table_smaller_than_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

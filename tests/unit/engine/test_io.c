/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real ring over loopback: what every user of engine/io.h relies on. Closing in every
 * state is in test_io_close.c, running out of things in test_io_limits.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "unit/engine/io_harness.h"
#include "engine/io_probe.h"
#include "lib/echo.h"

static void run_echo(uint32_t client_count, uint64_t size, uint32_t chunk_size)
{
	enum { BUFFERS = 1024 };
	struct io *io = ring_open(2 * client_count + 1, BUFFERS, 4096);
	struct echo_server server;
	struct io_address address = loopback();

	assert_int_equal(echo_server_open(&server, io, &address, client_count, 0), RESULT_OK);
	address = io_listen_address(server.listener);
	struct echo_client *clients = alloc_array(client_count, sizeof *clients);
	for (uint32_t i = 0; i < client_count; i++) {
		assert_int_equal(echo_client_start(&clients[i], io, &address, i, size + i,
					 chunk_size),
			RESULT_OK);
	}
	RING_UNTIL(io, server.closed_count == client_count);
	echo_server_close(&server);
	RING_UNTIL(io, io_statistics(io).sockets_used == 0);
	for (uint32_t i = 0; i < client_count; i++) {
		assert_int_equal(clients[i].error, 0);
		assert_true(clients[i].complete && clients[i].closed);
	}
	assert_int_equal(io_statistics(io).overflows, 0);
	ring_close(io, BUFFERS);
	alloc_free(clients);
	echo_server_done(&server);
}

/* A thousand clients at once each get back what they sent. */
static void io_echo_1000_connections(void **state)
{
	(void)state;
	allow_descriptors(8192);
	run_echo(1000, 5000, 1024);
}

/* More requests in one turn than the submission queue holds. */
static void io_echo_beyond_submission_queue(void **state)
{
	(void)state;
	struct rlimit limit;
	allow_descriptors(8192);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2 * (IO_ENTRIES + 500) + 64) skip();
	run_echo(IO_ENTRIES + 500, 100, 64);
}

/* Sends larger than the socket buffer arrive whole. */
static void io_echo_large_sends(void **state)
{
	(void)state;
	run_echo(4, 3000000, ECHO_CHUNK_SIZE_MAX);
}

/* Slots are reused at once, thousands of times; no completion strays to a later user. */
static void io_slots_are_reused(void **state)
{
	enum { ROUNDS = 3000, BUFFERS = 4 };
	static struct party parties[ROUNDS];
	static struct party clients[ROUNDS];
	struct io *io = ring_open(4, BUFFERS, 512);
	struct host host = { .close_at_once = false };
	(void)state;

	host_open(&host, io, parties, ROUNDS);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct party *client = &clients[i];
		*client = (struct party){ .io = io, .close_in = CALL_SENT };
		parties[i].close_in = i % 2 == 0 ? CALL_RECEIVED : CALL_ENDED;
		assert_int_equal(io_connect(io, &host.address, &party_events, client,
					 &client->socket),
			RESULT_OK);
		RING_UNTIL(io, client->connected_count == 1);
		assert_int_equal(client->error, 0);
		io_receive_start(io, client->socket);
		io_send(io, client->socket, "x", 1);
		RING_UNTIL(io, client->closed_count == 1 && parties[i].closed_count == 1);
	}
	io_socket_close(io, host.listener);
	ring_close(io, BUFFERS);
}

static int find_ring_fd(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char link[64];
		char target[64] = "";
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof target - 1) < 0) continue;
		if (strcmp(target, "anon_inode:[io_uring]") == 0) return fd;
	}
	return -1;
}

/* What we do not use is forbidden, for requests and registrations alike. */
static void io_forbidden_operations_are_refused(void **state)
{
	static const uint8_t allowed[] = { IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL,
		IORING_OP_CLOSE, IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_RECV,
		IORING_OP_SEND };
	struct io *io = ring_open(1, 1, 512);
	(void)state;

	for (unsigned opcode = 0; opcode <= IORING_OP_SENDMSG_ZC; opcode++) {
		bool is_allowed = false;
		for (size_t i = 0; i < ARRAY_COUNT(allowed); i++) {
			if (allowed[i] == opcode) is_allowed = true;
		}
		if (is_allowed) continue;
		assert_int_equal(io_probe_operation(io, (uint8_t)opcode), -EACCES);
	}
	int ring_fd = find_ring_fd();
	assert_true(ring_fd >= 0);
	int fds[1] = { 0 };
	errno = 0;
	assert_true(syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_FILES, fds, 1) < 0);
	assert_int_equal(errno, EACCES);
	assert_non_null(strstr(io_features(io), "restricted"));
	io_close(io);
}

/* ---- Waking ---------------------------------------------------------------------------------- */

enum { WAKES = 100000 };

struct waking {
	struct io *io;
	atomic_uint posted;
	atomic_uint seen;
	unsigned woken_count;
};

static void waking_woken(void *owner)
{
	struct waking *waking = owner;
	waking->woken_count++;
	atomic_store(&waking->seen, atomic_load(&waking->posted));
}

static void *wake_and_await(void *argument)
{
	struct waking *waking = argument;

	for (unsigned i = 1; i <= WAKES; i++) {
		atomic_store(&waking->posted, i);
		io_wake(waking->io);
		while (atomic_load(&waking->seen) != i) sched_yield();
	}
	return NULL;
}

static void *wake_in_bursts(void *argument)
{
	struct waking *waking = argument;

	for (unsigned i = 1; i <= WAKES; i++) {
		atomic_store(&waking->posted, i);
		io_wake(waking->io);
	}
	return NULL;
}

/* Waits for ever in every turn: a lost wake-up hangs. */
static unsigned run_waking(void *(*wake)(void *argument))
{
	struct waking waking = { .woken_count = 0 };
	struct io_config config = { .sockets_max = 1,
		.buffer_count = 1,
		.buffer_size = 512,
		.woken = waking_woken,
		.owner = &waking };
	pthread_t thread;

	assert_int_equal(io_open(&config, &waking.io), RESULT_OK);
	assert_int_equal(pthread_create(&thread, NULL, wake, &waking), 0);
	while (atomic_load(&waking.seen) != WAKES) ring_turn(waking.io, UINT64_MAX);
	pthread_join(thread, NULL);
	io_close(waking.io);
	return waking.woken_count;
}

/* 10^5 wake-ups, each awaited by the waker before the next. */
static void io_wake_loses_none(void **state)
{
	(void)state;
	assert_int_equal(run_waking(wake_and_await), WAKES);
}

/* 10^5 wake-ups at full speed: the last one counts, many become one. */
static void io_wake_in_bursts(void **state)
{
	(void)state;
	assert_in_range(run_waking(wake_in_bursts), 1, WAKES);
}

/* Nothing to do: the wait ends by time, without a callback, and time has passed. */
static void io_turn_waits(void **state)
{
	struct io *io = ring_open(1, 1, 512);
	(void)state;

	mono_t start = io_mono(io);
	wall_t wall = io_wall(io);
	ring_turn(io, 0);
	assert_in_range(mono_since_us(start, io_mono(io)), 0, 1000000);
	ring_turn(io, 20000);
	assert_true(mono_since_us(start, io_mono(io)) >= 20000);
	assert_true(io_wall(io).us > wall.us);
	assert_true(io_random(io) != io_random(io));
	io_close(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(io_echo_1000_connections),
		cmocka_unit_test(io_echo_beyond_submission_queue),
		cmocka_unit_test(io_echo_large_sends),
		cmocka_unit_test(io_slots_are_reused),
		cmocka_unit_test(io_forbidden_operations_are_refused),
		cmocka_unit_test(io_wake_loses_none),
		cmocka_unit_test(io_wake_in_bursts),
		cmocka_unit_test(io_turn_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_io_echo — what one request costs in the engine alone: a plain TCP server on one CPU
 * answers requests of 1 KiB, clients on another CPU keep it busy.
 *
 * Goals: compare decisions about the ring with each other on one machine.
 * Non-goals: absolute figures, HTTP, TLS, the store.
 *
 * usage: bench_io_echo [connections [seconds [buffers [requests per connection]]]]
 *
 * Without arguments it runs for a moment as a test, so that it does not rot. Requests per
 * connection 0: connections stay.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/pool.h"
#include "engine/loop.h"

enum { REQUEST_SIZE = 1024, ANSWER_SIZE = 128, BUFFER_SIZE = 4096, RUSH_US = 200000 };

struct options {
	uint32_t connections;
	uint32_t buffers;
	uint32_t requests_per_connection;
	double seconds;
};

struct bench {
	struct options options;
	struct io_address address;
	atomic_bool ready;
	atomic_bool stop;
	atomic_bool client_done;
};

/* One end of a connection. It counts bytes; what they are does not matter. */
struct end {
	struct side *side;
	struct io_socket *socket;
	uint32_t missing; /* until the message is complete */
	uint32_t requests_left;
	bool closing;
};

struct side {
	struct bench *bench;
	struct io *io;
	struct io_socket *listener;
	struct pool ends;
	const struct io_events *events;
	uint64_t count;
	uint64_t failed;
	bool is_client;
};

static uint8_t message[REQUEST_SIZE];

static double thread_cpu_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* With one CPU, or a forbidden one, the figures are worth less; go on. */
	(void)sched_setaffinity(0, sizeof set, &set);
}

static void end_close(struct end *end)
{
	if (end->closing) return;
	end->closing = true;
	io_socket_close(end->side->io, end->socket);
}

static void end_send(struct end *end)
{
	size_t size = end->side->is_client ? REQUEST_SIZE : ANSWER_SIZE;
	io_send(end->side->io, end->socket, message, size);
}

static void client_start(struct side *side)
{
	struct end *end = pool_take(&side->ends);

	CHECK(end != NULL);
	*end = (struct end){ .side = side, .missing = ANSWER_SIZE };
	end->requests_left = side->bench->options.requests_per_connection;
	CHECK(io_connect(side->io, &side->bench->address, side->events, end, &end->socket) ==
		RESULT_OK);
}

static void end_connected(void *owner, int error)
{
	struct end *end = owner;

	if (error != 0) {
		end->side->failed++;
		end_close(end);
		return;
	}
	io_receive_start(end->side->io, end->socket);
	end_send(end);
}

static void end_received(void *owner, struct io_buffer *buffer)
{
	struct end *end = owner;
	struct side *side = end->side;
	uint32_t size = buffer->size;

	io_buffer_return(side->io, buffer);
	CHECK(size <= end->missing);
	end->missing -= size;
	if (end->missing > 0) return;

	end->missing = side->is_client ? ANSWER_SIZE : REQUEST_SIZE;
	side->count++;
	if (side->is_client && end->requests_left == 1) {
		end_close(end);
		return;
	}
	if (end->requests_left > 0) end->requests_left--;
	end_send(end);
}

static void end_ended(void *owner, int error)
{
	(void)error;
	end_close(owner);
}

static void end_sent(void *owner, int error)
{
	if (error != 0) end_close(owner);
}

static void end_closed(void *owner)
{
	struct end *end = owner;
	struct side *side = end->side;

	pool_give(&side->ends, end);
	if (side->is_client && !atomic_load(&side->bench->stop)) client_start(side);
}

static void server_accepted(void *owner, struct io_socket *socket, const struct io_address *peer)
{
	struct side *side = owner;
	struct end *end = pool_take(&side->ends);

	(void)peer;
	CHECK(end != NULL);
	*end = (struct end){ .side = side, .socket = socket, .missing = REQUEST_SIZE };
	io_socket_adopt(socket, side->events, end);
	io_receive_start(side->io, socket);
}

static void listener_closed(void *owner)
{
	struct side *side = owner;
	side->listener = NULL;
}

static const struct io_events end_events = {
	.connected = end_connected,
	.received = end_received,
	.ended = end_ended,
	.sent = end_sent,
	.closed = end_closed,
};
static const struct io_events listener_events = {
	.accepted = server_accepted,
	.closed = listener_closed,
};

static void side_open(struct side *side, struct bench *bench, bool is_client)
{
	const struct options *options = &bench->options;
	/* Closing takes a turn or two, in which the next connection is there already. */
	uint32_t ends = 4 * options->connections;
	struct io_config config = { .sockets_max = ends + 1,
		.buffer_count = options->buffers,
		.buffer_size = BUFFER_SIZE };

	*side = (struct side){ .bench = bench, .events = &end_events, .is_client = is_client };
	CHECK(io_open(&config, &side->io) == RESULT_OK);
	pool_init(&side->ends, sizeof(struct end), ends);
}

static void turn(struct side *side)
{
	CHECK(io_turn(side->io, 100000) == RESULT_OK);
}

static void *run_client(void *argument)
{
	struct bench *bench = argument;
	struct side side;

	pin(1);
	side_open(&side, bench, true);
	for (uint32_t i = 0; i < bench->options.connections; i++) client_start(&side);
	mono_t start = io_mono(side.io);
	uint64_t us = (uint64_t)(bench->options.seconds * 1e6);
	while (mono_since_us(start, io_mono(side.io)) < us) turn(&side);
	atomic_store(&bench->stop, true);
	for (uint32_t i = 0; i < side.ends.count; i++) {
		struct end *end = pool_at(&side.ends, i);
		if (end->side != NULL && end->socket != NULL && !end->closing) end_close(end);
	}
	while (io_statistics(side.io).sockets_used > 0) turn(&side);
	CHECK(side.failed == 0);
	io_close(side.io);
	pool_done(&side.ends);
	atomic_store(&bench->client_done, true);
	return NULL;
}

static void report(const struct side *side, double cpu_us, uint64_t wall_us, uint64_t count,
	const struct io_statistics *before)
{
	struct io_statistics after = io_statistics(side->io);
	struct rusage usage;
	double turns = (double)(after.turns - before->turns);

	getrusage(RUSAGE_THREAD, &usage);
	print_message("requests/s %.0f  cpu us/request %.3f  cpu %.1f %%  completions/turn %.2f  "
		      "submissions/request %.2f  switches %ld+%ld\n",
		(double)count * 1e6 / (double)wall_us, cpu_us / (double)count,
		100 * cpu_us / (double)wall_us,
		(double)(after.completions - before->completions) / turns,
		(double)(after.submissions - before->submissions) / (double)count, usage.ru_nvcsw,
		usage.ru_nivcsw);
}

static void run(const struct options *options)
{
	struct bench bench = { .options = *options };
	struct side side;
	pthread_t client;

	CHECK(address_parse(BYTES_LITERAL("127.0.0.1:0"), &bench.address) == RESULT_OK);
	pin(0);
	side_open(&side, &bench, false);
	CHECK(io_listen(side.io, &bench.address, &listener_events, &side, &side.listener) ==
		RESULT_OK);
	bench.address = io_listen_address(side.listener);
	CHECK(pthread_create(&client, NULL, run_client, &bench) == 0);

	mono_t start = io_mono(side.io);
	while (mono_since_us(start, io_mono(side.io)) < RUSH_US) turn(&side);
	struct io_statistics before = io_statistics(side.io);
	uint64_t count_before = side.count;
	double cpu_before = thread_cpu_us();
	start = io_mono(side.io);
	while (!atomic_load_explicit(&bench.stop, memory_order_relaxed)) turn(&side);
	report(&side, thread_cpu_us() - cpu_before, mono_since_us(start, io_mono(side.io)),
		side.count - count_before, &before);

	while (side.ends.used_count > 0) turn(&side);
	io_socket_close(side.io, side.listener);
	while (io_statistics(side.io).sockets_used > 0 || !atomic_load(&bench.client_done)) {
		turn(&side);
	}
	pthread_join(client, NULL);
	io_close(side.io);
	pool_done(&side.ends);
}

static void bench_smoke(void **state)
{
	(void)state;
	run(&(struct options){ .connections = 16, .seconds = 0.3, .buffers = 64 });
	run(&(struct options){
		.connections = 16, .seconds = 0.3, .buffers = 64, .requests_per_connection = 1 });
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench_smoke) };
	struct options options = { .connections = 64, .seconds = 3, .buffers = 4096 };

	if (argc == 1) return cmocka_run_group_tests(tests, NULL, NULL);
	options.connections = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 2) options.seconds = strtod(argv[2], NULL);
	if (argc > 3) options.buffers = (uint32_t)strtoul(argv[3], NULL, 10);
	if (argc > 4) options.requests_per_connection = (uint32_t)strtoul(argv[4], NULL, 10);
	run(&options);
	return 0;
}

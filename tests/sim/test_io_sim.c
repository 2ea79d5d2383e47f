/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulation itself: the same seed is the same run, a perfect network delivers every byte
 * in order, a faulty one ends every connection somehow and leaves nothing behind.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "lib/echo.h"
#include "lib/io_chaos.h"
#include "sim/io_sim.h"

enum { CLIENTS = 12, SEEDS = 200, CHAOS_STEPS = 2000 };

static const struct sim_faults faulty = {
	.connect_refused_ppm = 50000,
	.connect_lost_ppm = 20000,
	.accept_failed_ppm = 100000,
	.reset_ppm = 2000,
	.stall_ppm = 5000,
	.truncate_ppm = 2000,
};

struct test {
	struct sim_world *world;
	struct loop server_loop;
	struct loop client_loops[2];
	struct echo_server server;
	struct echo_client *clients;
	bool closing;
};

static bool clients_closed(void *owner)
{
	const struct test *test = owner;

	for (size_t i = 0; i < CLIENTS; i++) {
		if (!test->clients[i].closed) return false;
	}
	return true;
}

static bool all_closed(void *owner)
{
	const struct test *test = owner;

	return test->server.listener_closed && echo_server_idle(&test->server);
}

static struct io_address server_address(void)
{
	struct io_address address;

	assert_int_equal(address_parse(BYTES_LITERAL("10.0.0.1:80"), &address), RESULT_OK);
	return address;
}

static void open_loops(struct test *test)
{
	/* The server has fewer buffers than its connections may hold. */
	struct io_config server = {
		.sockets_max = CLIENTS / 2, .buffer_count = 16, .buffer_size = 1024
	};
	struct io_config client = {
		.sockets_max = CLIENTS, .buffer_count = 64, .buffer_size = 2048
	};

	assert_int_equal(loop_open(&test->server_loop, &server), RESULT_OK);
	sim_world_add(test->world, &test->server_loop);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(loop_open(&test->client_loops[i], &client), RESULT_OK);
		sim_world_add(test->world, &test->client_loops[i]);
	}
}

static void start_clients(struct test *test)
{
	struct random *random = sim_world_random(test->world);
	struct io_address address = server_address();

	for (size_t i = 0; i < CLIENTS; i++) {
		uint64_t size = random_below(random, 60000) + 1;
		uint32_t chunk = (uint32_t)random_below(random, ECHO_CHUNK_SIZE_MAX) + 1;
		assert_int_equal(echo_client_start(&test->clients[i], test->client_loops[i % 2].io,
					 &address, i, size, chunk),
			RESULT_OK);
	}
}

/* Returns the digest of the whole run. */
static uint64_t run_echo(uint64_t seed, const struct sim_faults *faults)
{
	struct test test = { .world = sim_world_create(seed, faults) };
	struct io_address address = server_address();

	test.clients = alloc_array(CLIENTS, sizeof *test.clients);
	open_loops(&test);
	assert_int_equal(echo_server_open(&test.server, test.server_loop.io, &address, CLIENTS, 4),
		RESULT_OK);
	start_clients(&test);
	assert_true(sim_run_until(test.world, clients_closed, &test, 3600 * US_PER_S));
	echo_server_close(&test.server);
	assert_true(sim_run_until(test.world, all_closed, &test, 3600 * US_PER_S));

	for (size_t i = 0; i < CLIENTS; i++) {
		const struct echo_client *client = &test.clients[i];
		if (faults == NULL) assert_int_equal(client->error, 0);
		assert_true(client->complete == (client->error == 0));
		sim_world_note(test.world, client->received_size);
		sim_world_note(test.world, (uint64_t)client->error);
	}
	uint64_t trace = sim_world_trace(test.world);
	loop_close(&test.server_loop);
	loop_close(&test.client_loops[0]);
	loop_close(&test.client_loops[1]);
	sim_world_destroy(test.world);
	echo_server_done(&test.server);
	alloc_free(test.clients);
	return trace;
}

/* Whatever the seed, every byte comes back in order when nothing goes wrong. */
static void perfect_network_delivers_all(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) run_echo(seed, NULL);
}

/* Whatever goes wrong, every connection ends, and every buffer and slot comes back. */
static void faulty_network_leaves_nothing_behind(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) run_echo(seed, &faulty);
}

/* The same seed gives the same run; another one another. */
static void same_seed_is_same_run(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		assert_true(run_echo(seed, &faulty) == run_echo(seed, &faulty));
		assert_true(run_echo(seed, &faulty) != run_echo(seed + 1, &faulty));
	}
}

static void count_up(void *owner)
{
	unsigned *count = owner;
	(*count)++;
}

/* The clock jumps over idle time: an hour passes in a few steps, and timers are on time. */
static void clock_jumps_to_next_timer(void **state)
{
	(void)state;
	struct sim_world *world = sim_world_create(1, NULL);
	struct io_config config = { .sockets_max = 1, .buffer_count = 1, .buffer_size = 1024 };
	struct loop loop;
	struct timer timer;
	unsigned count = 0;

	assert_int_equal(loop_open(&loop, &config), RESULT_OK);
	sim_world_add(world, &loop);
	assert_false(sim_world_step(world));
	timer_init(&timer, count_up, &count);
	mono_t start = loop_now(&loop);
	timer_start(&loop.timers, &timer, start, 3600 * US_PER_S);
	unsigned steps = 0;
	while (count == 0) {
		assert_true(sim_world_step(world));
		steps++;
	}
	assert_in_range(steps, 1, 40);
	uint64_t elapsed_us = mono_since_us(start, loop_now(&loop));
	assert_in_range(elapsed_us, 3600 * US_PER_S,
		3600 * US_PER_S + 2 * TIMER_TICK_MS * US_PER_MS);
	loop_close(&loop);
	sim_world_destroy(world);
}

static bool some_bytes_came(void *owner)
{
	const struct test *test = owner;
	return test->clients[0].received_size > 1000;
}

/* A process that dies in the middle resets its peers; a new one in its place serves again. */
static void killed_server_resets_clients(void **state)
{
	(void)state;
	struct test test = { .world = sim_world_create(7, NULL) };
	struct io_address address = server_address();

	test.clients = alloc_array(CLIENTS, sizeof *test.clients);
	open_loops(&test);
	assert_int_equal(echo_server_open(&test.server, test.server_loop.io, &address, CLIENTS, 4),
		RESULT_OK);
	start_clients(&test);
	assert_true(sim_run_until(test.world, some_bytes_came, &test, 60 * US_PER_S));
	sim_world_remove(test.world, &test.server_loop);
	sim_io_kill(test.server_loop.io);
	alloc_unmap(test.server.connections.memory,
		test.server.connections.object_size * test.server.connections.count);
	assert_true(sim_run_until(test.world, clients_closed, &test, 60 * US_PER_S));
	assert_int_not_equal(test.clients[0].error, 0);

	struct io_config config = { .sockets_max = 4, .buffer_count = 16, .buffer_size = 1024 };
	assert_int_equal(loop_open(&test.server_loop, &config), RESULT_OK);
	sim_world_add(test.world, &test.server_loop);
	assert_int_equal(echo_server_open(&test.server, test.server_loop.io, &address, CLIENTS, 4),
		RESULT_OK);
	start_clients(&test);
	assert_true(sim_run_until(test.world, clients_closed, &test, 60 * US_PER_S));
	assert_int_equal(test.clients[0].error, 0);
	echo_server_close(&test.server);
	assert_true(sim_run_until(test.world, all_closed, &test, 60 * US_PER_S));
	loop_close(&test.server_loop);
	loop_close(&test.client_loops[0]);
	loop_close(&test.client_loops[1]);
	sim_world_destroy(test.world);
	echo_server_done(&test.server);
	alloc_free(test.clients);
}

/* Returns the digest of the whole run. */
static uint64_t run_chaos(uint64_t seed, const struct sim_faults *faults, uint64_t *byte_count)
{
	static struct chaos chaos;
	struct sim_world *world = sim_world_create(seed, faults);
	struct io_address address = server_address();

	chaos_open(&chaos, seed, &address);
	for (unsigned step = 0; step < CHAOS_STEPS; step++) chaos_step(&chaos);
	chaos_close(&chaos);
	*byte_count += chaos.byte_count;
	uint64_t trace = sim_world_trace(world);
	sim_world_destroy(world);
	return trace;
}

/* Everything io.h allows, at random moments: the contract of the real ring holds here too. */
static void chaos_keeps_the_contract(void **state)
{
	uint64_t byte_count = 0;
	(void)state;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		const struct sim_faults *faults = seed % 2 == 0 ? NULL : &faulty;
		uint64_t trace = run_chaos(seed, faults, &byte_count);
		if (seed < 20) assert_true(run_chaos(seed, faults, &byte_count) == trace);
	}
	assert_true(byte_count > 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_network_delivers_all),
		cmocka_unit_test(faulty_network_leaves_nothing_behind),
		cmocka_unit_test(same_seed_is_same_run),
		cmocka_unit_test(clock_jumps_to_next_timer),
		cmocka_unit_test(killed_server_resets_clients),
		cmocka_unit_test(chaos_keeps_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* More clients than connections, in the whole system: a burst far above them, connections that
 * idle, and clients that wait in vain.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "sim/sim_client.h"
#include "sim/sim_system.h"

/* Each worker has so many connections; one of them is for saying 503. */
enum { CONNECTIONS = 16, CLIENTS_MAX = 200 };

static const char request_closing[] =
	"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
static const char request_kept[] = "POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";

static struct system system;
static struct sim_client clients[CLIENTS_MAX];

static void open_quiet(uint64_t seed, const struct system_flows *flows)
{
	struct system_plan plan = {
		.seed = seed,
		.disk = { .latency_us_max = 1000, .exit_us_max = US_PER_S },
		.event_count = SYSTEM_PROVIDERS,
		.lane_count = 1,
		.connections_max = CONNECTIONS,
		.requests_max = 64,
		.buffer_count = 128,
		.channels_max = 16,
		.replay_entries_max = 1024,
		.gap_us_max = 100000,
	};

	system_open(&system, &plan, flows);
}

static void finish(void)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) sim_client_close(&clients[i]);
	system_start_providers(&system);
	system_calm(&system);
	system_settle(&system);
	system_stop(&system);
	(void)system_close(&system);
	memset(clients, 0, sizeof clients);
}

static void client_start(uint32_t index, const char *text)
{
	clients[index] = (struct sim_client){ .data = bytes_of_text(text) };
	sim_client_start(&clients[index], system.world, &system.provider_loop,
		&system.daemon.config.address);
}

static bool client_answered(const struct sim_client *client, const char *status)
{
	return strstr(client->text, status) != NULL;
}

static uint32_t answered_count(uint32_t first, uint32_t end, const char *status)
{
	uint32_t count = 0;
	for (uint32_t i = first; i < end; i++) count += client_answered(&clients[i], status);
	return count;
}

/* Gauges summed over the workers. */
static struct receive_usage usage(void)
{
	struct receive_usage sum = { 0 };
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct receive_usage one = receive_usage(system.daemon.workers[i].wiring.receive);
		sum.connections += one.connections;
		sum.parked += one.parked;
	}
	return sum;
}

static bool clients_closed(struct system *whole)
{
	MAYBE(whole == NULL);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i].open) return false;
	}
	return true;
}

static void everybody_of_a_burst_is_answered(void **state)
{
	for (uint64_t seed = 0; seed < 10; seed++) {
		open_quiet(seed, *state);
		for (uint32_t i = 0; i < CLIENTS_MAX; i++) client_start(i, request_closing);
		assert_true(system_run(&system, clients_closed, 60 * US_PER_S));
		for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
			assert_true(client_answered(&clients[i], "HTTP/1.1 404 ") ||
				client_answered(&clients[i], "HTTP/1.1 503 "));
			assert_int_equal(clients[i].error, 0);
		}
		assert_int_equal(usage().parked, 0);
		finish();
	}
}

/* Both workers' connections are taken by clients that have had their answer. */
static void idle_connections_give_way(void **state)
{
	enum { IDLE = 100 };
	open_quiet(20, *state);

	/* In portions, so that none of them is told to come back. */
	for (uint32_t i = 0; i < IDLE; i++) {
		client_start(i, request_kept);
		if (i % 4 == 3) system_run_for(&system, 2 * US_PER_S);
	}
	assert_int_equal(answered_count(0, IDLE, "HTTP/1.1 404 "), IDLE);
	assert_in_range(usage().connections, 2 * CONNECTIONS - 4, 2 * CONNECTIONS);
	/* The longest idle have left first. */
	for (uint32_t i = 0; i + 2 * CONNECTIONS + 16 < IDLE; i++) assert_false(clients[i].open);
	for (uint32_t i = IDLE - 16; i < IDLE; i++) assert_true(clients[i].open);
	assert_true(metrics_sum(METRICS_CONNECTIONS_EVICTED) >= IDLE - 2 * CONNECTIONS);

	/* The same all at once: nobody has to wait for the idle limit. */
	for (uint32_t i = IDLE; i < IDLE + CONNECTIONS; i++) client_start(i, request_kept);
	system_run_for(&system, US_PER_S);
	assert_int_equal(answered_count(IDLE, IDLE + CONNECTIONS, "HTTP/1.1 404 "), CONNECTIONS);
	finish();
}

static void connection_at_work_does_not_give_way(void **state)
{
	open_quiet(21, *state);
	for (uint32_t i = 0; i < 100; i++) client_start(i, request_kept);
	system_run_for(&system, RECEIVE_EVICT_IDLE_MS * US_PER_MS / 2);
	uint32_t served_count = answered_count(0, 100, "HTTP/1.1 404 ");
	assert_int_equal(served_count, 2 * (CONNECTIONS - 1));
	assert_int_equal(served_count + answered_count(0, 100, "HTTP/1.1 503 "), 100);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(clients[i].open, client_answered(&clients[i], "HTTP/1.1 404 "));
	}
	finish();
}

/* Begins to send a body at 8 KiB a second, which is lawful, and takes all the time there is. */
static void client_start_large(uint32_t index)
{
	static uint8_t memory[HTTP_HEAD_SIZE_MAX + RECEIVE_BODY_SIZE_DEFAULT];
	struct writer writer = writer_of(memory, sizeof memory);

	write_text(&writer,
		"POST /in/github HTTP/1.1\r\nHost: hooks.example.org\r\nContent-Length: ");
	write_decimal(&writer, RECEIVE_BODY_SIZE_DEFAULT);
	write_text(&writer, "\r\n\r\n");
	clients[index] = (struct sim_client){
		.data = bytes_of(memory, writer.size + RECEIVE_BODY_SIZE_DEFAULT),
		.piece_size = 2048,
		.gap_us = US_PER_S / 4,
	};
	sim_client_start(&clients[index], system.world, &system.provider_loop,
		&system.daemon.config.address);
}

static bool many_wait(struct system *whole)
{
	MAYBE(whole == NULL);
	return usage().parked > 30;
}

/* Bodies hold the connections; silent clients get the rest, a second each, and not all in time. */
static void waiting_has_its_limit(void **state)
{
	enum { LARGE = 100, SILENT = 60, END = LARGE + SILENT };
	open_quiet(22, *state);

	for (uint32_t i = 0; i < LARGE; i++) client_start_large(i);
	system_run_for(&system, US_PER_S / 2);
	assert_int_equal(usage().connections, 2 * (CONNECTIONS - 1));
	for (uint32_t i = LARGE; i < END; i++) client_start(i, "");
	/* Once the first ones have had their turn all others are accepted. */
	assert_true(system_run(&system, many_wait, 20 * US_PER_S));
	uint64_t timed_out_count = metrics_sum(METRICS_CONNECTIONS_TIMED_OUT);
	system_run_for(&system, RECEIVE_HANDSHAKE_TIMEOUT_MS * US_PER_MS + US_PER_S);
	assert_true(usage().connections >= 2 * (CONNECTIONS - 1));
	assert_int_equal(usage().parked, 0);
	assert_true(metrics_sum(METRICS_CONNECTIONS_TIMED_OUT) - timed_out_count > 10);
	for (uint32_t i = LARGE; i < END; i++) assert_int_equal(clients[i].text_size, 0);

	/* Connections are free again once the bodies' time is over. */
	system_run_for(&system, RECEIVE_BODY_TIMEOUT_MS * US_PER_MS);
	client_start(END, request_closing);
	system_run_for(&system, US_PER_S);
	assert_true(client_answered(&clients[END], "HTTP/1.1 404 "));
	finish();
}

/* Those that wait are let go at once when the process is to stop. */
static void drain_lets_go_of_who_waits(void **state)
{
	open_quiet(23, *state);
	for (uint32_t i = 0; i < 100; i++) client_start(i, "");
	system_run_for(&system, RECEIVE_EVICT_IDLE_MS * US_PER_MS / 2);
	assert_true(usage().parked > 0);
	sim_daemon_drain(&system.daemon, 5 * US_PER_S);
	system_run_for(&system, US_PER_S);
	assert_int_equal(usage().parked, 0);
	assert_true(clients_closed(&system));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_of_a_burst_is_answered),
		cmocka_unit_test(idle_connections_give_way),
		cmocka_unit_test(connection_at_work_does_not_give_way),
		cmocka_unit_test(waiting_has_its_limit),
		cmocka_unit_test(drain_lets_go_of_who_waits),
	};

	return cmocka_run_group_tests(tests, system_set_up, system_tear_down);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_tls — what TLS costs, in memory and without a network: the processor time of the server's
 * side of full and of resumed handshakes, of the records of a request of 1.2 KiB with an answer
 * of 200 bytes on either side, and the memory an idle connection holds.
 *
 * One thread plays both sides; only the time inside the calls of the side in question is counted.
 * Goals: compare settings and releases of wolfSSL on one machine. Non-goals: the network, the
 * engine.
 *
 * usage: bench_tls [SECONDS_PER_MEASUREMENT]
 *
 * Without an argument it runs for a moment as a test, so that it does not rot.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "lib/tls_pair.h"
#include "tls/stream.h"

enum { REQUEST_SIZE = 1228, ANSWER_SIZE = 200, IDLE_CONNECTIONS = 2000, BUSY_CONNECTIONS = 64 };

/* What an idle TLS connection may cost, our own structures included. */
enum { IDLE_SIZE_MAX = 12288 };

static struct tls_pair pair;
static double seconds_wanted = 0.02;

static double now_s(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct cost {
	double server_s;
	double client_s;
};

static void timed_handshake(struct tls_context *server, struct tls_context *client,
	const struct tls_session *session, struct cost *cost)
{
	tls_pair_init(&pair);
	double start = now_s();
	CHECK(tls_conn_open_server(&pair.server.conn, server, &pair.server.transport) == RESULT_OK);
	double middle = now_s();
	CHECK(tls_conn_open_client(&pair.client.conn, client, "localhost", session,
		      &pair.client.transport) == RESULT_OK);
	cost->server_s += middle - start;
	cost->client_s += now_s() - middle;

	while (pair.server.status != TLS_OK || pair.client.status != TLS_OK) {
		start = now_s();
		if (pair.client.status != TLS_OK)
			pair.client.status = tls_handshake(&pair.client.conn);
		middle = now_s();
		if (pair.server.status != TLS_OK)
			pair.server.status = tls_handshake(&pair.server.conn);
		cost->client_s += middle - start;
		cost->server_s += now_s() - middle;
		CHECK(pair.server.status != TLS_FAILED && pair.client.status != TLS_FAILED);
	}
}

static void timed_close(struct cost *cost)
{
	double start = now_s();
	tls_conn_close(&pair.server.conn);
	double middle = now_s();
	tls_conn_close(&pair.client.conn);
	cost->server_s += middle - start;
	cost->client_s += now_s() - middle;
}

static void bench_handshakes(const char *what, struct tls_context *server,
	struct tls_context *client, const struct tls_session *session)
{
	struct cost cost = { 0 };
	double end = now_s() + seconds_wanted;
	unsigned count = 0;
	uint64_t allocations = tls_library_info().allocation_count;

	while (now_s() < end) {
		timed_handshake(server, client, session, &cost);
		timed_close(&cost);
		count++;
	}
	allocations = tls_library_info().allocation_count - allocations;
	printf("%-28s server %7.1f us (%6.0f/s per core)  client %7.1f us  %4.0f allocations\n",
		what, cost.server_s / count * 1e6, count / cost.server_s,
		cost.client_s / count * 1e6, (double)allocations / count);
}

static void pass(struct tls_end *from, struct tls_end *to, const uint8_t *data, size_t size)
{
	static uint8_t read[16384];
	size_t count;

	CHECK(tls_write(&from->conn, data, size, &count) == TLS_OK && count == size);
	CHECK(tls_read(&to->conn, read, sizeof read, &count) == TLS_OK && count == size);
}

/* What one side does with what has come, and what it answers. */
struct exchange {
	const char *what;
	size_t in_size;
	size_t out_size;
	bool is_server;
};

static void exchange_ends(const struct exchange *exchange, struct tls_pair *one,
	struct tls_end **ret_near, struct tls_end **ret_far)
{
	*ret_near = exchange->is_server ? &one->server : &one->client;
	*ret_far = exchange->is_server ? &one->client : &one->server;
}

/* All connections once: the clock is read twice for all of them together. Its own cost, and the
 * cold caches of real life, are shared by as many connections as a busy worker has at a time. */
static double exchange_turn(const struct exchange *exchange, struct tls_pair *pairs)
{
	static uint8_t data[REQUEST_SIZE];
	static uint8_t read[16384];
	struct tls_end *near;
	struct tls_end *far;
	size_t size;

	for (size_t i = 0; i < BUSY_CONNECTIONS; i++) {
		exchange_ends(exchange, &pairs[i], &near, &far);
		CHECK(tls_write(&far->conn, data, exchange->in_size, &size) == TLS_OK);
	}
	double start = now_s();
	for (size_t i = 0; i < BUSY_CONNECTIONS; i++) {
		exchange_ends(exchange, &pairs[i], &near, &far);
		CHECK(tls_read(&near->conn, read, sizeof read, &size) == TLS_OK);
		CHECK(tls_write(&near->conn, data, exchange->out_size, &size) == TLS_OK);
	}
	double cost_s = now_s() - start;
	for (size_t i = 0; i < BUSY_CONNECTIONS; i++) {
		exchange_ends(exchange, &pairs[i], &near, &far);
		CHECK(tls_read(&far->conn, read, sizeof read, &size) == TLS_OK);
	}
	return cost_s;
}

static void bench_records(const struct exchange *exchange, struct tls_context *server,
	struct tls_context *client)
{
	struct tls_pair *pairs = alloc_map(sizeof *pairs * BUSY_CONNECTIONS);
	const uint8_t byte = 0;
	double cost_s = 0;
	unsigned turns = 0;

	for (size_t i = 0; i < BUSY_CONNECTIONS; i++) {
		tls_pair_open(&pairs[i], server, client, "localhost", NULL);
		CHECK(tls_pair_handshake(&pairs[i]));
		pass(&pairs[i].server, &pairs[i].client, &byte, 1);
	}
	uint64_t allocations = tls_library_info().allocation_count;
	for (double end = now_s() + seconds_wanted; now_s() < end; turns++) {
		cost_s += exchange_turn(exchange, pairs);
	}
	allocations = tls_library_info().allocation_count - allocations;
	double count = (double)turns * BUSY_CONNECTIONS;
	printf("%-28s        %7.3f us  %4.1f allocations, both sides\n", exchange->what,
		cost_s / count * 1e6, (double)allocations / count);
	for (size_t i = 0; i < BUSY_CONNECTIONS; i++) tls_pair_close(&pairs[i]);
	alloc_unmap(pairs, sizeof *pairs * BUSY_CONNECTIONS);
}

static size_t memory_used(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

/* The client's ends are closed again, so what is left are the server's. */
static void bench_memory(const char *what, struct tls_context *server, struct tls_context *client)
{
	struct tls_pair *pairs = alloc_map(sizeof *pairs * IDLE_CONNECTIONS);
	size_t before = memory_used();

	for (size_t i = 0; i < IDLE_CONNECTIONS; i++) {
		tls_pair_open(&pairs[i], server, client, "localhost", NULL);
		CHECK(tls_pair_handshake(&pairs[i]));
	}
	size_t both = memory_used() - before;
	for (size_t i = 0; i < IDLE_CONNECTIONS; i++) tls_conn_close(&pairs[i].client.conn);
	size_t servers = memory_used() - before;
	printf("%-28s server %zu bytes, client %zu bytes, and %zu of struct stream\n", what,
		servers / IDLE_CONNECTIONS, (both - servers) / IDLE_CONNECTIONS,
		sizeof(struct stream));
	CHECK(servers / IDLE_CONNECTIONS + sizeof(struct stream) < IDLE_SIZE_MAX);
	for (size_t i = 0; i < IDLE_CONNECTIONS; i++) tls_conn_close(&pairs[i].server.conn);
	alloc_unmap(pairs, sizeof *pairs * IDLE_CONNECTIONS);
}

static struct tls_session *session_of(struct tls_context *server, struct tls_context *client)
{
	struct cost cost = { 0 };
	uint8_t byte = 0;

	timed_handshake(server, client, NULL, &cost);
	pass(&pair.server, &pair.client, &byte, 1);
	struct tls_session *session = tls_conn_session_take(&pair.client.conn);
	CHECK(session != NULL);
	tls_pair_close(&pair);
	return session;
}

static void run(void)
{
	const struct exchange receive = { .what = "1.2 KiB in, 200 B out, server",
		.in_size = REQUEST_SIZE,
		.out_size = ANSWER_SIZE,
		.is_server = true };
	const struct exchange deliver = { .what = "200 B in, 1.2 KiB out, client",
		.in_size = ANSWER_SIZE,
		.out_size = REQUEST_SIZE };
	struct tls_context *server = tls_test_server("server", TLS_CLIENT_NONE);
	struct tls_context *server_rsa = tls_test_server("server-rsa", TLS_CLIENT_NONE);
	struct tls_context *server_mtls = tls_test_server("server", TLS_CLIENT_REQUIRED);
	struct tls_context *client = tls_test_client("client");
	struct tls_session *session = session_of(server, client);

	bench_memory("idle connection, TLS 1.3", server, client);
	bench_memory("the same with mTLS", server_mtls, client);
	bench_handshakes("full handshake, ECDSA P-256", server, client, NULL);
	bench_handshakes("the same with mTLS", server_mtls, client, NULL);
	bench_handshakes("full handshake, RSA-2048", server_rsa, client, NULL);
	bench_handshakes("resumed handshake", server, client, session);
	bench_records(&receive, server, client);
	bench_records(&deliver, server, client);

	tls_session_free(session);
	tls_context_release(server);
	tls_context_release(server_rsa);
	tls_context_release(server_mtls);
	tls_context_release(client);
}

static void bench_smoke(void **state)
{
	(void)state;
	run();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench_smoke) };
	int failed = 0;

	CHECK(tls_library_open() == RESULT_OK);
	if (argc == 1) {
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	} else {
		seconds_wanted = strtod(argv[1], NULL);
		run();
	}
	tls_library_close();
	return failed;
}

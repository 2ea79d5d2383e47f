/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records where they lie in the transport's memory, and records that had to be copied: the same
 * bytes come out, and those of the first kind take no memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tls/tls_internal.h"

#include "base/check.h"
#include "base/random.h"
#include "lib/tls_pair.h"

enum { REQUEST_SIZE = 1228, ANSWER_SIZE = 200, MESSAGE_SIZE_MAX = 40000, ROUNDS = 2000 };

static struct tls_pair pair;
static struct tls_context *server_context;
static struct tls_context *client_contexts[2]; /* TLS 1.3, TLS 1.2 */

static int set_up(void **state)
{
	(void)state;
	server_context = tls_test_server("server", TLS_CLIENT_NONE);
	client_contexts[0] = tls_test_client(NULL);
	client_contexts[1] = tls_test_client_tls12();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_context_release(server_context);
	tls_context_release(client_contexts[0]);
	tls_context_release(client_contexts[1]);
	return 0;
}

static void open_pair(struct tls_context *client)
{
	tls_pair_open(&pair, server_context, client, "localhost", NULL);
	assert_true(tls_pair_handshake(&pair));
}

static void pass(struct tls_end *from, struct tls_end *to, size_t size)
{
	static uint8_t sent[REQUEST_SIZE];
	static uint8_t read[2 * REQUEST_SIZE];
	size_t count;

	memset(sent, (int)size, size);
	assert_int_equal(tls_write(&from->conn, sent, size, &count), TLS_OK);
	assert_int_equal(count, size);
	assert_int_equal(tls_read(&to->conn, read, sizeof read, &count), TLS_OK);
	assert_int_equal(count, size);
	assert_memory_equal(read, sent, size);
}

/* A request and its answer, on both sides. */
static void records_take_no_memory(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(client_contexts); i++) {
		open_pair(client_contexts[i]);
		pass(&pair.client, &pair.server, REQUEST_SIZE);
		pass(&pair.server, &pair.client, ANSWER_SIZE);
		uint64_t before = tls_library_info().allocation_count;
		for (int round = 0; round < 100; round++) {
			pass(&pair.client, &pair.server, REQUEST_SIZE);
			pass(&pair.server, &pair.client, ANSWER_SIZE);
		}
		assert_int_equal(tls_library_info().allocation_count - before, 0);
		tls_pair_close(&pair);
	}
}

/* One direction of a connection: bytes with a pattern, how many were written and read so far. */
struct flow_of_bytes {
	struct tls_end *from;
	struct tls_end *to;
	uint64_t written;
	uint64_t read;
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 16);
}

static void write_some(struct flow_of_bytes *flow, size_t size)
{
	static uint8_t data[MESSAGE_SIZE_MAX];
	size_t count;

	for (size_t i = 0; i < size; i++) data[i] = pattern(flow->written + i);
	assert_int_equal(tls_write(&flow->from->conn, data, size, &count), TLS_OK);
	flow->written += count;
}

static void read_some(struct flow_of_bytes *flow, size_t size)
{
	static uint8_t data[MESSAGE_SIZE_MAX];
	size_t count;

	enum tls_status status = tls_read(&flow->to->conn, data, size, &count);
	assert_true(status == TLS_OK || status == TLS_MORE);
	for (size_t i = 0; i < count; i++) assert_int_equal(data[i], pattern(flow->read + i));
	flow->read += count;
}

static void read_the_rest(struct flow_of_bytes *flow)
{
	size_t size;
	const uint8_t nothing = 0;

	flow->from->out->size_max = TLS_PIPE_SIZE;
	flow->from->out->step_max = TLS_PIPE_SIZE;
	while (flow->read < flow->written) {
		assert_int_equal(tls_write(&flow->from->conn, &nothing, 0, &size), TLS_OK);
		uint64_t before = flow->read;
		read_some(flow, MESSAGE_SIZE_MAX);
		assert_true(flow->read > before);
	}
}

static void do_something(struct flow_of_bytes *flow, struct random *random)
{
	struct tls_pipe *pipe = flow->from->out;
	size_t size = 1 + random_below(random, random_below(random, 2) ? 1500 : MESSAGE_SIZE_MAX);

	switch (random_below(random, 9)) {
	case 0: pipe->step_max = 1 + random_below(random, 2000); break;
	case 1: pipe->step_max = TLS_PIPE_SIZE; break;
	case 2: pipe->size_max = 1 + random_below(random, TLS_PIPE_SIZE); break;
	case 3: /* fails where there are none, and while output waits */
		(void)wolfSSL_update_keys(flow->from->conn.ssl);
		break;
	case 4:
	case 5: write_some(flow, size); break;
	default: read_some(flow, size); break;
	}
}

/* Any sizes, any pieces, any room, both directions, new keys in between: all that was written
 * is read. */
static void any_mixture(void **state)
{
	struct random random = { .state = 4711 };
	(void)state;

	for (size_t version = 0; version < ARRAY_COUNT(client_contexts); version++) {
		open_pair(client_contexts[version]);
		struct flow_of_bytes flows[] = {
			{ .from = &pair.client, .to = &pair.server },
			{ .from = &pair.server, .to = &pair.client },
		};
		for (int round = 0; round < ROUNDS; round++) {
			do_something(&flows[random_below(&random, 2)], &random);
		}
		read_the_rest(&flows[0]);
		read_the_rest(&flows[1]);
		assert_true(flows[0].read > 100000 && flows[1].read > 100000);
		tls_pair_close(&pair);
	}
}

/* A ticket, a key update and data that came together: one reading gives the data. */
static void records_without_data_first(void **state)
{
	uint8_t read[100];
	size_t count;
	(void)state;

	open_pair(client_contexts[0]);
	assert_int_equal(wolfSSL_update_keys(pair.server.conn.ssl), WOLFSSL_SUCCESS);
	assert_int_equal(tls_write(&pair.server.conn, (const uint8_t *)"data", 4, &count), TLS_OK);
	assert_int_equal(tls_read(&pair.client.conn, read, sizeof read, &count), TLS_OK);
	assert_int_equal(count, 4);
	assert_memory_equal(read, "data", 4);
	tls_pair_close(&pair);
}

/* Changed on its way, at any place: nothing of it is given out. */
static void changed_where_it_lies(void **state)
{
	uint8_t read[100];
	size_t count;
	(void)state;

	for (size_t at = 5; at < 5 + 4 + 1 + 16; at++) {
		open_pair(client_contexts[0]);
		pass(&pair.client, &pair.server, 4);
		assert_int_equal(tls_write(&pair.client.conn, (const uint8_t *)"data", 4, &count),
			TLS_OK);
		pair.to_server.data[pair.to_server.start + at] ^= 1;
		assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count),
			TLS_FAILED);
		assert_string_equal(tls_error(&pair.server.conn), "a record does not decrypt");
		assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count),
			TLS_FAILED);
		tls_pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_take_no_memory),
		cmocka_unit_test(any_mixture),
		cmocka_unit_test(records_without_data_first),
		cmocka_unit_test(changed_where_it_lies),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, set_up, tear_down);
	tls_library_close();
	return failed;
}

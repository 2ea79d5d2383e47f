/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_has_input() over the real ring and loopback, plain and TLS. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/stream_peer.h"

static struct stream_world world;
static struct peer server;
static struct peer client;

static bool both_closed(void)
{
	return client.closed_count == 1 && server.closed_count == 1;
}

static bool server_ended(void)
{
	return server.ended_count == 1;
}

static void open_both(bool tls)
{
	stream_world_open(&world);
	stream_world_listen(&world, tls ? tls_test_server("server", TLS_CLIENT_NONE) : NULL);
	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	peer_connect(&client, tls ? tls_test_client(NULL) : NULL, "localhost", NULL);
}

static void close_both(void)
{
	peer_close(&client);
	peer_close(&server);
	stream_world_run(&world, both_closed);
	stream_world_close(&world);
}

static void read_half(struct peer *peer)
{
	uint8_t data[2000];

	/* The first time only: some is left, and nobody else will say so. */
	if (peer->received_size > 0) return;
	assert_true(stream_has_input(&peer->stream));
	peer->received_size = stream_read(&peer->stream, data, sizeof data);
}

static bool server_received_some(void)
{
	return server.received_size > 0;
}

/* Input is there until the last byte was read, be it in the ring's buffers or inside TLS, and once
 * more when the peer's end is still to be found. */
static void input_is_known(bool tls)
{
	uint8_t data[4000];

	open_both(tls);
	server.on_readable = read_half;
	client.write_total = 3000;
	client.write_chunk = 3000;
	stream_world_run(&world, server_received_some);
	size_t size = server.received_size;
	while (size < 3000) {
		while (!stream_has_input(&server.stream)) stream_world_turn(&world);
		size_t room = 3000 - size < 700 ? 3000 - size : 700;
		size += stream_read(&server.stream, data, room);
	}
	assert_false(stream_has_input(&server.stream));
	assert_int_equal(stream_read(&server.stream, data, sizeof data), 0);
	server.on_readable = NULL;
	peer_close(&client);
	stream_world_run(&world, server_ended);
	close_both();
}

static void input_is_known_plain(void **state)
{
	(void)state;
	input_is_known(false);
}

static void input_is_known_tls(void **state)
{
	(void)state;
	input_is_known(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_known_plain),
		cmocka_unit_test(input_is_known_tls),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams over the real ring and loopback, plain and TLS: what receive and deliver rely on.
 * Foreign TLS peers are in test_stream_openssl.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "lib/stream_peer.h"

static struct stream_world world;
static struct peer server;
static struct peer client;

static void open_both(bool tls)
{
	stream_world_open(&world);
	stream_world_listen(&world, tls ? tls_test_server("server", TLS_CLIENT_NONE) : NULL);
	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	peer_connect(&client, tls ? tls_test_client(NULL) : NULL, "localhost", NULL);
}

static void run_until(bool (*done)(void))
{
	stream_world_run(&world, done);
}

static bool both_opened(void)
{
	return client.opened_count == 1 && (server.opened_count == 1 || server.stream.tls == NULL);
}

static bool client_opened(void)
{
	return client.opened_count == 1;
}

static bool both_closed(void)
{
	return client.closed_count == 1 && server.closed_count == 1;
}

static bool client_ended(void)
{
	return client.ended_count == 1;
}

static bool server_ended(void)
{
	return server.ended_count == 1;
}

static bool client_closed(void)
{
	return client.closed_count == 1;
}

static bool all_received(void)
{
	return client.received_size == client.write_total;
}

static bool server_received_all(void)
{
	return server.received_size == client.write_total;
}

static void close_both(void)
{
	peer_close(&client);
	peer_close(&server);
	run_until(both_closed);
	stream_world_close(&world);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void echo(bool tls, size_t total, size_t chunk)
{
	open_both(tls);
	server.echo = true;
	client.write_total = total;
	client.write_chunk = chunk;
	run_until(all_received);
	assert_false(client.wrong_byte);
	assert_int_equal(client.received_size, total);
	close_both();
}

/* Everything comes back, whatever the size of the pieces: less than a record, several records,
 * more than all buffers. */
static void echo_plain(void **state)
{
	(void)state;
	echo(false, 1, 1);
	echo(false, 100000, 100);
	echo(false, 3000000, 1000000);
}

static void echo_tls(void **state)
{
	(void)state;
	echo(true, 1, 1);
	echo(true, 100000, 100);
	echo(true, 3000000, 1000000);
}

/* A stream on which nothing is under way holds neither ring buffers nor output buffers. */
static void idle_holds_no_buffers(bool tls)
{
	open_both(tls);
	server.echo = true;
	client.write_total = 5000;
	client.write_chunk = 5000;
	run_until(all_received);
	run_until(both_opened);
	for (int i = 0; i < 5; i++) stream_world_turn(&world);
	assert_int_equal(world.streams.outputs.used_count, 0);
	assert_int_equal(io_statistics(world.loop.io).buffers_free, WORLD_BUFFERS);
	close_both();
}

static void idle_holds_no_buffers_plain(void **state)
{
	(void)state;
	idle_holds_no_buffers(false);
}

static void idle_holds_no_buffers_tls(void **state)
{
	(void)state;
	idle_holds_no_buffers(true);
}

static void write_hundred_pieces(struct peer *peer)
{
	peer->on_drained = NULL;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(stream_write(&peer->stream, (const uint8_t *)"0123456789", 10),
			10);
	}
}

/* What is written during one turn leaves in one send. */
static void one_send_per_turn(void **state)
{
	(void)state;
	open_both(false);
	run_until(both_opened);
	for (int i = 0; i < 3; i++) stream_world_turn(&world);
	client.on_drained = write_hundred_pieces;
	stream_notify_drained(&client.stream);
	stream_world_turn(&world);
	uint64_t before = io_statistics(world.loop.io).submissions;
	client.write_total = 1000;
	run_until(server_received_all);
	assert_true(io_statistics(world.loop.io).submissions - before <= 2);
	close_both();
}

static void count_drained(struct peer *peer)
{
	peer->drained_count++;
}

/* drained() comes for who asks, also when nothing was written. */
static void drained_when_asked(void **state)
{
	(void)state;
	open_both(true);
	run_until(both_opened);
	for (int i = 0; i < 3; i++) stream_world_turn(&world);
	client.on_drained = count_drained;
	stream_notify_drained(&client.stream);
	assert_int_equal(client.drained_count, 0);
	stream_world_turn(&world);
	assert_int_equal(client.drained_count, 1);
	for (int i = 0; i < 3; i++) stream_world_turn(&world);
	assert_int_equal(client.drained_count, 1);
	close_both();
}

/* Who does not read is not read for: the peer is stopped, and nothing is lost afterwards. */
static void slow_reader_pauses(bool tls)
{
	open_both(tls);
	server.deaf = true;
	client.write_total = 20000000;
	client.write_chunk = 100000;
	for (int i = 0; i < 2000; i++) {
		stream_world_turn(&world);
		uint32_t held = WORLD_BUFFERS - io_statistics(world.loop.io).buffers_free;
		/* The pause takes effect a turn later. */
		assert_true(held <= 4 * IO_BUFFERS_PER_SOCKET_MAX);
	}
	assert_true(client.written_size < client.write_total);
	server.deaf = false;
	peer_read(&server);
	run_until(server_received_all);
	assert_false(server.wrong_byte);
	close_both();
}

static void slow_reader_pauses_plain(void **state)
{
	(void)state;
	slow_reader_pauses(false);
}

static void slow_reader_pauses_tls(void **state)
{
	(void)state;
	slow_reader_pauses(true);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void write_and_close(struct peer *peer)
{
	static uint8_t text[30000];

	for (size_t i = 0; i < sizeof text; i++) text[i] = peer_pattern(i);
	assert_int_equal(stream_write(&peer->stream, text, sizeof text), sizeof text);
	peer_close(peer);
}

/* What was written before stream_close() arrives, then the orderly end. */
static void close_sends_the_rest(bool tls)
{
	open_both(tls);
	server.on_readable = write_and_close;
	client.write_total = 1;
	client.write_chunk = 1;
	run_until(client_ended);
	assert_int_equal(client.received_size, 30000);
	assert_false(client.wrong_byte);
	assert_int_equal(client.end, STREAM_END_PEER);
	close_both();
}

static void close_sends_the_rest_plain(void **state)
{
	(void)state;
	close_sends_the_rest(false);
}

static void close_sends_the_rest_tls(void **state)
{
	(void)state;
	close_sends_the_rest(true);
}

/* The peer's end without close_notify is told from an orderly one. */
static void truncation_is_told(void **state)
{
	(void)state;
	open_both(true);
	run_until(both_opened);
	io_shutdown(world.loop.io, client.stream.socket);
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_TRUNCATED);
	assert_non_null(strstr(stream_error(&server.stream), "close_notify"));
	close_both();
}

/* Also when the owner reads late. */
static void truncation_is_told_to_a_late_reader(void **state)
{
	(void)state;
	open_both(true);
	run_until(both_opened);
	server.deaf = true;
	client.write_total = 1000;
	client.write_chunk = 1000;
	peer_write(&client);
	for (int i = 0; i < 5; i++) stream_world_turn(&world);
	io_shutdown(world.loop.io, client.stream.socket);
	for (int i = 0; i < 5; i++) stream_world_turn(&world);
	assert_int_equal(server.ended_count, 0);
	server.deaf = false;
	peer_read(&server);
	run_until(server_ended);
	assert_int_equal(server.received_size, 1000);
	assert_int_equal(server.end, STREAM_END_TRUNCATED);
	close_both();
}

/* After the peer's end one can still answer. */
static void answer_after_half_close(void **state)
{
	(void)state;
	open_both(false);
	run_until(both_opened);
	io_shutdown(world.loop.io, client.stream.socket);
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_PEER);
	client.write_total = 7;
	assert_int_equal(stream_write(&server.stream, (const uint8_t *)"\0\1\2\3\4\5\6", 7), 7);
	peer_close(&server);
	run_until(client_ended);
	assert_int_equal(client.received_size, 7);
	assert_int_equal(client.end, STREAM_END_PEER);
	close_both();
}

/* An abort is a reset for the peer. */
static void abort_resets(bool tls)
{
	open_both(tls);
	run_until(both_opened);
	stream_abort(&client.stream);
	stream_abort(&client.stream);
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_ERROR);
	assert_int_equal(server.stream.error, ECONNRESET);
	peer_close(&server);
	run_until(both_closed);
	stream_world_close(&world);
}

static void abort_resets_plain(void **state)
{
	(void)state;
	abort_resets(false);
}

static void abort_resets_tls(void **state)
{
	(void)state;
	abort_resets(true);
}

/* A close that waits for a peer that does not read can be cut short. */
static void abort_ends_a_close_that_waits(void **state)
{
	(void)state;
	open_both(true);
	server.deaf = true;
	client.write_total = 20000000;
	client.write_chunk = 100000;
	for (int i = 0; i < 1000; i++) stream_world_turn(&world);
	assert_true(client.written_size < client.write_total);
	peer_close(&client);
	for (int i = 0; i < 100; i++) stream_world_turn(&world);
	assert_int_equal(client.closed_count, 0);
	stream_abort(&client.stream);
	run_until(client_closed);
	peer_close(&server);
	run_until(both_closed);
	stream_world_close(&world);
}

static void refused_connect_ends(void **state)
{
	(void)state;
	stream_world_open(&world);
	stream_world_listen(&world, NULL);
	world_stop_listening(&world);
	peer_init(&client, &world);
	peer_connect(&client, NULL, "localhost", NULL);
	run_until(client_ended);
	assert_int_equal(client.end, STREAM_END_CONNECT);
	assert_string_equal(stream_error(&client.stream), "Connection refused");
	peer_close(&client);
	run_until(client_closed);
	stream_world_close(&world);
}

/* ---- Closing inside callbacks ---------------------------------------------------------------- */

static void close_in_callback(struct peer *peer)
{
	peer_close(peer);
}

static void abort_in_callback(struct peer *peer)
{
	if (!peer->closed_by_us) stream_abort(&peer->stream);
	peer->closed_by_us = true;
}

static void close_peer_from(bool tls, struct peer *who, int callback, void (*how)(struct peer *))
{
	open_both(tls);
	server.echo = true;
	client.write_total = 100000;
	client.write_chunk = 50000;
	if (callback == 0) who->on_opened = how;
	if (callback == 1) who->on_readable = how;
	if (callback == 2) who->on_drained = how;
	if (callback == 3) who->on_ended = how;
	for (int i = 0; i < 300; i++) stream_world_turn(&world);
	if (!client.closed_by_us) peer_close(&client);
	for (int i = 0; i < 50; i++) stream_world_turn(&world);
	if (!server.closed_by_us) peer_close(&server);
	run_until(both_closed);
	stream_world_close(&world);
}

/* The owner may close or abort from any callback, on either side. */
static void close_from_every_callback(void **state)
{
	(void)state;
	for (int callback = 0; callback < 4; callback++) {
		for (int tls = 0; tls < 2; tls++) {
			close_peer_from(tls == 1, &client, callback, close_in_callback);
			close_peer_from(tls == 1, &server, callback, close_in_callback);
			close_peer_from(tls == 1, &client, callback, abort_in_callback);
			close_peer_from(tls == 1, &server, callback, abort_in_callback);
		}
	}
}

/* Closing at once, while connecting, and in every turn of the handshake. */
static void close_while_opening(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		open_both(true);
		for (int i = 0; i < turns; i++) stream_world_turn(&world);
		peer_close(&client);
		for (int i = 0; i < 50; i++) stream_world_turn(&world);
		if (server.accepted) {
			peer_close(&server);
			run_until(both_closed);
		} else {
			run_until(client_closed);
		}
		stream_world_close(&world);
	}
}

/* ---- Handshake failures ---------------------------------------------------------------------- */

/* Both sides learn why. */
static void refused_certificate(void **state)
{
	(void)state;
	stream_world_open(&world);
	stream_world_listen(&world, tls_test_server("server-other", TLS_CLIENT_NONE));
	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	peer_connect(&client, tls_test_client(NULL), "localhost", NULL);
	run_until(client_ended);
	assert_int_equal(client.end, STREAM_END_TLS);
	assert_string_equal(stream_error(&client.stream),
		"the peer's certificate is from an unknown CA");
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_TLS);
	assert_non_null(strstr(stream_error(&server.stream), "unknown_ca"));
	assert_int_equal(client.opened_count + server.opened_count, 0);
	close_both();
}

/* Plain HTTP sent to a TLS listener. */
static void plain_text_to_tls(void **state)
{
	(void)state;
	stream_world_open(&world);
	stream_world_listen(&world, tls_test_server("server", TLS_CLIENT_NONE));
	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	client.write_total = 200;
	client.write_chunk = 200;
	client.text = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	peer_connect(&client, NULL, "localhost", NULL);
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_TLS);
	assert_string_equal(stream_error(&server.stream), "what came is not TLS");
	close_both();
}

/* The peer leaves in the middle of a handshake. */
static void gone_during_handshake(void **state)
{
	(void)state;
	stream_world_open(&world);
	stream_world_listen(&world, tls_test_server("server", TLS_CLIENT_NONE));
	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	peer_connect(&client, NULL, "localhost", NULL);
	run_until(client_opened);
	peer_close(&client);
	run_until(server_ended);
	assert_int_equal(server.end, STREAM_END_TRUNCATED);
	assert_non_null(strstr(stream_error(&server.stream), "during the handshake"));
	close_both();
}

/* A later connection of the same client resumes. */
static void session_resumes(void **state)
{
	struct tls_peer peer;
	(void)state;

	open_both(true);
	server.echo = true;
	client.write_total = 1;
	client.write_chunk = 1;
	run_until(all_received); /* the ticket comes after the handshake, with what is read */
	struct tls_session *session = tls_conn_session_take(client.stream.tls);
	assert_non_null(session);
	struct tls_context *context = client.context;
	client.context = NULL;
	peer_close(&client);
	peer_close(&server);
	run_until(both_closed);

	peer_init(&server, &world);
	peer_init(&client, &world);
	world.next_accepted = &server;
	peer_connect(&client, context, "localhost", session);
	run_until(both_opened);
	tls_conn_peer(client.stream.tls, &peer);
	assert_true(peer.resumed);
	tls_conn_peer(server.stream.tls, &peer);
	assert_true(peer.resumed);
	tls_session_free(session);
	close_both();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_plain),
		cmocka_unit_test(echo_tls),
		cmocka_unit_test(idle_holds_no_buffers_plain),
		cmocka_unit_test(idle_holds_no_buffers_tls),
		cmocka_unit_test(one_send_per_turn),
		cmocka_unit_test(drained_when_asked),
		cmocka_unit_test(slow_reader_pauses_plain),
		cmocka_unit_test(slow_reader_pauses_tls),
		cmocka_unit_test(close_sends_the_rest_plain),
		cmocka_unit_test(close_sends_the_rest_tls),
		cmocka_unit_test(truncation_is_told),
		cmocka_unit_test(truncation_is_told_to_a_late_reader),
		cmocka_unit_test(answer_after_half_close),
		cmocka_unit_test(abort_resets_plain),
		cmocka_unit_test(abort_resets_tls),
		cmocka_unit_test(abort_ends_a_close_that_waits),
		cmocka_unit_test(refused_connect_ends),
		cmocka_unit_test(close_from_every_callback),
		cmocka_unit_test(close_while_opening),
		cmocka_unit_test(refused_certificate),
		cmocka_unit_test(plain_text_to_tls),
		cmocka_unit_test(gone_during_handshake),
		cmocka_unit_test(session_resumes),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}

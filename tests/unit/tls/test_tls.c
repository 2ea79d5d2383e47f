/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A TLS client and a TLS server in memory: versions, records, sessions, settings. Who is trusted
 * is in test_tls_certificates.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tls/tls_internal.h"

#include "base/alloc.h"
#include "base/check.h"
#include "lib/tls_pair.h"

static struct tls_pair pair;
static struct tls_context *server_context;
static struct tls_context *client_context;
static struct tls_context *client_context_tls12;

static int set_up(void **state)
{
	(void)state;
	server_context = tls_test_server("server", TLS_CLIENT_NONE);
	client_context = tls_test_client(NULL);
	client_context_tls12 = tls_test_client_tls12();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_context_release(server_context);
	tls_context_release(client_context);
	tls_context_release(client_context_tls12);
	return 0;
}

static void open_version(int version, const struct tls_session *session)
{
	tls_pair_open(&pair, server_context,
		version == WOLFSSL_TLSV1_2 ? client_context_tls12 : client_context, "localhost",
		session);
}

static bool resumed(void)
{
	struct tls_peer client_side;
	struct tls_peer server_side;

	tls_conn_peer(&pair.client.conn, &client_side);
	tls_conn_peer(&pair.server.conn, &server_side);
	assert_int_equal(client_side.resumed, server_side.resumed);
	return client_side.resumed;
}

/* Sends `size` bytes one way and checks them, feeding the pipe as it empties. */
static void exchange(struct tls_end *from, struct tls_end *to, size_t size)
{
	static uint8_t sent[200000];
	static uint8_t received[200000];
	size_t written = 0;
	size_t read = 0;

	CHECK(size <= sizeof sent);
	for (size_t i = 0; i < size; i++) sent[i] = (uint8_t)(i * 7 + i / 251);
	for (int rounds = 0; read < size; rounds++) {
		size_t count;
		assert_true(rounds < 1000000);
		assert_int_equal(tls_write(&from->conn, sent + written, size - written, &count),
			TLS_OK);
		written += count;
		enum tls_status status = tls_read(&to->conn, received + read, size - read, &count);
		assert_true(status == TLS_OK || status == TLS_MORE);
		read += count;
	}
	assert_int_equal(written, size);
	assert_memory_equal(sent, received, size);
}

/* A session as a client holds it after a first connection. */
static struct tls_session *session_new(void)
{
	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	assert_false(resumed());
	exchange(&pair.server, &pair.client, 1); /* the ticket comes with the data */
	struct tls_session *session = tls_conn_session_take(&pair.client.conn);
	assert_non_null(session);
	tls_pair_close(&pair);
	return session;
}

static bool resumes(const struct tls_session *session)
{
	open_version(WOLFSSL_TLSV1_3, session);
	assert_true(tls_pair_handshake(&pair));
	bool result = resumed();
	exchange(&pair.client, &pair.server, 100);
	exchange(&pair.server, &pair.client, 100);
	tls_pair_close(&pair);
	return result;
}

/* ---- Handshake and records ------------------------------------------------------------------- */

static void handshake(void **state)
{
	struct tls_peer peer;
	(void)state;

	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	tls_conn_peer(&pair.client.conn, &peer);
	assert_string_equal(peer.protocol, "TLSv1.3");
	assert_string_equal(peer.cipher, "TLS_AES_128_GCM_SHA256");
	assert_true(peer.has_certificate);
	tls_conn_peer(&pair.server.conn, &peer);
	assert_string_equal(peer.protocol, "TLSv1.3");
	assert_false(peer.has_certificate);
	assert_string_equal(peer.uri_san, "");
	exchange(&pair.client, &pair.server, 1);
	exchange(&pair.server, &pair.client, 100000);
	exchange(&pair.client, &pair.server, 100000);
	tls_pair_close(&pair);
}

static void handshake_tls12(void **state)
{
	struct tls_peer peer;
	(void)state;

	open_version(WOLFSSL_TLSV1_2, NULL);
	assert_true(tls_pair_handshake(&pair));
	tls_conn_peer(&pair.client.conn, &peer);
	assert_string_equal(peer.protocol, "TLSv1.2");
	assert_string_equal(peer.cipher, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
	exchange(&pair.client, &pair.server, 100000);
	exchange(&pair.server, &pair.client, 100000);
	tls_pair_close(&pair);
}

/* Bytes that trickle in one by one, and a reader that takes seven at a time. */
static void handshake_in_single_bytes(void **state)
{
	(void)state;
	open_version(WOLFSSL_TLSV1_3, NULL);
	pair.to_server.step_max = 1;
	pair.to_client.step_max = 1;
	assert_true(tls_pair_handshake(&pair));
	exchange(&pair.client, &pair.server, 20000);
	tls_pair_close(&pair);
}

/* A transport that takes 100 bytes at a time lets a handshake through, and one with room for one
 * record all of them. */
static void tiny_output_room(void **state)
{
	const int versions[] = { WOLFSSL_TLSV1_3, WOLFSSL_TLSV1_2 };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		open_version(versions[i], NULL);
		pair.to_server.size_max = 100;
		pair.to_client.size_max = 100;
		assert_true(tls_pair_handshake(&pair));
		pair.to_server.size_max = TLS_RECORD_SIZE_MAX + TLS_RECORD_OVERHEAD;
		pair.to_client.size_max = TLS_RECORD_SIZE_MAX + TLS_RECORD_OVERHEAD;
		exchange(&pair.client, &pair.server, 100000);
		exchange(&pair.server, &pair.client, 100000);
		tls_pair_close(&pair);
	}
}

/* A record that has no room is not taken. An answer to the peer that had none, to the wish for new
 * keys, goes out before the next record, or with a write of nothing. */
static void answers_go_before_records(void **state)
{
	static const uint8_t data[5000];
	uint8_t read[5000];
	size_t count;
	(void)state;

	for (size_t size = 0; size <= sizeof data; size += sizeof data) {
		open_version(WOLFSSL_TLSV1_3, NULL);
		assert_true(tls_pair_handshake(&pair));
		exchange(&pair.server, &pair.client, 1);
		pair.to_server.size_max = 5;
		assert_int_equal(wolfSSL_update_keys(pair.server.conn.ssl), WOLFSSL_SUCCESS);
		assert_int_equal(tls_read(&pair.client.conn, read, sizeof read, &count), TLS_MORE);
		assert_int_equal(pair.to_server.size, 5);
		assert_int_equal(tls_write(&pair.client.conn, data, sizeof data, &count), TLS_OK);
		assert_int_equal(count, 0);

		pair.to_server.size_max = TLS_PIPE_SIZE;
		assert_int_equal(tls_write(&pair.client.conn, data, size, &count), TLS_OK);
		assert_int_equal(count, size);
		assert_true(pair.to_server.size > 5 + size);
		enum tls_status status = tls_read(&pair.server.conn, read, sizeof read, &count);
		assert_int_equal(status, size > 0 ? TLS_OK : TLS_MORE);
		assert_int_equal(count, size);
		exchange(&pair.client, &pair.server, 100);
		tls_pair_close(&pair);
	}
}

/* Fresh keys in both directions in the middle of a stream. */
static void key_update(void **state)
{
	(void)state;
	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	for (int i = 0; i < 5; i++) {
		exchange(&pair.client, &pair.server, 1000);
		assert_int_equal(wolfSSL_update_keys(pair.client.conn.ssl), WOLFSSL_SUCCESS);
		exchange(&pair.client, &pair.server, 1000);
		exchange(&pair.server, &pair.client, 1000);
		assert_int_equal(wolfSSL_update_keys(pair.server.conn.ssl), WOLFSSL_SUCCESS);
		exchange(&pair.server, &pair.client, 1000);
		exchange(&pair.client, &pair.server, 1000);
	}
	tls_pair_close(&pair);
}

/* All records that are there are read at once, and wolfSSL is not asked for one more. */
static void reading_ends_with_the_input(void **state)
{
	uint8_t data[1000] = { 0 };
	uint8_t read[5000];
	size_t count;
	(void)state;

	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	for (size_t records = 1; records <= 3; records++) {
		for (size_t i = 0; i < records; i++) {
			assert_int_equal(tls_write(&pair.client.conn, data, sizeof data, &count),
				TLS_OK);
		}
		uint64_t vain = pair.to_server.vain;
		assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_OK);
		assert_int_equal(count, records * sizeof data);
		assert_int_equal(pair.to_server.vain, vain);
	}
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_MORE);
	tls_pair_close(&pair);
}

/* close_notify ends one direction; the other goes on. */
static void half_close(void **state)
{
	uint8_t read[10];
	size_t count;
	(void)state;

	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	assert_int_equal(tls_write(&pair.client.conn, (const uint8_t *)"last", 4, &count), TLS_OK);
	tls_shutdown(&pair.client.conn);
	tls_shutdown(&pair.client.conn);
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_OK);
	assert_int_equal(count, 4);
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_CLOSED);
	exchange(&pair.server, &pair.client, 5000);
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_CLOSED);
	tls_shutdown(&pair.server.conn);
	assert_int_equal(tls_read(&pair.client.conn, read, sizeof read, &count), TLS_CLOSED);
	tls_pair_close(&pair);
}

/* A stream that merely stops is not an orderly end. */
static void truncated_record(void **state)
{
	uint8_t read[10];
	size_t count;
	(void)state;

	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	assert_int_equal(tls_write(&pair.client.conn, (const uint8_t *)"last", 4, &count), TLS_OK);
	pair.to_server.size -= 3;
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_MORE);
	assert_int_equal(count, 0);
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_MORE);
	tls_pair_close(&pair);
}

/* One changed bit, and the connection is over: with an alert, and for ever. */
static void changed_record(void **state)
{
	uint8_t read[10];
	size_t count;
	(void)state;

	open_version(WOLFSSL_TLSV1_3, NULL);
	assert_true(tls_pair_handshake(&pair));
	assert_int_equal(tls_write(&pair.client.conn, (const uint8_t *)"last", 4, &count), TLS_OK);
	pair.to_server.data[pair.to_server.start + 6] ^= 1;
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_FAILED);
	assert_string_equal(tls_error(&pair.server.conn), "a record does not decrypt");
	assert_int_equal(tls_read(&pair.server.conn, read, sizeof read, &count), TLS_FAILED);
	assert_int_equal(tls_write(&pair.server.conn, read, 1, &count), TLS_FAILED);
	assert_int_equal(tls_read(&pair.client.conn, read, sizeof read, &count), TLS_FAILED);
	assert_string_equal(tls_error(&pair.client.conn), "the peer sent an alert: bad_record_mac");
	tls_pair_close(&pair);
}

/* ---- Sessions -------------------------------------------------------------------------------- */

/* A client resumes at another worker's context, and after one key rotation, not after two. */
static void tickets_across_workers(void **state)
{
	(void)state;
	struct tls_session *session = session_new();
	assert_true(resumes(session));

	tls_context_release(server_context);
	server_context = tls_test_server("server", TLS_CLIENT_NONE);
	assert_true(resumes(session));

	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	assert_true(resumes(session));
	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	assert_false(resumes(session));
	tls_session_free(session);
}

/* A session can be used by several connections at once, and each brings its own next one. */
static void session_used_twice_at_once(void **state)
{
	static struct tls_pair other;
	(void)state;

	struct tls_session *session = session_new();
	tls_pair_open(&pair, server_context, client_context, "localhost", session);
	tls_pair_open(&other, server_context, client_context, "localhost", session);
	tls_session_free(session);
	assert_true(tls_pair_handshake(&pair));
	assert_true(tls_pair_handshake(&other));
	assert_true(resumed());
	exchange(&pair.server, &pair.client, 1);
	exchange(&other.server, &other.client, 1);
	struct tls_session *first = tls_conn_session_take(&pair.client.conn);
	struct tls_session *second = tls_conn_session_take(&other.client.conn);
	tls_pair_close(&pair);
	tls_pair_close(&other);
	assert_true(resumes(second));
	assert_true(resumes(first));
	tls_session_free(first);
	tls_session_free(second);
}

/* A ticket issued under one certificate is a stranger's under another. */
static void ticket_of_another_identity(void **state)
{
	(void)state;
	struct tls_session *session = session_new();
	tls_context_release(server_context);
	server_context = tls_test_server("server-rsa", TLS_CLIENT_NONE);
	assert_false(resumes(session));
	tls_session_free(session);
}

/* Listeners that ask for client certificates neither issue tickets nor take them. */
static void no_tickets_with_client_certificates(void **state)
{
	const enum tls_client_certificate demands[] = { TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };
	(void)state;

	tls_context_release(client_context);
	client_context = tls_test_client("client");
	struct tls_session *without = session_new();
	for (size_t i = 0; i < ARRAY_COUNT(demands); i++) {
		tls_context_release(server_context);
		server_context = tls_test_server("server", demands[i]);
		assert_false(resumes(without));
		open_version(WOLFSSL_TLSV1_3, NULL);
		assert_true(tls_pair_handshake(&pair));
		exchange(&pair.server, &pair.client, 1);
		assert_null(tls_conn_session_take(&pair.client.conn));
		tls_pair_close(&pair);
	}
	tls_session_free(without);
}

/* A session is not offered to another host, nor with other credentials. */
static void session_of_another_target(void **state)
{
	(void)state;
	struct tls_session *session = session_new();

	tls_pair_open(&pair, server_context, client_context, "127.0.0.1", session);
	assert_true(tls_pair_handshake(&pair));
	assert_false(resumed());
	tls_pair_close(&pair);

	tls_context_release(client_context);
	client_context = tls_test_client("client");
	assert_false(resumes(session));
	tls_session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handshake, set_up, tear_down),
		cmocka_unit_test_setup_teardown(handshake_tls12, set_up, tear_down),
		cmocka_unit_test_setup_teardown(handshake_in_single_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tiny_output_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_go_before_records, set_up, tear_down),
		cmocka_unit_test_setup_teardown(key_update, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_ends_with_the_input, set_up, tear_down),
		cmocka_unit_test_setup_teardown(half_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(truncated_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(changed_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tickets_across_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(session_used_twice_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ticket_of_another_identity, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_tickets_with_client_certificates, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(session_of_another_target, set_up, tear_down),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}

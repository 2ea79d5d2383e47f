/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What foreign clients offer in their first message, and what our server makes of it: versions,
 * ciphers, protocols, TLS 1.2 tickets.
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
#include "lib/certificates.h"
#include "lib/tls_pair.h"

static struct tls_pair pair;
static struct tls_context *server_context;

static int set_up(void **state)
{
	(void)state;
	server_context = tls_test_server("server", TLS_CLIENT_NONE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_context_release(server_context);
	return 0;
}

struct hello {
	uint16_t version; /* 0x0303 is TLS 1.2, and as far as TLS 1.3 says it there */
	uint16_t cipher;
	const char *alpn;    /* one protocol, NULL for no such extension */
	const char *name;    /* server name, NULL for none */
	struct bytes ticket; /* empty for none */
	bool ticket_first;   /* before the name */
};

static size_t put16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
	return 2;
}

static size_t put_name(uint8_t *to, const char *name)
{
	size_t size = strlen(name);
	size_t at = put16(to, 0);

	at += put16(to + at, size + 5);
	at += put16(to + at, size + 3);
	to[at++] = 0;
	at += put16(to + at, size);
	memcpy(to + at, name, size);
	return at + size;
}

static size_t put_ticket(uint8_t *to, struct bytes ticket)
{
	size_t at = put16(to, 35);
	at += put16(to + at, ticket.size);
	memcpy(to + at, ticket.data, ticket.size);
	return at + ticket.size;
}

static size_t put_extensions(uint8_t *to, const struct hello *hello)
{
	static const uint8_t fixed[] = {
		0, 10, 0, 4, 0, 2, 0, 23, /* supported groups: P-256 */
		0, 11, 0, 2, 1, 0,        /* point formats: uncompressed */
		0, 13, 0, 4, 0, 2, 4, 3,  /* signatures: ECDSA P-256 SHA-256 */
		0, 23, 0, 0,              /* extended master secret */
	};
	size_t at = sizeof fixed;

	memcpy(to, fixed, sizeof fixed);
	if (hello->ticket.size > 0 && hello->ticket_first) at += put_ticket(to + at, hello->ticket);
	if (hello->name != NULL) at += put_name(to + at, hello->name);
	if (hello->ticket.size > 0 && !hello->ticket_first)
		at += put_ticket(to + at, hello->ticket);
	if (hello->alpn != NULL) {
		size_t size = strlen(hello->alpn);
		at += put16(to + at, 16);
		at += put16(to + at, size + 3);
		at += put16(to + at, size + 1);
		to[at++] = (uint8_t)size;
		memcpy(to + at, hello->alpn, size);
		at += size;
	}
	return at;
}

/* Puts a ClientHello before the server and returns the alert it answers with, or -1. */
static int alert_for(const struct hello *hello)
{
	uint8_t *data = pair.to_server.data;
	size_t at = 9;

	tls_pair_init(&pair);
	assert_int_equal(tls_conn_open_server(&pair.server.conn, server_context,
				 &pair.server.transport),
		RESULT_OK);
	at += put16(data + at, hello->version);
	memset(data + at, 0x5A, 32);
	at += 32;
	data[at++] = 0; /* no session id */
	at += put16(data + at, 2);
	at += put16(data + at, hello->cipher);
	data[at++] = 1;
	data[at++] = 0; /* no compression */
	size_t extensions_size = put_extensions(data + at + 2, hello);
	put16(data + at, extensions_size);
	at += 2 + extensions_size;
	data[0] = 22; /* handshake record */
	put16(data + 1, 0x0301);
	put16(data + 3, at - 5);
	data[5] = 1; /* client hello */
	data[6] = 0;
	put16(data + 7, at - 9);
	pair.to_server.size = at;

	pair.server.status = tls_handshake(&pair.server.conn);
	const uint8_t *answer = pair.to_client.data;
	int alert = pair.to_client.size == 7 && answer[0] == 21 && answer[5] == 2 ? answer[6] : -1;
	/* Either it goes on without an alert, or it fails with one. */
	assert_int_equal(pair.server.status == TLS_FAILED, alert >= 0);
	return alert;
}

static const struct hello plain_hello = { .version = 0x0303, .cipher = 0xC02B };

static void foreign_client_goes_on(void **state)
{
	(void)state;
	assert_int_equal(alert_for(&plain_hello), -1);
	assert_int_equal(pair.server.status, TLS_MORE);
	tls_conn_close(&pair.server.conn);
}

static void old_versions_are_refused(void **state)
{
	const uint16_t versions[] = { 0x0302, 0x0301, 0x0300 };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct hello hello = plain_hello;
		hello.version = versions[i];
		assert_int_equal(alert_for(&hello), 70); /* protocol_version */
		assert_string_equal(tls_error(&pair.server.conn),
			"the peer does not speak TLS 1.2 or 1.3");
		tls_conn_close(&pair.server.conn);
	}
}

/* CBC, RSA key exchange, RC4, NULL: nothing in common. */
static void weak_ciphers_are_refused(void **state)
{
	const uint16_t ciphers[] = { 0xC009, 0xC023, 0x002F, 0x009C, 0x0005, 0x0001, 0xC006,
		0x009E };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(ciphers); i++) {
		struct hello hello = plain_hello;
		hello.cipher = ciphers[i];
		assert_int_equal(alert_for(&hello), 40); /* handshake_failure */
		assert_string_equal(tls_error(&pair.server.conn), "no shared cipher suite");
		tls_conn_close(&pair.server.conn);
	}
}

static void alpn(void **state)
{
	struct hello hello = plain_hello;
	(void)state;

	hello.alpn = "http/1.1";
	assert_int_equal(alert_for(&hello), -1);
	tls_conn_close(&pair.server.conn);
	hello.alpn = "http/1.0";
	assert_int_equal(alert_for(&hello), -1);
	tls_conn_close(&pair.server.conn);
	hello.alpn = "http/0.9";
	assert_int_equal(alert_for(&hello), 120); /* no_application_protocol */
	tls_conn_close(&pair.server.conn);
	hello.alpn = "h2";
	assert_int_equal(alert_for(&hello), 120); /* no_application_protocol */
	assert_string_equal(tls_error(&pair.server.conn),
		"the client offers neither http/1.1 nor http/1.0 (ALPN)");
	tls_conn_close(&pair.server.conn);
}

static void not_tls(void **state)
{
	const char *const texts[] = { "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01",
		"\x15\x03\x03\x00\x02\x02\x28" };
	const enum tls_status expected[] = { TLS_FAILED, TLS_MORE, TLS_FAILED };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		tls_pair_init(&pair);
		assert_int_equal(tls_conn_open_server(&pair.server.conn, server_context,
					 &pair.server.transport),
			RESULT_OK);
		pair.to_server.size = i == 2 ? 7 : strlen(texts[i]);
		memcpy(pair.to_server.data, texts[i], pair.to_server.size);
		assert_int_equal(tls_handshake(&pair.server.conn), expected[i]);
		tls_conn_close(&pair.server.conn);
	}
}

/* ---- TLS 1.2 tickets, shown by foreign clients ----------------------------------------------- */

/* What a TLS 1.2 client was given at the present server. */
static struct bytes ticket_tls12(void)
{
	static uint8_t ticket[1024];
	word32 size = sizeof ticket;

	struct tls_context *client = tls_test_client_tls12();
	tls_pair_open(&pair, server_context, client, "localhost", NULL);
	tls_context_release(client);
	assert_true(tls_pair_handshake(&pair));
	assert_int_equal(wolfSSL_get_SessionTicket(pair.client.conn.ssl, ticket, &size),
		WOLFSSL_SUCCESS);
	tls_pair_close(&pair);
	return bytes_of(ticket, size);
}

/* A resuming server answers without its certificate. */
static bool resumes_tls12(const struct hello *hello)
{
	assert_int_equal(alert_for(hello), -1);
	assert_int_equal(pair.server.status, TLS_MORE);
	bool result = pair.to_client.size < 400;
	tls_conn_close(&pair.server.conn);
	return result;
}

static void tickets_tls12(void **state)
{
	struct hello hello = plain_hello;
	(void)state;

	hello.ticket = ticket_tls12();
	assert_true(hello.ticket.size > 0);
	assert_true(resumes_tls12(&hello));
	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	assert_true(resumes_tls12(&hello));
	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	assert_false(resumes_tls12(&hello));

	hello.ticket = ticket_tls12();
	assert_true(resumes_tls12(&hello));
	tls_context_release(server_context);
	server_context = tls_test_server("server", TLS_CLIENT_REQUIRED);
	assert_false(resumes_tls12(&hello));
	tls_context_release(server_context);
	server_context = tls_test_server("server-second", TLS_CLIENT_NONE);
	assert_false(resumes_tls12(&hello));

	/* And none is given out where a certificate is asked for. */
	tls_context_release(server_context);
	server_context = tls_test_server("server", TLS_CLIENT_OPTIONAL);
	assert_int_equal(ticket_tls12().size, 0);
}

/* TLS 1.2 looks at the ticket before it has seen a server name that comes later. A ticket of the
 * first certificate must not open a session under the second. */
static void ticket_before_the_name(void **state)
{
	const char *const second_names[] = { "second.example.test" };
	struct tls_certificate certificates[] = {
		{ .chain_pem = certificate_file("server.pem"),
			.key_pem = certificate_file("server.key") },
		{ .chain_pem = certificate_file("server-second.pem"),
			.key_pem = certificate_file("server-second.key"),
			.names = second_names,
			.name_count = 1 },
	};
	struct tls_server_config config = { .certificates = certificates, .certificate_count = 2 };
	struct hello hello = plain_hello;
	char error[256];
	(void)state;

	tls_context_release(server_context);
	assert_int_equal(tls_server_context_create(&config, &server_context, error, sizeof error),
		RESULT_OK);
	hello.ticket = ticket_tls12();
	hello.name = "second.example.test";
	hello.ticket_first = true;
	assert_int_equal(alert_for(&hello), 47); /* illegal_parameter */
	assert_string_equal(tls_error(&pair.server.conn),
		"a session ticket came with the name of another certificate");
	tls_conn_close(&pair.server.conn);

	/* In the usual order it is a foreign ticket; with the right name it resumes. */
	hello.ticket_first = false;
	assert_false(resumes_tls12(&hello));
	hello.name = "localhost";
	assert_true(resumes_tls12(&hello));
	hello.ticket_first = true;
	assert_true(resumes_tls12(&hello));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(foreign_client_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(old_versions_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(weak_ciphers_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(alpn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_tls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tickets_tls12, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ticket_before_the_name, set_up, tear_down),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}

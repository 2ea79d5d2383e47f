/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is trusted as what: servers by name, clients by CA and URI name, certificates by SNI. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "lib/certificates.h"
#include "lib/tls_pair.h"

static struct tls_pair pair;

/* ---- Servers --------------------------------------------------------------------------------- */

struct server_row {
	const char *certificate;
	const char *host_name;
	const char *error; /* the client's; NULL: accepted */
	const char *alert; /* what the server hears of it */
};

#define OTHER_NAME "the peer's certificate is for another host name"
#define UNKNOWN_CA "the peer's certificate is from an unknown CA"

static const struct server_row server_rows[] = {
	{ "server", "localhost", NULL, NULL },
	{ "server", "LocalHost", NULL, NULL },
	{ "server", "localhost.", NULL, NULL },
	{ "server", "127.0.0.1", NULL, NULL },
	{ "server", "::1", NULL, NULL },
	{ "server", "0:0:0:0:0:0:0:1", NULL, NULL },
	{ "server-rsa", "localhost", NULL, NULL },
	{ "server-chain", "localhost", NULL, NULL },
	{ "server-wild", "a.wild.example.test", NULL, NULL },
	{ "server-wild", "A.Wild.example.test", NULL, NULL },

	{ "server", "localhos", OTHER_NAME, "bad_certificate" },
	{ "server", "localhostx", OTHER_NAME, "bad_certificate" },
	{ "server", "a.localhost", OTHER_NAME, "bad_certificate" },
	{ "server", "127.0.0.2", OTHER_NAME, "bad_certificate" },
	{ "server", "::2", OTHER_NAME, "bad_certificate" },
	{ "server-wild", "wild.example.test", OTHER_NAME, "bad_certificate" },
	{ "server-wild", "a.b.wild.example.test", OTHER_NAME, "bad_certificate" },
	{ "server-wild", ".wild.example.test", OTHER_NAME, "bad_certificate" },
	{ "server-wild", "*.wild.example.test", NULL, NULL }, /* not a host; nobody resolves it */
	/* The common name does not count, and an address is not a DNS name. */
	{ "server-cn", "localhost", OTHER_NAME, "bad_certificate" },
	{ "server-dns-address", "127.0.0.1", OTHER_NAME, "bad_certificate" },

	{ "server-other", "localhost", UNKNOWN_CA, "unknown_ca" },
	{ "server-self", "localhost", UNKNOWN_CA, "unknown_ca" },
	{ "server-expired", "localhost", "the peer's certificate has expired",
		"certificate_expired" },
	{ "server-future", "localhost", "the peer's certificate is not valid yet",
		"certificate_expired" },
	/* A certificate for clients does not make a server. */
	{ "client", "localhost", "the peer's certificate is not for this use (extended key usage)",
		"bad_certificate" },
};

static void servers(void **state)
{
	struct tls_context *client = tls_test_client(NULL);
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(server_rows); i++) {
		const struct server_row *row = &server_rows[i];
		struct tls_context *server = tls_test_server(row->certificate, TLS_CLIENT_NONE);
		tls_pair_open(&pair, server, client, row->host_name, NULL);
		bool done = tls_pair_handshake(&pair);
		const char *error = tls_error(&pair.client.conn);
		const char *heard = tls_error(&pair.server.conn);
		bool as_told = row->error == NULL ? done
						  : !done && strcmp(error, row->error) == 0 &&
				strstr(heard, row->alert) != NULL;
		if (!as_told) {
			fail_msg("%s as %s: %s, client: %s, server: %s", row->certificate,
				row->host_name, done ? "accepted" : "refused", error, heard);
		}
		tls_pair_close(&pair);
		tls_context_release(server);
	}
	tls_context_release(client);
}

/* The bundle of the system does not know our CA. */
static void system_bundle(void **state)
{
	struct tls_client_config config = { 0 };
	struct tls_context *client;
	char error[256];
	(void)state;

	enum result result = tls_client_context_create(&config, &client, error, sizeof error);
	if (result != RESULT_OK) {
		print_message("%s\n", error);
		skip();
	}
	struct tls_context *server = tls_test_server("server", TLS_CLIENT_NONE);
	tls_pair_open(&pair, server, client, "localhost", NULL);
	assert_false(tls_pair_handshake(&pair));
	assert_string_equal(tls_error(&pair.client.conn), UNKNOWN_CA);
	tls_pair_close(&pair);
	tls_context_release(server);
	tls_context_release(client);
}

/* ---- Server names ---------------------------------------------------------------------------- */

static const char *const second_names[] = { "second.example.test", "127.0.0.9" };
static const char *const wild_names[] = { "*.wild.example.test" };

static struct tls_context *server_of_three(void)
{
	struct tls_certificate certificates[] = {
		{ .chain_pem = certificate_file("server.pem"),
			.key_pem = certificate_file("server.key") },
		{ .chain_pem = certificate_file("server-second.pem"),
			.key_pem = certificate_file("server-second.key"),
			.names = second_names,
			.name_count = ARRAY_COUNT(second_names) },
		{ .chain_pem = certificate_file("server-wild.pem"),
			.key_pem = certificate_file("server-wild.key"),
			.names = wild_names,
			.name_count = ARRAY_COUNT(wild_names) },
	};
	struct tls_server_config config = { .certificates = certificates, .certificate_count = 3 };
	struct tls_context *context;
	char error[256];

	assert_int_equal(tls_server_context_create(&config, &context, error, sizeof error),
		RESULT_OK);
	return context;
}

static bool accepted_as(struct tls_context *server, struct tls_context *client, const char *name)
{
	tls_pair_open(&pair, server, client, name, NULL);
	bool done = tls_pair_handshake(&pair);
	tls_pair_close(&pair);
	return done;
}

/* Each name gets its certificate, everybody else the first. */
static void server_names(void **state)
{
	struct tls_context *server = server_of_three();
	struct tls_context *client = tls_test_client(NULL);
	(void)state;

	assert_true(accepted_as(server, client, "localhost"));
	assert_true(accepted_as(server, client, "127.0.0.1"));
	assert_true(accepted_as(server, client, "second.example.test"));
	assert_true(accepted_as(server, client, "SECOND.example.test"));
	assert_true(accepted_as(server, client, "a.wild.example.test"));
	assert_true(accepted_as(server, client, "b.wild.example.test"));
	assert_false(accepted_as(server, client, "wild.example.test"));
	assert_false(accepted_as(server, client, "third.example.test"));
	tls_context_release(server);
	tls_context_release(client);
}

static const char *const local_names[] = { "localhost" };

/* Certificates with different kinds of keys side by side, whichever is the first. */
static void mixed_key_types(void **state)
{
	struct tls_certificate rsa = {
		.chain_pem = certificate_file("server-rsa.pem"),
		.key_pem = certificate_file("server-rsa.key"),
		.names = local_names,
		.name_count = 1,
	};
	struct tls_certificate ecdsa = {
		.chain_pem = certificate_file("server-second.pem"),
		.key_pem = certificate_file("server-second.key"),
		.names = second_names,
		.name_count = 1,
	};
	const struct tls_certificate orders[2][2] = { { rsa, ecdsa }, { ecdsa, rsa } };
	struct tls_context *clients[] = { tls_test_client(NULL), tls_test_client_tls12() };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
		struct tls_server_config config = {
			.certificates = orders[i],
			.certificate_count = 2,
		};
		struct tls_context *server;
		char error[256];
		assert_int_equal(tls_server_context_create(&config, &server, error, sizeof error),
			RESULT_OK);
		for (size_t c = 0; c < ARRAY_COUNT(clients); c++) {
			assert_true(accepted_as(server, clients[c], "localhost"));
			assert_true(accepted_as(server, clients[c], "second.example.test"));
		}
		tls_context_release(server);
	}
	for (size_t c = 0; c < ARRAY_COUNT(clients); c++) tls_context_release(clients[c]);
}

/* A connection goes on although its context was released: a reload. */
static void release_while_connected(void **state)
{
	struct tls_context *server = server_of_three();
	struct tls_context *client = tls_test_client(NULL);
	uint8_t byte = 7;
	size_t count;
	(void)state;

	tls_pair_open(&pair, server, client, "second.example.test", NULL);
	tls_context_release(server);
	tls_context_release(client);
	assert_true(tls_pair_handshake(&pair));
	assert_int_equal(tls_write(&pair.client.conn, &byte, 1, &count), TLS_OK);
	assert_int_equal(tls_read(&pair.server.conn, &byte, 1, &count), TLS_OK);
	assert_int_equal(byte, 7);
	tls_pair_close(&pair);
}

/* ---- Clients --------------------------------------------------------------------------------- */

struct client_row {
	const char *certificate; /* NULL: none */
	const char *error;       /* of the server; NULL: accepted */
	const char *uri;
};

static const struct client_row client_rows[] = {
	{ "client", NULL, "spiffe://example.test/workload" },
	{ "client-plain", NULL, "" },
	/* Typed by the ASN.1 tag: this is a DNS name, whatever it says. */
	{ "client-dns", NULL, "" },
	{ "client-two-uris", "the client's certificate has more than one URI name", NULL },
	{ "client-nul", "the URI name in the client's certificate is malformed", NULL },
	{ "client-ca", "the client's certificate is a CA's, not a workload's", NULL },
	{ "client-other", UNKNOWN_CA, NULL },
	{ "client-expired", "the peer's certificate has expired", NULL },
	{ "server", "the peer's certificate is not for this use (extended key usage)", NULL },
};

static void check_client_row(const struct client_row *row, enum tls_client_certificate demand)
{
	struct tls_context *server = tls_test_server("server", demand);
	struct tls_context *client = tls_test_client(row->certificate);
	struct tls_peer peer;

	tls_pair_open(&pair, server, client, "localhost", NULL);
	bool done = tls_pair_handshake(&pair);
	if (done != (row->error == NULL)) {
		fail_msg("%s: %s, %s", row->certificate, done ? "accepted" : "refused",
			tls_error(&pair.server.conn));
	}
	if (done) {
		tls_conn_peer(&pair.server.conn, &peer);
		assert_true(peer.has_certificate);
		assert_string_equal(peer.uri_san, row->uri);
	} else {
		assert_string_equal(tls_error(&pair.server.conn), row->error);
	}
	tls_pair_close(&pair);
	tls_context_release(server);
	tls_context_release(client);
}

/* A certificate that is shown must be good, asked for or required. */
static void clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(client_rows); i++) {
		check_client_row(&client_rows[i], TLS_CLIENT_REQUIRED);
		check_client_row(&client_rows[i], TLS_CLIENT_OPTIONAL);
	}
}

/* In TLS 1.3 such a client sends an empty certificate message: no way in either. The client
 * believes it is through before it hears of the refusal. */
static void client_without_certificate(void **state)
{
	struct tls_context *client = tls_test_client(NULL);
	struct tls_context *server = tls_test_server("server", TLS_CLIENT_REQUIRED);
	struct tls_peer peer;
	uint8_t byte;
	size_t count;
	(void)state;

	tls_pair_open(&pair, server, client, "localhost", NULL);
	assert_false(tls_pair_handshake(&pair));
	assert_int_equal(pair.server.status, TLS_FAILED);
	assert_string_equal(tls_error(&pair.server.conn),
		"the client sent no certificate, and this listener requires one");
	assert_int_equal(tls_read(&pair.client.conn, &byte, 1, &count), TLS_FAILED);
	assert_string_equal(tls_error(&pair.client.conn),
		"the peer sent an alert: certificate_required");
	tls_pair_close(&pair);
	tls_context_release(server);

	server = tls_test_server("server", TLS_CLIENT_OPTIONAL);
	tls_pair_open(&pair, server, client, "localhost", NULL);
	assert_true(tls_pair_handshake(&pair));
	tls_conn_peer(&pair.server.conn, &peer);
	assert_false(peer.has_certificate);
	assert_string_equal(peer.uri_san, "");
	tls_pair_close(&pair);
	tls_context_release(server);
	tls_context_release(client);
}

/* A client that has one does not show it to a server that does not ask. */
static void client_not_asked(void **state)
{
	struct tls_context *client = tls_test_client("client-two-uris");
	struct tls_context *server = tls_test_server("server", TLS_CLIENT_NONE);
	struct tls_peer peer;
	(void)state;

	tls_pair_open(&pair, server, client, "localhost", NULL);
	assert_true(tls_pair_handshake(&pair));
	tls_conn_peer(&pair.server.conn, &peer);
	assert_false(peer.has_certificate);
	tls_pair_close(&pair);
	tls_context_release(server);
	tls_context_release(client);
}

/* ---- Contexts -------------------------------------------------------------------------------- */

struct config_row {
	const char *chain;
	const char *key;
	const char *ca;
	const char *error;
};

static const struct config_row config_rows[] = {
	{ "server.pem", "ca.key", "ca.pem",
		"certificate 1: the private key does not belong to the certificate" },
	{ "server.key", "server.key", "ca.pem",
		"certificate 1: the certificate chain is not usable PEM" },
	{ "server.pem", "server.pem", "ca.pem",
		"certificate 1: the private key is not usable PEM" },
	{ "server-rsa-short.pem", "server-rsa-short.key", "ca.pem",
		"certificate 1: the key is too short, RSA needs 2048 bits" },
	{ "server.pem", "server.key", "server.key", "the CA certificates are not usable PEM" },
};

/* Each mistake is told by its part. */
static void wrong_configurations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(config_rows); i++) {
		const struct config_row *row = &config_rows[i];
		struct tls_certificate certificate = { .chain_pem = certificate_file(row->chain),
			.key_pem = certificate_file(row->key) };
		struct tls_server_config config = {
			.certificates = &certificate,
			.certificate_count = 1,
			.client_certificate = TLS_CLIENT_REQUIRED,
			.client_ca_pem = certificate_file(row->ca),
		};
		struct tls_context *context;
		char error[256];
		assert_int_equal(tls_server_context_create(&config, &context, error, sizeof error),
			RESULT_CRYPTO);
		assert_string_equal(error, row->error);
	}
	struct tls_client_config client_config = {
		.ca_pem = certificate_file("ca.pem"),
		.chain_pem = certificate_file("client.pem"),
		.key_pem = certificate_file("server.key"),
	};
	struct tls_context *context;
	char error[256];
	assert_int_equal(tls_client_context_create(&client_config, &context, error, sizeof error),
		RESULT_CRYPTO);
	assert_string_equal(error,
		"client certificate: the private key does not belong to the certificate");
}

/* An expired certificate of our own is used, and its date told. */
static void own_certificate_expired(void **state)
{
	struct tls_context *expired = tls_test_server("server-expired", TLS_CLIENT_NONE);
	struct tls_context *good = tls_test_server("server", TLS_CLIENT_NONE);
	struct tls_context *client = tls_test_client(NULL);
	(void)state;

	assert_true(tls_context_expires_s(expired) > 0);
	assert_true(tls_context_expires_s(good) > tls_context_expires_s(expired) + 3600 * 24 * 365);
	assert_int_equal(tls_context_expires_s(client), 0);
	tls_context_release(expired);
	tls_context_release(good);
	tls_context_release(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers),
		cmocka_unit_test(system_bundle),
		cmocka_unit_test(server_names),
		cmocka_unit_test(mixed_key_types),
		cmocka_unit_test(release_while_connected),
		cmocka_unit_test(clients),
		cmocka_unit_test(client_without_certificate),
		cmocka_unit_test(client_not_asked),
		cmocka_unit_test(wrong_configurations),
		cmocka_unit_test(own_certificate_expired),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_conn — handshake and records over memory.
 *
 * wolfSSL reads and writes through two callbacks that pass bytes to the owner's transport; no
 * bytes there is WANT_READ, no room is WANT_WRITE. Failing is sticky: after TLS_FAILED only an
 * alert may be left in the output, and nothing is read or written any more.
 *
 * Copies: ciphertext is copied once into wolfSSL's record buffer, decrypted there, and copied
 * once into the caller's; on the way out it is encrypted in wolfSSL's buffer and copied once
 * into the transport's. wolfSSL has no calls that save one of them.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/error-ssl.h>

#include "base/check.h"

enum { RECORD_SIZE_MAX = 16384 };

/* What is offered to servers, and what clients may offer. Those that speak HTTP/1.0 are served by
 * its rules, whatever was agreed on here. Of several the client's first choice is taken. */
static const char client_protocols[] = "http/1.1";
static const char server_protocols[] = "http/1.1,http/1.0";

static bool has(const struct tls_conn *conn, enum tls_conn_flag flag)
{
	return (conn->flags & (uint32_t)flag) != 0;
}

/* ---- Between wolfSSL and the transport ------------------------------------------------------- */

int tls_conn_receive(WOLFSSL *ssl, char *to, int size, void *owner)
{
	const struct tls_conn *conn = owner;
	(void)ssl; /* the connection is known by the owner */

	CHECK(size > 0);
	size_t taken = conn->transport->take(conn->transport->owner, (uint8_t *)to, (size_t)size);
	CHECK(taken <= (size_t)size);
	return taken > 0 ? (int)taken : WOLFSSL_CBIO_ERR_WANT_READ;
}

int tls_conn_send(WOLFSSL *ssl, char *from, int size, void *owner)
{
	const struct tls_conn *conn = owner;
	(void)ssl; /* the connection is known by the owner */

	CHECK(size > 0);
	size_t put =
		conn->transport->put(conn->transport->owner, (const uint8_t *)from, (size_t)size);
	CHECK(put <= (size_t)size);
	return put > 0 ? (int)put : WOLFSSL_CBIO_ERR_WANT_WRITE;
}

struct tls_conn *tls_conn_of(WOLFSSL *ssl)
{
	return wolfSSL_GetIOReadCtx(ssl);
}

int tls_conn_choose_identity(WOLFSSL *ssl, int *alert, void *unused)
{
	struct tls_conn *conn = tls_conn_of(ssl);
	void *name = NULL;
	size_t name_size = wolfSSL_SNI_GetRequest(ssl, WOLFSSL_SNI_HOST_NAME, &name);
	(void)unused; /* the connection knows more */

	const struct tls_identity *identity =
		tls_context_identity(conn->context, bytes_of(name, name == NULL ? 0 : name_size));
	if (conn->ticket_identity != NULL && conn->ticket_identity != identity) {
		conn->error = "a session ticket came with the name of another certificate";
		*alert = illegal_parameter;
		return fatal_return;
	}
	if (wolfSSL_set_SSL_CTX(ssl, identity->wolf) == NULL) {
		conn->error = "out of memory";
		*alert = internal_error;
		return fatal_return;
	}
	return 0;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

static enum result open_common(struct tls_conn *conn, struct tls_context *context,
	struct bytes protocols, const struct tls_transport *transport)
{
	*conn = (struct tls_conn){ .transport = transport };
	conn->ssl = wolfSSL_new(context->identities[0].wolf);
	if (conn->ssl == NULL) return RESULT_MEMORY;

	conn->context = context;
	tls_context_acquire(context);
	wolfSSL_SetIOReadCtx(conn->ssl, conn);
	wolfSSL_SetIOWriteCtx(conn->ssl, conn);
	wolfSSL_SetCertCbCtx(conn->ssl, conn);

	/* A server answers "no_application_protocol" to those who speak only something else. */
	char names[sizeof server_protocols];
	CHECK(protocols.size <= sizeof names);
	memcpy(names, protocols.data, protocols.size);
	if (wolfSSL_UseALPN(conn->ssl, names, (word32)protocols.size,
		    WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS) {
		tls_conn_close(conn);
		return RESULT_MEMORY;
	}
	return RESULT_OK;
}

enum result tls_conn_open_server(struct tls_conn *conn, struct tls_context *context,
	const struct tls_transport *transport)
{
	CHECK(context->is_server);
	TRY(open_common(conn, context, BYTES_LITERAL(server_protocols), transport));
	conn->flags = TLS_CONN_IS_SERVER;
	return RESULT_OK;
}

static bool is_address(const char *host_name)
{
	uint8_t ip[16];
	return inet_pton(AF_INET, host_name, ip) == 1 || inet_pton(AF_INET6, host_name, ip) == 1;
}

/* A name as SNI wants it: no address, no final dot. */
static bool name_server(struct tls_conn *conn, const char *host_name)
{
	size_t size = strlen(host_name);

	if (is_address(host_name)) return true;
	if (size > 0 && host_name[size - 1] == '.') size--;
	if (size == 0 || size > UINT16_MAX) return false;
	return wolfSSL_UseSNI(conn->ssl, WOLFSSL_SNI_HOST_NAME, host_name, (word16)size) ==
		WOLFSSL_SUCCESS;
}

/* wolfSSL would share one session object among all connections that resume from it, and each
 * writes its own secrets there: a copy for every one. Not resuming is no failure. */
static void use_session(struct tls_conn *conn, const struct tls_session *session)
{
	const struct tls_identity *identity = &conn->context->identities[0];

	if (session == NULL) return;
	if (strcmp(session->host_name, conn->host_name) != 0) return;
	if (memcmp(session->policy, identity->policy, sizeof identity->policy) != 0) return;
	WOLFSSL_SESSION *copy = wolfSSL_SESSION_dup(session->wolf);
	if (copy == NULL) return;
	(void)wolfSSL_set_session(conn->ssl, copy); /* fails for one that is too old */
	wolfSSL_SESSION_free(copy);
}

enum result tls_conn_open_client(struct tls_conn *conn, struct tls_context *context,
	const char *host_name, const struct tls_session *session,
	const struct tls_transport *transport)
{
	CHECK(!context->is_server);
	TRY(open_common(conn, context, BYTES_LITERAL(client_protocols), transport));
	conn->host_name = tls_memory_text(bytes_of_text(host_name));
	if (conn->host_name == NULL) {
		tls_conn_close(conn);
		return RESULT_MEMORY;
	}
	if (!name_server(conn, host_name)) {
		tls_conn_close(conn);
		return RESULT_CRYPTO;
	}
	use_session(conn, session);
	return RESULT_OK;
}

void tls_conn_close(struct tls_conn *conn)
{
	wolfSSL_free(conn->ssl);
	tls_memory_free(conn->host_name);
	tls_memory_free(conn->uri_san);
	tls_context_release(conn->context);
	*conn = (struct tls_conn){ 0 };
}

/* ---- Handshake ------------------------------------------------------------------------------- */

/* What was noticed first is the cause: a check of ours before wolfSSL's general answer to it. */
static enum tls_status fail(struct tls_conn *conn, int code)
{
	if (conn->error == NULL) {
		WOLFSSL_ALERT_HISTORY alerts = { { -1, -1 }, { -1, -1 } };
		wolfSSL_get_alert_history(conn->ssl, &alerts);
		conn->error = tls_error_sentence(code, alerts.last_rx.code);
	}
	return TLS_FAILED;
}

static enum tls_status handshake_done(struct tls_conn *conn)
{
	bool resumed = wolfSSL_session_reused(conn->ssl) != 0;
	bool verified = has(conn, TLS_CONN_PEER_VERIFIED);

	/* wolfSSL has made sure of all this. It has also had holes (CVE-2022-25640, where a client
	 * could leave out its certificate), so we look again. */
	if (has(conn, TLS_CONN_IS_SERVER)) {
		if (conn->context->client_certificate != TLS_CLIENT_NONE && resumed) {
			conn->error = "a session was resumed where a certificate is asked for";
		}
		if (conn->context->client_certificate == TLS_CLIENT_REQUIRED && !verified) {
			conn->error =
				"the client sent no certificate, and this listener requires one";
		}
	} else if (!verified && !resumed) {
		conn->error = "the server did not authenticate itself";
	}
	if (conn->error != NULL) return TLS_FAILED;

	conn->flags |= TLS_CONN_DONE;
	return TLS_OK;
}

enum tls_status tls_handshake(struct tls_conn *conn)
{
	if (conn->error != NULL) return TLS_FAILED;
	if (has(conn, TLS_CONN_DONE)) return TLS_OK;

	int ret = has(conn, TLS_CONN_IS_SERVER) ? wolfSSL_accept(conn->ssl)
						: wolfSSL_connect(conn->ssl);
	if (ret == WOLFSSL_SUCCESS) return handshake_done(conn);

	int code = wolfSSL_get_error(conn->ssl, ret);
	if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE) return TLS_MORE;
	return fail(conn, code);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* One record. */
static enum tls_status read_record(struct tls_conn *conn, uint8_t *to, size_t size,
	size_t *ret_size)
{
	int wanted = size > RECORD_SIZE_MAX ? RECORD_SIZE_MAX : (int)size;
	int ret = wolfSSL_read(conn->ssl, to, wanted);

	*ret_size = 0;
	if (ret > 0) {
		*ret_size = (size_t)ret;
		return TLS_OK;
	}
	int code = wolfSSL_get_error(conn->ssl, ret);
	if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE) return TLS_MORE;
	if (code == WOLFSSL_ERROR_ZERO_RETURN) {
		conn->flags |= TLS_CONN_READ_CLOSED;
		return TLS_CLOSED;
	}
	return fail(conn, code);
}

bool tls_has_plaintext(const struct tls_conn *conn)
{
	return wolfSSL_pending(conn->ssl) > 0;
}

enum tls_status tls_read(struct tls_conn *conn, uint8_t *to, size_t size, size_t *ret_size)
{
	enum tls_status status = TLS_OK;
	size_t done = 0;

	CHECK(size > 0);
	*ret_size = 0;
	if (conn->error != NULL) return TLS_FAILED;
	if (has(conn, TLS_CONN_READ_CLOSED)) return TLS_CLOSED;
	CHECK(has(conn, TLS_CONN_DONE));

	/* The first is asked for in any case: wolfSSL may have something to say or to send. After
	 * that, asking in vain would cost as much again as a small record. */
	do {
		size_t read;
		status = read_record(conn, to + done, size - done, &read);
		done += read;
	} while (status == TLS_OK && done < size &&
		(tls_has_plaintext(conn) || conn->transport->ready(conn->transport->owner)));
	*ret_size = done;
	/* What ended the reading is said again by the next call. */
	return done > 0 ? TLS_OK : status;
}

/* Sends on the record that waits inside wolfSSL. Asking to write as many bytes as that record
 * had does just this: wolfSSL takes them for the same ones and does not look at them. */
static enum tls_status write_on(struct tls_conn *conn)
{
	int ret = wolfSSL_write(conn->ssl, client_protocols, (int)conn->write_pending);

	if (ret == (int)conn->write_pending) {
		conn->write_pending = 0;
		return TLS_OK;
	}
	int code = wolfSSL_get_error(conn->ssl, ret);
	return code == WOLFSSL_ERROR_WANT_WRITE ? TLS_MORE : fail(conn, code);
}

static enum tls_status write_record(struct tls_conn *conn, const uint8_t *from, size_t size)
{
	int ret = wolfSSL_write(conn->ssl, from, (int)size);

	if (ret == (int)size) return TLS_OK;
	int code = wolfSSL_get_error(conn->ssl, ret);
	if (code != WOLFSSL_ERROR_WANT_WRITE) return fail(conn, code);
	conn->write_pending = (uint32_t)size;
	return TLS_MORE;
}

enum tls_status tls_write(struct tls_conn *conn, const uint8_t *from, size_t size, size_t *ret_size)
{
	size_t done = 0;

	*ret_size = 0;
	if (conn->error != NULL) return TLS_FAILED;
	CHECK(has(conn, TLS_CONN_DONE));
	CHECK(!has(conn, TLS_CONN_SHUT));

	if (conn->write_pending > 0) {
		enum tls_status status = write_on(conn);
		if (status != TLS_OK) return status == TLS_MORE ? TLS_OK : status;
	}
	while (done < size) {
		size_t chunk = size - done < RECORD_SIZE_MAX ? size - done : RECORD_SIZE_MAX;
		enum tls_status status = write_record(conn, from + done, chunk);
		if (status == TLS_FAILED) return TLS_FAILED;
		done += chunk; /* encrypted, and inside wolfSSL at least */
		if (status == TLS_MORE) break;
	}
	*ret_size = done;
	return TLS_OK;
}

void tls_shutdown(struct tls_conn *conn)
{
	if (conn->error != NULL) return;
	if (!has(conn, TLS_CONN_DONE)) return;
	if (has(conn, TLS_CONN_SHUT)) return;

	conn->flags |= TLS_CONN_SHUT;
	(void)wolfSSL_shutdown(conn->ssl); /* what cannot be sent now is not needed later */
}

const char *tls_error(const struct tls_conn *conn)
{
	return conn->error != NULL ? conn->error : "no error";
}

/* ---- Sessions and peers ---------------------------------------------------------------------- */

struct tls_session *tls_conn_session_take(struct tls_conn *conn)
{
	if (has(conn, TLS_CONN_IS_SERVER) || !has(conn, TLS_CONN_DONE)) return NULL;
	/* In TLS 1.2 wolfSSL takes for granted that the server accepts the ticket, and fails when
	 * it does not. */
	if (wolfSSL_GetVersion(conn->ssl) != WOLFSSL_TLSV1_3) return NULL;

	/* The live one is written to with every ticket that comes. */
	WOLFSSL_SESSION *live = wolfSSL_get1_session(conn->ssl);
	if (live == NULL) return NULL;
	WOLFSSL_SESSION *copy = wolfSSL_SessionIsSetup(live) ? wolfSSL_SESSION_dup(live) : NULL;
	wolfSSL_SESSION_free(live);
	if (copy == NULL) return NULL;

	size_t name_size = strlen(conn->host_name) + 1;
	struct tls_session *session = tls_memory_take(sizeof *session + name_size);
	if (session == NULL) {
		wolfSSL_SESSION_free(copy);
		return NULL;
	}
	session->wolf = copy;
	memcpy(session->policy, conn->context->identities[0].policy, sizeof session->policy);
	memcpy(session->host_name, conn->host_name, name_size);
	return session;
}

void tls_session_free(struct tls_session *session)
{
	if (session == NULL) return;
	wolfSSL_SESSION_free(session->wolf);
	tls_memory_free(session);
}

void tls_conn_peer(struct tls_conn *conn, struct tls_peer *ret)
{
	*ret = (struct tls_peer){
		.protocol = wolfSSL_get_version(conn->ssl),
		.cipher = wolfSSL_get_cipher(conn->ssl),
		.resumed = wolfSSL_session_reused(conn->ssl) != 0,
		.has_certificate = has(conn, TLS_CONN_PEER_VERIFIED),
	};
	if (ret->cipher == NULL) ret->cipher = "none";
	if (conn->uri_san != NULL) {
		(void)bytes_to_text(bytes_of_text(conn->uri_san), ret->uri_san,
			sizeof ret->uri_san);
	}
}

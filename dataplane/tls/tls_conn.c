/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_conn — handshake and records over memory.
 *
 * wolfSSL reads and writes through two callbacks that pass bytes to the owner's transport; no
 * bytes there is WANT_READ, no room is WANT_WRITE. Failing is sticky: after TLS_FAILED only an
 * alert may be left in the output, and nothing is read or written any more.
 *
 * A record of application data that the transport has in a row is lent to wolfSSL: it is
 * decrypted there and copied once, into the caller's buffer. On the way out plaintext is copied
 * once, into the transport's buffer, and encrypted there. So a record takes no memory. (The
 * lending is ours: third_party/patches/wolfssl/016.) All others, those of handshakes and those
 * that came in two pieces, go through buffers that wolfSSL allocates for each.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/error-ssl.h>

#include "base/check.h"

enum {
	RECORD_HEADER_SIZE = 5,
	RECORD_APPLICATION_DATA = 23, /* RFC 8446 §5.1, and whatever is encrypted in TLS 1.3 */
};

/* What is offered to servers, and what clients may offer. Those that speak HTTP/1.0 are served by
 * its rules, whatever was agreed on here. Of several the client's first choice is taken. */
static const char client_protocols[] = "http/1.1";
static const char server_protocols[] = "http/1.1,http/1.0";

static bool has(const struct tls_conn *conn, enum tls_conn_flag flag)
{
	return (conn->flags & (uint32_t)flag) != 0;
}

/* ---- Between wolfSSL and the transport ------------------------------------------------------- */

/* What was lent of it. */
static void drop_input(struct tls_conn *conn)
{
	if (conn->input_lent == 0) return;
	conn->transport->calls->drop(conn->transport->owner, conn->input_lent);
	conn->input_lent = 0;
}

int tls_conn_receive(WOLFSSL *ssl, char *to, int size, void *owner)
{
	struct tls_conn *conn = owner;
	const struct tls_transport_calls *calls = conn->transport->calls;
	(void)ssl; /* the connection is known by the owner */

	CHECK(size > 0);
	/* It has used up what it was lent, a ticket perhaps, and wants the next record. */
	drop_input(conn);
	size_t taken = calls->take(conn->transport->owner, (uint8_t *)to, (size_t)size);
	CHECK(taken <= (size_t)size);
	return taken > 0 ? (int)taken : WOLFSSL_CBIO_ERR_WANT_READ;
}

int tls_conn_send(WOLFSSL *ssl, char *from, int size, void *owner)
{
	struct tls_conn *conn = owner;
	const struct tls_transport_calls *calls = conn->transport->calls;
	(void)ssl; /* the connection is known by the owner */

	CHECK(size > 0);
	/* A record that was made in the transport's own room. wolfSSL lets go of it after this. */
	if ((const uint8_t *)from == conn->room) {
		conn->room = NULL;
		calls->fill(conn->transport->owner, (size_t)size);
		return size;
	}
	size_t put = calls->put(conn->transport->owner, (const uint8_t *)from, (size_t)size);
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

/* The size of the record that the transport has next, when it is there as a whole and has nothing
 * but what fits into `size`; else 0. */
static size_t record_in_a_row(struct tls_conn *conn, size_t size, uint8_t **ret)
{
	size_t seen;
	uint8_t *record = conn->transport->calls->look(conn->transport->owner, &seen);

	if (record == NULL || seen < RECORD_HEADER_SIZE) return 0;
	if (record[0] != RECORD_APPLICATION_DATA) return 0;
	size_t content_size = (size_t)(record[3] << 8 | record[4]);
	if (content_size > size || content_size > seen - RECORD_HEADER_SIZE) return 0;
	*ret = record;
	return RECORD_HEADER_SIZE + content_size;
}

/* Lends wolfSSL the next record, if that can be done. */
static void lend_input(struct tls_conn *conn, size_t size)
{
	uint8_t *record;
	size_t record_size = record_in_a_row(conn, size, &record);

	if (record_size > 0 &&
		wolfSSL_lend_input(conn->ssl, record, (int)record_size) == WOLFSSL_SUCCESS)
		conn->input_lent = (uint32_t)record_size;
}

/* False when wolfSSL has stopped in the middle of the record. */
static bool return_input(struct tls_conn *conn)
{
	bool whole = wolfSSL_return_input(conn->ssl) == WOLFSSL_SUCCESS;
	drop_input(conn);
	return whole;
}

/* One record. */
static enum tls_status read_record(struct tls_conn *conn, uint8_t *to, size_t size,
	size_t *ret_size)
{
	int wanted = size > TLS_RECORD_SIZE_MAX ? TLS_RECORD_SIZE_MAX : (int)size;
	lend_input(conn, size);
	int ret = wolfSSL_read(conn->ssl, to, wanted);
	bool whole = return_input(conn);

	*ret_size = 0;
	if (ret > 0) {
		CHECK(whole);
		*ret_size = (size_t)ret;
		return TLS_OK;
	}
	int code = wolfSSL_get_error(conn->ssl, ret);
	if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE) {
		if (!whole) conn->error = "a record asked for more answers than there is room for";
		return whole ? TLS_MORE : TLS_FAILED;
	}
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
		(tls_has_plaintext(conn) || conn->transport->calls->ready(conn->transport->owner)));
	*ret_size = done;
	/* What ended the reading is said again by the next call. */
	return done > 0 ? TLS_OK : status;
}

/* Answers that found no room while reading. */
static enum tls_status write_waiting(struct tls_conn *conn)
{
	int ret = wolfSSL_write(conn->ssl, "", 0);

	if (ret == 0) return TLS_OK;
	int code = wolfSSL_get_error(conn->ssl, ret);
	return code == WOLFSSL_ERROR_WANT_WRITE ? TLS_MORE : fail(conn, code);
}

/* False when wolfSSL cannot use it, because something waits inside. */
static bool lend_room(struct tls_conn *conn, uint8_t *room, size_t size)
{
	if (wolfSSL_lend_output(conn->ssl, room, (int)size) != WOLFSSL_SUCCESS) return false;
	conn->room = room;
	return true;
}

/* TLS_MORE when there is no room for a record of that size. */
static enum tls_status lend_output(struct tls_conn *conn, size_t size)
{
	const struct tls_transport *transport = conn->transport;
	const size_t record_size = size + TLS_RECORD_OVERHEAD;

	uint8_t *room = transport->calls->room(transport->owner, record_size);
	if (room == NULL) return TLS_MORE;
	if (lend_room(conn, room, record_size)) return TLS_OK;

	enum tls_status status = write_waiting(conn);
	if (status != TLS_OK) return status;
	room = transport->calls->room(transport->owner, record_size);
	if (room == NULL) return TLS_MORE;
	CHECK(lend_room(conn, room, record_size));
	return TLS_OK;
}

static enum tls_status write_record(struct tls_conn *conn, const uint8_t *from, size_t size)
{
	enum tls_status status = lend_output(conn, size);
	if (status != TLS_OK) return status;

	int ret = wolfSSL_write(conn->ssl, from, (int)size);
	/* What is put into lent room is sent at once, or not made at all. */
	CHECK(wolfSSL_return_output(conn->ssl) == WOLFSSL_SUCCESS);
	conn->room = NULL;
	return ret == (int)size ? TLS_OK : fail(conn, wolfSSL_get_error(conn->ssl, ret));
}

enum tls_status tls_write(struct tls_conn *conn, const uint8_t *from, size_t size, size_t *ret_size)
{
	size_t done = 0;

	*ret_size = 0;
	if (conn->error != NULL) return TLS_FAILED;
	CHECK(has(conn, TLS_CONN_DONE));
	CHECK(!has(conn, TLS_CONN_SHUT));

	if (size == 0 && write_waiting(conn) == TLS_FAILED) return TLS_FAILED;
	while (done < size) {
		size_t left = size - done;
		size_t piece = left < TLS_RECORD_SIZE_MAX ? left : TLS_RECORD_SIZE_MAX;
		enum tls_status status = write_record(conn, from + done, piece);
		if (status == TLS_FAILED) return TLS_FAILED;
		if (status == TLS_MORE) break;
		done += piece;
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

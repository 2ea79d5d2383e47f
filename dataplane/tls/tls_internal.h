/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_internal — what the files of this folder share, and the only door to wolfSSL's headers
 * (options.h first, always: without it the structures have other sizes).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tls/tls.h"

/* The checks of the peer's leaf certificate are in the verify callback (tls_verify.c), which
 * wolfSSL calls on success only when built so. */
#ifndef WOLFSSL_ALWAYS_VERIFY_CB
#error "wolfSSL must be built with WOLFSSL_ALWAYS_VERIFY_CB"
#endif
/* rustls sends ticket nonces of 32 bytes; without this they fail the connection. */
#ifndef WOLFSSL_TICKET_NONCE_MALLOC
#error "wolfSSL must be built with WOLFSSL_TICKET_NONCE_MALLOC"
#endif
#ifdef WOLFSSL_EARLY_DATA
#error "wolfSSL must be built without early data: a POST could be replayed"
#endif

/* ---- Memory in wolfSSL's hands (tls_memory.c) ------------------------------------------------ */

/* Before wolfSSL is used for the first time. RESULT_CRYPTO: wolfSSL does not want the hooks. */
MUST_USE enum result tls_memory_open(void);
/* Allocations by wolfSSL so far, of all threads. */
uint64_t tls_memory_count(void);

/* What a connection keeps next to wolfSSL's own objects, from the same counted allocator: the
 * named exception to base/alloc.h. NULL when there is no memory. */
void *tls_memory_take(size_t size);
char *tls_memory_text(struct bytes text);
void tls_memory_free(void *memory);

/* ---- AES-GCM on wide vectors (tls_gcm.c) ----------------------------------------------------- */

/* Before the first key is set. Whether the CPU can; otherwise wolfSSL goes on doing it. */
bool tls_gcm_open(void);

/* ---- Contexts (tls_context.c) ---------------------------------------------------------------- */

/* A certificate with what wolfSSL prepared for it. A client context has one, its own or none. */
struct tls_identity {
	WOLFSSL_CTX *wolf;
	/* Goes into the tickets' authentication: what certificate and which demands on clients
	 * they were issued under. */
	uint8_t policy[SHA256_SIZE];
	char **names;
	size_t name_count;
};

struct tls_context {
	atomic_uint reference_count;
	enum tls_client_certificate client_certificate;
	bool is_server;
	uint64_t expires_s;
	size_t identity_count;
	struct tls_identity identities[]; /* the first serves names nobody else serves */
};

/* Exact names before wildcards; the first identity when no name fits or none was asked for. */
const struct tls_identity *tls_context_identity(const struct tls_context *context,
	struct bytes name);

/* ---- Tickets (tls_ticket.c) ------------------------------------------------------------------ */

/* How long a client may come back with one, key rotation permitting. */
enum { TLS_TICKET_LIFETIME_S = 3600 };

/* wolfSSL's callback for both directions. */
int tls_ticket_crypt(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
	unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ],
	int encrypting, unsigned char *ticket, int size, int *ret_size, void *unused);

/* ---- Certificates (tls_verify.c) ------------------------------------------------------------- */

/* wolfSSL's callback, once per leaf, and for every certificate that failed. */
int tls_verify_peer(int chain_is_good, WOLFSSL_X509_STORE_CTX *store);
/* Seconds since 1970 of the leaf's notAfter. RESULT_MALFORMED when it does not decode. */
MUST_USE enum result tls_certificate_expires_s(struct bytes chain_pem, uint64_t *ret);

/* ---- Sentences (tls_error.c) ----------------------------------------------------------------- */

/* For a code of wolfSSL's and, when the peer sent one, its alert (else -1). Never NULL. */
const char *tls_error_sentence(int code, int alert_received);

/* ---- Connections (tls_conn.c) ---------------------------------------------------------------- */

enum tls_conn_flag {
	TLS_CONN_IS_SERVER = 1 << 0,
	TLS_CONN_DONE = 1 << 1,          /* the handshake is */
	TLS_CONN_PEER_VERIFIED = 1 << 2, /* tls_verify_peer() said yes to the leaf */
	TLS_CONN_READ_CLOSED = 1 << 3,   /* close_notify has come */
	TLS_CONN_SHUT = 1 << 4,          /* close_notify was sent */
};

struct tls_session {
	WOLFSSL_SESSION *wolf;
	uint8_t policy[SHA256_SIZE];
	char host_name[];
};

/* wolfSSL's callbacks for bytes in and out. */
int tls_conn_receive(WOLFSSL *ssl, char *to, int size, void *owner);
int tls_conn_send(WOLFSSL *ssl, char *from, int size, void *owner);
/* The connection wolfSSL's object belongs to. */
struct tls_conn *tls_conn_of(WOLFSSL *ssl);
/* wolfSSL's callback when the ClientHello was read: chooses the certificate. */
int tls_conn_choose_identity(WOLFSSL *ssl, int *alert, void *unused);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls — TLS 1.2 and 1.3 by wolfSSL, over plain memory: bytes in, bytes out, no fd.
 *
 * A tls_context is immutable once built: it holds certificates, trust and policy. One per
 * worker and identity, because wolfSSL contexts share locks. Built on cold threads; used and
 * released by the worker's. Reload builds fresh contexts and swaps the pointer: connections
 * that are under way keep the old one alive until they end.
 *
 * Policy (engine research §3.2): process-wide session cache off; tickets under process-wide
 * rotating keys, but none where client certificates are asked for (CVE-2025-23419 class);
 * no 0-RTT; ALPN http/1.1, of clients http/1.0, too.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/clock.h"

/* Once per process, before any thread, and once at the end. */
MUST_USE enum result tls_library_open(void);
void tls_library_close(void);

/* Crypto paths in use, for --version and status. */
struct tls_library_info {
	const char *version; /* wolfSSL's */
	const char *aes_gcm; /* "VAES", "AES-NI", … */
	bool sha_instructions;
	bool avx2;
	/* How often wolfSSL has allocated since tls_library_open(), over all threads. */
	uint64_t allocation_count;
};
struct tls_library_info tls_library_info(void);

/* ---- Ticket keys: process-wide, current and previous ----------------------------------------- */

/* Fresh random key becomes current, current becomes previous. Any thread; control calls it by
 * time. Tickets older than two rotations are refused (full handshake). */
MUST_USE enum result tls_ticket_keys_rotate(void);

/* ---- Contexts -------------------------------------------------------------------------------- */

/* Where the system's authorities are read from. */
const char *tls_system_ca_file(void);

enum tls_client_certificate { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

struct tls_certificate {
	struct bytes chain_pem; /* leaf first */
	struct bytes key_pem;
	/* Names it serves, exact or "*.example.org"; for SNI. The first certificate of a
	 * listener also serves everybody else. */
	const char *const *names;
	size_t name_count;
};

struct tls_server_config {
	const struct tls_certificate *certificates;
	size_t certificate_count; /* at least one */
	enum tls_client_certificate client_certificate;
	struct bytes client_ca_pem; /* needed unless NONE */
};

struct tls_client_config {
	struct bytes ca_pem; /* empty: the system's bundle */
	/* For mTLS; empty when there is none. */
	struct bytes chain_pem;
	struct bytes key_pem;
};

/* What the leaf of a chain says of itself. */
struct tls_certificate_facts {
	uint64_t not_before_s; /* since 1970 */
	uint64_t not_after_s;
	bool is_ca;
	bool has_spiffe; /* a URI name begins with spiffe:// */
	uint32_t uri_count;
	char uri[2049]; /* the first one that is text; "" when there is none */
};
/* Looks only: nothing is verified. RESULT_MALFORMED when it does not decode. */
MUST_USE enum result tls_certificate_look(struct bytes chain_pem,
	struct tls_certificate_facts *ret);

struct tls_context;

/* RESULT_CRYPTO: `error` (size error_size) gets a sentence saying which part is wrong (key
 * does not match certificate, not PEM …). A certificate of its own that has expired is taken:
 * whether to warn is for the caller, with tls_context_expires_s() and its clock. */
MUST_USE enum result tls_server_context_create(const struct tls_server_config *config,
	struct tls_context **ret, char *error, size_t error_size);
MUST_USE enum result tls_client_context_create(const struct tls_client_config *config,
	struct tls_context **ret, char *error, size_t error_size);
/* One more reference, for a second owner in the same thread or before the hand-over. */
struct tls_context *tls_context_acquire(struct tls_context *context);
/* Drops the creator's reference; live connections hold their own. */
void tls_context_release(struct tls_context *context);
/* Earliest notAfter of its own certificates, for metrics; 0 when there are none. */
uint64_t tls_context_expires_s(const struct tls_context *context);

/* ---- Connections ----------------------------------------------------------------------------- */

enum tls_status {
	TLS_OK,     /* handshake: done; read and write: see the count */
	TLS_MORE,   /* again when more input has come, or output has left */
	TLS_CLOSED, /* the peer said close_notify */
	TLS_FAILED, /* see tls_error(); an alert may be in the output: send it, then close */
};

/* Where ciphertext comes from and goes to: said by the owner (stream.c). Application data is
 * encrypted where room() says, and decrypted where look() shows a whole record of it; all else is
 * copied by take() and put(). */
struct tls_transport_calls {
	/* Takes up to `size` bytes of input; 0 when none is there. */
	size_t (*take)(void *owner, uint8_t *to, size_t size);
	/* Whether take() would give anything. */
	bool (*ready)(void *owner);
	/* Accepts up to `size` bytes of output; 0 when there is no room. */
	size_t (*put)(void *owner, const uint8_t *from, size_t size);
	/* What take() would give, as far as it lies in a row; it may be written over and stays
	 * until drop(). NULL when there is none. */
	uint8_t *(*look)(void *owner, size_t *ret_size);
	/* So much of that was used. */
	void (*drop)(void *owner, size_t size);
	/* Room for so many bytes of output in a row, until the next put() or fill(); NULL when
	 * there is none. */
	uint8_t *(*room)(void *owner, size_t size);
	/* So many bytes are there, and accepted as if by put(). */
	void (*fill)(void *owner, size_t size);
};

struct tls_transport {
	const struct tls_transport_calls *calls;
	void *owner;
};

struct WOLFSSL;
struct tls_identity;

/* Lives inside its owner (a stream), so that opening one allocates nothing of ours. Private. */
struct tls_conn {
	struct WOLFSSL *ssl;
	struct tls_context *context;
	const struct tls_transport *transport;
	const char *error; /* a sentence that lasts for ever, NULL while nothing failed */
	char *host_name;   /* the name a server must prove, in wolfSSL's memory; NULL on servers */
	char *uri_san;     /* the client's, in wolfSSL's memory; NULL when there is none */
	const uint8_t *room; /* lent to wolfSSL for the record it writes; else NULL */
	const struct tls_identity *ticket_identity;
	uint32_t input_lent; /* size of the record of the transport's that wolfSSL has now */
	uint32_t flags;
};

/* `conn` (its content does not matter before) and `transport` must stay where they are until
 * tls_conn_close(). Allocates inside wolfSSL: a named exception. RESULT_MEMORY, RESULT_CRYPTO. */
MUST_USE enum result tls_conn_open_server(struct tls_conn *conn, struct tls_context *context,
	const struct tls_transport *transport);
/* Verifies the peer's chain and that it is for `host_name` (or IP address literal), which is
 * also the SNI unless it is an address. `session` may hold what tls_conn_session_take() gave
 * for the same target, or NULL; it is not used for another host name or context than its own. */
struct tls_session;
MUST_USE enum result tls_conn_open_client(struct tls_conn *conn, struct tls_context *context,
	const char *host_name, const struct tls_session *session,
	const struct tls_transport *transport);
void tls_conn_close(struct tls_conn *conn);

enum {
	TLS_RECORD_SIZE_MAX = 16384,
	/* Header, explicit nonce, content type and tag, as wolfSSL estimates them (37). */
	TLS_RECORD_OVERHEAD = 64,
};

enum tls_status tls_handshake(struct tls_conn *conn);
/* TLS_OK with *ret_size ≥ 1, or another status with *ret_size 0. Reading can produce output
 * (key updates, tickets). */
enum tls_status tls_read(struct tls_conn *conn, uint8_t *to, size_t size, size_t *ret_size);
/* Whether a part of a record that was read is left for the next tls_read(). */
bool tls_has_plaintext(const struct tls_conn *conn);
/* TLS_OK with *ret_size = how much was taken: less than `size` only when the transport had no
 * room for the next record, of TLS_RECORD_SIZE_MAX or what is left and TLS_RECORD_OVERHEAD; then
 * call again with the rest once it has. What has been taken is in the transport. An answer to the
 * peer that found no room while reading goes first, even by a call with size 0. */
enum tls_status tls_write(struct tls_conn *conn, const uint8_t *from, size_t size,
	size_t *ret_size);
/* Puts close_notify into the output, once. */
void tls_shutdown(struct tls_conn *conn);
/* A sentence for the last TLS_FAILED, never NULL. */
const char *tls_error(const struct tls_conn *conn);

/* The session for resumption by a later client connection, or NULL (TLS 1.2, or no ticket has
 * come yet: it comes with the first bytes read). Owned by the caller, who drops it when a
 * handshake with it fails: the target may have gone back to TLS 1.2. */
struct tls_session *tls_conn_session_take(struct tls_conn *conn);
void tls_session_free(struct tls_session *session);

struct tls_peer {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;
	bool resumed;
	bool has_certificate; /* verified against the listener's CA */
	/* The one URI SAN of the leaf (typed by the ASN.1 tag, never by its text), empty when
	 * there is none; more than one URI SAN refuses the handshake when client certificates
	 * are asked for (X.509-SVID). */
	char uri_san[2049];
};
void tls_conn_peer(struct tls_conn *conn, struct tls_peer *ret);

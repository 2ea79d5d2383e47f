/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_pair — a TLS client and a TLS server joined by two pipes in memory. */
#pragma once

#include "tls/tls.h"

enum { TLS_PIPE_SIZE = 65536 };

struct tls_pipe {
	size_t start;
	size_t size;
	size_t size_max; /* how much it holds before the writer has to wait */
	size_t step_max; /* how much the reader gets at a time */
	uint64_t moved;  /* how much was put in or taken out so far */
	uint64_t vain;   /* how often there was nothing to take */
	uint8_t data[TLS_PIPE_SIZE];
};

void tls_pipe_init(struct tls_pipe *pipe);

struct tls_end {
	struct tls_conn conn;
	struct tls_transport transport;
	struct tls_pipe *in;
	struct tls_pipe *out;
	enum tls_status status; /* of the handshake */
};

struct tls_pair {
	struct tls_pipe to_server;
	struct tls_pipe to_client;
	struct tls_end server;
	struct tls_end client;
};

/* The pipes only: for one end of its own. */
void tls_pair_init(struct tls_pair *pair);
/* Both ends, without a byte exchanged. */
void tls_pair_open(struct tls_pair *pair, struct tls_context *server, struct tls_context *client,
	const char *host_name, const struct tls_session *session);
/* Until both ends are done, one has failed, or nothing moves. True when both are done. */
bool tls_pair_handshake(struct tls_pair *pair);
void tls_pair_close(struct tls_pair *pair);

/* Contexts from the files of tests/lib/certificates.sh. `name` "server" means server.pem and
 * server.key. They CHECK that it works. */
struct tls_context *tls_test_server(const char *name, enum tls_client_certificate demand);
/* Trusts ca.pem. `name` NULL: without a certificate. */
struct tls_context *tls_test_client(const char *name);
/* A client that can do no better than TLS 1.2, and takes its tickets. Telling a client of ours to
 * use TLS 1.2 is not enough: it takes the server's answer for a downgrade attack, and rightly. */
struct tls_context *tls_test_client_tls12(void);

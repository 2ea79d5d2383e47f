/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/tls_pair.h"

#include <stdio.h>
#include <string.h>

#include "tls/tls_internal.h"

#include "base/check.h"
#include "lib/certificates.h"

void tls_pipe_init(struct tls_pipe *pipe)
{
	pipe->start = 0;
	pipe->size = 0;
	pipe->moved = 0;
	pipe->vain = 0;
	pipe->size_max = TLS_PIPE_SIZE;
	pipe->step_max = TLS_PIPE_SIZE;
}

static size_t pipe_take(void *owner, uint8_t *to, size_t size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->in;

	if (pipe->size == 0) pipe->vain++;
	if (size > pipe->size) size = pipe->size;
	if (size > pipe->step_max) size = pipe->step_max;
	memcpy(to, pipe->data + pipe->start, size);
	pipe->start += size;
	pipe->size -= size;
	pipe->moved += size;
	if (pipe->size == 0) pipe->start = 0;
	return size;
}

static bool pipe_ready(void *owner)
{
	const struct tls_end *end = owner;
	return end->in->size > 0;
}

static size_t pipe_put(void *owner, const uint8_t *from, size_t size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->out;
	size_t room = pipe->size < pipe->size_max ? pipe->size_max - pipe->size : 0;

	if (size > room) size = room;
	if (pipe->start > 0) {
		memmove(pipe->data, pipe->data + pipe->start, pipe->size);
		pipe->start = 0;
	}
	memcpy(pipe->data + pipe->size, from, size);
	pipe->size += size;
	pipe->moved += size;
	return size;
}

static uint8_t *pipe_look(void *owner, size_t *ret_size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->in;

	if (pipe->size == 0) return NULL;
	*ret_size = pipe->size < pipe->step_max ? pipe->size : pipe->step_max;
	return pipe->data + pipe->start;
}

static void pipe_drop(void *owner, size_t size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->in;

	CHECK(size <= pipe->size);
	pipe->start += size;
	pipe->size -= size;
	pipe->moved += size;
	if (pipe->size == 0) pipe->start = 0;
}

static uint8_t *pipe_room(void *owner, size_t size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->out;

	if (pipe->size + size > pipe->size_max) return NULL;
	if (pipe->start > 0) {
		memmove(pipe->data, pipe->data + pipe->start, pipe->size);
		pipe->start = 0;
	}
	return pipe->data + pipe->size;
}

static void pipe_fill(void *owner, size_t size)
{
	struct tls_end *end = owner;
	struct tls_pipe *pipe = end->out;

	pipe->size += size;
	pipe->moved += size;
	CHECK(pipe->size <= pipe->size_max);
}

static const struct tls_transport_calls pipe_calls = {
	.take = pipe_take,
	.ready = pipe_ready,
	.put = pipe_put,
	.look = pipe_look,
	.drop = pipe_drop,
	.room = pipe_room,
	.fill = pipe_fill,
};

static void end_init(struct tls_end *end, struct tls_pipe *in, struct tls_pipe *out)
{
	*end = (struct tls_end){
		.transport = { .calls = &pipe_calls, .owner = end },
		.in = in,
		.out = out,
		.status = TLS_MORE,
	};
}

void tls_pair_init(struct tls_pair *pair)
{
	tls_pipe_init(&pair->to_server);
	tls_pipe_init(&pair->to_client);
	end_init(&pair->server, &pair->to_server, &pair->to_client);
	end_init(&pair->client, &pair->to_client, &pair->to_server);
}

void tls_pair_open(struct tls_pair *pair, struct tls_context *server, struct tls_context *client,
	const char *host_name, const struct tls_session *session)
{
	tls_pair_init(pair);
	CHECK(tls_conn_open_server(&pair->server.conn, server, &pair->server.transport) ==
		RESULT_OK);
	CHECK(tls_conn_open_client(&pair->client.conn, client, host_name, session,
		      &pair->client.transport) == RESULT_OK);
}

bool tls_pair_handshake(struct tls_pair *pair)
{
	uint64_t moved;

	do {
		moved = pair->to_server.moved + pair->to_client.moved;
		if (pair->client.status == TLS_MORE)
			pair->client.status = tls_handshake(&pair->client.conn);
		if (pair->server.status == TLS_MORE)
			pair->server.status = tls_handshake(&pair->server.conn);
		if (pair->client.status == TLS_OK && pair->server.status == TLS_MORE) {
			/* Makes room for the ticket that ends the server's part. */
			uint8_t byte;
			size_t count;
			CHECK(tls_read(&pair->client.conn, &byte, 1, &count) != TLS_OK);
		}
	} while (moved != pair->to_server.moved + pair->to_client.moved);
	return pair->client.status == TLS_OK && pair->server.status == TLS_OK;
}

void tls_pair_close(struct tls_pair *pair)
{
	tls_conn_close(&pair->client.conn);
	tls_conn_close(&pair->server.conn);
}

static struct bytes file_of(const char *name, const char *suffix)
{
	char file[96];

	CHECK(snprintf(file, sizeof file, "%s.%s", name, suffix) < (int)sizeof file);
	return certificate_file(file);
}

struct tls_context *tls_test_server(const char *name, enum tls_client_certificate demand)
{
	struct tls_certificate certificate = {
		.chain_pem = file_of(name, "pem"),
		.key_pem = file_of(name, "key"),
	};
	struct tls_server_config config = {
		.certificates = &certificate,
		.certificate_count = 1,
		.client_certificate = demand,
	};
	struct tls_context *context;
	char error[256];

	if (demand != TLS_CLIENT_NONE) config.client_ca_pem = file_of("ca", "pem");
	enum result result = tls_server_context_create(&config, &context, error, sizeof error);
	if (result != RESULT_OK) fprintf(stderr, "%s: %s\n", name, error);
	CHECK(result == RESULT_OK);
	return context;
}

struct tls_context *tls_test_client(const char *name)
{
	struct tls_client_config config = { .ca_pem = file_of("ca", "pem") };
	struct tls_context *context;
	char error[256];

	if (name != NULL) {
		config.chain_pem = file_of(name, "pem");
		config.key_pem = file_of(name, "key");
	}
	enum result result = tls_client_context_create(&config, &context, error, sizeof error);
	if (result != RESULT_OK) fprintf(stderr, "%s: %s\n", name == NULL ? "client" : name, error);
	CHECK(result == RESULT_OK);
	return context;
}

struct tls_context *tls_test_client_tls12(void)
{
	struct tls_context *context = tls_test_client(NULL);
	WOLFSSL_CTX *wolf = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
	struct bytes ca = certificate_file("ca.pem");

	CHECK(wolf != NULL);
	CHECK(wolfSSL_CTX_load_verify_buffer(wolf, ca.data, (long)ca.size, WOLFSSL_FILETYPE_PEM) ==
		WOLFSSL_SUCCESS);
	wolfSSL_CTX_SetIORecv(wolf, tls_conn_receive);
	wolfSSL_CTX_SetIOSend(wolf, tls_conn_send);
	wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_PEER, tls_verify_peer);
	CHECK(wolfSSL_CTX_UseSessionTicket(wolf) == WOLFSSL_SUCCESS);
	wolfSSL_CTX_free(context->identities[0].wolf);
	context->identities[0].wolf = wolf;
	return context;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wolfssl_peer — exercises the wolfSSL we built and patched, for test_wolfssl_patches.sh.
 *
 *   wolfssl_peer verify CA.pem LEAF.der              verify a certificate against the CAs in a file
 *   wolfssl_peer handshake VERSION HOST CA.pem SERVER.pem SERVER.key [CLIENT.pem CLIENT.key]
 *                                                    both ends in memory; VERSION is 1.2 or 1.3
 *   wolfssl_peer feed SERVER.pem SERVER.key          bytes of a ClientHello on standard input
 *   wolfssl_peer x25519 ROUNDS                       the two sides agree, and results are reduced
 *
 * Prints one line; exit code 0 when wolfSSL accepts, 1 when it refuses.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/curve25519.h>

enum {
	FILE_SIZE_MAX = 64 * 1024,
	PIPE_SIZE = 256 * 1024,
	ROUNDS_MAX = 64,
};

struct file {
	uint8_t bytes[FILE_SIZE_MAX];
	long size;
};

/* What one end has sent and the other has not read yet. */
struct pipe {
	uint8_t bytes[PIPE_SIZE];
	size_t head;
	size_t tail;
};

static struct pipe to_server, to_client;
static char peer_uri[256];

static void stop(const char *what, int code)
{
	printf("refused: %s %d\n", what, code);
	exit(1);
}

static void file_read(struct file *file, const char *path)
{
	FILE *stream = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	if (stream == NULL) stop(path, 0);
	file->size = (long)fread(file->bytes, 1, sizeof(file->bytes), stream);
	if (stream != stdin) (void)fclose(stream);
}

static int pipe_send(WOLFSSL *ssl, char *bytes, int size, void *context)
{
	(void)ssl;
	struct pipe *pipe = context;
	if ((size_t)size > sizeof(pipe->bytes) - pipe->tail) return WOLFSSL_CBIO_ERR_GENERAL;
	memcpy(pipe->bytes + pipe->tail, bytes, (size_t)size);
	pipe->tail += (size_t)size;
	return size;
}

static int pipe_receive(WOLFSSL *ssl, char *bytes, int size, void *context)
{
	(void)ssl;
	struct pipe *pipe = context;
	size_t left = pipe->tail - pipe->head;
	if (left == 0) return WOLFSSL_CBIO_ERR_WANT_READ;
	size_t take = left < (size_t)size ? left : (size_t)size;
	memcpy(bytes, pipe->bytes + pipe->head, take);
	pipe->head += take;
	return (int)take;
}

/* Called for each certificate of the chain; index 0 is the peer's own. */
static int on_verify(int preverified, WOLFSSL_X509_STORE_CTX *store)
{
	if (preverified != 1 || store->error_depth != 0 || store->totalCerts < 1)
		return preverified;
	struct DecodedCert cert;
	wc_InitDecodedCert(&cert, store->certs[0].buffer, store->certs[0].length, NULL);
	if (wc_ParseCert(&cert, CERT_TYPE, NO_VERIFY, NULL) == 0) {
		for (struct DNS_entry *name = cert.altNames; name != NULL; name = name->next) {
			if (name->type != ASN_URI_TYPE) continue;
			(void)snprintf(peer_uri, sizeof(peer_uri), "%.*s", name->len, name->name);
		}
	}
	wc_FreeDecodedCert(&cert);
	return preverified;
}

static void context_load(WOLFSSL_CTX *context, const char *chain_path, const char *key_path)
{
	static struct file chain, key;
	file_read(&chain, chain_path);
	file_read(&key, key_path);
	int result = wolfSSL_CTX_use_certificate_chain_buffer_format(context, chain.bytes,
		chain.size, WOLFSSL_FILETYPE_PEM);
	if (result != WOLFSSL_SUCCESS) stop("certificate", result);
	result = wolfSSL_CTX_use_PrivateKey_buffer(context, key.bytes, key.size,
		WOLFSSL_FILETYPE_PEM);
	if (result != WOLFSSL_SUCCESS) stop("key", result);
}

static WOLFSSL_CTX *context_open(WOLFSSL_METHOD *method, const char *ca_path)
{
	WOLFSSL_CTX *context = wolfSSL_CTX_new(method);
	if (context == NULL) stop("context", 0);
	wolfSSL_CTX_set_session_cache_mode(context, WOLFSSL_SESS_CACHE_OFF);
	wolfSSL_CTX_SetIOSend(context, pipe_send);
	wolfSSL_CTX_SetIORecv(context, pipe_receive);
	if (ca_path == NULL) return context;

	static struct file ca;
	file_read(&ca, ca_path);
	int result =
		wolfSSL_CTX_load_verify_buffer(context, ca.bytes, ca.size, WOLFSSL_FILETYPE_PEM);
	if (result != WOLFSSL_SUCCESS) stop("ca", result);
	wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT,
		on_verify);
	return context;
}

static WOLFSSL *end_open(WOLFSSL_CTX *context, struct pipe *in, struct pipe *out)
{
	WOLFSSL *ssl = wolfSSL_new(context);
	if (ssl == NULL) stop("connection", 0);
	wolfSSL_SetIOReadCtx(ssl, in);
	wolfSSL_SetIOWriteCtx(ssl, out);
	char protocols[] = "http/1.1";
	int result = wolfSSL_UseALPN(ssl, protocols, sizeof(protocols) - 1,
		WOLFSSL_ALPN_FAILED_ON_MISMATCH);
	if (result != WOLFSSL_SUCCESS) stop("alpn", result);
	return ssl;
}

static bool is_waiting(int error)
{
	return error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE;
}

static void run_handshake(WOLFSSL *client, WOLFSSL *server)
{
	bool client_done = false, server_done = false;
	for (int round = 0; round < ROUNDS_MAX && !(client_done && server_done); round++) {
		if (!client_done) {
			client_done = wolfSSL_connect(client) == WOLFSSL_SUCCESS;
			int error = client_done ? 0 : wolfSSL_get_error(client, 0);
			if (!client_done && !is_waiting(error)) stop("client", error);
		}
		if (!server_done) {
			server_done = wolfSSL_accept(server) == WOLFSSL_SUCCESS;
			int error = server_done ? 0 : wolfSSL_get_error(server, 0);
			if (!server_done && !is_waiting(error)) stop("server", error);
		}
	}
	if (!client_done || !server_done) stop("handshake does not end", 0);
}

static WOLFSSL_CTX *context_for_name;

static int on_server_name(WOLFSSL *ssl, int *alert, void *argument)
{
	(void)alert;
	(void)argument;
	return wolfSSL_set_SSL_CTX(ssl, context_for_name) == NULL ? fatal_return : 0;
}

static int handshake(int count, char **argument)
{
	bool is_12 = strcmp(argument[0], "1.2") == 0;
	const char *host = argument[1], *ca = argument[2];
	bool is_mutual = count >= 7;

	/* The server picks another context by name. That brings its certificate and its CAs, while
	 * whether a client certificate is asked for has been settled by the first one. */
	WOLFSSL_CTX *server_context =
		context_open(wolfSSLv23_server_method(), is_mutual ? ca : NULL);
	context_load(server_context, argument[3], argument[4]);
	context_for_name = context_open(wolfSSLv23_server_method(), is_mutual ? ca : NULL);
	context_load(context_for_name, argument[3], argument[4]);
	wolfSSL_CTX_set_servername_callback(server_context, on_server_name);

	WOLFSSL_CTX *client_context =
		context_open(is_12 ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method(), ca);
	if (is_mutual) context_load(client_context, argument[5], argument[6]);

	WOLFSSL *server = end_open(server_context, &to_server, &to_client);
	WOLFSSL *client = end_open(client_context, &to_client, &to_server);
	(void)wolfSSL_UseSNI(client, WOLFSSL_SNI_HOST_NAME, host, (unsigned short)strlen(host));
	if (wolfSSL_check_domain_name(client, host) != WOLFSSL_SUCCESS) stop("host", 0);
	run_handshake(client, server);

	char *protocol = NULL;
	unsigned short protocol_size = 0;
	(void)wolfSSL_ALPN_GetProtocol(client, &protocol, &protocol_size);
	printf("accepted: %s %s %.*s uri=%s\n", wolfSSL_get_version(client),
		wolfSSL_get_cipher(client), protocol_size, protocol == NULL ? "" : protocol,
		peer_uri);
	wolfSSL_free(client);
	wolfSSL_free(server);
	wolfSSL_CTX_free(client_context);
	wolfSSL_CTX_free(context_for_name);
	wolfSSL_CTX_free(server_context);
	return 0;
}

static int verify(char **argument)
{
	static struct file ca, leaf;
	file_read(&ca, argument[0]);
	file_read(&leaf, argument[1]);
	WOLFSSL_CERT_MANAGER *manager = wolfSSL_CertManagerNew();
	int result =
		wolfSSL_CertManagerLoadCABuffer(manager, ca.bytes, ca.size, WOLFSSL_FILETYPE_PEM);
	if (result != WOLFSSL_SUCCESS) stop("ca", result);
	result = wolfSSL_CertManagerVerifyBuffer(manager, leaf.bytes, leaf.size,
		WOLFSSL_FILETYPE_PEM);
	if (result != WOLFSSL_SUCCESS) stop("leaf", result);
	wolfSSL_CertManagerFree(manager);
	printf("accepted: certificate\n");
	return 0;
}

static int feed(char **argument)
{
	static struct file hello;
	file_read(&hello, "-");
	WOLFSSL_CTX *context = context_open(wolfSSLv23_server_method(), NULL);
	context_load(context, argument[0], argument[1]);
	WOLFSSL *server = end_open(context, &to_server, &to_client);
	memcpy(to_server.bytes, hello.bytes, (size_t)hello.size);
	to_server.tail = (size_t)hello.size;
	int error = wolfSSL_accept(server) == WOLFSSL_SUCCESS ? 0 : wolfSSL_get_error(server, 0);
	if (!is_waiting(error)) stop("client hello", error);
	printf("accepted: client hello\n");
	wolfSSL_free(server);
	wolfSSL_CTX_free(context);
	return 0;
}

static int x25519(char **argument)
{
	WC_RNG random;
	if (wc_InitRng(&random) != 0) stop("random", 0);
	for (long round = strtol(argument[0], NULL, 10); round > 0; round--) {
		curve25519_key a, b;
		byte from_a[CURVE25519_KEYSIZE], from_b[CURVE25519_KEYSIZE];
		word32 size_a = sizeof(from_a), size_b = sizeof(from_b);
		(void)wc_curve25519_init(&a);
		(void)wc_curve25519_init(&b);
		if (wc_curve25519_make_key(&random, CURVE25519_KEYSIZE, &a) != 0) stop("key", 1);
		if (wc_curve25519_make_key(&random, CURVE25519_KEYSIZE, &b) != 0) stop("key", 2);
		int result = wc_curve25519_shared_secret_ex(&a, &b, from_a, &size_a,
			EC25519_LITTLE_ENDIAN);
		if (result != 0) stop("secret", result);
		result = wc_curve25519_shared_secret_ex(&b, &a, from_b, &size_b,
			EC25519_LITTLE_ENDIAN);
		if (result != 0) stop("secret", result);
		if (memcmp(from_a, from_b, sizeof(from_a)) != 0) stop("secrets differ", 0);
		if (from_a[CURVE25519_KEYSIZE - 1] & 0x80) stop("not reduced", 0);
		wc_curve25519_free(&a);
		wc_curve25519_free(&b);
	}
	wc_FreeRng(&random);
	printf("accepted: x25519\n");
	return 0;
}

int main(int count, char **argument)
{
	if (wolfSSL_Init() != WOLFSSL_SUCCESS) stop("init", 0);
	const char *command = count > 1 ? argument[1] : "";
	if (strcmp(command, "verify") == 0 && count == 4) return verify(argument + 2);
	if (strcmp(command, "handshake") == 0 && (count == 7 || count == 9))
		return handshake(count - 2, argument + 2);
	if (strcmp(command, "feed") == 0 && count == 4) return feed(argument + 2);
	if (strcmp(command, "x25519") == 0 && count == 3) return x25519(argument + 2);
	(void)fprintf(stderr, "usage: see the top of tests/tools/wolfssl_peer.c\n");
	return 2;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_ticket — seals the sessions that clients keep for us: AES-256-GCM under keys that all
 * workers share, so that a client resumes wherever the kernel sends its next connection.
 *
 * The key name, the nonce and the policy of the identity (certificate, demands on clients) are
 * authenticated: a ticket from one identity is a foreign one to another, and leads to a full
 * handshake. Contexts that ask for client certificates get no callback at all (tls_context.c):
 * wolfSSL's tickets do not carry the client's certificate (CVE-2025-23419 class).
 */
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/aes.h>

#include "base/check.h"

enum {
	KEY_SIZE = 32,
	NONCE_SIZE = 12,
	TAG_SIZE = 16,
	/* Key name, nonce, policy. */
	AUTHENTICATED_SIZE = WOLFSSL_TICKET_NAME_SZ + NONCE_SIZE + SHA256_SIZE,
};
BOUND(NONCE_SIZE <= WOLFSSL_TICKET_IV_SZ);
BOUND(TAG_SIZE <= WOLFSSL_TICKET_MAC_SZ);

struct ticket_key {
	uint8_t name[WOLFSSL_TICKET_NAME_SZ];
	uint8_t key[KEY_SIZE];
	bool is_set;
};

/* Taken for copying a key in or out, next to which a handshake is long. */
static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ticket_key key_current;
static struct ticket_key key_previous;

static bool random_fill(uint8_t *to, size_t size)
{
	/* Up to 256 bytes come whole and are not interrupted: getrandom(2). */
	return getrandom(to, size, 0) == (ssize_t)size;
}

enum result tls_ticket_keys_rotate(void)
{
	struct ticket_key fresh = { .is_set = true };
	if (!random_fill(fresh.name, sizeof fresh.name)) return RESULT_KERNEL;
	if (!random_fill(fresh.key, sizeof fresh.key)) return RESULT_KERNEL;

	pthread_mutex_lock(&keys_lock);
	key_previous = key_current;
	key_current = fresh;
	pthread_mutex_unlock(&keys_lock);
	bytes_wipe(&fresh, sizeof fresh);
	return RESULT_OK;
}

static struct ticket_key key_for_sealing(void)
{
	pthread_mutex_lock(&keys_lock);
	struct ticket_key key = key_current;
	pthread_mutex_unlock(&keys_lock);
	return key;
}

static bool key_named(const uint8_t name[static WOLFSSL_TICKET_NAME_SZ], struct ticket_key *ret,
	bool *is_previous)
{
	bool found = true;

	*is_previous = false;
	pthread_mutex_lock(&keys_lock);
	if (key_current.is_set && memcmp(key_current.name, name, sizeof key_current.name) == 0) {
		*ret = key_current;
	} else if (key_previous.is_set &&
		memcmp(key_previous.name, name, sizeof key_previous.name) == 0) {
		*ret = key_previous;
		*is_previous = true;
	} else {
		found = false;
	}
	pthread_mutex_unlock(&keys_lock);
	return found;
}

static void authenticated_data(const struct tls_identity *identity, const uint8_t *name,
	const uint8_t *nonce, uint8_t to[static AUTHENTICATED_SIZE])
{
	memcpy(to, name, WOLFSSL_TICKET_NAME_SZ);
	memcpy(to + WOLFSSL_TICKET_NAME_SZ, nonce, NONCE_SIZE);
	memcpy(to + WOLFSSL_TICKET_NAME_SZ + NONCE_SIZE, identity->policy, SHA256_SIZE);
}

/* The identity that answers this ClientHello. TLS 1.3 has chosen it when tickets are looked at;
 * TLS 1.2 looks at the ticket while it walks over the extensions, with the name seen by then.
 * Should the name come later and mean another identity, tls_conn_choose_identity() refuses. */
static const struct tls_identity *identity_of(WOLFSSL *ssl)
{
	const struct tls_conn *conn = tls_conn_of(ssl);
	void *name = NULL;
	size_t name_size = wolfSSL_SNI_GetRequest(ssl, WOLFSSL_SNI_HOST_NAME, &name);
	return tls_context_identity(conn->context, bytes_of(name, name == NULL ? 0 : name_size));
}

static int ticket_seal(const struct tls_identity *identity, unsigned char *name, unsigned char *iv,
	unsigned char *mac, unsigned char *ticket, word32 size)
{
	uint8_t authenticated[AUTHENTICATED_SIZE];
	struct ticket_key key = key_for_sealing();
	int ret = WOLFSSL_TICKET_RET_FATAL;
	Aes aes;

	CHECK(key.is_set);
	memset(iv, 0, WOLFSSL_TICKET_IV_SZ);
	memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
	memcpy(name, key.name, WOLFSSL_TICKET_NAME_SZ);
	if (!random_fill(iv, NONCE_SIZE)) goto wipe_key;
	if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0) goto wipe_key;

	authenticated_data(identity, name, iv, authenticated);
	if (wc_AesGcmSetKey(&aes, key.key, KEY_SIZE) == 0 &&
		wc_AesGcmEncrypt(&aes, ticket, ticket, size, iv, NONCE_SIZE, mac, TAG_SIZE,
			authenticated, sizeof authenticated) == 0) {
		ret = WOLFSSL_TICKET_RET_OK;
	}
	wc_AesFree(&aes);
wipe_key:
	bytes_wipe(&key, sizeof key);
	return ret;
}

static int ticket_open(const struct tls_identity *identity, const unsigned char *name,
	const unsigned char *iv, const unsigned char *mac, unsigned char *ticket, word32 size,
	bool *is_previous)
{
	uint8_t authenticated[AUTHENTICATED_SIZE];
	int ret = WOLFSSL_TICKET_RET_REJECT;
	struct ticket_key key;
	Aes aes;

	if (!key_named(name, &key, is_previous)) return WOLFSSL_TICKET_RET_REJECT;
	if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0) goto wipe_key;

	authenticated_data(identity, name, iv, authenticated);
	if (wc_AesGcmSetKey(&aes, key.key, KEY_SIZE) == 0 &&
		wc_AesGcmDecrypt(&aes, ticket, ticket, size, iv, NONCE_SIZE, mac, TAG_SIZE,
			authenticated, sizeof authenticated) == 0) {
		ret = WOLFSSL_TICKET_RET_OK;
	}
	wc_AesFree(&aes);
wipe_key:
	bytes_wipe(&key, sizeof key);
	return ret;
}

int tls_ticket_crypt(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
	unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ],
	int encrypting, unsigned char *ticket, int size, int *ret_size, void *unused)
{
	(void)unused; /* the connection knows more */
	const struct tls_identity *identity = identity_of(ssl);

	CHECK(size > 0);
	*ret_size = size;
	if (encrypting) return ticket_seal(identity, name, iv, mac, ticket, (word32)size);

	bool is_previous = false;
	int ret = ticket_open(identity, name, iv, mac, ticket, (word32)size, &is_previous);
	if (ret != WOLFSSL_TICKET_RET_OK) return ret;
	tls_conn_of(ssl)->ticket_identity = identity;

	/* A TLS 1.3 server sends a fresh ticket with every handshake, and wolfSSL takes "create
	 * another" for a refusal there. */
	if (is_previous && wolfSSL_GetVersion(ssl) == WOLFSSL_TLSV1_2) {
		return WOLFSSL_TICKET_RET_CREATE;
	}
	return WOLFSSL_TICKET_RET_OK;
}

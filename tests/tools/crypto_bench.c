/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crypto_bench — how fast the wolfSSL we built is, for `make bench-crypto` and the docs.
 *
 * Each line: what, and how much of it one CPU does per second, over about half a second.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>

enum {
	RECORD_SIZE = 16 * 1024,
	BODY_SIZE = 1024,
	ROUNDS = 64,
};

static WC_RNG rng;
static Aes aes;
static ecc_key key;
static ed25519_key edwards_key;
static curve25519_key montgomery_a, montgomery_b;
static WOLFSSL_CTX *context;
static byte record[RECORD_SIZE], nonce[12], tag[16], digest[32], signature[128];
static word32 signature_size = sizeof(signature);

static void require(int result)
{
	if (result == 0) return;
	(void)fprintf(stderr, "crypto_bench: wolfSSL says %d\n", result);
	exit(1);
}

static void seal_record(void)
{
	require(wc_AesGcmEncrypt(&aes, record, record, RECORD_SIZE, nonce, sizeof(nonce), tag,
		sizeof(tag), nonce, 5));
}

static void hash_body(void)
{
	require(wc_Sha256Hash(record, BODY_SIZE, digest));
}

static void authenticate_body(void)
{
	Hmac hmac;
	require(wc_HmacInit(&hmac, NULL, INVALID_DEVID));
	require(wc_HmacSetKey(&hmac, WC_SHA256, nonce, sizeof(nonce)));
	require(wc_HmacUpdate(&hmac, record, BODY_SIZE));
	require(wc_HmacFinal(&hmac, digest));
	wc_HmacFree(&hmac);
}

static void sign_p256(void)
{
	signature_size = sizeof(signature);
	require(wc_ecc_sign_hash(digest, sizeof(digest), signature, &signature_size, &rng, &key));
}

static void verify_p256(void)
{
	int is_valid = 0;
	require(wc_ecc_verify_hash(signature, signature_size, digest, sizeof(digest), &is_valid,
		&key));
	require(is_valid ? 0 : -1);
}

static void sign_ed25519(void)
{
	byte out[ED25519_SIG_SIZE];
	word32 size = sizeof(out);
	require(wc_ed25519_sign_msg(digest, sizeof(digest), out, &size, &edwards_key));
}

static void agree_x25519(void)
{
	byte out[CURVE25519_KEYSIZE];
	word32 size = sizeof(out);
	require(wc_curve25519_shared_secret(&montgomery_a, &montgomery_b, out, &size));
}

static void open_generator(void)
{
	WC_RNG one;
	require(wc_InitRng(&one));
	require(wc_FreeRng(&one));
}

static void open_connection(void)
{
	WOLFSSL *ssl = wolfSSL_new(context);
	require(ssl == NULL ? -1 : 0);
	wolfSSL_free(ssl);
}

static double now_s(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double per_second(void (*run)(void))
{
	double started_s = now_s(), elapsed_s = 0;
	double count = 0;
	while (elapsed_s < 0.5) {
		for (int i = 0; i < ROUNDS; i++) run();
		count += ROUNDS;
		elapsed_s = now_s() - started_s;
	}
	return count / elapsed_s;
}

static void open_keys(void)
{
	require(wolfSSL_Init() == WOLFSSL_SUCCESS ? 0 : -1);
	require(wc_InitRng(&rng));
	require(wc_AesInit(&aes, NULL, INVALID_DEVID));
	require(wc_AesGcmSetKey(&aes, record, 16));
	require(wc_ecc_init(&key));
	require(wc_ecc_make_key(&rng, 32, &key));
	require(wc_ed25519_init(&edwards_key));
	require(wc_ed25519_make_key(&rng, ED25519_KEY_SIZE, &edwards_key));
	require(wc_curve25519_init(&montgomery_a));
	require(wc_curve25519_init(&montgomery_b));
	require(wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, &montgomery_a));
	require(wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, &montgomery_b));
	context = wolfSSL_CTX_new(wolfSSLv23_client_method());
	require(context == NULL ? -1 : 0);
}

int main(void)
{
	open_keys();
	printf("AES-128-GCM, 16 KiB records        %10.0f MB/s\n",
		per_second(seal_record) * RECORD_SIZE / 1e6);
	printf("SHA-256, 1 KiB                     %10.0f MB/s\n",
		per_second(hash_body) * BODY_SIZE / 1e6);
	printf("HMAC-SHA256, 1 KiB, key set anew   %10.0f MB/s\n",
		per_second(authenticate_body) * BODY_SIZE / 1e6);
	printf("ECDSA P-256 sign                   %10.0f /s\n", per_second(sign_p256));
	printf("ECDSA P-256 verify                 %10.0f /s\n", per_second(verify_p256));
	printf("Ed25519 sign                       %10.0f /s\n", per_second(sign_ed25519));
	printf("X25519 agree                       %10.0f /s\n", per_second(agree_x25519));
	printf("random generator, seeded           %10.0f /s\n", per_second(open_generator));
	printf("wolfSSL_new and wolfSSL_free       %10.0f /s, %zu bytes in the object itself\n",
		per_second(open_connection), (size_t)wolfSSL_GetObjectSize());
	return 0;
}

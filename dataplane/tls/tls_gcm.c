/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_gcm — hands wolfSSL's AES-GCM over to base/aes_gcm.h where the CPU has the instructions. */
#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/aes.h>

#include "base/aes_gcm.h"
#include "base/check.h"

#ifdef WC_AESGCM_PROVIDER

BOUND(WC_AESGCM_PROVIDER_SZ >= sizeof(struct aes_gcm_powers));

static void prepare(void *memory, const byte *hash_key)
{
	aes_gcm_powers_make(memory, hash_key);
}

static void encrypt(const void *memory, const byte *round_keys, word32 rounds, byte *out,
	const byte *in, word32 size, const byte *nonce, byte *tag, const byte *aad, word32 aad_size)
{
	const struct aes_gcm_key key = { memory, round_keys, rounds };
	aes_gcm_encrypt(&key, nonce, bytes_of(aad, aad_size), bytes_of(in, size), out, tag);
}

static void decrypt(const void *memory, const byte *round_keys, word32 rounds, byte *out,
	const byte *in, word32 size, const byte *nonce, byte *tag, const byte *aad, word32 aad_size)
{
	const struct aes_gcm_key key = { memory, round_keys, rounds };
	aes_gcm_decrypt(&key, nonce, bytes_of(aad, aad_size), bytes_of(in, size), out, tag);
}

static const wc_AesGcmProvider provider = {
	.prepare = prepare,
	.encrypt = encrypt,
	.decrypt = decrypt,
};

bool tls_gcm_open(void)
{
	bool usable = aes_gcm_usable();

	wc_AesGcmSetProvider(usable ? &provider : NULL);
	return usable;
}

#else

bool tls_gcm_open(void)
{
	return false;
}

#endif

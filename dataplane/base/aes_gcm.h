/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aes_gcm — AES-GCM (NIST SP 800-38D) by the CPU's instructions on vectors of 512 bits: VAES,
 * VPCLMULQDQ and AVX-512. Nonces of 12 bytes, tags of 16.
 *
 * It is the inside of AES-GCM only. Keys are expanded by wolfCrypt, who also compares tags and
 * does all of it where the CPU has no such instructions (tls/tls_gcm.c, decision 14).
 *
 * Pure, any thread. There is no table and no branch on data: the time depends on sizes only.
 */
#pragma once

#include "base/bytes.h"

enum {
	AES_GCM_NONCE_SIZE = 12,
	AES_GCM_TAG_SIZE = 16,
	AES_GCM_BLOCK_SIZE = 16,
	/* Powers of the hash key: those of 16 blocks that are taken together and of the lengths,
	 * and as much as a vector reaches beyond the last of them. */
	AES_GCM_POWERS_SIZE = 17 * AES_GCM_BLOCK_SIZE + 48,
};

/* Made of a key once, secret as the key. */
struct aes_gcm_powers {
	uint8_t bytes[AES_GCM_POWERS_SIZE];
};

/* The key's part: `rounds` + 1 round keys of 16 bytes (10 rounds with 128 bits, 14 with 256). */
struct aes_gcm_key {
	const struct aes_gcm_powers *powers;
	const uint8_t *round_keys;
	unsigned rounds;
};

/* Whether the CPU, and the system under us, have the instructions. Where not, it is an error to
 * call the others. */
bool aes_gcm_usable(void);

/* `hash_key`: the block of zeros, encrypted. */
void aes_gcm_powers_make(struct aes_gcm_powers *powers,
	const uint8_t hash_key[static AES_GCM_BLOCK_SIZE]);

/* From `in` to as many bytes at `out`, which may be the same place and not overlap otherwise. The
 * tag is written: whoever decrypts compares it with the one that came, and uses nothing of `out`
 * before. */
void aes_gcm_encrypt(const struct aes_gcm_key *key, const uint8_t nonce[static AES_GCM_NONCE_SIZE],
	struct bytes aad, struct bytes in, uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE]);
void aes_gcm_decrypt(const struct aes_gcm_key *key, const uint8_t nonce[static AES_GCM_NONCE_SIZE],
	struct bytes aad, struct bytes in, uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE]);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mac — HMAC as two saved hash states.
 *
 * H((K ^ opad) || H((K ^ ipad) || message)): both pads are exactly one block, so what a key
 * costs per message is copying the state after each pad. The states are as good as the key:
 * whoever has them can forge. They live in secret memory and are wiped from the stack.
 *
 * A state is copied by assignment. wc_Sha256Copy() and its sisters do the same (they are one
 * memcpy, see wolfcrypt/src/sha256.c) except in builds where the state points to something;
 * those are refused below. wolfCrypt picks SHA-NI or AVX2 at run time for SHA-256 and AVX2 for
 * SHA-512; it has no accelerated SHA-1.
 */
#include <wolfssl/options.h>

#include "secrets/mac.h"

#include <wolfssl/wolfcrypt/sha.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include "base/check.h"
#include "base/sha256_pair.h"
#include "secrets/secrets_internal.h"

#if defined(WOLFSSL_SMALL_STACK_CACHE) || defined(WOLFSSL_ASYNC_CRYPT) || \
	defined(WOLFSSL_HASH_KEEP) || defined(WOLFSSL_DEVCRYPTO_HASH) || defined(WOLF_CRYPTO_CB)
#error "this wolfSSL keeps pointers in its hash states: mac.c must not copy them by assignment"
#endif

union mac_state {
	wc_Sha sha1;
	wc_Sha256 sha256;
	wc_Sha512 sha512;
};

struct mac_key {
	union mac_state inner; /* after K ^ ipad */
	union mac_state outer; /* after K ^ opad */
	enum mac_digest digest;
};
BOUND(sizeof(struct mac_key) <= SECRET_MEMORY_SIZE_MAX);

enum { BLOCK_SIZE_MAX = WC_SHA512_BLOCK_SIZE };
BOUND((int)MAC_SIZE_MAX == (int)WC_SHA512_DIGEST_SIZE);

static size_t digest_size(enum mac_digest digest)
{
	switch (digest) {
	case MAC_SHA1: return WC_SHA_DIGEST_SIZE;
	case MAC_SHA256: return WC_SHA256_DIGEST_SIZE;
	case MAC_SHA512: return WC_SHA512_DIGEST_SIZE;
	}
	UNREACHABLE();
}

static size_t block_size(enum mac_digest digest)
{
	switch (digest) {
	case MAC_SHA1: return WC_SHA_BLOCK_SIZE;
	case MAC_SHA256: return WC_SHA256_BLOCK_SIZE;
	case MAC_SHA512: return WC_SHA512_BLOCK_SIZE;
	}
	UNREACHABLE();
}

static void state_init(enum mac_digest digest, union mac_state *state)
{
	switch (digest) {
	case MAC_SHA1: CHECK(wc_InitSha(&state->sha1) == 0); return;
	case MAC_SHA256: CHECK(wc_InitSha256(&state->sha256) == 0); return;
	case MAC_SHA512: CHECK(wc_InitSha512(&state->sha512) == 0); return;
	}
	UNREACHABLE();
}

static void state_update(enum mac_digest digest, union mac_state *state, struct bytes bytes)
{
	CHECK(bytes.size <= UINT32_MAX);

	word32 size = (word32)bytes.size;
	switch (digest) {
	case MAC_SHA1: CHECK(wc_ShaUpdate(&state->sha1, bytes.data, size) == 0); return;
	case MAC_SHA256: CHECK(wc_Sha256Update(&state->sha256, bytes.data, size) == 0); return;
	case MAC_SHA512: CHECK(wc_Sha512Update(&state->sha512, bytes.data, size) == 0); return;
	}
	UNREACHABLE();
}

static void state_final(enum mac_digest digest, union mac_state *state, uint8_t *to)
{
	switch (digest) {
	case MAC_SHA1: CHECK(wc_ShaFinal(&state->sha1, to) == 0); return;
	case MAC_SHA256: CHECK(wc_Sha256Final(&state->sha256, to) == 0); return;
	case MAC_SHA512: CHECK(wc_Sha512Final(&state->sha512, to) == 0); return;
	}
	UNREACHABLE();
}

static void pad_state(enum mac_digest digest, const uint8_t *block, uint8_t pad,
	union mac_state *state)
{
	uint8_t padded[BLOCK_SIZE_MAX];
	size_t size = block_size(digest);

	for (size_t i = 0; i < size; i++) padded[i] = block[i] ^ pad;
	state_init(digest, state);
	state_update(digest, state, bytes_of(padded, size));
	bytes_wipe(padded, sizeof padded);
}

enum result mac_key_create(enum mac_digest digest, struct bytes key, struct mac_key **ret)
{
	if (key.size == 0) return RESULT_MALFORMED;
	if (key.size > UINT32_MAX) return RESULT_FULL;

	/* RFC 2104 §2: a key longer than a block is hashed first, a shorter one filled with
	 * zeros. */
	uint8_t block[BLOCK_SIZE_MAX] = { 0 };
	if (key.size > block_size(digest)) {
		union mac_state state;
		state_init(digest, &state);
		state_update(digest, &state, key);
		state_final(digest, &state, block);
		bytes_wipe(&state, sizeof state);
	} else {
		memcpy(block, key.data, key.size);
	}

	struct mac_key *mac_key = secret_memory_take(sizeof *mac_key);
	mac_key->digest = digest;
	pad_state(digest, block, 0x36, &mac_key->inner);
	pad_state(digest, block, 0x5c, &mac_key->outer);
	bytes_wipe(block, sizeof block);
	*ret = mac_key;
	return RESULT_OK;
}

void mac_key_free(struct mac_key *key)
{
	if (key == NULL) return;
	secret_memory_give(key, sizeof *key);
}

size_t mac_size(const struct mac_key *key)
{
	return digest_size(key->digest);
}

/* From the inner state to the MAC. */
static size_t finish(const struct mac_key *key, union mac_state *state,
	uint8_t mac[static MAC_SIZE_MAX])
{
	enum mac_digest digest = key->digest;
	size_t size = digest_size(digest);
	uint8_t inner_mac[MAC_SIZE_MAX];

	state_final(digest, state, inner_mac);
	*state = key->outer;
	state_update(digest, state, bytes_of(inner_mac, size));
	state_final(digest, state, mac);
	bytes_wipe(state, sizeof *state);
	return size;
}

size_t mac_compute(const struct mac_key *key, const struct bytes *parts, size_t part_count,
	uint8_t mac[static MAC_SIZE_MAX])
{
	union mac_state state = key->inner;

	for (size_t i = 0; i < part_count; i++) state_update(key->digest, &state, parts[i]);
	return finish(key, &state, mac);
}

/* What wc_Sha256Update() does with whole blocks when none is begun. */
static void count_blocks(wc_Sha256 *state, size_t size)
{
	CHECK(state->buffLen == 0);
	word32 before = state->loLen;
	state->loLen += (word32)size;
	state->hiLen += state->loLen < before;
}

size_t mac_compute_and_hash(const struct mac_key *key, struct bytes message,
	uint8_t mac[static MAC_SIZE_MAX], uint8_t sha256[static SHA256_SIZE])
{
	union mac_state state = key->inner;
	union mac_state plain;
	size_t size = message.size / SHA256_BLOCK_SIZE * SHA256_BLOCK_SIZE;

	CHECK(message.size <= UINT32_MAX);
	state_init(MAC_SHA256, &plain);
	if (key->digest == MAC_SHA256 &&
		sha256_pair(state.sha256.digest, plain.sha256.digest, message.data,
			size / SHA256_BLOCK_SIZE)) {
		count_blocks(&state.sha256, size);
		count_blocks(&plain.sha256, size);
		message = bytes_from(message, size);
		state_update(MAC_SHA256, &state, message);
	} else {
		state_update(key->digest, &state, message);
	}
	state_update(MAC_SHA256, &plain, message);
	state_final(MAC_SHA256, &plain, sha256);
	return finish(key, &state, mac);
}

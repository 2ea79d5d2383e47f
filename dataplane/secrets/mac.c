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
#include "base/sha256_blocks.h"
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

static struct sha256_state words_of(const union mac_state *state)
{
	struct sha256_state words;

	/* Between two blocks the eight words are all there is. */
	CHECK(state->sha256.buffLen == 0);
	memcpy(words.word, state->sha256.digest, sizeof words.word);
	return words;
}

static size_t compute_and_hash_by_blocks(const struct mac_key *key, struct bytes message,
	uint8_t mac[static MAC_SIZE_MAX], uint8_t sha256[static SHA256_SIZE])
{
	struct sha256_state inner = words_of(&key->inner);
	struct sha256_state outer = words_of(&key->outer);
	struct sha256_state plain = sha256_initial;
	uint8_t ends[2][2 * SHA256_BLOCK_SIZE];
	size_t whole = message.size / SHA256_BLOCK_SIZE;
	struct bytes rest = bytes_from(message, whole * SHA256_BLOCK_SIZE);

	sha256_pair(&inner, &plain, message.data, whole);
	if (rest.size > 0) {
		memcpy(ends[0], rest.data, rest.size);
		memcpy(ends[1], rest.data, rest.size);
	}
	/* They differ in the size that they end with: a block of pad stands before the MAC's. */
	size_t count = sha256_pad(ends[0], rest.size, SHA256_BLOCK_SIZE + message.size);
	CHECK(sha256_pad(ends[1], rest.size, message.size) == count);
	sha256_two(&inner, ends[0], &plain, ends[1], count);
	sha256_state_write(&plain, sha256);

	sha256_state_write(&inner, ends[0]);
	count = sha256_pad(ends[0], SHA256_SIZE, SHA256_BLOCK_SIZE + SHA256_SIZE);
	sha256_one(&outer, ends[0], count);
	sha256_state_write(&outer, mac);
	bytes_wipe(&inner, sizeof inner);
	bytes_wipe(&outer, sizeof outer);
	bytes_wipe(ends, sizeof ends);
	return SHA256_SIZE;
}

size_t mac_compute_and_hash(const struct mac_key *key, struct bytes message,
	uint8_t mac[static MAC_SIZE_MAX], uint8_t sha256[static SHA256_SIZE])
{
	if (key->digest == MAC_SHA256 && sha256_blocks_usable()) {
		return compute_and_hash_by_blocks(key, message, mac, sha256);
	}
	hash_sha256(message, sha256);
	return mac_compute(key, &message, 1, mac);
}

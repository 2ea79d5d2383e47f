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
#include "base/sha256_lanes.h"
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
BOUND((int)MAC_WORK_MAX == (int)SHA256_LANES);

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

/* ---- Several at once ------------------------------------------------------------------------- */

/* What is fed block by block, from the inner state to the MAC. The blocks of `before` are made up
 * with the beginning of the body; from there on the body is read where it is. */
struct feeding {
	/* Secret, as far as `plain`. */
	struct sha256_state inner, outer;
	uint8_t inner_end[2 * SHA256_BLOCK_SIZE];
	struct sha256_state plain;
	struct bytes middle;     /* of the body; what is left of it when it is fed */
	struct bytes plain_rest; /* the body's last bytes, that fill no block */
	uint8_t head[MAC_BEFORE_SIZE_MAX];
	size_t head_blocks;
	struct bytes head_rest; /* a body that ends before the block does */
	uint8_t plain_end[2 * SHA256_BLOCK_SIZE];
};
BOUND(MAC_BEFORE_SIZE_MAX % SHA256_BLOCK_SIZE == 0);

static void feeding_begin(const struct mac_work *work, struct feeding *feeding)
{
	size_t before_size = work->before.size;

	CHECK(before_size <= MAC_BEFORE_SIZE_MAX);
	feeding->inner = words_of(&work->key->inner);
	feeding->outer = words_of(&work->key->outer);
	feeding->plain = sha256_initial;
	feeding->head_blocks = 0;
	feeding->head_rest = BYTES_EMPTY;
	feeding->middle = work->body;
	if (before_size == 0) return;

	size_t room = (SHA256_BLOCK_SIZE - before_size % SHA256_BLOCK_SIZE) % SHA256_BLOCK_SIZE;
	size_t taken = work->body.size < room ? work->body.size : room;
	memcpy(feeding->head, work->before.data, before_size);
	if (taken > 0) memcpy(feeding->head + before_size, work->body.data, taken);
	feeding->middle = bytes_from(work->body, taken);
	feeding->head_blocks = (before_size + taken) / SHA256_BLOCK_SIZE;
	size_t fed = feeding->head_blocks * SHA256_BLOCK_SIZE;
	feeding->head_rest = bytes_of(feeding->head + fed, before_size + taken - fed);
}

static void feed_heads(struct feeding *feeding, size_t count)
{
	struct sha256_work work[MAC_WORK_MAX];
	size_t work_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (feeding[i].head_blocks == 0) continue;
		work[work_count++] = (struct sha256_work){
			.state = &feeding[i].inner,
			.blocks = feeding[i].head,
			.count = feeding[i].head_blocks,
		};
	}
	if (work_count > 0) sha256_each(work, work_count);
}

/* With nothing before it, both states are fed the body's blocks. */
static void feed_bodies(struct feeding *feeding, const struct mac_work *messages, size_t count)
{
	struct sha256_work pairs[MAC_WORK_MAX];
	struct sha256_work singles[2 * MAC_WORK_MAX];
	size_t pair_count = 0;
	size_t single_count = 0;

	for (size_t i = 0; i < count; i++) {
		struct bytes body = messages[i].body;
		struct bytes middle = feeding[i].middle;
		struct sha256_work plain = {
			.state = &feeding[i].plain,
			.blocks = body.data,
			.count = body.size / SHA256_BLOCK_SIZE,
		};
		struct sha256_work inner = {
			.state = &feeding[i].inner,
			.blocks = middle.data,
			.count = middle.size / SHA256_BLOCK_SIZE,
		};
		feeding[i].plain_rest = bytes_from(body, plain.count * SHA256_BLOCK_SIZE);
		feeding[i].middle = bytes_from(middle, inner.count * SHA256_BLOCK_SIZE);
		if (messages[i].before.size == 0) {
			inner.second = plain.state;
			pairs[pair_count++] = inner;
		} else {
			singles[single_count++] = inner;
			singles[single_count++] = plain;
		}
	}
	if (pair_count > 0) sha256_each(pairs, pair_count);
	if (single_count > 0) sha256_each(singles, single_count);
}

/* What does not fill a block, of a message of that size in all, and what ends it. */
static struct sha256_work work_of_end(struct sha256_state *state, struct bytes rest, uint64_t size,
	uint8_t end[static 2 * SHA256_BLOCK_SIZE])
{
	if (rest.size > 0) memcpy(end, rest.data, rest.size);
	return (struct sha256_work){
		.state = state,
		.blocks = end,
		.count = sha256_pad(end, rest.size, size),
	};
}

static void feed_ends(struct feeding *feeding, const struct mac_work *messages, size_t count)
{
	struct sha256_work work[2 * MAC_WORK_MAX];

	CHECK(count > 0 && count <= MAC_WORK_MAX);
	for (size_t i = 0; i < count; i++) {
		uint64_t size = messages[i].body.size;
		bool in_head = feeding[i].head_rest.size > 0;
		/* A block of pad stands before what the MAC is of. */
		work[i] = work_of_end(&feeding[i].inner,
			in_head ? feeding[i].head_rest : feeding[i].middle,
			SHA256_BLOCK_SIZE + messages[i].before.size + size, feeding[i].inner_end);
		work[count + i] = work_of_end(&feeding[i].plain, feeding[i].plain_rest, size,
			feeding[i].plain_end);
	}
	sha256_each(work, 2 * count);
}

static void feed_outer(struct feeding *feeding, size_t count)
{
	struct sha256_work work[MAC_WORK_MAX];

	CHECK(count > 0 && count <= MAC_WORK_MAX);
	for (size_t i = 0; i < count; i++) {
		uint8_t inner[SHA256_SIZE];
		sha256_state_write(&feeding[i].inner, inner);
		work[i] = work_of_end(&feeding[i].outer, bytes_of(inner, sizeof inner),
			SHA256_BLOCK_SIZE + sizeof inner, feeding[i].inner_end);
		bytes_wipe(inner, sizeof inner);
	}
	sha256_each(work, count);
}

static void compute_by_blocks(struct mac_work *work, size_t count)
{
	struct feeding feeding[MAC_WORK_MAX];

	for (size_t i = 0; i < count; i++) feeding_begin(&work[i], &feeding[i]);
	feed_heads(feeding, count);
	feed_bodies(feeding, work, count);
	feed_ends(feeding, work, count);
	feed_outer(feeding, count);
	for (size_t i = 0; i < count; i++) {
		sha256_state_write(&feeding[i].outer, work[i].mac);
		sha256_state_write(&feeding[i].plain, work[i].body_sha256);
		bytes_wipe(&feeding[i], offsetof(struct feeding, plain));
	}
	/* One alone goes through no lanes. */
	if (count > 1) sha256_each_wipe();
}

static bool all_by_blocks(const struct mac_work *work, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (work[i].key->digest != MAC_SHA256) return false;
	}
	return sha256_blocks_usable();
}

void mac_compute_each(struct mac_work *work, size_t count)
{
	CHECK(count <= MAC_WORK_MAX);
	if (count == 0) return;
	if (all_by_blocks(work, count)) {
		compute_by_blocks(work, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct bytes parts[] = { work[i].before, work[i].body };
		mac_compute(work[i].key, parts, ARRAY_COUNT(parts), work[i].mac);
		hash_sha256(work[i].body, work[i].body_sha256);
	}
}

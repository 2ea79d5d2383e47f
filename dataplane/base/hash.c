/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "base/hash_avx2.h"
#include "base/sha256_blocks.h"

void hash_sha256(struct bytes bytes, uint8_t digest[static SHA256_SIZE])
{
	hash_sha256_parts(&bytes, 1, digest);
}

/* What is gathered before it is hashed: all leaves but those with long texts, all nodes. */
enum { SHORT_BLOCKS = 8, SHORT_SIZE_MAX = SHORT_BLOCKS * SHA256_BLOCK_SIZE };
/* With room for what ends a message: less than a block of it is in the last one. */
enum { SHORT_TEXT_SIZE = SHORT_SIZE_MAX + SHA256_BLOCK_SIZE };
BOUND((int)SHA256_SIZE == (int)SHA256_STATE_SIZE);

static size_t parts_size(const struct bytes *parts, size_t part_count)
{
	size_t size = 0;
	for (size_t i = 0; i < part_count; i++) size += parts[i].size;
	return size;
}

static void parts_by_blocks(const struct bytes *parts, size_t part_count,
	uint8_t digest[static SHA256_SIZE])
{
	uint8_t text[SHORT_TEXT_SIZE];
	struct sha256_state state = sha256_initial;
	size_t size = 0;

	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].size > 0) memcpy(text + size, parts[i].data, parts[i].size);
		size += parts[i].size;
	}
	size_t whole = size / SHA256_BLOCK_SIZE;
	size_t rest_size = size % SHA256_BLOCK_SIZE;
	size_t ends = sha256_pad(text + whole * SHA256_BLOCK_SIZE, rest_size, size);
	sha256_one(&state, text, whole + ends);
	sha256_state_write(&state, digest);
	/* It may hold a key: a target's files are told apart by their hash. */
	bytes_wipe(text, size);
}

static void parts_by_library(const struct bytes *parts, size_t part_count,
	uint8_t digest[static SHA256_SIZE])
{
	wc_Sha256 sha;

	CHECK(wc_InitSha256(&sha) == 0);
	for (size_t i = 0; i < part_count; i++) {
		CHECK(parts[i].size <= UINT32_MAX);
		CHECK(wc_Sha256Update(&sha, parts[i].data, (word32)parts[i].size) == 0);
	}
	CHECK(wc_Sha256Final(&sha, digest) == 0);
	wc_Sha256Free(&sha);
}

void hash_sha256_parts(const struct bytes *parts, size_t part_count,
	uint8_t digest[static SHA256_SIZE])
{
	if (parts_size(parts, part_count) < SHORT_SIZE_MAX && sha256_blocks_usable()) {
		parts_by_blocks(parts, part_count, digest);
	} else {
		parts_by_library(parts, part_count, digest);
	}
}

/* A short message with its end; returns its blocks. */
static size_t short_blocks(struct bytes message, uint8_t text[static SHORT_TEXT_SIZE])
{
	size_t rest_size = message.size % SHA256_BLOCK_SIZE;
	size_t whole = message.size / SHA256_BLOCK_SIZE;

	if (message.size > 0) memcpy(text, message.data, message.size);
	return whole + sha256_pad(text + whole * SHA256_BLOCK_SIZE, rest_size, message.size);
}

void hash_sha256_two(struct bytes first, uint8_t first_digest[static SHA256_SIZE],
	struct bytes second, uint8_t second_digest[static SHA256_SIZE])
{
	uint8_t first_text[SHORT_TEXT_SIZE];
	uint8_t second_text[SHORT_TEXT_SIZE];
	struct sha256_state first_state = sha256_initial;
	struct sha256_state second_state = sha256_initial;

	if (first.size >= SHORT_SIZE_MAX || second.size >= SHORT_SIZE_MAX ||
		!sha256_blocks_usable()) {
		hash_sha256(first, first_digest);
		hash_sha256(second, second_digest);
		return;
	}
	size_t first_count = short_blocks(first, first_text);
	size_t second_count = short_blocks(second, second_text);
	size_t both = first_count < second_count ? first_count : second_count;
	size_t both_size = both * SHA256_BLOCK_SIZE;
	sha256_two(&first_state, first_text, &second_state, second_text, both);
	sha256_one(&first_state, first_text + both_size, first_count - both);
	sha256_one(&second_state, second_text + both_size, second_count - both);
	sha256_state_write(&first_state, first_digest);
	sha256_state_write(&second_state, second_digest);
}

bool hash_sha256_pieces(bool (*next)(void *owner, struct bytes *ret_piece), void *owner,
	uint8_t digest[static SHA256_SIZE])
{
	wc_Sha256 sha;
	struct bytes piece;

	CHECK(wc_InitSha256(&sha) == 0);
	bool good = next(owner, &piece);
	while (good && piece.size > 0) {
		CHECK(piece.size <= UINT32_MAX);
		CHECK(wc_Sha256Update(&sha, piece.data, (word32)piece.size) == 0);
		good = next(owner, &piece);
	}
	if (good) CHECK(wc_Sha256Final(&sha, digest) == 0);
	wc_Sha256Free(&sha);
	return good;
}

uint64_t hash_xxh3(struct bytes bytes, uint64_t seed)
{
	if (bytes.size >= HASH_AVX2_SIZE_MIN && hash_avx2_usable()) {
		return hash_avx2_xxh3(bytes, seed);
	}
	return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

struct hash128 hash_xxh128(struct bytes bytes, uint64_t seed)
{
	if (bytes.size >= HASH_AVX2_SIZE_MIN && hash_avx2_usable()) {
		return hash_avx2_xxh128(bytes, seed);
	}
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "base/hash_avx2.h"
#include "base/sha256_blocks.h"
#include "base/sha256_lanes.h"

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

BOUND((int)HASH_MESSAGES_MAX == (int)SHA256_LANES);
/* One bit, seven of nothing, a size; and what is left of a block that has no room for them. */
BOUND(HASH_ROOM == 1 + 8 + SHA256_BLOCK_SIZE - 1);

void hash_sha256_each(const struct hash_message *messages, size_t count)
{
	struct sha256_state states[HASH_MESSAGES_MAX];
	struct sha256_work work[HASH_MESSAGES_MAX];

	CHECK(count <= HASH_MESSAGES_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct hash_message *message = &messages[i];
		if (!sha256_blocks_usable()) {
			hash_sha256(bytes_of(message->text, message->size), message->digest);
			continue;
		}
		size_t whole = message->size / SHA256_BLOCK_SIZE;
		size_t rest_size = message->size % SHA256_BLOCK_SIZE;
		uint8_t *rest = message->text + whole * SHA256_BLOCK_SIZE;
		states[i] = sha256_initial;
		work[i] = (struct sha256_work){
			.state = &states[i],
			.blocks = message->text,
			.count = whole + sha256_pad(rest, rest_size, message->size),
		};
	}
	if (!sha256_blocks_usable()) return;
	sha256_each(work, count);
	for (size_t i = 0; i < count; i++) sha256_state_write(&states[i], messages[i].digest);
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

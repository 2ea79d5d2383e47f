/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"

void hash_sha256(struct bytes bytes, uint8_t digest[static SHA256_SIZE])
{
	hash_sha256_parts(&bytes, 1, digest);
}

void hash_sha256_parts(const struct bytes *parts, size_t part_count,
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

uint64_t hash_xxh3(struct bytes bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

struct hash128 hash_xxh128(struct bytes bytes, uint64_t seed)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}

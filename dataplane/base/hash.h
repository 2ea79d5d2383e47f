/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash — SHA-256 behind our own name, and the fast non-cryptographic hashes.
 *
 * SHA-256 runs on the CPU's SHA instructions where there are any: what is short by
 * sha256_blocks.h, the rest by wolfCrypt. XXH3 guards records against rot and spreads keys; it
 * proves nothing to anybody. It takes AVX2 where there is any (hash_avx2.h).
 * Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { SHA256_SIZE = 32 };

void hash_sha256(struct bytes bytes, uint8_t digest[static SHA256_SIZE]);
/* Over the concatenation; saves a copy where a prefix is to be hashed with a body. */
void hash_sha256_parts(const struct bytes *parts, size_t part_count,
	uint8_t digest[static SHA256_SIZE]);

/* Several messages side by side, sixteen in the time of ten (sha256_lanes.h). For what is no
 * secret: states are not wiped. */
enum { HASH_ROOM = 72 };
struct hash_message {
	uint8_t *text; /* up to HASH_ROOM bytes behind its `size` are overwritten */
	size_t size;
	uint8_t *digest; /* SHA256_SIZE bytes, not within a text */
};
enum { HASH_MESSAGES_MAX = 16 };
void hash_sha256_each(const struct hash_message *messages, size_t count);

/* Over what `next` gives until a piece is empty; each may be overwritten by the next. False: `next`
 * said so, and there is no digest. */
bool hash_sha256_pieces(bool (*next)(void *owner, struct bytes *ret_piece), void *owner,
	uint8_t digest[static SHA256_SIZE]);

uint64_t hash_xxh3(struct bytes bytes, uint64_t seed);

struct hash128 {
	uint64_t low;
	uint64_t high;
};
struct hash128 hash_xxh128(struct bytes bytes, uint64_t seed);

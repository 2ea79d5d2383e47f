/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hash_avx2.h"

#include "base/check.h"

/* What this makes of functions, clang has no short form of. It builds the fuzz targets only. */
#if defined(__x86_64__) && !defined(__clang__)

#include <immintrin.h>
#include <stdlib.h>

#pragma GCC push_options
#pragma GCC target("avx2")
#define XXH_VECTOR 2 /* XXH_AVX2 */
#define XXH_INLINE_ALL
#include <xxhash.h>

BOUND(XXH_VECTOR == XXH_AVX2);
BOUND((int)HASH_AVX2_SIZE_MIN == (int)XXH3_MIDSIZE_MAX + 1);

/* The compiler does not put it in for functions whose target is named by a pragma; and with the
 * upper halves in use, each SSE instruction that follows waits for them (hashes: +10 to 40 %). */
static void leave_upper_halves(void)
{
	_mm256_zeroupper();
}

uint64_t hash_avx2_xxh3(struct bytes bytes, uint64_t seed)
{
	uint64_t hash = XXH3_64bits_withSeed(bytes.data, bytes.size, seed);

	leave_upper_halves();
	return hash;
}

struct hash128 hash_avx2_xxh128(struct bytes bytes, uint64_t seed)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);

	leave_upper_halves();
	return (struct hash128){ .low = hash.low64, .high = hash.high64 };
}
#pragma GCC pop_options

bool hash_avx2_usable(void)
{
	/* A look into a table that libgcc fills before main(). */
	return __builtin_cpu_supports("avx2") != 0;
}

#else

bool hash_avx2_usable(void)
{
	return false;
}

uint64_t hash_avx2_xxh3(struct bytes bytes, uint64_t seed)
{
	MAYBE(bytes.size > seed);
	UNREACHABLE();
}

struct hash128 hash_avx2_xxh128(struct bytes bytes, uint64_t seed)
{
	MAYBE(bytes.size > seed);
	UNREACHABLE();
}

#endif

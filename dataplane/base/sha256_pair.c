/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_pair — by Intel's SHA extensions, as in their "New Instructions Supporting the Secure Hash
 * Algorithm" (2013): a state is held as ABEF and CDGH, an instruction does two rounds.
 */
#include "base/sha256_pair.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1")))
#define SHA_INLINE static inline __attribute__((always_inline, target("sha,sse4.1")))

/* FIPS 180-4, 4.2.2. */
static const _Alignas(16) uint32_t constants[64] = {
	0x428a2f98,
	0x71374491,
	0xb5c0fbcf,
	0xe9b5dba5,
	0x3956c25b,
	0x59f111f1,
	0x923f82a4,
	0xab1c5ed5,
	0xd807aa98,
	0x12835b01,
	0x243185be,
	0x550c7dc3,
	0x72be5d74,
	0x80deb1fe,
	0x9bdc06a7,
	0xc19bf174,
	0xe49b69c1,
	0xefbe4786,
	0x0fc19dc6,
	0x240ca1cc,
	0x2de92c6f,
	0x4a7484aa,
	0x5cb0a9dc,
	0x76f988da,
	0x983e5152,
	0xa831c66d,
	0xb00327c8,
	0xbf597fc7,
	0xc6e00bf3,
	0xd5a79147,
	0x06ca6351,
	0x14292967,
	0x27b70a85,
	0x2e1b2138,
	0x4d2c6dfc,
	0x53380d13,
	0x650a7354,
	0x766a0abb,
	0x81c2c92e,
	0x92722c85,
	0xa2bfe8a1,
	0xa81a664b,
	0xc24b8b70,
	0xc76c51a3,
	0xd192e819,
	0xd6990624,
	0xf40e3585,
	0x106aa070,
	0x19a4c116,
	0x1e376c08,
	0x2748774c,
	0x34b0bcb5,
	0x391c0cb3,
	0x4ed8aa4a,
	0x5b9cca4f,
	0x682e6ff3,
	0x748f82ee,
	0x78a5636f,
	0x84c87814,
	0x8cc70208,
	0x90befffa,
	0xa4506ceb,
	0xbef9a3f7,
	0xc67178f2,
};

struct halves {
	__m128i abef;
	__m128i cdgh;
};

SHA_INLINE struct halves load_state(const uint32_t *state)
{
	__m128i badc =
		_mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xB1);
	__m128i hgfe =
		_mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)),
			0x1B);
	return (struct halves){
		.abef = _mm_alignr_epi8(badc, hgfe, 8),
		.cdgh = _mm_blend_epi16(hgfe, badc, 0xF0),
	};
}

SHA_INLINE void save_state(struct halves halves, uint32_t *state)
{
	__m128i feba = _mm_shuffle_epi32(halves.abef, 0x1B);
	__m128i dchg = _mm_shuffle_epi32(halves.cdgh, 0xB1);
	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four words, most significant byte first. */
SHA_INLINE __m128i load_words(const uint8_t *bytes)
{
	const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i words = _mm_loadu_si128((const __m128i *)(const void *)bytes);
	return _mm_shuffle_epi8(words, order);
}

/* Four rounds of both, with words 4i to 4i+3 of the schedule. */
SHA_INLINE void four_rounds(struct halves *a, struct halves *b, __m128i words, size_t i)
{
	__m128i low = _mm_add_epi32(words,
		_mm_load_si128((const __m128i *)(const void *)(constants + 4 * i)));
	__m128i high = _mm_shuffle_epi32(low, 0x0E);
	a->cdgh = _mm_sha256rnds2_epu32(a->cdgh, a->abef, low);
	b->cdgh = _mm_sha256rnds2_epu32(b->cdgh, b->abef, low);
	a->abef = _mm_sha256rnds2_epu32(a->abef, a->cdgh, high);
	b->abef = _mm_sha256rnds2_epu32(b->abef, b->cdgh, high);
}

/* The four words that follow the last sixteen. */
SHA_INLINE __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
	return _mm_sha256msg2_epu32(sum, w3);
}

SHA_INLINE void one_block(struct halves *a, struct halves *b, const uint8_t *block)
{
	const struct halves a_before = *a;
	const struct halves b_before = *b;
	__m128i w0 = load_words(block);
	__m128i w1 = load_words(block + 16);
	__m128i w2 = load_words(block + 32);
	__m128i w3 = load_words(block + 48);

	four_rounds(a, b, w0, 0);
	four_rounds(a, b, w1, 1);
	four_rounds(a, b, w2, 2);
	four_rounds(a, b, w3, 3);
	for (size_t i = 4; i < 16; i += 4) {
		w0 = next_words(w0, w1, w2, w3);
		four_rounds(a, b, w0, i);
		w1 = next_words(w1, w2, w3, w0);
		four_rounds(a, b, w1, i + 1);
		w2 = next_words(w2, w3, w0, w1);
		four_rounds(a, b, w2, i + 2);
		w3 = next_words(w3, w0, w1, w2);
		four_rounds(a, b, w3, i + 3);
	}
	a->abef = _mm_add_epi32(a->abef, a_before.abef);
	a->cdgh = _mm_add_epi32(a->cdgh, a_before.cdgh);
	b->abef = _mm_add_epi32(b->abef, b_before.abef);
	b->cdgh = _mm_add_epi32(b->cdgh, b_before.cdgh);
}

SHA_TARGET static void all_blocks(uint32_t *first, uint32_t *second, const uint8_t *blocks,
	size_t count)
{
	struct halves a = load_state(first);
	struct halves b = load_state(second);

	for (; count > 0; count--, blocks += SHA256_BLOCK_SIZE) one_block(&a, &b, blocks);
	save_state(a, first);
	save_state(b, second);
}

static bool look_at_cpu(void)
{
	unsigned eax, ebx, ecx, edx;

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
	if ((ecx & bit_SSSE3) == 0 || (ecx & bit_SSE4_1) == 0) return false;
	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
}

bool sha256_pair(uint32_t first[static SHA256_STATE_WORDS],
	uint32_t second[static SHA256_STATE_WORDS], const uint8_t *blocks, size_t count)
{
	enum { UNKNOWN, HAS_NOT, HAS };
	/* Each thread may find out for itself: they all find the same. */
	static atomic_int known = UNKNOWN;

	int has = atomic_load_explicit(&known, memory_order_relaxed);
	if (has == UNKNOWN) {
		has = look_at_cpu() ? HAS : HAS_NOT;
		atomic_store_explicit(&known, has, memory_order_relaxed);
	}
	if (has != HAS) return false;
	all_blocks(first, second, blocks, count);
	return true;
}

#else

bool sha256_pair(uint32_t first[static SHA256_STATE_WORDS],
	uint32_t second[static SHA256_STATE_WORDS], const uint8_t *blocks, size_t count)
{
	(void)first;
	(void)second;
	(void)blocks;
	(void)count;
	return false;
}

#endif

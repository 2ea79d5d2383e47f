/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_blocks — by Intel's SHA extensions, as in their "New Instructions Supporting the Secure
 * Hash Algorithm" (2013): a state is held as ABEF and CDGH, an instruction does two rounds.
 */
#include "base/sha256_blocks.h"

#include <endian.h>

#include "base/check.h"

/* FIPS 180-4, 5.3.3. */
const struct sha256_state sha256_initial = {
	.word = {
		0x6a09e667,
		0xbb67ae85,
		0x3c6ef372,
		0xa54ff53a,
		0x510e527f,
		0x9b05688c,
		0x1f83d9ab,
		0x5be0cd19,
	},
};

/* FIPS 180-4, 4.2.2. */
const _Alignas(16) uint32_t sha256_constants[SHA256_ROUNDS] = {
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

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1")))
#define SHA_INLINE static inline __attribute__((always_inline, target("sha,sse4.1")))

struct halves {
	__m128i abef;
	__m128i cdgh;
};

SHA_INLINE struct halves load_state(const struct sha256_state *from)
{
	const uint32_t *state = from->word;
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

SHA_INLINE void save_state(struct halves halves, struct sha256_state *to)
{
	uint32_t *state = to->word;
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

/* Four rounds, with words 4i to 4i+3 of the schedule. */
SHA_INLINE void four_rounds(struct halves *halves, __m128i words, size_t i)
{
	__m128i low = _mm_add_epi32(words,
		_mm_load_si128((const __m128i *)(const void *)(sha256_constants + 4 * i)));
	__m128i high = _mm_shuffle_epi32(low, 0x0E);
	halves->cdgh = _mm_sha256rnds2_epu32(halves->cdgh, halves->abef, low);
	halves->abef = _mm_sha256rnds2_epu32(halves->abef, halves->cdgh, high);
}

/* The four words that follow the last sixteen. */
SHA_INLINE __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
	return _mm_sha256msg2_epu32(sum, w3);
}

struct schedule {
	__m128i words[4];
};

SHA_INLINE struct schedule load_schedule(const uint8_t *block)
{
	return (struct schedule){ {
		load_words(block),
		load_words(block + 16),
		load_words(block + 32),
		load_words(block + 48),
	} };
}

/* Words 4i to 4i+3, in the place of those that are sixteen before them. */
SHA_INLINE __m128i scheduled_words(struct schedule *schedule, size_t i)
{
	__m128i *words = schedule->words;

	if (i >= 4) {
		words[i % 4] = next_words(words[i % 4], words[(i + 1) % 4], words[(i + 2) % 4],
			words[(i + 3) % 4]);
	}
	return words[i % 4];
}

SHA_INLINE void add_state(struct halves *to, const struct halves *before)
{
	to->abef = _mm_add_epi32(to->abef, before->abef);
	to->cdgh = _mm_add_epi32(to->cdgh, before->cdgh);
}

SHA_TARGET static void blocks_to_one(struct sha256_state *state, const uint8_t *blocks,
	size_t count)
{
	struct halves a = load_state(state);

	for (; count > 0; count--, blocks += SHA256_BLOCK_SIZE) {
		const struct halves before = a;
		struct schedule schedule = load_schedule(blocks);
#pragma GCC unroll 16
		for (size_t i = 0; i < 16; i++) {
			four_rounds(&a, scheduled_words(&schedule, i), i);
		}
		add_state(&a, &before);
	}
	save_state(a, state);
}

SHA_TARGET static void blocks_to_pair(struct sha256_state *first, struct sha256_state *second,
	const uint8_t *blocks, size_t count)
{
	struct halves a = load_state(first);
	struct halves b = load_state(second);

	for (; count > 0; count--, blocks += SHA256_BLOCK_SIZE) {
		const struct halves a_before = a;
		const struct halves b_before = b;
		struct schedule schedule = load_schedule(blocks);
#pragma GCC unroll 16
		for (size_t i = 0; i < 16; i++) {
			__m128i words = scheduled_words(&schedule, i);
			four_rounds(&a, words, i);
			four_rounds(&b, words, i);
		}
		add_state(&a, &a_before);
		add_state(&b, &b_before);
	}
	save_state(a, first);
	save_state(b, second);
}

SHA_TARGET static void blocks_to_two(struct sha256_state *first, const uint8_t *first_blocks,
	struct sha256_state *second, const uint8_t *second_blocks, size_t count)
{
	struct halves a = load_state(first);
	struct halves b = load_state(second);

	for (size_t at = 0; at < count * SHA256_BLOCK_SIZE; at += SHA256_BLOCK_SIZE) {
		const struct halves a_before = a;
		const struct halves b_before = b;
		struct schedule a_schedule = load_schedule(first_blocks + at);
		struct schedule b_schedule = load_schedule(second_blocks + at);
#pragma GCC unroll 16
		for (size_t i = 0; i < 16; i++) {
			four_rounds(&a, scheduled_words(&a_schedule, i), i);
			four_rounds(&b, scheduled_words(&b_schedule, i), i);
		}
		add_state(&a, &a_before);
		add_state(&b, &b_before);
	}
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

bool sha256_blocks_usable(void)
{
	enum { UNKNOWN, HAS_NOT, HAS };
	/* Each thread may find out for itself: they all find the same. */
	static atomic_int known = UNKNOWN;

	int has = atomic_load_explicit(&known, memory_order_relaxed);
	if (has == UNKNOWN) {
		has = look_at_cpu() ? HAS : HAS_NOT;
		atomic_store_explicit(&known, has, memory_order_relaxed);
	}
	return has == HAS;
}

void sha256_one(struct sha256_state *state, const uint8_t *blocks, size_t count)
{
	blocks_to_one(state, blocks, count);
}

void sha256_pair(struct sha256_state *first, struct sha256_state *second, const uint8_t *blocks,
	size_t count)
{
	blocks_to_pair(first, second, blocks, count);
}

void sha256_two(struct sha256_state *first, const uint8_t *first_blocks,
	struct sha256_state *second, const uint8_t *second_blocks, size_t count)
{
	blocks_to_two(first, first_blocks, second, second_blocks, count);
}

#else

bool sha256_blocks_usable(void)
{
	return false;
}

void sha256_one(struct sha256_state *state, const uint8_t *blocks, size_t count)
{
	(void)state;
	(void)blocks;
	(void)count;
	UNREACHABLE();
}

void sha256_pair(struct sha256_state *first, struct sha256_state *second, const uint8_t *blocks,
	size_t count)
{
	(void)first;
	(void)second;
	(void)blocks;
	(void)count;
	UNREACHABLE();
}

void sha256_two(struct sha256_state *first, const uint8_t *first_blocks,
	struct sha256_state *second, const uint8_t *second_blocks, size_t count)
{
	(void)first;
	(void)first_blocks;
	(void)second;
	(void)second_blocks;
	(void)count;
	UNREACHABLE();
}

#endif

size_t sha256_pad(uint8_t *rest, size_t rest_size, uint64_t size)
{
	/* FIPS 180-4, 5.1.1: a bit that is one, zeros, and the size in bits as 64 bits at the end
	 * of a block. */
	uint64_t bits = htobe64(size * 8);
	size_t count = rest_size + 1 + sizeof bits <= SHA256_BLOCK_SIZE ? 1 : 2;
	size_t bits_at = count * SHA256_BLOCK_SIZE - sizeof bits;

	CHECK(rest_size < SHA256_BLOCK_SIZE && rest_size == size % SHA256_BLOCK_SIZE);
	rest[rest_size] = 0x80;
	memset(rest + rest_size + 1, 0, bits_at - rest_size - 1);
	memcpy(rest + bits_at, &bits, sizeof bits);
	return count;
}

void sha256_state_write(const struct sha256_state *state, uint8_t to[static SHA256_STATE_SIZE])
{
	for (size_t i = 0; i < SHA256_STATE_WORDS; i++) {
		uint32_t word = htobe32(state->word[i]);
		memcpy(to + i * sizeof word, &word, sizeof word);
	}
}

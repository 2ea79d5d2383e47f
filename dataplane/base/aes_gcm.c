/* SPDX-License-Identifier: GPL-2.0-or-later */
/* aes_gcm — four blocks in a vector, four vectors at a time.
 *
 * Happy path: the additional data is hashed → 256 bytes after 256 bytes are encrypted and hashed →
 * the rest, of up to 255 bytes, by vectors that are cut to size → the lengths → the tag.
 *
 * The hash is a polynomial over GF(2^128), whose bits GCM has in reverse. Blocks are turned round
 * bytewise; products then are too low by one place, which is made up for once, in the key
 * ("Intel Carry-Less Multiplication Instruction and its Usage for Computing the GCM Mode", Gueron
 * and Kounavis, 2014). Sixteen blocks take sixteen powers of the key and one reduction.
 */
#include "base/aes_gcm.h"

#include "base/check.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define GCM_FEATURES "aes,pclmul,vaes,vpclmulqdq,avx512f,avx512bw,avx512dq,avx512vl"
/* AddressSanitizer of GCC 12 does not align what it puts in a vector's place on the stack (GCC bug
 * 110027). What is read and written here is tested beside pages that are not there. */
#define GCM_TARGET __attribute__((target(GCM_FEATURES), no_sanitize("address")))
#define GCM_INLINE                                                                                 \
	static inline __attribute__((always_inline, target(GCM_FEATURES), no_sanitize("address")))

/* Vectors in registers, not in an array. */
#define UNROLLED _Pragma("GCC unroll 16")

enum {
	BLOCK = AES_GCM_BLOCK_SIZE,
	VECTOR = 64,
	STRIDE = 4 * VECTOR, /* bytes that are taken together */
	STRIDE_BLOCKS = STRIDE / BLOCK,
	HIGHEST_POWER = STRIDE_BLOCKS + 1, /* one more, for the lengths */
	ROUNDS_128 = 10,
	ROUNDS_256 = 14,
};

BOUND(AES_GCM_POWERS_SIZE == HIGHEST_POWER * BLOCK + VECTOR - BLOCK);

/* ---- The hash -------------------------------------------------------------------------------- */

GCM_INLINE __m128i load(const uint8_t *from)
{
	return _mm_loadu_si128((const __m128i *)(const void *)from);
}

GCM_INLINE __m128i turned(__m128i block)
{
	return _mm_shuffle_epi8(block, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}

GCM_INLINE __m512i turned_four(__m512i blocks)
{
	return _mm512_shuffle_epi8(blocks,
		_mm512_broadcast_i32x4(_mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f)));
}

/* x^128 + x^127 + x^126 + x^121 + 1: the polynomial, turned round. */
GCM_INLINE __m128i polynomial(void)
{
	return _mm_set_epi64x((long long)0xc200000000000000, 1);
}

/* A product of 256 bits in three parts that overlap by half, made 128. */
GCM_INLINE __m128i reduced(__m128i low, __m128i middle, __m128i high)
{
	__m128i folded = _mm_clmulepi64_si128(polynomial(), low, 0x01);
	middle = _mm_xor_si128(middle, _mm_xor_si128(folded, _mm_shuffle_epi32(low, 0x4e)));
	folded = _mm_clmulepi64_si128(polynomial(), middle, 0x01);
	return _mm_xor_si128(high, _mm_xor_si128(folded, _mm_shuffle_epi32(middle, 0x4e)));
}

GCM_INLINE __m128i product(__m128i a, __m128i b)
{
	__m128i middle =
		_mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10));
	return reduced(_mm_clmulepi64_si128(a, b, 0x00), middle, _mm_clmulepi64_si128(a, b, 0x11));
}

/* Sums of products, four beside each other, not reduced. */
struct sums {
	__m512i low, middle, high;
};

GCM_INLINE struct sums no_sums(void)
{
	__m512i zero = _mm512_setzero_si512();
	return (struct sums){ zero, zero, zero };
}

GCM_INLINE void add_products(struct sums *sums, __m512i blocks, __m512i powers)
{
	enum { XOR_OF_THREE = 0x96 };

	sums->low = _mm512_xor_si512(sums->low, _mm512_clmulepi64_epi128(blocks, powers, 0x00));
	sums->high = _mm512_xor_si512(sums->high, _mm512_clmulepi64_epi128(blocks, powers, 0x11));
	sums->middle = _mm512_ternarylogic_epi64(sums->middle,
		_mm512_clmulepi64_epi128(blocks, powers, 0x01),
		_mm512_clmulepi64_epi128(blocks, powers, 0x10), XOR_OF_THREE);
}

GCM_INLINE __m128i sum_of_four(__m512i four)
{
	__m256i two =
		_mm256_xor_si256(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
	return _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

GCM_INLINE __m128i sum_of_all(const struct sums *sums)
{
	return reduced(sum_of_four(sums->low), sum_of_four(sums->middle), sum_of_four(sums->high));
}

/* Where the powers from this one down to the first begin. */
GCM_INLINE const uint8_t *powers_from(const struct aes_gcm_powers *powers, unsigned highest)
{
	return powers->bytes + (size_t)(HIGHEST_POWER - highest) * BLOCK;
}

GCM_INLINE __m512i four_powers(const uint8_t *at)
{
	return _mm512_loadu_si512((const void *)at);
}

GCM_TARGET void aes_gcm_powers_make(struct aes_gcm_powers *powers,
	const uint8_t hash_key[static AES_GCM_BLOCK_SIZE])
{
	__m128i key = turned(load(hash_key));

	/* By one place up, in each half; what leaves the lower half enters the upper one, what
	 * leaves the upper one is replaced by the polynomial. */
	__m128i carries = _mm_srai_epi32(_mm_shuffle_epi32(key, 0xd3), 31);
	__m128i fixes = _mm_set_epi64x((long long)0xc200000000000001, 1);
	key = _mm_xor_si128(_mm_add_epi64(key, key), _mm_and_si128(carries, fixes));

	memset(powers->bytes, 0, sizeof powers->bytes);
	__m128i power = key;
	for (unsigned i = 1; i <= HIGHEST_POWER; i++) {
		uint8_t *to = powers->bytes + (size_t)(HIGHEST_POWER - i) * BLOCK;
		_mm_storeu_si128((__m128i *)(void *)to, power);
		power = product(power, key);
	}
}

GCM_INLINE __m128i hash_aad(const struct aes_gcm_powers *powers, struct bytes aad)
{
	__m128i hash = _mm_setzero_si128();

	while (aad.size > 0) {
		size_t size = aad.size < BLOCK ? aad.size : BLOCK;
		__mmask16 mask = (__mmask16)((1u << size) - 1);
		__m128i block = _mm_maskz_loadu_epi8(mask, aad.data);
		hash = product(_mm_xor_si128(hash, turned(block)), load(powers_from(powers, 1)));
		/* By hand: for a call, what is secret here would be put on the stack. */
		aad.data += size;
		aad.size -= size;
	}
	return hash;
}

/* ---- The cipher ------------------------------------------------------------------------------ */

GCM_INLINE __m512i round_key(const uint8_t *round_keys, unsigned round)
{
	return _mm512_broadcast_i32x4(load(round_keys + (size_t)round * BLOCK));
}

/* The counters' blocks, encrypted: what is added to the text. `count` vectors. */
GCM_INLINE void make_pads(__m512i *pads, unsigned count, const uint8_t *round_keys, unsigned rounds,
	__m512i *counters)
{
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));
	__m512i key = round_key(round_keys, 0);

	UNROLLED for (unsigned i = 0; i < count; i++)
	{
		pads[i] = _mm512_xor_si512(turned_four(*counters), key);
		*counters = _mm512_add_epi32(*counters, four);
	}
	UNROLLED for (unsigned round = 1; round < rounds; round++)
	{
		key = round_key(round_keys, round);
		UNROLLED for (unsigned i = 0; i < count; i++)
		{
			pads[i] = _mm512_aesenc_epi128(pads[i], key);
		}
	}
	key = round_key(round_keys, rounds);
	UNROLLED for (unsigned i = 0; i < count; i++)
		pads[i] = _mm512_aesenclast_epi128(pads[i], key);
}

GCM_INLINE __m128i encrypt_block(__m128i block, const uint8_t *round_keys, unsigned rounds)
{
	block = _mm_xor_si128(block, load(round_keys));
	UNROLLED for (unsigned round = 1; round < rounds; round++)
	{
		block = _mm_aesenc_si128(block, load(round_keys + (size_t)round * BLOCK));
	}
	return _mm_aesenclast_si128(block, load(round_keys + (size_t)rounds * BLOCK));
}

/* Turned round, so that the counter is the first word: nonce and 1. */
GCM_INLINE __m128i first_counter(const uint8_t *nonce)
{
	__m128i block = _mm_maskz_loadu_epi8((1u << AES_GCM_NONCE_SIZE) - 1, nonce);
	return _mm_or_si128(turned(block), _mm_set_epi32(0, 0, 0, 1));
}

/* ---- Both ------------------------------------------------------------------------------------ */

struct text {
	const uint8_t *in;
	uint8_t *out;
	size_t size;
};

/* As many strides as there are. */
GCM_INLINE __m128i crypt_strides(const struct aes_gcm_key *key, unsigned rounds, bool encrypting,
	struct text *text, __m512i *counters, __m128i hash)
{
	const uint8_t *powers = powers_from(key->powers, STRIDE_BLOCKS);

	for (; text->size >= STRIDE; text->size -= STRIDE) {
		__m512i pads[4];
		struct sums sums = no_sums();

		make_pads(pads, 4, key->round_keys, rounds, counters);
		UNROLLED for (unsigned i = 0; i < 4; i++)
		{
			__m512i from = _mm512_loadu_si512((const void *)(text->in + i * VECTOR));
			__m512i to = _mm512_xor_si512(from, pads[i]);
			_mm512_storeu_si512((void *)(text->out + i * VECTOR), to);
			__m512i blocks = turned_four(encrypting ? to : from);
			if (i == 0) {
				blocks = _mm512_xor_si512(blocks, _mm512_zextsi128_si512(hash));
			}
			add_products(&sums, blocks, four_powers(powers + i * VECTOR));
		}
		hash = sum_of_all(&sums);
		text->in += STRIDE;
		text->out += STRIDE;
	}
	return hash;
}

/* Less than a stride, and the lengths behind it. */
GCM_INLINE __m128i crypt_rest(const struct aes_gcm_key *key, unsigned rounds, bool encrypting,
	struct text text, __m512i *counters, __m128i hash, __m128i lengths)
{
	unsigned block_count = (unsigned)((text.size + BLOCK - 1) / BLOCK);
	const uint8_t *powers = powers_from(key->powers, block_count + 1);
	struct sums sums = no_sums();
	__m512i carried = _mm512_zextsi128_si512(hash);

	for (size_t at = 0; at < text.size; at += VECTOR) {
		size_t left = text.size - at;
		__mmask64 mask = left >= VECTOR ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
		__m512i pad;

		make_pads(&pad, 1, key->round_keys, rounds, counters);
		__m512i from = _mm512_maskz_loadu_epi8(mask, text.in + at);
		__m512i to = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(from, pad));
		_mm512_mask_storeu_epi8(text.out + at, mask, to);
		__m512i blocks = _mm512_xor_si512(turned_four(encrypting ? to : from), carried);
		carried = _mm512_setzero_si512();
		/* Blocks that are not there are zero, whatever they are multiplied with. */
		add_products(&sums, blocks, four_powers(powers + at));
	}
	/* Without a rest, what was hashed before goes with the lengths. */
	lengths = _mm_xor_si128(lengths, _mm512_castsi512_si128(carried));
	add_products(&sums, _mm512_zextsi128_si512(lengths),
		_mm512_zextsi128_si512(load(powers_from(key->powers, 1))));
	return sum_of_all(&sums);
}

GCM_INLINE void crypt_text(const struct aes_gcm_key *key, unsigned rounds, bool encrypting,
	const uint8_t *nonce, struct bytes aad, struct text text, uint8_t *tag)
{
	__m128i first = first_counter(nonce);
	__m128i mask = encrypt_block(turned(first), key->round_keys, rounds);
	__m512i counters = _mm512_add_epi32(_mm512_broadcast_i32x4(first),
		_mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
	uint64_t aad_bits = 8 * (uint64_t)aad.size, text_bits = 8 * (uint64_t)text.size;
	__m128i lengths = _mm_set_epi64x((long long)aad_bits, (long long)text_bits);

	__m128i hash = hash_aad(key->powers, aad);
	hash = crypt_strides(key, rounds, encrypting, &text, &counters, hash);
	hash = crypt_rest(key, rounds, encrypting, text, &counters, hash, lengths);
	_mm_storeu_si128((__m128i *)(void *)tag, _mm_xor_si128(turned(hash), mask));
	/* Or each SSE instruction that follows waits for the upper halves. */
	_mm256_zeroupper();
}

/* The rounds are known where the code is made: each of the two has its own. */
GCM_INLINE void crypt_by_rounds(const struct aes_gcm_key *key, bool encrypting,
	const uint8_t *nonce, struct bytes aad, struct text text, uint8_t *tag)
{
	CHECK(key->rounds == ROUNDS_128 || key->rounds == ROUNDS_256);
	if (key->rounds == ROUNDS_128) {
		crypt_text(key, ROUNDS_128, encrypting, nonce, aad, text, tag);
	} else {
		crypt_text(key, ROUNDS_256, encrypting, nonce, aad, text, tag);
	}
}

GCM_TARGET void aes_gcm_encrypt(const struct aes_gcm_key *key,
	const uint8_t nonce[static AES_GCM_NONCE_SIZE], struct bytes aad, struct bytes in,
	uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE])
{
	crypt_by_rounds(key, true, nonce, aad, (struct text){ in.data, out, in.size }, tag);
}

GCM_TARGET void aes_gcm_decrypt(const struct aes_gcm_key *key,
	const uint8_t nonce[static AES_GCM_NONCE_SIZE], struct bytes aad, struct bytes in,
	uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE])
{
	crypt_by_rounds(key, false, nonce, aad, (struct text){ in.data, out, in.size }, tag);
}

/* Leaf 7, ECX; clang 14 has no names for them in __builtin_cpu_supports(). */
enum { CPUID_VAES = 1 << 9, CPUID_VPCLMULQDQ = 1 << 10 };

bool aes_gcm_usable(void)
{
	unsigned eax, ebx, ecx, edx;

	if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul")) return false;
	/* libgcc's look at AVX-512 also asks whether the system keeps such registers. */
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
		!__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
		return false;
	}
	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
	return (ecx & CPUID_VAES) != 0 && (ecx & CPUID_VPCLMULQDQ) != 0;
}

#else

bool aes_gcm_usable(void)
{
	return false;
}

void aes_gcm_powers_make(struct aes_gcm_powers *powers,
	const uint8_t hash_key[static AES_GCM_BLOCK_SIZE])
{
	MAYBE(powers != NULL && hash_key != NULL);
	UNREACHABLE();
}

void aes_gcm_encrypt(const struct aes_gcm_key *key, const uint8_t nonce[static AES_GCM_NONCE_SIZE],
	struct bytes aad, struct bytes in, uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE])
{
	MAYBE(key != NULL && nonce != NULL && aad.size > in.size && out != tag);
	UNREACHABLE();
}

void aes_gcm_decrypt(const struct aes_gcm_key *key, const uint8_t nonce[static AES_GCM_NONCE_SIZE],
	struct bytes aad, struct bytes in, uint8_t *out, uint8_t tag[static AES_GCM_TAG_SIZE])
{
	MAYBE(key != NULL && nonce != NULL && aad.size > in.size && out != tag);
	UNREACHABLE();
}

#endif

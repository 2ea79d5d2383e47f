/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_lanes — FIPS 180-4, 6.2.2, on vectors: word by word, each in its sixteen lanes.
 *
 * "Processing Multiple Buffers in Parallel to Increase Performance on Intel Architecture
 * Processors" (Intel, 2010) has the idea. AVX-512 rotates a word in one instruction, and has any
 * function of three words in another: 17 for a round, and 11 for a word of the schedule.
 */
#include "base/sha256_lanes.h"

#include "base/check.h"

/* ---- Alone ----------------------------------------------------------------------------------- */

/* Two states fill each other's waits. */
static void feed_two(const struct sha256_work *first, const struct sha256_work *second)
{
	size_t both = first->count < second->count ? first->count : second->count;

	if (both > 0) {
		sha256_two(first->state, first->blocks, second->state, second->blocks, both);
	}
	if (first->count > both) {
		sha256_one(first->state, first->blocks + both * SHA256_BLOCK_SIZE,
			first->count - both);
	}
	if (second->count > both) {
		sha256_one(second->state, second->blocks + both * SHA256_BLOCK_SIZE,
			second->count - both);
	}
}

static void feed_alone(const struct sha256_work *work)
{
	if (work->second != NULL) {
		sha256_pair(work->state, work->second, work->blocks, work->count);
	} else {
		sha256_one(work->state, work->blocks, work->count);
	}
}

static void feed_all_alone(const struct sha256_work *work, size_t work_count)
{
	size_t i = 0;

	if (work_count > 0 && work[0].second == NULL) {
		for (; i + 1 < work_count; i += 2) feed_two(&work[i], &work[i + 1]);
	}
	for (; i < work_count; i++) feed_alone(&work[i]);
}

/* ---- In lanes -------------------------------------------------------------------------------- */

#ifdef __x86_64__

#include <immintrin.h>

#define LANES_FEATURES "avx512f,avx512bw"
/* AddressSanitizer of GCC 12 does not align what it puts in a vector's place on the stack (GCC bug
 * 110027). What is read here is tested beside pages that are not there. */
#define LANES_TARGET __attribute__((noinline, target(LANES_FEATURES), no_sanitize("address")))
#define LANES_INLINE                                                                               \
	static inline __attribute__((                                                              \
		always_inline, target(LANES_FEATURES), no_sanitize("address")))

/* Vectors in registers, not in an array. */
#define UNROLLED _Pragma("GCC unroll 64")

enum { WORDS = SHA256_STATE_WORDS, BLOCK_WORDS = 16, ROUNDS = SHA256_ROUNDS };
BOUND((int)BLOCK_WORDS == (int)SHA256_LANES);

/* By truth table: of a, b and c the bits 0xf0, 0xcc and 0xaa. */
enum { XOR_OF_THREE = 0x96, CHOICE = 0xca, MAJORITY = 0xe8 };

LANES_INLINE __m512i xor_of_three(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi32(a, b, c, XOR_OF_THREE);
}

LANES_INLINE __m512i sum(__m512i a, __m512i b)
{
	return _mm512_add_epi32(a, b);
}

/* FIPS 180-4, 4.1.2: the four sums of rotated words, in its order. */
LANES_INLINE __m512i sum_0(__m512i x)
{
	return xor_of_three(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13),
		_mm512_ror_epi32(x, 22));
}

LANES_INLINE __m512i sum_1(__m512i x)
{
	return xor_of_three(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11),
		_mm512_ror_epi32(x, 25));
}

LANES_INLINE __m512i schedule_0(__m512i x)
{
	return xor_of_three(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18),
		_mm512_srli_epi32(x, 3));
}

LANES_INLINE __m512i schedule_1(__m512i x)
{
	return xor_of_three(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19),
		_mm512_srli_epi32(x, 10));
}

/* Sixteen rows of sixteen words become columns: by words, by pairs of them, by fours. */
LANES_INLINE void transpose(__m512i *rows)
{
	__m512i mixed[16];

	UNROLLED for (unsigned i = 0; i < 16; i += 2)
	{
		mixed[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
		mixed[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
	}
	UNROLLED for (unsigned i = 0; i < 16; i += 4)
	{
		rows[i] = _mm512_unpacklo_epi64(mixed[i], mixed[i + 2]);
		rows[i + 1] = _mm512_unpackhi_epi64(mixed[i], mixed[i + 2]);
		rows[i + 2] = _mm512_unpacklo_epi64(mixed[i + 1], mixed[i + 3]);
		rows[i + 3] = _mm512_unpackhi_epi64(mixed[i + 1], mixed[i + 3]);
	}
	UNROLLED for (unsigned i = 0; i < 4; i++)
	{
		mixed[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
		mixed[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
		mixed[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
		mixed[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
	}
	UNROLLED for (unsigned i = 0; i < 4; i++)
	{
		rows[i] = _mm512_shuffle_i32x4(mixed[i], mixed[i + 8], 0x88);
		rows[i + 8] = _mm512_shuffle_i32x4(mixed[i], mixed[i + 8], 0xdd);
		rows[i + 4] = _mm512_shuffle_i32x4(mixed[i + 4], mixed[i + 12], 0x88);
		rows[i + 12] = _mm512_shuffle_i32x4(mixed[i + 4], mixed[i + 12], 0xdd);
	}
}

/* The states in the first eight rows, the second ones in the others. */
LANES_INLINE void load_states(__m512i *rows, const struct sha256_work *work, size_t work_count,
	bool paired)
{
	for (size_t i = 0; i < SHA256_LANES; i++) {
		__m256i first = _mm256_setzero_si256();
		__m256i second = _mm256_setzero_si256();
		if (i < work_count) {
			first = _mm256_loadu_si256((const void *)work[i].state->word);
			if (paired) {
				second = _mm256_loadu_si256((const void *)work[i].second->word);
			}
		}
		rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
	}
	transpose(rows);
}

LANES_INLINE void save_states(__m512i *rows, const struct sha256_work *work, size_t work_count,
	bool paired)
{
	transpose(rows);
	for (size_t i = 0; i < work_count; i++) {
		_mm256_storeu_si256((void *)work[i].state->word, _mm512_castsi512_si256(rows[i]));
		if (paired) {
			_mm256_storeu_si256((void *)work[i].second->word,
				_mm512_extracti64x4_epi64(rows[i], 1));
		}
	}
}

/* The words of each lane's next block, and which lanes have one. */
LANES_INLINE __mmask16 load_blocks(__m512i *words, const struct sha256_work *work,
	size_t work_count, size_t block)
{
	static const _Alignas(SHA256_BLOCK_SIZE) uint8_t nothing[SHA256_BLOCK_SIZE];
	const __m512i order =
		_mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
	unsigned lanes = 0;

	for (size_t i = 0; i < SHA256_LANES; i++) {
		const uint8_t *from = nothing;
		if (i < work_count && block < work[i].count) {
			from = work[i].blocks + block * SHA256_BLOCK_SIZE;
			lanes |= 1U << i;
		}
		words[i] = _mm512_shuffle_epi8(_mm512_loadu_si512((const void *)from), order);
	}
	transpose(words);
	return (__mmask16)lanes;
}

/* `state` is a to h before round 0; in round i they are found i places further down. */
LANES_INLINE void one_round(__m512i *state, unsigned i, __m512i word)
{
	const __m512i a = state[(0 - i) % WORDS], b = state[(1 - i) % WORDS];
	const __m512i c = state[(2 - i) % WORDS], e = state[(4 - i) % WORDS];
	const __m512i f = state[(5 - i) % WORDS], g = state[(6 - i) % WORDS];
	__m512i *d = &state[(3 - i) % WORDS], *h = &state[(7 - i) % WORDS];

	__m512i chosen = _mm512_ternarylogic_epi32(e, f, g, CHOICE);
	__m512i first = sum(sum(*h, word), sum(sum_1(e), chosen));
	__m512i most = _mm512_ternarylogic_epi32(a, b, c, MAJORITY);
	*d = sum(*d, first);
	*h = sum(first, sum(sum_0(a), most));
}

LANES_INLINE void feed(const struct sha256_work *work, size_t work_count, bool paired)
{
	__m512i states[2 * WORDS];
	size_t block_count = 0;

	for (size_t i = 0; i < work_count; i++) {
		if (work[i].count > block_count) block_count = work[i].count;
	}
	load_states(states, work, work_count, paired);
	for (size_t block = 0; block < block_count; block++) {
		__m512i words[BLOCK_WORDS];
		__m512i first[WORDS], second[WORDS];
		const uint32_t *constants = sha256_constants;

		/* Or the compiler makes vectors of all 64 before the first block, and has no
		 * registers for them. */
		__asm__ volatile("" : "+r"(constants));
		__mmask16 lanes = load_blocks(words, work, work_count, block);
		UNROLLED for (unsigned i = 0; i < WORDS; i++)
		{
			first[i] = states[i];
			second[i] = states[WORDS + i];
		}
		UNROLLED for (unsigned i = 0; i < ROUNDS; i++)
		{
			__m512i *word = &words[i % BLOCK_WORDS];
			if (i >= BLOCK_WORDS) {
				*word = sum(sum(*word, schedule_0(words[(i + 1) % BLOCK_WORDS])),
					sum(words[(i + 9) % BLOCK_WORDS],
						schedule_1(words[(i + 14) % BLOCK_WORDS])));
			}
			__m512i added = sum(*word, _mm512_set1_epi32((int)constants[i]));
			one_round(first, i, added);
			if (paired) one_round(second, i, added);
		}
		UNROLLED for (unsigned i = 0; i < WORDS; i++)
		{
			__m512i *to = &states[i];
			*to = _mm512_mask_add_epi32(*to, lanes, *to, first[i]);
			if (!paired) continue;
			to = &states[WORDS + i];
			*to = _mm512_mask_add_epi32(*to, lanes, *to, second[i]);
		}
	}
	save_states(states, work, work_count, paired);
	/* Or each SSE instruction that follows waits for the upper halves. */
	_mm256_zeroupper();
}

LANES_TARGET static void feed_lanes(const struct sha256_work *work, size_t work_count)
{
	feed(work, work_count, false);
}

LANES_TARGET static void feed_paired_lanes(const struct sha256_work *work, size_t work_count)
{
	feed(work, work_count, true);
}

bool sha256_lanes_usable(void)
{
	/* libgcc's look at AVX-512 also asks whether the system keeps such registers. */
	return sha256_blocks_usable() && __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw");
}

#else

bool sha256_lanes_usable(void)
{
	return false;
}

static void feed_lanes(const struct sha256_work *work, size_t work_count)
{
	MAYBE(work == NULL && work_count > 0);
	UNREACHABLE();
}

static void feed_paired_lanes(const struct sha256_work *work, size_t work_count)
{
	MAYBE(work == NULL && work_count > 0);
	UNREACHABLE();
}

#endif

/* ---- Which of the two ------------------------------------------------------------------------ */

/* In blocks that are fed alone: what a block costs in lanes, whatever their number. */
enum { LANES_COST = 10 };

static size_t largest_of(const struct sha256_work *work, size_t work_count)
{
	size_t largest = 0;

	for (size_t i = 1; i < work_count; i++) {
		if (work[i].count > work[largest].count) largest = i;
	}
	return largest;
}

static size_t blocks_of(const struct sha256_work *work, size_t work_count)
{
	size_t blocks = 0;

	for (size_t i = 0; i < work_count; i++) blocks += work[i].count;
	return blocks;
}

/* For as many blocks as the largest has, all lanes are at work: one that is much larger than the
 * others is fed alone, then perhaps the next. */
static void feed_some(struct sha256_work *work, size_t work_count)
{
	CHECK(work_count <= SHA256_LANES);
	while (work_count >= LANES_COST) {
		size_t largest = largest_of(work, work_count);
		if (blocks_of(work, work_count) >= LANES_COST * work[largest].count) {
			if (work[0].second != NULL) {
				feed_paired_lanes(work, work_count);
			} else {
				feed_lanes(work, work_count);
			}
			return;
		}
		feed_alone(&work[largest]);
		work[largest] = work[--work_count];
	}
	feed_all_alone(work, work_count);
}

void sha256_each(const struct sha256_work *work, size_t work_count)
{
	struct sha256_work some[SHA256_LANES];

	if (!sha256_lanes_usable()) {
		feed_all_alone(work, work_count);
		return;
	}
	for (size_t at = 0; at < work_count; at += SHA256_LANES) {
		size_t some_count = work_count - at < SHA256_LANES ? work_count - at : SHA256_LANES;
		for (size_t i = 0; i < some_count; i++) {
			CHECK((work[at + i].second != NULL) == (work[0].second != NULL));
			some[i] = work[at + i];
		}
		feed_some(some, some_count);
	}
}

/* There are more vectors than registers: what was in the others was on the stack of the functions
 * above, which is below this one's caller (libgcrypt's _gcry_burn_stack() does the same). */
__attribute__((noinline)) void sha256_each_wipe(void)
{
	uint8_t below[8192];

	bytes_wipe(below, sizeof below);
}

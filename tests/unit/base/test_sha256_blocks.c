/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocks fed alone, in a pair or beside others make the digests that the library makes. */
#include "base/sha256_blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

#include "base/check.h"
#include "base/random.h"

enum { SIZE_MAX_TESTED = 5 * SHA256_BLOCK_SIZE };

static uint8_t first_text[SIZE_MAX_TESTED + 2 * SHA256_BLOCK_SIZE];
static uint8_t second_text[sizeof first_text];

static void expect(const struct sha256_state *state, const uint8_t *text, size_t size)
{
	uint8_t wanted[SHA256_STATE_SIZE];
	uint8_t digest[SHA256_STATE_SIZE];

	assert_int_equal(wc_Sha256Hash(text, (word32)size, wanted), 0);
	sha256_state_write(state, digest);
	assert_memory_equal(digest, wanted, sizeof digest);
}

static size_t complete(uint8_t *text, size_t size)
{
	size_t whole = size / SHA256_BLOCK_SIZE;

	return whole + sha256_pad(text + whole * SHA256_BLOCK_SIZE, size % SHA256_BLOCK_SIZE, size);
}

static void every_size_is_completed(void **state)
{
	struct random random = { .state = 17 };
	uint8_t first_plain[sizeof first_text];
	uint8_t second_plain[sizeof first_text];
	(void)state;

	if (!sha256_blocks_usable()) skip();
	for (size_t size = 0; size < SIZE_MAX_TESTED; size++) {
		for (size_t i = 0; i < sizeof first_text; i++) {
			first_text[i] = (uint8_t)random_u64(&random);
			second_text[i] = (uint8_t)random_u64(&random);
		}
		struct sha256_state one = sha256_initial;
		struct sha256_state pair[2] = { sha256_initial, sha256_initial };
		struct sha256_state two[2] = { sha256_initial, sha256_initial };

		memcpy(first_plain, first_text, sizeof first_plain);
		memcpy(second_plain, second_text, sizeof second_plain);
		size_t count = complete(first_text, size);
		assert_int_equal(complete(second_text, size), count);
		sha256_one(&one, first_text, count);
		expect(&one, first_plain, size);
		sha256_pair(&pair[0], &pair[1], first_text, count);
		expect(&pair[0], first_plain, size);
		expect(&pair[1], first_plain, size);
		sha256_two(&two[0], first_text, &two[1], second_text, count);
		expect(&two[0], first_plain, size);
		expect(&two[1], second_plain, size);
	}
}

/* Two states that differ go on as they would alone. */
static void states_of_a_pair_do_not_mix(void **state)
{
	struct sha256_state alone[2] = { sha256_initial, sha256_initial };
	struct sha256_state pair[2];
	(void)state;

	if (!sha256_blocks_usable()) skip();
	alone[1].word[0] ^= 1;
	memcpy(pair, alone, sizeof pair);
	sha256_pair(&pair[0], &pair[1], first_text, 3);
	sha256_one(&alone[0], first_text, 3);
	sha256_one(&alone[1], first_text, 3);
	assert_memory_equal(pair, alone, sizeof pair);
	assert_memory_not_equal(&pair[0], &pair[1], sizeof pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_completed),
		cmocka_unit_test(states_of_a_pair_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-GCM on wide vectors touches what it is given and nothing else: everything lies before a page
 * that is not there. What it computes is compared with wolfCrypt's in tls/test_tls_gcm.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/aes_gcm.h"
#include "base/check.h"

enum { ROUND_KEYS_SIZE = 15 * 16, TEXT_SIZE_MAX = 700, AAD_SIZE_MAX = 40, PAGES = 2 };

/* The end of memory behind which nothing is. */
static uint8_t *edge(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK(mprotect(memory + page, page, PROT_NONE) == 0);
	return memory + page;
}

struct outcome {
	uint8_t text[TEXT_SIZE_MAX];
	uint8_t tag[AES_GCM_TAG_SIZE];
};

static uint8_t hash_key[AES_GCM_BLOCK_SIZE], round_keys[ROUND_KEYS_SIZE], plain[TEXT_SIZE_MAX];
static const uint8_t aad[AAD_SIZE_MAX] = { 1, 2, 3 };
static const uint8_t nonce[AES_GCM_NONCE_SIZE] = { 4, 5, 6 };

static void in_the_open(unsigned rounds, size_t size, size_t aad_size, struct outcome *ret)
{
	struct aes_gcm_powers powers;
	const struct aes_gcm_key key = { &powers, round_keys, rounds };

	aes_gcm_powers_make(&powers, hash_key);
	aes_gcm_encrypt(&key, nonce, bytes_of(aad, aad_size), bytes_of(plain, size), ret->text,
		ret->tag);
}

static void test_nothing_beyond_is_touched(void **state)
{
	(void)state;
	if (!aes_gcm_usable()) skip();
	uint8_t *in = edge(), *out = edge(), *tag = edge() - AES_GCM_TAG_SIZE;
	uint8_t *more = edge(), *keys = edge() - ROUND_KEYS_SIZE;
	uint8_t *nonce_at = edge() - AES_GCM_NONCE_SIZE;
	struct aes_gcm_powers *powers = (struct aes_gcm_powers *)(edge() - sizeof *powers);

	for (size_t i = 0; i < sizeof hash_key; i++) hash_key[i] = (uint8_t)(i * 5 + 1);
	for (size_t i = 0; i < sizeof round_keys; i++) round_keys[i] = (uint8_t)(i * 3 + 2);
	for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i * 11 + 7);
	memcpy(keys, round_keys, sizeof round_keys);
	memcpy(nonce_at, nonce, sizeof nonce);
	aes_gcm_powers_make(powers, hash_key);
	for (size_t size = 0; size <= TEXT_SIZE_MAX; size++) {
		size_t aad_size = size % (AAD_SIZE_MAX + 1);
		const struct aes_gcm_key key = { powers, keys, size % 2 == 0 ? 10 : 14 };
		struct outcome expected;
		in_the_open(key.rounds, size, aad_size, &expected);
		if (size > 0) memcpy(in - size, plain, size);
		if (aad_size > 0) memcpy(more - aad_size, aad, aad_size);
		const struct bytes aad_bytes = bytes_of(more - aad_size, aad_size);

		aes_gcm_encrypt(&key, nonce_at, aad_bytes, bytes_of(in - size, size), out - size,
			tag);
		assert_memory_equal(out - size, expected.text, size);
		assert_memory_equal(tag, expected.tag, AES_GCM_TAG_SIZE);
		memset(tag, 0, AES_GCM_TAG_SIZE);
		aes_gcm_decrypt(&key, nonce_at, aad_bytes, bytes_of(out - size, size), out - size,
			tag);
		assert_memory_equal(out - size, plain, size);
		assert_memory_equal(tag, expected.tag, AES_GCM_TAG_SIZE);
	}
}

static void test_nothing_before_or_behind_is_written(void **state)
{
	enum { ROOM = 64, MARK = 0xC3 };
	uint8_t memory[ROOM + TEXT_SIZE_MAX + ROOM];
	uint8_t tag[AES_GCM_TAG_SIZE];
	struct aes_gcm_powers powers;
	const struct aes_gcm_key key = { &powers, round_keys, 10 };

	(void)state;
	if (!aes_gcm_usable()) skip();
	aes_gcm_powers_make(&powers, hash_key);
	for (size_t size = 0; size <= TEXT_SIZE_MAX; size++) {
		memset(memory, MARK, sizeof memory);
		aes_gcm_encrypt(&key, nonce, BYTES_EMPTY, bytes_of(plain, size), memory + ROOM,
			tag);
		for (size_t i = 0; i < ROOM; i++) {
			assert_int_equal(memory[i], MARK);
			assert_int_equal(memory[ROOM + size + i], MARK);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_beyond_is_touched),
		cmocka_unit_test(test_nothing_before_or_behind_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

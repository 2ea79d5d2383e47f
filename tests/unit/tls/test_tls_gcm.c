/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AES-GCM, whoever does it: the vectors of its specification, sizes of every kind against
 * wolfSSL's own, and nothing that was changed gets through.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "base/aes_gcm.h"
#include "base/check.h"

enum { TAG_SIZE = 16, SHORT_TAG_SIZE = 12, NONCE_SIZE = 12, SIZE_MAX_TESTED = 17000 };

static uint8_t plain[SIZE_MAX_TESTED], cipher[SIZE_MAX_TESTED], other[SIZE_MAX_TESTED];

static size_t unhex(const char *text, uint8_t *to, size_t to_size)
{
	size_t size;
	CHECK(hex_decode(bytes_of_text(text), to, to_size, &size) == RESULT_OK);
	return size;
}

static void key_set(Aes *aes, const char *key)
{
	uint8_t bytes[32];
	size_t size = unhex(key, bytes, sizeof bytes);

	assert_int_equal(wc_AesInit(aes, NULL, INVALID_DEVID), 0);
	assert_int_equal(wc_AesGcmSetKey(aes, bytes, (word32)size), 0);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B. Keys of 192 bits and nonces
 * that have not 12 bytes are always wolfSSL's. */
struct vector {
	const char *key, *nonce, *aad, *plain, *cipher, *tag;
};

enum { NONCE_SIZE_MAX = 60 };

#define KEY_A "feffe9928665731c6d6a8f9467308308"
#define NONCE_A "cafebabefacedbaddecaf888"
#define AAD_A "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define PLAIN_60                                                                                   \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                         \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define PLAIN_64 PLAIN_60 "1aafd255"

static const struct vector vectors[] = {
	{ "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
		"58e2fccefa7e3061367f1d57a4e7455a" },
	{ "00000000000000000000000000000000", "000000000000000000000000", "",
		"00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
		"ab6e47d42cec13bdf53a67b21257bddf" },
	{ KEY_A, NONCE_A, "", PLAIN_64,
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
		"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
		"4d5c2af327cd64a62cf35abd2ba6fab4" },
	{ KEY_A, NONCE_A, AAD_A, PLAIN_60,
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
		"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
		"5bc94fbc3221a5db94fae95ae7121a47" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
	{ KEY_A KEY_A, NONCE_A, "", PLAIN_64,
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
		"b094dac5d93471bdec1a502270e3cc6c" },
	{ KEY_A KEY_A, NONCE_A, AAD_A, PLAIN_60,
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b" },
	{ KEY_A "feffe9928665731c", NONCE_A, AAD_A, PLAIN_60,
		"3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
		"7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
		"2519498e80f1478f37ba55bd6d27618c" },
	{ KEY_A,
		"9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728"
		"c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
		AAD_A, PLAIN_60,
		"8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7"
		"01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5",
		"619cc5aefffe0bfa462af43c1699d050" },
};

static void test_vectors_of_the_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const struct vector *vector = &vectors[i];
		uint8_t nonce[NONCE_SIZE_MAX], aad[32], tag[TAG_SIZE], expected_tag[TAG_SIZE];
		uint8_t expected[64];
		Aes aes;

		key_set(&aes, vector->key);
		word32 nonce_size = (word32)unhex(vector->nonce, nonce, sizeof nonce);
		word32 aad_size = (word32)unhex(vector->aad, aad, sizeof aad);
		word32 size = (word32)unhex(vector->plain, plain, sizeof plain);
		assert_int_equal(unhex(vector->cipher, expected, sizeof expected), size);
		assert_int_equal(unhex(vector->tag, expected_tag, sizeof expected_tag), TAG_SIZE);
		assert_int_equal(wc_AesGcmEncrypt(&aes, cipher, plain, size, nonce, nonce_size, tag,
					 TAG_SIZE, aad, aad_size),
			0);
		assert_memory_equal(cipher, expected, size);
		assert_memory_equal(tag, expected_tag, TAG_SIZE);
		assert_int_equal(wc_AesGcmDecrypt(&aes, cipher, cipher, size, nonce, nonce_size,
					 tag, TAG_SIZE, aad, aad_size),
			0);
		assert_memory_equal(cipher, plain, size);
		wc_AesFree(&aes);
	}
}

/* With a tag of 12 bytes wolfSSL does it itself, and the bytes are the same. */
static void compare_with_wolfssl(Aes *aes, word32 size, word32 aad_size)
{
	static const uint8_t nonce[NONCE_SIZE] = { 7, 1 };
	static const uint8_t aad[64] = { 3, 2, 1 };
	uint8_t tag[TAG_SIZE], short_tag[SHORT_TAG_SIZE];

	/* Where it lies, as records are. */
	memcpy(cipher, plain, size);
	assert_int_equal(wc_AesGcmEncrypt(aes, cipher, cipher, size, nonce, NONCE_SIZE, tag,
				 TAG_SIZE, aad, aad_size),
		0);
	assert_int_equal(wc_AesGcmEncrypt(aes, other, plain, size, nonce, NONCE_SIZE, short_tag,
				 SHORT_TAG_SIZE, aad, aad_size),
		0);
	assert_memory_equal(cipher, other, size);
	assert_memory_equal(tag, short_tag, SHORT_TAG_SIZE);
	assert_int_equal(wc_AesGcmDecrypt(aes, cipher, cipher, size, nonce, NONCE_SIZE, tag,
				 TAG_SIZE, aad, aad_size),
		0);
	assert_memory_equal(cipher, plain, size);
}

static void test_every_size_is_as_by_wolfssl(void **state)
{
	static const char *const keys[] = { KEY_A, KEY_A "00112233445566778899aabbccddeeff" };

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		Aes aes;
		key_set(&aes, keys[i]);
		for (word32 size = 0; size < 1600; size++) {
			compare_with_wolfssl(&aes, size, size % 3 == 0 ? 5 : size % 64);
		}
		for (word32 size = 16000; size < SIZE_MAX_TESTED; size += 37) {
			compare_with_wolfssl(&aes, size, 13);
		}
		wc_AesFree(&aes);
	}
}

static void test_nothing_changed_gets_through(void **state)
{
	enum { SIZE = 600, AAD_SIZE = 5 };
	static const uint8_t nonce[NONCE_SIZE] = { 9 };
	uint8_t aad[AAD_SIZE] = { 23, 3, 3, 0, 216 };
	uint8_t tag[TAG_SIZE];
	Aes aes;

	(void)state;
	key_set(&aes, KEY_A);
	assert_int_equal(wc_AesGcmEncrypt(&aes, cipher, plain, SIZE, nonce, NONCE_SIZE, tag,
				 TAG_SIZE, aad, AAD_SIZE),
		0);
	for (unsigned bit = 0; bit < 8 * (SIZE + TAG_SIZE + AAD_SIZE); bit++) {
		unsigned at = bit / 8;
		uint8_t *byte = at < SIZE      ? &cipher[at]
			: at < SIZE + TAG_SIZE ? &tag[at - SIZE]
					       : &aad[at - SIZE - TAG_SIZE];
		*byte ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(wc_AesGcmDecrypt(&aes, other, cipher, SIZE, nonce, NONCE_SIZE, tag,
					 TAG_SIZE, aad, AAD_SIZE),
			AES_GCM_AUTH_E);
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(wc_AesGcmDecrypt(&aes, other, cipher, SIZE, nonce, NONCE_SIZE, tag,
				 TAG_SIZE, aad, AAD_SIZE),
		0);
	wc_AesFree(&aes);
}

static void assert_zero(const void *memory, size_t size)
{
	for (size_t i = 0; i < size; i++) assert_int_equal(((const uint8_t *)memory)[i], 0);
}

static void test_no_key_is_left_behind(void **state)
{
	Aes aes;

	(void)state;
	memset(&aes, 0, sizeof aes);
	key_set(&aes, KEY_A);
	wc_AesFree(&aes);
	assert_zero(aes.key, sizeof aes.key);
	assert_zero(&aes.gcm, sizeof aes.gcm);
}

#ifdef WC_AESGCM_PROVIDER

/* Else all of the above compares wolfSSL with itself. */
static void test_who_does_it(void **state)
{
	static const char *const flags[] = { " aes", " pclmulqdq", " vaes", " vpclmulqdq",
		" avx512f", " avx512bw", " avx512dq", " avx512vl" };
	static char line[8192];
	bool usable = true;
	Aes aes;

	(void)state;
	FILE *cpu = fopen("/proc/cpuinfo", "re");
	assert_non_null(cpu);
	do {
		assert_non_null(fgets(line, sizeof line, cpu));
	} while (strncmp(line, "flags", 5) != 0);
	fclose(cpu);
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		usable = usable && strstr(line, flags[i]) != NULL;
	}
	assert_int_equal(aes_gcm_usable(), usable);
	assert_int_equal(strcmp(tls_library_info().aes_gcm, "VAES") == 0, usable);
	key_set(&aes, KEY_A);
	assert_int_equal(aes.provided, usable);
	/* Another use of the same memory, for which nothing was prepared. */
	assert_int_equal(wc_AesSetKey(&aes, (const byte *)KEY_A, 16, NULL, AES_ENCRYPTION), 0);
	assert_int_equal(aes.provided, 0);
	wc_AesFree(&aes);
}

#else

static void test_who_does_it(void **state)
{
	(void)state;
	assert_string_not_equal(tls_library_info().aes_gcm, "VAES");
}

#endif

static int set_up(void **state)
{
	(void)state;
	if (tls_library_open() != RESULT_OK) return -1;
	printf("AES-GCM: %s\n", tls_library_info().aes_gcm);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_library_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_the_specification),
		cmocka_unit_test(test_every_size_is_as_by_wolfssl),
		cmocka_unit_test(test_nothing_changed_gets_through),
		cmocka_unit_test(test_no_key_is_left_behind),
		cmocka_unit_test(test_who_does_it),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"
#include "lib/guard.h"
#include "store/store_backup.h"

static struct guard guard;

static void expect_sha256(const uint8_t *digest, const char *hex)
{
	uint8_t expected[SHA256_SIZE];
	size_t size;

	assert_int_equal(hex_decode(bytes_of_text(hex), expected, sizeof expected, &size),
		RESULT_OK);
	assert_int_equal(size, SHA256_SIZE);
	assert_memory_equal(digest, expected, SHA256_SIZE);
}

/* The examples of FIPS 180-4, and sizes around the block and its padding. */
static void sha256_known_answers(void **state)
{
	static const struct {
		const char *text;
		const char *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
			"cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};
	uint8_t digest[SHA256_SIZE];
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t size = strlen(rows[i].text);
		const uint8_t *at = guard_place(&guard, bytes_of(rows[i].text, size));
		hash_sha256(bytes_of(at, size), digest);
		expect_sha256(digest, rows[i].hex);
	}
	hash_sha256(BYTES_EMPTY, digest);
	expect_sha256(digest, rows[0].hex);
}

/* The third example of FIPS 180-4: a million times "a". */
static void sha256_of_a_million(void **state)
{
	static uint8_t text[1000000];
	uint8_t digest[SHA256_SIZE];
	(void)state;

	memset(text, 'a', sizeof text);
	hash_sha256(bytes_of(text, sizeof text), digest);
	expect_sha256(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* The first bytes of a file, in pieces; fewer than asked for are an error and not a crash. */
static void sha256_of_a_file(void **state)
{
	static uint8_t text[1000000];
	uint8_t digest[SHA256_SIZE];
	(void)state;

	int fd = memfd_create("hash", MFD_CLOEXEC);
	assert_true(fd >= 0);
	memset(text, 'a', sizeof text);
	assert_int_equal(write(fd, text, sizeof text), sizeof text);
	assert_int_equal(write(fd, "b", 1), 1);
	assert_true((store_backup_hash(fd, sizeof text, digest) == RESULT_OK));
	expect_sha256(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	assert_true((store_backup_hash(fd, 0, digest) == RESULT_OK));
	expect_sha256(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	assert_int_equal(ftruncate(fd, sizeof text / 2), 0);
	assert_false((store_backup_hash(fd, sizeof text, digest) == RESULT_OK));
	assert_int_equal(errno, EIO);
	close(fd);
	assert_false((store_backup_hash(fd, 1, digest) == RESULT_OK));
	assert_int_equal(errno, EBADF);
}

/* A digest over parts is that over their concatenation, wherever the cuts are. */
static void sha256_of_parts(void **state)
{
	uint8_t text[200];
	uint8_t whole[SHA256_SIZE];
	uint8_t digest[SHA256_SIZE];
	(void)state;

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 7);
	hash_sha256(bytes_of(text, sizeof text), whole);
	for (size_t cut = 0; cut <= sizeof text; cut++) {
		const struct bytes parts[] = { bytes_of(text, cut), BYTES_EMPTY,
			bytes_of(text + cut, sizeof text - cut) };
		hash_sha256_parts(parts, ARRAY_COUNT(parts), digest);
		assert_memory_equal(digest, whole, SHA256_SIZE);
	}
	hash_sha256_parts(NULL, 0, digest);
	expect_sha256(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Several together are what each is alone, whatever their number and sizes, and nothing beyond the
 * room behind a message is touched. */
static void sha256_of_each(void **state)
{
	enum { SIZE_MAX_HERE = 600, MARK = 0xa5 };
	static uint8_t plain[SIZE_MAX_HERE];
	static uint8_t texts[HASH_MESSAGES_MAX][SIZE_MAX_HERE + HASH_ROOM + 1];
	uint8_t digests[HASH_MESSAGES_MAX][SHA256_SIZE];
	struct hash_message messages[HASH_MESSAGES_MAX];
	uint8_t alone[SHA256_SIZE];
	(void)state;

	for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i * 11);
	for (size_t step = 0; step < SIZE_MAX_HERE; step++) {
		size_t count = step % (HASH_MESSAGES_MAX + 1);
		for (size_t i = 0; i < count; i++) {
			size_t size = (step + i * (step % 41)) % SIZE_MAX_HERE;
			/* They end where the text does, so that they differ. */
			memcpy(texts[i], plain + sizeof plain - size, size);
			texts[i][size + HASH_ROOM] = MARK;
			messages[i] = (struct hash_message){ texts[i], size, digests[i] };
		}
		hash_sha256_each(messages, count);
		for (size_t i = 0; i < count; i++) {
			size_t size = messages[i].size;
			hash_sha256(bytes_of(plain + sizeof plain - size, size), alone);
			assert_memory_equal(digests[i], alone, SHA256_SIZE);
			assert_int_equal(texts[i][size + HASH_ROOM], MARK);
		}
	}
}

/* The fast hashes are those of xxHash, which records on disk rely on: its published values for
 * no input, and a value that must never change for some. */
static void xxh3_known_answers(void **state)
{
	(void)state;

	assert_int_equal(hash_xxh3(BYTES_EMPTY, 0), UINT64_C(0x2d06800538d394c2));
	struct hash128 empty = hash_xxh128(BYTES_EMPTY, 0);
	assert_int_equal(empty.high, UINT64_C(0x99aa06d3014798d8));
	assert_int_equal(empty.low, UINT64_C(0x6001c324468d497f));
}

/* Of any size and seed they are what the library says, that this was not built from. */
static void xxh3_is_the_library_s(void **state)
{
	static uint8_t text[3000];
	struct random random = { .state = 3 };
	(void)state;

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)random_u64(&random);
	for (size_t size = 0; size <= sizeof text; size++) {
		struct bytes bytes = bytes_of(guard_place(&guard, bytes_of(text, size)), size);
		uint64_t seed = size % 3 == 0 ? 0 : random_u64(&random);
		XXH128_hash_t wanted = XXH3_128bits_withSeed(bytes.data, size, seed);
		struct hash128 hash = hash_xxh128(bytes, seed);
		assert_int_equal(hash.low, wanted.low64);
		assert_int_equal(hash.high, wanted.high64);
		assert_int_equal(hash_xxh3(bytes, seed),
			XXH3_64bits_withSeed(bytes.data, size, seed));
	}
}

/* Short texts take another way than long ones: to the library's digest, all of them. */
static void sha256_is_the_library_s(void **state)
{
	static uint8_t text[1200];
	struct random random = { .state = 4 };
	(void)state;

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)random_u64(&random);
	for (size_t size = 0; size <= sizeof text; size++) {
		struct bytes bytes = bytes_of(guard_place(&guard, bytes_of(text, size)), size);
		size_t cut = size == 0 ? 0 : random_below(&random, size);
		const struct bytes parts[] = { bytes_of(bytes.data, cut), bytes_from(bytes, cut) };
		uint8_t wanted[SHA256_SIZE];
		uint8_t digest[SHA256_SIZE];
		assert_int_equal(wc_Sha256Hash(bytes.data, (word32)size, wanted), 0);
		hash_sha256_parts(parts, ARRAY_COUNT(parts), digest);
		assert_memory_equal(digest, wanted, SHA256_SIZE);
	}
}

/* Content, size and seed all count. */
static void xxh3_tells_apart(void **state)
{
	const struct bytes views[] = { BYTES_EMPTY, BYTES_LITERAL("a"), BYTES_LITERAL("b"),
		BYTES_LITERAL("\0"), BYTES_LITERAL("\0\0"), BYTES_LITERAL("ab"),
		BYTES_LITERAL("ba") };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
		assert_int_not_equal(hash_xxh3(views[i], 0), hash_xxh3(views[i], 1));
		for (size_t j = 0; j < i; j++) {
			struct hash128 a = hash_xxh128(views[i], 0);
			struct hash128 b = hash_xxh128(views[j], 0);
			assert_int_not_equal(hash_xxh3(views[i], 0), hash_xxh3(views[j], 0));
			assert_true(a.low != b.low && a.high != b.high);
		}
	}

	/* Inputs of any size are read to their end and no further. */
	for (size_t size = 1; size <= 600; size++) {
		static uint8_t zeros[600];
		uint8_t *at = guard_place(&guard, bytes_of(zeros, size));
		uint64_t before = hash_xxh3(bytes_of(at, size), 0);
		at[size - 1] = 1;
		assert_int_not_equal(hash_xxh3(bytes_of(at, size), 0), before);
	}
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, 3000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_known_answers),
		cmocka_unit_test(sha256_of_a_million),
		cmocka_unit_test(sha256_of_parts),
		cmocka_unit_test(sha256_of_each),
		cmocka_unit_test(sha256_of_a_file),
		cmocka_unit_test(xxh3_known_answers),
		cmocka_unit_test(xxh3_is_the_library_s),
		cmocka_unit_test(sha256_is_the_library_s),
		cmocka_unit_test(xxh3_tells_apart),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

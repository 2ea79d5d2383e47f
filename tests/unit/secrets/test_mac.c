/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MACs are those of RFC 2202 and RFC 4231, however the message is cut into parts. */
#include "secrets/mac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

enum { TEXT_MAX = 160 };

/* A text, or one byte many times. */
struct repeated {
	const char *text;
	uint8_t byte;
	size_t count;
};

static struct bytes spell(const struct repeated *from, uint8_t to[static TEXT_MAX])
{
	if (from->text != NULL) return bytes_of_text(from->text);
	assert_true(from->count <= TEXT_MAX);
	memset(to, from->byte, from->count);
	return bytes_of(to, from->count);
}

static const struct vector {
	const char *name;
	struct repeated key;
	struct repeated message;
	const char *sha1; /* NULL: the RFC has no such case */
	const char *sha256;
	const char *sha512;
} vectors[] = {
	{ "RFC 2202 §3 case 1, RFC 4231 §4.2 (case 1)", { NULL, 0x0b, 20 }, { "Hi There", 0, 0 },
		"b617318655057264e28bc0b6fb378c8ef146be00",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
		"daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
	{ "RFC 2202 §3 case 2, RFC 4231 §4.3 (case 2)", { "Jefe", 0, 0 },
		{ "what do ya want for nothing?", 0, 0 },
		"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
		"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
	{ "RFC 2202 §3 case 3, RFC 4231 §4.4 (case 3)", { NULL, 0xaa, 20 }, { NULL, 0xdd, 50 },
		"125d7342b9ac11cd91a39af48aa17b4f63f175d3",
		"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
		"fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
		"bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb" },
	{ "RFC 4231 §4.5 (case 4), RFC 2202 §3 case 4",
		{ "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
		  "\x11\x12\x13\x14\x15\x16\x17\x18\x19",
			0, 0 },
		{ NULL, 0xcd, 50 }, "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
		"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
		"b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
		"a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd" },
	{ "RFC 2202 §3 case 6", { NULL, 0xaa, 80 },
		{ "Test Using Larger Than Block-Size Key - Hash Key First", 0, 0 },
		"aa4ae5e15272d00e95705637ce8a3b55ed402112", NULL, NULL },
	{ "RFC 2202 §3 case 7", { NULL, 0xaa, 80 },
		{ "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data", 0,
			0 },
		"e8e99d0f45237d786d6bbaa7965c7808bbff1a91", NULL, NULL },
	{ "RFC 4231 §4.7 (case 6)", { NULL, 0xaa, 131 },
		{ "Test Using Larger Than Block-Size Key - Hash Key First", 0, 0 }, NULL,
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
		"6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
	{ "RFC 4231 §4.8 (case 7)", { NULL, 0xaa, 131 },
		{ "This is a test using a larger than block-size key and a larger than block-size "
		  "data. The key needs to be hashed before being used by the HMAC algorithm.",
			0, 0 },
		NULL, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
		"e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
		"b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58" },
};

static void assert_mac(const struct vector *vector, enum mac_digest digest, const char *wanted)
{
	uint8_t key_bytes[TEXT_MAX], message_bytes[TEXT_MAX], mac[MAC_SIZE_MAX];
	char text[2 * MAC_SIZE_MAX + 1] = { 0 };
	struct bytes message = spell(&vector->message, message_bytes);
	struct mac_key *key = NULL;

	if (wanted == NULL) return;
	assert_int_equal(mac_key_create(digest, spell(&vector->key, key_bytes), &key), RESULT_OK);
	assert_int_equal(2 * mac_size(key), strlen(wanted));
	for (size_t cut = 0; cut <= message.size; cut++) {
		const struct bytes parts[] = {
			bytes_of(message.data, cut),
			BYTES_EMPTY,
			bytes_from(message, cut),
		};
		assert_int_equal(mac_compute(key, parts, ARRAY_COUNT(parts), mac), mac_size(key));
		hex_encode(bytes_of(mac, mac_size(key)), text);
		if (strcmp(text, wanted) != 0) fail_msg("%s, cut at %zu", vector->name, cut);
	}
	mac_key_free(key);
}

static void test_published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
		assert_mac(&vectors[i], MAC_SHA1, vectors[i].sha1);
		assert_mac(&vectors[i], MAC_SHA256, vectors[i].sha256);
		assert_mac(&vectors[i], MAC_SHA512, vectors[i].sha512);
	}
}

/* A key of exactly one block is used as it is, of one byte more it is hashed: both sides of
 * the boundary differ from each other and stay the same when computed again. */
static void test_keys_around_the_block_size(void **state)
{
	static const enum mac_digest digests[] = { MAC_SHA1, MAC_SHA256, MAC_SHA512 };
	static const size_t blocks[] = { 64, 64, 128 };
	static const uint8_t bytes[129] = { 1 };
	struct bytes message = BYTES_LITERAL("message");

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(digests); i++) {
		uint8_t mac[3][MAC_SIZE_MAX];
		for (size_t k = 0; k < 3; k++) {
			struct mac_key *key = NULL;
			struct bytes secret = bytes_of(bytes, blocks[i] + k / 2);
			assert_int_equal(mac_key_create(digests[i], secret, &key), RESULT_OK);
			mac_compute(key, &message, 1, mac[k]);
			mac_key_free(key);
		}
		assert_memory_equal(mac[0], mac[1], 20);
		assert_memory_not_equal(mac[0], mac[2], 20);
	}
}

enum { BODY_MAX = 500 };

static const enum mac_digest all_digests[] = { MAC_SHA1, MAC_SHA256, MAC_SHA512 };

static void assert_as_alone(const struct mac_work *work)
{
	const struct bytes parts[] = { work->before, work->body };
	uint8_t mac[MAC_SIZE_MAX];
	uint8_t sha256[SHA256_SIZE];

	size_t size = mac_compute(work->key, parts, ARRAY_COUNT(parts), mac);
	hash_sha256(work->body, sha256);
	assert_memory_equal(work->mac, mac, size);
	assert_memory_equal(work->body_sha256, sha256, SHA256_SIZE);
}

/* One alone: wherever what stands before it and the last block end. */
static void test_mac_and_hash_of_one(void **state)
{
	static uint8_t text[BODY_MAX];
	(void)state;

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 7 + 1);
	for (size_t d = 0; d < ARRAY_COUNT(all_digests); d++) {
		struct mac_key *key = NULL;
		assert_int_equal(mac_key_create(all_digests[d], BYTES_LITERAL("key"), &key),
			RESULT_OK);
		for (size_t before = 0; before <= MAC_BEFORE_SIZE_MAX; before++) {
			for (size_t size = 0; size < 4 * 64; size++) {
				struct mac_work work = {
					.key = key,
					.before = bytes_of(text, before),
					.body = bytes_of(text + sizeof text - size, size),
				};
				mac_compute_each(&work, 1);
				assert_as_alone(&work);
			}
		}
		mac_key_free(key);
	}
}

/* Any number of any size, with and without something before them, under keys of their own; one of
 * another digest among them, or not. */
static void test_mac_and_hash_of_each(void **state)
{
	static uint8_t text[BODY_MAX];
	struct random random = { .state = 11 };
	struct mac_key *keys[4] = { NULL };
	(void)state;

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)random_u64(&random);
	for (size_t k = 0; k < ARRAY_COUNT(keys); k++) {
		enum mac_digest digest = k < 3 ? MAC_SHA256 : MAC_SHA1;
		assert_int_equal(mac_key_create(digest, bytes_of(text, k + 1), &keys[k]),
			RESULT_OK);
	}
	for (unsigned round = 0; round < 3000; round++) {
		struct mac_work work[MAC_WORK_MAX];
		size_t count = random_below(&random, MAC_WORK_MAX + 1);
		uint64_t key_count = round % 10 == 0 ? 4 : 3;
		uint64_t before_every = 1 + random_below(&random, 3);
		for (size_t i = 0; i < count; i++) {
			size_t before = random_below(&random, MAC_BEFORE_SIZE_MAX + 1);
			size_t size = random_below(&random, round % 3 == 0 ? 40 : BODY_MAX + 1);
			if (random_below(&random, before_every) > 0) before = 0;
			work[i] = (struct mac_work){
				.key = keys[random_below(&random, key_count)],
				.before = bytes_of(text, before),
				.body = bytes_of(text + sizeof text - size, size),
			};
		}
		mac_compute_each(work, count);
		for (size_t i = 0; i < count; i++) assert_as_alone(&work[i]);
	}
	for (size_t k = 0; k < ARRAY_COUNT(keys); k++) mac_key_free(keys[k]);
}

static void test_an_empty_key_is_refused(void **state)
{
	struct mac_key *key = NULL;
	(void)state;
	assert_int_equal(mac_key_create(MAC_SHA256, BYTES_EMPTY, &key), RESULT_MALFORMED);
	assert_null(key);
	mac_key_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_keys_around_the_block_size),
		cmocka_unit_test(test_mac_and_hash_of_one),
		cmocka_unit_test(test_mac_and_hash_of_each),
		cmocka_unit_test(test_an_empty_key_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

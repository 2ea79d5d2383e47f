/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree has the roots that RFC 6962 says it has, whatever way it was built. */
#include "audit/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "audit/leaf.h"
#include "base/check.h"

static void assert_hex(const uint8_t hash[static SHA256_SIZE], const char *expected)
{
	char text[2 * SHA256_SIZE + 1] = "";
	hex_encode(bytes_of(hash, SHA256_SIZE), text);
	assert_string_equal(text, expected);
}

static void leaf_of(struct bytes data, uint8_t hash[static SHA256_SIZE])
{
	static const uint8_t prefix = TREE_LEAF_PREFIX;
	const struct bytes parts[] = { bytes_of(&prefix, 1), data };
	hash_sha256_parts(parts, ARRAY_COUNT(parts), hash);
}

/* The leaves and roots of the reference implementation of Certificate Transparency. */
static void test_known_answers(void **state)
{
	(void)state;
	static const struct {
		const char *leaf;
		const char *root; /* of the tree up to this leaf */
	} cases[] = {
		{ "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
		{ "00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
		{ "10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
		{ "2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
		{ "3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
		{ "40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
		{ "5051525354555657",
			"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
		{ "606162636465666768696a6b6c6d6e6f",
			"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
	};
	struct tree tree = { 0 };
	uint8_t root[SHA256_SIZE];

	tree_root(&tree, root);
	assert_hex(root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint8_t leaf[32];
		uint8_t hash[SHA256_SIZE];
		size_t size;
		assert_int_equal(hex_decode(bytes_of_text(cases[i].leaf), leaf, sizeof leaf, &size),
			RESULT_OK);
		leaf_of(bytes_of(leaf, size), hash);
		tree_append(&tree, hash);
		tree_root(&tree, root);
		assert_hex(root, cases[i].root);
	}
}

enum { LEAVES = 700 };

static uint8_t leaves[LEAVES][SHA256_SIZE];

static void make_leaves(void)
{
	for (unsigned i = 0; i < LEAVES; i++) {
		uint8_t number[2] = { (uint8_t)i, (uint8_t)(i >> 8) };
		leaf_of(bytes_of(number, sizeof number), leaves[i]);
	}
}

/* "MTH(D[n]) = HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two smaller
 * than n", word by word. */
static void naive_root(unsigned first, unsigned count, uint8_t root[static SHA256_SIZE])
{
	uint8_t left[SHA256_SIZE];
	uint8_t right[SHA256_SIZE];
	unsigned k = 1;

	if (count == 1) {
		memcpy(root, leaves[first], SHA256_SIZE);
		return;
	}
	while (k * 2 < count) k *= 2;
	naive_root(first, k, left);
	naive_root(first + k, count - k, right);
	tree_node_hash(left, right, root);
}

static void test_as_the_naive_tree(void **state)
{
	(void)state;
	struct tree tree = { 0 };
	uint8_t root[SHA256_SIZE];
	uint8_t expected[SHA256_SIZE];

	make_leaves();
	for (unsigned count = 1; count <= LEAVES; count++) {
		tree_append(&tree, leaves[count - 1]);
		if (count > 130 && count % 37 != 0 && count != 256 && count != 512) continue;
		tree_root(&tree, root);
		naive_root(0, count, expected);
		assert_memory_equal(root, expected, SHA256_SIZE);
	}
}

/* From every size of tree, every number of leaves at once: the frontier of one after the other. */
static void test_all_at_once_as_one_after_the_other(void **state)
{
	(void)state;
	struct tree start = { 0 };

	make_leaves();
	for (unsigned before = 0; before < 140; before++) {
		struct tree tree = start;
		for (unsigned count = 0; count <= TREE_APPEND_MAX; count++) {
			struct tree other = start;
			tree_append_all(&other, (const uint8_t(*)[SHA256_SIZE])leaves[before],
				count);
			assert_int_equal(other.leaf_count, tree.leaf_count);
			for (unsigned level = 0; level < TREE_LEVELS_MAX; level++) {
				if ((tree.leaf_count >> level & 1) == 0) continue;
				assert_memory_equal(other.frontier[level], tree.frontier[level],
					SHA256_SIZE);
			}
			tree_append(&tree, leaves[before + count]);
		}
		tree_append(&start, leaves[before]);
	}
}

/* A stored frontier goes on where it stopped, whatever its size; a cut one is refused. */
static void test_stored_and_read(void **state)
{
	(void)state;
	uint8_t memory[8 + TREE_LEVELS_MAX * SHA256_SIZE];
	struct tree tree = { 0 };

	make_leaves();
	for (unsigned count = 0; count < 70; count++) {
		struct writer writer = writer_of(memory, sizeof memory);
		struct tree read;
		tree_encode(&tree, &writer);
		assert_false(writer.failed);
		struct reader reader = reader_of(writer_bytes(&writer));
		assert_int_equal(tree_decode(&read, &reader), RESULT_OK);
		assert_true(reader_complete(&reader));
		assert_memory_equal(&read.leaf_count, &tree.leaf_count, sizeof tree.leaf_count);

		uint8_t root[SHA256_SIZE];
		uint8_t expected[SHA256_SIZE];
		tree_append(&read, leaves[count]);
		tree_append(&tree, leaves[count]);
		tree_root(&read, root);
		tree_root(&tree, expected);
		assert_memory_equal(root, expected, SHA256_SIZE);
		for (size_t size = 0; size < writer.size; size++) {
			reader = reader_of(bytes_of(memory, size));
			assert_int_equal(tree_decode(&read, &reader), RESULT_MALFORMED);
		}
	}
	struct writer writer = writer_of(memory, sizeof memory);
	struct tree read;
	write_u64(&writer, UINT64_C(1) << TREE_LEVELS_MAX);
	struct reader reader = reader_of(writer_bytes(&writer));
	assert_int_equal(tree_decode(&read, &reader), RESULT_MALFORMED);
}

/* Whatever differs in what a leaf is about makes another leaf. */
static void test_a_leaf_commits_to_its_subject(void **state)
{
	(void)state;
	static const struct {
		uint16_t shard;
		struct audit_subject subject;
		const char *record;
	} cases[] = {
		{ 1, { AUDIT_EVENT, 5, 0, 0 }, "record" },
		{ 2, { AUDIT_EVENT, 5, 0, 0 }, "record" },
		{ 1, { AUDIT_ATTEMPT, 5, 0, 0 }, "record" },
		{ 1, { AUDIT_EVENT, 6, 0, 0 }, "record" },
		{ 1, { AUDIT_EVENT, 5, 1, 0 }, "record" },
		{ 1, { AUDIT_EVENT, 5, 0, 1 }, "record" },
		{ 1, { AUDIT_EVENT, 5, 0, 0 }, "recorf" },
		{ 1, { AUDIT_EVENT, 5, 0, 0 }, "" },
	};
	uint8_t hashes[ARRAY_COUNT(cases)][SHA256_SIZE];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct bytes record = bytes_of_text(cases[i].record);
		leaf_hash(cases[i].shard, &cases[i].subject, record, hashes[i]);
		for (size_t j = 0; j < i; j++) {
			assert_memory_not_equal(hashes[i], hashes[j], SHA256_SIZE);
		}
	}
	uint8_t hash[SHA256_SIZE];
	/* The format is for others to recompute: here from the words of leaf.h. */
	static const uint8_t bytes[] = "\0\1\1\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0record";
	hash_sha256(bytes_of(bytes, sizeof bytes - 1), hash);
	assert_memory_equal(hash, hashes[0], SHA256_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_as_the_naive_tree),
		cmocka_unit_test(test_all_at_once_as_one_after_the_other),
		cmocka_unit_test(test_stored_and_read),
		cmocka_unit_test(test_a_leaf_commits_to_its_subject),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

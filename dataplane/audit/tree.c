/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/tree.h"

#include "base/check.h"

enum { LEAF_HASH_PARTS_MAX = 4 };

/* RFC 9162 §2.1.1: "MTH({d[0]}) = HASH(0x00 || d[0])", "MTH(D[n]) = HASH(0x01 ||
 * MTH(D[0:k]) || MTH(D[k:n]))": the first byte keeps a node from being taken for a leaf. */
static const uint8_t leaf_prefix = 0x00;
static const uint8_t node_prefix = 0x01;

void tree_leaf_hash(const struct bytes *parts, size_t part_count, uint8_t hash[static SHA256_SIZE])
{
	struct bytes all[1 + LEAF_HASH_PARTS_MAX];

	CHECK(part_count <= LEAF_HASH_PARTS_MAX);
	all[0] = bytes_of(&leaf_prefix, 1);
	for (size_t i = 0; i < part_count; i++) all[1 + i] = parts[i];
	hash_sha256_parts(all, 1 + part_count, hash);
}

void tree_node_hash(const uint8_t left[static SHA256_SIZE], const uint8_t right[static SHA256_SIZE],
	uint8_t hash[static SHA256_SIZE])
{
	const struct bytes parts[] = {
		bytes_of(&node_prefix, 1),
		bytes_of(left, SHA256_SIZE),
		bytes_of(right, SHA256_SIZE),
	};
	hash_sha256_parts(parts, ARRAY_COUNT(parts), hash);
}

void tree_append(struct tree *tree, const uint8_t leaf_hash[static SHA256_SIZE])
{
	uint8_t hash[SHA256_SIZE];
	unsigned level = 0;

	/* As adding one to a binary number: where there is a full subtree, the two make a larger
	 * one, and the carry goes up. */
	memcpy(hash, leaf_hash, sizeof hash);
	for (; (tree->leaf_count >> level & 1) != 0; level++) {
		tree_node_hash(tree->frontier[level], hash, hash);
	}
	CHECK(level < TREE_LEVELS_MAX);
	memcpy(tree->frontier[level], hash, sizeof hash);
	tree->leaf_count++;
}

void tree_root(const struct tree *tree, uint8_t root[static SHA256_SIZE])
{
	if (tree->leaf_count == 0) {
		hash_sha256(BYTES_EMPTY, root);
		return;
	}
	bool started = false;
	for (unsigned level = 0; level < TREE_LEVELS_MAX; level++) {
		if ((tree->leaf_count >> level & 1) == 0) continue;
		if (!started) {
			memcpy(root, tree->frontier[level], SHA256_SIZE);
			started = true;
		} else {
			tree_node_hash(tree->frontier[level], root, root);
		}
	}
	CHECK(started);
}

void tree_encode(const struct tree *tree, struct writer *writer)
{
	write_u64(writer, tree->leaf_count);
	for (unsigned level = 0; level < TREE_LEVELS_MAX; level++) {
		if ((tree->leaf_count >> level & 1) == 0) continue;
		write_bytes(writer, bytes_of(tree->frontier[level], SHA256_SIZE));
	}
}

enum result tree_decode(struct tree *ret, struct reader *reader)
{
	*ret = (struct tree){ .leaf_count = read_u64(reader) };
	if (ret->leaf_count >> TREE_LEVELS_MAX != 0) {
		*ret = (struct tree){ 0 };
		return RESULT_MALFORMED;
	}
	for (unsigned level = 0; level < TREE_LEVELS_MAX; level++) {
		if ((ret->leaf_count >> level & 1) == 0) continue;
		struct bytes hash = read_bytes(reader, SHA256_SIZE);
		if (hash.size == SHA256_SIZE) memcpy(ret->frontier[level], hash.data, SHA256_SIZE);
	}
	return reader->failed ? RESULT_MALFORMED : RESULT_OK;
}

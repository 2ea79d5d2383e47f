/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/tree.h"

#include "base/check.h"

enum { NODE_SIZE = 1 + 2 * SHA256_SIZE };

void tree_node_hash(const uint8_t left[static SHA256_SIZE], const uint8_t right[static SHA256_SIZE],
	uint8_t hash[static SHA256_SIZE])
{
	static const uint8_t prefix = TREE_NODE_PREFIX;
	const struct bytes parts[] = {
		bytes_of(&prefix, 1),
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

/* Subtrees of one size, from left to right: one that was there before, or none, and new ones. */
struct tree_row {
	const uint8_t *before;
	uint8_t (*hash)[SHA256_SIZE];
	size_t count; /* of all */
};

static const uint8_t *row_at(const struct tree_row *row, size_t i)
{
	if (row->before == NULL) return row->hash[i];
	return i == 0 ? row->before : row->hash[i - 1];
}

static void node_encode(const struct tree_row *row, size_t pair, uint8_t to[static NODE_SIZE])
{
	to[0] = TREE_NODE_PREFIX;
	memcpy(to + 1, row_at(row, 2 * pair), SHA256_SIZE);
	memcpy(to + 1 + SHA256_SIZE, row_at(row, 2 * pair + 1), SHA256_SIZE);
}

/* Each pair becomes a node, in the place of the first; returns how many. A node's place has been
 * read when it is written. */
static size_t join_pairs(const struct tree_row *row)
{
	uint8_t texts[HASH_MESSAGES_MAX][NODE_SIZE + HASH_ROOM];
	struct hash_message messages[HASH_MESSAGES_MAX];
	size_t pair_count = row->count / 2;
	size_t waiting = 0;

	for (size_t pair = 0; pair < pair_count; pair++) {
		node_encode(row, pair, texts[waiting]);
		messages[waiting] =
			(struct hash_message){ texts[waiting], NODE_SIZE, row->hash[pair] };
		if (++waiting < HASH_MESSAGES_MAX && pair + 1 < pair_count) continue;
		hash_sha256_each(messages, waiting);
		waiting = 0;
	}
	return pair_count;
}

void tree_append_all(struct tree *tree, const uint8_t (*leaf_hashes)[SHA256_SIZE], size_t count)
{
	uint8_t hashes[TREE_APPEND_MAX][SHA256_SIZE];
	size_t new_count = count;

	CHECK(count <= TREE_APPEND_MAX);
	memcpy(hashes, leaf_hashes, count * SHA256_SIZE);
	for (unsigned level = 0; new_count > 0; level++) {
		CHECK(level < TREE_LEVELS_MAX);
		bool has_before = (tree->leaf_count >> level & 1) != 0;
		const struct tree_row row = {
			.before = has_before ? tree->frontier[level] : NULL,
			.hash = hashes,
			.count = new_count + has_before,
		};
		uint8_t last[SHA256_SIZE];
		memcpy(last, row_at(&row, row.count - 1), SHA256_SIZE);
		new_count = join_pairs(&row);
		if (row.count % 2 != 0) memcpy(tree->frontier[level], last, SHA256_SIZE);
	}
	tree->leaf_count += count;
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tree — an append-only Merkle tree (RFC 6962 / RFC 9162 hashing), kept as its frontier: the
 * roots of its full subtrees. Pure; penstockctl and the auditor's tool use it too.
 */
#pragma once

#include "base/cursor.h"
#include "base/hash.h"

enum { TREE_LEVELS_MAX = 56 };

struct tree {
	uint64_t leaf_count;
	/* frontier[i] is meaningful when bit i of leaf_count is set: the root of 2^i leaves. */
	uint8_t frontier[TREE_LEVELS_MAX][SHA256_SIZE];
};

/* RFC 9162 §2.1.1: "MTH({d[0]}) = HASH(0x00 || d[0])", "MTH(D[n]) = HASH(0x01 || MTH(D[0:k]) ||
 * MTH(D[k:n]))": the first byte keeps a node from being taken for a leaf. */
enum { TREE_LEAF_PREFIX = 0x00, TREE_NODE_PREFIX = 0x01 };

/* SHA-256(0x01 || left || right) */
void tree_node_hash(const uint8_t left[static SHA256_SIZE], const uint8_t right[static SHA256_SIZE],
	uint8_t hash[static SHA256_SIZE]);
void tree_append(struct tree *tree, const uint8_t leaf_hash[static SHA256_SIZE]);
/* Several in order, as tree_append() for each, but with their nodes hashed side by side. At most
 * TREE_APPEND_MAX. */
enum { TREE_APPEND_MAX = 84 };
void tree_append_all(struct tree *tree, const uint8_t (*leaf_hashes)[SHA256_SIZE], size_t count);
/* Of the empty tree: SHA-256 of nothing. */
void tree_root(const struct tree *tree, uint8_t root[static SHA256_SIZE]);

void tree_encode(const struct tree *tree, struct writer *writer);
MUST_USE enum result tree_decode(struct tree *ret, struct reader *reader);

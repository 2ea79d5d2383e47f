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

/* SHA-256(0x00 || parts…) */
void tree_leaf_hash(const struct bytes *parts, size_t part_count, uint8_t hash[static SHA256_SIZE]);
/* SHA-256(0x01 || left || right) */
void tree_node_hash(const uint8_t left[static SHA256_SIZE], const uint8_t right[static SHA256_SIZE],
	uint8_t hash[static SHA256_SIZE]);
void tree_append(struct tree *tree, const uint8_t leaf_hash[static SHA256_SIZE]);
/* Of the empty tree: SHA-256 of nothing. */
void tree_root(const struct tree *tree, uint8_t root[static SHA256_SIZE]);

void tree_encode(const struct tree *tree, struct writer *writer);
MUST_USE enum result tree_decode(struct tree *ret, struct reader *reader);

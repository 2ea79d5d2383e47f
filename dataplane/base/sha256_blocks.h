/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_blocks — SHA-256 by the CPU's instructions alone: states that are eight words, and whole
 * blocks that are fed to one of them or to two at once.
 *
 * One state waits for its own rounds half of the time. A message whose HMAC is checked is also
 * hashed for the record, over the same blocks from two states: the message schedule is computed
 * once, and the rounds of one fill the waits of the other. Three quarters of the time of one after
 * the other.
 *
 * For everything else there is wolfCrypt; but what it does around the blocks is as much as one of
 * them, and a leaf or a node of the audit log has two to six.
 *
 * Pure, any thread; the time depends on sizes only. Nothing is wiped.
 */
#pragma once

#include "base/bytes.h"

enum { SHA256_BLOCK_SIZE = 64, SHA256_STATE_WORDS = 8, SHA256_STATE_SIZE = 32 };

/* FIPS 180-4's H0 to H7. */
struct sha256_state {
	uint32_t word[SHA256_STATE_WORDS];
};
/* Before the first block. */
extern const struct sha256_state sha256_initial;
/* What is added in each round. */
enum { SHA256_ROUNDS = 64 };
extern const uint32_t sha256_constants[SHA256_ROUNDS];

/* Whether the CPU has the instructions. Where it has not, it is an error to feed a state. */
bool sha256_blocks_usable(void);

void sha256_one(struct sha256_state *state, const uint8_t *blocks, size_t count);
/* The same blocks. */
void sha256_pair(struct sha256_state *first, struct sha256_state *second, const uint8_t *blocks,
	size_t count);
/* To each its own. */
void sha256_two(struct sha256_state *first, const uint8_t *first_blocks,
	struct sha256_state *second, const uint8_t *second_blocks, size_t count);

/* Behind the last `rest_size` bytes of a message of `size` bytes, those that do not fill a block:
 * what completes it. Returns how many blocks they are then: 1 or, with no room (from 56 bytes on),
 * 2. All of them is written. */
size_t sha256_pad(uint8_t *rest, size_t rest_size, uint64_t size);
/* The words as bytes: after the last block, the digest. */
void sha256_state_write(const struct sha256_state *state, uint8_t to[static SHA256_STATE_SIZE]);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sha256_pair — two SHA-256 states fed the same blocks at once.
 *
 * A message whose HMAC is checked is also hashed for the record. Both run over the same blocks,
 * from two states: the message schedule is computed once, and the rounds of one fill the time in
 * which the CPU's SHA instructions of the other are not done yet. Three quarters of the time of one
 * after the other.
 */
#pragma once

#include "base/bytes.h"

enum { SHA256_BLOCK_SIZE = 64, SHA256_STATE_WORDS = 8 };

/* The states are FIPS 180-4's H0 to H7; `blocks` has `count` of them. Returns false, and has done
 * nothing, where the CPU has no SHA instructions. Any thread; takes the same time whatever the
 * bytes are. */
bool sha256_pair(uint32_t first[static SHA256_STATE_WORDS],
	uint32_t second[static SHA256_STATE_WORDS], const uint8_t *blocks, size_t count);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mac — HMAC (RFC 2104) with the key's pads hashed in advance, so that a 1 KiB message costs
 * its own blocks and two more. Uses the CPU's SHA instructions where there are any.
 *
 * A mac_key is immutable: any thread may compute with it at once.
 */
#pragma once

#include "base/hash.h"

enum mac_digest { MAC_SHA1, MAC_SHA256, MAC_SHA512 };

enum { MAC_SIZE_MAX = 64 };

struct mac_key;

/* RESULT_MALFORMED for an empty key: a MAC under it would prove nothing. Cold threads. */
MUST_USE enum result mac_key_create(enum mac_digest digest, struct bytes key, struct mac_key **ret);
/* Wipes. Accepts NULL. */
void mac_key_free(struct mac_key *key);
/* 20, 32 or 64 bytes. */
size_t mac_size(const struct mac_key *key);
/* MAC over the concatenation of the parts. Returns the size written. Hot path: no allocation. */
size_t mac_compute(const struct mac_key *key, const struct bytes *parts, size_t part_count,
	uint8_t mac[static MAC_SIZE_MAX]);
/* The same over one message, and the message's own SHA-256, in one pass where the key is for
 * SHA-256 and the CPU can (base/sha256_blocks.h). */
size_t mac_compute_and_hash(const struct mac_key *key, struct bytes message,
	uint8_t mac[static MAC_SIZE_MAX], uint8_t sha256[static SHA256_SIZE]);

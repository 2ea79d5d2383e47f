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
/* Several at once, which where the key is for SHA-256 and the CPU can costs half of one after the
 * other (base/sha256_lanes.h): the MAC over `before` and `body`, and the SHA-256 of the body alone.
 * Hot path: no allocation. */
enum { MAC_WORK_MAX = 16, MAC_BEFORE_SIZE_MAX = 192 };
struct mac_work {
	const struct mac_key *key;
	struct bytes before; /* may be empty; at most MAC_BEFORE_SIZE_MAX */
	struct bytes body;
	/* Set by mac_compute_each(): */
	uint8_t mac[MAC_SIZE_MAX]; /* mac_size(key) of it; the caller's to wipe */
	uint8_t body_sha256[SHA256_SIZE];
};
void mac_compute_each(struct mac_work *work, size_t count);

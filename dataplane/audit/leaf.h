/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leaf — what a leaf of the audit log commits to. Pure; the auditor's tool uses it too.
 *
 * Leaf = SHA-256(0x00 || kind(1) || shard(2) || sequence(8) || target(4) || number(2) || record),
 * integers little-endian, so whoever has the record can check it. The record is
 *   of an event    its encoded header (event.h), which holds the SHA-256 of the payload
 *   of an attempt  the encoded attempt
 *   of an action   the encoded action
 */
#pragma once

#include "base/hash.h"

enum audit_kind { AUDIT_EVENT = 1, AUDIT_ATTEMPT = 2, AUDIT_ACTION = 3 };

/* What a leaf is about: enough to find its record. */
struct audit_subject {
	uint8_t kind;
	uint64_t sequence;
	uint32_t target_id; /* 0 for events */
	uint16_t number;    /* of the attempt; for an action, of the last attempt before it */
	/* An action with sequence 0 is about no delivery: target and number are its counter. */
};

/* What is hashed in front of the record. */
enum { LEAF_PREFIX_SIZE = 18 };
struct leaf_prefix {
	uint8_t data[LEAF_PREFIX_SIZE];
};
struct leaf_prefix leaf_prefix(uint16_t shard, const struct audit_subject *subject);

void leaf_hash(uint16_t shard, const struct audit_subject *subject, struct bytes record,
	uint8_t hash[static SHA256_SIZE]);

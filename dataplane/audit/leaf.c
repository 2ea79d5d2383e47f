/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/leaf.h"

#include "audit/tree.h"
#include "base/check.h"
#include "base/cursor.h"

struct leaf_prefix leaf_prefix(uint16_t shard, const struct audit_subject *subject)
{
	struct leaf_prefix prefix;
	struct writer writer = writer_of(prefix.data, sizeof prefix.data);

	write_u8(&writer, TREE_LEAF_PREFIX);
	write_u8(&writer, subject->kind);
	write_u16(&writer, shard);
	write_u64(&writer, subject->sequence);
	write_u32(&writer, subject->target_id);
	write_u16(&writer, subject->number);
	CHECK(!writer.failed && writer.size == sizeof prefix.data);
	return prefix;
}

void leaf_hash(uint16_t shard, const struct audit_subject *subject, struct bytes record,
	uint8_t hash[static SHA256_SIZE])
{
	const struct leaf_prefix prefix = leaf_prefix(shard, subject);
	const struct bytes parts[] = { bytes_of(prefix.data, sizeof prefix.data), record };
	hash_sha256_parts(parts, ARRAY_COUNT(parts), hash);
}

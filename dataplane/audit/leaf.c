/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "audit/leaf.h"

#include "audit/tree.h"
#include "base/check.h"
#include "base/cursor.h"

enum { PREFIX_SIZE = 17 };

void leaf_hash(uint16_t shard, const struct audit_subject *subject, const struct bytes *record,
	size_t part_count, uint8_t hash[static SHA256_SIZE])
{
	uint8_t prefix[PREFIX_SIZE];
	struct writer writer = writer_of(prefix, sizeof prefix);
	struct bytes parts[1 + LEAF_PARTS_MAX];

	CHECK(part_count <= LEAF_PARTS_MAX);
	write_u8(&writer, subject->kind);
	write_u16(&writer, shard);
	write_u64(&writer, subject->sequence);
	write_u32(&writer, subject->target_id);
	write_u16(&writer, subject->number);
	CHECK(!writer.failed && writer.size == sizeof prefix);

	parts[0] = writer_bytes(&writer);
	for (size_t i = 0; i < part_count; i++) parts[1 + i] = record[i];
	tree_leaf_hash(parts, 1 + part_count, hash);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_migrate — who a store belongs to and which schema it has; the steps that bring an
 * older schema up to ours, all in one transaction. A newer schema is refused untouched.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/cursor.h"
#include "store/store_internal.h"

/* To add a version: bump STORE_SCHEMA_VERSION, add { old version, function }, keep a fixture
 * of the old version for the test. */
static const struct store_migration migrations[] = {
	{ .from = 0, .step = NULL }, /* never released; keeps the table from being empty */
};

#define SCHEMA_KEY BYTES_LITERAL("schema")
#define SHARD_KEY BYTES_LITERAL("shard")

static void put_number(struct store_txn *txn, struct bytes key, uint32_t number)
{
	uint8_t memory[4];
	struct writer writer = writer_of(memory, sizeof memory);

	write_u32(&writer, number);
	struct bytes value = writer_bytes(&writer);
	store_put(txn, STORE_META, key, &value, 1);
}

static enum result get_number(struct store_txn *txn, struct bytes key, uint32_t *ret_number)
{
	struct bytes value;

	TRY(store_get(txn, STORE_META, key, &value));
	struct reader reader = reader_of(value);
	*ret_number = read_u32(&reader);
	return reader_complete(&reader) ? RESULT_OK : RESULT_MALFORMED;
}

enum result store_migrate_steps(struct store_txn *txn, uint32_t from, uint32_t to,
	const struct store_migration *steps, size_t step_count)
{
	for (uint32_t version = from; version < to; version++) {
		const struct store_migration *found = NULL;
		for (size_t i = 0; i < step_count; i++) {
			if (steps[i].from == version && steps[i].step != NULL) found = &steps[i];
		}
		if (found == NULL) return RESULT_VERSION;
		TRY(found->step(txn));
		if (txn->result != RESULT_OK) return txn->result;
	}
	put_number(txn, SCHEMA_KEY, to);
	return txn->result;
}

static enum result create(struct store_txn *txn)
{
	put_number(txn, SCHEMA_KEY, STORE_SCHEMA_VERSION);
	put_number(txn, SHARD_KEY, txn->store->shard);
	return txn->result;
}

enum result store_migrate(struct store_txn *txn, char *error, size_t error_size)
{
	uint32_t schema;
	uint32_t shard;
	enum result result = get_number(txn, SCHEMA_KEY, &schema);
	if (result == RESULT_NOT_FOUND && store_row_count(txn, STORE_META) == 0) return create(txn);
	if (result == RESULT_OK && schema > STORE_SCHEMA_VERSION) {
		snprintf(error, error_size,
			"a newer version wrote the store: schema %u, this version knows %u",
			(unsigned)schema, (unsigned)STORE_SCHEMA_VERSION);
		return RESULT_VERSION;
	}
	if (result == RESULT_OK) result = get_number(txn, SHARD_KEY, &shard);
	if (result != RESULT_OK) {
		snprintf(error, error_size, "the store's identity cannot be read: %s",
			result_text(result));
		return result == RESULT_NOT_FOUND ? RESULT_MALFORMED : result;
	}
	if (shard != txn->store->shard) {
		snprintf(error, error_size, "the store belongs to shard %u and not to shard %u",
			(unsigned)shard, (unsigned)txn->store->shard);
		return RESULT_VERSION;
	}
	if (schema == STORE_SCHEMA_VERSION) return RESULT_OK;
	result = store_migrate_steps(txn, schema, STORE_SCHEMA_VERSION, migrations,
		ARRAY_COUNT(migrations));
	if (result != RESULT_OK) {
		snprintf(error, error_size, "the store cannot be brought from schema %u to %u: %s",
			(unsigned)schema, (unsigned)STORE_SCHEMA_VERSION, result_text(result));
	}
	return result;
}

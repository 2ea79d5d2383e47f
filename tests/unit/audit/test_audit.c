/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log says what happened, and whoever changes it afterwards is found out. */
#include "audit/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/folder.h"

enum { SHARD = 9 };

static char folder[FOLDER_PATH_SIZE];
static struct store *store;
static struct audit audit;
/* What the records are now, by sequence: the record is these bytes; empty: gone. */
static struct bytes records[1000];
static bool may_be_gone;

static int begin(void **state)
{
	char error[256] = "";
	struct store_config config = { .path = folder, .quota_size = UINT64_C(64) << 20 };
	*state = NULL;
	folder_make(folder);
	assert_int_equal(store_open(&config, &store, error, sizeof error), RESULT_OK);
	audit_init(&audit, SHARD);
	for (unsigned i = 0; i < ARRAY_COUNT(records); i++) records[i] = BYTES_LITERAL("record");
	may_be_gone = true;
	return 0;
}

static int end(void **state)
{
	(void)state;
	store_close(store);
	folder_remove(folder);
	return 0;
}

static void append_in(struct store_txn *txn, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const uint64_t sequence = audit.pending_first + audit.pending_count;
		const struct audit_subject subject = { .kind = AUDIT_EVENT, .sequence = sequence };
		assert_int_equal(audit_append(&audit, txn, subject, records[sequence]), sequence);
	}
}

static void commit_leaves(unsigned count)
{
	struct store_txn txn;
	audit_begin(&audit);
	store_write_begin(&txn, store);
	append_in(&txn, count);
	audit_finish(&audit, &txn);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

static bool record_now(void *owner, struct store_txn *txn, const struct audit_subject *subject,
	struct writer *record)
{
	assert_null(owner);
	assert_int_equal(txn->result, RESULT_OK);
	assert_true(subject->sequence < ARRAY_COUNT(records));
	struct bytes bytes = records[subject->sequence];
	if (bytes.size == 0) return !may_be_gone;
	write_bytes(record, bytes);
	return true;
}

static struct audit_report verify(const struct tree *expected)
{
	const struct audit_verifier verifier = { .record = record_now };
	struct audit_report report;
	struct store_txn txn = { 0 };
	store_read_begin(&txn, store);
	assert_int_equal(audit_verify(&txn, SHARD, expected, &verifier, &report), RESULT_OK);
	store_read_done(&txn);
	return report;
}

static void assert_bad(uint64_t index, const char *what)
{
	struct audit_report report = verify(&audit.tree);
	assert_false(report.valid);
	assert_int_equal(report.first_bad_index, index);
	if (strstr(report.error, what) == NULL) fail_msg("%s", report.error);
}

static uint64_t row_count(void)
{
	struct store_txn txn = { 0 };
	store_read_begin(&txn, store);
	uint64_t count = store_row_count(&txn, STORE_LEAVES);
	store_read_done(&txn);
	return count;
}

static struct bytes row_key(uint64_t index)
{
	static uint8_t memory[8];
	struct writer key = writer_of(memory, sizeof memory);
	write_u64_be(&key, index);
	return writer_bytes(&key);
}

/* Leaves of a commit are one row, or as few as hold them; the log is whole. */
static void test_few_rows(void **state)
{
	(void)state;
	static const struct {
		unsigned leaves;
		unsigned rows;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 84, 1 }, { 85, 2 }, { 200, 3 }, { 3, 1 } };
	uint64_t rows = 0;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		commit_leaves(cases[i].leaves);
		rows += cases[i].rows;
		assert_int_equal(row_count(), rows);
	}
	struct audit_report report = verify(&audit.tree);
	assert_true(report.valid);
	assert_int_equal(report.leaf_count, audit.tree.leaf_count);
	assert_int_equal(report.checked_count, audit.tree.leaf_count);
	uint8_t root[SHA256_SIZE];
	tree_root(&audit.tree, root);
	assert_memory_equal(report.root, root, SHA256_SIZE);
}

/* Leaves are hashed in pairs, those with long records alone, and what a batch leaves over with
 * none: each is of its own record. */
static void test_records_of_all_sizes(void **state)
{
	(void)state;
	static uint8_t text[AUDIT_UNHASHED_SIZE_MAX + 1000];
	const size_t around = AUDIT_UNHASHED_SIZE_MAX - LEAF_PREFIX_SIZE;
	const size_t sizes[] = { 1, around + 1, 30, around, around + 800, around + 1, 100, 1, 2 };

	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)i;
	for (unsigned i = 0; i < 200; i++) {
		records[i] = bytes_of(text + i % 100, sizes[i * 7 % ARRAY_COUNT(sizes)]);
	}
	for (unsigned count = 0; audit.tree.leaf_count + count < 200; count++) commit_leaves(count);
	struct audit_report report = verify(&audit.tree);
	assert_true(report.valid);
	assert_int_equal(report.checked_count, audit.tree.leaf_count);
	assert_true(report.checked_count > 150);
}

/* An aborted batch leaves no trace; what was saved goes on. */
static void test_abort_save_load(void **state)
{
	(void)state;
	uint8_t memory[4096];
	struct store_txn txn;

	commit_leaves(10);
	const struct tree before = audit.tree;
	audit_begin(&audit);
	store_write_begin(&txn, store);
	append_in(&txn, 99); /* the last one waits for another */
	store_write_abort(&txn);
	audit_abort(&audit);
	assert_int_equal(audit.tree.leaf_count, before.leaf_count);
	commit_leaves(5);
	assert_true(verify(&audit.tree).valid);

	struct writer saved = writer_of(memory, sizeof memory);
	audit_save(&audit, &saved);
	audit_init(&audit, SHARD);
	struct reader reader = reader_of(writer_bytes(&saved));
	assert_int_equal(audit_load(&audit, &reader), RESULT_OK);
	struct store_txn read = { 0 };
	store_read_begin(&read, store);
	assert_int_equal(audit_check(&audit, &read), RESULT_OK);
	store_read_done(&read);
	commit_leaves(7);
	assert_true(verify(&audit.tree).valid);
	assert_int_equal(audit.tree.leaf_count, 22);
}

/* Leaves of commits after the state that is verified are not looked at. */
static void test_verifies_up_to_a_state(void **state)
{
	(void)state;
	commit_leaves(30);
	const struct tree then = audit.tree;
	commit_leaves(30);
	struct audit_report report = verify(&then);
	assert_true(report.valid);
	assert_int_equal(report.leaf_count, 30);
}

static void test_changed_and_missing_records(void **state)
{
	(void)state;
	commit_leaves(50);
	commit_leaves(50);
	records[70] = BYTES_LITERAL("Record");
	assert_bad(70, "not what was logged");
	assert_int_equal(verify(&audit.tree).mismatch_count, 1);
	assert_int_equal(verify(&audit.tree).checked_count, 99);
	records[70] = BYTES_EMPTY;
	assert_true(verify(&audit.tree).valid);
	assert_int_equal(verify(&audit.tree).expired_count, 1);
	may_be_gone = false;
	assert_bad(70, "missing");
}

static void change_row(uint64_t index, size_t offset)
{
	uint8_t row[STORE_PAYLOAD_SIZE_MAX];
	struct store_txn txn;
	struct bytes value;
	store_write_begin(&txn, store);
	assert_int_equal(store_get(&txn, STORE_LEAVES, row_key(index), &value), RESULT_OK);
	memcpy(row, value.data, value.size);
	row[offset] ^= 1;
	value.data = row;
	store_put(&txn, STORE_LEAVES, row_key(index), &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

/* A leaf that was changed together with its record still does not fit the root. */
static void test_changed_leaf(void **state)
{
	(void)state;
	commit_leaves(50);
	change_row(0, AUDIT_ROW_LEAF_SIZE * 20 + 15);
	assert_bad(20, "not what was logged");
	records[20] = BYTES_EMPTY;
	assert_bad(0, "root");
}

static void delete_row(uint64_t index)
{
	struct store_txn txn;
	store_write_begin(&txn, store);
	assert_true(store_delete(&txn, STORE_LEAVES, row_key(index)));
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
}

static void test_missing_rows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) commit_leaves(20);
	struct store_txn txn = { 0 };
	delete_row(40);
	assert_bad(40, "gap");
	delete_row(80);
	store_read_begin(&txn, store);
	assert_int_equal(audit_check(&audit, &txn), RESULT_MALFORMED);
	store_read_done(&txn);
	delete_row(60);
	assert_bad(40, "too early");
}

static void test_cut_row(void **state)
{
	(void)state;
	struct store_txn txn;
	uint8_t row[STORE_PAYLOAD_SIZE_MAX];
	struct bytes value;

	commit_leaves(20);
	commit_leaves(20);
	store_write_begin(&txn, store);
	assert_int_equal(store_get(&txn, STORE_LEAVES, row_key(20), &value), RESULT_OK);
	memcpy(row, value.data, value.size);
	value = bytes_of(row, value.size - AUDIT_ROW_LEAF_SIZE);
	store_put(&txn, STORE_LEAVES, row_key(20), &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	assert_bad(39, "too early");
	store_write_begin(&txn, store);
	value.size -= 1;
	store_put(&txn, STORE_LEAVES, row_key(20), &value, 1);
	store_write_through(&txn);
	assert_int_equal(store_write_commit(&txn), RESULT_OK);
	assert_bad(20, "damaged");
}

static uint64_t last_progress;

static uint64_t stop_at;

static bool note_progress(void *owner, uint64_t done, uint64_t all)
{
	assert_ptr_equal(owner, &last_progress);
	assert_true(done > last_progress && done <= all);
	last_progress = done;
	return done < stop_at;
}

/* A long log is walked in many transactions, says how far it is, and can be stopped. */
static void test_long_log(void **state)
{
	(void)state;
	const struct audit_verifier verifier = {
		.record = record_now,
		.progress = note_progress,
		.progress_owner = &last_progress,
	};
	struct audit_report report;
	struct store_txn txn = { 0 };

	for (unsigned i = 0; i < 900; i++) commit_leaves(1);
	last_progress = 0;
	stop_at = UINT64_MAX;
	store_read_begin(&txn, store);
	assert_int_equal(audit_verify(&txn, SHARD, &audit.tree, &verifier, &report), RESULT_OK);
	store_read_done(&txn);
	assert_true(report.valid);
	assert_int_equal(report.checked_count, 900);
	assert_true(last_progress >= 512);

	last_progress = 0;
	stop_at = 256;
	store_read_begin(&txn, store);
	assert_int_equal(audit_verify(&txn, SHARD, &audit.tree, &verifier, &report), RESULT_CLOSED);
	store_read_done(&txn);
	assert_false(report.valid);
	assert_int_equal(last_progress, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_few_rows, begin, end),
		cmocka_unit_test_setup_teardown(test_records_of_all_sizes, begin, end),
		cmocka_unit_test_setup_teardown(test_abort_save_load, begin, end),
		cmocka_unit_test_setup_teardown(test_verifies_up_to_a_state, begin, end),
		cmocka_unit_test_setup_teardown(test_changed_and_missing_records, begin, end),
		cmocka_unit_test_setup_teardown(test_changed_leaf, begin, end),
		cmocka_unit_test_setup_teardown(test_missing_rows, begin, end),
		cmocka_unit_test_setup_teardown(test_cut_row, begin, end),
		cmocka_unit_test_setup_teardown(test_long_log, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_check — walks every row of a store that no daemon has open: checksums, the places in the
 * journal and what stands there, and whether the segments count their rows right.
 */
#pragma once

#include "store/store.h"

struct store_check {
	/* Each finding, as a sentence. */
	void (*found)(void *owner, const char *sentence);
	/* Now and then; may be NULL. */
	void (*progress)(void *owner, enum store_table table, uint64_t done, uint64_t all);
	void *owner;
};

struct store_check_report {
	uint64_t row_count[STORE_TABLE_COUNT];
	uint64_t finding_count;
};

/* RESULT_OK: all was looked at, whatever was found. Cold thread; no batch is open. */
MUST_USE enum result store_check(struct store *store, const struct store_check *check,
	struct store_check_report *ret);

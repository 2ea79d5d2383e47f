/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_compact — makes the file of LMDB as small as what is in it, of a store that no daemon has
 * open: deleting only makes pages free in it, and the file never shrinks by itself.
 *
 * Happy path: open, as the daemon would → copy without the free pages to data.mdb.new → flush →
 * compare every row with the old file's → rename over data.mdb → flush the folder. The journal is
 * not touched: both files say the same of it. Cut off at any point, data.mdb is the old file or
 * the new one, whole; what is left of data.mdb.new is removed by whoever opens the store next.
 * What is refused: what store_open() refuses, no space for the copy, a copy that differs. The old
 * file stays then.
 */
#pragma once

#include "store/store.h"

struct store_compact_report {
	uint64_t size_before; /* of data.mdb */
	uint64_t size_after;
};

/* Cold thread; long. Opens the store and closes it. RESULT_SPACE: `error` says how much is missing.
 * Otherwise as store_open(); `error` has a sentence. */
MUST_USE enum result store_compact(const struct store_config *config,
	struct store_compact_report *ret, char *error, size_t error_size);

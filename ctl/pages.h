/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pages — a list that comes in pages, shown as one table or as one JSON document per page. */
#pragma once

#include "answer.h"

struct pages {
	const struct invocation *invocation;
	struct client_target target; /* path and filters, without limit and cursor */
	const char *rows;            /* member that holds the rows */
	const char *next;            /* member that holds the cursor of the next page */
	const char *cursor;          /* parameter that takes it */
	uint64_t limit;              /* rows in all; 0: every one */
	void (*row)(struct table *table, yyjson_val *row);
};

/* The option --limit; `otherwise` when it was not given, 0 for "all". False: the complaint was
 * printed. */
bool pages_limit(const struct invocation *invocation, uint64_t otherwise, uint64_t *ret);
/* Asks for pages until there are enough rows. Returns the exit code. *ret_more says whether there
 * would be more rows. */
int pages_show(const struct pages *pages, struct table *table, bool *ret_more);

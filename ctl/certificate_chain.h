/* SPDX-License-Identifier: GPL-2.0-or-later */
/* certificate_chain — what a file of certificates says of itself: order, issuers, dates. Pure.
 *
 * No signature is checked: this finds the mistakes that people make with files (an intermediate is
 * missing, the order is wrong, the date has passed), not forgeries.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"

enum { CHAIN_MAX = 16 };

struct chain_certificate {
	struct bytes issuer; /* DER of the names; in the chain's memory */
	struct bytes subject;
	uint64_t not_before_s; /* since 1970 */
	uint64_t not_after_s;
};

struct chain {
	unsigned count;
	struct chain_certificate certificates[CHAIN_MAX];
	uint8_t *memory; /* private */
};

/* RESULT_MALFORMED when there is none, or something is no certificate; RESULT_FULL when there are
 * too many. Free in any case. */
MUST_USE enum result chain_parse(struct bytes pem, struct chain *ret);
void chain_free(struct chain *chain);

/* Each was issued by the next one. */
bool chain_is_in_order(const struct chain *chain);
/* The last one by itself: an authority's. */
bool chain_ends_in_root(const struct chain *chain);

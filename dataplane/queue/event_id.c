/* SPDX-License-Identifier: GPL-2.0-or-later */
/* event_id — the public name of an event: "evt_" and 26 digits of Crockford's base32, as in
 * ULIDs: 48 bits of milliseconds, 16 of shard, 64 of sequence.
 *
 * Every id has one spelling: lower case, and the letters that base32 reads as digits (i, l, o)
 * are refused on parsing.
 */
#include "queue/event.h"

static const char prefix[] = "evt_";
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

enum {
	PREFIX_SIZE = sizeof prefix - 1,
	DIGIT_COUNT = 26,
	DIGIT_BITS = 5,
	SEQUENCE_BITS = 64,
	SHARD_BITS = 16,
	MS_BITS = 48,
};
BOUND(PREFIX_SIZE + DIGIT_COUNT + 1 == EVENT_ID_TEXT_SIZE);
BOUND(DIGIT_COUNT *DIGIT_BITS >= MS_BITS + SHARD_BITS + SEQUENCE_BITS);

typedef unsigned __int128 id_bits;

void event_id_format(const struct event *event, char to[static EVENT_ID_TEXT_SIZE])
{
	uint64_t ms = event->received.us / US_PER_MS & ((UINT64_C(1) << MS_BITS) - 1);
	id_bits bits = (id_bits)(ms << SHARD_BITS | event->shard) << SEQUENCE_BITS |
		event->sequence;

	memcpy(to, prefix, PREFIX_SIZE);
	for (unsigned i = DIGIT_COUNT; i > 0; i--) {
		to[PREFIX_SIZE + i - 1] = digits[(unsigned)bits & 31];
		bits >>= DIGIT_BITS;
	}
	to[PREFIX_SIZE + DIGIT_COUNT] = '\0';
}

enum result event_id_parse(struct bytes text, struct event *ret)
{
	id_bits bits = 0;

	if (text.size != PREFIX_SIZE + DIGIT_COUNT) return RESULT_MALFORMED;
	if (memcmp(text.data, prefix, PREFIX_SIZE) != 0) return RESULT_MALFORMED;
	for (size_t i = PREFIX_SIZE; i < text.size; i++) {
		const char *digit = memchr(digits, text.data[i], sizeof digits - 1);
		if (digit == NULL) return RESULT_MALFORMED;
		/* Two bits more than there are: the first digit is 0 … 7. */
		if (i == PREFIX_SIZE && digit - digits > 7) return RESULT_MALFORMED;
		bits = (bits << DIGIT_BITS) + (unsigned)(digit - digits);
	}
	uint64_t high = (uint64_t)(bits >> SEQUENCE_BITS);
	ret->sequence = (uint64_t)bits;
	ret->shard = (uint16_t)high;
	ret->received.us = (high >> SHARD_BITS) * US_PER_MS;
	return RESULT_OK;
}

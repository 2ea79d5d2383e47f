/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attempt — the record of one try at one target, and the tables of its outcomes.
 *
 * format(1) number(2) outcome(1) error(1) status(2) started_us(8) duration_us(8)
 * next_due_us(8), then with 16-bit sizes: detail, excerpt. Sequence and target are in the key.
 */
#include "queue/event.h"

static const char *const outcome_codes[] = {
#define X(name, code, text) [ATTEMPT_##name] = (code),
	ATTEMPT_OUTCOME_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(outcome_codes) == ATTEMPT_OUTCOME_COUNT);

static const char *const error_codes[] = {
#define X(name, code, text) [ATTEMPT_ERROR_##name] = (code),
	ATTEMPT_ERROR_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(error_codes) == ATTEMPT_ERROR_COUNT);

static const char *const error_texts[] = {
#define X(name, code, text) [ATTEMPT_ERROR_##name] = (text),
	ATTEMPT_ERROR_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(error_texts) == ATTEMPT_ERROR_COUNT);

const char *attempt_outcome_code(enum attempt_outcome outcome)
{
	CHECK(outcome < ATTEMPT_OUTCOME_COUNT);
	return outcome_codes[outcome];
}

const char *attempt_error_code(enum attempt_error error)
{
	CHECK(error < ATTEMPT_ERROR_COUNT);
	return error_codes[error];
}

const char *attempt_error_text(enum attempt_error error)
{
	CHECK(error < ATTEMPT_ERROR_COUNT);
	return error_texts[error];
}

void attempt_encode(const struct attempt *attempt, struct writer *writer)
{
	CHECK(attempt->outcome < ATTEMPT_OUTCOME_COUNT && attempt->error < ATTEMPT_ERROR_COUNT);
	CHECK(attempt->detail.size <= ATTEMPT_DETAIL_SIZE_MAX);
	CHECK(attempt->excerpt.size <= ATTEMPT_EXCERPT_SIZE_MAX);

	write_u8(writer, ATTEMPT_FORMAT);
	write_u16(writer, attempt->number);
	write_u8(writer, (uint8_t)attempt->outcome);
	write_u8(writer, (uint8_t)attempt->error);
	write_u16(writer, attempt->status);
	write_u64(writer, attempt->started.us);
	write_u64(writer, attempt->duration_us);
	write_u64(writer, attempt->next_due.us);
	write_sized(writer, attempt->detail);
	write_sized(writer, attempt->excerpt);
}

enum result attempt_decode(struct bytes record, struct attempt *ret)
{
	struct reader reader = reader_of(record);

	if (read_u8(&reader) != ATTEMPT_FORMAT) return RESULT_MALFORMED;
	ret->number = read_u16(&reader);
	unsigned outcome = read_u8(&reader);
	unsigned error = read_u8(&reader);
	ret->status = read_u16(&reader);
	ret->started.us = read_u64(&reader);
	ret->duration_us = read_u64(&reader);
	ret->next_due.us = read_u64(&reader);
	ret->detail = read_sized(&reader);
	ret->excerpt = read_sized(&reader);
	if (!reader_complete(&reader)) return RESULT_MALFORMED;
	if (outcome >= ATTEMPT_OUTCOME_COUNT || error >= ATTEMPT_ERROR_COUNT)
		return RESULT_MALFORMED;
	if (ret->detail.size > ATTEMPT_DETAIL_SIZE_MAX) return RESULT_MALFORMED;
	if (ret->excerpt.size > ATTEMPT_EXCERPT_SIZE_MAX) return RESULT_MALFORMED;
	ret->outcome = (enum attempt_outcome)outcome;
	ret->error = (enum attempt_error)error;
	return RESULT_OK;
}

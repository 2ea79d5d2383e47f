/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chunked coding: every case is decoded whole, in two parts cut at every byte, and byte by
 * byte, each part right before an inaccessible page; all must end the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "http/http_chunked.h"
#include "lib/guard.h"

enum { INPUT_SIZE_MAX = 65536 };

static struct guard guard;
static uint8_t payload_memory[INPUT_SIZE_MAX];

struct outcome {
	enum http_parse parse;
	enum http_fault fault;
	size_t consumed;
	struct writer payload;
};

/* Decodes one part and notes what came of it. What was not consumed must be as it was. */
static void decode_part(struct http_chunked *chunked, struct bytes part, struct outcome *outcome)
{
	uint8_t *at = guard_place(&guard, part);
	size_t consumed = SIZE_MAX;
	size_t decoded = SIZE_MAX;

	outcome->parse =
		http_chunked_decode(chunked, at, part.size, &consumed, &decoded, &outcome->fault);
	assert_true(consumed <= part.size);
	assert_true(decoded <= consumed);
	if (outcome->parse == HTTP_PARSE_MORE) assert_int_equal(consumed, part.size);
	assert_true(bytes_equal(bytes_of(at + consumed, part.size - consumed),
		bytes_from(part, consumed)));
	write_bytes(&outcome->payload, bytes_of(at, decoded));
	assert_false(outcome->payload.failed);
	outcome->consumed += consumed;
}

/* The first part has `first` bytes, each later one at most `step`. */
static struct outcome decode(struct bytes input, size_t first, size_t step)
{
	struct outcome outcome = { .payload = writer_of(payload_memory, sizeof payload_memory) };
	struct http_chunked chunked = { 0 };

	decode_part(&chunked, bytes_of(input.data, first), &outcome);
	while (outcome.parse == HTTP_PARSE_MORE && outcome.consumed < input.size) {
		struct bytes rest = bytes_from(input, outcome.consumed);
		if (rest.size > step) rest.size = step;
		decode_part(&chunked, rest, &outcome);
	}
	return outcome;
}

struct expected {
	enum http_parse parse;
	enum http_fault fault;
	size_t consumed;
	struct bytes payload;
};

static void expect_outcome(struct outcome outcome, const struct expected *expected, size_t row)
{
	if (outcome.fault != expected->fault) {
		fail_msg("case %zu: %s instead of %s", row, http_fault_code(outcome.fault),
			http_fault_code(expected->fault));
	}
	assert_int_equal(outcome.parse, expected->parse);
	assert_int_equal(outcome.consumed, expected->consumed);
	assert_true(bytes_equal(writer_bytes(&outcome.payload), expected->payload));
}

static void expect(struct bytes input, const struct expected *expected, size_t row)
{
	for (size_t cut = 0; cut <= input.size; cut++) {
		expect_outcome(decode(input, cut, input.size), expected, row);
	}
	expect_outcome(decode(input, 0, 1), expected, row);
}

/* Bodies that end, and what belongs to the next message. */
static void bodies_are_decoded(void **state)
{
	static const struct {
		const char *body, *next, *payload;
	} rows[] = {
		{ "0\r\n\r\n", "", "" },
		{ "0\r\n\r\n", "\r\n", "" },
		{ "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "" },
		{ "000\r\n\r\n", "0\r\n\r\n", "" },
		{ "0000000000000000\r\n\r\n", "", "" },
		{ "1\r\na\r\n0\r\n\r\n", "x", "a" },
		{ "0000000000000001\r\na\r\n0\r\n\r\n", "", "a" },
		{ "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "1\r\n",
			"01234567890123456789a" },
		{ "4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", "\n", "\r\n\r\n0\r" },
		{ "9\r\n012345678\r\n00c\r\n0123456789ab\r\nF\r\n0123456789abcde\r\n0\r\n\r\n", "",
			"0123456780123456789ab0123456789abcde" },
		/* Extensions are read over, whatever their value holds between quotes. */
		{ "1;a\r\nb\r\n0;c=d;e=\"f\";g\r\n\r\n", "h", "b" },
		{ "1;a=\";\\\"\\\\= \t:(\xc3\xa9\"\r\nb\r\n0\r\n\r\n", "", "b" },
		{ "1;A=\"\"\r\nb\r\n0;0=0\r\n\r\n", "", "b" },
		/* Trailer fields are checked and dropped, also those that would frame a message. */
		{ "0\r\nA: b\r\n\r\n", "", "" },
		{ "0\r\na:\r\nB:\t c d;\"\\= \xff \r\n\r\n", "0", "" },
		{ "1\r\na\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n", "b", "a" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		static uint8_t memory[256];
		struct writer input = writer_of(memory, sizeof memory);
		write_text(&input, rows[i].body);
		write_text(&input, rows[i].next);
		const struct expected expected = { HTTP_PARSE_DONE, HTTP_FAULT_NONE,
			strlen(rows[i].body), bytes_of_text(rows[i].payload) };
		expect(writer_bytes(&input), &expected, i);
	}
}

/* Until the last byte has come there is no end, however much of it is there. */
static void unfinished_bodies_wait(void **state)
{
	static const char body[] = "3;a=\"b\"\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n";
	(void)state;

	for (size_t size = 0; size < sizeof body - 1; size++) {
		struct outcome outcome = decode(bytes_of(body, size), size, size);
		assert_int_equal(outcome.parse, HTTP_PARSE_MORE);
		assert_int_equal(outcome.consumed, size);
	}
}

static const struct {
	enum http_fault fault;
	const char *until; /* the byte that is refused is its last */
	const char *payload;
} bad_bodies[] = {
	{ HTTP_FAULT_CHUNK_SIZE, "\r", "" },
	{ HTTP_FAULT_CHUNK_SIZE, ";", "" },
	{ HTTP_FAULT_CHUNK_SIZE, " ", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "+", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "-", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "g", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "0x", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1_", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1.", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1 ", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\t", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\x01", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\x7f", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\xff", "" },
	/* Seventeen digits: an overflow, or a one behind many zeros. */
	{ HTTP_FAULT_CHUNK_SIZE, "10000000000000000", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "00000000000000000", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "fffffffffffffffff", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;\r", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;;", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1; ", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;=", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;[", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a ", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a\x01", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=\r", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=;", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=b=", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=b\"", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=\"\r", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=\"\x01", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=\"\\\r", "" },
	{ HTTP_FAULT_CHUNK_SIZE, "1;a=\"\"b", "" },
	{ HTTP_FAULT_BARE_LF, "\n", "" },
	{ HTTP_FAULT_BARE_LF, "1\n", "" },
	{ HTTP_FAULT_BARE_LF, "1;a\n", "" },
	{ HTTP_FAULT_BARE_LF, "1;a=\"\n", "" },
	{ HTTP_FAULT_BARE_LF, "1;a=\"\\\n", "" },
	{ HTTP_FAULT_BARE_LF, "0\r\n\n", "" },
	{ HTTP_FAULT_BARE_LF, "0\r\na\n", "" },
	{ HTTP_FAULT_BARE_LF, "0\r\na: b\n", "" },
	{ HTTP_FAULT_BARE_CR, "1\ra", "" },
	{ HTTP_FAULT_BARE_CR, "1\r\r", "" },
	{ HTTP_FAULT_BARE_CR, "1;a\rb", "" },
	{ HTTP_FAULT_BARE_CR, "0\r\n\r\r", "" },
	{ HTTP_FAULT_BARE_CR, "0\r\n\r0", "" },
	{ HTTP_FAULT_BARE_CR, "0\r\na: b\rc", "" },
	{ HTTP_FAULT_CHUNK_END, "1\r\nab", "a" },
	{ HTTP_FAULT_CHUNK_END, "1\r\na\n", "a" },
	{ HTTP_FAULT_CHUNK_END, "1\r\na\r0", "a" },
	{ HTTP_FAULT_CHUNK_END, "1\r\na\r\r", "a" },
	{ HTTP_FAULT_CHUNK_END, "1\r\na0", "a" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\r\na\r\n\r", "a" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\r\na\r\n ", "a" },
	{ HTTP_FAULT_CHUNK_SIZE, "1\r\na\r\n-", "a" },
	{ HTTP_FAULT_TRAILER, "0\r\n ", "" },
	{ HTTP_FAULT_TRAILER, "0\r\n:", "" },
	{ HTTP_FAULT_TRAILER, "0\r\na ", "" },
	{ HTTP_FAULT_TRAILER, "0\r\na\r", "" },
	{ HTTP_FAULT_TRAILER, "0\r\na: b\r\n ", "" },
	{ HTTP_FAULT_TRAILER, "0\r\na: \x01", "" },
	{ HTTP_FAULT_TRAILER, "0\r\na: \x7f", "" },
};

/* One way to say where a chunk ends, and every other is refused at the byte where it shows. */
static void bad_bodies_are_refused(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(bad_bodies); i++) {
		static uint8_t memory[256];
		struct writer input = writer_of(memory, sizeof memory);
		write_text(&input, bad_bodies[i].until);
		size_t until = input.size;
		write_text(&input, "\r\n0\r\n\r\n");
		const struct expected expected = { HTTP_PARSE_BAD, bad_bodies[i].fault, until,
			bytes_of_text(bad_bodies[i].payload) };
		expect(writer_bytes(&input), &expected, i);
	}
}

/* A NUL is refused in sizes, extensions and trailers, and is payload in payload. */
static void nul_is_payload_only(void **state)
{
	static const char size_nul[] = "1\0\r\na\r\n";
	static const char extension_nul[] = "1;a\0\r\n";
	static const char trailer_nul[] = "0\r\na: \0\r\n\r\n";
	static const char payload_nul[] = "1\r\n\0\r\n0\r\n\r\n";
	(void)state;

	expect(bytes_of(size_nul, sizeof size_nul - 1),
		&(struct expected){ HTTP_PARSE_BAD, HTTP_FAULT_CHUNK_SIZE, 2, BYTES_EMPTY }, 0);
	expect(bytes_of(extension_nul, sizeof extension_nul - 1),
		&(struct expected){ HTTP_PARSE_BAD, HTTP_FAULT_CHUNK_SIZE, 4, BYTES_EMPTY }, 1);
	expect(bytes_of(trailer_nul, sizeof trailer_nul - 1),
		&(struct expected){ HTTP_PARSE_BAD, HTTP_FAULT_TRAILER, 7, BYTES_EMPTY }, 2);
	expect(bytes_of(payload_nul, sizeof payload_nul - 1),
		&(struct expected){ HTTP_PARSE_DONE, HTTP_FAULT_NONE, 11, bytes_of("\0", 1) }, 3);
}

/* The largest chunk is announced without an overflow: what is there of it is payload. */
static void largest_chunk_is_begun(void **state)
{
	static const char body[] = "ffffffffffffffff\r\nabc\r\n0\r\n\r\n";
	(void)state;

	expect(bytes_of(body, sizeof body - 1),
		&(struct expected){ HTTP_PARSE_MORE, HTTP_FAULT_NONE, sizeof body - 1,
			bytes_of(body + 18, sizeof body - 1 - 18) },
		0);
}

static uint8_t long_body[INPUT_SIZE_MAX];

/* A chunk header of HTTP_CHUNK_LINE_SIZE_MAX bytes is taken, one byte more is not. */
static void chunk_line_is_bounded(void **state)
{
	static char name[HTTP_CHUNK_LINE_SIZE_MAX];
	(void)state;

	memset(name, 'n', sizeof name);
	for (size_t over = 0; over < 2; over++) {
		struct writer body = writer_of(long_body, sizeof long_body);
		write_text(&body, "1;");
		write_bytes(&body, bytes_of(name, HTTP_CHUNK_LINE_SIZE_MAX - 4 + over));
		write_text(&body, "\r\na\r\n0\r\n\r\n");
		struct expected expected = { HTTP_PARSE_DONE, HTTP_FAULT_NONE, body.size,
			BYTES_LITERAL("a") };
		if (over > 0) {
			expected = (struct expected){ HTTP_PARSE_BAD, HTTP_FAULT_CHUNK_LINE_SIZE,
				HTTP_CHUNK_LINE_SIZE_MAX + 1, BYTES_EMPTY };
		}
		expect(writer_bytes(&body), &expected, over);
	}
}

/* Many chunks may not bring more extension together than one trailer may have bytes. */
static void extension_flood_is_refused(void **state)
{
	struct writer body = writer_of(long_body, sizeof long_body);
	(void)state;

	/* "a=b" and the byte after it: the ";" ends the size, so it is not counted. */
	for (size_t i = 0; i < HTTP_TRAILER_SIZE_MAX / 4; i++) write_text(&body, "1;a=b\r\nx\r\n");
	struct outcome outcome = decode(writer_bytes(&body), 0, 1);
	assert_int_equal(outcome.parse, HTTP_PARSE_MORE);
	assert_int_equal(outcome.payload.size, HTTP_TRAILER_SIZE_MAX / 4);

	size_t size = body.size;
	write_text(&body, "1;a=b\r\nx\r\n");
	assert_false(body.failed);
	for (size_t step = 1; step < body.size; step += step) {
		outcome = decode(writer_bytes(&body), 0, step);
		assert_int_equal(outcome.parse, HTTP_PARSE_BAD);
		assert_int_equal(outcome.fault, HTTP_FAULT_CHUNK_LINE_SIZE);
		assert_int_equal(outcome.consumed, size + 3);
	}
}

/* A trailer of HTTP_TRAILER_SIZE_MAX bytes is taken, one byte more is not, in one field or in
 * many. */
static void trailer_is_bounded(void **state)
{
	static char value[HTTP_TRAILER_SIZE_MAX];
	(void)state;

	memset(value, 'v', sizeof value);
	for (size_t over = 0; over < 2; over++) {
		struct writer body = writer_of(long_body, sizeof long_body);
		write_text(&body, "0\r\nA:");
		write_bytes(&body, bytes_of(value, HTTP_TRAILER_SIZE_MAX - 6 + over));
		write_text(&body, "\r\n\r\n");
		struct outcome outcome = decode(writer_bytes(&body), body.size, 1);
		assert_int_equal(outcome.parse, over > 0 ? HTTP_PARSE_BAD : HTTP_PARSE_DONE);
		assert_int_equal(outcome.fault, over > 0 ? HTTP_FAULT_TRAILER : HTTP_FAULT_NONE);
	}

	struct writer body = writer_of(long_body, sizeof long_body);
	write_text(&body, "0\r\n");
	for (size_t i = 0; i < HTTP_TRAILER_SIZE_MAX / 4 + 1; i++) write_text(&body, "a:\r\n");
	struct outcome outcome = decode(writer_bytes(&body), 0, 1);
	assert_int_equal(outcome.fault, HTTP_FAULT_TRAILER);
	assert_int_equal(outcome.consumed, 3 + HTTP_TRAILER_SIZE_MAX + 1);
}

static int set_up(void **state)
{
	(void)state;
	guard_init(&guard, INPUT_SIZE_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_decoded),
		cmocka_unit_test(unfinished_bodies_wait),
		cmocka_unit_test(bad_bodies_are_refused),
		cmocka_unit_test(nul_is_payload_only),
		cmocka_unit_test(largest_chunk_is_begun),
		cmocka_unit_test(chunk_line_is_bounded),
		cmocka_unit_test(extension_flood_is_refused),
		cmocka_unit_test(trailer_is_bounded),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

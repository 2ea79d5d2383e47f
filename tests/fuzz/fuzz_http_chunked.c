/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a chunked body: decoded in pieces as in one; what was decoded, coded again, decodes
 * to the same. The first byte of the input decides the pieces. */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "http/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http_parse parse;
	enum http_fault fault;
	size_t consumed;
	struct writer payload;
};

/* One piece, in memory of its own size. */
static void decode_piece(struct http_chunked *chunked, struct bytes piece, struct outcome *outcome)
{
	size_t consumed = SIZE_MAX;
	size_t decoded = SIZE_MAX;
	uint8_t *copy = alloc_array(piece.size, 1);

	if (piece.size > 0) memcpy(copy, piece.data, piece.size);
	outcome->parse = http_chunked_decode(chunked, copy, piece.size, &consumed, &decoded,
		&outcome->fault);
	CHECK(consumed <= piece.size);
	CHECK(decoded <= consumed);
	if (outcome->parse == HTTP_PARSE_MORE) CHECK(consumed == piece.size);
	CHECK((outcome->parse == HTTP_PARSE_BAD) == (outcome->fault != HTTP_FAULT_NONE));
	CHECK(bytes_equal(bytes_of(copy + consumed, piece.size - consumed),
		bytes_from(piece, consumed)));
	write_bytes(&outcome->payload, bytes_of(copy, decoded));
	outcome->consumed += consumed;
	alloc_free(copy);
}

static struct outcome decode(struct bytes input, size_t step, uint8_t *memory)
{
	struct outcome outcome = { .parse = HTTP_PARSE_MORE,
		.payload = writer_of(memory, input.size) };
	struct http_chunked chunked = { 0 };

	while (outcome.parse == HTTP_PARSE_MORE && outcome.consumed < input.size) {
		struct bytes piece = bytes_from(input, outcome.consumed);
		if (piece.size > step) piece.size = step;
		decode_piece(&chunked, piece, &outcome);
	}
	CHECK(!outcome.payload.failed);
	return outcome;
}

/* The payload as one chunk, and as chunks of seven bytes. */
static void check_coded_again(struct bytes payload)
{
	static const size_t chunk_sizes[] = { SIZE_MAX, 7 };

	for (size_t i = 0; i < ARRAY_COUNT(chunk_sizes); i++) {
		size_t capacity = 32 + 8 * (payload.size + 1);
		uint8_t *coded = alloc_array(capacity, 1);
		uint8_t *decoded = alloc_array(capacity, 1);
		struct writer writer = writer_of(coded, capacity);
		for (struct bytes rest = payload; rest.size > 0;) {
			size_t size = rest.size < chunk_sizes[i] ? rest.size : chunk_sizes[i];
			write_format(&writer, "%zx\r\n", size);
			write_bytes(&writer, bytes_of(rest.data, size));
			write_text(&writer, "\r\n");
			rest = bytes_from(rest, size);
		}
		write_text(&writer, "0\r\n\r\n");
		CHECK(!writer.failed);

		struct outcome outcome = decode(writer_bytes(&writer), SIZE_MAX, decoded);
		CHECK(outcome.parse == HTTP_PARSE_DONE);
		CHECK(outcome.consumed == writer.size);
		CHECK(bytes_equal(writer_bytes(&outcome.payload), payload));
		alloc_free(coded);
		alloc_free(decoded);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) return 0;
	size_t step = 1 + data[0] % 32u;
	struct bytes input = bytes_of(data + 1, size - 1);

	uint8_t *whole_memory = alloc_array(size, 1);
	uint8_t *pieces_memory = alloc_array(size, 1);
	struct outcome whole = decode(input, SIZE_MAX, whole_memory);
	struct outcome pieces = decode(input, step, pieces_memory);

	CHECK(whole.parse == pieces.parse);
	CHECK(whole.fault == pieces.fault);
	CHECK(whole.consumed == pieces.consumed);
	CHECK(bytes_equal(writer_bytes(&whole.payload), writer_bytes(&pieces.payload)));
	if (whole.parse == HTTP_PARSE_DONE) {
		/* The shortest body there is: a last chunk and an empty line. */
		CHECK(whole.consumed >= 5);
		CHECK(memcmp(input.data + whole.consumed - 2, "\r\n", 2) == 0);
		check_coded_again(writer_bytes(&whole.payload));
	}
	alloc_free(whole_memory);
	alloc_free(pieces_memory);
	return 0;
}

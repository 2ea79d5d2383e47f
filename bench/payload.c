/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "payload.h"

#include "base/check.h"
#include "base/cursor.h"

static const char before_id[] = "{\"id\":\"";
static const char after_id[] = "\",\"type\":\"bench.event\",\"pad\":\"";
static const char at_end[] = "\"}";

enum { DIGITS = 12 };

static void write_number(uint64_t number, char *to)
{
	for (int i = DIGITS - 1; i >= 0; i--) {
		to[i] = (char)('0' + number % 10);
		number /= 10;
	}
}

void payload_id(const struct payload_shape *shape, uint64_t number, char to[static PAYLOAD_ID_SIZE])
{
	uint8_t run[8];

	for (unsigned i = 0; i < sizeof run; i++) run[i] = (uint8_t)(shape->run >> (56 - 8 * i));
	hex_encode(bytes_of(run, sizeof run), to);
	to[16] = '-';
	write_number(number, to + 17);
}

void payload_write(const struct payload_shape *shape, uint64_t number, uint8_t *to)
{
	CHECK(shape->size >= PAYLOAD_SIZE_MIN);

	struct writer writer = writer_of(to, shape->size);
	char id[PAYLOAD_ID_SIZE];
	payload_id(shape, number, id);
	write_bytes(&writer, BYTES_LITERAL(before_id));
	write_bytes(&writer, bytes_of(id, sizeof id));
	write_bytes(&writer, BYTES_LITERAL(after_id));
	size_t pad_size = shape->size - writer.size - (sizeof at_end - 1);
	uint8_t *pad = write_reserve(&writer, pad_size);
	/* Letters that differ from event to event, so that a swapped body shows. */
	memset(pad, 'a' + (int)(number % 26), pad_size);
	write_bytes(&writer, BYTES_LITERAL(at_end));
	CHECK(!writer.failed && writer.size == shape->size);
}

bool payload_read(const struct payload_shape *shape, struct bytes body, uint8_t *scratch,
	uint64_t *ret_number, bool *ret_intact)
{
	char id[PAYLOAD_ID_SIZE];
	uint64_t number;

	struct bytes rest = bytes_from(body, sizeof before_id - 1);
	if (rest.size < sizeof id) return false;
	struct bytes digits = bytes_of(rest.data + PAYLOAD_ID_SIZE - DIGITS, DIGITS);
	if (bytes_parse_u64(digits, &number) != RESULT_OK) return false;
	payload_id(shape, number, id);
	if (memcmp(id, rest.data, sizeof id) != 0) return false;

	payload_write(shape, number, scratch);
	*ret_number = number;
	*ret_intact = bytes_equal(body, bytes_of(scratch, shape->size));
	return true;
}

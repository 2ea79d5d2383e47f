/* SPDX-License-Identifier: GPL-2.0-or-later */
/* encoding — hex and base64 (RFC 4648). Declared in bytes.h.
 *
 * Decoding looks characters up by arithmetic on the whole range instead of in a table, so
 * that the digits of a presented MAC do not show in cache timing.
 */
#include "base/bytes.h"

#include <endian.h>

#include "base/check.h"

void hex_encode(struct bytes from, char *to)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < from.size; i++) {
		to[2 * i] = digits[from.data[i] >> 4];
		to[2 * i + 1] = digits[from.data[i] & 15];
	}
}

/* 255 when `low <= c <= high`, else 0; no branch. */
static unsigned in_range(unsigned c, unsigned low, unsigned high)
{
	return ((low - 1 - c) & (c - high - 1)) >> 8 & 255;
}

/* What makes a letter of the wanted case one of `a` to `f`, and one of the other case none: a bit
 * that is set in each character, and one that is flipped. A digit stays none. */
static const struct {
	uint8_t set;
	uint8_t flip;
} folds[] = {
	[HEX_ANY] = { .set = 0x20 },
	[HEX_LOWER] = { 0 },
	[HEX_UPPER] = { .flip = 0x20 },
};

enum { HEX_WORD = sizeof(uint64_t) };
#define EACH_BYTE UINT64_C(0x0101010101010101)

/* For each byte, none of which is above 127, its highest bit: whether it is `low` to `high`. */
static uint64_t bytes_in_range(uint64_t word, unsigned low, unsigned high)
{
	return (word + (0x80 - low) * EACH_BYTE) & ~(word + (0x7f - high) * EACH_BYTE) &
		0x80 * EACH_BYTE;
}

/* Eight digits at once, the first one in the lowest byte, to four bytes, likewise. *ret_bad gets
 * a bit when one of them is no digit. No branch. */
static uint32_t hex_word_decode(enum hex_letters letters, uint64_t word, uint64_t *ret_bad)
{
	uint64_t text = word & 0x7f * EACH_BYTE;
	uint64_t folded = (text | folds[letters].set * EACH_BYTE) ^ folds[letters].flip * EACH_BYTE;
	uint64_t good = bytes_in_range(text, '0', '9') | bytes_in_range(folded, 'a', 'f');

	*ret_bad |= (~good | word) & 0x80 * EACH_BYTE;
	/* A letter's lower half is 1 for the digit of 10. */
	uint64_t value = (word & 0x0f * EACH_BYTE) + (word >> 6 & EACH_BYTE) * 9;
	value = (value << 4 | value >> 8) & UINT64_C(0x00ff00ff00ff00ff);
	value = (value | value >> 8) & UINT64_C(0x0000ffff0000ffff);
	return (uint32_t)(value | value >> 16);
}

/* At most a word of digits; what it lacks is filled with zeros. */
static inline void hex_decode_some(enum hex_letters letters, const uint8_t *from, uint8_t *to,
	size_t size, uint64_t *ret_bad)
{
	uint64_t word = '0' * EACH_BYTE;

	memcpy(&word, from, size);
	uint32_t decoded = htole32(hex_word_decode(letters, le64toh(word), ret_bad));
	memcpy(to, &decoded, size / 2);
}

enum result hex_decode_of(enum hex_letters letters, struct bytes from, uint8_t *to, size_t to_size,
	size_t *ret_size)
{
	if (from.size % 2 != 0) return RESULT_MALFORMED;
	if (from.size / 2 > to_size) return RESULT_FULL;

	uint64_t bad = 0;
	size_t whole = from.size / HEX_WORD * HEX_WORD;
	for (size_t i = 0; i < whole; i += HEX_WORD) {
		hex_decode_some(letters, from.data + i, to + i / 2, HEX_WORD, &bad);
	}
	if (whole < from.size) {
		hex_decode_some(letters, from.data + whole, to + whole / 2, from.size - whole,
			&bad);
	}
	if (bad != 0) return RESULT_MALFORMED;
	*ret_size = from.size / 2;
	return RESULT_OK;
}

enum result hex_decode(struct bytes from, uint8_t *to, size_t to_size, size_t *ret_size)
{
	return hex_decode_of(HEX_ANY, from, to, to_size, ret_size);
}

size_t base64_encoded_size(size_t size)
{
	return (size + 2) / 3 * 4;
}

size_t base64_encode(struct bytes from, char *to)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	size_t written = 0;
	for (size_t i = 0; i < from.size; i += 3) {
		size_t left = from.size - i;
		uint32_t group = (uint32_t)from.data[i] << 16;
		if (left > 1) group |= (uint32_t)from.data[i + 1] << 8;
		if (left > 2) group |= from.data[i + 2];
		to[written++] = alphabet[group >> 18];
		to[written++] = alphabet[group >> 12 & 63];
		to[written++] = left > 1 ? alphabet[group >> 6 & 63] : '=';
		to[written++] = left > 2 ? alphabet[group & 63] : '=';
	}
	CHECK(written == base64_encoded_size(from.size));
	return written;
}

/* The six bits of a character, or a value above 63 for a foreign one. */
static unsigned base64_value(enum base64_alphabet alphabet, uint8_t c)
{
	unsigned c62 = alphabet == BASE64_STANDARD ? '+' : '-';
	unsigned c63 = alphabet == BASE64_STANDARD ? '/' : '_';
	unsigned upper = in_range(c, 'A', 'Z') & (c - (unsigned)'A' + 1);
	unsigned lower = in_range(c, 'a', 'z') & (c - (unsigned)'a' + 27);
	unsigned digit = in_range(c, '0', '9') & (c - (unsigned)'0' + 53);
	unsigned plus = in_range(c, c62, c62) & 63;
	unsigned slash = in_range(c, c63, c63) & 64;
	return (upper | lower | digit | plus | slash) - 1;
}

static struct bytes without_padding(struct bytes from)
{
	if (from.size > 0 && from.size % 4 == 0 && from.data[from.size - 1] == '=') {
		from.size--;
		if (from.data[from.size - 1] == '=') from.size--;
	}
	return from;
}

enum result base64_decode(enum base64_alphabet alphabet, struct bytes from, uint8_t *to,
	size_t to_size, size_t *ret_size)
{
	from = without_padding(from);
	if (from.size % 4 == 1) return RESULT_MALFORMED;
	size_t size = from.size / 4 * 3 + (from.size % 4 == 0 ? 0 : from.size % 4 - 1);
	if (size > to_size) return RESULT_FULL;

	uint32_t group = 0;
	unsigned bits = 0;
	unsigned bad = 0;
	size_t written = 0;
	for (size_t i = 0; i < from.size; i++) {
		unsigned value = base64_value(alphabet, from.data[i]);
		bad |= value;
		group = group << 6 | (value & 63);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[written++] = (uint8_t)(group >> bits & 255);
		}
	}
	if (bad > 63) return RESULT_MALFORMED;
	if ((group & ((1U << bits) - 1)) != 0) return RESULT_MALFORMED;
	CHECK(written == size);
	*ret_size = size;
	return RESULT_OK;
}

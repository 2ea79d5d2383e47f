/* SPDX-License-Identifier: GPL-2.0-or-later */
/* encoding — hex and base64 (RFC 4648). Declared in bytes.h.
 *
 * Decoding looks characters up by arithmetic on the whole range instead of in a table, so
 * that the digits of a presented MAC do not show in cache timing.
 */
#include "base/bytes.h"
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

/* The digit's value, or 256 and more for a foreign character. */
static unsigned hex_value(uint8_t c)
{
	unsigned digit = in_range(c, '0', '9') & (c - (unsigned)'0' + 1);
	unsigned upper = in_range(c, 'A', 'F') & (c - (unsigned)'A' + 11);
	unsigned lower = in_range(c, 'a', 'f') & (c - (unsigned)'a' + 11);
	return (digit | upper | lower) - 1;
}

enum result hex_decode(struct bytes from, uint8_t *to, size_t to_size, size_t *ret_size)
{
	if (from.size % 2 != 0) return RESULT_MALFORMED;
	if (from.size / 2 > to_size) return RESULT_FULL;

	unsigned bad = 0;
	for (size_t i = 0; i < from.size / 2; i++) {
		unsigned high = hex_value(from.data[2 * i]);
		unsigned low = hex_value(from.data[2 * i + 1]);
		bad |= high | low;
		to[i] = (uint8_t)(high << 4 | (low & 15));
	}
	if (bad > 15) return RESULT_MALFORMED;
	*ret_size = from.size / 2;
	return RESULT_OK;
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

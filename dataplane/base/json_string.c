/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json_string.h"

#include "base/check.h"

/* Size of the well-formed UTF-8 sequence at the start of the text, or 0 (RFC 3629 §4: no
 * overlong forms, no surrogates, nothing above U+10FFFF). The text is not empty. */
static size_t utf8_sequence_size(struct bytes text)
{
	/* The first byte's range, the size it announces, and the range of the second. */
	static const struct {
		uint8_t first_low, first_high, size, second_low, second_high;
	} rows[] = {
		{ 0x00, 0x7f, 1, 0x00, 0x00 },
		{ 0xc2, 0xdf, 2, 0x80, 0xbf },
		{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
		{ 0xe1, 0xec, 3, 0x80, 0xbf },
		{ 0xed, 0xed, 3, 0x80, 0x9f },
		{ 0xee, 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 0xf0, 4, 0x90, 0xbf },
		{ 0xf1, 0xf3, 4, 0x80, 0xbf },
		{ 0xf4, 0xf4, 4, 0x80, 0x8f },
	};

	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		if (text.data[0] < rows[row].first_low || text.data[0] > rows[row].first_high)
			continue;
		if (text.size < rows[row].size) return 0;
		for (size_t i = 1; i < rows[row].size; i++) {
			uint8_t low = i == 1 ? rows[row].second_low : 0x80;
			uint8_t high = i == 1 ? rows[row].second_high : 0xbf;
			if (text.data[i] < low || text.data[i] > high) return 0;
		}
		return rows[row].size;
	}
	return 0;
}

/* How much stands in a JSON string just as it is: up to a quote, a control character or what is
 * no UTF-8. */
static size_t literal_size(struct bytes text)
{
	size_t size = 0;

	while (size < text.size) {
		uint8_t c = text.data[size];
		if (c < 0x20 || c == '"' || c == '\\') break;
		size_t sequence_size = c < 0x80 ? 1 : utf8_sequence_size(bytes_from(text, size));
		if (sequence_size == 0) break;
		size += sequence_size;
	}
	return size;
}

static void write_escape(struct writer *writer, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";

	switch (c) {
	case '"': write_text(writer, "\\\""); return;
	case '\\': write_text(writer, "\\\\"); return;
	case '\n': write_text(writer, "\\n"); return;
	case '\r': write_text(writer, "\\r"); return;
	case '\t': write_text(writer, "\\t"); return;
	default: break;
	}
	write_text(writer, "\\u00");
	write_u8(writer, (uint8_t)digits[c >> 4]);
	write_u8(writer, (uint8_t)digits[c & 15]);
}

void write_json_string(struct writer *writer, struct bytes text)
{
	write_bytes(writer, BYTES_LITERAL("\""));
	while (text.size > 0) {
		size_t size = literal_size(text);
		write_bytes(writer, bytes_of(text.data, size));
		if (size == text.size) break;

		uint8_t c = text.data[size];
		if (c < 0x80) {
			write_escape(writer, c);
		} else {
			write_text(writer, "\xef\xbf\xbd"); /* U+FFFD */
		}
		text = bytes_from(text, size + 1);
	}
	write_bytes(writer, BYTES_LITERAL("\""));
}

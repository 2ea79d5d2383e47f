/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_chars — the grammar's character classes as one table, written down as the grammar
 * states them and computed when compiling.
 */
#include "http/http_internal.h"

/* RFC 5234, appendix B.1 */
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_HEX(c) (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))

/* RFC 3986 §2: unreserved, sub-delims */
#define IS_UNRESERVED(c) \
	(IS_ALPHA(c) || IS_DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_SUB_DELIM(c) \
	((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || \
	 (c) == '*' || (c) == '+' || (c) == ',' || (c) == ';' || (c) == '=')

/* RFC 9110 §5.6.2 */
#define IS_TOKEN(c) \
	(IS_ALPHA(c) || IS_DIGIT(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || \
	 (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || \
	 (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')

/* RFC 9110 §5.5: field-value, with obs-text */
#define IS_TEXT(c) ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))

#define IS_PATH(c) \
	(IS_UNRESERVED(c) || IS_SUB_DELIM(c) || (c) == ':' || (c) == '@' || (c) == '/')

/* RFC 3986 §3.4, and the eight characters that browsers' and Node's URL serialiser leaves
 * raw in a query. A provider configured with ?tag[]=a|b sends just that; no recipient takes
 * them for a delimiter, and we route by path. */
#define IS_QUERY(c) \
	(IS_PATH(c) || (c) == '?' || (c) == '[' || (c) == ']' || (c) == '{' || (c) == '}' || \
	 (c) == '|' || (c) == '\\' || (c) == '^' || (c) == '`')

#define CHAR(c) \
	(uint8_t)((IS_TOKEN(c) ? CHAR_TOKEN : 0u) | (IS_TEXT(c) ? CHAR_TEXT : 0u) | \
		(IS_PATH(c) ? CHAR_PATH : 0u) | (IS_QUERY(c) ? CHAR_QUERY : 0u) | \
		(IS_UNRESERVED(c) ? CHAR_HOST : 0u) | (IS_HEX(c) ? CHAR_HEX : 0u) | \
		(IS_DIGIT(c) ? CHAR_DIGIT : 0u))
#define CHARS_4(c) CHAR(c), CHAR((c) + 1), CHAR((c) + 2), CHAR((c) + 3)
#define CHARS_16(c) CHARS_4(c), CHARS_4((c) + 4), CHARS_4((c) + 8), CHARS_4((c) + 12)
#define CHARS_64(c) CHARS_16(c), CHARS_16((c) + 16), CHARS_16((c) + 32), CHARS_16((c) + 48)

const uint8_t http_chars[256] = { CHARS_64(0), CHARS_64(64), CHARS_64(128), CHARS_64(192) };

bool http_text_is(struct bytes text, unsigned what)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!http_char_is(text.data[i], what)) return false;
	}
	return text.size > 0;
}

/* Whether one of the eight bytes is below a space or is DEL. HTAB counts here too: the
 * caller looks closer. */
static inline bool word_has_control(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t below_space = (word - each * ' ') & ~word;
	uint64_t without_del = word ^ each * 0x7f;
	uint64_t del = (without_del - each) & ~without_del;
	return ((below_space | del) & each * 0x80) != 0;
}

const uint8_t *http_text_end(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 8) {
		uint64_t word;
		memcpy(&word, at, sizeof word);
		if (word_has_control(word)) {
			for (unsigned i = 0; i < 8; i++, at++) {
				if (!http_char_is(*at, CHAR_TEXT)) return at;
			}
		} else {
			at += 8;
		}
	}
	while (at < end && http_char_is(*at, CHAR_TEXT)) at++;
	return at;
}

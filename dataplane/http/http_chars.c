/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_chars — the grammar's character classes as one table, written down as the grammar
 * states them and computed when compiling.
 */
#include "http/http_internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

#ifdef __SSE2__ /* every x86-64 has it */
/* Sixteen bytes: a bit for each that may not stand in a field value. */
static inline unsigned not_text_16(const uint8_t *at)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(' ' - 1)), bytes);
	__m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}
#endif

const uint8_t *http_text_end(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
	for (; end - at >= 16; at += 16) {
		unsigned not_text = not_text_16(at);
		if (not_text != 0) return at + __builtin_ctz(not_text);
	}
#endif
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_chunked — the decoder is a table: state × kind of byte → state.
 *
 *   chunk         = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *   chunk-ext     = *( ";" token [ "=" ( token / quoted-string ) ] )
 *   last-chunk    = 1*("0") [ chunk-ext ] CRLF
 *   chunked-body  = *chunk last-chunk *( field-line CRLF ) CRLF      (RFC 9112 §7.1)
 *
 * Without the white space that the grammar lets a sender put round ";" and "=" and asks it
 * not to: what one recipient skips there, another takes for the end of the size.
 *
 * The payload does not go through the table: it is moved in one piece.
 */
#include "http/http_chunked.h"

#include "base/check.h"
#include "http/http_internal.h"

enum kind {
	HEX,
	TCHAR,
	SEMICOLON,
	EQUALS,
	QUOTE,
	BACKSLASH,
	COLON,
	BLANK,
	TEXT,
	CR,
	LF,
	CONTROL,
	KIND_COUNT
};

enum state {
	START, /* of the first chunk's size */
	/* No transition leads back to START, so its number is free to say in the table that
	 * there is none. */
	REFUSED = START,
	SIZE, /* of a later chunk */
	DIGITS,
	EXTENSION, /* after ";" */
	EXTENSION_NAME,
	EXTENSION_EQUALS,
	EXTENSION_VALUE,
	EXTENSION_QUOTED,
	EXTENSION_ESCAPE,
	EXTENSION_UNQUOTED,
	SIZE_LF,
	PAYLOAD,
	PAYLOAD_CR,
	PAYLOAD_LF,
	TRAILER, /* at the beginning of a line */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	DONE,
	STATE_COUNT
};

/* 16 hex digits are 64 bits: more is an overflow or zeros that nobody sends. */
enum { DIGITS_MAX = 16 };

#define TOKEN_TO(state) [HEX] = (state), [TCHAR] = (state)
/* What stands between the quotes of a quoted-string without being special there. */
#define QUOTABLE_TO(state) \
	TOKEN_TO(state), [SEMICOLON] = (state), [EQUALS] = (state), [COLON] = (state), \
	[BLANK] = (state), [TEXT] = (state)

static const uint8_t transitions[STATE_COUNT][KIND_COUNT] = {
	[START] = { [HEX] = DIGITS },
	[SIZE] = { [HEX] = DIGITS },
	[DIGITS] = { [HEX] = DIGITS, [SEMICOLON] = EXTENSION, [CR] = SIZE_LF },

	[EXTENSION] = { TOKEN_TO(EXTENSION_NAME) },
	[EXTENSION_NAME] = { TOKEN_TO(EXTENSION_NAME), [EQUALS] = EXTENSION_EQUALS,
		[SEMICOLON] = EXTENSION, [CR] = SIZE_LF },
	[EXTENSION_EQUALS] = { TOKEN_TO(EXTENSION_VALUE), [QUOTE] = EXTENSION_QUOTED },
	[EXTENSION_VALUE] = { TOKEN_TO(EXTENSION_VALUE), [SEMICOLON] = EXTENSION, [CR] = SIZE_LF },
	[EXTENSION_QUOTED] = { QUOTABLE_TO(EXTENSION_QUOTED), [BACKSLASH] = EXTENSION_ESCAPE,
		[QUOTE] = EXTENSION_UNQUOTED },
	[EXTENSION_ESCAPE] = { QUOTABLE_TO(EXTENSION_QUOTED), [BACKSLASH] = EXTENSION_QUOTED,
		[QUOTE] = EXTENSION_QUOTED },
	[EXTENSION_UNQUOTED] = { [SEMICOLON] = EXTENSION, [CR] = SIZE_LF },
	[SIZE_LF] = { [LF] = PAYLOAD },

	[PAYLOAD_CR] = { [CR] = PAYLOAD_LF },
	[PAYLOAD_LF] = { [LF] = SIZE },

	[TRAILER] = { TOKEN_TO(TRAILER_NAME), [CR] = END_LF },
	[TRAILER_NAME] = { TOKEN_TO(TRAILER_NAME), [COLON] = TRAILER_VALUE },
	[TRAILER_VALUE] = { QUOTABLE_TO(TRAILER_VALUE), [QUOTE] = TRAILER_VALUE,
		[BACKSLASH] = TRAILER_VALUE, [CR] = TRAILER_LF },
	[TRAILER_LF] = { [LF] = TRAILER },
	[END_LF] = { [LF] = DONE },
};

static enum kind kind_of(uint8_t c)
{
	switch (c) {
	case ';': return SEMICOLON;
	case '=': return EQUALS;
	case '"': return QUOTE;
	case '\\': return BACKSLASH;
	case ':': return COLON;
	case ' ':
	case '\t': return BLANK;
	case '\r': return CR;
	case '\n': return LF;
	default: break;
	}
	if (http_char_is(c, CHAR_HEX)) return HEX;
	if (http_char_is(c, CHAR_TOKEN)) return TCHAR;
	return http_char_is(c, CHAR_TEXT) ? TEXT : CONTROL;
}

/* Why the byte cannot follow. */
static enum http_fault refusal(enum state state, enum kind kind)
{
	if (state == PAYLOAD_CR || state == PAYLOAD_LF) return HTTP_FAULT_CHUNK_END;
	if (state == SIZE_LF || state == TRAILER_LF || state == END_LF) return HTTP_FAULT_BARE_CR;
	if (kind == LF) return HTTP_FAULT_BARE_LF;
	return state < PAYLOAD ? HTTP_FAULT_CHUNK_SIZE : HTTP_FAULT_TRAILER;
}

static unsigned hex_digit(uint8_t c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Counts the byte against its bounds. RFC 9112 §7.1.1: "A server ought to limit the total
 * length of chunk extensions received in a request to an amount reasonable for the services
 * provided". */
static enum http_fault count_byte(struct http_chunked *chunked, enum state state)
{
	if (state <= SIZE_LF) {
		if (++chunked->line_size > HTTP_CHUNK_LINE_SIZE_MAX)
			return HTTP_FAULT_CHUNK_LINE_SIZE;
		if (state < EXTENSION || state == SIZE_LF) return HTTP_FAULT_NONE;
		if (++chunked->dropped_size > HTTP_TRAILER_SIZE_MAX)
			return HTTP_FAULT_CHUNK_LINE_SIZE;
	} else if (state >= TRAILER) {
		if (++chunked->dropped_size > HTTP_TRAILER_SIZE_MAX) return HTTP_FAULT_TRAILER;
	}
	return HTTP_FAULT_NONE;
}

/* RFC 9112 §7.1: "recipients MUST anticipate potentially large hexadecimal numerals and
 * prevent parsing errors due to integer conversion overflows". */
static enum http_fault take_digit(struct http_chunked *chunked, uint8_t digit)
{
	if (chunked->digits == DIGITS_MAX) return HTTP_FAULT_CHUNK_SIZE;
	chunked->digits++;
	chunked->left = chunked->left << 4 | hex_digit(digit);
	return HTTP_FAULT_NONE;
}

/* One byte of what is not payload. */
static enum http_fault step(struct http_chunked *chunked, uint8_t byte)
{
	enum state state = chunked->state;
	enum kind kind = kind_of(byte);
	enum state next = transitions[state][kind];

	enum http_fault fault = count_byte(chunked, state);
	if (fault != HTTP_FAULT_NONE) return fault;
	if (next == REFUSED) return refusal(state, kind);
	if (next == DIGITS) fault = take_digit(chunked, byte);
	if (state == SIZE_LF) {
		chunked->line_size = 0;
		chunked->digits = 0;
		if (chunked->left == 0) next = TRAILER; /* it was the last chunk */
	}
	chunked->state = (uint8_t)next;
	return fault;
}

enum http_parse http_chunked_decode(struct http_chunked *chunked, uint8_t *data, size_t size,
	size_t *ret_consumed, size_t *ret_decoded, enum http_fault *ret_fault)
{
	CHECK(chunked->state < DONE);

	size_t consumed = 0;
	size_t decoded = 0;
	enum http_fault fault = HTTP_FAULT_NONE;

	while (consumed < size && chunked->state != DONE && fault == HTTP_FAULT_NONE) {
		if (chunked->state != PAYLOAD) {
			fault = step(chunked, data[consumed++]);
			continue;
		}
		size_t here = size - consumed;
		if (chunked->left < here) here = (size_t)chunked->left;
		if (decoded != consumed) memmove(data + decoded, data + consumed, here);
		decoded += here;
		consumed += here;
		chunked->left -= here;
		if (chunked->left == 0) chunked->state = PAYLOAD_CR;
	}

	*ret_consumed = consumed;
	*ret_decoded = decoded;
	if (fault != HTTP_FAULT_NONE) {
		*ret_fault = fault;
		return HTTP_PARSE_BAD;
	}
	return chunked->state == DONE ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytes — a borrowed view of memory, and the few things done with views everywhere:
 * compare, find, number parsing, hex and base64.
 *
 * Pure. A view never owns what it points to. Text is not NUL-terminated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/result.h"

struct bytes {
	const uint8_t *data;
	size_t size;
};

#define BYTES_EMPTY ((struct bytes){ .data = NULL, .size = 0 })
#define BYTES_LITERAL(text) \
	((struct bytes){ .data = (const uint8_t *)(text), .size = sizeof(text) - 1 })

static inline struct bytes bytes_of(const void *data, size_t size)
{
	return (struct bytes){ .data = data, .size = size };
}

static inline struct bytes bytes_of_text(const char *text)
{
	return bytes_of(text, strlen(text));
}

bool bytes_equal(struct bytes a, struct bytes b);
/* Of equal size: see bytes_equal_ignore_case(). */
bool bytes_same_letters(const uint8_t *a, const uint8_t *b, size_t size);
/* ASCII letters compare without case: HTTP field names, schemes. Most names differ in size or in
 * their first letter, which the caller's code finds out by itself. */
static inline bool bytes_equal_ignore_case(struct bytes a, struct bytes b)
{
	enum { CASE_BIT = 0x20 };

	if (a.size != b.size) return false;
	if (a.size > 0 && ((a.data[0] ^ b.data[0]) & ~CASE_BIT) != 0) return false;
	return bytes_same_letters(a.data, b.data, a.size);
}
/* Takes the same time for equal sizes whatever the content. Use for MACs, tokens, anything
 * an attacker may guess byte by byte. Different sizes are unequal at once. */
bool bytes_equal_constant_time(struct bytes a, struct bytes b);
bool bytes_starts_with(struct bytes whole, struct bytes prefix);
/* From offset to the end; an offset past the end gives an empty view. */
struct bytes bytes_from(struct bytes whole, size_t offset);
/* Without spaces and tabs at both ends. */
struct bytes bytes_trim(struct bytes text);
/* Index of the first such byte, or size when there is none. */
size_t bytes_find(struct bytes whole, uint8_t byte);
/* Cuts at the first separator: *head is what stands before it, *rest what stands after.
 * Returns false, with *head = whole and *rest empty, when there is none. */
bool bytes_split(struct bytes whole, uint8_t separator, struct bytes *head, struct bytes *rest);

/* Decimal digits only, no sign or space, at least one digit, no overflow.
 * RESULT_MALFORMED otherwise. */
MUST_USE enum result bytes_parse_u64(struct bytes text, uint64_t *ret);

/* Copies as NUL-terminated text, cut to fit. Returns false when cut. */
bool bytes_to_text(struct bytes from, char *to, size_t to_size);

/* Overwrites memory in a way the compiler may not remove. For secrets. */
void bytes_wipe(void *data, size_t size);

/* Lower-case hex. `to` holds 2 * from.size characters, no NUL is added. */
void hex_encode(struct bytes from, char *to);
enum hex_letters { HEX_ANY, HEX_LOWER, HEX_UPPER };
/* RESULT_MALFORMED for odd length or a foreign character, to which letters of another case
 * belong; RESULT_FULL when `to_size` is too small. Constant time in the digits' values. */
MUST_USE enum result hex_decode_of(enum hex_letters letters, struct bytes from, uint8_t *to,
	size_t to_size, size_t *ret_size);
/* Either case. */
MUST_USE enum result hex_decode(struct bytes from, uint8_t *to, size_t to_size, size_t *ret_size);

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Characters that base64_encode writes, with padding, no NUL. */
size_t base64_encoded_size(size_t size);
/* Standard alphabet with padding; RFC 4648 §4. Returns the count of characters written. */
size_t base64_encode(struct bytes from, char *to);
/* Padding optional but right when present; no line breaks; the unused bits of the last
 * character must be zero, so that every value has one spelling (RFC 4648 §3.5). */
MUST_USE enum result base64_decode(enum base64_alphabet alphabet, struct bytes from, uint8_t *to,
	size_t to_size, size_t *ret_size);

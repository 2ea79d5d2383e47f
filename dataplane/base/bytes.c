/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"

#include "base/check.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static uint8_t ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool bytes_equal_ignore_case(struct bytes a, struct bytes b)
{
	if (a.size != b.size) return false;
	for (size_t i = 0; i < a.size; i++) {
		if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) return false;
	}
	return true;
}

bool bytes_equal_constant_time(struct bytes a, struct bytes b)
{
	if (a.size != b.size) return false;

	/* volatile: the compiler may not stop at the first difference. */
	volatile uint8_t difference = 0;
	for (size_t i = 0; i < a.size; i++)
		difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
	return difference == 0;
}

bool bytes_starts_with(struct bytes whole, struct bytes prefix)
{
	if (whole.size < prefix.size) return false;
	return prefix.size == 0 || memcmp(whole.data, prefix.data, prefix.size) == 0;
}

struct bytes bytes_from(struct bytes whole, size_t offset)
{
	if (offset >= whole.size) return BYTES_EMPTY;
	return bytes_of(whole.data + offset, whole.size - offset);
}

struct bytes bytes_trim(struct bytes text)
{
	while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.size--;
	}
	while (text.size > 0 &&
		(text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
		text.size--;
	}
	return text;
}

size_t bytes_find(struct bytes whole, uint8_t byte)
{
	if (whole.size == 0) return 0;
	const uint8_t *found = memchr(whole.data, byte, whole.size);
	return found == NULL ? whole.size : (size_t)(found - whole.data);
}

bool bytes_split(struct bytes whole, uint8_t separator, struct bytes *head, struct bytes *rest)
{
	size_t at = bytes_find(whole, separator);
	if (at == whole.size) {
		*head = whole;
		*rest = BYTES_EMPTY;
		return false;
	}
	*head = bytes_of(whole.data, at);
	*rest = bytes_of(whole.data + at + 1, whole.size - at - 1);
	return true;
}

enum result bytes_parse_u64(struct bytes text, uint64_t *ret)
{
	if (text.size == 0) return RESULT_MALFORMED;

	uint64_t value = 0;
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];
		if (c < '0' || c > '9') return RESULT_MALFORMED;
		uint64_t digit = (uint64_t)(c - '0');
		if (value > (UINT64_MAX - digit) / 10) return RESULT_MALFORMED;
		value = value * 10 + digit;
	}
	*ret = value;
	return RESULT_OK;
}

bool bytes_to_text(struct bytes from, char *to, size_t to_size)
{
	CHECK(to_size > 0);

	size_t size = from.size < to_size - 1 ? from.size : to_size - 1;
	if (size > 0) memcpy(to, from.data, size);
	to[size] = '\0';
	return size == from.size;
}

void bytes_wipe(void *data, size_t size)
{
	explicit_bzero(data, size);
}

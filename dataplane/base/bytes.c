/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"

#include "base/check.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* The bytes that are ASCII letters in lower case, the others as they are. */
static uint64_t word_lower(uint64_t word)
{
	uint64_t text = word & 0x7f * EACH_BYTE;
	/* The highest bit of each byte: from 'A' on, and beyond 'Z'. */
	uint64_t from_a = text + (0x80 - 'A') * EACH_BYTE;
	uint64_t beyond_z = text + (0x7f - 'Z') * EACH_BYTE;
	uint64_t upper = from_a & ~beyond_z & ~word & 0x80 * EACH_BYTE;
	return word | upper >> 2; /* 0x20 */
}

static inline bool words_differ(uint64_t a, uint64_t b)
{
	return a != b && word_lower(a) != word_lower(b);
}

static inline uint64_t load_8(const uint8_t *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof word);
	return word;
}

static inline uint64_t load_4(const uint8_t *from)
{
	uint32_t word;
	memcpy(&word, from, sizeof word);
	return word;
}

bool bytes_same_letters(const uint8_t *a, const uint8_t *b, size_t size)
{
	if (size >= 8) {
		for (size_t i = 0; i < size - 8; i += 8) {
			if (words_differ(load_8(a + i), load_8(b + i))) return false;
		}
		/* The last ones, of which some were compared before. */
		return !words_differ(load_8(a + size - 8), load_8(b + size - 8));
	}
	if (size >= 4) {
		return !words_differ(load_4(a), load_4(b)) &&
			!words_differ(load_4(a + size - 4), load_4(b + size - 4));
	}
	for (size_t i = 0; i < size; i++) {
		if (words_differ(a[i], b[i])) return false;
	}
	return true;
}

bool bytes_equal_constant_time(struct bytes a, struct bytes b)
{
	if (a.size != b.size) return false;

	/* volatile: the compiler may not stop at the first difference. */
	volatile uint64_t difference = 0;
	size_t i = 0;
	for (; a.size - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		difference = difference | (load_8(a.data + i) ^ load_8(b.data + i));
	}
	for (; i < a.size; i++) difference = difference | (uint64_t)(a.data[i] ^ b.data[i]);
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

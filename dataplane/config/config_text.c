/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_text.h"

#include "base/check.h"

struct range {
	uint32_t first;
	uint32_t last;
};

/* In order. Tab and line feed are the gaps of the first rows. */
static const struct range refused[] = {
	{ 0x00, 0x08 },
	{ 0x0B, 0x1F },
	{ 0x7F, 0x9F },       /* C1, with U+0085, which YAML takes for a line end */
	{ 0x061C, 0x061C },   /* Arabic letter mark */
	{ 0x200E, 0x200F },   /* direction marks */
	{ 0x2028, 0x202E },   /* line separators, embeddings and overrides */
	{ 0x2066, 0x2069 },   /* isolates */
	{ 0xFEFF, 0xFEFF },   /* byte order mark, inside text */
	{ 0xFFFE, 0xFFFF },   /* not characters */
	{ 0xE0000, 0xE007F }, /* invisible tags */
	{ 0x110000, UINT32_MAX },
};

size_t config_text_next(struct bytes text, uint32_t *ret_character)
{
	if (text.size == 0) return 0;

	uint8_t lead = text.data[0];
	size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	if (size == 0 || lead > 0xF4 || size > text.size) return 0;
	if (size == 1) {
		*ret_character = lead;
		return 1;
	}

	uint32_t character = lead & (0x7Fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text.data[i] & 0xC0) != 0x80) return 0;
		character = character << 6 | (text.data[i] & 0x3Fu);
	}
	/* Overlong forms and surrogates; RFC 3629 §3. */
	if (size == 3 && (character < 0x800 || (character >= 0xD800 && character <= 0xDFFF))) {
		return 0;
	}
	if (size == 4 && (character < 0x10000 || character > 0x10FFFF)) return 0;
	*ret_character = character;
	return size;
}

bool config_text_allowed(uint32_t character)
{
	for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
		if (character < refused[i].first) return true;
		if (character <= refused[i].last) return false;
	}
	return true;
}

void config_text_trim(char *text)
{
	size_t size = strlen(text);

	for (size_t back = 1; back <= 4 && back <= size; back++) {
		uint8_t byte = (uint8_t)text[size - back];
		uint32_t character;

		if ((byte & 0xC0) == 0x80) continue;
		if (config_text_next(bytes_of(text + size - back, back), &character) != back) {
			text[size - back] = '\0';
		}
		return;
	}
}

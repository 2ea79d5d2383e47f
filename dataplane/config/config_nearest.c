/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_nearest — "did you mean": the word that differs least from a misspelled one. */
#include "base/check.h"
#include "config/config_internal.h"

enum { WORD_SIZE_MAX = NAME_SIZE_MAX };

/* Case and '-' for '_' are spelling, not meaning. */
static size_t fold(const char *word, char *to)
{
	size_t size = strlen(word);

	if (size > WORD_SIZE_MAX) return 0;
	for (size_t i = 0; i < size; i++) {
		char c = word[i] == '-' ? '_' : word[i];
		to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	to[size] = '\0';
	return size;
}

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Inserted, deleted, replaced characters and swapped neighbours (optimal string alignment). */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	unsigned rows[3][WORD_SIZE_MAX + 1];
	unsigned *before = rows[0];
	unsigned *last = rows[1];
	unsigned *row = rows[2];

	for (size_t j = 0; j <= b_size; j++) last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_size; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_size; j++) {
			unsigned cost = a[i - 1] == b[j - 1] ? 0 : 1;
			row[j] = min_of(min_of(last[j], row[j - 1]) + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
				row[j] = min_of(row[j], before[j - 2] + 1);
			}
		}
		unsigned *free_row = before;
		before = last;
		last = row;
		row = free_row;
	}
	return last[b_size];
}

const char *config_nearest(const char *word, const char *const *candidates, size_t count)
{
	char folded[WORD_SIZE_MAX + 1];
	char other[WORD_SIZE_MAX + 1];
	const char *nearest = NULL;
	const char *continued = NULL;
	size_t size = fold(word, folded);

	if (size == 0) return NULL;
	/* A third of the word may be wrong, but never so much that anything would do. */
	unsigned allowed = size <= 1 ? 0 : size <= 5 ? 1 : size <= 8 ? 2 : 3;
	unsigned best = allowed + 1;

	for (size_t i = 0; i < count; i++) {
		size_t other_size = fold(candidates[i], other);
		size_t longer = size > other_size ? size - other_size : other_size - size;

		if (other_size == 0) continue;
		if (size >= 3 && continued == NULL && strncmp(folded, other, size) == 0) {
			continued = candidates[i];
		}
		if (longer >= best) continue;
		unsigned found = distance(folded, size, other, other_size);
		if (found < best) {
			best = found;
			nearest = candidates[i];
		}
	}
	return nearest != NULL ? nearest : continued;
}

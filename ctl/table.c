/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table — see the header. */
#include "table.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { CELL_SIZE = 256, ROWS_FIRST = 16 };

struct cell {
	enum table_colour colour;
	char text[CELL_SIZE];
};

struct table {
	bool colour;
	size_t column_count;
	bool right[TABLE_COLUMNS_MAX];
	char headings[TABLE_COLUMNS_MAX][32];
	size_t row_count;
	size_t row_capacity;
	size_t next_column; /* in the row being filled */
	struct cell (*rows)[TABLE_COLUMNS_MAX];
};

struct table *table_create(const char *headings, bool colour)
{
	struct table *table = alloc_array(1, sizeof *table);
	table->colour = colour;
	table->row_capacity = ROWS_FIRST;
	table->rows = alloc_array(ROWS_FIRST, sizeof *table->rows);
	for (const char *at = headings; *at != '\0';) {
		CHECK(table->column_count < TABLE_COLUMNS_MAX);
		size_t column = table->column_count++;
		table->right[column] = *at == '>';
		if (*at == '>') at++;
		size_t size = strcspn(at, "|");
		CHECK(size < sizeof table->headings[column]);
		memcpy(table->headings[column], at, size);
		at += size;
		if (*at == '|') at++;
	}
	return table;
}

void table_free(struct table *table)
{
	if (table == NULL) return;
	alloc_free(table->rows);
	alloc_free(table);
}

static void rows_grow(struct table *table)
{
	struct cell(*rows)[TABLE_COLUMNS_MAX] = alloc_array(table->row_capacity * 2, sizeof *rows);
	memcpy(rows, table->rows, table->row_count * sizeof *rows);
	alloc_free(table->rows);
	table->rows = rows;
	table->row_capacity *= 2;
}

size_t table_character_size(const char *text, bool *ret_safe)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	*ret_safe = at[0] >= 0x20 && at[0] != 0x7f && (at[0] < 0x80 || at[0] >= 0xc2) &&
		!(at[0] == 0xc2 && at[1] < 0xa0);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) == 0x80) continue;
		*ret_safe = false;
		return i;
	}
	return size;
}

size_t table_width(const char *text)
{
	size_t width = 0;
	bool safe;
	while (*text != '\0') {
		text += table_character_size(text, &safe);
		width++;
	}
	return width;
}

void table_write_safe(FILE *file, const char *text)
{
	while (*text != '\0') {
		bool safe;
		size_t size = table_character_size(text, &safe);
		if (safe) {
			fwrite(text, 1, size, file);
		} else {
			fputc('?', file);
		}
		text += size;
	}
}

const char *table_colour_code(bool on, enum table_colour colour)
{
	static const char *const codes[] = {
		[TABLE_PLAIN] = "\x1b[0m",
		[TABLE_DIM] = "\x1b[2m",
		[TABLE_BOLD] = "\x1b[1m",
		[TABLE_RED] = "\x1b[31m",
		[TABLE_GREEN] = "\x1b[32m",
		[TABLE_YELLOW] = "\x1b[33m",
	};
	return on ? codes[colour] : "";
}

void table_cell(struct table *table, enum table_colour colour, const char *format, ...)
{
	CHECK(table->next_column < table->column_count);

	if (table->row_count == table->row_capacity) rows_grow(table);
	struct cell *cell = &table->rows[table->row_count][table->next_column++];
	cell->colour = colour;
	va_list arguments;
	va_start(arguments, format);
	/* What is longer is cut: a table is for looking, --json for the whole text. */
	vsnprintf(cell->text, sizeof cell->text, format, arguments);
	va_end(arguments);
}

void table_row_end(struct table *table)
{
	while (table->next_column < table->column_count) table_cell(table, TABLE_PLAIN, "%s", "");
	table->next_column = 0;
	table->row_count++;
}

size_t table_row_count(const struct table *table)
{
	return table->row_count;
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = table_width(table->headings[column]);
	for (size_t i = 0; i < table->row_count; i++) {
		size_t cell = table_width(table->rows[i][column].text);
		if (cell > width) width = cell;
	}
	return width;
}

static void print_cell(const struct table *table, FILE *file, size_t column, size_t width,
	enum table_colour colour, const char *text)
{
	size_t own = table_width(text);
	int pad = (int)(width - own);
	bool painted = table->colour && colour != TABLE_PLAIN && own > 0;
	if (table->right[column]) fprintf(file, "%*s", pad, "");
	if (painted) fputs(table_colour_code(true, colour), file);
	table_write_safe(file, text);
	if (painted) fputs(table_colour_code(true, TABLE_PLAIN), file);
}

/* No blanks at the end of a line: they wrap on narrow terminals. */
static void print_gap(const struct table *table, FILE *file, size_t column, size_t width,
	const char *text)
{
	if (!table->right[column]) fprintf(file, "%*s", (int)(width - table_width(text)), "");
	fputs("  ", file);
}

void table_print(const struct table *table, FILE *file)
{
	if (table->row_count == 0) return;
	size_t widths[TABLE_COLUMNS_MAX];
	for (size_t j = 0; j < table->column_count; j++) widths[j] = column_width(table, j);
	for (size_t j = 0; j < table->column_count; j++) {
		const char *before = j > 0 ? table->headings[j - 1] : "";
		if (j > 0) print_gap(table, file, j - 1, widths[j - 1], before);
		print_cell(table, file, j, widths[j], TABLE_BOLD, table->headings[j]);
	}
	fputc('\n', file);
	for (size_t i = 0; i < table->row_count; i++) {
		const struct cell *row = table->rows[i];
		size_t end = table->column_count;
		while (end > 0 && row[end - 1].text[0] == '\0') end--;
		for (size_t j = 0; j < end; j++) {
			if (j > 0) print_gap(table, file, j - 1, widths[j - 1], row[j - 1].text);
			print_cell(table, file, j, widths[j], row[j].colour, row[j].text);
		}
		fputc('\n', file);
	}
}

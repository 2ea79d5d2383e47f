/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frame — see the header. */
#include "frame.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

/* "\x1b[500;1000H", and for each cell a colour on, the character, and the colour off. */
enum { MOVE_SIZE_MAX = 12, CELL_SIZE_MAX = 16 };

struct frame_cell {
	char text[5]; /* one character of UTF-8 */
	uint8_t colour;
};

struct frame {
	unsigned columns;
	unsigned rows;
	struct frame_cell *cells; /* row by row */
};

struct frame *frame_create(unsigned columns, unsigned rows)
{
	struct frame *frame = alloc_array(1, sizeof *frame);
	frame->columns = columns < FRAME_COLUMNS_MAX ? columns : FRAME_COLUMNS_MAX;
	frame->rows = rows < FRAME_ROWS_MAX ? rows : FRAME_ROWS_MAX;
	frame->cells = alloc_array((size_t)frame->columns * frame->rows + 1, sizeof *frame->cells);
	frame_clear(frame);
	return frame;
}

void frame_free(struct frame *frame)
{
	if (frame == NULL) return;
	alloc_free(frame->cells);
	alloc_free(frame);
}

void frame_clear(struct frame *frame)
{
	for (size_t i = 0; i < (size_t)frame->columns * frame->rows; i++) {
		frame->cells[i] = (struct frame_cell){ .text = " ", .colour = TABLE_PLAIN };
	}
}

unsigned frame_columns(const struct frame *frame)
{
	return frame->columns;
}

unsigned frame_rows(const struct frame *frame)
{
	return frame->rows;
}

static struct frame_cell *cell_at(const struct frame *frame, unsigned row, unsigned column)
{
	return &frame->cells[(size_t)row * frame->columns + column];
}

/* Latin and what we draw ourselves: elsewhere are combining and double-width characters. */
static bool takes_one_column(const char *text, size_t size)
{
	const uint8_t *at = (const uint8_t *)text;
	if (size == 1) return true;
	if (size == 2) return at[0] < 0xcc; /* up to U+02FF */
	/* U+2000 to U+2AFF: punctuation, arrows, boxes and blocks; without U+2000 to U+200F and
	 * U+2028 to U+202F, which are invisible or turn the direction. */
	if (size != 3 || at[0] != 0xe2 || at[1] > 0xab) return false;
	return at[1] != 0x80 || (at[2] >= 0x90 && at[2] < 0xa8) || at[2] >= 0xb0;
}

unsigned frame_put(struct frame *frame, unsigned row, unsigned column, enum table_colour colour,
	const char *text)
{
	while (*text != '\0') {
		bool safe;
		size_t size = table_character_size(text, &safe);
		if (row < frame->rows && column < frame->columns) {
			struct frame_cell *cell = cell_at(frame, row, column);
			bool plain = safe && takes_one_column(text, size);
			memset(cell->text, 0, sizeof cell->text);
			memcpy(cell->text, plain ? text : "?", plain ? size : 1);
			cell->colour = (uint8_t)colour;
		}
		text += size;
		column++;
	}
	return column;
}

void frame_put_right(struct frame *frame, unsigned row, unsigned end, enum table_colour colour,
	const char *text)
{
	size_t width = table_width(text);
	frame_put(frame, row, width < end ? end - (unsigned)width : 0, colour, text);
}

static bool cells_equal(const struct frame_cell *a, const struct frame_cell *b)
{
	return a->colour == b->colour && strcmp(a->text, b->text) == 0;
}

/* From `first` up to `end` (not included). */
static void write_cells(const struct frame *frame, unsigned row, unsigned first, unsigned end,
	bool colour, struct writer *writer)
{
	enum table_colour on = TABLE_PLAIN;
	for (unsigned i = first; i < end; i++) {
		const struct frame_cell *cell = cell_at(frame, row, i);
		if (cell->colour != on) {
			if (on != TABLE_PLAIN)
				write_text(writer, table_colour_code(colour, TABLE_PLAIN));
			on = (enum table_colour)cell->colour;
			if (on != TABLE_PLAIN) write_text(writer, table_colour_code(colour, on));
		}
		write_text(writer, cell->text);
	}
	if (on != TABLE_PLAIN) write_text(writer, table_colour_code(colour, TABLE_PLAIN));
}

void frame_write_changes(const struct frame *frame, const struct frame *shown, bool colour,
	struct writer *writer)
{
	CHECK(shown == NULL || (shown->columns == frame->columns && shown->rows == frame->rows));

	for (unsigned row = 0; row < frame->rows; row++) {
		unsigned first = 0;
		unsigned end = frame->columns;
		while (shown != NULL && first < end &&
			cells_equal(cell_at(frame, row, first), cell_at(shown, row, first))) {
			first++;
		}
		while (shown != NULL && end > first &&
			cells_equal(cell_at(frame, row, end - 1), cell_at(shown, row, end - 1))) {
			end--;
		}
		if (first == end) continue;
		write_format(writer, "\x1b[%u;%uH", row + 1, first + 1);
		write_cells(frame, row, first, end, colour, writer);
	}
}

size_t frame_changes_size(const struct frame *frame)
{
	return (size_t)frame->rows * MOVE_SIZE_MAX +
		(size_t)frame->rows * frame->columns * CELL_SIZE_MAX + 1;
}

static unsigned row_end(const struct frame *frame, unsigned row)
{
	unsigned end = frame->columns;
	while (end > 0 && strcmp(cell_at(frame, row, end - 1)->text, " ") == 0) end--;
	return end;
}

void frame_print(const struct frame *frame, bool colour, FILE *file)
{
	unsigned rows = frame->rows;
	size_t capacity = (size_t)frame->columns * CELL_SIZE_MAX + 1;
	uint8_t *memory = alloc_array(capacity, 1);
	while (rows > 0 && row_end(frame, rows - 1) == 0) rows--;
	for (unsigned row = 0; row < rows; row++) {
		struct writer writer = writer_of(memory, capacity);
		write_cells(frame, row, 0, row_end(frame, row), colour, &writer);
		fwrite(writer.data, 1, writer.size, file);
		fputc('\n', file);
	}
	alloc_free(memory);
}

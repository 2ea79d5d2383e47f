/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frame — a screen of text in memory: drawn anew each time, and only what differs from the one
 * shown before is sent to the terminal, so that nothing flickers.
 *
 * Each cell is one character that takes one column. What would take two, none, or drive the
 * terminal is shown as "?"; what does not fit is cut.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/cursor.h"
#include "table.h"

enum { FRAME_COLUMNS_MAX = 1000, FRAME_ROWS_MAX = 500 };

struct frame;

/* Blank. More columns or rows than the bounds are cut to them. */
struct frame *frame_create(unsigned columns, unsigned rows);
void frame_free(struct frame *frame);
void frame_clear(struct frame *frame);
unsigned frame_columns(const struct frame *frame);
unsigned frame_rows(const struct frame *frame);

/* Returns the column after the text, also when it was cut or the row is not there. */
unsigned frame_put(struct frame *frame, unsigned row, unsigned column, enum table_colour colour,
	const char *text);
/* The same, ending before `end`: for numbers. */
void frame_put_right(struct frame *frame, unsigned row, unsigned end, enum table_colour colour,
	const char *text);

/* What makes a terminal that shows `shown` show `frame`; `shown` NULL: a terminal that shows
 * anything. Both have the same size. frame_changes_size() is room enough. */
void frame_write_changes(const struct frame *frame, const struct frame *shown, bool colour,
	struct writer *writer);
size_t frame_changes_size(const struct frame *frame);
/* As lines, without blanks at their ends and blank lines at the end. */
void frame_print(const struct frame *frame, bool colour, FILE *file);

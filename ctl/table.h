/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table — rows of text in aligned columns, coloured only where asked for.
 *
 * Text may come from providers and targets: control characters, which could drive the terminal,
 * are shown as "?" and never sent. Widths are counted in characters, not bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_colour { TABLE_PLAIN, TABLE_DIM, TABLE_BOLD, TABLE_RED, TABLE_GREEN, TABLE_YELLOW };
enum { TABLE_COLUMNS_MAX = 12 };

struct table;

/* Headings are separated by "|"; one that begins with ">" makes a column of numbers, set to the
 * right. */
struct table *table_create(const char *headings, bool colour);
void table_cell(struct table *table, enum table_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Fills the row up with empty cells. */
void table_row_end(struct table *table);
size_t table_row_count(const struct table *table);
/* Nothing is written for a table without rows. */
void table_print(const struct table *table, FILE *file);
void table_free(struct table *table);

/* Writes text without control characters. */
void table_write_safe(FILE *file, const char *text);
/* The escape sequence for a colour, or "" without colours; TABLE_PLAIN ends it. */
const char *table_colour_code(bool on, enum table_colour colour);
/* Characters, not bytes. */
size_t table_width(const char *text);
/* The size of the character at `text`, and whether it may go to a terminal: no C0 or C1 control,
 * and well enough formed not to eat what follows. */
size_t table_character_size(const char *text, bool *ret_safe);

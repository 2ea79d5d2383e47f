/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_comments — a '#' that stands in no scalar begins a comment: nothing else that is
 * accepted here has one in it.
 */
#include "config/config_comments.h"

#include "base/check.h"
#include "config/config_text.h"

/* ---- Characters and bytes -------------------------------------------------------------------- */

struct cursor {
	struct bytes text;
	size_t character;
	size_t offset;
};

/* libyaml counts characters; only forwards. */
static size_t offset_of(struct cursor *cursor, size_t character)
{
	uint32_t ignored;

	CHECK(character >= cursor->character);
	while (cursor->character < character && cursor->offset < cursor->text.size) {
		struct bytes rest = bytes_from(cursor->text, cursor->offset);
		size_t size = config_text_next(rest, &ignored);
		cursor->offset += size == 0 ? 1 : size;
		cursor->character++;
	}
	return cursor->offset;
}

/* Of every node, in the order of the text; of containers only where they begin. */
static void nodes_place(struct config_node *node, struct cursor *cursor)
{
	size_t end = node->end;

	node->begin = offset_of(cursor, node->begin);
	if (node->kind == NODE_SCALAR) node->end = offset_of(cursor, end);
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		nodes_place(child, cursor);
	}
}

/* ---- Scalars --------------------------------------------------------------------------------- */

/* The next scalar behind the one before, in the order of the text. */
struct scalars {
	const struct config_node *open[CONFIG_DEPTH_MAX + 1];
	uint32_t depth;
};

static const struct config_node *scalar_next(struct scalars *scalars)
{
	while (scalars->depth > 0) {
		const struct config_node *node = scalars->open[scalars->depth - 1];

		if (node == NULL) {
			scalars->depth--;
			continue;
		}
		scalars->open[scalars->depth - 1] = node->next;
		if (node->kind == NODE_SCALAR) return node;
		if (node->first == NULL) continue;
		CHECK(scalars->depth <= CONFIG_DEPTH_MAX);
		scalars->open[scalars->depth++] = node->first;
	}
	return NULL;
}

/* ---- The scan -------------------------------------------------------------------------------- */

struct scan {
	struct bytes text;
	struct scalars scalars;
	const struct config_node *scalar; /* the next one */
	size_t at;
	uint32_t line;
	size_t line_start;
	bool content; /* of the line so far */
	struct config_comments *comments;
	bool counting;
};

static uint32_t column_of(struct bytes text, size_t line_start, size_t at)
{
	struct cursor cursor = { .text = bytes_from(text, line_start) };

	while (cursor.offset < at - line_start) (void)offset_of(&cursor, cursor.character + 1);
	return (uint32_t)cursor.character + 1;
}

static void line_end(struct scan *scan)
{
	if (!scan->counting) scan->comments->blank[scan->line] = !scan->content;
	scan->line++;
	scan->line_start = scan->at + 1;
	scan->content = false;
}

/* To the line's end, which is left. */
static void take_comment(struct scan *scan)
{
	struct bytes text = bytes_from(scan->text, scan->at);
	size_t size = bytes_find(text, '\n');
	uint32_t index = scan->comments->count++;

	text = bytes_of(text.data, size);
	while (text.size > 0 && strchr(" \t\r", text.data[text.size - 1]) != NULL) text.size--;
	if (!scan->counting) {
		scan->comments->all[index] = (struct config_comment){
			.text = text,
			.at = scan->at,
			.line = scan->line,
			.column = column_of(scan->text, scan->line_start, scan->at),
			.own_line = !scan->content,
		};
	}
	scan->content = true;
	scan->at += size;
}

/* Over a scalar, whatever is in it. A block scalar's first line may have a comment. */
static void skip_scalar(struct scan *scan)
{
	const struct config_node *scalar = scan->scalar;
	uint8_t first = scan->text.data[scan->at];
	bool block = first == '|' || first == '>';

	scan->scalar = scalar_next(&scan->scalars);
	scan->content = true;
	while (scan->at < scalar->end && scan->at < scan->text.size) {
		uint8_t byte = scan->text.data[scan->at];
		if (block && byte == '#') {
			take_comment(scan);
			block = false;
			continue;
		}
		if (byte == '\n') {
			line_end(scan);
			scan->content = true;
			block = false;
		}
		scan->at++;
	}
}

static void scan_run(struct scan *scan)
{
	scan->scalar = scalar_next(&scan->scalars);
	while (scan->at < scan->text.size) {
		while (scan->scalar != NULL && scan->scalar->end <= scan->at) {
			scan->scalar = scalar_next(&scan->scalars);
		}
		if (scan->scalar != NULL && scan->scalar->begin <= scan->at) {
			skip_scalar(scan);
			continue;
		}
		uint8_t byte = scan->text.data[scan->at];
		if (byte == '#') {
			take_comment(scan);
			continue;
		}
		if (byte == '\n') {
			line_end(scan);
		} else if (byte != ' ' && byte != '\t' && byte != '\r') {
			scan->content = true;
		}
		scan->at++;
	}
	if (!scan->counting) scan->comments->blank[scan->line] = !scan->content;
}

static uint32_t scan_all(struct bytes text, const struct config_node *root, bool counting,
	struct config_comments *comments)
{
	struct scan scan = {
		.text = text,
		.scalars = { .open = { root }, .depth = 1 },
		.line = 1,
		.comments = comments,
		.counting = counting,
	};

	comments->count = 0;
	scan_run(&scan);
	return scan.line;
}

struct config_comments config_comments_find(struct bytes text, struct config_node *root,
	struct config_arena *arena)
{
	struct config_comments comments = { 0 };
	struct cursor cursor = { .text = text };

	nodes_place(root, &cursor);
	comments.line_count = scan_all(text, root, true, &comments);
	comments.all = config_arena_take(arena, comments.count + 1, sizeof *comments.all);
	comments.blank = config_arena_take(arena, (size_t)comments.line_count + 2, sizeof(bool));
	(void)scan_all(text, root, false, &comments); /* the same number of lines */
	return comments;
}

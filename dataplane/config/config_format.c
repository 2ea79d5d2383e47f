/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_format.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_comments.h"
#include "config/config_internal.h"
#include "config/config_text.h"
#include "config/config_walk.h"

enum { INDENT = 2, LEVELS_MAX = CONFIG_DEPTH_MAX + 1 };

struct formatter {
	struct bytes text;
	FILE *to;
	const struct config_comments *comments;
	uint32_t comment; /* the next one */

	/* Of the containers around what was written last: where they stood and stand. A comment
	 * belongs to the innermost that does not begin to the right of it. */
	uint32_t columns[LEVELS_MAX];
	uint32_t indents[LEVELS_MAX];
	uint32_t recent; /* how many of them there are */
	uint32_t depth;  /* of the container at hand */

	bool begun;         /* anything was written */
	bool open;          /* the line at hand has no end yet */
	uint32_t width;     /* characters of it */
	uint32_t last_line; /* of the text: up to there it was written */
};

/* ---- Writing --------------------------------------------------------------------------------- */

static uint32_t characters(struct bytes text)
{
	uint32_t count = 0;

	for (size_t i = 0; i < text.size; i++) count += (text.data[i] & 0xC0) != 0x80;
	return count;
}

static void put(struct formatter *formatter, struct bytes text)
{
	fwrite(text.data, 1, text.size, formatter->to);
	formatter->width += characters(text);
}

static void put_spaces(struct formatter *formatter, uint32_t count)
{
	fprintf(formatter->to, "%*s", (int)count, "");
	formatter->width += count;
}

static void line_close(struct formatter *formatter)
{
	if (formatter->open) fputc('\n', formatter->to);
	formatter->open = false;
	formatter->width = 0;
}

/* A new line for what stood in `line`; with an empty one before it if there was one. */
static void line_begin(struct formatter *formatter, uint32_t line, uint32_t indent)
{
	bool blank = false;

	line_close(formatter);
	for (uint32_t at = formatter->last_line + 1; at < line && !blank; at++) {
		blank = formatter->comments->blank[at];
	}
	if (blank && formatter->begun) fputc('\n', formatter->to);
	if (line > formatter->last_line) formatter->last_line = line;
	formatter->begun = true;
	formatter->open = true;
	put_spaces(formatter, indent);
}

/* ---- Comments -------------------------------------------------------------------------------- */

static uint32_t comment_indent(const struct formatter *formatter, uint32_t column, uint32_t level)
{
	uint32_t found = level;

	for (uint32_t i = level + 1; i < formatter->recent; i++) {
		/* A list may begin in its key's column: then the comment is about the next key. */
		bool inside = formatter->columns[i] > formatter->columns[found];
		if (inside && formatter->columns[i] <= column) found = i;
	}
	return formatter->indents[found];
}

/* Those that stand before `at`, where something on `level` begins: behind the line at hand, in
 * their column where it is free, or on lines of their own. */
static void comments_before(struct formatter *formatter, size_t at, uint32_t level)
{
	for (; formatter->comment < formatter->comments->count; formatter->comment++) {
		const struct config_comment *comment =
			&formatter->comments->all[formatter->comment];

		if (comment->at >= at) return;
		bool behind = !comment->own_line && formatter->open &&
			comment->line == formatter->last_line;
		if (behind) {
			bool fits = comment->column - 1 > formatter->width;
			put_spaces(formatter,
				fits ? comment->column - 1 - formatter->width : INDENT);
		} else {
			line_begin(formatter, comment->line,
				comment_indent(formatter, comment->column, level));
		}
		put(formatter, comment->text);
		line_close(formatter);
	}
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* As it was written; on one line. */
static void put_scalar(struct formatter *formatter, const struct config_node *node)
{
	struct bytes raw = bytes_from(bytes_of(formatter->text.data, node->end), node->begin);
	bool one_line = bytes_find(raw, '\n') == raw.size;
	bool block = raw.size > 0 && (raw.data[0] == '|' || raw.data[0] == '>');
	/* With a space behind it, it would be an indicator: "{a: -}" becomes "{ a: '-' }". */
	bool indicator = !node->quoted && raw.size > 0 &&
		(raw.data[raw.size - 1] == ':' || bytes_equal(raw, BYTES_LITERAL("-")) ||
			bytes_equal(raw, BYTES_LITERAL("?")));
	char *text = NULL;
	size_t size = 0;

	if (one_line && !block && !indicator) {
		put(formatter, raw);
		return;
	}
	FILE *file = open_memstream(&text, &size);
	CHECK(file != NULL); /* out of memory aborts, as in base/alloc.h */
	config_scalar_print(file, node->text);
	CHECK(fclose(file) == 0);
	put(formatter, bytes_of(text, size));
	free(text);
}

static void put_flow(struct formatter *formatter, const struct config_node *node)
{
	bool map = node->kind == NODE_MAP;
	uint32_t index = 0;

	if (node->kind == NODE_SCALAR) {
		/* Nothing would be read as something else between braces. */
		bool nothing = node->begin == node->end;
		if (nothing) put(formatter, BYTES_LITERAL("null"));
		if (!nothing) put_scalar(formatter, node);
		return;
	}
	if (node->child_count == 0) {
		put(formatter, map ? BYTES_LITERAL("{}") : BYTES_LITERAL("[]"));
		return;
	}
	put(formatter, map ? BYTES_LITERAL("{ ") : BYTES_LITERAL("["));
	for (const struct config_node *child = node->first; child != NULL; child = child->next) {
		bool value = map && index % 2 == 1;
		if (value) put(formatter, BYTES_LITERAL(": "));
		if (!value && index > 0) put(formatter, BYTES_LITERAL(", "));
		put_flow(formatter, child);
		index++;
	}
	put(formatter, map ? BYTES_LITERAL(" }") : BYTES_LITERAL("]"));
}

/* How wide it would be on one line. */
static uint32_t flow_width(const struct formatter *formatter, const struct config_node *node)
{
	struct formatter measure = *formatter;
	char *text = NULL;
	size_t size = 0;

	measure.to = open_memstream(&text, &size);
	CHECK(measure.to != NULL);
	measure.width = 0;
	put_flow(&measure, node);
	CHECK(fclose(measure.to) == 0);
	free(text);
	return measure.width;
}

/* Whether it goes behind its key: a value, or a section in braces that is short enough. */
static bool is_inline(const struct formatter *formatter, const struct config_node *node)
{
	if (node->kind == NODE_SCALAR || node->child_count == 0) return true;
	if (!node->flow || node->position.line != node->last_line) return false;
	return formatter->width + 1 + flow_width(formatter, node) <= CONFIG_FORMAT_COLUMNS;
}

static void put_inline(struct formatter *formatter, const struct config_node *node)
{
	put_flow(formatter, node);
	if (node->last_line > formatter->last_line) formatter->last_line = node->last_line;
}

/* ---- Sections and lists ---------------------------------------------------------------------- */

static void put_block(struct formatter *formatter, const struct config_node *node, uint32_t indent,
	bool line_begun);

/* On the level of the container at hand; what was deeper is over. */
static void entry_begin(struct formatter *formatter, const struct config_node *node,
	uint32_t indent)
{
	uint32_t level = formatter->depth - 1;

	comments_before(formatter, node->begin, level);
	formatter->recent = formatter->depth;
	line_begin(formatter, node->position.line, indent);
}

static void put_pair(struct formatter *formatter, const struct config_node *key, uint32_t indent)
{
	const struct config_node *value = key->next;

	CHECK(value != NULL); /* keys come with values, even those that are nothing */
	put_flow(formatter, key);
	put(formatter, BYTES_LITERAL(":"));
	if (key->last_line > formatter->last_line) formatter->last_line = key->last_line;
	if (!is_inline(formatter, value)) {
		put_block(formatter, value, indent + INDENT, false);
		return;
	}
	bool nothing = value->kind == NODE_SCALAR && value->begin == value->end;
	if (nothing) return;
	put(formatter, BYTES_LITERAL(" "));
	put_inline(formatter, value);
}

static void put_element(struct formatter *formatter, const struct config_node *node,
	uint32_t indent)
{
	put(formatter, BYTES_LITERAL("- "));
	if (is_inline(formatter, node)) {
		put_inline(formatter, node);
	} else {
		put_block(formatter, node, indent + INDENT, true);
	}
}

/* `line_begun`: the first entry goes on in the line at hand, behind a dash. */
static void put_block(struct formatter *formatter, const struct config_node *node, uint32_t indent,
	bool line_begun)
{
	CHECK(formatter->depth < LEVELS_MAX);
	formatter->columns[formatter->depth] = node->position.column;
	formatter->indents[formatter->depth] = indent;
	formatter->depth++;
	formatter->recent = formatter->depth;
	for (const struct config_node *child = node->first; child != NULL;) {
		bool map = node->kind == NODE_MAP;

		if (!line_begun) entry_begin(formatter, child, indent);
		line_begun = false;
		if (map) {
			put_pair(formatter, child, indent);
		} else {
			put_element(formatter, child, indent);
		}
		child = map ? child->next->next : child->next;
	}
	formatter->depth--;
}

/* ---- The same? ------------------------------------------------------------------------------- */

static bool nodes_equal(const struct config_node *a, const struct config_node *b)
{
	if (a->kind != b->kind || a->child_count != b->child_count) return false;
	if (a->kind == NODE_SCALAR) {
		if (config_node_is_null(a) || config_node_is_null(b)) {
			return config_node_is_null(a) && config_node_is_null(b);
		}
		return strcmp(a->text, b->text) == 0;
	}
	const struct config_node *left = a->first;
	const struct config_node *right = b->first;
	for (; left != NULL; left = left->next, right = right->next) {
		if (!nodes_equal(left, right)) return false;
	}
	return true;
}

static bool comments_equal(const struct config_comments *a, const struct config_comments *b)
{
	if (a->count != b->count) return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (!bytes_equal(a->all[i].text, b->all[i].text)) return false;
	}
	return true;
}

static bool is_same(const struct config_node *root, const struct config_comments *comments,
	struct bytes result, struct config_arena *arena)
{
	struct config_report *report = alloc_array(1, sizeof *report);

	config_report_init(report, NULL);
	struct config_node *again = config_yaml_parse(result, arena, report);
	bool same = again != NULL && report->error_count == 0 && nodes_equal(root, again);
	if (same) {
		struct config_comments found = config_comments_find(result, again, arena);
		same = comments_equal(comments, &found);
	}
	alloc_free(report);
	return same;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* Taken from the heap by open_memstream(): free(). */
static char *format_root(struct bytes text, const struct config_node *root,
	const struct config_comments *comments, size_t *ret_size)
{
	char *result = NULL;
	struct formatter formatter = {
		.text = text,
		.to = open_memstream(&result, ret_size),
		.comments = comments,
	};

	CHECK(formatter.to != NULL);
	put_block(&formatter, root, 0, false);
	comments_before(&formatter, SIZE_MAX, 0);
	line_close(&formatter);
	CHECK(fclose(formatter.to) == 0);
	return result;
}

static enum result format_tree(struct bytes text, struct config_node *root, FILE *to,
	struct config_arena *arena)
{
	struct config_comments comments = config_comments_find(text, root, arena);
	size_t size = 0;
	char *result = format_root(text, root, &comments, &size);
	bool same = is_same(root, &comments, bytes_of(result, size), arena);

	if (same) fwrite(result, 1, size, to);
	free(result);
	return same ? RESULT_OK : RESULT_UNSUPPORTED;
}

enum result config_format(const char *path, struct bytes text, void *to,
	struct config_report *report)
{
	struct config_arena *arena = config_arena_create();
	enum result result = RESULT_CONFIG;

	config_report_init(report, path);
	if (bytes_starts_with(text, BYTES_LITERAL("\xEF\xBB\xBF"))) text = bytes_from(text, 3);
	report->text = (const char *)text.data;
	report->text_size = text.size;
	struct config_node *root = config_yaml_parse(text, arena, report);
	bool is_map = root != NULL && root->kind == NODE_MAP;
	if (report->error_count == 0 && !is_map) {
		config_report_add(report, CONFIG_ERROR, PS_WRONG_KIND,
			(struct config_position){ 0 }, "begin with 'listeners:'",
			"the file must consist of keys with values");
	}
	if (report->error_count == 0 && is_map) result = format_tree(text, root, to, arena);
	report->text = NULL;
	config_arena_free(arena);
	return result;
}

enum result config_format_file(const char *path, void *to, bool *ret_same,
	struct config_report *report)
{
	struct bytes text;
	char *formatted = NULL;
	size_t size = 0;

	config_report_init(report, path);
	if (!config_text_load(path, &text, report)) return RESULT_CONFIG;
	FILE *file = open_memstream(&formatted, &size);
	CHECK(file != NULL);
	enum result result = config_format(path, text, file, report);
	CHECK(fclose(file) == 0);
	if (result == RESULT_OK) {
		*ret_same = bytes_equal(text, bytes_of(formatted, size));
		fwrite(formatted, 1, size, to);
	}
	free(formatted);
	alloc_free((void *)(uintptr_t)text.data);
	return result;
}

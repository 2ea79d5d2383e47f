/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_yaml_fault.h"

#include <stdio.h>

#include "base/check.h"
#include "config/config_codes.h"

#define UNCLOSED "found unexpected end of stream"

struct explanation {
	const char *problem; /* libyaml's words, or how they begin */
	const char *sentence;
	const char *hint;
};

static const struct explanation explanations[] = {
	{ "mapping values are not allowed in this context", "a ':' where no key can stand",
		"check the indentation of this line and the one above; text with ': ' in it needs "
		"quotes" },
	{ "did not find expected key", "this does not continue the keys above",
		"check the indentation; a quote or bracket above may not be closed" },
	{ "could not find expected ':'", "a key without its ':'",
		"write 'key: value', with a space behind the colon" },
	{ "did not find expected '-' indicator", "this does not continue the list above",
		"each element begins with '- ' in the same column" },
	{ "block sequence entries are not allowed", "a '-' where no list can stand",
		"begin a list on the line below its key" },
	{ "block mapping keys are not allowed", "a key where none can stand",
		"check the indentation" },
	{ "did not find expected ',' or ']'", "a list in brackets is not closed",
		"it needs ',' between its elements and ']' at its end" },
	{ "did not find expected ',' or '}'", "a section in braces is not closed",
		"it needs ',' between its keys and '}' at its end" },
	{ UNCLOSED, "a quote that is never closed", NULL },
	{ "found unexpected document indicator", "a quote is not closed before this line", NULL },
	{ "found unknown escape character", "an escape that YAML does not know",
		"in single quotes a backslash is just a backslash" },
	{ "did not find expected hexdecimal number", "an escape that needs hexadecimal digits",
		"in single quotes a backslash is just a backslash" },
	{ "did not find expected node content", "a value is missing here", NULL },
	{ "did not find expected <document start>", "text behind the end of the document",
		"check the indentation of this line: the file begins further to the right" },
	{ "found undefined tag handle", "YAML tags are not accepted",
		"text that begins with '!' needs quotes" },
	{ "did not find expected alphabetic or numeric character",
		"text that begins with '*' or '&' needs quotes", NULL },
	{ "did not find expected whitespace or line break", "there must be a space here",
		"text that begins with one of * & ! | > needs quotes" },
};

static struct bytes line_at(struct bytes text, size_t line)
{
	struct bytes head = BYTES_EMPTY;

	for (size_t i = 0; i <= line; i++) {
		if (!bytes_split(text, '\n', &head, &text) && i < line) return BYTES_EMPTY;
	}
	return head;
}

/* A tab in the indentation, or where libyaml stopped. */
static bool report_tab(struct bytes line, yaml_mark_t mark, struct config_report *report)
{
	size_t at = 0;

	while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t')) {
		if (line.data[at] == '\t') break;
		at++;
	}
	if (at >= line.size || line.data[at] != '\t') return false;
	config_report_add(report, CONFIG_ERROR, PS_TAB,
		(struct config_position){ (uint32_t)mark.line + 1, (uint32_t)at + 1 },
		"indent with spaces", "a tab in the indentation; YAML allows only spaces");
	return true;
}

/* "[2001:db8::1]" or the like: a list for YAML. */
static bool is_bracketed_ip(struct bytes text)
{
	size_t colons = 0;
	size_t at = 1;

	if (text.size < 2 || text.data[0] != '[') return false;
	for (; at < text.size && text.data[at] != ']'; at++) {
		static const char allowed[] = "0123456789abcdefABCDEF:.";
		if (memchr(allowed, text.data[at], sizeof allowed - 1) == NULL) return false;
		if (text.data[at] == ':') colons++;
	}
	return colons >= 2 && at < text.size;
}

/* Text that needs quotes because of how it begins. */
static bool report_quotes(struct bytes line, const char *problem, struct config_position position,
	struct config_report *report)
{
	size_t at = position.column - 1;

	/* Exact for lines of ASCII; elsewhere the general sentence will do. */
	if (strcmp(problem, "found character that cannot start any token") == 0 && at < line.size &&
		line.data[at] > ' ' && line.data[at] < 0x7F) {
		config_report_add(report, CONFIG_ERROR, PS_SYNTAX, position,
			"put the value into quotes", "a value may not begin with '%c'",
			line.data[at]);
		return true;
	}
	for (size_t i = 0; i < line.size; i++) {
		if (!is_bracketed_ip(bytes_from(line, i))) continue;
		position.column = (uint32_t)i + 1;
		config_report_add(report, CONFIG_ERROR, PS_SYNTAX, position,
			"put the address into quotes: '[::1]:443'",
			"an IPv6 address in brackets, which YAML takes for a list");
		return true;
	}
	return false;
}

void config_yaml_fault(const yaml_parser_t *parser, struct bytes text, struct config_report *report)
{
	const yaml_mark_t mark = parser->problem_mark;
	struct bytes line = line_at(text, mark.line);
	struct config_position position = { (uint32_t)mark.line + 1, (uint32_t)mark.column + 1 };
	const char *problem = parser->problem == NULL ? "unknown error" : parser->problem;
	const char *hint = NULL;
	char began[64] = "";

	CHECK(parser->error != YAML_MEMORY_ERROR); /* as base/alloc.h: out of memory aborts */
	/* What the reader refuses has been found before, by config_text.h. */
	if (report_tab(line, mark, report)) return;
	if (report_quotes(line, problem, position, report)) return;
	if (strcmp(problem, UNCLOSED) == 0) {
		/* The end of the file says nothing; the opening quote does. */
		position.line = (uint32_t)parser->context_mark.line + 1;
		position.column = (uint32_t)parser->context_mark.column + 1;
	} else if (parser->context != NULL && parser->context_mark.line != mark.line) {
		snprintf(began, sizeof began, " (it began in line %zu)",
			parser->context_mark.line + 1);
	}
	for (size_t i = 0; i < ARRAY_COUNT(explanations); i++) {
		if (strncmp(problem, explanations[i].problem, strlen(explanations[i].problem)) ==
			0) {
			problem = explanations[i].sentence;
			hint = explanations[i].hint;
			break;
		}
	}
	config_report_add(report, CONFIG_ERROR, PS_SYNTAX, position, hint, "%s%s", problem, began);
}

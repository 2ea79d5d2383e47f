/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program_man — the description as a page for man(1): the macros of man(7) that groff and mandoc
 * both know, and nothing that a terminal without UTF-8 could not show.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/version.h"
#include "program/program.h"

/* Escapes make some of it longer. */
enum { LINE_SIZE_MAX = 68 };

/* What is special to roff, or is another character in a terminal than it looks. */
static const char *escape_of(const char *at, size_t *ret_size)
{
	static const struct {
		const char *text;
		const char *escape;
	} escapes[] = {
		{ "\\", "\\e" },
		{ "-", "\\-" },
		{ "'", "\\(aq" },
		{ "`", "\\(ga" },
		{ "^", "\\(ha" },
		{ "~", "\\(ti" },
		{ "\"", "\\(dq" },
		{ "—", "\\(em" },
		{ "…", "..." },
		{ "µ", "\\(mc" },
	};
	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
		*ret_size = strlen(escapes[i].text);
		if (strncmp(at, escapes[i].text, *ret_size) == 0) return escapes[i].escape;
	}
	*ret_size = 1;
	return NULL;
}

/* Up to `end`. A line must not begin with a dot by accident. */
static void put_escaped(FILE *file, const char *text, const char *end)
{
	if (text < end && *text == '.') fputs("\\&", file);
	while (text < end) {
		size_t size;
		const char *escape = escape_of(text, &size);
		if (escape != NULL) {
			fputs(escape, file);
		} else {
			fputc(*text, file);
		}
		text += size;
	}
}

static void put(FILE *file, const char *text)
{
	put_escaped(file, text, text + strlen(text));
}

/* Up to `end`, beginning in `column`, in lines of a length that mandoc -Tlint likes. */
static void put_folded(FILE *file, const char *text, const char *end, size_t column)
{
	bool first = true;
	while (text < end) {
		size_t size = strcspn(text, " ");
		if (text + size > end) size = (size_t)(end - text);
		if (!first && column + size > LINE_SIZE_MAX) {
			fputc('\n', file);
			column = 0;
		} else if (!first) {
			fputc(' ', file);
		}
		put_escaped(file, text, text + size);
		column += size + 1;
		text += size;
		if (text < end) text++;
		first = false;
	}
}

static void put_sentence(FILE *file, const char *text)
{
	put_folded(file, text, text + strlen(text), 0);
}

static const char *line_end(const char *line)
{
	return line + strcspn(line, "\n");
}

/* Paragraphs and examples, after a heading. */
static void put_text(FILE *file, const char *text)
{
	bool example = false;
	bool paragraph = false; /* an empty line was seen, and nothing after it yet */
	bool any = false;
	while (text != NULL && *text != '\0') {
		const char *end = line_end(text);
		bool is_example = strncmp(text, "  ", 2) == 0;
		if (end == text) {
			paragraph = true;
		} else {
			if (example && !is_example) fputs(".fi\n.RE\n", file);
			if (any && (paragraph || example != is_example)) fputs(".PP\n", file);
			if (!example && is_example) fputs(".RS 4\n.nf\n", file);
			if (is_example) {
				put_escaped(file, text + 2, end);
			} else {
				put_folded(file, text, end, 0);
			}
			fputc('\n', file);
			example = is_example;
			paragraph = false;
			any = true;
		}
		text = *end == '\n' ? end + 1 : end;
	}
	if (example) fputs(".fi\n.RE\n", file);
}

static void put_option(FILE *file, const struct program_option *option)
{
	fputs(".TP\n", file);
	if (option->code > 0 && option->code < 128) fprintf(file, "\\fB\\-%c\\fR, ", option->code);
	fputs("\\fB\\-\\-", file);
	put(file, option->name);
	fputs("\\fR", file);
	if (option->value != NULL) {
		fputs(" \\fI", file);
		put(file, option->value);
		fputs("\\fR", file);
	}
	fputc('\n', file);
	put_sentence(file, option->help);
	if (option->repeats) fputs("; may be repeated", file);
	fputs(".\n", file);
	if (option->otherwise == NULL) return;
	fputs("Default: ", file);
	put(file, option->otherwise);
	fputs(".\n", file);
}

static void put_entries(FILE *file, const char *heading, const struct program_entry *entries)
{
	if (entries == NULL) return;
	fprintf(file, ".SH %s\n", heading);
	for (; entries->name != NULL; entries++) {
		fputs(".TP\n\\fB", file);
		put(file, entries->name);
		fputs("\\fR\n", file);
		put_sentence(file, entries->help);
		fputs(".\n", file);
	}
}

static void put_command(FILE *file, const struct program *program,
	const struct program_command *command)
{
	fputs(".SS \"", file);
	put(file, program->name);
	fputc(' ', file);
	put(file, command->name);
	for (size_t i = 0; i < command->option_count; i++) {
		const struct program_option *option = &command->options[i];
		fputs(" [\\-\\-", file);
		put(file, option->name);
		if (option->value != NULL) fputc(' ', file);
		if (option->value != NULL) put(file, option->value);
		fputc(']', file);
	}
	if (*command->arguments != '\0') fputc(' ', file);
	put(file, command->arguments);
	fputs("\"\n", file);
	put_sentence(file, command->help);
	fputs(".\n", file);
	if (command->text != NULL) {
		fputs(".PP\n", file);
		put_text(file, command->text);
	}
	if (command->needs != NULL) {
		fputs(".PP\n", file);
		put_text(file, command->needs);
	}
	for (size_t i = 0; i < command->option_count; i++) put_option(file, &command->options[i]);
}

/* SOURCE_DATE_EPOCH (reproducible-builds.org) or today. */
static void put_date(FILE *file)
{
	const char *given = getenv("SOURCE_DATE_EPOCH");
	struct timespec now = { 0 };
	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	if (given != NULL) now.tv_sec = (time_t)strtoll(given, NULL, 10);
	struct tm date;
	char text[32];
	if (gmtime_r(&now.tv_sec, &date) == NULL) return;
	strftime(text, sizeof text, "%Y-%m-%d", &date);
	fputs(text, file);
}

static void put_head(const struct program *program, FILE *file)
{
	fputs(".\\\" Made from the program's own table of options: do not edit.\n.TH ", file);
	for (const char *at = program->name; *at != '\0'; at++) {
		if (*at == '-') fputc('\\', file);
		fputc(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at, file);
	}
	fprintf(file, " %d \"", program->section);
	put_date(file);
	fprintf(file, "\" \"penstock %s\" \"Penstock\"\n.nh\n.ad l\n", penstock_version);
	fputs(".SH NAME\n", file);
	put(file, program->name);
	fputs(" \\- ", file);
	put_folded(file, program->summary, program->summary + strlen(program->summary),
		strlen(program->name) + 4);
	fputs("\n.SH SYNOPSIS\n", file);
	for (const char *const *line = program->synopsis; *line != NULL; line++) {
		if (line != program->synopsis) fputs(".br\n", file);
		fputs("\\fB", file);
		put(file, program->name);
		fputs("\\fR ", file);
		put(file, *line);
		fputc('\n', file);
	}
}

void program_man_print(const struct program *program, FILE *file)
{
	put_head(program, file);
	if (program->text != NULL) {
		fputs(".SH DESCRIPTION\n", file);
		put_text(file, program->text);
	}
	if (program->option_count > 0) fputs(".SH OPTIONS\n", file);
	for (size_t i = 0; i < program->option_count; i++) {
		if (program->options[i].heading != NULL) {
			fputs(".SS \"", file);
			put(file, program->options[i].heading);
			fputs("\"\n", file);
		}
		put_option(file, &program->options[i]);
	}
	if (program->command_count > 0) fputs(".SH COMMANDS\n", file);
	for (size_t i = 0; i < program->command_count; i++) {
		put_command(file, program, &program->commands[i]);
	}
	put_entries(file, "\"EXIT STATUS\"", program->exits);
	put_entries(file, "ENVIRONMENT", program->environment);
	put_entries(file, "FILES", program->files);
	if (program->examples != NULL) {
		fputs(".SH EXAMPLES\n", file);
		put_text(file, program->examples);
	}
	if (program->see_also != NULL) {
		fputs(".SH \"SEE ALSO\"\n", file);
		put_text(file, program->see_also);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program — see the header: values, getopt's tables and --help. */
#include "program/program.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

#include "base/check.h"

enum { HELP_COLUMN = 24, HELP_COLUMNS_MAX = 92 };

/* ---- Values ---------------------------------------------------------------------------------- */

enum program_value program_value(const char *value)
{
	static const struct {
		const char *name;
		enum program_value kind;
	} kinds[] = {
		{ "FILE", PROGRAM_VALUE_FILE },
		{ "PATH", PROGRAM_VALUE_FILE },
		{ "DIR", PROGRAM_VALUE_FOLDER },
	};
	for (size_t i = 0; value != NULL && i < ARRAY_COUNT(kinds); i++) {
		if (strcmp(kinds[i].name, value) == 0) return kinds[i].kind;
	}
	return PROGRAM_VALUE_FREE;
}

bool program_value_word(const char **at, char *ret, size_t ret_size)
{
	while (**at != '\0') {
		size_t size = strcspn(*at, "|");
		size_t small = strspn(*at, "abcdefghijklmnopqrstuvwxyz-");
		bool literal = small == size && size > 0 && size < ret_size;
		if (literal) snprintf(ret, ret_size, "%.*s", (int)size, *at);
		*at += (*at)[size] == '|' ? size + 1 : size;
		if (literal) return true;
	}
	return false;
}

/* ---- getopt ---------------------------------------------------------------------------------- */

void program_getopt(const struct program *program, struct option *ret)
{
	for (size_t i = 0; i < program->option_count; i++) {
		const struct program_option *option = &program->options[i];
		ret[i] = (struct option){
			.name = option->name,
			.has_arg = option->value != NULL ? required_argument : no_argument,
			.val = option->code,
		};
	}
	ret[program->option_count] = (struct option){ 0 };
}

static bool has_letter(const struct program_option *option)
{
	return option->code > 0 && option->code < 128 && isalpha(option->code);
}

void program_getopt_letters(const struct program *program,
	char letters[static PROGRAM_LETTERS_SIZE])
{
	size_t size = 0;
	for (size_t i = 0; i < program->option_count; i++) {
		const struct program_option *option = &program->options[i];
		if (!has_letter(option)) continue;
		CHECK(size + 3 <= PROGRAM_LETTERS_SIZE);
		letters[size++] = (char)option->code;
		if (option->value != NULL) letters[size++] = ':';
	}
	letters[size] = '\0';
}

/* ---- Help ------------------------------------------------------------------------------------ */

/* Characters, not bytes. */
static size_t text_width(const char *text, size_t size)
{
	size_t width = 0;
	for (size_t i = 0; i < size; i++) width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

/* Words from `column` on, folded; ends the line. */
static void print_folded(FILE *file, const char *text, size_t column)
{
	size_t at = column;
	for (bool first = true; *text != '\0'; first = false) {
		size_t size = strcspn(text, " ");
		size_t width = text_width(text, size);
		if (!first && at + 1 + width > HELP_COLUMNS_MAX) {
			fprintf(file, "\n%*s", HELP_COLUMN, "");
			at = HELP_COLUMN;
		} else if (!first) {
			fputc(' ', file);
			at++;
		}
		fprintf(file, "%.*s", (int)size, text);
		at += width;
		text += size;
		text += strspn(text, " ");
	}
	fputc('\n', file);
}

/* `left`, then the help from its column on; on a line of its own when left is too long. */
static void print_row(FILE *file, const char *left, const char *help)
{
	size_t width = 2 + text_width(left, strlen(left));
	fprintf(file, "  %s", left);
	if (width + 2 > HELP_COLUMN) {
		fprintf(file, "\n%*s", HELP_COLUMN, "");
	} else {
		fprintf(file, "%*s", HELP_COLUMN - (int)width, "");
	}
	print_folded(file, help, HELP_COLUMN);
}

void program_option_print(FILE *file, const struct program_option *option)
{
	char left[80];
	char help[480];
	char letter[8] = "";
	if (has_letter(option)) snprintf(letter, sizeof letter, "-%c, ", option->code);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name,
		option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
	snprintf(help, sizeof help, "%s%s%s%s%s", option->help,
		option->repeats ? "; may be repeated" : "",
		option->otherwise != NULL ? " (default: " : "",
		option->otherwise != NULL ? option->otherwise : "",
		option->otherwise != NULL ? ")" : "");
	print_row(file, left, help);
}

static void print_entries(FILE *file, const char *heading, const struct program_entry *entries)
{
	if (entries == NULL) return;
	fprintf(file, "\n%s\n", heading);
	for (; entries->name != NULL; entries++) print_row(file, entries->name, entries->help);
}

void program_help_print(FILE *file, const struct program *program)
{
	fprintf(file, "%s — %s\n\n", program->name, program->summary);
	for (const char *const *line = program->synopsis; *line != NULL; line++) {
		fprintf(file, "%s %s %s\n", line == program->synopsis ? "usage:" : "      ",
			program->name, *line);
	}
	if (program->command_count > 0) fprintf(file, "\nCommands:\n");
	for (size_t i = 0; i < program->command_count; i++) {
		print_row(file, program->commands[i].name, program->commands[i].help);
	}
	if (program->option_count > 0 && program->options[0].heading == NULL) {
		fprintf(file, "\nOptions:\n");
	}
	for (size_t i = 0; i < program->option_count; i++) {
		const char *heading = program->options[i].heading;
		if (heading != NULL) fprintf(file, "\n%s:\n", heading);
		program_option_print(file, &program->options[i]);
	}
	if (program->text != NULL) fprintf(file, "\n%s\n", program->text);
	if (program->examples != NULL) fprintf(file, "\nExamples:\n%s\n", program->examples);
	print_entries(file, "Environment:", program->environment);
	print_entries(file, "Exit codes:", program->exits);
}

bool program_generate(const struct program *program, const char *what, FILE *file)
{
	static const struct {
		const char *name;
		void (*print)(const struct program *program, FILE *file);
	} kinds[] = {
		{ "man", program_man_print },
		{ "bash", program_bash_print },
		{ "zsh", program_zsh_print },
		{ "fish", program_fish_print },
	};
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (strcmp(kinds[i].name, what) != 0) continue;
		kinds[i].print(program, file);
		return true;
	}
	return false;
}

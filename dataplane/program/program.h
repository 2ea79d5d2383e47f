/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program — what a program of ours says about itself: one description, from which come its
 * --help, its man page and the completions of three shells, so that none of them can miss an
 * option.
 *
 * Text is plain: paragraphs have an empty line between them, and what begins with two blanks is an
 * example, kept as it stands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct option; /* of getopt.h */

struct program_option {
	const char *name;  /* "limit", without dashes */
	const char *value; /* what it is called: "SECONDS"; NULL: a flag. See program_value(). */
	const char *help;
	const char *otherwise; /* what holds when it is not given; NULL: nothing to say */
	int code;              /* for getopt; a letter is its short form, too */
	bool repeats;          /* may be given more than once */
	const char *heading;   /* of the options from here on; NULL: as before */
};

/* A list of what has a name and an explanation, ended by an empty name. */
struct program_entry {
	const char *name;
	const char *help;
};

struct program_command {
	const char *name;      /* "events list" */
	const char *arguments; /* "EVENT [TARGET]" */
	const char *help;      /* one line */
	const char *text;      /* the rest, with an example; may be NULL */
	const char *needs;     /* who may use it; may be NULL */
	const struct program_option *options;
	size_t option_count;
};

struct program {
	const char *name;
	int section; /* of the manual */
	const char *summary;
	const char *const *synopsis; /* without the name, ended by NULL */
	const char *text;
	const struct program_option *options;
	size_t option_count;
	const struct program_command *commands;
	size_t command_count;
	const struct program_entry *environment;
	const struct program_entry *files;
	const struct program_entry *exits; /* codes and what they mean */
	const char *examples;
	const char *see_also;
};

/* What a value is, told by what it is called: FILE, PATH and DIR are looked up in the file system;
 * of "N|all" the shell can offer what is in small letters. */
enum program_value { PROGRAM_VALUE_FREE, PROGRAM_VALUE_FILE, PROGRAM_VALUE_FOLDER };
enum program_value program_value(const char *value);
/* The next literal of "N|all", at or after *at; false at the end. */
bool program_value_word(const char **at, char *ret, size_t ret_size);

/* One option as --help shows it, folded at the terminal's 80 columns. */
void program_option_print(FILE *file, const struct program_option *option);
/* A whole --help: summary, synopsis, commands, options, text, examples, exit codes. */
void program_help_print(FILE *file, const struct program *program);

/* The tables that getopt_long() wants; *ret has room for option_count + 1. */
void program_getopt(const struct program *program, struct option *ret);
enum { PROGRAM_LETTERS_SIZE = 64 };
void program_getopt_letters(const struct program *program,
	char letters[static PROGRAM_LETTERS_SIZE]);

/* Writes "man", "bash", "zsh" or "fish" for `make man completions`. False: it is none of them. */
bool program_generate(const struct program *program, const char *what, FILE *file);
void program_man_print(const struct program *program, FILE *file);
void program_bash_print(const struct program *program, FILE *file);
void program_zsh_print(const struct program *program, FILE *file);
void program_fish_print(const struct program *program, FILE *file);

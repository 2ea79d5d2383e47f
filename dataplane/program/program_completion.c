/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program_completion — the description as completions for bash, zsh and fish.
 *
 * All three work alike: walk over the words before the cursor to find the command, then offer the
 * values of the option before the cursor, or options, or commands. They need nothing that the
 * shell does not bring, and never ask the daemon.
 */
#include <ctype.h>
#include <string.h>

#include "program/program.h"

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };

/* The scripts' own names: "_penstock_bench" */
static void put_function(FILE *file, const struct program *program)
{
	fputs("_", file);
	for (const char *at = program->name; *at != '\0'; at++)
		fputc(isalnum((unsigned char)*at) ? *at : '_', file);
}

/* Within single quotes. */
static void put_quoted(FILE *file, enum shell shell, const char *text)
{
	fputc('\'', file);
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			fputs(shell == SHELL_FISH ? "\\'" : "'\\''", file);
		} else {
			fputc(*text, file);
		}
	}
	fputc('\'', file);
}

/* ---- What can stand where -------------------------------------------------------------------- */

/* The first words of commands (group NULL), or the second ones of a group; each once. */
static bool command_word(const struct program *program, size_t index, const char *group, char *ret,
	size_t ret_size)
{
	const char *name = program->commands[index].name;
	size_t first = strcspn(name, " ");
	if (group == NULL) {
		snprintf(ret, ret_size, "%.*s", (int)first, name);
		for (size_t i = 0; i < index; i++) {
			const char *other = program->commands[i].name;
			if (strcspn(other, " ") == first && strncmp(other, name, first) == 0)
				return false;
		}
		return true;
	}
	if (strlen(group) != first || strncmp(group, name, first) != 0 || name[first] == '\0')
		return false;
	snprintf(ret, ret_size, "%s", name + first + 1);
	return true;
}

static void put_command_words(FILE *file, const struct program *program, const char *group)
{
	char word[64];
	const char *blank = "";
	for (size_t i = 0; i < program->command_count; i++) {
		if (!command_word(program, i, group, word, sizeof word)) continue;
		fprintf(file, "%s%s", blank, word);
		blank = " ";
	}
}

static void put_options(FILE *file, const struct program_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(file, "%s--%s", i > 0 ? " " : "", options[i].name);
	}
}

/* Every option with a value, of any command: what stands behind it is no command. */
static void put_valued(FILE *file, const struct program *program, const char *between)
{
	const char *blank = "";
	for (size_t i = 0; i <= program->command_count; i++) {
		const struct program_option *options = i == 0 ? program->options
							      : program->commands[i - 1].options;
		size_t count = i == 0 ? program->option_count
				      : program->commands[i - 1].option_count;
		for (size_t j = 0; j < count; j++) {
			if (options[j].value == NULL) continue;
			fprintf(file, "%s--%s", blank, options[j].name);
			blank = between;
			if (options[j].code > 0 && options[j].code < 128)
				fprintf(file, "%s-%c", between, options[j].code);
		}
	}
}

/* "files", "folders" or the words that a value can be; nothing for one that is free. */
static void put_value(FILE *file, enum shell shell, const char *value)
{
	const char *assign = shell == SHELL_FISH ? "set " : "";
	const char *is = shell == SHELL_FISH ? " " : "=";
	char word[64];
	switch (program_value(value)) {
	case PROGRAM_VALUE_FILE: fprintf(file, "%skind%sfiles", assign, is); return;
	case PROGRAM_VALUE_FOLDER: fprintf(file, "%skind%sfolders", assign, is); return;
	case PROGRAM_VALUE_FREE: break;
	}
	fprintf(file, "%skind%swords; %schoices%s'", assign, is, assign, is);
	const char *blank = "";
	while (program_value_word(&value, word, sizeof word)) {
		fprintf(file, "%s%s", blank, word);
		blank = " ";
	}
	fputc('\'', file);
}

static void put_values(FILE *file, enum shell shell, const struct program_option *options,
	size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (options[i].value == NULL) continue;
		if (shell == SHELL_FISH) {
			fprintf(file, "\t\t\tcase --%s", options[i].name);
			if (options[i].code > 0 && options[i].code < 128)
				fprintf(file, " -%c", options[i].code);
			fputs("\n\t\t\t\t", file);
			put_value(file, shell, options[i].value);
			fputc('\n', file);
			continue;
		}
		fprintf(file, "\t\t--%s", options[i].name);
		if (options[i].code > 0 && options[i].code < 128)
			fprintf(file, "|-%c", options[i].code);
		fputs(") ", file);
		put_value(file, shell, options[i].value);
		fputs(" ;;\n", file);
	}
}

/* What a command's argument is: the last word of "[FILE]" without its brackets. */
static enum program_value argument_value(const char *arguments)
{
	char word[64];
	size_t size = 0;
	for (; *arguments != '\0' && size + 1 < sizeof word; arguments++) {
		if (isupper((unsigned char)*arguments)) word[size++] = *arguments;
	}
	word[size] = '\0';
	return program_value(word);
}

/* ---- bash and zsh ---------------------------------------------------------------------------- */

/* The cases of one command, or (NULL) of none yet. */
static void put_case(FILE *file, enum shell shell, const struct program_command *command)
{
	const char *name = command->name;
	fprintf(file, "\t'%s'|'%s '*)\n", name, name);
	fputs("\t\tflags='", file);
	put_options(file, command->options, command->option_count);
	fputs("'\n", file);
	enum program_value argument = argument_value(command->arguments);
	if (argument == PROGRAM_VALUE_FILE) fputs("\t\toperand=files\n", file);
	if (argument == PROGRAM_VALUE_FOLDER) fputs("\t\toperand=folders\n", file);
	fputs("\t\tcase \"$before\" in\n", file);
	put_values(file, shell, command->options, command->option_count);
	fputs("\t\tesac ;;\n", file);
}

static void put_groups(FILE *file, const struct program *program)
{
	char group[64];
	for (size_t i = 0; i < program->command_count; i++) {
		if (!command_word(program, i, NULL, group, sizeof group)) continue;
		if (strcmp(group, program->commands[i].name) == 0) continue;
		fprintf(file, "\t'%s') verbs='", group);
		put_command_words(file, program, group);
		fputs("' ;;\n", file);
	}
}

/* The part that is the same text in both shells: sets options, commands, kind and words. */
static void put_choice(FILE *file, enum shell shell, const struct program *program)
{
	fputs("\tcase \"$before\" in\n", file);
	put_values(file, shell, program->options, program->option_count);
	fputs("\tesac\n\tcase \"$verb\" in\n\t'') verbs='", file);
	put_command_words(file, program, NULL);
	fputs(program->command_count > 0 ? " help' ;;\n" : "' ;;\n", file);
	put_groups(file, program);
	for (size_t i = 0; i < program->command_count; i++) {
		put_case(file, shell, &program->commands[i]);
	}
	fputs("\tesac\n\tflags=\"$flags ", file);
	put_options(file, program->options, program->option_count);
	fputs("\"\n", file);
}

static void put_walk(FILE *file, const struct program *program)
{
	fputs("\t\tif [ -n \"$skip\" ]; then skip=; continue; fi\n"
	      "\t\tcase \"$word\" in\n\t\t",
		file);
	put_valued(file, program, "|");
	fputs(") skip=1 ;;\n\t\t-*) ;;\n"
	      "\t\thelp) [ -z \"$verb\" ] || verb=\"$verb $word\" ;;\n"
	      "\t\t*) verb=\"${verb:+$verb }$word\" ;;\n\t\tesac\n\tdone\n",
		file);
}

void program_bash_print(const struct program *program, FILE *file)
{
	fprintf(file, "# bash completion for %s; made from its own table of options.\n",
		program->name);
	put_function(file, program);
	fputs("() {\n"
	      "\tlocal current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
	      "\tlocal before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
	      "\tlocal verb= verbs= flags= operand= kind= choices= word skip= i\n"
	      "\tCOMPREPLY=()\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tword=\"${COMP_WORDS[i]}\"\n",
		file);
	put_walk(file, program);
	put_choice(file, SHELL_BASH, program);
	fputs("\tif [[ -z $kind && $current == -* ]]; then\n"
	      "\t\tkind=words choices=$flags\n"
	      "\telif [[ -z $kind && -n $verbs ]]; then\n"
	      "\t\tkind=words choices=$verbs\n"
	      "\tfi\n"
	      "\tcase \"${kind:-$operand}\" in\n"
	      "\tfiles) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < "
	      "<(compgen -f -- \"$current\") ;;\n"
	      "\tfolders) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < "
	      "<(compgen -d -- \"$current\") ;;\n"
	      "\twords) mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$current\") ;;\n"
	      "\tesac\n}\ncomplete -F ",
		file);
	put_function(file, program);
	fprintf(file, " %s\n", program->name);
}

void program_zsh_print(const struct program *program, FILE *file)
{
	fprintf(file, "#compdef %s\n# zsh completion, made from the program's table of options.\n",
		program->name);
	put_function(file, program);
	fputs("() {\n"
	      "\tlocal current=\"${words[CURRENT]}\" before=\"${words[CURRENT-1]}\"\n"
	      "\tlocal -a typed=(\"${words[@]:1:$((CURRENT - 2))}\")\n"
	      "\tlocal verb= verbs= flags= operand= kind= choices= word skip=\n"
	      "\tfor word in \"${typed[@]}\"; do\n",
		file);
	put_walk(file, program);
	put_choice(file, SHELL_ZSH, program);
	fputs("\tif [[ -z $kind && $current == -* ]]; then\n"
	      "\t\tkind=words choices=$flags\n"
	      "\telif [[ -z $kind && -n $verbs ]]; then\n"
	      "\t\tkind=words choices=$verbs\n"
	      "\tfi\n"
	      "\tcase \"${kind:-$operand}\" in\n"
	      "\tfiles) _files ;;\n"
	      "\tfolders) _files -/ ;;\n"
	      "\twords) compadd -- ${=choices} ;;\n"
	      "\tesac\n}\n"
	      "if [ \"$funcstack[1]\" = ",
		file);
	put_function(file, program);
	fputs(" ]; then\n\t", file);
	put_function(file, program);
	fputs(" \"$@\"\nelif whence compdef >/dev/null; then\n\tcompdef ", file);
	put_function(file, program);
	fprintf(file, " %s\nfi\n", program->name);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void put_fish_options(FILE *file, const struct program_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(file, "\t\t\tprintf '%%s\\t%%s\\n' --%s ", options[i].name);
		put_quoted(file, SHELL_FISH, options[i].help);
		fputc('\n', file);
	}
}

static void put_fish_command(FILE *file, const struct program_command *command)
{
	fprintf(file, "\t\tcase '%s' '%s *'\n", command->name, command->name);
	enum program_value argument = argument_value(command->arguments);
	if (argument == PROGRAM_VALUE_FILE) fputs("\t\t\tset arguments files\n", file);
	if (argument == PROGRAM_VALUE_FOLDER) fputs("\t\t\tset arguments folders\n", file);
	fputs("\t\t\tswitch $before\n", file);
	put_values(file, SHELL_FISH, command->options, command->option_count);
	fputs("\t\t\tend\n", file);
	if (command->option_count == 0) return;
	fputs("\t\t\tif string match -q -- '-*' $current; and test -z \"$kind\"\n", file);
	put_fish_options(file, command->options, command->option_count);
	fputs("\t\t\tend\n", file);
}

/* Commands with their one line of help. */
static void put_fish_commands(FILE *file, const struct program *program, const char *group)
{
	char word[64];
	for (size_t i = 0; i < program->command_count; i++) {
		if (!command_word(program, i, group, word, sizeof word)) continue;
		bool whole = group != NULL || strcmp(word, program->commands[i].name) == 0;
		fprintf(file, "\t\t\tprintf '%%s\\t%%s\\n' %s ", word);
		put_quoted(file, SHELL_FISH, whole ? program->commands[i].help : "");
		fputc('\n', file);
	}
}

static void put_fish_head(FILE *file, const struct program *program)
{
	fprintf(file, "# fish completion for %s; made from its own table of options.\nfunction ",
		program->name);
	put_function(file, program);
	fputs("\n\tset -l current (commandline -ct)\n"
	      "\tset -l typed (commandline -opc)\n"
	      "\tset -l before $typed[-1]\n"
	      "\tset -l verb ''\n"
	      "\tset -l operand ''\n"
	      "\tset -l kind ''\n"
	      "\tset -l choices ''\n"
	      "\tset -l skip ''\n"
	      "\tfor word in $typed[2..-1]\n"
	      "\t\tif test -n \"$skip\"\n\t\t\tset skip ''\n\t\t\tcontinue\n\t\tend\n"
	      "\t\tswitch $word\n\t\t\tcase ",
		file);
	put_valued(file, program, " ");
	fputs("\n\t\t\t\tset skip 1\n\t\t\tcase '-*'\n\t\t\tcase '*'\n"
	      "\t\t\t\ttest \"$word\" = help -a -z \"$verb\"; and continue\n"
	      "\t\t\t\tset verb (string trim -- \"$verb $word\")\n\t\tend\n\tend\n"
	      "\tif true\n\t\tswitch \"$before\"\n",
		file);
	put_values(file, SHELL_FISH, program->options, program->option_count);
	fputs("\t\tend\n\tend\n", file);
}

void program_fish_print(const struct program *program, FILE *file)
{
	char group[64];
	put_fish_head(file, program);
	fputs("\tswitch \"$verb\"\n\t\tcase ''\n\t\t\tif test -z \"$kind\"\n", file);
	put_fish_commands(file, program, NULL);
	fputs("\t\t\tend\n", file);
	for (size_t i = 0; i < program->command_count; i++) {
		if (!command_word(program, i, NULL, group, sizeof group)) continue;
		if (strcmp(group, program->commands[i].name) == 0) continue;
		fprintf(file, "\t\tcase '%s'\n", group);
		put_fish_commands(file, program, group);
	}
	for (size_t i = 0; i < program->command_count; i++) {
		put_fish_command(file, &program->commands[i]);
	}
	fputs("\tend\n\tif test -z \"$kind\"; and string match -q -- '-*' $current\n", file);
	put_fish_options(file, program->options, program->option_count);
	fputs("\t\treturn\n\tend\n\ttest -n \"$kind\"; or set kind \"$operand\"\n"
	      "\tswitch \"$kind\"\n"
	      "\t\tcase files\n\t\t\t__fish_complete_path $current\n"
	      "\t\tcase folders\n\t\t\t__fish_complete_directories $current\n"
	      "\t\tcase words\n\t\t\tstring split ' ' -- $choices\n"
	      "\tend\nend\ncomplete -c ",
		file);
	fprintf(file, "%s -f -a '(", program->name);
	put_function(file, program);
	fputs(")'\n", file);
}

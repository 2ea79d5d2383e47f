/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arguments — from a command line to an invocation, after a table of commands.
 *
 * Options may stand anywhere, as "--limit 5" or "--limit=5"; "--" ends them. Pure: no
 * environment, no output; what is wrong is a sentence for the caller to print.
 */
#pragma once

#include "command.h"

enum arguments_verdict {
	ARGUMENTS_RUN,   /* invocation->command is to be run */
	ARGUMENTS_HELP,  /* for invocation->command, or for all when that is NULL */
	ARGUMENTS_NONE,  /* no command was given, and no help asked for */
	ARGUMENTS_GROUP, /* "events" alone: the commands that begin so are wanted */
	ARGUMENTS_VERSION,
	ARGUMENTS_WRONG, /* error says why */
};

struct arguments_result {
	enum arguments_verdict verdict;
	const char *group;
	char error[240];
};

/* Values already in *invocation (from the environment) stay where no option says otherwise. */
struct arguments_result arguments_parse(const struct command *commands, size_t command_count,
	int argc, char **argv, struct invocation *invocation);

/* The global options, for the help. */
extern const struct program_option arguments_global_options[];
extern const size_t arguments_global_option_count;

/* How many letters must be changed, added, taken away or swapped; at most `max` + 1. */
unsigned arguments_distance(const char *a, const char *b, unsigned max);

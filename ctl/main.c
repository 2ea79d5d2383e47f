/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main — penstockctl: the operator's tool, a thin client of the daemon's control socket.
 *
 * Exit codes are those of sysexits(3), and 1 where the answer is no: see describe.c.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "base/log.h"
#include "base/version.h"
#include "commands.h"
#include "describe.h"
#include "help.h"
#include "problem.h"

enum { TIMEOUT_S_DEFAULT = 60 };

static struct invocation invocation_from_environment(void)
{
	const char *socket_path = getenv("PENSTOCK_SOCKET");
	const char *no_color = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");
	bool dumb = terminal != NULL && strcmp(terminal, "dumb") == 0;
	/* https://no-color.org: "when present and not an empty string" */
	bool wanted = (no_color == NULL || *no_color == '\0') && !dumb;
	return (struct invocation){
		.socket_path = socket_path != NULL && *socket_path != '\0' ? socket_path
									   : CONTROL_SOCKET_DEFAULT,
		.timeout_s = TIMEOUT_S_DEFAULT,
		.colour = wanted && isatty(STDOUT_FILENO),
	};
}

/* What was written must have arrived: a full disk is no success. */
static int finish(int exit_code)
{
	if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
	fprintf(stderr, "penstockctl: standard output cannot be written\n");
	return exit_code == EX_OK ? EX_IOERR : exit_code;
}

static int usage(const struct invocation *invocation, const char *error)
{
	char fix[96];
	snprintf(fix, sizeof fix, "try penstockctl %s%s--help",
		invocation->command != NULL ? invocation->command->name : "",
		invocation->command != NULL ? " " : "");
	return finish(problem_say(invocation, EX_USAGE, "usage", fix, "%s", error));
}

int main(int argc, char **argv)
{
	/* For the build: make man completions. */
	if (argc == 3 && strcmp(argv[1], "--generate") == 0) {
		return finish(describe_generate(argv[2], stdout) ? EX_OK : EX_USAGE);
	}
	setlocale(LC_TIME, "C");
	log_set_level(LOG_ERROR);
	struct invocation invocation = invocation_from_environment();
	struct arguments_result result =
		arguments_parse(commands, command_count, argc, argv, &invocation);
	switch (result.verdict) {
	case ARGUMENTS_RUN: return finish(invocation.command->run(&invocation));
	case ARGUMENTS_HELP:
		if (invocation.command != NULL) {
			help_print(stdout, invocation.command);
		} else {
			help_print_all(stdout, commands, command_count, result.group);
		}
		return finish(EX_OK);
	case ARGUMENTS_NONE:
		if (invocation.json) return usage(&invocation, "no command was given");
		help_print_all(stderr, commands, command_count, NULL);
		return EX_USAGE;
	case ARGUMENTS_VERSION: printf("penstockctl %s\n", penstock_version); return finish(EX_OK);
	case ARGUMENTS_GROUP:
		snprintf(result.error, sizeof result.error, "%.60s what?", result.group);
		if (invocation.json) return usage(&invocation, result.error);
		fprintf(stderr, "penstockctl: %s\n", result.error);
		help_print_all(stderr, commands, command_count, result.group);
		return EX_USAGE;
	case ARGUMENTS_WRONG: return usage(&invocation, result.error);
	}
	return EX_SOFTWARE;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "confirm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool confirm_possible(const struct invocation *invocation)
{
	return !invocation->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool confirm(const struct invocation *invocation, const char *format, ...)
{
	char answer[16] = "";
	va_list arguments;
	if (invocation_option(invocation, "yes") != NULL || !confirm_possible(invocation))
		return true;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(" [y/N] ", stderr);
	fflush(stderr);
	bool yes = fgets(answer, sizeof answer, stdin) != NULL &&
		(strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
	if (!yes) fputs("nothing was done\n", stderr);
	return yes;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config_reference — the documents about the configuration, out of the program itself. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "config/config_reference.h"
#include "problem.h"

int command_config_schema(const struct invocation *invocation)
{
	(void)invocation; /* it is JSON either way */
	config_schema_print(stdout);
	return EX_OK;
}

int command_config_reference(const struct invocation *invocation)
{
	static const struct {
		const char *format;
		void (*print)(void *file);
	} formats[] = {
		{ "markdown", config_reference_print_markdown },
		{ "man", config_reference_print_man },
		{ "codes-man", config_codes_print_man },
	};
	const char *format = invocation_option(invocation, "format");

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (format != NULL && strcmp(formats[i].format, format) != 0) continue;
		formats[i].print(stdout);
		return EX_OK;
	}
	return problem_say(invocation, EX_USAGE, "usage", NULL,
		"--format takes markdown, man or codes-man, not \"%.60s\"", format);
}

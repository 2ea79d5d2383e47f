/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help — see the header. */
#include "help.h"

#include <string.h>

#include "arguments.h"

static bool in_group(const struct command *command, const char *group)
{
	if (group == NULL) return true;
	size_t size = strlen(group);
	return strncmp(command->name, group, size) == 0 && command->name[size] == ' ';
}

void help_print_all(FILE *file, const struct command *commands, size_t command_count,
	const char *group)
{
	fprintf(file, "usage: penstockctl [OPTION...] %s%sCOMMAND [ARGUMENT...]\n\n",
		group != NULL ? group : "", group != NULL ? " " : "");
	for (size_t i = 0; i < command_count; i++) {
		if (!in_group(&commands[i], group)) continue;
		char name[64];
		snprintf(name, sizeof name, "%s%s%s", commands[i].name,
			*commands[i].arguments != '\0' ? " " : "", commands[i].arguments);
		fprintf(file, "  %-24s %s\n", name, commands[i].help);
	}
	if (group == NULL) {
		fprintf(file, "\nOptions:\n");
		for (size_t i = 0; i < arguments_global_option_count; i++) {
			program_option_print(file, &arguments_global_options[i]);
		}
	}
	fprintf(file, "\npenstockctl help COMMAND says more.\n");
}

const char *help_role(enum control_role role)
{
	static const char *const roles[] = {
		[CONTROL_ROLE_NONE] = NULL,
		[CONTROL_ROLE_READ] = "Needs the role read: be a member of control.group.",
		[CONTROL_ROLE_OPERATE] = "Needs the role operate: be in control.operators.",
		[CONTROL_ROLE_ADMIN] = "Needs the role admin: be root, the daemon's user or in "
				       "control.admins.",
	};
	return roles[role];
}

void help_print(FILE *file, const struct command *command)
{
	fprintf(file, "usage: penstockctl %s%s%s%s\n\n%s.\n", command->name,
		command->options[0].name != NULL ? " [OPTION...]" : "",
		*command->arguments != '\0' ? " " : "", command->arguments, command->help);
	if (command->text != NULL) fprintf(file, "\n%s\n", command->text);
	const char *role = help_role(command->role);
	if (role != NULL) fprintf(file, "\n%s\n", role);
	if (command->no_json != NULL) fprintf(file, "\nTakes no --json: %s.\n", command->no_json);
	if (command->schema != NULL) fprintf(file, "\n--json prints %s.\n", command->schema);
	if (command->options[0].name == NULL) return;
	fprintf(file, "\nOptions:\n");
	for (size_t i = 0; i < OPTIONS_MAX && command->options[i].name != NULL; i++) {
		program_option_print(file, &command->options[i]);
	}
}

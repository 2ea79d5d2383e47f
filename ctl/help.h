/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help — what penstockctl says about its commands; from the table, like everything else. */
#pragma once

#include <stdio.h>

#include "command.h"

/* All commands; with a group ("events"), those that begin so. */
void help_print_all(FILE *file, const struct command *commands, size_t command_count,
	const char *group);
void help_print(FILE *file, const struct command *command);
/* The sentence about a role; NULL when none is needed. */
const char *help_role(enum control_role role);

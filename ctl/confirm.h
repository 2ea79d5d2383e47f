/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confirm — asks before something dangerous, where there is somebody to ask. */
#pragma once

#include "command.h"

/* For the table of commands. */
#define YES_OPTION \
	{ \
		"yes", NULL, "do not ask, also at a terminal" \
	}

/* Whether there is a terminal to ask at, and the command is to be read by people. */
bool confirm_possible(const struct invocation *invocation);
/* Asks with this question, and takes y or yes for an answer. True without asking when --yes was
 * given, or when there is nobody to ask: scripts say what they mean. */
bool confirm(const struct invocation *invocation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_generations — what other commands need of it: durations on the command line. */
#pragma once

#include "command.h"

enum { COMMAND_SECONDS_SIZE = 24 };

/* The option's value ("5m") as seconds in digits, empty when it was not given. False: it is no
 * duration, and that was said. */
bool command_seconds(const struct invocation *invocation, const char *option,
	char text[static COMMAND_SECONDS_SIZE]);

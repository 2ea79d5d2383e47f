/* SPDX-License-Identifier: GPL-2.0-or-later */
/* problem — what goes wrong on this side of the socket: one sentence and its fix for people, or,
 * with --json, the same kind of problem document as the daemon's.
 */
#pragma once

#include "command.h"

/* Says it on stderr, or as JSON on stdout; returns exit_code. `fix` is what to do, and may be
 * NULL when the sentence says so itself. */
int problem_say(const struct invocation *invocation, int exit_code, const char *code,
	const char *fix, const char *format, ...) __attribute__((format(printf, 5, 6)));

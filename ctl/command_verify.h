/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_verify — "penstockctl verify": would this request be authentic, and if not, why?
 *
 * Needs no daemon: it runs the daemon's own verifier on a request from files and arguments.
 */
#pragma once

/* argv[0] is the command's name. Returns the exit code: 0 authentic, 1 refused, 64 wrong
 * arguments, 65 a secret of the wrong form, 66 an input that cannot be read, 77 a secret file
 * that others can read. */
int command_verify(int argc, char **argv);

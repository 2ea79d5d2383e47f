/* SPDX-License-Identifier: GPL-2.0-or-later */
/* describe — penstockctl as a program.h description: for its man page and its completions. */
#pragma once

#include "program/program.h"

/* The environment and the exit codes that every command can end with; lists ended by an empty
 * name. */
extern const struct program_entry describe_exits[];

/* "man", "bash", "zsh" or "fish" to `file`. False: it is none of them. */
bool describe_generate(const char *what, FILE *file);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_file — a configuration file as the commands on it want it: loaded, or complained about.
 */
#pragma once

#include "command.h"
#include "config/config.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"

/* Argument `index`, or where the daemon's configuration usually is. */
const char *config_file_path(const struct invocation *invocation, unsigned index);

/* As if it stood at `as`; NULL: where it stands, by its full name. NULL when it is wrong: that has
 * been said then, on standard error or, with --json, on standard output, and *ret_exit_code is
 * set. Free with config_free(). */
struct config *config_file_load(const struct invocation *invocation, const char *path,
	const char *as, int *ret_exit_code);

/* What a report says to people or programs. */
void config_file_complain(const struct invocation *invocation, const struct config_report *report);
/* EX_NOINPUT when it is about the file itself, of which nothing is known; else EX_CONFIG. */
int config_file_exit_code(const struct config_report *report);

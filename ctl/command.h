/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command — what a command of penstockctl is, and what it is given when it runs.
 *
 * The one table of commands is in main.c: it drives dispatch, help and usage errors alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#include "control/protocol.h"

/* One more than sysexits knows: the question was answered, and the answer is no. */
#define EXIT_NEGATIVE 1

struct option {
	const char *name;  /* "limit", without dashes */
	const char *value; /* what the help calls its value; NULL: a flag */
	const char *help;
};

enum { ARGUMENTS_MAX = 2, OPTIONS_MAX = 8 };

struct invocation;

struct command {
	const char *name;      /* "events list" */
	const char *arguments; /* as the help shows them: "EVENT [TARGET]" */
	unsigned argument_count_min;
	unsigned argument_count_max;
	struct option options[OPTIONS_MAX]; /* ended by an empty name */
	enum control_role role;
	const char *help; /* one line */
	const char *text; /* the rest, with an example */
	int (*run)(const struct invocation *invocation);
	int (*run_raw)(int argc, char **argv); /* parses for itself; argv[0] is the command */
};

struct invocation {
	const struct command *command;
	const char *socket_path;
	uint32_t timeout_s;
	bool json;
	bool colour;
	unsigned argument_count;
	const char *arguments[ARGUMENTS_MAX];
	const char *values[OPTIONS_MAX]; /* of the command's options; a flag's is "" */
};

/* NULL when it was not given. */
const char *invocation_option(const struct invocation *invocation, const char *name);

int command_status(const struct invocation *invocation);
int command_endpoints(const struct invocation *invocation);
int command_targets(const struct invocation *invocation);
int command_events_list(const struct invocation *invocation);
int command_events_show(const struct invocation *invocation);
int command_events_payload(const struct invocation *invocation);
int command_attempts(const struct invocation *invocation);
int command_dlq_list(const struct invocation *invocation);
int command_dlq_show(const struct invocation *invocation);
int command_dlq_replay(const struct invocation *invocation);
int command_audit_verify(const struct invocation *invocation);
int command_config_check(const struct invocation *invocation);
int command_reload(const struct invocation *invocation);
int command_confirm(const struct invocation *invocation);
int command_rollback(const struct invocation *invocation);
int command_history(const struct invocation *invocation);
int command_drain(const struct invocation *invocation);
int command_stop(const struct invocation *invocation);
int command_upgrade(const struct invocation *invocation);
int command_version(const struct invocation *invocation);

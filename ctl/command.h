/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command — what a command of penstockctl is, and what it is given when it runs.
 *
 * The one table of commands is in commands.c: dispatch, help, usage errors, the man page and the
 * shells' completions all come from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#include "control/protocol.h"
#include "program/program.h"

/* One more than sysexits knows: the question was answered, and the answer is no. */
#define EXIT_NEGATIVE 1

/* REPEATED_MAX: of an option that may be given more than once: a request's header fields. */
enum { ARGUMENTS_MAX = 2, OPTIONS_MAX = 12, REPEATED_MAX = 100 };

struct invocation;

struct command {
	const char *name;      /* "events list" */
	const char *arguments; /* as the help shows them: "EVENT [TARGET]" */
	unsigned argument_count_min;
	unsigned argument_count_max;
	struct program_option options[OPTIONS_MAX]; /* ended by an empty name */
	enum control_role role;
	const char *help; /* one line */
	const char *text; /* the rest, with an example */
	int (*run)(const struct invocation *invocation);
	const char *no_json; /* why it takes no --json; NULL: it does */
	const char *schema;  /* of what --json prints */
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
	unsigned repeated_count;
	const char *repeated[REPEATED_MAX]; /* of the option that repeats: one for each command */
};

/* NULL when it was not given. */
const char *invocation_option(const struct invocation *invocation, const char *name);

int command_status(const struct invocation *invocation);
int command_endpoints(const struct invocation *invocation);
int command_targets(const struct invocation *invocation);
int command_ledger(const struct invocation *invocation);
int command_events_list(const struct invocation *invocation);
int command_events_show(const struct invocation *invocation);
int command_events_payload(const struct invocation *invocation);
int command_attempts(const struct invocation *invocation);
int command_dlq_list(const struct invocation *invocation);
int command_dlq_show(const struct invocation *invocation);
int command_dlq_replay(const struct invocation *invocation);
int command_audit_actions(const struct invocation *invocation);
int command_audit_verify(const struct invocation *invocation);
int command_config_check(const struct invocation *invocation);
int command_config_diff(const struct invocation *invocation);
int command_config_reference(const struct invocation *invocation);
int command_config_schema(const struct invocation *invocation);
int command_config_show(const struct invocation *invocation);
int command_explain(const struct invocation *invocation);
int command_doctor(const struct invocation *invocation);
int command_reload(const struct invocation *invocation);
int command_confirm(const struct invocation *invocation);
int command_rollback(const struct invocation *invocation);
int command_history(const struct invocation *invocation);
int command_drain(const struct invocation *invocation);
int command_stop(const struct invocation *invocation);
int command_verify(const struct invocation *invocation);
int command_support_bundle(const struct invocation *invocation);
int command_tail(const struct invocation *invocation);
int command_top(const struct invocation *invocation);
int command_version(const struct invocation *invocation);
int command_backup(const struct invocation *invocation);
int command_restore(const struct invocation *invocation);
int command_store_check(const struct invocation *invocation);
int command_store_compact(const struct invocation *invocation);
int command_config_fmt(const struct invocation *invocation);
int command_upgrade(const struct invocation *invocation);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands — the one table of commands: dispatch, help and usage errors all read it. */
#include "commands.h"

#include "base/check.h"
#include "command_verify.h"

#define NO_OPTIONS \
	{ \
		{ \
			NULL, NULL, NULL \
		} \
	}
#define LIMIT_OPTION \
	{ \
		"limit", "N|all", "how many rows" \
	}
#define TARGET_OPTION \
	{ \
		"target", "TARGET", "only what goes to this target" \
	}

const struct command commands[] = {
	{ "status", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"how the daemon is: state, queues, stores, latencies",
		"Totals are committed figures: they survive crashes and restarts. \"outstanding\"\n"
		"are deliveries that are neither delivered nor dead.\n\n"
		"  penstockctl status\n"
		"  penstockctl status --json | jq .totals",
		command_status, NULL },
	{ "endpoints", "", 0, 0, { { "limit", "N|all", "how many rows (all)" } }, CONTROL_ROLE_READ,
		"where events arrive, with counts since the start",
		"REFUSED are requests with a wrong or missing signature, a timestamp outside the\n"
		"tolerance, a body too large, or an id used before with another body.\n\n"
		"  penstockctl endpoints",
		command_endpoints, NULL },
	{ "targets", "", 0, 0, { { "limit", "N|all", "how many rows (all)" } }, CONTROL_ROLE_READ,
		"where events go, with connections and the last error",
		"READY are deliveries that wait in memory for a connection. Only the origin of a\n"
		"target's URL is shown: some receivers put a secret into the path.\n\n"
		"  penstockctl targets",
		command_targets, NULL },
	{ "events list", "", 0, 0,
		{ LIMIT_OPTION, { "endpoint", "ENDPOINT", "only events of this endpoint" },
			{ "state", "STATE", "pending, retry, delivered or dead" } },
		CONTROL_ROLE_READ, "events, newest first",
		"  penstockctl events list --endpoint github --state retry --limit 20",
		command_events_list, NULL },
	{ "events show", "EVENT", 1, 1, NO_OPTIONS, CONTROL_ROLE_READ, "the life of one event",
		"From its reception to where each delivery stands, with every attempt.\n\n"
		"  penstockctl events show evt_06BQ8YJ5QW000000000000002R",
		command_events_show, NULL },
	{ "events payload", "EVENT", 1, 1,
		{ { "output", "FILE", "where to put it, instead of standard output" } },
		CONTROL_ROLE_ADMIN, "the bytes that the provider sent",
		"  penstockctl events payload evt_06BQ8YJ5QW000000000000002R | jq .",
		command_events_payload, NULL },
	{ "attempts", "EVENT", 1, 1, { TARGET_OPTION }, CONTROL_ROLE_READ,
		"the attempts to deliver one event",
		"  penstockctl attempts evt_06BQ8YJ5QW000000000000002R --target orders",
		command_attempts, NULL },
	{ "dlq list", "", 0, 0, { LIMIT_OPTION, TARGET_OPTION }, CONTROL_ROLE_READ,
		"dead letters: deliveries that were given up, oldest first",
		"  penstockctl dlq list --target orders --limit all", command_dlq_list, NULL },
	{ "dlq show", "EVENT", 1, 1, { TARGET_OPTION }, CONTROL_ROLE_READ,
		"the dead letters of one event",
		"  penstockctl dlq show evt_06BQ8YJ5QW000000000000002R", command_dlq_show, NULL },
	{ "dlq replay", "[EVENT]", 0, 1,
		{ TARGET_OPTION, { "all", NULL, "every dead letter there is" },
			{ "expect", "N", "how many there are; another number is refused" } },
		CONTROL_ROLE_ADMIN, "gives dead letters a fresh budget of tries",
		"For more than one event say how many dead letters you expect to replay: when\n"
		"there are more or fewer by now, nothing is done (exit code 65).\n\n"
		"  penstockctl dlq replay evt_06BQ8YJ5QW000000000000002R\n"
		"  penstockctl dlq replay --target orders --expect 37\n"
		"  penstockctl dlq replay --all --expect 112",
		command_dlq_replay, NULL },
	{ "audit verify", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"recomputes the audit log and compares it with what is stored",
		"Every leaf, every record that retention has not deleted, the root of each shard.\n"
		"Exit code 0: all is right; 1: it is not; anything else: nothing is proven.\n\n"
		"  penstockctl audit verify",
		command_audit_verify, NULL },
	{ "config check", "[FILE]", 0, 1,
		{ { "level", "LEVEL",
			  "how far: parse, schema, meaning, files or environment (files)" },
			{ "environment", NULL, "the same as --level environment" },
			{ "strict", NULL, "warnings are errors" },
			{ "format", "FORMAT", "human, json or sarif (human)" } },
		CONTROL_ROLE_NONE, "checks a configuration file, without a daemon",
		"Each level has all before it. parse, schema and meaning need the file alone;\n"
		"files reads secrets and certificates, as a start would; environment asks the\n"
		"kernel and the disk, looks at the dates of certificates, and connects to every\n"
		"target. Exit code 78 when something is wrong; warnings count only with --strict.\n"
		"Without FILE: /etc/penstock/penstock.yaml.\n\n"
		"  penstockctl config check penstock.yaml && penstockctl reload\n"
		"  penstockctl config check --environment --strict\n"
		"  penstockctl config check --level meaning --format sarif penstock.yaml",
		command_config_check, NULL },
	{ "config diff", "[FILE [FILE]]", 0, 2, NO_OPTIONS, CONTROL_ROLE_NONE,
		"what would change, by meaning: file by file, or from what the daemon serves",
		"Two files are compared with each other. One file is compared with what the\n"
		"daemon serves, and without any its own file is, as it is now: both need the role\n"
		"admin. What a reload had to leave until a restart is compared as it was loaded.\n"
		"Order, comments, quotes and defaults that are written out do not count.\n"
		"The last file is read as if it stood in the first one's place. Exit code 0: they\n"
		"mean the same; 1: they do not; 78: one of them is wrong.\n\n"
		"  penstockctl config diff\n"
		"  penstockctl config diff /etc/penstock/penstock.yaml new.yaml",
		command_config_diff, NULL },
	{ "config fmt", "[FILE]", 0, 1,
		{ { "write", NULL, "into the file itself" },
			{ "check", NULL, "say only whether it is formatted: exit code 0 or 1" } },
		CONTROL_ROLE_NONE, "a configuration file, formatted, with its comments",
		"Two spaces a level, sections in braces where they fit on a line, one empty line\n"
		"at most. Order, quotes and comments stay, and the file means the same: that is\n"
		"proven before anything is written.\n\n"
		"  penstockctl config fmt --write penstock.yaml",
		command_config_fmt, NULL },
	{ "config reference", "", 0, 0,
		{ { "format", "FORMAT", "markdown, man or codes-man (markdown)" } },
		CONTROL_ROLE_NONE, "every key with its unit, range and default",
		"Made from the tables that files are read by.\n\n"
		"  penstockctl config reference --format man | man -l -",
		command_config_reference, NULL },
	{ "config schema", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_NONE,
		"JSON Schema of the configuration, for editors",
		"  penstockctl config schema > penstock.schema.json", command_config_schema, NULL },
	{ "config show", "[FILE]", 0, 1,
		{ { "effective", NULL, "with every default that is in force" } }, CONTROL_ROLE_NONE,
		"a configuration as it is understood, as YAML that loads again",
		"With --json each setting has the line and column it was written at, or says that\n"
		"it is a default. Names of files are shown in full.\n\n"
		"  penstockctl config show --effective",
		command_config_show, NULL },
	{ "explain", "[CODE]", 0, 1, { { "list", NULL, "every code, one line each" } },
		CONTROL_ROLE_NONE, "what a code of a diagnostic means, and how to put it right",
		"Codes are stable: they never change their meaning.\n\n"
		"  penstockctl explain PS1103",
		command_explain, NULL },
	{ "reload", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN,
		"has the daemon load its configuration",
		"Comes back when every worker serves the new configuration. A wrong one changes\n"
		"nothing: the daemon goes on with what it has (exit code 78).\n\n"
		"  penstockctl reload",
		command_reload, NULL },
	{ "drain", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN, "ends intake, goes on delivering",
		"/readyz turns to 503 and no more events are taken in. Before taking a host out\n"
		"of service: drain, wait until status shows nothing outstanding, stop.\n\n"
		"  penstockctl drain",
		command_drain, NULL },
	{ "stop", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN, "drains and ends the daemon",
		"What is not delivered yet stays on disk and is delivered after the next start.\n\n"
		"  penstockctl stop",
		command_stop, NULL },
	{ "verify", "...", 0, 0, NO_OPTIONS, CONTROL_ROLE_NONE,
		"checks a signature as the daemon would, without a daemon",
		"For finding out why a provider's requests are refused.\n\n"
		"  penstockctl verify --help",
		NULL, command_verify },
	{ "version", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"versions of this program and of the daemon, your role",
		"  penstockctl version --json", command_version, NULL },
};
const size_t command_count = ARRAY_COUNT(commands);

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
#define CONFIRM_OPTION \
	{ \
		"confirm-within", "DURATION", "how long to wait for penstockctl confirm" \
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
	{ "config check", "[FILE]", 0, 1, NO_OPTIONS, CONTROL_ROLE_NONE,
		"checks a configuration file, without a daemon",
		"Form, references and secret files; names that do not resolve are warnings. Exit\n"
		"code 78 when it is wrong. Without FILE: /etc/penstock/penstock.yaml.\n\n"
		"  penstockctl config check penstock.yaml && penstockctl reload",
		command_config_check, NULL },
	{ "reload", "", 0, 0, { CONFIRM_OPTION }, CONTROL_ROLE_ADMIN,
		"has the daemon load its configuration",
		"Comes back when every worker serves the new configuration, and says what\n"
		"changed and what needs a restart. A wrong one changes nothing: the daemon goes\n"
		"on with what it has (exit code 78). With --confirm-within the configuration\n"
		"before comes back by itself, unless penstockctl confirm is said in time.\n\n"
		"  penstockctl reload --confirm-within 5m && curl … && penstockctl confirm",
		command_reload, NULL },
	{ "confirm", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN,
		"keeps what was reloaded with --confirm-within", "  penstockctl confirm",
		command_confirm, NULL },
	{ "rollback", "[GENERATION]", 0, 1, { CONFIRM_OPTION }, CONTROL_ROLE_ADMIN,
		"serves an earlier configuration again",
		"That of a generation in the history, or the last one that read differently.\n"
		"Secrets and certificates are read from their files as they are now. The\n"
		"configuration file is left alone: put it right before the next start.\n\n"
		"  penstockctl rollback",
		command_rollback, NULL },
	{ "history", "", 0, 0, { { "limit", "N", "how many rows (50)" } }, CONTROL_ROLE_READ,
		"configurations that were served, newest first",
		"When, by whom, what changed and what became of it. It survives restarts.\n\n"
		"  penstockctl history",
		command_history, NULL },
	{ "drain", "", 0, 0, { { "deadline", "DURATION", "how long to wait (drain_timeout)" } },
		CONTROL_ROLE_ADMIN, "ends intake, waits until everything is delivered",
		"/readyz turns to 503 and no more events are taken in. Comes back when all is\n"
		"delivered (exit code 0), or at the deadline with what is left, by endpoint (1);\n"
		"deliveries go on then. To take a host out of service: drain, then stop.\n\n"
		"  penstockctl drain --deadline 10m && penstockctl stop",
		command_drain, NULL },
	{ "stop", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN, "drains and ends the daemon",
		"What is not delivered yet stays on disk and is delivered after the next start.\n\n"
		"  penstockctl stop",
		command_stop, NULL },
	{ "upgrade", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN,
		"has the program on disk take over, and nobody is refused",
		"First it is asked whether it would start with the configuration; if not, nothing\n"
		"changes (exit code 78). Then the running one finishes what is under way and the\n"
		"new one takes its sockets over; clients wait in between, well under a second.\n\n"
		"  install penstockd /usr/sbin/ && penstockctl upgrade",
		command_upgrade, NULL },
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

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
	{ "top", "", 0, 0,
		{ { "once", NULL, "one screen, then the end" },
			{ "interval", "SECONDS", "between two looks, from 0.1 on (1)" },
			{ "count", "N", "so many lines, also on a terminal" } },
		CONTROL_ROLE_READ, "live: rates, latencies, queues, by endpoint, target and worker",
		"On a terminal a screen that is drawn over: q quits, e, t and w show endpoints,\n"
		"targets and workers, s sorts, p pauses, ? explains. Elsewhere a line for each\n"
		"interval; with --json an object (schema penstock.top/v1).\n\n"
		"  penstockctl top --interval 5\n"
		"  penstockctl top --json --count 10 | jq .rates",
		command_top, NULL },
	{ "tail", "", 0, 0,
		{ { "endpoint", "ENDPOINT", "only what is for this endpoint" },
			{ "refusals", NULL, "only requests that are refused" },
			{ "sample", "N", "one event in N, with all that belongs to it (1)" } },
		CONTROL_ROLE_READ, "requests and deliveries as they happen, until Ctrl-C",
		"Accepted, duplicate, refused with the reason, delivered, failed, dead. Never a\n"
		"payload. Refusals are not sampled. The daemon waits for nobody: where lines are\n"
		"missing, a line says how many. Four at a time.\n\n"
		"  penstockctl tail --endpoint github --refusals\n"
		"  penstockctl tail --sample 100 --json | jq -c 'select(.kind == \"failed\")'",
		command_tail, NULL },
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
	{ "doctor", "[FILE]", 0, 1, NO_OPTIONS, CONTROL_ROLE_NONE,
		"looks over this host for what the configuration needs, without a daemon",
		"Kernel, io_uring, CPU, clock, limits, disk, room, owners and modes of files,\n"
		"certificates, names; each with its fix. Exit code 1 when something fails. Ask as\n"
		"root or as the daemon's user. Without FILE: /etc/penstock/penstock.yaml.\n\n"
		"  penstockctl doctor penstock.yaml",
		command_doctor, NULL },
	{ "support-bundle", "FILE", 1, 1,
		{ { "config", "FILE", "the configuration (/etc/penstock/penstock.yaml)" },
			{ "log", "FILE", "the daemon's log, instead of the journal" } },
		CONTROL_ROLE_READ, "an archive for those who help, with all names replaced",
		"Status, metrics, configuration, doctor, log and versions as a tar archive. In it\n"
		"names, hosts, addresses and paths are aliases; FILE.names says what they stand\n"
		"for and stays with you. No secret and no payload is read. Works without the\n"
		"daemon, with less in it.\n\n"
		"  penstockctl support-bundle penstock.tar",
		command_support_bundle, NULL },
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands — the one table of commands: dispatch, help and usage errors all read it. */
#include "commands.h"

#include "base/check.h"
#include "confirm.h"
#include "offline.h"

#define NO_OPTIONS \
	{ \
		{ \
			NULL, NULL, NULL \
		} \
	}
#define LIMIT_OPTION \
	{ \
		"limit", "N|all", "how many rows", "50" \
	}
#define CONFIRM_OPTION \
	{ \
		"confirm-within", "DURATION", "how long to wait for penstockctl confirm" \
	}
#define TARGET_OPTION \
	{ \
		"target", "TARGET", "only what goes to this target" \
	}

/* A row leaves out what it does not need at its end, and so does an option. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

const struct command commands[] = {
	{ "status", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"how the daemon is: state, queues, stores, latencies",
		"Totals are committed figures: they survive crashes and restarts. \"outstanding\"\n"
		"are deliveries that are neither delivered nor dead.\n\n"
		"  penstockctl status\n"
		"  penstockctl status --json | jq .totals",
		command_status, NULL, "penstock.status/v1" },
	{ "top", "", 0, 0,
		{ { "once", NULL, "one screen, then the end" },
			{ "interval", "SECONDS", "between two looks, from 0.1 on", "1" },
			{ "count", "N", "so many lines, also on a terminal" } },
		CONTROL_ROLE_READ, "live: rates, latencies, queues, by endpoint, target and worker",
		"On a terminal a screen that is drawn over: q quits, e, t and w show endpoints,\n"
		"targets and workers, s sorts, p pauses, ? explains. Elsewhere a line for each\n"
		"interval; with --json an object (schema penstock.top/v1).\n\n"
		"  penstockctl top --interval 5\n"
		"  penstockctl top --json --count 10 | jq .rates",
		command_top, NULL, "penstock.top/v1" },
	{ "tail", "", 0, 0,
		{ { "endpoint", "ENDPOINT", "only what is for this endpoint" },
			{ "refusals", NULL, "only requests that are refused" },
			{ "sample", "N", "one event in N, with all that belongs to it", "1" } },
		CONTROL_ROLE_READ, "requests and deliveries as they happen, until Ctrl-C",
		"Accepted, duplicate, refused with the reason, delivered, failed, dead. Never a\n"
		"payload. Refusals are not sampled. The daemon waits for nobody: where lines are\n"
		"missing, a line says how many. Four at a time.\n\n"
		"  penstockctl tail --endpoint github --refusals\n"
		"  penstockctl tail --sample 100 --json | jq -c 'select(.kind == \"failed\")'",
		command_tail, NULL, "penstock.tail/v1" },
	{ "endpoints", "", 0, 0, { { "limit", "N|all", "how many rows", "all" } },
		CONTROL_ROLE_READ, "where events arrive, with counts since the start",
		"REFUSED are requests with a wrong or missing signature, a timestamp outside the\n"
		"tolerance, a body too large, or an id used before with another body.\n\n"
		"  penstockctl endpoints",
		command_endpoints, NULL, "penstock.endpoints/v1" },
	{ "targets", "", 0, 0, { { "limit", "N|all", "how many rows", "all" } }, CONTROL_ROLE_READ,
		"where events go, with connections and the last error",
		"READY are deliveries that wait in memory for a connection. Only the origin of a\n"
		"target's URL is shown: some receivers put a secret into the path.\n\n"
		"  penstockctl targets",
		command_targets, NULL, "penstock.targets/v1" },
	{ "ledger", "", 0, 0,
		{ { "limit", "N|all", "how many rows", "all" },
			{ "check", NULL, "count again what waits and what is dead, and compare" } },
		CONTROL_ROLE_READ, "what became of all deliveries, and whether it adds up",
		"For each endpoint: deliveries (events times their targets) accepted since the\n"
		"store was made = delivered + pending + parked (dead letters). Committed\n"
		"figures: they survive crashes. Exit code 1: it does not balance.\n\n"
		"  penstockctl ledger\n"
		"  penstockctl ledger --check",
		command_ledger, NULL, "penstock.ledger/v1" },
	{ "events list", "", 0, 0,
		{ LIMIT_OPTION, { "endpoint", "ENDPOINT", "only events of this endpoint" },
			{ "state", "pending|retry|delivered|dead",
				"only events with such a delivery" } },
		CONTROL_ROLE_READ, "events, newest first",
		"  penstockctl events list --endpoint github --state retry --limit 20",
		command_events_list, NULL, "penstock.events/v1" },
	{ "events show", "EVENT", 1, 1, NO_OPTIONS, CONTROL_ROLE_READ, "the life of one event",
		"From its reception to where each delivery stands, with every attempt.\n\n"
		"  penstockctl events show evt_06BQ8YJ5QW000000000000002R",
		command_events_show, NULL, "penstock.event/v1" },
	{ "events payload", "EVENT", 1, 1,
		{ { "output", "FILE", "where to put it", "standard output" } }, CONTROL_ROLE_ADMIN,
		"the bytes that the provider sent",
		"  penstockctl events payload evt_06BQ8YJ5QW000000000000002R | jq .",
		command_events_payload, "it gives the bytes that came in" },
	{ "attempts", "EVENT", 1, 1, { TARGET_OPTION }, CONTROL_ROLE_READ,
		"the attempts to deliver one event",
		"  penstockctl attempts evt_06BQ8YJ5QW000000000000002R --target orders",
		command_attempts, NULL, "penstock.attempts/v1" },
	{ "dlq list", "", 0, 0, { LIMIT_OPTION, TARGET_OPTION }, CONTROL_ROLE_READ,
		"dead letters: deliveries that were given up, oldest first",
		"  penstockctl dlq list --target orders --limit all", command_dlq_list, NULL,
		"penstock.dead/v1" },
	{ "dlq show", "EVENT", 1, 1, { TARGET_OPTION }, CONTROL_ROLE_READ,
		"the dead letters of one event",
		"  penstockctl dlq show evt_06BQ8YJ5QW000000000000002R", command_dlq_show, NULL,
		"penstock.dead_event/v1" },
	{ "dlq replay", "[EVENT]", 0, 1,
		{ TARGET_OPTION, { "all", NULL, "every dead letter there is" },
			{ "expect", "N", "how many there are; another number is refused" },
			YES_OPTION },
		CONTROL_ROLE_OPERATE, "gives dead letters a fresh budget of tries",
		"For more than one event say how many dead letters you expect to replay: when\n"
		"there are more or fewer by now, nothing is done (exit code 65). At a terminal\n"
		"you may leave it out: then you are told how many there are, and asked.\n\n"
		"  penstockctl dlq replay evt_06BQ8YJ5QW000000000000002R\n"
		"  penstockctl dlq replay --target orders --expect 37\n"
		"  penstockctl dlq replay --all --expect 112",
		command_dlq_replay, NULL, "penstock.replay/v1" },
	{ "audit actions", "", 0, 0, { LIMIT_OPTION }, CONTROL_ROLE_READ,
		"who changed what: reloads, upgrades, drains, stops, backups",
		"Newest first. Each is a leaf of the audit log. Replays of dead letters are, too:\n"
		"they stand with their event.\n\n"
		"  penstockctl audit actions --limit 20",
		command_audit_actions, NULL, "penstock.actions/v1" },
	{ "audit verify", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"recomputes the audit log and compares it with what is stored",
		"Every leaf, every record that retention has not deleted, the root of each shard.\n"
		"Exit code 0: all is right; 1: it is not; anything else: nothing is proven.\n\n"
		"  penstockctl audit verify",
		command_audit_verify, NULL, "penstock.audit_verify/v1" },
	{ "backup", "DIR", 1, 1, NO_OPTIONS, CONTROL_ROLE_ADMIN,
		"copies the store into a new folder, while the daemon works",
		"The daemon makes the folder and writes into it. All that was acknowledged before\n"
		"the backup began is in it; there is a manifest.json with checksums when it is\n"
		"whole. Payloads are in it as they came in: keep it as safe as the store.\n\n"
		"  penstockctl backup /var/backups/penstock-$(date +%F)",
		command_backup, NULL, "penstock.backup/v1" },
	{ "restore", "DIR", 1, 1, { OFFLINE_OPTIONS }, CONTROL_ROLE_NONE,
		"makes a store from a backup, in an empty folder, without a daemon",
		"Compares all checksums before anything is written. What was not delivered when\n"
		"the backup was made is delivered after the next start, also what has been\n"
		"delivered since: receivers know it by X-Zen-Delivery-Idempotency-Key.\n\n"
		"  systemctl stop penstockd && mv /var/lib/penstock /var/lib/penstock.old\n"
		"  install -d -o penstock -g penstock -m 700 /var/lib/penstock\n"
		"  penstockctl restore /var/backups/penstock-2026-01-31 --store /var/lib/penstock",
		command_restore, NULL, "penstock.restore/v1" },
	{ "config check", "[FILE]", 0, 1,
		{ { "level", "LEVEL", "how far: parse, schema, meaning, files or environment",
			  "files" },
			{ "environment", NULL, "the same as --level environment" },
			{ "strict", NULL, "warnings are errors" },
			{ "format", "FORMAT", "human, json or sarif", "human" } },
		CONTROL_ROLE_NONE, "checks a configuration file, without a daemon",
		"Each level has all before it. parse, schema and meaning need the file alone;\n"
		"files reads secrets and certificates, as a start would; environment asks the\n"
		"kernel and the disk, looks at the dates of certificates, and connects to every\n"
		"target. Exit code 78 when something is wrong; warnings count only with --strict.\n"
		"Without FILE: /etc/penstock/penstock.yaml.\n\n"
		"  penstockctl config check penstock.yaml && penstockctl reload\n"
		"  penstockctl config check --environment --strict\n"
		"  penstockctl config check --level meaning --format sarif penstock.yaml",
		command_config_check, NULL, "penstock.diagnostics/v1" },
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
		command_config_diff, NULL, "penstock.config-diff/v1" },
	{ "config fmt", "[FILE]", 0, 1,
		{ { "write", NULL, "into the file itself" },
			{ "check", NULL, "say only whether it is formatted: exit code 0 or 1" } },
		CONTROL_ROLE_NONE, "a configuration file, formatted, with its comments",
		"Two spaces a level, sections in braces where they fit on a line, one empty line\n"
		"at most. Order, quotes and comments stay, and the file means the same: that is\n"
		"proven before anything is written.\n\n"
		"  penstockctl config fmt --write penstock.yaml",
		command_config_fmt, "it prints the file" },
	{ "config reference", "", 0, 0,
		{ { "format", "FORMAT", "markdown, man or codes-man", "markdown" } },
		CONTROL_ROLE_NONE, "every key with its unit, range and default",
		"Made from the tables that files are read by.\n\n"
		"  penstockctl config reference --format man | man -l -",
		command_config_reference, "it is a document" },
	{ "config schema", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_NONE,
		"JSON Schema of the configuration, for editors",
		"  penstockctl config schema > penstock.schema.json", command_config_schema,
		"it is JSON already" },
	{ "config show", "[FILE]", 0, 1,
		{ { "effective", NULL, "with every default that is in force" } }, CONTROL_ROLE_NONE,
		"a configuration as it is understood, as YAML that loads again",
		"With --json each setting has the line and column it was written at, or says that\n"
		"it is a default. Names of files are shown in full.\n\n"
		"  penstockctl config show --effective",
		command_config_show, NULL, "penstock.config/v1" },
	{ "explain", "[CODE]", 0, 1, { { "list", NULL, "every code, one line each" } },
		CONTROL_ROLE_NONE, "what a code of a diagnostic means, and how to put it right",
		"Codes are stable: they never change their meaning.\n\n"
		"  penstockctl explain PS1103",
		command_explain, NULL, "penstock.code/v1" },
	{ "reload", "", 0, 0, { CONFIRM_OPTION }, CONTROL_ROLE_OPERATE,
		"has the daemon load its configuration",
		"Comes back when every worker serves the new configuration, and says what\n"
		"changed and what needs a restart. A wrong one changes nothing: the daemon goes\n"
		"on with what it has (exit code 78). With --confirm-within the configuration\n"
		"before comes back by itself, unless penstockctl confirm is said in time.\n\n"
		"  penstockctl reload --confirm-within 5m && curl … && penstockctl confirm",
		command_reload, NULL, "penstock.reload/v1" },
	{ "confirm", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_OPERATE,
		"keeps what was reloaded with --confirm-within", "  penstockctl confirm",
		command_confirm, NULL, "penstock.confirm/v1" },
	{ "rollback", "[GENERATION]", 0, 1, { CONFIRM_OPTION }, CONTROL_ROLE_OPERATE,
		"serves an earlier configuration again",
		"That of a generation in the history, or the last one that read differently.\n"
		"Secrets and certificates are read from their files as they are now. The\n"
		"configuration file is left alone: put it right before the next start.\n\n"
		"  penstockctl rollback",
		command_rollback, NULL, "penstock.reload/v1" },
	{ "history", "", 0, 0, { { "limit", "N", "how many rows", "50" } }, CONTROL_ROLE_READ,
		"configurations that were served, newest first",
		"When, by whom, what changed and what became of it. It survives restarts.\n\n"
		"  penstockctl history",
		command_history, NULL, "penstock.history/v1" },
	{ "drain", "", 0, 0,
		{ { "deadline", "DURATION", "how long to wait", "drain_timeout" }, YES_OPTION },
		CONTROL_ROLE_OPERATE, "ends intake, waits until everything is delivered",
		"/readyz turns to 503 and no more events are taken in. Comes back when all is\n"
		"delivered (exit code 0), or at the deadline with what is left, by endpoint (1);\n"
		"deliveries go on then. To take a host out of service: drain, then stop. At a\n"
		"terminal it asks first.\n\n"
		"  penstockctl drain --deadline 10m && penstockctl stop",
		command_drain, NULL, "penstock.drain/v1" },
	{ "stop", "", 0, 0, { YES_OPTION }, CONTROL_ROLE_ADMIN, "drains and ends the daemon",
		"What is not delivered yet stays on disk and is delivered after the next start.\n"
		"At a terminal it asks first.\n\n"
		"  penstockctl stop",
		command_stop, NULL, "penstock.daemon/v1" },
	{ "upgrade", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_ADMIN,
		"has the program on disk take over, and nobody is refused",
		"First it is asked whether it would start with the configuration; if not, nothing\n"
		"changes (exit code 78). Then the running one finishes what is under way and the\n"
		"new one takes its sockets over; clients wait in between, well under a second.\n\n"
		"  install penstockd /usr/sbin/\n"
		"  penstockctl upgrade",
		command_upgrade, NULL, "penstock.upgraded/v1" },
	{ "store check", "", 0, 0, { OFFLINE_OPTIONS }, CONTROL_ROLE_NONE,
		"looks through a store that no daemon has open",
		"Every row and its checksum, what it leads to in the journal, what the segments\n"
		"count, the audit log. The store is opened as the daemon would: what its journal\n"
		"has after the last checkpoint is done again first. Exit code 0: all is right; 1:\n"
		"it is not, each finding is listed; 69: a daemon has it open.\n\n"
		"  penstockctl store check --store /var/lib/penstock",
		command_store_check, NULL, "penstock.store_check/v1" },
	{ "store compact", "", 0, 0, { OFFLINE_OPTIONS }, CONTROL_ROLE_NONE,
		"makes the files of a store that no daemon has open as small as what is in them",
		"data.mdb keeps the room of what was deleted for what comes; after a backlog or a\n"
		"shorter retention it can be given back. A copy is written beside it, every row\n"
		"is compared, then it takes its place: cut off at any point, the store is whole.\n"
		"The journal stays as it is. Exit code 69: a daemon has it open; 73: no space for\n"
		"the copy.\n\n"
		"  penstockctl store compact --store /var/lib/penstock",
		command_store_compact, NULL, "penstock.store_compact/v1" },
	{ "verify", "", 0, 0,
		{ { "scheme", "NAME", "how the provider signs; --list shows the names" },
			{ "secret-file", "FILE",
				"the secret, one line; others must not be able to read it" },
			{ "previous-secret-file", "FILE",
				"the secret before it, while the provider changes over" },
			{ "body", "FILE", "the raw body, byte for byte; - is standard input" },
			{ .name = "header",
				.value = "'Name: value'",
				.help = "a header of the request",
				.repeats = true },
			{ "method", "METHOD", "matters where it is signed (hubspot-v3)", "POST" },
			{ "url", "URL", "as the provider called it; needed where it is signed" },
			{ "now", "SECONDS", "judge as of that Unix time", "the clock" },
			{ "tolerance", "SECONDS", "how far the timestamp may be off",
				"the scheme's" },
			{ "list", NULL, "list the schemes and the headers they sign in" } },
		CONTROL_ROLE_NONE, "checks a signature as the daemon would, without a daemon",
		"For finding out why a provider's requests are refused. A request that GitHub\n"
		"shows under Settings, Webhooks, Recent Deliveries:\n\n"
		"  penstockctl verify --scheme github --secret-file github.secret \\\n"
		"      --body payload.json \\\n"
		"      --header 'X-Hub-Signature-256: sha256=757107ea0eb2509f...'\n\n"
		"Checked in this order: headers are there, and once; signature, timestamp and\n"
		"id have the scheme's form; the signature; the time. So\n"
		"\"timestamp_outside_tolerance\" means that the signature is right, and what has\n"
		"a wrong signature never gets that far. Exit code: 0 authentic, 1 refused, 64\n"
		"wrong arguments, 65 a secret that is not of the scheme's form, 66 an input that\n"
		"cannot be read, 77 a secret file that others can read.",
		command_verify, NULL, "penstock.verify/v1" },
	{ "doctor", "[FILE]", 0, 1, NO_OPTIONS, CONTROL_ROLE_NONE,
		"looks over this host for what the configuration needs, without a daemon",
		"Kernel, io_uring, CPU, clock, limits, disk, room, owners and modes of files,\n"
		"certificates, names; each with its fix. Exit code 1 when something fails. Ask as\n"
		"root or as the daemon's user. Without FILE: /etc/penstock/penstock.yaml.\n\n"
		"  penstockctl doctor penstock.yaml",
		command_doctor, NULL, "penstock.doctor/v1" },
	{ "support-bundle", "FILE", 1, 1,
		{ { "config", "FILE", "the configuration", "/etc/penstock/penstock.yaml" },
			{ "log", "FILE", "the daemon's log, instead of the journal" } },
		CONTROL_ROLE_READ, "an archive for those who help, with all names replaced",
		"Status, metrics, configuration, doctor, log and versions as a tar archive. In it\n"
		"names, hosts, addresses and paths are aliases; FILE.names says what they stand\n"
		"for and stays with you. No secret and no payload is read. Works without the\n"
		"daemon, with less in it.\n\n"
		"  penstockctl support-bundle penstock.tar",
		command_support_bundle, NULL, "penstock.support/v1" },
	{ "version", "", 0, 0, NO_OPTIONS, CONTROL_ROLE_READ,
		"versions of this program and of the daemon, your role",
		"  penstockctl version --json", command_version, NULL, "penstock.version/v1" },
};
const size_t command_count = ARRAY_COUNT(commands);

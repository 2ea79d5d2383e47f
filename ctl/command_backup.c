/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_backup — has the daemon copy its store into a new folder, and shows how far it is.
 *
 * The daemon writes, not we: only it knows which files belong together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "problem.h"
#include "units.h"

enum { PATH_SIZE = 4096 };

struct backing_up {
	const struct invocation *invocation;
	bool live; /* progress can be painted over */
	bool ended;
	bool complete;
	char error[512];
};

static void print_progress(yyjson_val *line)
{
	char done[UNITS_TEXT_SIZE];
	char all[UNITS_TEXT_SIZE];
	fprintf(stderr, "\r\x1b[Kshard %" PRIu64 ": %s: %s of %s", member_number(line, "shard"),
		member_text(line, "file"), units_size(member_number(line, "done"), done),
		units_size(member_number(line, "all"), all));
	fflush(stderr);
}

static void print_summary(yyjson_val *line)
{
	char size[UNITS_TEXT_SIZE];
	char files[UNITS_TEXT_SIZE];
	char duration[UNITS_TEXT_SIZE];
	printf("backed up to ");
	table_write_safe(stdout, member_text(line, "path"));
	printf(": %s in %s files, %s\n", units_size(member_number(line, "size"), size),
		units_number(member_number(line, "files"), files),
		units_duration(member_number(line, "duration_us"), duration));
}

static void take_line(void *owner, struct bytes text)
{
	struct backing_up *backing_up = owner;
	yyjson_doc *document = yyjson_read((const char *)text.data, text.size, 0);
	yyjson_val *line = yyjson_doc_get_root(document);
	const char *kind = member_text(line, "kind");
	bool json = backing_up->invocation->json;
	bool failed = strcmp(kind, "failed") == 0;
	/* A failure comes as a problem document, as everywhere. */
	if (json && !failed) answer_print_json(text);
	if (strcmp(kind, "summary") == 0 || failed) {
		backing_up->ended = true;
		backing_up->complete = !failed;
		snprintf(backing_up->error, sizeof backing_up->error, "%s",
			member_text(line, "error"));
		if (backing_up->live) fputs("\r\x1b[K", stderr);
		if (!failed && !json) print_summary(line);
	} else if (backing_up->live && strcmp(kind, "progress") == 0) {
		print_progress(line);
	}
	yyjson_doc_free(document);
}

/* As the daemon must see it, which has a working directory of its own. */
static bool absolute_path(const char *path, char to[static PATH_SIZE])
{
	char folder[PATH_SIZE] = "";
	if (path[0] != '/' && getcwd(folder, sizeof folder) == NULL) return false;
	int size = snprintf(to, PATH_SIZE, "%s%s%s", folder, path[0] != '/' ? "/" : "", path);
	return size > 0 && size < PATH_SIZE;
}

int command_backup(const struct invocation *invocation)
{
	char path[PATH_SIZE];
	struct backing_up backing_up = {
		.invocation = invocation,
		.live = !invocation->json && isatty(STDERR_FILENO),
	};
	if (!absolute_path(invocation->arguments[0], path)) {
		return problem_say(invocation, EX_USAGE, "usage", "name the folder from / on",
			"%s: the name is too long", invocation->arguments[0]);
	}
	struct client_target target = client_target_of(CONTROL_API "/backup");
	client_target_parameter(&target, "path", path);
	if (target.failed) {
		return problem_say(invocation, EX_USAGE, "too_long", NULL,
			"the arguments are too long");
	}
	struct client_answer answer =
		client_ask(invocation, "POST", target.text, take_line, &backing_up);
	int exit_code = answer.exit_code;
	if (exit_code != EX_OK) {
		if (backing_up.live) fputs("\r\x1b[K", stderr);
		exit_code = answer_problem(invocation, &answer);
	} else if (!backing_up.ended) {
		exit_code = problem_say(invocation, EX_TEMPFAIL, "cut_short",
			"remove the folder and run it again",
			"the daemon stopped before the end: %s is no backup", path);
	} else if (!backing_up.complete) {
		exit_code = problem_say(invocation, EX_CANTCREAT, "backup_failed",
			"give a folder that is not there yet and that the daemon's user can make",
			"%s", backing_up.error);
	}
	client_answer_free(&answer);
	return exit_code;
}

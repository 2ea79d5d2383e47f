/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client — asks the daemon: one HTTP request over its Unix socket, one answer.
 *
 * A new connection for each request. What goes wrong before there is an answer (nobody listens,
 * no permission, silence, nonsense) becomes an answer too: a problem document of our own with the
 * exit code that belongs to it, so that commands have one kind of failure to show.
 */
#pragma once

#include "command.h"

#include "base/bytes.h"

struct client_answer {
	unsigned status; /* 0: the daemon did not answer, the body is our problem document */
	int exit_code;   /* EX_OK for 2xx */
	bool is_json;
	struct bytes body; /* empty after a stream whose lines were all handed over */
	void *memory;      /* private */
};

/* For streamed answers: called with each line as it comes, without its line feed. */
typedef void client_line_fn(void *owner, struct bytes line);

/* `target` is path and query. `line` may be NULL: then a stream is collected in the body.
 * Release with client_answer_free(). */
struct client_answer client_ask(const struct invocation *invocation, const char *method,
	const char *target, client_line_fn *line, void *owner);
void client_answer_free(struct client_answer *answer);

/* Composes a target piece by piece; what does not fit is a usage error of whoever typed it. */
enum { CLIENT_TARGET_SIZE_MAX = 8192 };
struct client_target {
	char text[CLIENT_TARGET_SIZE_MAX];
	size_t size;
	bool failed;
};
struct client_target client_target_of(const char *path);
/* Escaped as one path segment. */
void client_target_segment(struct client_target *target, const char *segment);
/* Skipped when the value is NULL. */
void client_target_parameter(struct client_target *target, const char *name, const char *value);

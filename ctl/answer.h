/* SPDX-License-Identifier: GPL-2.0-or-later */
/* answer — what commands do with an answer: show the JSON as it is, complain about a problem, or
 * read its members.
 *
 * Members that are missing read as "", 0 or false, so that a newer or older daemon is shown as
 * far as it goes.
 */
#pragma once

#include <yyjson.h>

#include "client.h"
#include "table.h"

struct answer {
	struct client_answer raw;
	yyjson_doc *document; /* NULL: no JSON */
	yyjson_val *root;
};

/* Asks, and deals with all that commands have in common. True: there is an answer to show.
 * False: the JSON was printed (--json) or the problem explained; *ret_exit_code is the end of
 * it. Release with answer_free() in both cases. */
bool answer_get(const struct invocation *invocation, const char *method,
	const struct client_target *target, struct answer *ret, int *ret_exit_code);
/* The same, but what succeeded is never printed: for lists that are put together. */
bool answer_get_page(const struct invocation *invocation, const char *method,
	const struct client_target *target, struct answer *ret, int *ret_exit_code);
void answer_free(struct answer *answer);

/* Prints a problem document to stderr (or as JSON to stdout) and returns the exit code. */
int answer_problem(const struct invocation *invocation, const struct client_answer *raw);
void answer_print_json(struct bytes body);

const char *member_text(yyjson_val *object, const char *key);
/* The text, or `otherwise` when it is null, empty or missing. */
const char *member_text_or(yyjson_val *object, const char *key, const char *otherwise);
uint64_t member_number(yyjson_val *object, const char *key);
bool member_bool(yyjson_val *object, const char *key);
yyjson_val *member(yyjson_val *object, const char *key);
/* A time of the daemon in µs; 0 when there is none. */
uint64_t member_time(yyjson_val *object, const char *key);

/* How a state of a delivery, an attempt or the daemon is coloured. */
enum table_colour state_colour(const char *state);

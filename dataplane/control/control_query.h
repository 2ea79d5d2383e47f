/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_query — the parameters of a request: "limit=20&endpoint=github". Pure.
 *
 * Strict, so that a misspelt filter is not silently no filter: unknown, repeated, empty and
 * badly escaped parameters are refused.
 */
#pragma once

#include "base/bytes.h"

/* The longest value is the position of an event list: 12 digits for each of WORKERS_MAX shards. */
enum { CONTROL_PARAMETERS_MAX = 8, CONTROL_QUERY_SIZE_MAX = 4096 };

struct control_parameter {
	const char *name;
	const char *value;
};

struct control_query {
	size_t count;
	struct control_parameter parameters[CONTROL_PARAMETERS_MAX];
	char text[CONTROL_QUERY_SIZE_MAX]; /* private: what the above points to, unescaped */
};

/* `allowed` is a list of names with a space between. False: `error` got a sentence. */
bool control_query_parse(struct control_query *query, struct bytes text, const char *allowed,
	char *error, size_t error_size);
/* NULL when the parameter is not there. */
const char *control_query_get(const struct control_query *query, const char *name);

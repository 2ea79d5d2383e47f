/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_text — a document of our own on standard output: for commands that need no daemon.
 *
 * Every document begins with its schema, as the daemon's do.
 */
#pragma once

#include <yyjson.h>

#include "config/config.h"

struct json_text {
	yyjson_mut_doc *document;
	yyjson_mut_val *root;
};

/* {"schema": schema} */
struct json_text json_text_open(const char *schema);
/* Prints it and lets it go. */
void json_text_print(struct json_text *json);

/* NULL becomes null. The text is copied. */
void json_text_add(struct json_text *json, yyjson_mut_val *object, const char *name,
	const char *text);
/* "line" and "column", or null both. */
void json_text_add_position(struct json_text *json, yyjson_mut_val *object,
	struct config_position position);

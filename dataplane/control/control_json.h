/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_json — writes JSON straight into a writer, one value after the other.
 *
 * Not a tree: the daemon only ever says JSON, it never reads any, so a document library would
 * build each answer twice. Commas are placed here; opening and closing is the caller's, and
 * json_complete() tells whether it got that right. Every value takes its key first: NULL inside
 * an array and for the outermost value. Errors stick in the writer.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/cursor.h"

struct json {
	struct writer *writer;
	unsigned depth;
	bool comma; /* a value stands before the next one at this depth */
};

static inline struct json json_of(struct writer *writer)
{
	return (struct json){ .writer = writer };
}

void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_text(struct json *json, const char *key, const char *text);
/* Invalid UTF-8 becomes U+FFFD. */
void json_bytes(struct json *json, const char *key, struct bytes text);
/* NULL or empty becomes null. */
void json_text_or_null(struct json *json, const char *key, struct bytes text);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* "2026-01-31T23:59:59.000001Z" (RFC 3339); null for the zero time. */
void json_time(struct json *json, const char *key, wall_t time);
void json_hex(struct json *json, const char *key, struct bytes bytes);
/* A complete JSON value made by somebody else. */
void json_raw(struct json *json, const char *key, struct bytes value);

/* All that was opened was closed and nothing failed. */
bool json_complete(const struct json *json);

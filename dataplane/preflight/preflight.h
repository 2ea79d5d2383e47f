/* SPDX-License-Identifier: GPL-2.0-or-later */
/* preflight — how far a configuration can be trusted before it is used; level by level, each
 * with all before it:
 *
 *   parse        it is YAML that is accepted here
 *   schema       every key, kind, unit and range is right
 *   meaning      references, duplicates, contradictions: all that the file alone can tell
 *   files        secrets, certificates and keys can be read and used; what a start would find
 *   environment  kernel, disk, validity of certificates, and every target is connected to
 *
 * Only the last talks to other hosts, and nothing but a handshake. Nothing is written. Cold
 * threads; blocks. tls_library_open() was called.
 */
#pragma once

#include "config/config.h"

#define PREFLIGHT_LEVEL_TABLE(X) \
	X(PARSE, "parse") \
	X(SCHEMA, "schema") \
	X(MEANING, "meaning") \
	X(FILES, "files") \
	X(ENVIRONMENT, "environment")

enum preflight_level {
#define X(name, text) PREFLIGHT_##name,
	PREFLIGHT_LEVEL_TABLE(X)
#undef X
		PREFLIGHT_LEVEL_COUNT
};

/* False when there is no level of that name. */
bool preflight_level_find(const char *name, enum preflight_level *ret);
/* "parse, schema, meaning, files or environment" */
extern const char preflight_level_names[];

struct preflight_summary {
	uint32_t endpoint_count; /* both 0 below "meaning" */
	uint32_t target_count;
};

/* RESULT_CONFIG when there is an error; RESULT_OK when there are warnings at most. The report is
 * begun here and borrows `path`. */
MUST_USE enum result preflight_run(const char *path, enum preflight_level level,
	struct config_report *report, struct preflight_summary *ret);

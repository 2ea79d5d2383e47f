/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor — findings about this host and what the configuration names on it, each with its fix.
 *
 * Looks only; but for a file without a name in the store's folder, to measure how long a flush
 * takes. Needs no daemon. What the user who asks may not see is a warning and never a pass.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_LEVEL_COUNT };

enum {
	DOCTOR_FINDINGS_MAX = 512, /* beyond them only counted */
	DOCTOR_TEXT_SIZE = 320,
	/* Looked at, of each kind: files, certificates, host names. */
	DOCTOR_ITEMS_MAX = 256,
};

struct doctor_finding {
	enum doctor_level level;
	const char *check; /* a literal: "kernel", "certificate" */
	char text[DOCTOR_TEXT_SIZE];
	char fix[DOCTOR_TEXT_SIZE]; /* empty when all is well */
};

struct doctor {
	uint32_t count;
	uint32_t dropped_count;
	uint32_t counts[DOCTOR_LEVEL_COUNT]; /* of all, dropped ones too */
	bool file_table; /* rings here hold sockets without descriptors: doctor_kernel() sets it */
	struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
};

/* `fix` may be NULL for what is well. */
void doctor_add(struct doctor *doctor, enum doctor_level level, const char *check, const char *fix,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same with a fix that has figures in it: for the last finding. */
void doctor_fix(struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Everything. NULL `path`: the default one. Allocated; free with alloc_free(). */
struct doctor *doctor_run(const char *path);
void doctor_print(const struct doctor *doctor, bool colour, FILE *file);
/* One object, schema "penstock.doctor/v1". */
void doctor_print_json(const struct doctor *doctor, FILE *file);

/* ---- The parts ------------------------------------------------------------------------------- */

void doctor_kernel(struct doctor *doctor);
void doctor_processor(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_limits(struct doctor *doctor, const struct config *config);
void doctor_store(struct doctor *doctor, const struct config *config);
void doctor_files(struct doctor *doctor, const struct config *config);
void doctor_certificates(struct doctor *doctor, const struct config *config);
void doctor_names(struct doctor *doctor, const struct config *config);

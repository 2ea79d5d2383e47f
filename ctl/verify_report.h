/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify_report — prints a verdict so that an operator sees what to change. */
#pragma once

#include "verify/verify.h"

struct verify_report {
	const struct scheme *scheme;
	struct http_fields fields;
	struct verify_input input;
	wall_t now;
	uint32_t tolerance_s; /* 0: no window */
	struct verify_outcome outcome;
};

/* To standard output. The verifier is asked for the signed text only. */
void verify_report_text(const struct verify_report *report, const struct verifier *verifier);
/* One object, schema "penstock.verify/v1". */
void verify_report_json(const struct verify_report *report, const struct verifier *verifier);
/* The table of schemes. */
void verify_report_schemes(void);
/* The same as one object, schema "penstock.schemes/v1". */
void verify_report_schemes_json(void);

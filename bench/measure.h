/* SPDX-License-Identifier: GPL-2.0-or-later */
/* measure — the part of a run that counts: from its beginning, after the warm-up, to its end. */
#pragma once

#include "bench.h"
#include "report.h"

void measure_begin(struct bench *bench);
void measure_end(const struct bench *bench, struct report *report);

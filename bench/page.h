/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page — the report of a run as one HTML page: the summary that is printed, and plots of
 * throughput, latency and CPU. Self-contained: no script, nothing is fetched.
 */
#pragma once

#include "report.h"
#include "watch.h"

struct page {
	const struct report *report;
	const struct sample *samples;
	size_t sample_count;
	double warmup_s;
	const char *const *arguments; /* the command line, NULL at its end */
};

void page_write(const struct page *page, FILE *to);

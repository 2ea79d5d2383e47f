/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hdr — latencies as the tools around HdrHistogram read them.
 *
 *   .hlog  the interval log, format 1.3, its histograms in the compressed encoding V2: for
 *          HistogramLogProcessor, HistogramLogAnalyzer, the hdrh library of Python. Values are
 *          in nanoseconds, the unit those expect; the maxima beside them in milliseconds.
 *   .hgrm  the percentile distribution as text, in milliseconds: what hdrhistogram.github.io's
 *          plotFiles.html and its like draw.
 *
 * The "compressed" part is zlib's format with blocks that are stored as they are: every reader
 * takes it, and an interval is a few hundred bytes.
 */
#pragma once

#include <stdio.h>

#include "base/clock.h"
#include "histogram.h"

struct hdr_log {
	FILE *file;
	uint8_t *counts;     /* the encoding before it is wrapped */
	uint8_t *compressed; /* wrapped */
	char *text;          /* in base64 */
};

/* Writes the head; `file` stays the caller's. */
void hdr_log_open(struct hdr_log *log, FILE *file, wall_t start);
void hdr_log_close(struct hdr_log *log);
/* One line: what was recorded in `length_s` seconds from `start_s` after the log's start. `tag`
 * tells histograms of the same time apart. */
void hdr_log_interval(struct hdr_log *log, const char *tag, double start_s, double length_s,
	const struct histogram *histogram);

void hdr_percentiles_write(FILE *to, const struct histogram *histogram);

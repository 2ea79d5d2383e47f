/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/version.h"
#include "plot.h"

/* Points of a distribution: steps of a tenth of a decade, to 99.9999 %. */
enum { PERCENTILE_POINTS = 61, PERCENTILE_POINTS_PER_DECADE = 10 };

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<title>penstock-bench</title>\n<style>\n"
	"body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
	"color:#222;background:#fff}\n"
	"h1{font-size:1.3rem}pre{background:#f4f4f4;padding:.7rem;overflow:auto;font-size:.85rem}\n"
	".bad{color:#b00020;font-weight:600}.good{color:#1b7837;font-weight:600}\n"
	"svg{width:100%;margin:1rem 0}svg text{font:11px system-ui,sans-serif;fill:#555}\n"
	"svg .title{font-size:13px;font-weight:600;fill:#222}\n"
	".grid{stroke:#ddd;fill:none}.line{fill:none;stroke-width:1.6}.shade{fill:#eee}\n"
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}"
	"pre{background:#242424}svg text{fill:#aaa}svg .title{fill:#ddd}"
	".grid{stroke:#333}.shade{fill:#242424}}\n"
	"</style></head><body>\n";

static void write_escaped(const char *text, FILE *to)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '<': fputs("&lt;", to); break;
		case '>': fputs("&gt;", to); break;
		case '&': fputs("&amp;", to); break;
		case '"': fputs("&quot;", to); break;
		default: fputc(*text, to); break;
		}
	}
}

static void write_command(const struct page *page, FILE *to)
{
	fputs("<pre>", to);
	for (size_t i = 0; page->arguments[i] != NULL; i++) {
		if (i > 0) fputc(' ', to);
		write_escaped(page->arguments[i], to);
	}
	fputs("</pre>\n", to);
}

/* What report_print() prints, which is text and may hold anything. */
static void write_summary(const struct page *page, FILE *to)
{
	char *text = NULL;
	size_t size = 0;

	FILE *file = open_memstream(&text, &size);
	if (file == NULL) return;
	report_print(page->report, file);
	if (fclose(file) == 0) {
		fputs("<pre>", to);
		write_escaped(text, to);
		fputs("</pre>\n", to);
	}
	free(text); /* the C library's, not ours */
}

/* ---- Plots over time ------------------------------------------------------------------------- */

enum column {
	COLUMN_TIME,
	COLUMN_ACKED,
	COLUMN_DELIVERED,
	COLUMN_ACK_P50,
	COLUMN_ACK_P99,
	COLUMN_ACK_MAX,
	COLUMN_END_P99,
	COLUMN_GENERATOR,
	COLUMN_DAEMON,
	COLUMN_COUNT,
};

static double column_value(const struct sample *sample, enum column column)
{
	switch (column) {
	case COLUMN_TIME: return sample->at_s;
	case COLUMN_ACKED: return (double)sample->acked / sample->length_s;
	case COLUMN_DELIVERED: return (double)sample->delivered / sample->length_s;
	/* Of nothing there is no latency. */
	case COLUMN_ACK_P50: return sample->acked > 0 ? sample->ack_p50_ms : NAN;
	case COLUMN_ACK_P99: return sample->acked > 0 ? sample->ack_p99_ms : NAN;
	case COLUMN_ACK_MAX: return sample->acked > 0 ? sample->ack_max_ms : NAN;
	case COLUMN_END_P99: return sample->delivered > 0 ? sample->end_p99_ms : NAN;
	case COLUMN_GENERATOR: return 100 * sample->generator_share;
	case COLUMN_DAEMON: return 100 * sample->daemon_share;
	case COLUMN_COUNT: break;
	}
	return NAN;
}

static void add_line(struct plot *plot, const char *name, const char *colour, const double *x,
	const double *y, size_t count)
{
	plot->lines[plot->line_count++] = (struct plot_line){
		.name = name, .colour = colour, .x = x, .y = y, .count = count
	};
}

static void write_over_time(const struct page *page, double *const columns[], FILE *to)
{
	size_t count = page->sample_count;
	const double *time = columns[COLUMN_TIME];
	struct plot events = { .title = "Throughput", .unit = "events per s" };
	struct plot latency = { .title = "Latency of each second", .unit = "ms" };
	struct plot cpu = { .title = "CPU", .unit = "% of one" };

	events.x_title = latency.x_title = cpu.x_title = "seconds (shaded: warming up)";
	events.shaded_to = latency.shaded_to = cpu.shaded_to = page->warmup_s;
	add_line(&events, "acked", "#2166ac", time, columns[COLUMN_ACKED], count);
	add_line(&latency, "ack p50", "#67a9cf", time, columns[COLUMN_ACK_P50], count);
	add_line(&latency, "ack p99", "#2166ac", time, columns[COLUMN_ACK_P99], count);
	add_line(&latency, "ack max", "#b2182b", time, columns[COLUMN_ACK_MAX], count);
	if (page->report->has_sink) {
		add_line(&events, "delivered", "#1b7837", time, columns[COLUMN_DELIVERED], count);
		add_line(&latency, "end to end p99", "#1b7837", time, columns[COLUMN_END_P99],
			count);
	}
	add_line(&cpu, "generator", "#7f7f7f", time, columns[COLUMN_GENERATOR], count);
	if (page->report->daemon_cpu_us > 0) {
		add_line(&cpu, "daemon", "#762a83", time, columns[COLUMN_DAEMON], count);
	}
	plot_write(&events, to);
	plot_write(&latency, to);
	plot_write(&cpu, to);
}

/* ---- The distribution ------------------------------------------------------------------------ */

static size_t distribution(const struct histogram *histogram, double x[PERCENTILE_POINTS],
	double y[PERCENTILE_POINTS])
{
	size_t count = 0;

	for (; count < PERCENTILE_POINTS; count++) {
		x[count] = pow(10, (double)count / PERCENTILE_POINTS_PER_DECADE);
		/* Not further than there are events to tell. */
		if (x[count] > (double)histogram->count) break;
		y[count] = (double)histogram_quantile_us(histogram, 1 - 1 / x[count]) / 1000;
	}
	return count;
}

static void write_distribution(const struct page *page, FILE *to)
{
	const struct ledger *ledger = page->report->ledger;
	double x[2][PERCENTILE_POINTS];
	double y[2][PERCENTILE_POINTS];
	struct plot plot = {
		.title = "Latency from the intended start",
		.unit = "ms",
		.x_axis = PLOT_PERCENTILE,
		.x_title = "percentile",
	};

	add_line(&plot, "ack", "#2166ac", x[0], y[0], distribution(&ledger->ack.all, x[0], y[0]));
	if (page->report->has_sink) {
		add_line(&plot, "end to end", "#1b7837", x[1], y[1],
			distribution(&ledger->end_to_end.all, x[1], y[1]));
	}
	plot_write(&plot, to);
}

void page_write(const struct page *page, FILE *to)
{
	double *columns[COLUMN_COUNT];

	for (enum column column = 0; column < COLUMN_COUNT; column++) {
		columns[column] = alloc_array(page->sample_count + 1, sizeof(double));
		for (size_t i = 0; i < page->sample_count; i++) {
			columns[column][i] = column_value(&page->samples[i], column);
		}
	}
	fputs(head, to);
	fprintf(to, "<h1>penstock-bench</h1>\n<p class=\"%s\">%s</p>\n",
		page->report->clean ? "good" : "bad",
		page->report->clean ? "The ledger balances." : "The ledger does NOT balance.");
	if (report_generator_bound(page->report)) {
		fputs("<p class=\"bad\">The generator was the bottleneck: throughput and latency "
		      "are its own.</p>\n",
			to);
	}
	write_command(page, to);
	write_over_time(page, columns, to);
	write_distribution(page, to);
	write_summary(page, to);
	fprintf(to, "<p>penstock-bench %s</p>\n</body></html>\n", penstock_version);
	for (enum column column = 0; column < COLUMN_COUNT; column++) alloc_free(columns[column]);
}

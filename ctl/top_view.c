/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_view — see the header. From top to bottom: the head (how the daemon is, rates, queue,
 * latencies), then the list that was asked for, the others below it where there is room, and the
 * keys. What is too wide loses whole columns, what is too high whole rows.
 */
#include "top_view.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "answer.h"
#include "base/check.h"
#include "top_text.h"

enum {
	LABEL_WIDTH = 11,
	GAP = 2,
	NAME_WIDTH_MIN = 10,
	NAME_WIDTH_MAX = 32,
	NOTE_WIDTH_MIN = 12,
	/* Fewer rows than this leave out latencies, queue and store. */
	ROWS_FOR_LATENCIES = 20,
	ROWS_FOR_QUEUE = 10,
	ROWS_FOR_KEYS = 3,
	/* So many below the head, and the other lists are shown too, this much of each. */
	ROWS_FOR_ALL = 24,
	OTHER_ROWS = 8,
	/* Title, headings and the blank row behind a list. */
	LIST_EXTRA = 3,
};

/* ---- Writing into the frame ------------------------------------------------------------------ */

static unsigned put(struct frame *frame, unsigned row, unsigned column, enum table_colour colour,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

static unsigned put(struct frame *frame, unsigned row, unsigned column, enum table_colour colour,
	const char *format, ...)
{
	char text[400];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return frame_put(frame, row, column, colour, text);
}

static unsigned put_figure(struct frame *frame, unsigned row, unsigned column, const char *label,
	enum top_unit unit, double value, enum table_colour when_not_zero)
{
	char text[UNITS_TEXT_SIZE];
	bool rate = unit == TOP_UNIT_RATE;
	top_text_of(unit, value, text);
	/* One that would be cut is left out: half a number is a wrong one. */
	size_t width = table_width(label) + 1 + table_width(text) + (rate ? 2 : 0);
	if (column + width > frame_columns(frame)) return frame_columns(frame);
	column = put(frame, row, column, TABLE_DIM, "%s ", label);
	column = put(frame, row, column, value > 0 ? when_not_zero : TABLE_PLAIN, "%s%s", text,
		rate ? "/s" : "");
	return column + GAP;
}

static void put_label(struct frame *frame, unsigned row, const char *label)
{
	put(frame, row, 0, TABLE_BOLD, "%s", label);
}

/* ---- The head -------------------------------------------------------------------------------- */

static void draw_daemon(struct frame *frame, const struct top_view *view,
	const struct top_sample *sample)
{
	char text[UNITS_TEXT_SIZE];
	bool forward = sample->now_us > sample->started_us;
	unsigned column = put(frame, 0, 0, TABLE_BOLD, "penstockd");
	column = put(frame, 0, column, TABLE_PLAIN, " is ");
	column = put(frame, 0, column, state_colour(sample->state), "%s", sample->state);
	column = put(frame, 0, column, TABLE_PLAIN, ", up %s, generation %llu",
		units_duration(forward ? sample->now_us - sample->started_us : 0, text),
		(unsigned long long)sample->generation);
	if (view->paused) put(frame, 0, column + GAP, TABLE_YELLOW, "PAUSED");

	char clock[UNITS_TEXT_SIZE * 2];
	snprintf(clock, sizeof clock, "every %g s  %s", view->interval_s,
		units_time(sample->now_us, false, text) + strlen("2026-01-31 "));
	if (frame_columns(frame) > column + 8 + GAP + table_width(clock)) {
		frame_put_right(frame, 0, frame_columns(frame), TABLE_DIM, clock);
	}
}

static void draw_notice(struct frame *frame, const struct top_view *view,
	const struct top_sample *sample)
{
	if (view->problem != NULL) {
		put(frame, 1, 0, TABLE_RED, "%s", view->problem);
	} else if (sample != NULL && !sample->reload_ok) {
		put(frame, 1, 0, TABLE_RED, "the last reload was refused; see penstockctl status");
	} else if (sample != NULL && sample->summaries[TOP_LATENCY_ACK].count == 0) {
		put(frame, 1, 0, TABLE_DIM, "no event has been accepted since the start");
	}
}

static unsigned put_bars(struct frame *frame, unsigned row, const struct bars *bars)
{
	uint8_t text[BARS_MAX * 4 + 1];
	struct writer writer = writer_of(text, sizeof text);
	unsigned shown = frame_columns(frame) >= 120 ? BARS_MAX : 16;
	bars_write(bars, shown, 1, &writer);
	write_u8(&writer, 0);
	unsigned column = LABEL_WIDTH + 12;
	frame_put(frame, row, column, TABLE_GREEN, (const char *)text);
	return column + shown + GAP;
}

static void draw_rates(struct frame *frame, const struct top_view *view,
	const struct top_figures *figures)
{
	char text[UNITS_TEXT_SIZE];
	const double *rates = figures->rates;
	char rate[UNITS_TEXT_SIZE + 2];

	put_label(frame, 2, "accepted");
	snprintf(rate, sizeof rate, "%s/s", top_text_of(TOP_UNIT_RATE, rates[TOP_ACCEPTED], text));
	frame_put_right(frame, 2, LABEL_WIDTH + 10, TABLE_PLAIN, rate);
	unsigned column = put_bars(frame, 2, &view->accepted);
	column = put_figure(frame, 2, column, "refused", TOP_UNIT_RATE, rates[TOP_REFUSED],
		TABLE_RED);
	column = put_figure(frame, 2, column, "shed", TOP_UNIT_RATE, rates[TOP_SHED], TABLE_RED);
	put_figure(frame, 2, column, "duplicate", TOP_UNIT_RATE, rates[TOP_DUPLICATE], TABLE_PLAIN);

	put_label(frame, 3, "delivered");
	snprintf(rate, sizeof rate, "%s/s", top_text_of(TOP_UNIT_RATE, rates[TOP_DELIVERED], text));
	frame_put_right(frame, 3, LABEL_WIDTH + 10, TABLE_PLAIN, rate);
	column = put_bars(frame, 3, &view->delivered);
	column = put_figure(frame, 3, column, "retried", TOP_UNIT_RATE, rates[TOP_RETRIED],
		TABLE_YELLOW);
	put_figure(frame, 3, column, "dead", TOP_UNIT_RATE, rates[TOP_DEAD], TABLE_RED);
}

static void draw_queue(struct frame *frame, const struct top_figures *figures)
{
	const uint64_t *sums = figures->sums;
	put_label(frame, 4, "queue");
	unsigned column = put_figure(frame, 4, LABEL_WIDTH, "outstanding", TOP_UNIT_COUNT,
		(double)figures->sample->outstanding, TABLE_PLAIN);
	column = put_figure(frame, 4, column, "ready", TOP_UNIT_COUNT,
		(double)sums[TOP_WORKER_READY], TABLE_YELLOW);
	column = put_figure(frame, 4, column, "sending", TOP_UNIT_COUNT,
		(double)sums[TOP_WORKER_LEASED], TABLE_PLAIN);
	column = put_figure(frame, 4, column, "backlog", TOP_UNIT_COUNT,
		(double)sums[TOP_WORKER_BACKLOG], TABLE_YELLOW);
	put_figure(frame, 4, column, "dead letters", TOP_UNIT_COUNT,
		(double)figures->sample->dead_letters, TABLE_RED);

	char used[UNITS_TEXT_SIZE];
	char quota[UNITS_TEXT_SIZE];
	put_label(frame, 5, "host");
	column = put_figure(frame, 5, LABEL_WIDTH, "CPU %", TOP_UNIT_PERCENT, figures->cpu_percent,
		TABLE_PLAIN);
	column = put_figure(frame, 5, column, "workers", TOP_UNIT_COUNT,
		(double)figures->sample->totals[TOP_WORKERS], TABLE_PLAIN);
	column = put_figure(frame, 5, column, "connections", TOP_UNIT_COUNT,
		(double)sums[TOP_WORKER_CONNECTIONS], TABLE_PLAIN);
	column = put(frame, 5, column, TABLE_DIM, "store ");
	put(frame, 5, column, TABLE_PLAIN, "%s of %s",
		units_size(sums[TOP_WORKER_STORE_USED], used),
		units_size(sums[TOP_WORKER_STORE_QUOTA], quota));
}

static void draw_latencies(struct frame *frame, const struct top_figures *figures)
{
	static const char *const names[] = {
#define X(name, key, metric, text) [TOP_LATENCY_##name] = text,
		TOP_LATENCY_TABLE(X)
#undef X
	};
	static const char *const headings[] = { "P50", "P95", "P99", "COUNT" };
	enum { FIRST = 24, WIDTH = 11, ROW = 7 };

	put_label(frame, ROW, "LATENCY");
	for (unsigned j = 0; j < ARRAY_COUNT(headings); j++) {
		frame_put_right(frame, ROW, FIRST + (j + 1) * WIDTH, TABLE_BOLD, headings[j]);
	}
	for (unsigned i = 0; i < TOP_LATENCY_COUNT; i++) {
		char text[UNITS_TEXT_SIZE];
		const struct top_quantiles *row = &figures->latencies[i];
		const double values[] = { row->p50_s, row->p95_s, row->p99_s };
		put(frame, ROW + 1 + i, 0, TABLE_PLAIN, "%s", names[i]);
		for (unsigned j = 0; j < ARRAY_COUNT(values); j++) {
			frame_put_right(frame, ROW + 1 + i, FIRST + (j + 1) * WIDTH, TABLE_PLAIN,
				top_text_of(TOP_UNIT_SECONDS, values[j], text));
		}
		frame_put_right(frame, ROW + 1 + i, FIRST + 4 * WIDTH, TABLE_DIM,
			units_number(row->count, text));
		if (row->since_start) {
			put(frame, ROW + 1 + i, FIRST + 4 * WIDTH + GAP, TABLE_DIM, "since start");
		}
	}
}

/* Returns the first row below it. */
static unsigned draw_head(struct frame *frame, const struct top_view *view,
	const struct top_figures *figures)
{
	unsigned rows = frame_rows(frame);
	draw_daemon(frame, view, figures->sample);
	draw_notice(frame, view, figures->sample);
	draw_rates(frame, view, figures);
	if (rows < ROWS_FOR_QUEUE) return 4;
	draw_queue(frame, figures);
	if (rows < ROWS_FOR_LATENCIES) return 7;
	draw_latencies(frame, figures);
	return 13;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

struct layout {
	unsigned name_width;
	unsigned column_count; /* those that fit */
	uint8_t columns[TOP_COLUMNS_MAX];
	unsigned ends[TOP_COLUMNS_MAX];
	unsigned note; /* where it begins; 0: no room */
};

/* So that columns stand still while their figures change. */
static unsigned unit_width(enum top_unit unit)
{
	switch (unit) {
	case TOP_UNIT_RATE: return 7;
	case TOP_UNIT_SIZE: return 10;
	case TOP_UNIT_COUNT: return 6;
	case TOP_UNIT_RATIO: return 6;
	case TOP_UNIT_PERCENT: return 5;
	case TOP_UNIT_SECONDS: return 8;
	}
	UNREACHABLE();
}

static unsigned column_width(const struct top_figures *figures, enum top_list list, unsigned column,
	unsigned shown)
{
	const struct top_column *one = &top_columns[list][column];
	unsigned width = unit_width(one->unit);
	if (table_width(one->heading) > width) width = (unsigned)table_width(one->heading);
	for (unsigned i = 0; i < shown; i++) {
		char text[UNITS_TEXT_SIZE];
		top_text_of(one->unit, figures->rows[list][i].cells[column], text);
		if (table_width(text) > width) width = (unsigned)table_width(text);
	}
	return width;
}

static bool is_shown(const struct top_view *view, enum top_list list, unsigned column)
{
	return top_columns[list][column].unit != TOP_UNIT_SECONDS || view->has_latency[list];
}

static struct layout layout_of(const struct top_view *view, const struct top_figures *figures,
	enum top_list list, unsigned shown, unsigned columns)
{
	struct layout layout = { .name_width = NAME_WIDTH_MIN };
	for (unsigned i = 0; i < shown; i++) {
		size_t width = table_width(figures->rows[list][i].item->name);
		if (width > layout.name_width) layout.name_width = (unsigned)width;
	}
	if (layout.name_width > NAME_WIDTH_MAX) layout.name_width = NAME_WIDTH_MAX;
	unsigned end = layout.name_width;
	for (unsigned j = 0; j < top_column_count(list); j++) {
		if (!is_shown(view, list, j)) continue;
		end += GAP + column_width(figures, list, j, shown);
		if (end > columns) return layout;
		layout.columns[layout.column_count] = (uint8_t)j;
		layout.ends[layout.column_count++] = end;
	}
	if (end + GAP + NOTE_WIDTH_MIN <= columns) layout.note = end + GAP;
	return layout;
}

static void draw_title(struct frame *frame, const struct top_view *view,
	const struct top_figures *figures, enum top_list list, unsigned row)
{
	char text[UNITS_TEXT_SIZE];
	bool by_name = view->sort[list] >= top_column_count(list);
	const char *order = !by_name  ? top_columns[list][view->sort[list]].heading
		: list == TOP_WORKERS ? "number"
				      : "name";
	unsigned column = put(frame, row, 0, TABLE_YELLOW, "%s: %s", top_list_key[list],
		units_number(figures->sample->totals[list], text));
	put(frame, row, column, TABLE_DIM, ", by %s%s", order,
		figures->sample->totals[list] > figures->sample->counts[list]
			? ", of the first 1,000"
			: "");
}

static void draw_row(struct frame *frame, const struct layout *layout, enum top_list list,
	const struct top_row *one, unsigned row)
{
	char text[UNITS_TEXT_SIZE];
	char name[NAME_SIZE_MAX + 1];
	bytes_to_text(bytes_of_text(one->item->name), name, layout->name_width + 1);
	put(frame, row, 0, TABLE_PLAIN, "%s", name);
	for (unsigned j = 0; j < layout->column_count; j++) {
		const struct top_column *column = &top_columns[list][layout->columns[j]];
		double value = one->cells[layout->columns[j]];
		enum table_colour colour = column->trouble && value > 0 ? TABLE_RED
			: column->backlog && value > 0                  ? TABLE_YELLOW
			: value > 0                                     ? TABLE_PLAIN
									: TABLE_DIM;
		frame_put_right(frame, row, layout->ends[j], colour,
			top_text_of(column->unit, value, text));
	}
	if (layout->note > 0) put(frame, row, layout->note, TABLE_RED, "%s", one->item->note);
}

/* In so many rows at most; returns how many it took. */
static unsigned draw_list(struct frame *frame, const struct top_view *view,
	struct top_figures *figures, enum top_list list, unsigned first, unsigned height)
{
	unsigned count = figures->sample->counts[list];
	if (height < LIST_EXTRA) return 0;
	unsigned shown = count <= height - 2 ? count : height - LIST_EXTRA;

	top_figures_sort(figures, list, view->sort[list]);
	struct layout layout = layout_of(view, figures, list, shown, frame_columns(frame));
	draw_title(frame, view, figures, list, first);
	put(frame, first + 1, 0, TABLE_BOLD, "%s", top_list_heading[list]);
	for (unsigned j = 0; j < layout.column_count; j++) {
		frame_put_right(frame, first + 1, layout.ends[j],
			layout.columns[j] == view->sort[list] ? TABLE_YELLOW : TABLE_BOLD,
			top_columns[list][layout.columns[j]].heading);
	}
	if (layout.note > 0 && list == TOP_TARGETS) {
		put(frame, first + 1, layout.note, TABLE_BOLD, "LAST ERROR");
	}
	for (unsigned i = 0; i < shown; i++) {
		draw_row(frame, &layout, list, &figures->rows[list][i], first + 2 + i);
	}
	if (shown == count) return shown + 2;
	put(frame, first + 2 + shown, 0, TABLE_DIM, "and %u more", count - shown);
	return shown + LIST_EXTRA;
}

static void draw_lists(struct frame *frame, const struct top_view *view,
	struct top_figures *figures, unsigned first, unsigned end)
{
	unsigned others = 0;
	for (unsigned i = 0; i < TOP_LIST_COUNT && end - first >= ROWS_FOR_ALL; i++) {
		unsigned count = figures->sample->counts[i];
		if (i == view->list) continue;
		others += LIST_EXTRA + (count < OTHER_ROWS ? count : OTHER_ROWS);
	}
	unsigned row = first +
		draw_list(frame, view, figures, view->list, first, end - first - others) + 1;
	for (unsigned i = 0; i < TOP_LIST_COUNT && others > 0; i++) {
		if (i == view->list || row >= end) continue;
		unsigned height = end - row;
		if (height > OTHER_ROWS + LIST_EXTRA - 1) height = OTHER_ROWS + LIST_EXTRA - 1;
		row += draw_list(frame, view, figures, (enum top_list)i, row, height) + 1;
	}
}

/* ---- Help and keys --------------------------------------------------------------------------- */

static void draw_help(struct frame *frame, unsigned row, unsigned end)
{
	static const char *const lines[] = {
		"Keys:",
		"  e   endpoints: what came in, and what was refused",
		"  t   targets: what went out, and what waits",
		"  w   workers: one per CPU, with its queue and its store",
		"  s   sort by the next column, then by name",
		"  p   pause: the screen stands still; p again goes on",
		"  ?   this help; again to leave it",
		"  q   quit",
		"Rates and latencies are those of the last interval, \"-\" is not known.",
		"A percentage of CPU is one of a single CPU.",
	};
	for (size_t i = 0; i < ARRAY_COUNT(lines) && row < end; i++, row++) {
		put(frame, row, 0, TABLE_PLAIN, "%s", lines[i]);
	}
}

static void draw_keys(struct frame *frame, const struct top_view *view)
{
	static const struct {
		char key;
		const char *text;
	} keys[] = { { 'q', "quit" }, { 'e', "endpoints" }, { 't', "targets" }, { 'w', "workers" },
		{ 's', "sort" }, { 'p', "pause" }, { '?', "help" } };
	unsigned row = frame_rows(frame) - 1;
	unsigned column = 0;
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		const char *text = keys[i].key == 'p' && view->paused ? "go on" : keys[i].text;
		if (column + 2 + table_width(text) > frame_columns(frame)) return;
		column = put(frame, row, column, TABLE_BOLD, "%c", keys[i].key);
		column = put(frame, row, column + 1, TABLE_DIM, "%s", text) + GAP;
	}
}

/* ---- From outside ---------------------------------------------------------------------------- */

void top_view_init(struct top_view *view, double interval_s)
{
	*view = (struct top_view){ .interval_s = interval_s };
	view->sort[TOP_WORKERS] = TOP_COLUMNS_MAX; /* by number */
}

bool top_view_key(struct top_view *view, char key)
{
	unsigned *sort;
	switch (key) {
	case 'e': view->list = TOP_ENDPOINTS; break;
	case 't': view->list = TOP_TARGETS; break;
	case 'w': view->list = TOP_WORKERS; break;
	case 's':
		sort = &view->sort[view->list];
		do {
			*sort = *sort >= top_column_count(view->list) ? 0 : *sort + 1;
		} while (*sort < top_column_count(view->list) &&
			!is_shown(view, view->list, *sort));
		return true;
	case 'p': view->paused = !view->paused; return true;
	case '?':
	case 'h': view->help = !view->help; return true;
	default: return false;
	}
	view->help = false;
	return true;
}

void top_view_add(struct top_view *view, const struct top_figures *figures)
{
	for (size_t i = 0; i < TOP_LIST_COUNT; i++) {
		const struct top_sample *sample = figures->sample;
		view->has_latency[i] = false;
		for (uint32_t j = 0; j < sample->counts[i]; j++) {
			if (sample->items[i][j].latency.count > 0) view->has_latency[i] = true;
		}
	}
	if (isnan(figures->rates[TOP_ACCEPTED])) return;
	bars_add(&view->accepted, figures->rates[TOP_ACCEPTED]);
	bars_add(&view->delivered, figures->rates[TOP_DELIVERED]);
}

void top_view_draw(struct top_view *view, struct top_figures *figures, struct frame *frame)
{
	unsigned rows = frame_rows(frame);
	unsigned first = 2;
	frame_clear(frame);
	if (rows == 0) return;
	bool keys = view->keys && rows >= ROWS_FOR_KEYS;
	unsigned end = keys ? rows - 1 : rows;
	if (figures == NULL) {
		draw_notice(frame, view, NULL);
	} else {
		first = draw_head(frame, view, figures);
	}
	/* A head that is higher than the screen is cut by the frame. */
	if (view->help) {
		draw_help(frame, first, end);
	} else if (figures != NULL && first < end) {
		draw_lists(frame, view, figures, first, end);
	}
	if (!keys) return;
	for (unsigned i = 0; i < frame_columns(frame); i++) {
		frame_put(frame, rows - 1, i, TABLE_PLAIN, " ");
	}
	draw_keys(frame, view);
}

void top_view_line(const struct top_figures *figures, FILE *file)
{
	char text[UNITS_TEXT_SIZE];
	const struct top_sample *sample = figures->sample;
	const struct top_quantiles *ack = &figures->latencies[TOP_LATENCY_ACK];
	static const struct {
		const char *text;
		enum top_counter counter;
	} rates[] = { { "accepted", TOP_ACCEPTED }, { "refused", TOP_REFUSED },
		{ "shed", TOP_SHED }, { "delivered", TOP_DELIVERED }, { "retried", TOP_RETRIED },
		{ "dead", TOP_DEAD } };

	fprintf(file, "%s %s", units_time(sample->now_us, false, text), sample->state);
	for (size_t i = 0; i < ARRAY_COUNT(rates); i++) {
		fprintf(file, "  %s %s/s", rates[i].text,
			top_text_of(TOP_UNIT_RATE, figures->rates[rates[i].counter], text));
	}
	fprintf(file, "  answered p50 %s", top_text_of(TOP_UNIT_SECONDS, ack->p50_s, text));
	fprintf(file, " p99 %s", top_text_of(TOP_UNIT_SECONDS, ack->p99_s, text));
	fprintf(file, "  outstanding %s", units_number(sample->outstanding, text));
	fprintf(file, "  ready %s", units_number(figures->sums[TOP_WORKER_READY], text));
	fprintf(file, "  dead letters %s\n", units_number(sample->dead_letters, text));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_top — what the daemon is doing right now: on a terminal a live screen, elsewhere a line
 * for each interval.
 *
 * Each look asks for four answers: status, one page of endpoints and of targets, metrics. A daemon
 * that does not answer is waited for, on a terminal: it may be restarting.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "problem.h"
#include "terminal.h"
#include "top_json.h"
#include "top_view.h"

enum {
	/* A key must not wait for a daemon that is stuck. */
	ANSWER_TIMEOUT_S = 5,
	PAUSE_MS = 3600 * 1000,
	/* Of a screen that is printed once: every column, and as many rows as there are. */
	ONCE_COLUMNS = 200,
};
#define INTERVAL_S_MIN 0.1
#define INTERVAL_S_MAX 3600.0

struct top {
	struct invocation invocation; /* with a shorter time limit */
	double interval_s;
	uint64_t count;                /* of lines; UINT64_MAX: without end */
	struct top_sample *samples[2]; /* the last good one, and the next */
	struct top_figures *figures;
	struct top_view view;
	bool drawable;           /* the figures are those of a good sample */
	struct frame *frames[2]; /* being drawn, and shown */
	bool shown;              /* the second is what the terminal shows */
};

static uint64_t mono_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

/* ---- Options --------------------------------------------------------------------------------- */

static bool interval_parse(const struct invocation *invocation, double *ret_s)
{
	const char *text = invocation_option(invocation, "interval");
	char *end;
	if (text == NULL) return true;
	double s = strtod(text, &end);
	if (*end == '\0' && s >= INTERVAL_S_MIN && s <= INTERVAL_S_MAX) {
		*ret_s = s;
		return true;
	}
	(void)problem_say(invocation, EX_USAGE, "usage", NULL,
		"--interval takes seconds from 0.1 to 3600, not \"%.40s\"", text);
	return false;
}

static bool count_parse(const struct invocation *invocation, uint64_t *ret)
{
	const char *text = invocation_option(invocation, "count");
	if (text == NULL) return true;
	if (bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK && *ret > 0) return true;
	(void)problem_say(invocation, EX_USAGE, "usage", NULL,
		"--count takes a number from 1 on, not \"%.40s\"", text);
	return false;
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* False: the sample is not good, and the figures are those of before. */
static bool look(struct top *top)
{
	struct top_sample *next = top->samples[1];
	top_sample_take(next, &top->invocation);
	top->view.problem = next->good ? NULL : next->problem;
	if (!next->good) return false;
	top_figures_compute(top->figures, next, top->samples[0]);
	top_view_add(&top->view, top->figures);
	top->samples[1] = top->samples[0];
	top->samples[0] = next;
	top->drawable = true;
	return true;
}

static int complain(const struct top *top)
{
	const struct top_sample *sample = top->samples[1];
	return problem_say(&top->invocation, sample->exit_code, sample->code,
		sample->fix[0] != '\0' ? sample->fix : NULL, "%s", sample->problem);
}

static void sleep_until(uint64_t us)
{
	struct timespec end = {
		.tv_sec = (time_t)(us / US_PER_S),
		.tv_nsec = (long)(us % US_PER_S) * 1000,
	};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0) continue;
}

/* ---- Once, and lines ------------------------------------------------------------------------- */

static void print_screen(struct top *top)
{
	unsigned columns = ONCE_COLUMNS;
	unsigned rows;
	if (isatty(STDOUT_FILENO)) terminal_size(&columns, &rows);
	struct frame *frame = frame_create(columns, FRAME_ROWS_MAX);
	top_view_draw(&top->view, top->figures, frame);
	frame_print(frame, top->invocation.colour, stdout);
	frame_free(frame);
}

static int run_lines(struct top *top, bool once)
{
	/* A rate needs two looks. */
	uint64_t next_us = mono_us();
	if (!look(top)) return complain(top);
	for (uint64_t i = 0; i < top->count && !ferror(stdout); i++) {
		next_us += (uint64_t)(top->interval_s * US_PER_S);
		sleep_until(next_us);
		if (!look(top)) return complain(top);
		if (top->invocation.json) {
			top_json_line(top->figures, stdout);
		} else if (once) {
			print_screen(top);
		} else {
			top_view_line(top->figures, stdout);
		}
		fflush(stdout);
	}
	return EX_OK;
}

/* ---- Live ------------------------------------------------------------------------------------ */

static void frames_make(struct top *top)
{
	unsigned columns;
	unsigned rows;
	terminal_size(&columns, &rows);
	for (size_t i = 0; i < 2; i++) {
		frame_free(top->frames[i]);
		top->frames[i] = frame_create(columns, rows);
	}
	top->shown = false;
}

/* False: the terminal has gone. */
static bool draw(struct top *top)
{
	struct frame *frame = top->frames[0];
	top_view_draw(&top->view, top->drawable ? top->figures : NULL, frame);
	size_t capacity = frame_changes_size(frame);
	uint8_t *memory = alloc_array(capacity, 1);
	struct writer writer = writer_of(memory, capacity);
	frame_write_changes(frame, top->shown ? top->frames[1] : NULL, top->invocation.colour,
		&writer);
	bool good = !writer.failed && terminal_write(writer_bytes(&writer));
	alloc_free(memory);
	top->frames[0] = top->frames[1];
	top->frames[1] = frame;
	top->shown = true;
	return good;
}

static unsigned wait_ms(const struct top *top, uint64_t next_us)
{
	uint64_t now_us = mono_us();
	if (top->view.paused) return PAUSE_MS;
	return next_us > now_us ? (unsigned)((next_us - now_us + US_PER_MS - 1) / US_PER_MS) : 0;
}

/* False: that was the end. */
static bool live_turn(struct top *top, uint64_t *next_us)
{
	char key = 0;
	switch (terminal_wait(wait_ms(top, *next_us), &key)) {
	case TERMINAL_TIME_UP:
		if (top->view.paused) return true;
		*next_us = mono_us() + (uint64_t)(top->interval_s * US_PER_S);
		(void)look(top); /* what is wrong stands on the screen */
		break;
	case TERMINAL_KEY:
		if (key == 'q' || key == 'Q') return false;
		if (!top_view_key(&top->view, key)) return true;
		break;
	case TERMINAL_REDRAW: frames_make(top); break;
	case TERMINAL_GONE: return false;
	}
	return draw(top);
}

static int run_live(struct top *top)
{
	top->view.keys = true;
	if (!look(top)) return complain(top);
	uint64_t next_us = mono_us() + (uint64_t)(top->interval_s * US_PER_S);
	if (!terminal_open()) return run_lines(top, false);
	frames_make(top);
	bool going = draw(top);
	while (going) going = live_turn(top, &next_us);
	terminal_close();
	frame_free(top->frames[0]);
	frame_free(top->frames[1]);
	return EX_OK;
}

static bool wants_screen(const struct invocation *invocation)
{
	const char *name = getenv("TERM");
	bool capable = name != NULL && *name != '\0' && strcmp(name, "dumb") != 0;
	return isatty(STDOUT_FILENO) && capable && !invocation->json &&
		invocation_option(invocation, "count") == NULL;
}

int command_top(const struct invocation *invocation)
{
	bool once = invocation_option(invocation, "once") != NULL;
	struct top top = {
		.invocation = *invocation,
		.interval_s = 1,
		.count = once ? 1 : UINT64_MAX,
	};
	if (top.invocation.timeout_s > ANSWER_TIMEOUT_S)
		top.invocation.timeout_s = ANSWER_TIMEOUT_S;
	if (!interval_parse(invocation, &top.interval_s) || !count_parse(invocation, &top.count)) {
		return EX_USAGE;
	}
	top.samples[0] = top_sample_create();
	top.samples[1] = top_sample_create();
	top.figures = top_figures_create();
	top_view_init(&top.view, top.interval_s);
	int exit_code = !once && wants_screen(invocation) ? run_live(&top) : run_lines(&top, once);
	top_figures_free(top.figures);
	top_sample_free(top.samples[0]);
	top_sample_free(top.samples[1]);
	return exit_code;
}

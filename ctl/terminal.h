/* SPDX-License-Identifier: GPL-2.0-or-later */
/* terminal — the screen as a program for people takes it over, and gives it back.
 *
 * On the alternate screen, so that what stood there before comes back; without echo and line
 * mode, without cursor. Whatever ends or stops the process by a signal it can catch gives the
 * screen back first: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT and SIGTSTP; SIGCONT takes it
 * again. One terminal, one thread.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

/* Standard output must be a terminal. False when it does not take our settings. Keys are read
 * from standard input, if that is a terminal too. */
bool terminal_open(void);
void terminal_close(void);

/* The size as of now; 80x24 where the terminal does not say. */
void terminal_size(unsigned *ret_columns, unsigned *ret_rows);
/* False: the terminal has gone. */
bool terminal_write(struct bytes bytes);

enum terminal_event {
	TERMINAL_TIME_UP,
	TERMINAL_KEY,
	TERMINAL_REDRAW, /* resized, or taken again: nothing of what was written is there */
	TERMINAL_GONE,
};
/* Waits for so long at most. */
enum terminal_event terminal_wait(unsigned timeout_ms, char *ret_key);

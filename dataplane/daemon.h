/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon — the whole program put together: replay memory, shards, workers, control; and what
 * happens to it while it runs: reload, drain, upgrade, stop.
 *
 * Wiring only; main.c reads options and signals and calls these in order. Cold threads.
 */
#pragma once

#include "worker/handed.h"

struct daemon;

/* Takes the config over in any case. `program`: what an upgrade runs, or NULL; it outlives the
 * daemon. On failure `error` has a sentence or the report has
 * diagnostics, and the result says which kind of exit it is (RESULT_CONFIG …). */
MUST_USE enum result daemon_open(struct config *config, const char *program,
	struct config_report *report, struct daemon **ret, char *error, size_t error_size);

/* Blocks until stop was asked for (by a signal that main.c passes on, or over the control
 * socket) or the store failed. RESULT_OK or RESULT_DISK. */
MUST_USE enum result daemon_wait(struct daemon *daemon);
/* From any thread; neither waits. What becomes of a reload is logged. */
void daemon_reload(struct daemon *daemon);
void daemon_stop(struct daemon *daemon);

/* A line for each diagnostic. */
void daemon_report_log(const struct config_report *report, const char *path);

/* From any thread: the program on disk is to take over, if it is fit to. What becomes of it is
 * logged. */
void daemon_upgrade_ask(struct daemon *daemon);

/* Finishes what is under way and frees everything. RESULT_DISK when the store failed meanwhile.
 * When it ends for an upgrade *ret_handed has the sockets, for the program that comes; none
 * otherwise. Then threads may still be at work, and memory in use: the process is to execute that
 * program or to end with _exit(). */
MUST_USE enum result daemon_close(struct daemon *daemon, struct handed *ret_handed);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_generations — the configurations that were served, on disk: rows of a history, and the
 * texts to go back to, in the folder `generations` of the store. Bounded; the oldest go, those that
 * were refused before those that were served.
 *
 * What cannot be written is a warning: events flow without it. One file of rows, written anew each
 * time, and `<number>.yaml` for each text. Mode 0600: a URL may hold a secret.
 *
 * Cold threads, one at a time but for generations_list().
 */
#pragma once

#include "control/control.h"

struct generations;

/* After the shards are open: the store is ours alone then. Damaged rows are left out. */
struct generations *generations_open(const char *store_path);
void generations_close(struct generations *generations);

/* The highest number there is; 0: none. */
uint64_t generations_last(const struct generations *generations);
/* Adds a row; `text` is what it serves, kept unless a row has it already, or BYTES_EMPTY for one
 * that was refused. Sets row->text. */
void generations_add(struct generations *generations, struct control_generation *row,
	struct bytes text);
/* The row of that number that was served, from now on with that outcome. */
void generations_decide(struct generations *generations, uint64_t number,
	enum control_outcome outcome);
/* The text of that generation, or, for 0, of the last one with another text than `now` has. The
 * memory is the caller's, released with alloc_free(). RESULT_NOT_FOUND; `error` gets a sentence. */
MUST_USE enum result generations_text(const struct generations *generations, uint64_t number,
	uint64_t now, uint64_t *ret_number, struct bytes *ret, char *error, size_t error_size);
/* Newest first. Any thread. */
size_t generations_list(struct generations *generations, struct control_generation *rows,
	size_t rows_max);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_form — a log line in the form that its reader wants: text, a JSON object, or an entry of
 * systemd's journal. Who reads it, and the writing, is in log.c.
 *
 * A line is a sentence with pairs in it, key=value or key="more words": a key is a word of small
 * letters, digits and '_'. The sentence stays whole in every form; pairs become fields beside it.
 * Of a key that comes twice the first counts, so that text from outside, which stands last,
 * changes no field. Pure.
 */
#pragma once

#include "base/cursor.h"
#include "base/log_level.h"

enum {
	LOG_MESSAGE_SIZE_MAX = 1024,
	LOG_PAIRS_MAX = 16,    /* those after stay in the sentence only */
	LOG_KEY_SIZE_MAX = 32, /* journald takes names of 64, "PENSTOCK_" included */
	/* Every byte of a message may need six in JSON, and again in its pair. */
	LOG_OUTPUT_SIZE = 16 * 1024,
};

struct log_line {
	enum log_level level;
	struct bytes message;
	const char *time; /* RFC 3339 */
	const char *file; /* where in the source, or NULL */
	unsigned line;
};

/* "penstock: notice: message\n", with `prefix` in front. */
void log_form_text(struct writer *writer, const struct log_line *line, const char *prefix);
/* {"time":…,"level":…,"message":…,"key":"value",…}\n; values are strings, whatever they say. */
void log_form_json(struct writer *writer, const struct log_line *line);
/* One datagram of the journal's native protocol; key=value is PENSTOCK_KEY. */
void log_form_journal(struct writer *writer, const struct log_line *line);

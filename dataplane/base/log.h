/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log — one structured line per happening, to stderr or to systemd's journal, never to both.
 *
 * Lines are `level message key=value …`. Never put a secret, a payload or a full header in
 * a line. Lines of one call site are rate-limited (LOG_LINES_PER_S), and the next line says
 * how many were dropped. Any thread; one write(2) or sendto(2) per line, no allocation. What
 * the forms look like is in log_form.h.
 *
 * The journal is never waited for: a line that finds its socket full is dropped and counted,
 * and the next line says how many. A line that cannot be sent to it for another reason goes to
 * stderr as text, from which the journal reads it as well.
 */
#pragma once

#include <stdbool.h>

#include "base/log_level.h"

enum log_format {
	/* What the surroundings ask for; or what fits stderr: entries where it is the journal, text
	 * where it is a terminal, else JSON. */
	LOG_FORMAT_AUTO,
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,    /* an object a line, on stderr */
	LOG_FORMAT_JOURNAL, /* native entries with fields */
};

struct log_site {
	const char *file;
	unsigned line;
	long second;
	unsigned count;
	unsigned dropped_count;
};

enum { LOG_LINES_PER_S = 20 };

#define LOG_JOURNAL_PATH "/run/systemd/journal/socket"

/* Where the process was started; texts are borrowed for good. */
struct log_surroundings {
	const char *journal_stream; /* $JOURNAL_STREAM (systemd.exec(5)), or NULL */
	const char *journal_path;   /* the journal's socket */
	enum log_format format;     /* asked for by who started us, or LOG_FORMAT_AUTO */
};

/* Chooses the format as LOG_FORMAT_AUTO does. Until then lines are text. Not while another thread
 * is in log_open() or log_set_format(). */
void log_open(const struct log_surroundings *surroundings);
void log_set_format(enum log_format format);
/* The one in force; never LOG_FORMAT_AUTO. */
enum log_format log_format(void);
/* "auto", "text", "json", "journal". */
bool log_format_find(const char *word, enum log_format *ret);

void log_set_level(enum log_level level);
void log_write(struct log_site *site, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define LOG_AT(level, ...) \
	do { \
		static struct log_site log_site = { .file = __FILE__, .line = __LINE__ }; \
		log_write(&log_site, (level), __VA_ARGS__); \
	} while (0)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) LOG_AT(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)

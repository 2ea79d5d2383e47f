/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log — one structured line per happening, to stderr (journald or a terminal reads it).
 *
 * Lines are `level message key=value …`. Never put a secret, a payload or a full header in
 * a line. Lines of one call site are rate-limited (LOG_LINES_PER_S), and the next line says
 * how many were dropped. Any thread; one write(2) per line.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct log_site {
	long second;
	unsigned count;
	unsigned dropped_count;
};

enum { LOG_LINES_PER_S = 20 };

void log_set_level(enum log_level level);
void log_write(struct log_site *site, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define LOG_AT(level, ...) \
	do { \
		static struct log_site log_site; \
		log_write(&log_site, (level), __VA_ARGS__); \
	} while (0)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) LOG_AT(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)

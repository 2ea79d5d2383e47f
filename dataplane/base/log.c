/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

static atomic_int level_max = LOG_NOTICE;
static pthread_mutex_t site_lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

/* Returns whether the line may be written; *ret_dropped is what was left out before it. */
static int site_admit(struct log_site *site, unsigned *ret_dropped)
{
	struct timespec now;
	int admit = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&site_lock);
	if (site->second != now.tv_sec + 1) {
		/* +1 keeps a zeroed site different from every second. */
		site->second = now.tv_sec + 1;
		site->count = 0;
	}
	if (site->count < LOG_LINES_PER_S) {
		site->count++;
		*ret_dropped = site->dropped_count;
		site->dropped_count = 0;
		admit = 1;
	} else {
		site->dropped_count++;
	}
	pthread_mutex_unlock(&site_lock);
	return admit;
}

void log_write(struct log_site *site, enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
	/* The kernel's priorities: journald turns the prefix into PRIORITY= and drops it. */
	static const char *const priorities[] = { "<3>", "<4>", "<5>", "<6>", "<7>" };
	char line[LINE_SIZE];
	unsigned dropped = 0;

	if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed)) return;
	if (!site_admit(site, &dropped)) return;

	const char *prefix = isatty(STDERR_FILENO) ? "" : priorities[level];
	int size = snprintf(line, sizeof line, "%spenstock: %s: ", prefix, names[level]);

	va_list arguments;
	va_start(arguments, format);
	size += vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
	va_end(arguments);

	if (size < LINE_SIZE && dropped > 0) {
		size += snprintf(line + size, sizeof line - (size_t)size, " dropped_lines=%u",
			dropped);
	}
	if (size > LINE_SIZE - 2) size = LINE_SIZE - 2;
	line[size++] = '\n';
	/* Nothing sensible can be done when stderr is gone. */
	if (write(STDERR_FILENO, line, (size_t)size) < 0) return;
}

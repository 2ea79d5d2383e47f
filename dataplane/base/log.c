/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log_form.h"

static atomic_int level_max = LOG_NOTICE;
static pthread_mutex_t site_lock = PTHREAD_MUTEX_INITIALIZER;

/* What the journal needs is written before the format that uses it is stored. */
static atomic_int format_now = LOG_FORMAT_TEXT;
static enum log_format format_auto = LOG_FORMAT_TEXT;
static struct sockaddr_un journal_address = { .sun_family = AF_UNIX };
static int journal_fd = -1; /* once made it stays */
static atomic_uint journal_dropped_count;

/* ---- Format ---------------------------------------------------------------------------------- */

/* "Contains the device and inode numbers of the file descriptor standard output or standard error
 * are connected to … in decimal, separated by a colon", to be compared with fstat()
 * (systemd.exec(5)). */
static bool stderr_is_journal(const char *stream)
{
	struct stat status;
	char wanted[64];

	if (stream == NULL || fstat(STDERR_FILENO, &status) != 0) return false;
	snprintf(wanted, sizeof wanted, "%llu:%llu", (unsigned long long)status.st_dev,
		(unsigned long long)status.st_ino);
	return strcmp(stream, wanted) == 0;
}

void log_open(const struct log_surroundings *surroundings)
{
	size_t size = strlen(surroundings->journal_path);

	CHECK(size < sizeof journal_address.sun_path);
	memcpy(journal_address.sun_path, surroundings->journal_path, size + 1);
	format_auto = surroundings->format;
	if (format_auto == LOG_FORMAT_AUTO) {
		if (stderr_is_journal(surroundings->journal_stream)) {
			format_auto = LOG_FORMAT_JOURNAL;
		} else {
			format_auto = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
		}
	}
	log_set_format(LOG_FORMAT_AUTO);
}

void log_set_format(enum log_format format)
{
	if (format == LOG_FORMAT_AUTO) format = format_auto;
	if (format == LOG_FORMAT_JOURNAL && journal_fd < 0) {
		/* Without one every line goes to stderr. */
		journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	atomic_store_explicit(&format_now, (int)format, memory_order_release);
}

enum log_format log_format(void)
{
	return (enum log_format)atomic_load_explicit(&format_now, memory_order_acquire);
}

bool log_format_find(const char *word, enum log_format *ret)
{
	static const char *const words[] = { "auto", "text", "json", "journal" };
	BOUND(ARRAY_COUNT(words) == LOG_FORMAT_JOURNAL + 1);

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcmp(words[i], word) != 0) continue;
		*ret = (enum log_format)i;
		return true;
	}
	return false;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

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

static void stderr_write(const struct writer *writer)
{
	struct bytes text = writer_bytes(writer);

	/* Nothing sensible can be done when stderr is gone. */
	if (write(STDERR_FILENO, text.data, text.size) < 0) return;
}

static void write_as_text(const struct log_line *line)
{
	/* The kernel's priorities: journald turns the prefix into PRIORITY= and drops it. */
	static const char *const priorities[] = { "<3>", "<4>", "<5>", "<6>", "<7>" };
	uint8_t output[LOG_MESSAGE_SIZE_MAX + 64];
	struct writer writer = writer_of(output, sizeof output);

	log_form_text(&writer, line, isatty(STDERR_FILENO) ? "" : priorities[line->level]);
	stderr_write(&writer);
}

static void write_as_json(const struct log_line *line)
{
	uint8_t output[LOG_OUTPUT_SIZE];
	struct writer writer = writer_of(output, sizeof output);

	log_form_json(&writer, line);
	CHECK(!writer.failed);
	stderr_write(&writer);
}

/* Returns 0 or why it was not sent. */
static int journal_send(const struct log_line *line)
{
	uint8_t output[LOG_OUTPUT_SIZE];
	struct writer writer = writer_of(output, sizeof output);

	log_form_journal(&writer, line);
	CHECK(!writer.failed);
	/* By name each time: the socket outlives a journald, and this one need not know. */
	ssize_t sent = sendto(journal_fd, output, writer.size, MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&journal_address, sizeof journal_address);
	return sent < 0 ? errno : 0;
}

static void write_to_journal(const struct log_line *line, unsigned dropped)
{
	int code = journal_send(line);

	if (code == EAGAIN || code == ENOBUFS) {
		/* stderr is the same journal, and would be waited for. */
		atomic_fetch_add_explicit(&journal_dropped_count, dropped + 1,
			memory_order_relaxed);
	} else if (code != 0) {
		write_as_text(line);
	}
}

/* RFC 3339, UTC. */
static void time_format(char *text, size_t text_size)
{
	struct timespec now;
	struct tm tm;
	char seconds[32];

	clock_gettime(CLOCK_REALTIME, &now);
	text[0] = '\0';
	/* Fails only beyond the year 2^31. */
	if (gmtime_r(&now.tv_sec, &tm) == NULL) return;
	if (strftime(seconds, sizeof seconds, "%FT%T", &tm) == 0) return;
	snprintf(text, text_size, "%s.%06uZ", seconds, (unsigned)(now.tv_nsec / 1000));
}

void log_write(struct log_site *site, enum log_level level, const char *format, ...)
{
	char message[LOG_MESSAGE_SIZE_MAX];
	unsigned dropped = 0;

	if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed)) return;
	if (!site_admit(site, &dropped)) return;
	dropped += atomic_exchange_explicit(&journal_dropped_count, 0, memory_order_relaxed);

	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (size < 0) size = 0;
	if (size < (int)sizeof message && dropped > 0) {
		size += snprintf(message + size, sizeof message - (size_t)size, " dropped_lines=%u",
			dropped);
	}
	if (size > (int)sizeof message - 1) size = (int)sizeof message - 1;

	char time[48];
	time_format(time, sizeof time);
	struct log_line line = { .level = level,
		.message = bytes_of(message, (size_t)size),
		.time = time,
		.file = site->file,
		.line = site->line };
	switch (log_format()) {
	case LOG_FORMAT_AUTO: UNREACHABLE();
	case LOG_FORMAT_TEXT: write_as_text(&line); break;
	case LOG_FORMAT_JSON: write_as_json(&line); break;
	case LOG_FORMAT_JOURNAL: write_to_journal(&line, dropped); break;
	}
}

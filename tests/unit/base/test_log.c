/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line goes to one place, once, and nobody waits for who reads it. A socket of ours stands in
 * for the journal's, a pair of them for standard error. */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_form.h"

enum { THREADS = 4, LINES_EACH = 50 };

static char folder[] = "/tmp/penstock-log-XXXXXX";
static char journal_path[64];
static char stream[64]; /* as $JOURNAL_STREAM, for what stands in for standard error */
static int journal_fd;
static int stderr_pair[2]; /* read from, written to */
static int stderr_saved;
static char text[LOG_OUTPUT_SIZE];

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;

	(void)state;
	if (mkdtemp(folder) == NULL) return -1;
	snprintf(journal_path, sizeof journal_path, "%s/socket", folder);
	memcpy(address.sun_path, journal_path, strlen(journal_path));
	journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(journal_fd, (struct sockaddr *)&address, sizeof address) != 0) return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stderr_pair) != 0) return -1;
	if (fcntl(stderr_pair[0], F_SETFL, O_NONBLOCK) != 0) return -1;
	if (fstat(stderr_pair[1], &status) != 0) return -1;
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
		(unsigned long long)status.st_ino);
	stderr_saved = dup(STDERR_FILENO);
	return stderr_saved < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(journal_fd);
	close(stderr_saved);
	close(stderr_pair[0]);
	close(stderr_pair[1]);
	return unlink(journal_path) != 0 || rmdir(folder) != 0;
}

/* Standard error is the test's own but for the lines. */
static void begin(const char *journal_stream, const char *path, enum log_format format)
{
	struct log_surroundings surroundings = { journal_stream, path, format };

	fflush(stderr);
	assert_true(dup2(stderr_pair[1], STDERR_FILENO) >= 0);
	log_open(&surroundings);
}

static void end(void)
{
	assert_true(dup2(stderr_saved, STDERR_FILENO) >= 0);
}

/* The next datagram, or what is there of the stream; "" when there is none. */
static const char *next(int fd)
{
	ssize_t size = read(fd, text, sizeof text - 1);
	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static void where_stderr_is_the_journal_lines_are_entries(void **state)
{
	(void)state;
	begin(stream, journal_path, LOG_FORMAT_AUTO);
	log_error("no disk shard=%d", 3);
	unsigned line = __LINE__ - 1;
	end();

	char expected[400];
	snprintf(expected, sizeof expected,
		"MESSAGE=no disk shard=3\nPRIORITY=3\nSYSLOG_IDENTIFIER=penstockd\n"
		"CODE_FILE=%s\nCODE_LINE=%u\nPENSTOCK_SHARD=3\n",
		__FILE__, line);
	assert_int_equal(log_format(), LOG_FORMAT_JOURNAL);
	assert_string_equal(next(journal_fd), expected);
	assert_string_equal(next(journal_fd), "");
	assert_string_equal(next(stderr_pair[0]), "");
}

/* The variable is inherited by who writes elsewhere. */
static void where_nobody_looks_lines_are_json(void **state)
{
	static const char *const streams[] = { NULL, "", "1:1", "8:", "x" };

	(void)state;
	for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
		begin(streams[i], journal_path, LOG_FORMAT_AUTO);
		log_warning("slow n=%zu", i);
		end();
		char expected[64];
		snprintf(expected, sizeof expected,
			"\",\"level\":\"warning\",\"message\":\"slow n=%zu\",\"n\":\"%zu\"}\n", i,
			i);
		assert_memory_equal(next(stderr_pair[0]), "{\"time\":\"2", 10);
		assert_string_equal(strstr(text, "\",\"level\""), expected);
		assert_string_equal(next(journal_fd), "");
	}
}

static void on_a_terminal_lines_are_text(void **state)
{
	struct log_surroundings surroundings = { NULL, journal_path, LOG_FORMAT_AUTO };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)state;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	fflush(stderr);
	assert_true(dup2(terminal, STDERR_FILENO) >= 0);
	log_open(&surroundings);
	log_warning("slow n=%d", 1);
	end();
	assert_string_equal(next(master), "penstock: warning: slow n=1\r\n");
	close(terminal);
	close(master);
}

static void what_was_asked_for_counts(void **state)
{
	(void)state;
	begin(stream, journal_path, LOG_FORMAT_JSON);
	log_notice("one");
	assert_memory_equal(next(stderr_pair[0]), "{\"time\":\"2", 10);
	assert_string_equal(strstr(text, "\",\"level\""),
		"\",\"level\":\"notice\",\"message\":\"one\"}\n");
	/* The configuration before the surroundings; auto is what those say. */
	log_set_format(LOG_FORMAT_TEXT);
	log_notice("two");
	assert_string_equal(next(stderr_pair[0]), "<5>penstock: notice: two\n");
	log_set_format(LOG_FORMAT_JOURNAL);
	log_notice("three");
	assert_memory_equal(next(journal_fd), "MESSAGE=three\n", 14);
	log_set_format(LOG_FORMAT_AUTO);
	assert_int_equal(log_format(), LOG_FORMAT_JSON);
	end();
	assert_string_equal(next(journal_fd), "");
	assert_string_equal(next(stderr_pair[0]), "");
}

static void without_a_journal_lines_go_to_stderr(void **state)
{
	(void)state;
	begin(stream, "/nonexistent/socket", LOG_FORMAT_AUTO);
	log_error("no journal");
	end();
	assert_string_equal(next(stderr_pair[0]), "<3>penstock: error: no journal\n");
	assert_string_equal(next(stderr_pair[0]), "");
}

static unsigned entries_take(void)
{
	unsigned count = 0;

	while (next(journal_fd)[0] != '\0') count++;
	return count;
}

/* Each from a place of its own, which no rate limits. */
static void lines_write(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct log_site site = { 0 };
		log_write(&site, LOG_ERROR, "line number=%u", i);
	}
}

static void a_full_journal_is_not_waited_for(void **state)
{
	enum { LINES = 2000 }; /* more than a socket's queue takes */
	char expected[64];

	(void)state;
	begin(stream, journal_path, LOG_FORMAT_AUTO);
	lines_write(LINES);
	unsigned received = entries_take();
	assert_in_range(received, 1, LINES - 1);
	log_error("room again");
	snprintf(expected, sizeof expected, "\nPENSTOCK_DROPPED_LINES=%u\n", LINES - received);
	assert_non_null(strstr(next(journal_fd), expected));
	log_error("and no more");
	assert_null(strstr(next(journal_fd), "DROPPED"));
	end();
	assert_string_equal(next(stderr_pair[0]), "");
}

static void *thread_main(void *owner)
{
	lines_write(LINES_EACH);
	return owner;
}

/* None is lost uncounted while threads write and the format changes. */
static void threads_share_the_log(void **state)
{
	static const enum log_format formats[] = { LOG_FORMAT_JOURNAL, LOG_FORMAT_TEXT,
		LOG_FORMAT_JSON };
	pthread_t threads[THREADS];
	unsigned dropped = 0;

	(void)state;
	begin(stream, journal_path, LOG_FORMAT_AUTO);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, NULL), 0);
	}
	for (unsigned i = 0; i < 100; i++) log_set_format(formats[i % 3]);
	for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
	log_set_format(LOG_FORMAT_TEXT);
	log_error("the end");
	end();

	unsigned received = 0;
	for (const char *entry = next(journal_fd); entry[0] != '\0'; entry = next(journal_fd)) {
		const char *count = strstr(entry, "PENSTOCK_DROPPED_LINES=");
		if (count != NULL) dropped += (unsigned)strtoul(strchr(count, '=') + 1, NULL, 10);
		received++;
	}
	FILE *lines = fdopen(dup(stderr_pair[0]), "r");
	while (fgets(text, sizeof text, lines) != NULL) {
		const char *count = strstr(text, " dropped_lines=");
		if (count != NULL) dropped += (unsigned)strtoul(strchr(count, '=') + 1, NULL, 10);
		received++;
	}
	fclose(lines);
	assert_int_equal(received + dropped, THREADS * LINES_EACH + 1);
}

static void formats_have_names(void **state)
{
	enum log_format format = LOG_FORMAT_TEXT;

	(void)state;
	assert_true(log_format_find("journal", &format));
	assert_int_equal(format, LOG_FORMAT_JOURNAL);
	assert_false(log_format_find("JSON", &format));
	assert_false(log_format_find("", &format));
	assert_int_equal(format, LOG_FORMAT_JOURNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_stderr_is_the_journal_lines_are_entries),
		cmocka_unit_test(where_nobody_looks_lines_are_json),
		cmocka_unit_test(on_a_terminal_lines_are_text),
		cmocka_unit_test(what_was_asked_for_counts),
		cmocka_unit_test(without_a_journal_lines_go_to_stderr),
		cmocka_unit_test(a_full_journal_is_not_waited_for),
		cmocka_unit_test(threads_share_the_log),
		cmocka_unit_test(formats_have_names),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

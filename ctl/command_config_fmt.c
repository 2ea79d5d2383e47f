/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config_fmt — a configuration file in the form that everybody's has: to standard output,
 * into the file itself, or only asked about.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/config_format.h"
#include "config_file.h"
#include "problem.h"

enum { TEMPORARY_SIZE_MAX = 4096 };

static int complain(const struct invocation *invocation, const char *path, const char *what)
{
	return problem_say(invocation, EX_CANTCREAT, "not_written", NULL, "%s: %s: %s", path, what,
		strerror(errno));
}

static bool write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t count = write(fd, text, size);
		if (count < 0 && errno == EINTR) continue;
		if (count <= 0) return false;
		text += count;
		size -= (size_t)count;
	}
	return true;
}

/* With the owner and mode of the file it will replace. */
static bool fill(int fd, const struct stat *like, const char *text, size_t size)
{
	if (fchown(fd, like->st_uid, like->st_gid) != 0) return false;
	if (fchmod(fd, like->st_mode & 07777) != 0) return false;
	return write_all(fd, text, size) && fsync(fd) == 0;
}

/* Whole or not at all: beside it first, then in its place. */
static int file_replace(const struct invocation *invocation, const char *path, const char *text,
	size_t size)
{
	char temporary[TEMPORARY_SIZE_MAX];
	struct stat status;

	/* Through a link: the file is replaced, not the link. */
	char *real = realpath(path, NULL);
	if (real == NULL || stat(real, &status) != 0) {
		free(real);
		return complain(invocation, path, "cannot be found");
	}
	int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", real);
	int fd = length > 0 && (size_t)length < sizeof temporary ? mkstemp(temporary) : -1;
	int exit_code = EX_OK;
	if (fd < 0) {
		exit_code = complain(invocation, path, "no file can be made beside it");
	} else if (!fill(fd, &status, text, size) || rename(temporary, real) != 0) {
		exit_code = complain(invocation, path, "cannot be replaced");
		(void)unlink(temporary); /* it may be in place already */
	}
	if (fd >= 0) close(fd);
	free(real);
	return exit_code;
}

static int finish(const struct invocation *invocation, const char *path, const char *text,
	size_t size, bool same)
{
	if (invocation_option(invocation, "check") != NULL) {
		if (!same) printf("%s is not formatted\n", path);
		return same ? EX_OK : EXIT_NEGATIVE;
	}
	if (invocation_option(invocation, "write") != NULL) {
		return same ? EX_OK : file_replace(invocation, path, text, size);
	}
	fwrite(text, 1, size, stdout);
	return EX_OK;
}

int command_config_fmt(const struct invocation *invocation)
{
	const char *path = config_file_path(invocation, 0);
	struct config_report *report = alloc_array(1, sizeof *report);
	char *text = NULL;
	size_t size = 0;
	bool same = false;
	int exit_code;
	FILE *file = open_memstream(&text, &size);

	enum result result = file == NULL ? RESULT_MEMORY
					  : config_format_file(path, file, &same, report);
	if (file != NULL && fclose(file) != 0) result = RESULT_MEMORY;
	if (result == RESULT_OK) {
		exit_code = finish(invocation, path, text, size, same);
	} else if (result == RESULT_CONFIG) {
		config_file_complain(invocation, report);
		exit_code = config_file_exit_code(report);
	} else {
		exit_code = problem_say(invocation, EX_SOFTWARE, "not_formatted", NULL,
			"%s cannot be formatted without changing it; it stays as it is", path);
	}
	free(text);
	alloc_free(report);
	return exit_code;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/check.h"

enum { TEXT_SIZE_MAX = 8192 };

/* A small file of /proc; empty when it is not there. */
static struct bytes file_text(const char *path, char to[static TEXT_SIZE_MAX])
{
	FILE *file = fopen(path, "re");
	if (file == NULL) return BYTES_EMPTY;
	size_t size = fread(to, 1, TEXT_SIZE_MAX, file);
	fclose(file);
	return bytes_of(to, size);
}

/* The index-th word, as a number; 0 when it is none. */
static uint64_t number_of(struct bytes text, unsigned index)
{
	struct bytes word = BYTES_EMPTY;
	uint64_t number = 0;

	for (unsigned i = 0; i <= index; i++) {
		text = bytes_trim(text);
		bytes_split(text, ' ', &word, &text);
	}
	return bytes_parse_u64(word, &number) == RESULT_OK ? number : 0;
}

/* "used waited slices", in nanoseconds. */
static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
	char path[320];
	char text[TEXT_SIZE_MAX];

	snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task);
	return number_of(file_text(path, text), 0);
}

uint64_t process_cpu_us(pid_t pid)
{
	char path[64];
	uint64_t ns = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *folder = opendir(path);
	if (folder == NULL) return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (entry->d_name[0] != '.') ns += task_cpu_ns(pid, entry->d_name);
	}
	closedir(folder);
	return ns / 1000;
}

uint64_t process_anonymous_size(pid_t pid)
{
	char path[64];
	char text[TEXT_SIZE_MAX];
	static const char name[] = "RssAnon:";

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	struct bytes rest = file_text(path, text);
	struct bytes line;
	while (rest.size > 0) {
		bytes_split(rest, '\n', &line, &rest);
		if (!bytes_starts_with(line, BYTES_LITERAL(name))) continue;
		return number_of(bytes_from(line, sizeof name - 1), 0) * 1024;
	}
	return 0;
}

uint64_t thread_cpu_us(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t thread_wait_us(void)
{
	char text[TEXT_SIZE_MAX];

	return number_of(file_text("/proc/thread-self/schedstat", text), 1) / 1000;
}

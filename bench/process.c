/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
	char path[320];
	unsigned long long ns = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task);
	FILE *file = fopen(path, "re");
	if (file == NULL) return 0;
	if (fscanf(file, "%llu", &ns) != 1) ns = 0;
	fclose(file);
	return ns;
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
	char line[256];
	unsigned long long kib = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1) break;
	}
	fclose(file);
	return kib * 1024;
}

uint64_t thread_cpu_us(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t thread_wait_us(void)
{
	unsigned long long used_ns = 0;
	unsigned long long waited_ns = 0;

	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	if (file == NULL) return 0;
	if (fscanf(file, "%llu %llu", &used_ns, &waited_ns) != 2) waited_ns = 0;
	fclose(file);
	return waited_ns / 1000;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "bounds.h"

uint32_t store_shard_count(const char *path)
{
	uint32_t count = 0;

	DIR *folder = opendir(path);
	if (folder == NULL) return 0;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		struct bytes name = bytes_of_text(entry->d_name);
		uint64_t number;
		if (!bytes_starts_with(name, BYTES_LITERAL("shard-"))) continue;
		if (bytes_parse_u64(bytes_from(name, 6), &number) != RESULT_OK) continue;
		if (number < WORKERS_MAX && number + 1 > count) count = (uint32_t)number + 1;
	}
	closedir(folder);
	return count;
}

bool store_is_restoring(const char *path)
{
	char name[4096];
	struct stat status;
	int size = snprintf(name, sizeof name, "%s/" STORE_RESTORING, path);
	return size > 0 && (size_t)size < sizeof name && lstat(name, &status) == 0;
}

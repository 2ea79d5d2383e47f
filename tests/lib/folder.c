/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

void folder_path(char to[static FOLDER_PATH_SIZE], const char *folder, const char *name)
{
	int size = snprintf(to, FOLDER_PATH_SIZE, "%s/%s", folder, name);
	CHECK(size > 0 && size < FOLDER_PATH_SIZE);
}

void folder_make(char path[static FOLDER_PATH_SIZE])
{
	const char *under = getenv("TMPDIR");
	if (under == NULL) under = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	folder_path(path, under, "penstock-test-XXXXXX");
	CHECK(mkdtemp(path) != NULL);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void folder_remove(const char *path)
{
	char inside[FOLDER_PATH_SIZE];
	DIR *folder = opendir(path);
	if (folder == NULL) return;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (is_dots(entry->d_name)) continue;
		folder_path(inside, path, entry->d_name);
		if (unlink(inside) != 0 && errno == EISDIR) folder_remove(inside);
	}
	closedir(folder);
	CHECK(rmdir(path) == 0);
}

static bool is_zero(const uint8_t *block, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (block[i] != 0) return false;
	}
	return true;
}

static void copy_file(const char *from, const char *to)
{
	uint8_t block[4096];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t end = 0;

	CHECK(in >= 0 && out >= 0);
	for (;;) {
		ssize_t size = pread(in, block, sizeof block, end);
		CHECK(size >= 0);
		if (size == 0) break;
		if (!is_zero(block, (size_t)size)) {
			CHECK(pwrite(out, block, (size_t)size, end) == size);
		}
		end += size;
	}
	CHECK(ftruncate(out, end) == 0);
	close(in);
	close(out);
}

void folder_copy(const char *from, const char *to)
{
	char source[FOLDER_PATH_SIZE];
	char copy[FOLDER_PATH_SIZE];

	CHECK(mkdir(to, 0700) == 0);
	DIR *folder = opendir(from);
	CHECK(folder != NULL);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		if (is_dots(entry->d_name) || strncmp(entry->d_name, "lock", 4) == 0) continue;
		folder_path(source, from, entry->d_name);
		folder_path(copy, to, entry->d_name);
		copy_file(source, copy);
	}
	closedir(folder);
}

bool folder_flip(const char *path, const void *bytes, size_t size, unsigned nth, size_t offset)
{
	struct stat file;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && fstat(fd, &file) == 0);
	uint8_t *content = alloc_map((size_t)file.st_size);
	CHECK(pread(fd, content, (size_t)file.st_size, 0) == file.st_size);

	const uint8_t *at = content;
	for (unsigned i = 0; at != NULL; i++) {
		size_t left = (size_t)(content + file.st_size - at);
		at = memmem(at, left, bytes, size);
		if (at == NULL || i == nth) break;
		at++;
	}
	bool found = at != NULL;
	if (found) {
		uint8_t flipped = (uint8_t)(at[offset] ^ 0x10);
		CHECK(pwrite(fd, &flipped, 1, at - content + (off_t)offset) == 1);
	}
	alloc_unmap(content, (size_t)file.st_size);
	close(fd);
	return found;
}

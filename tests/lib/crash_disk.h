/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash_disk — what is on the disk for certain, and what may be: writes and syncs are recorded, and
 * images are made of the files as they may be after a loss of power. The calls are caught by
 * functions of libc's names, which come before libc's in the program that includes this, once.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"
#include "lib/folder.h"

enum {
	FILES_MAX = 12,
	IMAGE_SIZE_MAX = 4 << 20,
	ARENA_SIZE = 16 << 20,
	WRITES_MAX = 4096,
	PAGE_SIZE = 4096,
	SECTOR_SIZE = 512,
};

struct disk_file {
	char name[16];
	ino_t inode;
	uint8_t *durable;
	size_t durable_size;
};

struct disk_write {
	struct disk_file *file;
	size_t offset;
	size_t size;
	const uint8_t *bytes; /* in the arena */
};

struct disk {
	bool recording;
	struct disk_file files[FILES_MAX];
	unsigned file_count;
	uint8_t *arena;
	size_t arena_used;
	struct disk_write writes[WRITES_MAX]; /* not synced, in their order */
	unsigned write_count;
	void (*crash)(void);
};

/* Of the process, and of the one that is started when it is killed. */
static struct disk disks[2];
static struct disk *disk = &disks[0];
static unsigned segments_left = UINT_MAX; /* that the file system has space for */

/* What it has now is durable: a new file was synced by whoever made it. */
static struct disk_file *disk_file_of(int fd)
{
	char link[64];
	char path[256];
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	for (unsigned i = 0; i < disk->file_count; i++) {
		if (disk->files[i].inode == status.st_ino) return &disk->files[i];
	}
	CHECK(disk->file_count < FILES_MAX && status.st_size <= IMAGE_SIZE_MAX);
	struct disk_file *file = &disk->files[disk->file_count++];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(link, path, sizeof path - 1);
	CHECK(size > 0);
	path[size] = '\0';
	snprintf(file->name, sizeof file->name, "%.15s", strrchr(path, '/') + 1);
	file->inode = status.st_ino;
	file->durable_size = (size_t)status.st_size;
	if (file->durable == NULL) file->durable = alloc_map(IMAGE_SIZE_MAX);
	CHECK(pread(fd, file->durable, IMAGE_SIZE_MAX, 0) == status.st_size);
	return file;
}

static void disk_record(int fd, size_t offset, const void *bytes, size_t size)
{
	CHECK(disk->write_count < WRITES_MAX && disk->arena_used + size <= ARENA_SIZE);
	uint8_t *copy = disk->arena + disk->arena_used;
	memcpy(copy, bytes, size);
	disk->arena_used += size;
	disk->writes[disk->write_count++] =
		(struct disk_write){ disk_file_of(fd), offset, size, copy };
}

static void apply(uint8_t *image, size_t *image_size, const struct disk_write *write, size_t from,
	size_t size)
{
	CHECK(write->offset + from + size <= IMAGE_SIZE_MAX);
	memcpy(image + write->offset + from, write->bytes + from, size);
	if (write->offset + from + size > *image_size) *image_size = write->offset + from + size;
}

/* What was written to this file, from the given write on. */
static void disk_sync(struct disk_file *file, unsigned first)
{
	unsigned left = first;
	for (unsigned i = first; i < disk->write_count; i++) {
		struct disk_write *write = &disk->writes[i];
		if (write->file == file) {
			apply(file->durable, &file->durable_size, write, 0, write->size);
		} else {
			disk->writes[left++] = *write;
		}
	}
	disk->write_count = left;
	if (left == 0) disk->arena_used = 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	if (disk->recording) {
		bool synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
		disk_record(fd, (size_t)offset, bytes, size);
		if (synchronous) {
			disk->crash();
			disk_sync(disk_file_of(fd), disk->write_count - 1);
		}
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	if (disk->recording) {
		size_t offset = (size_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
		for (int i = 0; i < part_count; i++) {
			disk_record(fd, offset, parts[i].iov_base, parts[i].iov_len);
			offset += parts[i].iov_len;
		}
	}
	return syscall(SYS_writev, fd, parts, part_count);
}

int fdatasync(int fd)
{
	if (disk->recording) {
		disk->crash();
		disk_sync(disk_file_of(fd), 0);
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	/* LMDB's file grows from its end. */
	bool is_segment = offset == 0;
	if (is_segment && segments_left == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (is_segment) segments_left--;
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

/* ---- Images -------------------------------------------------------------------------------- */

enum surviving { SURVIVES_NOTHING, SURVIVES_ALL, SURVIVES_START, SURVIVES_PAGES, SURVIVES_SECTORS };

static struct random chance;

/* The meta page is written as one sector, or not. */
static size_t grain_of(enum surviving surviving)
{
	return surviving == SURVIVES_SECTORS ? SECTOR_SIZE : PAGE_SIZE;
}

static void make_image(const struct disk_file *file, enum surviving surviving, uint64_t start_count,
	uint8_t *image, size_t *image_size)
{
	size_t grain = grain_of(surviving);

	memcpy(image, file->durable, file->durable_size);
	*image_size = file->durable_size;
	if (surviving == SURVIVES_NOTHING) return;
	for (unsigned i = 0; i < disk->write_count; i++) {
		const struct disk_write *write = &disk->writes[i];
		if (surviving == SURVIVES_START && i >= start_count) break;
		if (write->file != file) continue;
		for (size_t from = 0; from < write->size; from += grain) {
			size_t size = write->size - from < grain ? write->size - from : grain;
			bool some = surviving == SURVIVES_PAGES || surviving == SURVIVES_SECTORS;
			if (some && random_below(&chance, 2) == 0) continue;
			apply(image, image_size, write, from, size);
		}
	}
}

static void write_images(const char *folder, enum surviving surviving)
{
	static uint8_t *image;
	uint64_t start_count = random_below(&chance, disk->write_count + 1);
	char path[FOLDER_PATH_SIZE];
	size_t size;

	if (image == NULL) image = alloc_map(IMAGE_SIZE_MAX);
	for (unsigned i = 0; i < disk->file_count; i++) {
		make_image(&disk->files[i], surviving, start_count, image, &size);
		folder_path(path, folder, disk->files[i].name);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		CHECK(syscall(SYS_pwrite64, fd, image, size, 0) == (long)size);
		close(fd);
	}
}

/* ---- A process that is killed --------------------------------------------------------------- */

/* The last write may have been cut short by it. */
static void cut_last_write(void)
{
	if (disk->write_count == 0 || random_below(&chance, 4) != 0) return;
	struct disk_write *last = &disk->writes[disk->write_count - 1];
	size_t page_count = (last->size + PAGE_SIZE - 1) / PAGE_SIZE;
	size_t size = random_below(&chance, page_count + 1) * PAGE_SIZE;
	if (size < last->size) last->size = size;
}

static void copy_disk(struct disk *to, const struct disk *from)
{
	to->file_count = from->file_count;
	for (unsigned i = 0; i < from->file_count; i++) {
		uint8_t *durable = to->files[i].durable;
		if (durable == NULL) durable = alloc_map(IMAGE_SIZE_MAX);
		memcpy(durable, from->files[i].durable, from->files[i].durable_size);
		to->files[i] = from->files[i];
		to->files[i].durable = durable;
	}
	memcpy(to->arena, from->arena, from->arena_used);
	to->arena_used = from->arena_used;
	to->write_count = from->write_count;
	for (unsigned i = 0; i < from->write_count; i++) {
		to->writes[i] = from->writes[i];
		to->writes[i].file = &to->files[from->writes[i].file - from->files];
		to->writes[i].bytes = to->arena + (from->writes[i].bytes - from->arena);
	}
}

/* The files as the kernel has them are those of the disk now. */
static void write_kernel_image(const char *folder)
{
	char path[FOLDER_PATH_SIZE];
	struct stat status;

	write_images(folder, SURVIVES_ALL);
	for (unsigned i = 0; i < disk->file_count; i++) {
		folder_path(path, folder, disk->files[i].name);
		CHECK(stat(path, &status) == 0);
		disk->files[i].inode = status.st_ino;
	}
}

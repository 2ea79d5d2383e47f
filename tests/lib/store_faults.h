/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_faults — the kernel as the store sees it, made to fail by `fault`: functions of libc's
 * names, which come before libc's in the program that includes this, once. All zeros: nothing
 * fails.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "lib/folder.h"
#include "store/store_journal.h"

enum meta_fault {
	META_FINE,
	META_ON_DISK_WITH_EIO, /* the next write of it; all later ones to its file fail */
	META_FAILS,
	META_KILLS, /* after the write, before it is on disk */
};
enum { KILLED = 9 };

static struct {
	int fallocate_errno; /* 0: as the kernel answers */
	bool disk_is_full;   /* as statvfs() sees it */
	bool journal_full;   /* no write to it finds space */
	bool data_full;      /* nor to LMDB's file */
	bool wipe_fails;
	unsigned killing_sync;  /* of the journal: the n-th from now; 0: none */
	unsigned opens_to_fail; /* of journal files */
	unsigned maps_to_fail;
	/* 0: inodes are numbered as the kernel does it. Otherwise that of "journal.new", one more
	 * each time it is asked for, and 1 again when it has become a segment; those of the first
	 * two files of the journal lie in the first two blocks. */
	ino_t new_inode;
	bool same_inode; /* that of "journal.new" is the first file's, however often it is made */
	unsigned files_aside; /* how often one was to get such a name */
	bool refuses_aside;
	unsigned refused_new_open; /* of "journal.new", the n-th from now; 0: none */
	/* Of those past the page cache to the journal, the n-th from now, 0: none, … */
	unsigned refused_direct_write; /* has EINVAL */
	unsigned cut_direct_write;     /* ends in the middle of a sector */
	bool refuses_all;              /* EINVAL for every write to the journal */
	unsigned direct_writes;
	unsigned kernel_refusals; /* EINVAL that nobody here has made */
	enum meta_fault meta;
	ino_t meta_inode;
	unsigned journal_syncs;
	unsigned data_syncs;
} fault;

static bool has_name(int fd, const char *name)
{
	char link[64];
	char path[FOLDER_PATH_SIZE];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(link, path, sizeof path - 1);
	if (size < 0) return false;
	path[size] = '\0';
	return strstr(path, name) != NULL;
}

enum { FIRST_INODE = JOURNAL_INODES_PER_BLOCK / 2, NEXT_INODE = 3 * JOURNAL_INODES_PER_BLOCK / 2 };

int fstat(int fd, struct stat *ret)
{
	int code = (int)syscall(SYS_newfstatat, fd, "", ret, AT_EMPTY_PATH);
	if (!has_name(fd, "/journal.new")) return code;
	if (fault.new_inode > 0) ret->st_ino = fault.new_inode++;
	if (fault.same_inode) ret->st_ino = FIRST_INODE;
	return code;
}

int fstatat(int fd, const char *path, struct stat *ret, int flags)
{
	int code = (int)syscall(SYS_newfstatat, fd, path, ret, flags);
	if (fault.new_inode == 0 && !fault.same_inode) return code;
	if (strcmp(path, "journal-0") == 0) ret->st_ino = FIRST_INODE;
	if (strcmp(path, "journal-1") == 0) ret->st_ino = NEXT_INODE;
	return code;
}

static int fails_with(int code)
{
	errno = code;
	return -1;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (strncmp(to, JOURNAL_ASIDE_PREFIX, sizeof JOURNAL_ASIDE_PREFIX - 1) == 0) {
		fault.files_aside++;
		if (fault.refuses_aside) return fails_with(EIO);
	}
	if (fault.new_inode > 0 && strncmp(to, "journal-", 8) == 0) fault.new_inode = 1;
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

static bool counts_down(unsigned *count)
{
	return *count > 0 && --*count == 0;
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	if (fault.fallocate_errno != 0) return fails_with(fault.fallocate_errno);
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	*ret = (struct statvfs){ .f_frsize = 4096, .f_bavail = fault.disk_is_full ? 0 : 1 << 20 };
	return 0;
}

int fdatasync(int fd)
{
	if (has_name(fd, "/journal-")) {
		fault.journal_syncs++;
		if (fault.killing_sync > 0 && --fault.killing_sync == 0) _exit(KILLED);
	} else {
		fault.data_syncs++;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int openat(int fd, const char *path, int flags, ...)
{
	if (strncmp(path, "journal-", 8) == 0 && fault.opens_to_fail > 0) {
		fault.opens_to_fail--;
		return fails_with(EMFILE);
	}
	if (strcmp(path, JOURNAL_NEW_NAME) == 0 && counts_down(&fault.refused_new_open)) {
		return fails_with(ENOSPC);
	}
	return (int)syscall(SYS_openat, fd, path, flags, 0600);
}

void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset)
{
	if (fault.maps_to_fail > 0 && fd >= 0) {
		fault.maps_to_fail--;
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, size, access, flags, fd, offset);
}

/* Whether the call is answered here. */
static bool meta_write(int fd, const void *bytes, size_t size, off_t offset)
{
	struct stat status;

	if (fault.meta == META_FINE || fstat(fd, &status) != 0) return false;
	if (fault.meta == META_FAILS) return status.st_ino == fault.meta_inode;
	/* It alone is written through a descriptor of its own. */
	if ((fcntl(fd, F_GETFL) & O_DSYNC) == 0) return false;
	CHECK(syscall(SYS_pwrite64, fd, bytes, size, offset) == (long)size);
	if (fault.meta == META_KILLS) _exit(KILLED);
	fault.meta = META_FAILS;
	fault.meta_inode = status.st_ino;
	return true;
}

static bool is_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_DIRECT) != 0;
}

/* As at a limit of the file's size: what is before it is written. */
static ssize_t write_cut(int fd, const void *bytes, off_t offset)
{
	enum { CUT_SIZE = 1000 };
	int flags = fcntl(fd, F_GETFL);

	CHECK(fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0);
	ssize_t count = syscall(SYS_pwrite64, fd, bytes, CUT_SIZE, offset);
	CHECK(fcntl(fd, F_SETFL, flags) == 0);
	return count;
}

static ssize_t write_direct(int fd, const void *bytes, size_t size, off_t offset)
{
	fault.direct_writes++;
	if (counts_down(&fault.refused_direct_write)) return fails_with(EINVAL);
	if (counts_down(&fault.cut_direct_write)) return write_cut(fd, bytes, offset);
	ssize_t count = syscall(SYS_pwrite64, fd, bytes, size, offset);
	fault.kernel_refusals += count < 0 && errno == EINVAL;
	return count;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	bool wipes = offset == 0 && size == JOURNAL_HEADER_SIZE;

	if (fault.data_full && has_name(fd, "/data.mdb")) return fails_with(ENOSPC);
	if (fault.journal_full && has_name(fd, "/journal-")) return fails_with(ENOSPC);
	if (fault.wipe_fails && wipes && has_name(fd, "/journal-")) return fails_with(EIO);
	if (meta_write(fd, bytes, size, offset)) return fails_with(EIO);
	if (fault.refuses_all && has_name(fd, "/journal-")) return fails_with(EINVAL);
	if (is_direct(fd)) return write_direct(fd, bytes, size, offset);
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	if (fault.data_full && has_name(fd, "/data.mdb")) return fails_with(ENOSPC);
	return syscall(SYS_writev, fd, parts, part_count);
}

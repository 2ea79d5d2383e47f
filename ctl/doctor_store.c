/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_store — the file system of the state: what kind it is, how long a flush takes, how much
 * room there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "doctor.h"
#include "units.h"

enum {
	FLUSHES = 16,
	FLUSH_SIZE = 4096,
	FLUSH_SLOW_US = 10000,
	FREE_PERCENT_LOW = 10,
	INODES_LOW = 1000,
};
/* Less is not a store that could go on for long. */
#define FREE_SIZE_MIN STORE_QUOTA_SIZE_MIN

/* ---- Where ----------------------------------------------------------------------------------- */

/* The state's folder, or the one it will be made in. False: neither is there. */
static bool folder_find(struct doctor *doctor, const char *path, char *ret, size_t size)
{
	struct stat status;
	snprintf(ret, size, "%s", path);
	if (stat(ret, &status) == 0 && S_ISDIR(status.st_mode)) return true;
	if (errno == ENOENT) {
		char *slash = strrchr(ret, '/');
		if (slash != NULL && slash != ret) *slash = '\0';
		if (stat(ret, &status) == 0 && S_ISDIR(status.st_mode)) {
			doctor_add(doctor, DOCTOR_OK, "state", NULL,
				"%s is not there yet: the daemon makes it", path);
			return true;
		}
	}
	doctor_add(doctor, DOCTOR_FAIL, "state", NULL, "%s: %s", path, strerror(errno));
	doctor_fix(doctor, "install -d -m 0700 -o penstock %s, with the daemon's user", path);
	return false;
}

static void check_kind(struct doctor *doctor, const char *folder)
{
	static const struct {
		long magic;
		const char *name;
		enum doctor_level level;
		const char *fix;
	} kinds[] = {
		{ TMPFS_MAGIC, "tmpfs", DOCTOR_FAIL,
			"put store: path on a disk: a power failure takes accepted events away" },
		{ NFS_SUPER_MAGIC, "NFS", DOCTOR_FAIL,
			"put store: path on a local disk: locks and flushes do not hold over NFS" },
		{ (long)CIFS_SUPER_MAGIC, "SMB", DOCTOR_FAIL,
			"put store: path on a local disk: locks and flushes do not hold over SMB" },
		{ OVERLAYFS_SUPER_MAGIC, "overlay", DOCTOR_WARN,
			"put store: path on a volume: an overlay goes with its container" },
		{ EXT4_SUPER_MAGIC, "ext4", DOCTOR_OK, NULL },
		{ XFS_SUPER_MAGIC, "XFS", DOCTOR_OK, NULL },
		{ BTRFS_SUPER_MAGIC, "btrfs", DOCTOR_WARN,
			"chattr +C on the empty folder: copies on write make commits slow" },
	};
	struct statfs status;
	if (statfs(folder, &status) != 0) return;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (kinds[i].magic != (long)status.f_type) continue;
		doctor_add(doctor, kinds[i].level, "state", kinds[i].fix, "%s is on %s", folder,
			kinds[i].name);
	}
}

/* ---- How fast -------------------------------------------------------------------------------- */

static uint64_t mono_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

/* A file that nobody else sees, and that is gone when it is closed. */
static int nameless_file(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
	char path[FILE_NAME_SIZE_MAX + 1];
	if (snprintf(path, sizeof path, "%s/doctor-XXXXXX", folder) >= (int)sizeof path) return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0) unlink(path);
	return fd;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* As the journal is written: over what is there already, a block and a flush each time. Sorted.
 * False: errno says why. */
static bool flushes_measure(int fd, uint64_t times_us[static FLUSHES])
{
	static const uint8_t block[FLUSH_SIZE];
	for (int i = 0; i < FLUSHES; i++) {
		if (pwrite(fd, block, sizeof block, (off_t)i * FLUSH_SIZE) != FLUSH_SIZE) {
			return false;
		}
	}
	if (fsync(fd) != 0) return false;
	for (int i = 0; i < FLUSHES; i++) {
		uint64_t begin_us = mono_us();
		ssize_t size = pwrite(fd, block, sizeof block, (off_t)i * FLUSH_SIZE);
		if (size != FLUSH_SIZE || fdatasync(fd) != 0) return false;
		times_us[i] = mono_us() - begin_us;
	}
	qsort(times_us, FLUSHES, sizeof times_us[0], compare);
	return true;
}

static void check_flush(struct doctor *doctor, const char *folder)
{
	uint64_t times_us[FLUSHES];
	char texts[2][UNITS_TEXT_SIZE];
	int fd = nameless_file(folder);
	bool measured = fd >= 0 && flushes_measure(fd, times_us);
	int error = errno;
	if (fd >= 0) close(fd);
	if (!measured) {
		bool forbidden = error == EACCES || error == EPERM;
		doctor_add(doctor, forbidden ? DOCTOR_WARN : DOCTOR_FAIL, "disk",
			forbidden ? "ask as root or as the daemon's user"
				  : "the daemon could not write here either",
			"a flush cannot be measured in %s: %s", folder, strerror(error));
		return;
	}
	uint64_t median_us = times_us[FLUSHES / 2];
	bool good = median_us < FLUSH_SLOW_US;
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "disk",
		good ? NULL
		     : "a disk with power-loss protection: each acknowledgement waits for a flush",
		"a flush takes %s, the slowest of %d took %s", units_duration(median_us, texts[0]),
		FLUSHES, units_duration(times_us[FLUSHES - 1], texts[1]));
}

/* ---- How much -------------------------------------------------------------------------------- */

static void check_room(struct doctor *doctor, const struct config *config, const char *folder)
{
	struct statvfs status;
	char texts[3][UNITS_TEXT_SIZE];
	if (statvfs(folder, &status) != 0) return;

	uint64_t free_size = (uint64_t)status.f_bavail * status.f_frsize;
	uint64_t size = (uint64_t)status.f_blocks * status.f_frsize;
	units_size(free_size, texts[0]);
	units_size(size, texts[1]);
	if (free_size < FREE_SIZE_MIN) {
		doctor_add(doctor, DOCTOR_FAIL, "room",
			"make room: new events are answered 503 without it", "%s of %s free",
			texts[0], texts[1]);
	} else if (free_size < size / 100 * FREE_PERCENT_LOW) {
		doctor_add(doctor, DOCTOR_WARN, "room", "make room, or shorten store: retention",
			"%s of %s free", texts[0], texts[1]);
	} else if (config->store.quota_size > size) {
		doctor_add(doctor, DOCTOR_WARN, "room", "lower store: quota, or use a larger disk",
			"the quota of %s is more than the file system's %s",
			units_size(config->store.quota_size, texts[2]), texts[1]);
	} else {
		doctor_add(doctor, DOCTOR_OK, "room", NULL, "%s of %s free", texts[0], texts[1]);
	}
	/* Some file systems make inodes as they are needed, and say that they have none. */
	if (status.f_files == 0) return;
	bool good = status.f_favail >= INODES_LOW;
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "room",
		good ? NULL : "delete files: each segment of the journal is one", "%s inodes free",
		units_number(status.f_favail, texts[0]));
}

void doctor_store(struct doctor *doctor, const struct config *config)
{
	char folder[FILE_NAME_SIZE_MAX + 1];
	if (!folder_find(doctor, config->store.path, folder, sizeof folder)) return;
	check_kind(doctor, folder);
	check_flush(doctor, folder);
	check_room(doctor, config, folder);
}

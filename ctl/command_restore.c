/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_restore — makes a store from a backup, in a folder that has none. No daemon is asked.
 *
 * Happy path: read the manifest → compare every file's checksum → copy into "restoring" →
 * flush → give the shards their names → remove "restoring". While that is there the daemon and
 * the commands for stores refuse the folder, so that one that was cut off in the middle cannot be
 * taken for whole.
 * What is refused: no manifest, a newer backup, a file that is missing or different, a folder with
 * anything in it, no space. Nothing is changed then, or the folder "restoring" is what is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "answer.h"
#include "base/alloc.h"
#include "base/check.h"
#include "offline.h"
#include "problem.h"
#include "store/store_backup.h"
#include "store/store_folder.h"
#include "units.h"

#define BACKUP_SCHEMA "penstock.backup/v1"

enum { COPY_SIZE = 1 << 20, MANIFEST_SIZE_MAX = 64 << 20, NAME_SIZE = 64, HEX_SIZE = 65 };

struct restoring {
	const struct invocation *invocation;
	yyjson_doc *manifest;
	int from_fd;
	int store_fd;
	int to_fd; /* <store>/restoring */
	bool live;
	uint64_t all_size;
	uint64_t done_size;
	uint64_t file_count;
	uint32_t shard_count;
};

static int io_problem(const struct restoring *restoring, const char *what, const char *name)
{
	return problem_say(restoring->invocation, EX_IOERR, "restore_failed", NULL, "%s %s: %s",
		what, name, strerror(errno));
}

static int damaged(const struct restoring *restoring, const char *name, const char *what)
{
	return problem_say(restoring->invocation, EX_DATAERR, "backup_damaged",
		"take another backup; nothing was restored", "%s %s", name, what);
}

static int unreadable(const struct restoring *restoring, const char *name)
{
	return problem_say(restoring->invocation, EX_NOINPUT, "backup_unreadable",
		errno == EACCES ? "give the backup to the owner of the store's folder (chown -R)"
				: NULL,
		"cannot read %s: %s", name, strerror(errno));
}

static void show(const struct restoring *restoring, const char *what)
{
	char done[UNITS_TEXT_SIZE];
	char all[UNITS_TEXT_SIZE];
	if (!restoring->live) return;
	fprintf(stderr, "\r\x1b[K%s: %s of %s", what, units_size(restoring->done_size, done),
		units_size(restoring->all_size, all));
	fflush(stderr);
}

/* ---- The manifest ---------------------------------------------------------------------------- */

/* "shard-00/journal-3" and nothing that leads elsewhere. */
static bool name_is_ours(const char *name, uint32_t shard_count)
{
	static const char shard_prefix[] = "shard-";
	static const char file_prefix[] = "/journal-";
	char journal[NAME_SIZE];
	char data[NAME_SIZE];
	char *end;

	if (strncmp(name, shard_prefix, sizeof shard_prefix - 1) != 0) return false;
	unsigned long shard = strtoul(name + sizeof shard_prefix - 1, &end, 10);
	bool is_journal = strncmp(end, file_prefix, sizeof file_prefix - 1) == 0;
	unsigned long file = is_journal ? strtoul(end + sizeof file_prefix - 1, NULL, 10) : 0;
	if (shard >= shard_count || file >= JOURNAL_SEGMENTS_MAX) return false;
	/* Written again, a number that was read too kindly differs. */
	snprintf(journal, sizeof journal, "shard-%02lu/journal-%lu", shard, file);
	snprintf(data, sizeof data, "shard-%02lu/data.mdb", shard);
	return strcmp(name, journal) == 0 || strcmp(name, data) == 0;
}

static int manifest_open(struct restoring *restoring, const char *path)
{
	const struct invocation *invocation = restoring->invocation;
	struct stat status;
	restoring->from_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restoring->from_fd < 0) {
		return problem_say(invocation, EX_NOINPUT, "no_backup", NULL, "%s: %s", path,
			strerror(errno));
	}
	int fd = openat(restoring->from_fd, "manifest.json", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (file == NULL || fstat(fd, &status) != 0 || status.st_size > MANIFEST_SIZE_MAX) {
		if (file != NULL) fclose(file);
		return problem_say(invocation, EX_NOINPUT, "no_backup",
			"a backup that was cut short has none",
			"%s is no backup: it has no manifest.json", path);
	}
	restoring->manifest = yyjson_read_fp(file, 0, NULL, NULL);
	fclose(file);
	yyjson_val *root = yyjson_doc_get_root(restoring->manifest);
	if (strcmp(member_text(root, "schema"), BACKUP_SCHEMA) != 0) {
		return damaged(restoring, "manifest.json", "is not a " BACKUP_SCHEMA " document");
	}
	uint64_t schema = member_number(root, "store_schema");
	if (schema > STORE_SCHEMA_VERSION) {
		return problem_say(invocation, EX_DATAERR, "backup_newer",
			"restore it with the version that made it, or a later one",
			"a newer version made the backup: store schema %" PRIu64
			", this version knows %u",
			schema, (unsigned)STORE_SCHEMA_VERSION);
	}
	uint64_t shard_count = member_number(root, "shards");
	if (shard_count == 0 || shard_count > WORKERS_MAX) {
		return damaged(restoring, "manifest.json", "says a wrong number of shards");
	}
	restoring->shard_count = (uint32_t)shard_count;
	return EX_OK;
}

/* Calls `each` for every file of the manifest until one does not return EX_OK. */
static int each_file(struct restoring *restoring,
	int (*each)(struct restoring *restoring, yyjson_val *file, int fd))
{
	yyjson_val *files = member(yyjson_doc_get_root(restoring->manifest), "files");
	yyjson_val *file;
	size_t index;
	size_t max;
	yyjson_arr_foreach(files, index, max, file)
	{
		const char *name = member_text(file, "path");
		if (!name_is_ours(name, restoring->shard_count)) {
			return damaged(restoring, "manifest.json", "names a file of no store");
		}
		int fd = openat(restoring->from_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOENT) return damaged(restoring, name, "is missing");
		if (fd < 0) return unreadable(restoring, name);
		int exit_code = each(restoring, file, fd);
		close(fd);
		if (exit_code != EX_OK) return exit_code;
	}
	return EX_OK;
}

static int file_verify(struct restoring *restoring, yyjson_val *file, int fd)
{
	uint8_t sha256[SHA256_SIZE];
	char hex[HEX_SIZE] = "";
	struct stat status;
	const char *name = member_text(file, "path");
	uint64_t size = member_number(file, "size");
	if (fstat(fd, &status) != 0 || (uint64_t)status.st_size != size ||
		member_number(file, "full_size") < size) {
		return damaged(restoring, name, "has another size than the manifest says");
	}
	if (store_backup_hash(fd, size, sha256) != RESULT_OK) {
		return io_problem(restoring, "cannot read", name);
	}
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		snprintf(hex + 2 * i, sizeof hex - 2 * i, "%02x", sha256[i]);
	}
	if (strcmp(hex, member_text(file, "sha256")) != 0) {
		return damaged(restoring, name, "is not what was backed up: its SHA-256 differs");
	}
	restoring->done_size += size;
	show(restoring, "comparing");
	return EX_OK;
}

/* ---- The store's folder ---------------------------------------------------------------------- */

static bool is_empty(int folder_fd)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (folder == NULL) return false;
	bool empty = true;
	for (struct dirent *entry = readdir(folder); entry != NULL && empty;
		entry = readdir(folder)) {
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	}
	closedir(folder);
	return empty;
}

static int store_open_empty(struct restoring *restoring, const char *path)
{
	const struct invocation *invocation = restoring->invocation;
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return problem_say(invocation, EX_CANTCREAT, "cannot_create", NULL, "%s: %s", path,
			strerror(errno));
	}
	restoring->store_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restoring->store_fd < 0 || !is_empty(restoring->store_fd)) {
		return problem_say(invocation, EX_CANTCREAT, "store_not_empty",
			"stop the daemon and move what is there away",
			"%s is not an empty folder; a backup is only restored into an empty one",
			path);
	}
	return EX_OK;
}

static int check_space(struct restoring *restoring, const char *path)
{
	struct statvfs space;
	char text[2][UNITS_TEXT_SIZE];
	yyjson_val *files = member(yyjson_doc_get_root(restoring->manifest), "files");
	yyjson_val *file;
	size_t index;
	size_t max;
	uint64_t wanted = 0;
	yyjson_arr_foreach(files, index, max, file)
	{
		restoring->all_size += member_number(file, "size");
		wanted += member_number(file, "full_size");
	}
	if (fstatvfs(restoring->store_fd, &space) != 0) {
		return io_problem(restoring, "cannot look at", path);
	}
	uint64_t has = (uint64_t)space.f_bavail * space.f_frsize;
	if (has >= wanted) return EX_OK;
	return problem_say(restoring->invocation, EX_CANTCREAT, "no_space",
		"make room, or restore elsewhere", "%s has %s free and the store needs %s", path,
		units_size(has, text[0]), units_size(wanted, text[1]));
}

/* ---- Copying --------------------------------------------------------------------------------- */

static int copy_bytes(struct restoring *restoring, int from, int to, const char *name)
{
	uint8_t *memory = alloc_array(COPY_SIZE, 1);
	int exit_code = EX_OK;
	for (;;) {
		ssize_t count = read(from, memory, COPY_SIZE);
		if (count < 0 && errno == EINTR) continue;
		if (count < 0) exit_code = io_problem(restoring, "cannot read", name);
		if (count <= 0) break;
		for (ssize_t at = 0; at < count && exit_code == EX_OK;) {
			ssize_t wrote = write(to, memory + at, (size_t)(count - at));
			if (wrote < 0 && errno != EINTR) {
				exit_code = io_problem(restoring, "cannot write", name);
			}
			if (wrote > 0) at += wrote;
		}
		if (exit_code != EX_OK) break;
		restoring->done_size += (uint64_t)count;
		show(restoring, "restoring");
	}
	alloc_free(memory);
	return exit_code;
}

/* A segment has its full size again, with space behind what it holds. */
static int file_restore(struct restoring *restoring, yyjson_val *file, int from)
{
	const char *name = member_text(file, "path");
	uint64_t full_size = member_number(file, "full_size");
	int to = openat(restoring->to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0) return io_problem(restoring, "cannot make", name);
	int exit_code = EX_OK;
	int code = full_size > 0 ? posix_fallocate(to, 0, (off_t)full_size) : 0;
	if (code != 0) {
		errno = code;
		exit_code = io_problem(restoring, "no space for", name);
	}
	if (exit_code == EX_OK) exit_code = copy_bytes(restoring, from, to, name);
	if (exit_code == EX_OK && fsync(to) != 0) {
		exit_code = io_problem(restoring, "cannot flush", name);
	}
	close(to);
	restoring->file_count += exit_code == EX_OK;
	return exit_code;
}

static int folders_make(struct restoring *restoring)
{
	char name[NAME_SIZE];
	if (mkdirat(restoring->store_fd, STORE_RESTORING, 0700) != 0) {
		return io_problem(restoring, "cannot make", STORE_RESTORING);
	}
	restoring->to_fd =
		openat(restoring->store_fd, STORE_RESTORING, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restoring->to_fd < 0) return io_problem(restoring, "cannot open", STORE_RESTORING);
	for (uint32_t i = 0; i < restoring->shard_count; i++) {
		snprintf(name, sizeof name, "shard-%02u", (unsigned)i);
		if (mkdirat(restoring->to_fd, name, 0700) != 0) {
			return io_problem(restoring, "cannot make", name);
		}
	}
	return EX_OK;
}

/* Everything is on the disk before the first shard has its name. */
static int shards_name(struct restoring *restoring)
{
	char name[NAME_SIZE];
	for (uint32_t i = 0; i < restoring->shard_count; i++) {
		snprintf(name, sizeof name, "shard-%02u", (unsigned)i);
		int fd = openat(restoring->to_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		bool good = fd >= 0 && fsync(fd) == 0;
		if (fd >= 0) close(fd);
		if (!good) return io_problem(restoring, "cannot flush", name);
	}
	/* No daemon and no store check takes it for a store while STORE_RESTORING is there. */
	if (fsync(restoring->store_fd) != 0) {
		return io_problem(restoring, "cannot flush", STORE_RESTORING);
	}
	/* The last first: they are counted by the highest number. */
	for (uint32_t i = restoring->shard_count; i-- > 0;) {
		snprintf(name, sizeof name, "shard-%02u", (unsigned)i);
		if (renameat(restoring->to_fd, name, restoring->store_fd, name) != 0) {
			return io_problem(restoring, "cannot name", name);
		}
	}
	if (fsync(restoring->store_fd) != 0 ||
		unlinkat(restoring->store_fd, STORE_RESTORING, AT_REMOVEDIR) != 0 ||
		fsync(restoring->store_fd) != 0) {
		return io_problem(restoring, "cannot finish", STORE_RESTORING);
	}
	return EX_OK;
}

/* The store's own name. A folder that may not be read is not the one that it was made in here. */
static int parent_flush(struct restoring *restoring)
{
	int fd = openat(restoring->store_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES) return EX_OK;
	int exit_code = EX_OK;
	if (fd < 0 || fsync(fd) != 0) {
		exit_code =
			io_problem(restoring, "cannot flush", "the folder that the store is in");
	}
	if (fd >= 0) close(fd);
	return exit_code;
}

static void print_done(const struct restoring *restoring, const char *path)
{
	char texts[2][UNITS_TEXT_SIZE];
	if (restoring->live) fputs("\r\x1b[K", stderr);
	if (restoring->invocation->json) {
		printf("{\"schema\":\"penstock.restore/v1\",\"complete\":true,\"shards\":%u,"
		       "\"files\":%" PRIu64 ",\"size\":%" PRIu64 "}\n",
			(unsigned)restoring->shard_count, restoring->file_count,
			restoring->done_size);
		return;
	}
	printf("restored %s in %s files to ", units_size(restoring->done_size, texts[0]),
		units_number(restoring->file_count, texts[1]));
	table_write_safe(stdout, path);
	putchar('\n');
}

static int restore(struct restoring *restoring, const char *store_path)
{
	int exit_code = manifest_open(restoring, restoring->invocation->arguments[0]);
	if (exit_code == EX_OK) exit_code = store_open_empty(restoring, store_path);
	if (exit_code == EX_OK) exit_code = check_space(restoring, store_path);
	/* Before the comparison: what the owner cannot read is found before anything is written. */
	if (exit_code == EX_OK) exit_code = offline_become_owner(restoring->invocation, store_path);
	if (exit_code == EX_OK) exit_code = each_file(restoring, file_verify);
	restoring->done_size = 0;
	if (exit_code == EX_OK) exit_code = folders_make(restoring);
	if (exit_code == EX_OK) exit_code = each_file(restoring, file_restore);
	if (exit_code == EX_OK) exit_code = shards_name(restoring);
	if (exit_code == EX_OK) exit_code = parent_flush(restoring);
	return exit_code;
}

int command_restore(const struct invocation *invocation)
{
	char store_path[OFFLINE_PATH_SIZE];
	struct restoring restoring = {
		.invocation = invocation,
		.from_fd = -1,
		.store_fd = -1,
		.to_fd = -1,
		.live = !invocation->json && isatty(STDERR_FILENO),
	};
	int exit_code = offline_store_path(invocation, store_path);
	if (exit_code == EX_OK) exit_code = restore(&restoring, store_path);
	if (exit_code == EX_OK) print_done(&restoring, store_path);
	yyjson_doc_free(restoring.manifest);
	if (restoring.from_fd >= 0) close(restoring.from_fd);
	if (restoring.store_fd >= 0) close(restoring.store_fd);
	if (restoring.to_fd >= 0) close(restoring.to_fd);
	return exit_code;
}

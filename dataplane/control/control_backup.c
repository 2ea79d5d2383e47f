/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_backup — copies every shard into a new folder while the daemon works, one after the
 * other, and streams how far it is: "progress" lines, a "file" line for each file, one "summary"
 * or one "failed".
 *
 * The folder gets a manifest with the size and the SHA-256 of each file, written last: without it
 * there is no backup. Each shard is as it was at a moment after the backup began, and that of one
 * is not that of another; they have nothing in common but names. Task thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "control/control_internal.h"
#include "store/store_backup.h"

/* Between two lines of progress. */
enum { PROGRESS_INTERVAL_MS = 200 };
#define BACKUP_SCHEMA "penstock.backup/v1"

struct backing_up {
	struct control_call *call;
	const char *path;
	int folder_fd;
	FILE *manifest; /* manifest.json.new */
	uint32_t shard;
	uint64_t next_us; /* mono: when the next line of progress is due */
	uint64_t file_count;
	uint64_t size;
	char error[400];
};

/* ---- Lines ----------------------------------------------------------------------------------- */

static struct json *line_open(struct control_call *call, const char *kind)
{
	struct json *json = control_answer(call, BACKUP_SCHEMA);
	json_text(json, "kind", kind);
	return json;
}

static void line_send(struct control_call *call, bool may_drop)
{
	json_object_end(&call->json);
	control_stream_line(call, may_drop);
}

static bool goes_on(const struct backing_up *backing_up)
{
	const struct control_call *call = backing_up->call;
	return !atomic_load(&call->control->stopping) && !atomic_load(&call->task->abandoned);
}

static bool take_progress(void *owner, const char *name, uint64_t done, uint64_t all)
{
	struct backing_up *backing_up = owner;
	struct control_call *call = backing_up->call;
	uint64_t now_us = control_mono().us;
	if (!goes_on(backing_up)) return false;
	if (now_us < backing_up->next_us) return true;
	backing_up->next_us = now_us + PROGRESS_INTERVAL_MS * US_PER_MS;
	struct json *json = line_open(call, "progress");
	json_number(json, "shard", backing_up->shard);
	json_text(json, "file", name);
	json_number(json, "done", done);
	json_number(json, "all", all);
	line_send(call, true);
	return true;
}

/* Names and digests need no escapes. */
static bool take_file(void *owner, const struct store_backup_file *file)
{
	struct backing_up *backing_up = owner;
	struct json *json = line_open(backing_up->call, "file");
	char path[64];
	snprintf(path, sizeof path, "shard-%02u/%s", (unsigned)backing_up->shard, file->name);
	json_text(json, "path", path);
	json_number(json, "size", file->size);
	line_send(backing_up->call, true);

	fprintf(backing_up->manifest,
		"%s\n  {\"path\":\"%s\",\"size\":%" PRIu64 ",\"full_size\":%" PRIu64
		",\"sha256\":\"",
		backing_up->file_count > 0 ? "," : "", path, file->size, file->full_size);
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		fprintf(backing_up->manifest, "%02x", file->sha256[i]);
	}
	fputs("\"}", backing_up->manifest);
	backing_up->file_count++;
	backing_up->size += file->size;
	return goes_on(backing_up);
}

/* ---- The folder ------------------------------------------------------------------------------ */

static bool fail(struct backing_up *backing_up, const char *what, const char *name)
{
	snprintf(backing_up->error, sizeof backing_up->error, "%s %s: %s", what, name,
		strerror(errno));
	return false;
}

/* A new folder, so that nothing of an older backup is in it. */
static bool folder_make(struct backing_up *backing_up)
{
	const char *path = backing_up->path;
	if (mkdir(path, 0700) != 0) return fail(backing_up, "cannot make the folder", path);
	backing_up->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (backing_up->folder_fd < 0) return fail(backing_up, "cannot open the folder", path);
	/* Who may write in its parent may have put another in its place. */
	struct stat status;
	if (fstat(backing_up->folder_fd, &status) != 0 || status.st_uid != geteuid()) {
		errno = EPERM;
		return fail(backing_up, "another user's folder took the place of", path);
	}
	int fd = openat(backing_up->folder_fd, "manifest.json.new",
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	backing_up->manifest = fd < 0 ? NULL : fdopen(fd, "w");
	if (backing_up->manifest == NULL) {
		if (fd >= 0) close(fd);
		return fail(backing_up, "cannot make", "manifest.json");
	}
	fprintf(backing_up->manifest,
		"{\"schema\":\"" BACKUP_SCHEMA "\",\"version\":\"%s\",\"store_schema\":%u,"
		"\"shards\":%u,\"created_us\":%" PRIu64 ",\"files\":[",
		penstock_version, (unsigned)STORE_SCHEMA_VERSION,
		(unsigned)backing_up->call->daemon->worker_count, control_now().us);
	return true;
}

static bool shard_copy(struct backing_up *backing_up, uint32_t number)
{
	struct shard *shard = backing_up->call->daemon->shards[number];
	char name[24];
	snprintf(name, sizeof name, "shard-%02u", (unsigned)number);
	backing_up->shard = number;
	if (mkdirat(backing_up->folder_fd, name, 0700) != 0) {
		return fail(backing_up, "cannot make the folder", name);
	}
	int fd = openat(backing_up->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return fail(backing_up, "cannot open the folder", name);
	const struct store_backup backup = {
		.folder_fd = fd,
		.progress = take_progress,
		.file = take_file,
		.owner = backing_up,
	};
	char error[256] = "";
	enum result result =
		store_backup(shard_store(shard), shard_writer(shard), &backup, error, sizeof error);
	close(fd);
	if (result == RESULT_OK) return true;
	snprintf(backing_up->error, sizeof backing_up->error, "%s: %s", name,
		result == RESULT_CLOSED ? "the client has gone or the daemon is stopping" : error);
	return false;
}

/* From here on it is a backup. */
static bool manifest_finish(struct backing_up *backing_up)
{
	FILE *file = backing_up->manifest;
	fputs("\n]}\n", file);
	bool good = fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
	if (!good) return fail(backing_up, "cannot write", "manifest.json");
	if (renameat(backing_up->folder_fd, "manifest.json.new", backing_up->folder_fd,
		    "manifest.json") != 0 ||
		fsync(backing_up->folder_fd) != 0) {
		return fail(backing_up, "cannot write", "manifest.json");
	}
	/* Its name in its parent, too. */
	int parent_fd = openat(backing_up->folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	good = parent_fd >= 0 && fsync(parent_fd) == 0;
	if (parent_fd >= 0) close(parent_fd);
	return good || fail(backing_up, "cannot flush the folder of", backing_up->path);
}

static bool back_up(struct backing_up *backing_up)
{
	if (!folder_make(backing_up)) return false;
	for (uint32_t i = 0; i < backing_up->call->daemon->worker_count; i++) {
		if (!shard_copy(backing_up, i)) return false;
	}
	return manifest_finish(backing_up);
}

/* ---- The call -------------------------------------------------------------------------------- */

void control_handle_backup(struct control_call *call)
{
	const char *path = control_query_get(&call->query, "path");
	struct backing_up backing_up = { .call = call, .path = path, .folder_fd = -1 };
	if (path == NULL || path[0] != '/') {
		snprintf(backing_up.error, sizeof backing_up.error,
			"path is the name of the new folder, from / on");
	} else {
		/* Before anything is copied: the backup itself holds it. */
		control_action(call, SHARD_ACTION_BACKUP, path);
	}
	uint64_t began_us = control_mono().us;
	bool good = backing_up.error[0] == '\0' && back_up(&backing_up);
	if (backing_up.manifest != NULL) fclose(backing_up.manifest);
	if (backing_up.folder_fd >= 0) close(backing_up.folder_fd);

	struct json *json = line_open(call, good ? "summary" : "failed");
	json_bool(json, "complete", good);
	json_text(json, "path", path != NULL ? path : "");
	json_number(json, "files", backing_up.file_count);
	json_number(json, "size", backing_up.size);
	json_number(json, "duration_us", control_mono().us - began_us);
	if (!good) json_text(json, "error", backing_up.error);
	line_send(call, false);
	if (good) {
		log_notice("backup made path=\"%s\" files=%" PRIu64 " size=%" PRIu64, path,
			backing_up.file_count, backing_up.size);
	} else {
		log_error("backup failed path=\"%s\" error=\"%s\"", path != NULL ? path : "",
			backing_up.error);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* preflight_host — what the daemon will need of this host: io_uring, a folder it can write to
 * with room in it, secrets that nobody else can change.
 *
 * Asked as the user that runs the check, who should be the daemon's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/config_codes.h"
#include "engine/io.h"
#include "preflight/preflight_internal.h"

/* ---- Kernel ---------------------------------------------------------------------------------- */

static void check_kernel(struct config_report *report)
{
	/* The smallest ring: all that is asked is whether there may be one. */
	const struct io_config config = {
		.sockets_max = 1, .buffer_count = 8, .buffer_size = 4096
	};
	struct io *io = NULL;

	if (io_open(&config, &io) == RESULT_OK) {
		io_close(io);
		return;
	}
	config_report_add(report, CONFIG_ERROR, PS_KERNEL, (struct config_position){ 0 },
		"penstockd needs io_uring of Linux 6.1 or later", "the kernel: %s",
		io_open_error());
}

/* ---- Store ----------------------------------------------------------------------------------- */

static void check_space(const struct config *config, const char *folder,
	struct config_position position, struct config_report *report)
{
	struct statvfs disk;

	if (statvfs(folder, &disk) != 0) return;
	uint64_t free_size = (uint64_t)disk.f_bavail * disk.f_frsize;
	uint64_t wanted = config->store.quota_size > 0 ? config->store.quota_size
						       : PREFLIGHT_DISK_FREE_SIZE_MIN;
	uint64_t disk_size = (uint64_t)disk.f_blocks * disk.f_frsize;
	/* A store that is there already has a part of its quota: then only a quota that the whole
	 * disk cannot hold is sure to be wrong. */
	bool in_use = access(config->store.path, F_OK) == 0;
	if ((in_use && config->store.quota_size > 0 ? disk_size : free_size) >= wanted) return;
	config_report_add(report, CONFIG_WARNING, PS_STORE_SPACE, position,
		"make room, or set a quota that fits",
		"path of store: %.160s has %llu MiB free, %llu MiB are wanted", folder,
		(unsigned long long)(free_size >> 20), (unsigned long long)(wanted >> 20));
}

/* The folder itself, or the one it will be made in. */
static void folder_of(const char *path, char to[static FILE_NAME_SIZE_MAX + 1])
{
	struct stat status;
	const char *slash = strrchr(path, '/');

	snprintf(to, FILE_NAME_SIZE_MAX + 1, "%s", path);
	if (stat(path, &status) == 0 || errno != ENOENT) return;
	if (slash == NULL) {
		snprintf(to, FILE_NAME_SIZE_MAX + 1, ".");
	} else {
		to[slash == path ? 1 : slash - path] = '\0';
	}
}

static void check_store(const struct config *config, struct config_report *report)
{
	char folder[FILE_NAME_SIZE_MAX + 1];
	struct stat status;
	struct config_position position =
		config_position_of(config, &config->store.path, config->store.position);

	folder_of(config->store.path, folder);
	const char *why = NULL;
	if (stat(folder, &status) != 0) {
		why = strerror(errno);
	} else if (!S_ISDIR(status.st_mode)) {
		why = "it is not a folder";
	} else if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0) {
		why = strerror(errno);
	}
	if (why != NULL) {
		config_report_add(report, CONFIG_ERROR, PS_STORE_UNWRITABLE, position,
			"make the folder, and give it to the daemon's user",
			"path of store: %.200s cannot be written to: %s", folder, why);
		return;
	}
	check_space(config, folder, position, report);
}

/* ---- Secrets --------------------------------------------------------------------------------- */

/* Whoever owns a file can change it and its mode: root, we, and who owns the store may. */
static bool is_foreign(uid_t owner, const struct config *config)
{
	struct stat store;

	if (owner == 0 || owner == geteuid()) return false;
	return stat(config->store.path, &store) != 0 || store.st_uid != owner;
}

static void check_owner(const struct config *config, const char *const *file, const char *key,
	struct config_position otherwise, struct config_report *report)
{
	struct stat status;

	if (*file == NULL || stat(*file, &status) != 0) return;
	if (!is_foreign(status.st_uid, config)) return;
	config_report_add(report, CONFIG_WARNING, PS_SECRET_OWNER,
		config_position_of(config, file, otherwise),
		"chown it to the daemon's user, or to root",
		"%s: %.160s belongs to user %u, who can change it", key, *file,
		(unsigned)status.st_uid);
}

static void check_owners(const struct config *config, struct config_report *report)
{
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		const struct config_endpoint *endpoint = &config->endpoints[i];
		check_owner(config, &endpoint->secret_file, "secret_file", endpoint->position,
			report);
		check_owner(config, &endpoint->previous_secret_file, "previous_secret_file",
			endpoint->position, report);
	}
	for (uint32_t i = 0; i < config->target_count; i++) {
		const struct config_target *target = &config->targets[i];
		check_owner(config, &target->secret_file, "secret_file", target->position, report);
		check_owner(config, &target->client_key_file, "client_key", target->position,
			report);
	}
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		for (uint32_t j = 0; j < listener->certificate_count; j++) {
			check_owner(config, &listener->certificates[j].key_file, "key",
				listener->certificates[j].position, report);
		}
	}
}

void preflight_host(const struct config *config, struct config_report *report)
{
	check_kernel(report);
	check_store(config, report);
	check_owners(config, report);
}

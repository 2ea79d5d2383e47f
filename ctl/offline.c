/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "offline.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "config/config.h"
#include "problem.h"
#include "store/store_folder.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"

static int path_copy(const struct invocation *invocation, const char *path,
	char to[static OFFLINE_PATH_SIZE])
{
	int size = snprintf(to, OFFLINE_PATH_SIZE, "%s", path);
	if (size > 0 && size < OFFLINE_PATH_SIZE) return EX_OK;
	return problem_say(invocation, EX_USAGE, "usage", NULL, "%.60s…: the name is too long",
		path);
}

int offline_store_path(const struct invocation *invocation, char to[static OFFLINE_PATH_SIZE])
{
	const char *store = invocation_option(invocation, "store");
	const char *path = invocation_option(invocation, "config");
	if (store != NULL) return path_copy(invocation, store, to);
	if (path == NULL) path = CONFIG_PATH_DEFAULT;

	struct config *config = NULL;
	struct config_report *report = alloc_array(1, sizeof *report);
	int exit_code = EX_OK;
	if (config_load(path, &config, report) == RESULT_OK) {
		exit_code = path_copy(invocation, config->store.path, to);
		config_free(config);
	} else {
		if (!invocation->json) config_report_print(report, stderr, false);
		exit_code = problem_say(invocation, EX_CONFIG, "config_invalid",
			"name the store's folder with --store, or another file with --config",
			"%s does not say where the store is", path);
	}
	alloc_free(report);
	return exit_code;
}

int offline_become_owner(const struct invocation *invocation, const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0) {
		return problem_say(invocation, EX_NOINPUT, "no_store", "name it with --store",
			"%s: %s", path, strerror(errno));
	}
	if (geteuid() != 0 || status.st_uid == 0) return EX_OK;
	if (setgroups(0, NULL) == 0 && setgid(status.st_gid) == 0 && setuid(status.st_uid) == 0) {
		return EX_OK;
	}
	return problem_say(invocation, EX_NOPERM, "not_owner", NULL,
		"cannot become user %u, who owns %s: %s", (unsigned)status.st_uid, path,
		strerror(errno));
}

int offline_shard_count(const struct invocation *invocation, const char *path, unsigned *ret_count)
{
	if (store_is_restoring(path)) {
		return problem_say(invocation, EX_DATAERR, "restore_unfinished",
			"empty the folder and restore again", "%s: " STORE_RESTORING_SENTENCE,
			path);
	}
	unsigned count = store_shard_count(path);
	if (count == 0) {
		return problem_say(invocation, EX_NOINPUT, "no_store", "name it with --store",
			"%s has no store: there is no shard-00 in it", path);
	}
	*ret_count = count;
	return EX_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* offline — what commands have in common that work on a store without a daemon: where it is, and
 * whose it is.
 */
#pragma once

#include <sys/types.h>

#include "command.h"

enum { OFFLINE_PATH_SIZE = 4096 };

/* The options that offline_store_path() reads. */
#define OFFLINE_OPTIONS \
	{ "store", "DIR", "the store's folder", "store.path of the configuration" }, \
	{ \
		"config", "FILE", "the configuration", "/etc/penstock/penstock.yaml" \
	}

/* EX_OK, or the exit code of a complaint that was printed. */
int offline_store_path(const struct invocation *invocation, char to[static OFFLINE_PATH_SIZE]);
/* From here on the process is the folder's owner, when it was root: what is made in it belongs to
 * the daemon's user. EX_OK, or the exit code of a complaint. */
int offline_become_owner(const struct invocation *invocation, const char *path);
/* One more than the highest number of a shard in a store. EX_OK, or the exit code of a complaint:
 * there is none, or a restore did not finish. */
int offline_shard_count(const struct invocation *invocation, const char *path, unsigned *ret_count);

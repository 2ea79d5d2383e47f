/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_folder — what can be seen of a store, the folder of its shards, without opening one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The folder in a store that a restore makes first and removes last. */
#define STORE_RESTORING "restoring"
#define STORE_RESTORING_SENTENCE \
	"a restore is under way or was cut short: empty the folder and restore again"

/* How many shards there are: one more than the highest number, WORKERS_MAX at most. 0: none, or the
 * folder cannot be read. */
uint32_t store_shard_count(const char *path);
/* Whether the folder of the shards has STORE_RESTORING: then shards may be missing in it, and an
 * empty one in their place would hide that. */
bool store_is_restoring(const char *path);

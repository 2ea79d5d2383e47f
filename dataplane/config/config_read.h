/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_read — how sections (config_read.c) and single values (config_read_value.c) are read.
 * Internal to the folder.
 */
#pragma once

#include "base/cursor.h"
#include "config/config_internal.h"
#include "config/config_keys.h"
#include "config/config_values.h"

struct config_reading {
	struct config_arena *arena;
	struct config_report *report;
	const char *path; /* of the configuration file */
};

/* A section of the tree that is being read, and where it hangs. */
struct config_frame {
	struct config_reading *reading;
	const struct config_frame *parent; /* NULL: the whole file */
	const struct config_section *section;
	const struct config_node *node;
	uint32_t number; /* in its list, from 1; 0: not in a list */
};

enum { CONFIG_LABEL_SIZE = 160 };
/* "endpoint 'github'", "retry of target 'app'"; empty for the whole file. */
void config_frame_label(const struct config_frame *frame, char to[static CONFIG_LABEL_SIZE]);

/* Reports as "key of section: sentence". */
void config_read_fault(const struct config_frame *frame, const struct config_key *key,
	struct config_position position, const struct config_fault *fault);

void config_read_defaults(const struct config_section *section, void *object);

/* One value of any type but sections and CPU lists into `field` (of `object`, whose parts some
 * types fill beside it). False with *fault set. */
bool config_read_value(const struct config_frame *frame, const struct config_key *key,
	const char *text, void *object, void *field, struct config_fault *fault);
void config_read_cpus(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, struct config *config);
/* Those of the process's affinity mask. */
void config_read_cpus_auto(struct config_reading *reading, struct config *config);

/* The value of a quantity as the file would say it: "15s", "1MiB", "64". */
void config_key_quantity(const struct config_key *key, uint64_t value,
	char to[static CONFIG_QUANTITY_SIZE]);

/* "1s to 1h", "at most 64", "none, optional, required"; empty when there is no range. */
enum { CONFIG_RANGE_SIZE = 128 };
void config_key_range(const struct config_key *key, char to[static CONFIG_RANGE_SIZE]);

/* An integer field of 4 or 8 bytes. */
void config_field_store(void *field, size_t size, uint64_t value);

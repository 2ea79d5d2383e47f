/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_keys — every key of the configuration as a row: type, unit, range, default, and a line
 * of help. config_read.c reads files by these tables, and the reference documentation is made
 * from them, so that the two cannot disagree.
 */
#pragma once

#include "config/config.h"

enum config_type {
	CONFIG_TYPE_NAME,
	CONFIG_TYPE_WORD, /* a user, group or scheme */
	CONFIG_TYPE_FILE,
	CONFIG_TYPE_PATH, /* of a request */
	CONFIG_TYPE_HOST,
	CONFIG_TYPE_HOST_PATTERN, /* "*.example.org" too */
	CONFIG_TYPE_TARGET_URL,   /* fills the URL's parts of a struct config_target */
	CONFIG_TYPE_ORIGIN,       /* scheme://host[:port] */
	CONFIG_TYPE_ADDRESS,
	CONFIG_TYPE_COUNT,
	CONFIG_TYPE_SIZE,
	CONFIG_TYPE_DURATION,
	CONFIG_TYPE_RATIO, /* 0 to 1, kept as millionths */
	CONFIG_TYPE_CHOICE,
	CONFIG_TYPE_CPUS,
	CONFIG_TYPE_SECTION,
	CONFIG_TYPE_SECTION_OR_OFF,
	CONFIG_TYPE_REFUSED, /* exists to be refused with its help; not documented */
};

enum config_arity {
	CONFIG_ONE,
	CONFIG_LIST,
	CONFIG_LIST_OF_ONE, /* written as one value, kept as a list with one element */
};

/* Of the field; durations are written with any unit that gives a whole number of these. */
enum config_unit { CONFIG_UNIT_NONE, CONFIG_UNIT_BYTES, CONFIG_UNIT_MS, CONFIG_UNIT_S };

#define CONFIG_NO_OFFSET SIZE_MAX

struct config_key {
	const char *name;
	enum config_type type;
	enum config_arity arity;
	enum config_unit unit;
	bool required;
	bool has_default;
	bool may_be_empty;        /* of lists */
	bool fixed;               /* read at the start; see config_fixed.h. Not in lists */
	uint64_t min;             /* of quantities */
	uint64_t max;             /* of quantities; of lists: elements */
	uint64_t default_value;   /* of quantities, in `unit`; of choices: the index */
	const char *default_text; /* of texts; of others: what the documentation says */
	const char *const *choices;
	uint32_t choice_count;
	const struct config_section *section;
	size_t offset; /* of the field in the section's struct */
	size_t size;   /* of the field; of lists of sections: of an element */
	size_t extra;  /* offset of a list's count, or of an on/off section's flag */
	/* Of lists of sections: offset of a text; when it is there, the first element is what the
	 * section around the list says itself (tls.certificate). 0: never. */
	size_t merged_from;
	const char *example;
	const char *help;
};

struct config_section {
	const char *name;      /* "endpoint": as messages call it; "" for the whole file */
	const char *label_key; /* the key whose value tells one from another, or NULL */
	const char *help;
	const struct config_key *keys;
	uint32_t key_count;
	size_t position; /* offset of a struct config_position, or CONFIG_NO_OFFSET */
};

/* The whole file; the other sections hang below it. */
extern const struct config_section config_root;

/* Every section once, the whole file first. */
const struct config_section *const *config_sections(size_t *ret_count);

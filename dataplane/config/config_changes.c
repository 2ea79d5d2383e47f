/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_changes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "config/config_diff.h"
#include "config/config_keys.h"

/* ---- Files ----------------------------------------------------------------------------------- */

static const uint8_t *list_of(const struct config_key *key, const uint8_t *object,
	uint32_t *ret_count)
{
	*ret_count = *(const uint32_t *)(object + key->extra);
	return *(const uint8_t *const *)(object + key->offset);
}

static bool section_is_on(const struct config_key *key, const uint8_t *object)
{
	if (key->type != CONFIG_TYPE_SECTION_OR_OFF || key->extra == CONFIG_NO_OFFSET) return true;
	return *(const bool *)(object + key->extra);
}

static uint64_t file_stamp(const char *path, uint64_t seed)
{
	struct stat status;

	if (path == NULL || stat(path, &status) != 0) return hash_xxh3(BYTES_LITERAL("none"), seed);
	const uint64_t stamp[] = { status.st_dev, status.st_ino, (uint64_t)status.st_size,
		(uint64_t)status.st_mtim.tv_sec, (uint64_t)status.st_mtim.tv_nsec };
	return hash_xxh3(bytes_of(stamp, sizeof stamp), seed);
}

static uint64_t files_stamp(const struct config_section *section, const uint8_t *object,
	uint64_t seed)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		uint32_t count = 1;
		const uint8_t *first = object + key->offset;
		if (key->type == CONFIG_TYPE_FILE) {
			seed = file_stamp(*(const char *const *)(const void *)first, seed);
			continue;
		}
		if (key->section == NULL || !section_is_on(key, object)) continue;
		if (key->arity == CONFIG_LIST) first = list_of(key, object, &count);
		for (uint32_t k = 0; k < count; k++) {
			seed = files_stamp(key->section, first + k * key->size, seed);
		}
	}
	return seed;
}

static bool is_element_list(const struct config_key *key)
{
	return key->section != NULL && key->arity == CONFIG_LIST;
}

uint64_t *config_stamps_take(const struct config *config)
{
	size_t count = (size_t)config->listener_count + config->endpoint_count +
		config->target_count;
	uint64_t *stamps = alloc_array(count + 1, sizeof *stamps);
	size_t at = 0;

	for (uint32_t i = 0; i < config_root.key_count; i++) {
		const struct config_key *key = &config_root.keys[i];
		uint32_t elements;
		if (!is_element_list(key)) continue;
		const uint8_t *list = list_of(key, (const uint8_t *)config, &elements);
		for (uint32_t k = 0; k < elements; k++) {
			stamps[at++] = files_stamp(key->section, list + k * key->size, 0);
		}
	}
	CHECK(at == count);
	return stamps;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3)))
line_add(struct config_changes *changes, const char *format, ...)
{
	va_list arguments;

	if (changes->count == CONFIG_CHANGES_MAX) {
		changes->dropped_count++;
		return;
	}
	va_start(arguments, format);
	/* Cut when too long: it is for reading. */
	vsnprintf(changes->lines[changes->count++], CONFIG_CHANGE_SIZE, format, arguments);
	va_end(arguments);
}

/* ---- Elements of lists ----------------------------------------------------------------------- */

struct element {
	const char *path; /* "endpoints[github]" */
	uint64_t stamp;
};

struct elements {
	struct element *all; /* by path */
	uint32_t count;
};

static int element_compare(const void *a, const void *b)
{
	return config_path_compare(((const struct element *)a)->path,
		((const struct element *)b)->path);
}

static bool is_of_list(const char *path, const struct config_key *key)
{
	size_t size = strlen(key->name);
	return strncmp(path, key->name, size) == 0 && path[size] == '[';
}

/* One of the two configurations. */
struct side {
	const struct config *config;
	struct config_settings settings;
	const uint64_t *stamps; /* of the lists that are to come */
};

static struct elements elements_take(const struct config_key *key, struct side *side,
	struct config_arena *arena)
{
	struct elements elements = { 0 };
	const char *path = NULL;
	uint32_t found = 0;

	list_of(key, (const uint8_t *)side->config, &elements.count);
	elements.all = config_arena_take(arena, (size_t)elements.count + 1, sizeof *elements.all);
	/* In the order of the file, as the stamps. */
	for (uint32_t i = 0; i < side->settings.count; i++) {
		const struct config_setting *setting = &side->settings.all[i];
		if (!setting->opens || !is_of_list(setting->path, key)) continue;
		/* An element of a list in an element. */
		if (path != NULL && config_path_is_inside(setting->path, path)) continue;
		path = setting->path;
		CHECK(found < elements.count);
		elements.all[found] = (struct element){ path, side->stamps[found] };
		found++;
	}
	CHECK(found == elements.count);
	side->stamps += found;
	qsort(elements.all, elements.count, sizeof *elements.all, element_compare);
	return elements;
}

/* "endpoint github", of "endpoints[github]"; YAML's quotes are left out. */
static void element_line(const struct config_section *section, const char *path, const char *what,
	struct config_changes *changes)
{
	const char *label = strchr(path, '[') + 1;
	size_t size = strlen(label) - 1;

	if (label[0] == '\'') {
		label++;
		size -= 2;
	}
	line_add(changes, "%s %.*s: %s", section->name, (int)size, label, what);
}

/* Up to the next part of the path. */
static size_t key_size(const char *path)
{
	return strcspn(path, ".[");
}

/* Whether what it says is read from files: other files have other stamps. */
static bool names_files(const struct config_section *section, const char *name)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (strlen(key->name) != key_size(name)) continue;
		if (strncmp(key->name, name, key_size(name)) != 0) continue;
		return key->type == CONFIG_TYPE_FILE || key->section != NULL;
	}
	UNREACHABLE();
}

/* A row of changes, taken one by one. */
struct rest {
	const struct config_change *next;
	const struct config_change *end;
};

/* Of an element that both have. */
static void element_changed(const struct config_section *section, const struct element *before,
	const struct element *after, struct rest *rest, struct config_changes *changes)
{
	char text[CONFIG_CHANGE_SIZE];
	struct writer writer = writer_of(text, sizeof text - 1);
	bool files_same = true;
	const char *said = "";

	while (rest->next < rest->end && config_path_compare(rest->next->path, after->path) < 0) {
		rest->next++;
	}
	for (; rest->next < rest->end; rest->next++) {
		const char *path = rest->next->path;
		if (!config_path_is_inside(path, after->path)) break;
		const char *name = path + strlen(after->path) + 1;
		size_t size = key_size(name);
		if (key_size(said) == size && strncmp(said, name, size) == 0) continue;
		write_format(&writer, "%s%.*s", writer.size > 0 ? ", " : "", (int)size, name);
		files_same &= !names_files(section, name);
		said = name;
	}
	if (files_same && before->stamp != after->stamp) {
		write_format(&writer, "%sfiles written anew", writer.size > 0 ? ", " : "");
	}
	if (writer.size == 0) return;
	text[writer.size] = '\0';
	element_line(section, after->path, text, changes);
}

static void list_compare(const struct config_section *section, const struct elements *before,
	const struct elements *after, struct rest rest, struct config_changes *changes)
{
	const struct element *old = before->all;
	const struct element *next = after->all;
	const struct element *old_end = old + before->count;
	const struct element *next_end = next + after->count;

	while (old < old_end || next < next_end) {
		int order = -1;
		if (old == old_end) order = 1;
		if (old < old_end && next < next_end) order = element_compare(old, next);
		if (order < 0) {
			element_line(section, old++->path, "removed", changes);
		} else if (order > 0) {
			element_line(section, next++->path, "added", changes);
		} else {
			element_changed(section, old++, next++, &rest, changes);
		}
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool is_of_any_list(const char *path)
{
	for (uint32_t i = 0; i < config_root.key_count; i++) {
		const struct config_key *key = &config_root.keys[i];
		if (is_element_list(key) && is_of_list(path, key)) return true;
	}
	return false;
}

/* What is in no list. A section that comes or goes ("metrics: off") is one change. */
static void single_lines(struct rest rest, struct config_changes *changes)
{
	const char *said = NULL;

	for (; rest.next < rest.end; rest.next++) {
		const char *path = rest.next->path;
		if (is_of_any_list(path)) continue;
		if (said != NULL && config_path_is_inside(path, said)) continue;
		line_add(changes, "%s", path);
		said = path;
	}
}

void config_changes_find(const struct config *before, const uint64_t *before_stamps,
	const struct config *after, const uint64_t *after_stamps, struct config_changes *ret)
{
	struct config_arena *arena = config_arena_create();
	struct side old = { before, config_settings_of(before, arena), before_stamps };
	struct side next = { after, config_settings_of(after, arena), after_stamps };
	struct config_difference difference = config_diff(&old.settings, &next.settings, arena);
	const struct rest rest = { difference.all, difference.all + difference.count };

	*ret = (struct config_changes){ 0 };
	for (uint32_t i = 0; i < config_root.key_count; i++) {
		const struct config_key *key = &config_root.keys[i];
		if (!is_element_list(key)) continue;
		struct elements had = elements_take(key, &old, arena);
		struct elements has = elements_take(key, &next, arena);
		list_compare(key->section, &had, &has, rest, ret);
	}
	single_lines(rest, ret);
	config_arena_free(arena);
}

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
#include "config/config_keys.h"

/* ---- Values ---------------------------------------------------------------------------------- */

static uint64_t section_hash(const struct config_section *section, const uint8_t *object,
	uint64_t seed);

static uint64_t text_hash(const char *text, uint64_t seed)
{
	/* With its NUL, so that "ab", "c" is not "a", "bc"; none is not empty. */
	if (text == NULL) return hash_xxh3(BYTES_LITERAL("none"), seed);
	return hash_xxh3(bytes_of(text, strlen(text) + 1), seed);
}

static const uint8_t *list_of(const struct config_key *key, const uint8_t *object,
	uint32_t *ret_count)
{
	*ret_count = *(const uint32_t *)(object + key->extra);
	return *(const uint8_t *const *)(object + key->offset);
}

static uint64_t list_hash(const struct config_key *key, const uint8_t *object, uint64_t seed)
{
	uint32_t count;
	const uint8_t *list = list_of(key, object, &count);

	for (uint32_t i = 0; i < count; i++) {
		seed = key->section != NULL
			? section_hash(key->section, list + i * key->size, seed)
			: text_hash(((const char *const *)(const void *)list)[i], seed);
	}
	return hash_xxh3(bytes_of(&count, sizeof count), seed);
}

static bool section_is_on(const struct config_key *key, const uint8_t *object)
{
	if (key->type != CONFIG_TYPE_SECTION_OR_OFF || key->extra == CONFIG_NO_OFFSET) return true;
	return *(const bool *)(object + key->extra);
}

static uint64_t value_hash(const struct config_key *key, const uint8_t *object, uint64_t seed)
{
	const uint8_t *field = object + key->offset;
	char address[ADDRESS_TEXT_SIZE];

	switch (key->type) {
	case CONFIG_TYPE_SECTION:
	case CONFIG_TYPE_SECTION_OR_OFF:
		if (!section_is_on(key, object)) return text_hash("off", seed);
		return section_hash(key->section, field, seed);
	case CONFIG_TYPE_ADDRESS:
		address_format((const struct io_address *)(const void *)field, address);
		return text_hash(address, seed);
	case CONFIG_TYPE_CPUS: {
		const struct config *config = (const struct config *)(const void *)object;
		return hash_xxh3(bytes_of(config->cpus, config->cpu_count * sizeof *config->cpus),
			seed);
	}
	case CONFIG_TYPE_NAME:
	case CONFIG_TYPE_WORD:
	case CONFIG_TYPE_FILE:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_HOST_PATTERN:
	case CONFIG_TYPE_TARGET_URL:
	case CONFIG_TYPE_ORIGIN: return text_hash(*(const char *const *)(const void *)field, seed);
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_RATIO:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_CHOICE: return hash_xxh3(bytes_of(field, key->size), seed);
	case CONFIG_TYPE_REFUSED: return seed;
	}
	UNREACHABLE();
}

static uint64_t key_hash(const struct config_key *key, const uint8_t *object, uint64_t seed)
{
	/* The one and the list are two spellings of one field. */
	if (key->arity == CONFIG_LIST_OF_ONE) return seed;
	if (key->arity == CONFIG_LIST) return list_hash(key, object, seed);
	return value_hash(key, object, seed);
}

static uint64_t section_hash(const struct config_section *section, const uint8_t *object,
	uint64_t seed)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		seed = key_hash(&section->keys[i], object, seed);
	}
	return seed;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static uint64_t file_stamp(const char *path, uint64_t seed)
{
	struct stat status;

	if (path == NULL || stat(path, &status) != 0) return text_hash(NULL, seed);
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
	char label[ADDRESS_TEXT_SIZE > NAME_SIZE_MAX ? ADDRESS_TEXT_SIZE : NAME_SIZE_MAX + 1];
	const uint8_t *object;
	uint64_t stamp;
};

struct elements {
	struct element *all; /* sorted by label */
	uint32_t count;
};

static void label_of(const struct config_section *section, const uint8_t *object,
	struct element *ret)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		const void *field = object + key->offset;
		if (strcmp(key->name, section->label_key) != 0) continue;
		if (key->type == CONFIG_TYPE_ADDRESS) {
			address_format(field, ret->label);
		} else {
			bytes_to_text(bytes_of_text(*(const char *const *)field), ret->label,
				sizeof ret->label);
		}
		return;
	}
	UNREACHABLE();
}

static int element_compare(const void *a, const void *b)
{
	return strcmp(((const struct element *)a)->label, ((const struct element *)b)->label);
}

static struct elements elements_of(const struct config_key *key, const struct config *config,
	const uint64_t *stamps)
{
	struct elements elements = { 0 };
	const uint8_t *list = list_of(key, (const uint8_t *)config, &elements.count);

	elements.all = alloc_array((size_t)elements.count + 1, sizeof *elements.all);
	for (uint32_t i = 0; i < elements.count; i++) {
		struct element *element = &elements.all[i];
		element->object = list + i * key->size;
		element->stamp = stamps[i];
		label_of(key->section, element->object, element);
	}
	qsort(elements.all, elements.count, sizeof *elements.all, element_compare);
	return elements;
}

static void element_changed(const struct config_section *section, const struct element *before,
	const struct element *after, struct config_changes *changes)
{
	char text[CONFIG_CHANGE_SIZE];
	struct writer writer = writer_of(text, sizeof text - 1);
	bool files_same = true;

	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (key_hash(key, before->object, 0) == key_hash(key, after->object, 0)) continue;
		write_format(&writer, "%s%s", writer.size > 0 ? ", " : "", key->name);
		/* Other files have other stamps. */
		files_same &= key->type != CONFIG_TYPE_FILE && key->section == NULL;
	}
	if (files_same && before->stamp != after->stamp) {
		write_format(&writer, "%sfiles written anew", writer.size > 0 ? ", " : "");
	}
	if (writer.size == 0) return;
	text[writer.size] = '\0';
	line_add(changes, "%s %s: %s", section->name, after->label, text);
}

static void list_compare(const struct config_section *section, const struct elements *before,
	const struct elements *after, struct config_changes *changes)
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
			line_add(changes, "%s %s: removed", section->name, old++->label);
		} else if (order > 0) {
			line_add(changes, "%s %s: added", section->name, next++->label);
		} else {
			element_changed(section, old++, next++, changes);
		}
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void single_compare(const struct config_section *section, const uint8_t *before,
	const uint8_t *after, struct config_changes *changes)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (is_element_list(key)) continue;
		if (key->section != NULL) {
			single_compare(key->section, before + key->offset, after + key->offset,
				changes);
		} else if (key_hash(key, before, 0) != key_hash(key, after, 0)) {
			line_add(changes, "%s%s%s", section->name,
				section->name[0] != '\0' ? "." : "", key->name);
		}
	}
}

void config_changes_find(const struct config *before, const uint64_t *before_stamps,
	const struct config *after, const uint64_t *after_stamps, struct config_changes *ret)
{
	*ret = (struct config_changes){ 0 };
	for (uint32_t i = 0; i < config_root.key_count; i++) {
		const struct config_key *key = &config_root.keys[i];
		if (!is_element_list(key)) continue;
		struct elements old = elements_of(key, before, before_stamps);
		struct elements next = elements_of(key, after, after_stamps);
		list_compare(key->section, &old, &next, ret);
		before_stamps += old.count;
		after_stamps += next.count;
		alloc_free(old.all);
		alloc_free(next.all);
	}
	single_compare(&config_root, (const uint8_t *)before, (const uint8_t *)after, ret);
}

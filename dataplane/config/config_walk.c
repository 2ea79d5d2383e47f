/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config_read.h"
#include "config/config_yaml.h"

struct walk {
	const struct config *config;
	const struct config_visitor *visitor;
	void *owner;
};

/* ---- Values as text -------------------------------------------------------------------------- */

/* Letters, digits and what never has a meaning of its own to YAML, inside brackets too. */
static bool is_plain(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_./-+=@%~";
	struct config_node node = { .kind = NODE_SCALAR, .text = text };

	if (text[0] == '\0' || strchr("-@%=~", text[0]) != NULL) return false;
	if (config_node_is_null(&node)) return false;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == ':' && at[1] != '\0' && at[1] != ' ') continue;
		if (strchr(allowed, *at) == NULL) return false;
	}
	return true;
}

void config_scalar_print(void *file, const char *text)
{
	if (is_plain(text)) {
		fputs(text, file);
		return;
	}
	fputc('\'', file);
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == '\'') fputc('\'', file);
		fputc(*at, file);
	}
	fputc('\'', file);
}

static uint64_t field_load(const void *field, size_t size)
{
	uint32_t small;
	uint64_t value;

	if (size == sizeof small) {
		memcpy(&small, field, sizeof small);
		return small;
	}
	CHECK(size == sizeof value);
	memcpy(&value, field, sizeof value);
	return value;
}

static const char *text_load(const void *field)
{
	const char *text;
	memcpy(&text, field, sizeof text);
	return text;
}

static void print_list(FILE *file, const struct config_key *key, const uint8_t *object)
{
	const char *const *texts;
	uint32_t count;

	memcpy(&texts, object + key->offset, sizeof texts);
	memcpy(&count, object + key->extra, sizeof count);
	fputc('[', file);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0) fputs(", ", file);
		config_scalar_print(file, texts[i]);
	}
	fputc(']', file);
}

static void print_cpus(FILE *file, const struct config *config)
{
	if (config->cpus_auto) {
		fputs("auto", file);
		return;
	}
	fputc('[', file);
	for (uint32_t i = 0; i < config->cpu_count; i++) {
		fprintf(file, "%s%u", i > 0 ? ", " : "", (unsigned)config->cpus[i]);
	}
	fputc(']', file);
}

/* Whether there is anything to show: a default, or something written. */
static bool has_value(const struct walk *walk, const struct config_key *key, const uint8_t *object)
{
	const void *field = object + key->offset;
	struct config_position nowhere = { 0 };

	if (key->has_default || key->type == CONFIG_TYPE_CPUS) return true;
	return config_position_of(walk->config, field, nowhere).line > 0;
}

static void print_value(const struct walk *walk, FILE *file, const struct config_key *key,
	const uint8_t *object)
{
	const void *field = object + key->offset;
	char text[ADDRESS_TEXT_SIZE];
	char quantity[CONFIG_QUANTITY_SIZE];

	if (key->arity == CONFIG_LIST) {
		print_list(file, key, object);
		return;
	}
	switch (key->type) {
	case CONFIG_TYPE_NAME:
	case CONFIG_TYPE_WORD:
	case CONFIG_TYPE_FILE:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_HOST_PATTERN:
	case CONFIG_TYPE_TARGET_URL:
	case CONFIG_TYPE_ORIGIN: config_scalar_print(file, text_load(field)); return;
	case CONFIG_TYPE_ADDRESS:
		address_format(field, text);
		config_scalar_print(file, text);
		return;
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_RATIO:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
		config_key_quantity(key, field_load(field, key->size), quantity);
		fputs(quantity, file);
		return;
	case CONFIG_TYPE_CHOICE: fputs(key->choices[field_load(field, key->size)], file); return;
	case CONFIG_TYPE_CPUS: print_cpus(file, walk->config); return;
	case CONFIG_TYPE_SECTION:
	case CONFIG_TYPE_SECTION_OR_OFF:
	case CONFIG_TYPE_REFUSED: break;
	}
	UNREACHABLE();
}

/* Taken from the heap by open_memstream(): free(). */
static char *value_text(const struct walk *walk, const struct config_key *key,
	const uint8_t *object)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	CHECK(file != NULL); /* out of memory aborts, as in base/alloc.h */
	print_value(walk, file, key, object);
	CHECK(fclose(file) == 0);
	return text;
}

/* ---- The walk -------------------------------------------------------------------------------- */

static void walk_section(const struct walk *walk, const struct config_section *section,
	const uint8_t *object);

static void visit_value(const struct walk *walk, const struct config_section *section,
	const struct config_key *key, const uint8_t *object)
{
	char *text = has_value(walk, key, object) ? value_text(walk, key, object) : NULL;
	struct config_visit visit = {
		.section = section,
		.key = key,
		.text = text,
		.position = config_position_of(walk->config, object + key->offset,
			(struct config_position){ 0 }),
		.object = object,
	};

	walk->visitor->value(walk->owner, &visit);
	free(text);
}

static bool section_is_on(const struct config_key *key, const uint8_t *object)
{
	struct io_address address;
	bool on;

	if (key->type != CONFIG_TYPE_SECTION_OR_OFF) return true;
	if (key->extra != CONFIG_NO_OFFSET) {
		memcpy(&on, object + key->extra, sizeof on);
		return on;
	}
	/* Without a flag of its own it is on when its first key, an address, is there. */
	CHECK(key->section->keys[0].type == CONFIG_TYPE_ADDRESS);
	memcpy(&address, object + key->offset + key->section->keys[0].offset, sizeof address);
	return address.port != 0;
}

/* A section that was left out, and has a key that must be written in it, is not there: its other
 * keys' defaults mean nothing then. */
static bool section_is_there(const struct walk *walk, const struct config_key *key,
	const uint8_t *object)
{
	const struct config_section *section = key->section;

	if (key->required || key->type != CONFIG_TYPE_SECTION) return true;
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *inner = &section->keys[i];
		if (inner->required && !has_value(walk, inner, object + key->offset)) return false;
	}
	return true;
}

static void visit_section(const struct walk *walk, const struct config_section *section,
	const struct config_key *key, const uint8_t *object)
{
	struct config_visit visit = { .section = section, .key = key };

	if (key->type == CONFIG_TYPE_SECTION_OR_OFF && key->extra != CONFIG_NO_OFFSET) {
		visit.position = config_position_of(walk->config, object + key->extra,
			(struct config_position){ 0 });
	}
	if (!section_is_there(walk, key, object)) {
		walk->visitor->value(walk->owner, &visit);
		return;
	}
	if (!section_is_on(key, object)) {
		visit.text = "off";
		walk->visitor->value(walk->owner, &visit);
		return;
	}
	walk->visitor->enter(walk->owner, &visit);
	walk_section(walk, key->section, object + key->offset);
	walk->visitor->leave(walk->owner, &visit);
}

/* The value of the key that tells elements from each other. free() it. */
static char *element_label(const struct walk *walk, const struct config_section *section,
	const uint8_t *element)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (strcmp(key->name, section->label_key) != 0) continue;
		return value_text(walk, key, element);
	}
	UNREACHABLE();
}

static void visit_elements(const struct walk *walk, const struct config_section *section,
	const struct config_key *key, const uint8_t *object)
{
	const uint8_t *array;
	uint32_t count;

	memcpy(&array, object + key->offset, sizeof array);
	memcpy(&count, object + key->extra, sizeof count);
	/* What stands directly in the section was put in front of the list when it was read. */
	uint32_t first = key->merged_from > 0 && text_load(object + key->merged_from) != NULL ? 1
											      : 0;
	for (uint32_t i = first; i < count; i++) {
		const uint8_t *element = array + i * key->size;
		char *label = element_label(walk, key->section, element);
		struct config_visit visit = { .section = section, .key = key, .label = label };

		memcpy(&visit.position, element + key->section->position, sizeof visit.position);
		walk->visitor->enter(walk->owner, &visit);
		walk_section(walk, key->section, element);
		walk->visitor->leave(walk->owner, &visit);
		free(label);
	}
}

static void walk_section(const struct walk *walk, const struct config_section *section,
	const uint8_t *object)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];

		if (key->type == CONFIG_TYPE_REFUSED) continue;
		if (key->arity == CONFIG_LIST_OF_ONE) continue;
		if (key->section == NULL) {
			visit_value(walk, section, key, object);
		} else if (key->arity == CONFIG_LIST) {
			visit_elements(walk, section, key, object);
		} else {
			visit_section(walk, section, key, object);
		}
	}
}

void config_walk(const struct config *config, const struct config_visitor *visitor, void *owner)
{
	const struct walk walk = { config, visitor, owner };
	walk_section(&walk, &config_root, (const uint8_t *)config);
}

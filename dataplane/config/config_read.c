/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_read — walks the tree by the tables of config_keys.c and fills the structs. What is
 * wrong is reported and left empty, and reading goes on, so that one run shows everything.
 * Single values are read in config_read_value.c.
 */
#include <stddef.h>
#include <stdio.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_read.h"

enum { KEYS_PER_SECTION_MAX = 32 };

/* The keys of a section that were met. */
struct keys_seen {
	const struct config_node *at[KEYS_PER_SECTION_MAX];
	bool excused[KEYS_PER_SECTION_MAX]; /* missing only because of an error reported already */
};

static void excuse(const struct config_section *section, const char *name, struct keys_seen *seen)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		if (strcmp(section->keys[i].name, name) == 0) seen->excused[i] = true;
	}
}

static void label_write(const struct config_frame *frame, struct writer *writer)
{
	const struct config_node *label = NULL;

	write_text(writer, frame->section->name);
	if (frame->number > 0) {
		if (frame->section->label_key != NULL) {
			label = config_node_find(frame->node, frame->section->label_key);
		}
		if (label != NULL && label->kind == NODE_SCALAR && label->text[0] != '\0') {
			write_format(writer, " '%.64s'", label->text);
		} else {
			write_format(writer, " #%u", frame->number);
		}
	}
	if (frame->parent != NULL && frame->parent->section->name[0] != '\0') {
		write_text(writer, " of ");
		label_write(frame->parent, writer);
	}
}

void config_frame_label(const struct config_frame *frame, char to[static CONFIG_LABEL_SIZE])
{
	struct writer writer = writer_of(to, CONFIG_LABEL_SIZE - 1);

	label_write(frame, &writer);
	to[writer.size] = '\0';
}

void config_read_fault(const struct config_frame *frame, const struct config_key *key,
	struct config_position position, const struct config_fault *fault)
{
	char label[CONFIG_LABEL_SIZE];

	config_frame_label(frame, label);
	config_report_add(frame->reading->report, CONFIG_ERROR, fault->code, position, fault->hint,
		"%s%s%s: %s", key->name, label[0] == '\0' ? "" : " of ", label, fault->sentence);
}

/* Also marks the key that was probably meant, so that it is not reported as missing besides. */
static void unknown_key_hint(const struct config_section *section, const char *word, char *hint,
	size_t hint_size, struct keys_seen *seen)
{
	const char *names[KEYS_PER_SECTION_MAX];
	size_t count = 0;
	size_t section_count;
	const struct config_section *const *sections = config_sections(&section_count);

	for (uint32_t i = 0; i < section->key_count; i++) {
		if (section->keys[i].type != CONFIG_TYPE_REFUSED) {
			names[count++] = section->keys[i].name;
		}
	}
	const char *nearest = config_nearest(word, names, count);
	if (nearest != NULL) {
		snprintf(hint, hint_size, "did you mean '%s'?", nearest);
		excuse(section, nearest, seen);
		return;
	}
	for (size_t i = 1; i < section_count; i++) {
		for (uint32_t j = 0; j < sections[i]->key_count; j++) {
			if (strcmp(sections[i]->keys[j].name, word) != 0) continue;
			snprintf(hint, hint_size, "'%s' is a key of '%s'", word, sections[i]->name);
			return;
		}
	}

	struct writer writer = writer_of(hint, hint_size - 1);
	write_text(&writer, "known keys: ");
	for (size_t i = 0; i < count; i++) {
		write_format(&writer, "%s%s", i == 0 ? "" : ", ", names[i]);
	}
	hint[writer.failed ? 0 : writer.size] = '\0';
}

static void report_unknown_key(const struct config_frame *frame, const struct config_node *key_node,
	struct keys_seen *seen)
{
	char label[CONFIG_LABEL_SIZE];
	char hint[256];

	unknown_key_hint(frame->section, key_node->text, hint, sizeof hint, seen);
	if (frame->section->name[0] == '\0') {
		config_report_add(frame->reading->report, CONFIG_ERROR, PS_UNKNOWN_KEY,
			key_node->position, hint, "unknown key '%.64s' at the top level",
			key_node->text);
		return;
	}
	config_frame_label(frame, label);
	config_report_add(frame->reading->report, CONFIG_ERROR, PS_UNKNOWN_KEY, key_node->position,
		hint, "unknown key '%.64s' in %s", key_node->text, label);
}

static void report_wrong_kind(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, const char *expected)
{
	static const char *const kinds[] = {
		[NODE_BROKEN] = "something broken",
		[NODE_SCALAR] = "a single value",
		[NODE_LIST] = "a list",
		[NODE_MAP] = "a section with keys",
	};
	struct config_fault fault;

	(void)config_fault_set(&fault, PS_WRONG_KIND, NULL, "%s is expected, not %s", expected,
		kinds[node->kind]);
	if (key->type == CONFIG_TYPE_ADDRESS && node->kind == NODE_LIST) {
		snprintf(fault.hint, sizeof fault.hint,
			"an IPv6 address needs quotes: '[::1]:443'");
	} else if (key->arity == CONFIG_LIST_OF_ONE) {
		snprintf(fault.hint, sizeof fault.hint, "several go into '%ss'", key->name);
	} else if (key->example != NULL) {
		snprintf(fault.hint, sizeof fault.hint, "for example %s: %s", key->name,
			key->example);
	}
	config_read_fault(frame, key, node->position, &fault);
}

/* ---- Values, lists, sections ----------------------------------------------------------------- */

static bool read_single(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, void *object, void *field)
{
	struct config_fault fault;

	if (node->kind == NODE_BROKEN) return false;
	if (node->kind != NODE_SCALAR) {
		report_wrong_kind(frame, key, node, "a single value");
		return false;
	}
	if (config_read_value(frame, key, node->text, object, field, &fault)) return true;
	config_read_fault(frame, key, node->position, &fault);
	return false;
}

/* The elements of a list as an array of `count`; more than allowed are reported and left out. */
static uint32_t list_begin(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node)
{
	struct config_fault fault;

	if (node->kind == NODE_BROKEN) return 0;
	if (node->kind != NODE_LIST) {
		report_wrong_kind(frame, key, node, "a list");
		return 0;
	}
	if (node->child_count == 0 && key->may_be_empty) return 0;
	if (node->child_count == 0) {
		(void)config_fault_set(&fault, PS_EMPTY_LIST, NULL, "the list is empty");
		config_read_fault(frame, key, node->position, &fault);
		return 0;
	}
	if (node->child_count <= key->max) return node->child_count;

	const struct config_node *extra = node->first;
	for (uint64_t i = 0; i < key->max; i++) extra = extra->next;
	(void)config_fault_set(&fault, PS_TOO_MANY, NULL, "%u elements; the most allowed are %u",
		node->child_count, (unsigned)key->max);
	config_read_fault(frame, key, extra->position, &fault);
	return (uint32_t)key->max;
}

static void list_end(const struct config_key *key, void *object, void *array, uint32_t count)
{
	memcpy((uint8_t *)object + key->offset, &array, sizeof array);
	memcpy((uint8_t *)object + key->extra, &count, sizeof count);
}

static void read_list_of_values(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, void *object)
{
	struct config_arena *arena = frame->reading->arena;
	bool is_one = key->arity == CONFIG_LIST_OF_ONE;
	uint32_t wanted = is_one ? 1 : list_begin(frame, key, node);
	if (wanted == 0) return;

	const char **array = config_arena_take(arena, wanted, sizeof *array);
	uint32_t count = 0;
	const struct config_node *element = is_one ? node : node->first;
	for (uint32_t i = 0; i < wanted; i++, element = element->next) {
		if (!read_single(frame, key, element, object, &array[count])) continue;
		config_arena_remember(arena, &array[count], element->position);
		count++;
	}
	list_end(key, object, array, count);
}

static void read_section(const struct config_frame *frame, void *object);

static void read_list_of_sections(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, void *object)
{
	uint32_t count = list_begin(frame, key, node);
	if (count == 0) return;

	uint8_t *array = config_arena_take(frame->reading->arena, count, key->size);
	const struct config_node *element = node->first;
	for (uint32_t i = 0; i < count; i++, element = element->next) {
		struct config_frame inner = { frame->reading, frame, key->section, element, i + 1 };

		config_read_defaults(key->section, array + i * key->size);
		if (element->kind == NODE_MAP) {
			read_section(&inner, array + i * key->size);
		} else if (element->kind != NODE_BROKEN) {
			report_wrong_kind(frame, key, element, "a section with keys");
		}
	}
	list_end(key, object, array, count);
}

static void read_one_section(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, void *object)
{
	bool may_be_off = key->type == CONFIG_TYPE_SECTION_OR_OFF;
	struct config_frame inner = { frame->reading, frame, key->section, node, 0 };
	struct config_fault fault;
	bool on = true;

	if (node->kind == NODE_BROKEN) return;
	if (node->kind == NODE_SCALAR && may_be_off) {
		if (!config_value_switch(node->text, &on, &fault)) {
			config_read_fault(frame, key, node->position, &fault);
			return;
		}
		if (!on) return;
		report_wrong_kind(frame, key, node, "off, or a section with keys");
		return;
	}
	if (node->kind != NODE_MAP) {
		report_wrong_kind(frame, key, node, "a section with keys");
		return;
	}
	if (may_be_off && key->extra != CONFIG_NO_OFFSET) {
		*((bool *)object + key->extra) = true;
	}
	read_section(&inner, (uint8_t *)object + key->offset);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static void read_key(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *key_node, void *object)
{
	const struct config_node *value = key_node->next;
	uint8_t *field = (uint8_t *)object + key->offset;
	struct config_fault fault;

	if (key->type == CONFIG_TYPE_REFUSED) {
		(void)config_fault_set(&fault, PS_SECRET_IN_FILE, key->help,
			"secrets may not stand in this file");
		config_read_fault(frame, key, key_node->position, &fault);
		return;
	}
	if (config_node_is_null(value)) {
		(void)config_fault_set(&fault, PS_NO_VALUE,
			key->required ? NULL : "leave the key out to get its default",
			"the value is missing");
		config_read_fault(frame, key, key_node->position, &fault);
		return;
	}
	bool is_section = key->section != NULL;
	if (key->type == CONFIG_TYPE_SECTION_OR_OFF && key->extra != CONFIG_NO_OFFSET) {
		config_arena_remember(frame->reading->arena, (uint8_t *)object + key->extra,
			value->position);
	} else if (!is_section || key->arity != CONFIG_ONE) {
		/* A single section has no field of its own: its first one has the same address. */
		config_arena_remember(frame->reading->arena, field, value->position);
	}

	if (key->type == CONFIG_TYPE_CPUS) {
		config_read_cpus(frame, key, value, object);
	} else if (key->arity == CONFIG_ONE && is_section) {
		read_one_section(frame, key, value, object);
	} else if (key->arity == CONFIG_ONE) {
		(void)read_single(frame, key, value, object, field); /* reported; stays empty */
	} else if (is_section) {
		read_list_of_sections(frame, key, value, object);
	} else {
		read_list_of_values(frame, key, value, object);
	}
}

/* The row of a key, when it may stand here; reports otherwise. */
static const struct config_key *key_find(const struct config_frame *frame,
	const struct config_node *key_node, struct keys_seen *seen)
{
	const struct config_section *section = frame->section;
	struct config_report *report = frame->reading->report;

	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];

		if (strcmp(key->name, key_node->text) != 0) continue;
		if (seen->at[i] != NULL) {
			config_report_add(report, CONFIG_ERROR, PS_DUPLICATE_KEY,
				key_node->position, NULL, "key '%s' is already in line %u",
				key->name, seen->at[i]->position.line);
			return NULL;
		}
		/* target and targets fill the same field. */
		for (uint32_t j = 0; j < section->key_count; j++) {
			if (j == i || seen->at[j] == NULL || key->arity == CONFIG_ONE) continue;
			if (section->keys[j].offset != key->offset) continue;
			config_report_add(report, CONFIG_ERROR, PS_CONTRADICTION,
				key_node->position, "keep one of them",
				"'%s' and '%s' (line %u) mean the same thing", key->name,
				section->keys[j].name, seen->at[j]->position.line);
			return NULL;
		}
		return key;
	}
	report_unknown_key(frame, key_node, seen);
	return NULL;
}

static void report_missing_keys(const struct config_frame *frame, const struct keys_seen *seen)
{
	const struct config_section *section = frame->section;
	/* The file as a whole has no place to point at. */
	struct config_position position = { 0 };
	char label[CONFIG_LABEL_SIZE];
	char hint[192];

	if (frame->parent != NULL) position = frame->node->position;

	config_frame_label(frame, label);
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];

		if (!key->required || seen->at[i] != NULL || seen->excused[i]) continue;
		snprintf(hint, sizeof hint, "for example %s: %s", key->name, key->example);
		config_report_add(frame->reading->report, CONFIG_ERROR, PS_MISSING_KEY, position,
			hint, "missing key '%s'%s%s", key->name, label[0] == '\0' ? "" : " in ",
			label);
	}
}

static void read_section(const struct config_frame *frame, void *object)
{
	const struct config_section *section = frame->section;
	struct keys_seen seen = { .at = { NULL } };

	CHECK(section->key_count <= KEYS_PER_SECTION_MAX);
	CHECK(frame->node->kind == NODE_MAP);

	if (section->position != CONFIG_NO_OFFSET) {
		memcpy((uint8_t *)object + section->position, &frame->node->position,
			sizeof frame->node->position);
	}
	for (const struct config_node *node = frame->node->first; node != NULL;
		node = node->next->next) {
		if (node->kind != NODE_SCALAR) continue;
		const struct config_key *key = key_find(frame, node, &seen);
		if (key == NULL) continue;
		seen.at[key - section->keys] = node;
		if (key->type == CONFIG_TYPE_REFUSED) excuse(section, "secret_file", &seen);
		read_key(frame, key, node, object);
	}
	report_missing_keys(frame, &seen);
}

void config_read_defaults(const struct config_section *section, void *object)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		uint8_t *field = (uint8_t *)object + key->offset;

		if (key->section != NULL && key->arity == CONFIG_ONE) {
			config_read_defaults(key->section, field);
		} else if (key->has_default && key->default_text != NULL) {
			memcpy(field, &key->default_text, sizeof key->default_text);
		} else if (key->has_default) {
			config_field_store(field, key->size, key->default_value);
		}
	}
}

/* ---- What tables cannot say ------------------------------------------------------------------ */

/* Certificate and key written directly under tls: come first. */
static void certificates_merge(struct config_listener *listener, struct config *config)
{
	struct config_certificate *only = &listener->only;
	struct config_position missing = { 0 };

	if (listener->name == NULL) {
		char text[ADDRESS_TEXT_SIZE];
		address_format(&listener->address, text);
		listener->name = config_arena_text(config->arena, text, strlen(text));
	}
	if (only->certificate_file == NULL && only->key_file == NULL) return;

	only->position = config_position_of(config, &only->certificate_file, missing);
	uint32_t count = listener->certificate_count + 1;
	struct config_certificate *all = config_arena_take(config->arena, count, sizeof *all);
	all[0] = *only;
	for (uint32_t i = 1; i < count; i++) {
		const struct config_certificate *from = &listener->certificates[i - 1];
		all[i] = *from;
		config_arena_remember(config->arena, &all[i].certificate_file,
			config_position_of(config, &from->certificate_file, from->position));
		config_arena_remember(config->arena, &all[i].key_file,
			config_position_of(config, &from->key_file, from->position));
		config_arena_remember(config->arena, &all[i].names,
			config_position_of(config, &from->names, missing));
	}
	config_arena_remember(config->arena, &all[0].certificate_file, only->position);
	config_arena_remember(config->arena, &all[0].key_file,
		config_position_of(config, &only->key_file, only->position));
	listener->certificates = all;
	listener->certificate_count = count;
}

void config_read(const struct config_node *root, struct config *config,
	struct config_report *report)
{
	struct config_reading reading = { config->arena, report, config->path };
	struct config_frame frame = { &reading, NULL, &config_root, root, 0 };

	config_read_defaults(&config_root, config);
	if (root->kind != NODE_MAP) {
		if (root->kind == NODE_BROKEN) return;
		config_report_add(report, CONFIG_ERROR, PS_WRONG_KIND, root->position,
			"begin with 'listeners:'", "the file must consist of keys with values");
		return;
	}
	read_section(&frame, config);

	for (uint32_t i = 0; i < config->listener_count; i++) {
		certificates_merge(&config->listeners[i], config);
	}
	for (uint32_t i = 0; i < config->endpoint_count; i++) {
		struct config_endpoint *endpoint = &config->endpoints[i];
		endpoint->scheme_position =
			config_position_of(config, &endpoint->scheme, endpoint->position);
		endpoint->secret_position =
			config_position_of(config, &endpoint->secret_file, endpoint->position);
	}
	if (config->cpus == NULL) config_read_cpus_auto(&reading, config);
}

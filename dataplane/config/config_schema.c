/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_schema — the tables of config_keys.c as JSON Schema. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "config/config_read.h"
#include "config/config_reference.h"
#include "verify/verify.h"

#define STRING "\"type\": \"string\""
#define PATTERN(text) STRING ", \"pattern\": \"" text "\""
/* YAML takes a name of digits for a number. */
#define NAME(text) "\"type\": [\"string\", \"integer\"], \"pattern\": \"" text "\""

/* Of the types that need no more than a constant; NULL for the others. */
static const char *const simple_types[] = {
	[CONFIG_TYPE_NAME] = NAME("^[a-z0-9][a-z0-9._-]{0,63}$"),
	[CONFIG_TYPE_WORD] = NAME("^[A-Za-z0-9._][A-Za-z0-9._-]{0,63}$"),
	[CONFIG_TYPE_FILE] = NAME("^[^~$]"),
	[CONFIG_TYPE_PATH] = PATTERN("^/[^?#]*$"),
	[CONFIG_TYPE_HOST] = PATTERN("^[A-Za-z0-9_.:-]+$"),
	[CONFIG_TYPE_HOST_PATTERN] = PATTERN("^(\\\\*\\\\.)?[A-Za-z0-9_.:-]+$"),
	[CONFIG_TYPE_TARGET_URL] = PATTERN("^[Hh][Tt][Tt][Pp][Ss]?://[^@/?]+([/?].*)?$"),
	[CONFIG_TYPE_ORIGIN] = PATTERN("^[Hh][Tt][Tt][Pp][Ss]?://[^@/?]+$"),
	[CONFIG_TYPE_ADDRESS] = PATTERN("^(\\\\[[0-9A-Fa-f:.]+\\\\]|[0-9.]+):[0-9]{1,5}$"),
	[CONFIG_TYPE_SIZE] = PATTERN("^[0-9]+(B|KiB|MiB|GiB|TiB)$"),
	[CONFIG_TYPE_DURATION] = PATTERN("^[0-9]+(ms|s|m|h|d)$"),
	[CONFIG_TYPE_CPUS] = "\"anyOf\": [{ \"const\": \"auto\" }, { \"$ref\": \"#/$defs/cpu\" }, "
			     "{ \"type\": \"array\", \"minItems\": 1, "
			     "\"items\": { \"$ref\": \"#/$defs/cpu\" } }]",
	[CONFIG_TYPE_REFUSED] = NULL,
};

static void print_schemes(FILE *file)
{
	fputs(STRING ", \"enum\": [", file);
	for (size_t i = 0; i < scheme_count(); i++) {
		fprintf(file, "%s\"%s\"", i > 0 ? ", " : "", scheme_name(scheme_at(i)));
	}
	fputc(']', file);
}

/* What one value of the key must be, without braces around it. */
static void print_type(const struct config_key *key, FILE *file)
{
	switch (key->type) {
	case CONFIG_TYPE_COUNT:
		fprintf(file,
			"\"type\": \"integer\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64,
			key->min, key->max);
		return;
	case CONFIG_TYPE_RATIO:
		fputs("\"type\": \"number\", \"minimum\": 0, \"maximum\": 1", file);
		return;
	case CONFIG_TYPE_CHOICE:
		fputs(STRING ", \"enum\": [", file);
		for (uint32_t i = 0; i < key->choice_count; i++) {
			fprintf(file, "%s\"%s\"", i > 0 ? ", " : "", key->choices[i]);
		}
		fputc(']', file);
		return;
	case CONFIG_TYPE_SECTION:
		fprintf(file, "\"$ref\": \"#/$defs/%s\"", key->section->name);
		return;
	case CONFIG_TYPE_SECTION_OR_OFF:
		/* "off" is a word to some readers of YAML and false to others. */
		fprintf(file,
			"\"anyOf\": [{ \"$ref\": \"#/$defs/%s\" }, "
			"{ \"enum\": [\"off\", false] }]",
			key->section->name);
		return;
	case CONFIG_TYPE_WORD:
		if (strcmp(key->name, "scheme") == 0) {
			print_schemes(file);
			return;
		}
		break;
	case CONFIG_TYPE_NAME:
	case CONFIG_TYPE_FILE:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_HOST_PATTERN:
	case CONFIG_TYPE_TARGET_URL:
	case CONFIG_TYPE_ORIGIN:
	case CONFIG_TYPE_ADDRESS:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_CPUS:
	case CONFIG_TYPE_REFUSED: break;
	}
	CHECK(simple_types[key->type] != NULL);
	fputs(simple_types[key->type], file);
}

static void print_default(const struct config_key *key, FILE *file)
{
	char quantity[CONFIG_QUANTITY_SIZE];

	if (!key->has_default) return;
	fputs(", \"default\": ", file);
	if (key->type == CONFIG_TYPE_CHOICE) {
		config_json_text(file, key->choices[key->default_value]);
	} else if (key->default_text != NULL) {
		config_json_text(file, key->default_text);
	} else if (key->type == CONFIG_TYPE_COUNT) {
		fprintf(file, "%" PRIu64, key->default_value);
	} else if (key->type == CONFIG_TYPE_RATIO) {
		config_key_quantity(key, key->default_value, quantity);
		fputs(quantity, file);
	} else {
		config_key_quantity(key, key->default_value, quantity);
		config_json_text(file, quantity);
	}
}

static void print_key(const struct config_key *key, FILE *file)
{
	char range[CONFIG_RANGE_SIZE];
	char text[512];

	fprintf(file, "\n        \"%s\": { ", key->name);
	if (key->arity == CONFIG_LIST) {
		fprintf(file,
			"\"type\": \"array\", \"minItems\": %d, \"maxItems\": %" PRIu64
			", \"items\": { ",
			key->may_be_empty ? 0 : 1, key->max);
		print_type(key, file);
		fputs(" }", file);
	} else {
		print_type(key, file);
	}
	config_key_range(key, range);
	snprintf(text, sizeof text, "%s%s%s", key->help, range[0] != '\0' ? "; " : "", range);
	fputs(", \"description\": ", file);
	config_json_text(file, text);
	print_default(key, file);
	fputs(" }", file);
}

/* `target` or `targets`, when they fill one field. */
static void print_either(const struct config_section *section, FILE *file)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *one = &section->keys[i];
		if (one->arity != CONFIG_LIST_OF_ONE) continue;
		fprintf(file,
			",\n      \"oneOf\": [{ \"required\": [\"%s\"] }, { \"required\": "
			"[\"%ss\"] }]",
			one->name, one->name);
	}
}

static void print_section(const struct config_section *section, FILE *file)
{
	bool first = true;

	fprintf(file, "    \"%s\": {\n      \"type\": \"object\",\n      \"description\": ",
		section->name[0] == '\0' ? "file" : section->name);
	config_json_text(file, section->help);
	fputs(",\n      \"additionalProperties\": false,\n      \"properties\": {", file);
	for (uint32_t i = 0; i < section->key_count; i++) {
		if (section->keys[i].type == CONFIG_TYPE_REFUSED) continue;
		if (!first) fputc(',', file);
		first = false;
		print_key(&section->keys[i], file);
	}
	fputs("\n      }", file);
	first = true;
	for (uint32_t i = 0; i < section->key_count; i++) {
		if (!section->keys[i].required) continue;
		fprintf(file, "%s\"%s\"", first ? ",\n      \"required\": [" : ", ",
			section->keys[i].name);
		first = false;
	}
	if (!first) fputc(']', file);
	print_either(section, file);
	fputs("\n    }", file);
}

void config_schema_print(void *file)
{
	size_t count;
	const struct config_section *const *sections = config_sections(&count);

	fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	      "  \"$id\": \"urn:penstock:schema:config:1\",\n"
	      "  \"title\": \"penstock.yaml\",\n"
	      "  \"$ref\": \"#/$defs/file\",\n"
	      "  \"$defs\": {\n"
	      "    \"cpu\": { \"type\": [\"integer\", \"string\"], \"minimum\": 0, "
	      "\"pattern\": \"^[0-9, -]+$\" },\n",
		file);
	for (size_t i = 0; i < count; i++) {
		print_section(sections[i], file);
		fputs(i + 1 < count ? ",\n" : "\n", file);
	}
	fputs("  }\n}\n", file);
}

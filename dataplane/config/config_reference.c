/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_reference — the tables of keys and codes as documents for people. */
#include "config/config_reference.h"

#include <stdio.h>

#include "base/check.h"
#include "base/cursor.h"
#include "config/config_read.h"
#include "config/config_text.h"

enum { PATH_SIZE = 128 };

/* ---- What a row says ------------------------------------------------------------------------- */

static const char *type_name(const struct config_key *key)
{
	switch (key->type) {
	case CONFIG_TYPE_NAME: return "name";
	case CONFIG_TYPE_WORD: return "word";
	case CONFIG_TYPE_FILE: return "file";
	case CONFIG_TYPE_PATH: return "path";
	case CONFIG_TYPE_HOST: return "host";
	case CONFIG_TYPE_HOST_PATTERN: return "host";
	case CONFIG_TYPE_TARGET_URL: return "URL";
	case CONFIG_TYPE_ORIGIN: return "URL without path";
	case CONFIG_TYPE_ADDRESS: return "address";
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_RATIO: return "number";
	case CONFIG_TYPE_SIZE: return "size";
	case CONFIG_TYPE_DURATION: return "duration";
	case CONFIG_TYPE_CHOICE: return "word";
	case CONFIG_TYPE_CPUS: return "CPUs";
	case CONFIG_TYPE_SECTION: return "section";
	case CONFIG_TYPE_SECTION_OR_OFF: return "section, or off";
	case CONFIG_TYPE_REFUSED: break;
	}
	UNREACHABLE();
}

void config_key_range(const struct config_key *key, char to[static CONFIG_RANGE_SIZE])
{
	char least[CONFIG_QUANTITY_SIZE];
	char most[CONFIG_QUANTITY_SIZE];
	struct writer writer = writer_of(to, CONFIG_RANGE_SIZE - 1);

	if (key->arity == CONFIG_LIST) {
		write_format(&writer, "at most %llu", (unsigned long long)key->max);
	} else if (key->type == CONFIG_TYPE_CHOICE) {
		for (uint32_t i = 0; i < key->choice_count; i++) {
			write_format(&writer, "%s%s", i > 0 ? ", " : "", key->choices[i]);
		}
	} else if (key->type == CONFIG_TYPE_COUNT || key->type == CONFIG_TYPE_SIZE ||
		key->type == CONFIG_TYPE_DURATION || key->type == CONFIG_TYPE_RATIO) {
		config_key_quantity(key, key->min, least);
		config_key_quantity(key, key->max, most);
		write_format(&writer, "%s to %s", least, most);
	}
	CHECK(!writer.failed);
	to[writer.size] = '\0';
}

/* "list of sections; at most 64", "duration; 1s to 1h" */
static void value_text(const struct config_key *key, char *to, size_t size)
{
	char range[CONFIG_RANGE_SIZE];

	config_key_range(key, range);
	snprintf(to, size, "%s%s%s%s%s", key->arity == CONFIG_LIST ? "list of " : "",
		type_name(key), key->arity == CONFIG_LIST ? "s" : "", range[0] != '\0' ? "; " : "",
		range);
}

static void default_text(const struct config_key *key, char *to, size_t size)
{
	char quantity[CONFIG_QUANTITY_SIZE] = "";

	if (key->required) {
		snprintf(to, size, "must be there");
		return;
	}
	if (key->type == CONFIG_TYPE_CHOICE && key->has_default) {
		snprintf(to, size, "%s", key->choices[key->default_value]);
		return;
	}
	if (key->has_default && key->default_text == NULL) {
		config_key_quantity(key, key->default_value, quantity);
	}
	snprintf(to, size, "%s", key->default_text != NULL ? key->default_text : quantity);
}

/* Calls `print` for every section with its path, the outer ones first. */
typedef void section_print(const struct config_section *section, const char *path, FILE *file);

static void walk(const struct config_section *section, const char *path, section_print *print,
	FILE *file)
{
	char inner[PATH_SIZE];

	print(section, path, file);
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (key->section == NULL) continue;
		int size = snprintf(inner, sizeof inner, "%s%s%s%s", path,
			path[0] == '\0' ? "" : ".", key->name,
			key->arity == CONFIG_LIST ? "[]" : "");
		CHECK(size > 0 && (size_t)size < sizeof inner);
		walk(key->section, inner, print, file);
	}
}

/* ---- Markdown -------------------------------------------------------------------------------- */

static void print_cell(const char *text, FILE *file)
{
	for (; *text != '\0'; text++) {
		if (*text == '|' || *text == '*' || *text == '<') fputc('\\', file);
		fputc(*text, file);
	}
}

static void markdown_section(const struct config_section *section, const char *path, FILE *file)
{
	char text[256];

	if (path[0] == '\0') {
		fputs("## The whole file\n\n", file);
	} else {
		bool lower = section->help[0] >= 'a' && section->help[0] <= 'z';
		fprintf(file, "\n## `%s`\n\n%c%s.\n\n", path,
			section->help[0] - (lower ? 'a' - 'A' : 0), section->help + 1);
	}
	fputs("| key | value | default | example | meaning |\n|---|---|---|---|---|\n", file);
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (key->type == CONFIG_TYPE_REFUSED) continue;
		value_text(key, text, sizeof text);
		fprintf(file, "| `%s`%s | %s | ", key->name, key->fixed ? " ↻" : "", text);
		default_text(key, text, sizeof text);
		print_cell(text, file);
		fprintf(file, " | `%s` | ", key->example);
		print_cell(key->help, file);
		fputs(" |\n", file);
	}
}

void config_reference_print_markdown(void *file)
{
	fputs("# Configuration\n\n"
	      "Made from the tables that files are read by (`make reference`); do not edit. A file "
	      "with comments to begin with:\n"
	      "[packaging/penstock.yaml.example](../packaging/penstock.yaml.example). For editors: "
	      "[penstock.schema.json](penstock.schema.json).\n\n"
	      "- Durations have a unit: ms, s, m, h, d. Sizes too: B, KiB, MiB, GiB, TiB.\n"
	      "- Relative names of files start at the configuration file's folder; neither `~` nor "
	      "`$VARIABLES` are expanded.\n"
	      "- The file is YAML without anchors, aliases, tags and values of several lines. "
	      "Unknown keys are errors.\n"
	      "- ↻: read at the start; a reload names it and leaves it as it was.\n"
	      "- Check a change with `penstockctl config check`, compare it with `config diff`; "
	      "`penstockctl explain CODE` says what a\n  complaint means.\n\n",
		file);
	walk(&config_root, "", markdown_section, file);
}

/* ---- Manual pages ---------------------------------------------------------------------------- */

/* Text for troff: no line of it is a request, what is typed can be copied, and nothing depends on
 * the encoding. */
static void print_roff(const char *text, FILE *file)
{
	struct bytes rest = bytes_of_text(text);
	bool line_start = true;

	while (rest.size > 0) {
		uint32_t character;
		size_t size = config_text_next(rest, &character);

		CHECK(size > 0); /* the tables are UTF-8 */
		if (line_start && (character == '.' || character == '\'')) fputs("\\&", file);
		if (character == '\\') {
			fputs("\\e", file);
		} else if (character == '-') {
			fputs("\\-", file);
		} else if (character == '\'') {
			fputs("\\(aq", file);
		} else if (character >= 0x80) {
			fprintf(file, "\\[u%04X]", (unsigned)character);
		} else {
			fputc((int)character, file);
		}
		line_start = character == '\n';
		rest = bytes_from(rest, size);
	}
}

static void print_roff_line(const char *text, FILE *file)
{
	print_roff(text, file);
	fputc('\n', file);
}

static void man_section(const struct config_section *section, const char *path, FILE *file)
{
	char text[256];

	fprintf(file, ".SH \"%s%s\"\n", path[0] == '\0' ? "THE WHOLE FILE" : "", path);
	print_roff_line(section->help, file);
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		if (key->type == CONFIG_TYPE_REFUSED) continue;
		value_text(key, text, sizeof text);
		fprintf(file, ".TP\n.B %s\n", key->name);
		print_roff(key->help, file);
		fputs(".\nValue: ", file);
		print_roff(text, file);
		default_text(key, text, sizeof text);
		if (key->required) {
			fputs("; must be there", file);
		} else if (text[0] != '\0') {
			fputs("; default: ", file);
			print_roff(text, file);
		}
		fputs(key->fixed ? "; a change needs a restart.\n" : ".\n", file);
		fputs("Example: ", file);
		print_roff_line(key->example, file);
	}
}

void config_reference_print_man(void *file)
{
	fputs(".TH PENSTOCK.YAML 5 \"\" Penstock \"File formats\"\n.nh\n.ad l\n"
	      ".SH NAME\npenstock.yaml \\- configuration of penstockd\n"
	      ".SH DESCRIPTION\n"
	      "What Penstock listens on, whose webhooks it takes, and where they go.\n"
	      "The file is YAML without anchors, aliases, tags and values of several lines;\n"
	      "unknown keys are errors.\n"
	      "Durations have a unit (ms, s, m, h, d), sizes too (B, KiB, MiB, GiB, TiB).\n"
	      "Relative names of files start at the folder of this file.\n"
	      "Check a change with\n.BR \"penstockctl config check\" ,\n"
	      "take it over with\n.BR \"penstockctl reload\" .\n",
		file);
	walk(&config_root, "", man_section, file);
	fputs(".SH FILES\n.I /etc/penstock/penstock.yaml\n"
	      ".SH EXAMPLES\n.nf\n"
	      "listeners: [{ address: 0.0.0.0:443, tls: { certificate: tls/cert.pem, key: "
	      "tls/key.pem } }]\n"
	      "endpoints: [{ name: github, path: /github, scheme: github, secret_file: "
	      "secrets/github, target: app }]\n"
	      "targets:   [{ name: app, url: \\(aqhttps://app.internal/hooks\\(aq, secret_file: "
	      "secrets/app }]\n"
	      "store:     { path: /var/lib/penstock }\n"
	      ".fi\n.SH SEE ALSO\n.BR penstockd (8),\n.BR penstockctl (1),\n.BR penstock\\-codes "
	      "(7)\n",
		file);
}

static void man_example(const char *heading, const char *text, FILE *file)
{
	fprintf(file, ".PP\n%s:\n.PP\n.nf\n.RS 4\n", heading);
	print_roff(text, file);
	fputs(".RE\n.fi\n", file);
}

void config_codes_print_man(void *file)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	fputs(".TH PENSTOCK\\-CODES 7 \"\" Penstock \"Miscellanea\"\n.nh\n.ad l\n"
	      ".SH NAME\npenstock\\-codes \\- what the codes of diagnostics mean\n"
	      ".SH DESCRIPTION\n"
	      "Every complaint about a configuration has a code, which never changes its meaning.\n"
	      "The same is shown by\n.BR \"penstockctl explain\" .\n.SH CODES\n",
		file);
	for (size_t i = 0; i < count; i++) {
		const struct config_example *example = config_example_find(codes[i].code);
		CHECK(example != NULL); /* a test sees to it */
		fprintf(file, ".SS %s: ", codes[i].code);
		print_roff_line(codes[i].title, file);
		print_roff_line(codes[i].explanation, file);
		man_example("Wrong", example->wrong, file);
		man_example("Right", example->right, file);
		fputs(".PP\n", file);
		print_roff_line(example->fix, file);
	}
	fputs(".SH SEE ALSO\n.BR penstockctl (1),\n.BR penstock.yaml (5)\n", file);
}

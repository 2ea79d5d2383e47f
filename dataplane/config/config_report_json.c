/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_report_json — diagnostics for programs: our own JSON, and SARIF 2.1.0, which code hosts
 * and editors show at the line it is about.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/version.h"
#include "config/config_internal.h"
#include "config/config_text.h"

/* A report that nobody began is about no file. */
static const char *path_of(const struct config_report *report)
{
	return report->path == NULL ? "configuration" : report->path;
}

void config_json_text(void *file, const char *text)
{
	struct bytes rest = bytes_of_text(text);

	fputc('"', file);
	while (rest.size > 0) {
		uint32_t character;
		size_t size = config_text_next(rest, &character);

		if (size == 0) {
			fputs("\\ufffd", file);
			size = 1;
		} else if (character == '"' || character == '\\') {
			fprintf(file, "\\%c", (int)character);
		} else if (character < 0x20 || character == 0x7F) {
			fprintf(file, "\\u%04x", character);
		} else {
			fwrite(rest.data, 1, size, file);
		}
		rest = bytes_from(rest, size);
	}
	fputc('"', file);
}

void config_report_print_json(const struct config_report *report, void *file)
{
	fputs("{\"schema\":\"penstock.diagnostics/v1\",\"file\":", file);
	config_json_text(file, path_of(report));
	fprintf(file, ",\"errors\":%u,\"warnings\":%u,\"dropped\":%u,\"diagnostics\":[",
		report->error_count, config_report_warnings(report), report->dropped_count);
	for (uint32_t i = 0; i < report->count; i++) {
		const struct config_diagnostic *diagnostic = &report->diagnostics[i];

		fprintf(file, "%s{\"severity\":\"%s\",\"code\":\"%s\",\"line\":%u,\"column\":%u",
			i == 0 ? "" : ",",
			diagnostic->severity == CONFIG_ERROR ? "error" : "warning",
			diagnostic->code, diagnostic->position.line, diagnostic->position.column);
		fputs(",\"message\":", file);
		config_json_text(file, diagnostic->sentence);
		fputs(",\"hint\":", file);
		config_json_text(file, diagnostic->hint);
		fputs(",\"excerpt\":", file);
		config_json_text(file, diagnostic->excerpt);
		fprintf(file, ",\"caret\":%u}", diagnostic->excerpt_caret);
	}
	fputs("]}\n", file);
}

/* ---- SARIF ----------------------------------------------------------------------------------- */

static const struct config_code *code_of(const struct config_diagnostic *diagnostic)
{
	size_t count;
	const struct config_code *codes = config_codes(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(codes[i].code, diagnostic->code) == 0) return &codes[i];
	}
	return NULL;
}

/* Each code of the report once. */
static void print_rules(const struct config_report *report, FILE *file)
{
	bool first = true;

	for (uint32_t i = 0; i < report->count; i++) {
		const struct config_diagnostic *diagnostic = &report->diagnostics[i];
		const struct config_code *code = code_of(diagnostic);
		bool seen = code == NULL;

		for (uint32_t j = 0; j < i && !seen; j++) {
			seen = strcmp(report->diagnostics[j].code, diagnostic->code) == 0;
		}
		if (seen) continue;
		fprintf(file, "%s{\"id\":\"%s\",\"shortDescription\":{\"text\":", first ? "" : ",",
			code->code);
		config_json_text(file, code->title);
		fputs("},\"fullDescription\":{\"text\":", file);
		config_json_text(file, code->explanation);
		fputs("}}", file);
		first = false;
	}
}

static void print_result(const struct config_report *report,
	const struct config_diagnostic *diagnostic, FILE *file)
{
	bool is_error = diagnostic->severity == CONFIG_ERROR;
	char text[sizeof diagnostic->sentence + sizeof diagnostic->hint + 16];
	bool hint = diagnostic->hint[0] != '\0';

	snprintf(text, sizeof text, "%s%s%s%s", diagnostic->sentence, hint ? " (hint: " : "",
		diagnostic->hint, hint ? ")" : "");
	fprintf(file,
		"{\"ruleId\":\"%s\",\"level\":\"%s\",\"message\":{\"text\":", diagnostic->code,
		is_error ? "error" : "warning");
	config_json_text(file, text);
	fputs("},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":", file);
	config_json_text(file, path_of(report));
	fputc('}', file);
	if (diagnostic->position.line > 0) {
		fprintf(file, ",\"region\":{\"startLine\":%u,\"startColumn\":%u}",
			diagnostic->position.line, diagnostic->position.column);
	}
	fputs("}}]}", file);
}

void config_report_print_sarif(const struct config_report *report, void *file)
{
	fputs("{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
	      "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"penstock\","
	      "\"version\":",
		file);
	config_json_text(file, penstock_version);
	fputs(",\"rules\":[", file);
	print_rules(report, file);
	fputs("]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[", file);
	for (uint32_t i = 0; i < report->count; i++) {
		if (i > 0) fputc(',', file);
		print_result(report, &report->diagnostics[i], file);
	}
	fputs("]}]}\n", file);
}

bool config_report_format_find(const char *name, enum config_report_format *ret)
{
	static const char *const names[] = { "human", "json", "sarif" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(names[i], name) != 0) continue;
		*ret = (enum config_report_format)i;
		return true;
	}
	return false;
}

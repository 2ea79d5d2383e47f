/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_report — collects diagnostics and prints them for people. For programs:
 * config_report_json.c. */
#include <stdarg.h>
#include <stdio.h>

#include "config/config_excerpt.h"
#include "config/config_internal.h"
#include "config/config_text.h"

#define COLOUR_RED "\x1b[1;31m"
#define COLOUR_YELLOW "\x1b[1;33m"
#define COLOUR_CYAN "\x1b[36m"
#define COLOUR_BOLD "\x1b[1m"
#define COLOUR_NONE "\x1b[0m"

void config_report_init(struct config_report *report, const char *path)
{
	report->path = path;
	report->text = NULL;
	report->text_size = 0;
	report->count = 0;
	report->error_count = 0;
	report->dropped_count = 0;
}

void config_report_borrow(struct config_report *report, const struct config *config)
{
	report->text = config == NULL ? NULL : config->text;
	report->text_size = config == NULL ? 0 : config->text_size;
}

/* Makes room for one more: false when there is none for one of this severity. */
static bool make_room(struct config_report *report, enum config_severity severity)
{
	struct config_diagnostic *all = report->diagnostics;

	if (report->count < CONFIG_DIAGNOSTICS_MAX) return true;
	report->dropped_count++;
	if (severity != CONFIG_ERROR) return false;
	for (uint32_t i = report->count; i > 0; i--) {
		if (all[i - 1].severity != CONFIG_WARNING) continue;
		memmove(&all[i - 1], &all[i], (report->count - i) * sizeof *all);
		report->count--;
		return true;
	}
	return false;
}

static bool stands_before(struct config_position a, struct config_position b)
{
	return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* The place of a new one: behind all that do not stand after it. */
static struct config_diagnostic *insert_at(struct config_report *report,
	struct config_position position)
{
	struct config_diagnostic *all = report->diagnostics;
	uint32_t at = report->count;

	while (at > 0 && stands_before(position, all[at - 1].position)) at--;
	memmove(&all[at + 1], &all[at], (report->count - at) * sizeof *all);
	report->count++;
	return &all[at];
}

/* What mends any diagnostic of that code, as a hint is written: no capital, no full stop. */
static void hint_of_code(const char *code, char *to, size_t size)
{
	const struct config_example *example = config_example_find(code);
	if (example == NULL) return;

	snprintf(to, size, "%s", example->fix);
	config_text_trim(to);
	size_t end = strlen(to);
	if (end > 0 && to[end - 1] == '.') to[end - 1] = '\0';
	if (to[0] >= 'A' && to[0] <= 'Z') to[0] = (char)(to[0] - 'A' + 'a');
}

void config_report_add(struct config_report *report, enum config_severity severity,
	const char *code, struct config_position position, const char *hint, const char *format,
	...)
{
	if (severity == CONFIG_ERROR) report->error_count++;
	if (!make_room(report, severity)) return;

	struct config_diagnostic *diagnostic = insert_at(report, position);
	*diagnostic = (struct config_diagnostic){
		.severity = severity,
		.code = code,
		.position = position,
	};

	va_list arguments;
	va_start(arguments, format);
	vsnprintf(diagnostic->sentence, sizeof diagnostic->sentence, format, arguments);
	va_end(arguments);
	config_text_trim(diagnostic->sentence);

	if (hint != NULL && hint[0] != '\0') {
		snprintf(diagnostic->hint, sizeof diagnostic->hint, "%s", hint);
		config_text_trim(diagnostic->hint);
	} else {
		hint_of_code(code, diagnostic->hint, sizeof diagnostic->hint);
	}
	if (report->text != NULL) {
		config_excerpt(bytes_of(report->text, report->text_size), position,
			diagnostic->excerpt, &diagnostic->excerpt_caret);
	}
}

/* A report that nobody began is about no file. */
static const char *path_of(const struct config_report *report)
{
	return report->path == NULL ? "configuration" : report->path;
}

static void print_diagnostic(const struct config_report *report,
	const struct config_diagnostic *diagnostic, FILE *file, bool colour)
{
	bool is_error = diagnostic->severity == CONFIG_ERROR;
	const char *strong = colour ? (is_error ? COLOUR_RED : COLOUR_YELLOW) : "";
	const char *bold = colour ? COLOUR_BOLD : "";
	const char *dim = colour ? COLOUR_CYAN : "";
	const char *none = colour ? COLOUR_NONE : "";

	fprintf(file, "%s%s:", bold, path_of(report));
	if (diagnostic->position.line > 0) {
		fprintf(file, "%u:%u:", diagnostic->position.line, diagnostic->position.column);
	}
	fprintf(file, "%s %s%s[%s]:%s %s%s%s\n", none, strong, is_error ? "error" : "warning",
		diagnostic->code, none, bold, diagnostic->sentence, none);
	if (diagnostic->excerpt[0] != '\0') {
		fprintf(file, "%s%5u |%s %s\n", dim, diagnostic->position.line, none,
			diagnostic->excerpt);
		fprintf(file, "%s      |%s %*s%s^%s\n", dim, none, (int)diagnostic->excerpt_caret,
			"", strong, none);
	}
	if (diagnostic->hint[0] != '\0') {
		fprintf(file, "%s      =%s hint: %s\n", dim, none, diagnostic->hint);
	}
}

uint32_t config_report_warnings(const struct config_report *report)
{
	return report->count + report->dropped_count - report->error_count;
}

void config_report_print(const struct config_report *report, void *file, bool colour)
{
	for (uint32_t i = 0; i < report->count; i++) {
		print_diagnostic(report, &report->diagnostics[i], file, colour);
	}
	if (report->count < 2) return;

	uint32_t warnings = config_report_warnings(report);
	fprintf(file, "%s: %u error%s, %u warning%s", path_of(report), report->error_count,
		report->error_count == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	if (report->dropped_count > 0) fprintf(file, "; %u not shown", report->dropped_count);
	fputc('\n', file);
}

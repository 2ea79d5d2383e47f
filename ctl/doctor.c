/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor — see the header. */
#include "doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/version.h"
#include "table.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"

static const char *const level_codes[DOCTOR_LEVEL_COUNT] = { "ok", "warn", "fail" };

void doctor_add(struct doctor *doctor, enum doctor_level level, const char *check, const char *fix,
	const char *format, ...)
{
	doctor->counts[level]++;
	if (doctor->count == DOCTOR_FINDINGS_MAX) {
		doctor->dropped_count++;
		return;
	}
	struct doctor_finding *finding = &doctor->findings[doctor->count++];
	*finding = (struct doctor_finding){ .level = level, .check = check };
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof finding->text, format, arguments);
	va_end(arguments);
	if (fix != NULL) snprintf(finding->fix, sizeof finding->fix, "%s", fix);
}

void doctor_fix(struct doctor *doctor, const char *format, ...)
{
	CHECK(doctor->count > 0);
	struct doctor_finding *finding = &doctor->findings[doctor->count - 1];
	/* The one it is for was dropped. */
	if (doctor->dropped_count > 0) return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(finding->fix, sizeof finding->fix, format, arguments);
	va_end(arguments);
}

static struct config *load(struct doctor *doctor, const char *path)
{
	struct config *config = NULL;
	struct config_report *report = alloc_array(1, sizeof *report);
	enum result result = config_load(path, &config, report);
	if (result == RESULT_OK) {
		doctor_add(doctor, DOCTOR_OK, "configuration", NULL,
			"%s: %u endpoints, %u targets, %u listeners, %u workers", path,
			config->endpoint_count, config->target_count, config->listener_count,
			config->cpu_count * config->workers_per_cpu);
	} else {
		const struct config_diagnostic *first = &report->diagnostics[0];
		bool said = report->count > 0;
		doctor_add(doctor, DOCTOR_FAIL, "configuration",
			"see penstockctl config check FILE; what it names is not looked at",
			"%s:%u: %s", path, said ? first->position.line : 0,
			said ? first->sentence : result_text(result));
	}
	alloc_free(report);
	return config;
}

struct doctor *doctor_run(const char *path)
{
	struct doctor *doctor = alloc_array(1, sizeof *doctor);
	doctor_kernel(doctor);
	doctor_processor(doctor);
	doctor_clock(doctor);
	struct config *config = load(doctor, path != NULL ? path : CONFIG_PATH_DEFAULT);
	if (config == NULL) return doctor;
	doctor_limits(doctor, config);
	doctor_store(doctor, config);
	doctor_files(doctor, config);
	doctor_certificates(doctor, config);
	doctor_names(doctor, config);
	config_free(config);
	return doctor;
}

void doctor_print(const struct doctor *doctor, bool colour, FILE *file)
{
	static const enum table_colour colours[] = { TABLE_GREEN, TABLE_YELLOW, TABLE_RED };
	for (uint32_t i = 0; i < doctor->count; i++) {
		const struct doctor_finding *finding = &doctor->findings[i];
		fprintf(file, "%s%-4s%s  %-13s  ",
			table_colour_code(colour, colours[finding->level]),
			level_codes[finding->level], table_colour_code(colour, TABLE_PLAIN),
			finding->check);
		table_write_safe(file, finding->text);
		fputc('\n', file);
		if (finding->fix[0] == '\0') continue;
		fputs("                     fix: ", file);
		table_write_safe(file, finding->fix);
		fputc('\n', file);
	}
	if (doctor->dropped_count > 0) {
		fprintf(file, "and %u more that are not shown\n", doctor->dropped_count);
	}
	fprintf(file, "%u ok, %u warnings, %u failures\n", doctor->counts[DOCTOR_OK],
		doctor->counts[DOCTOR_WARN], doctor->counts[DOCTOR_FAIL]);
}

void doctor_print_json(const struct doctor *doctor, FILE *file)
{
	yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(document);
	yyjson_mut_doc_set_root(document, root);
	bool good = yyjson_mut_obj_add_str(document, root, "schema", "penstock.doctor/v1") &&
		yyjson_mut_obj_add_str(document, root, "version", penstock_version) &&
		yyjson_mut_obj_add_uint(document, root, "ok", doctor->counts[DOCTOR_OK]) &&
		yyjson_mut_obj_add_uint(document, root, "warnings", doctor->counts[DOCTOR_WARN]) &&
		yyjson_mut_obj_add_uint(document, root, "failures", doctor->counts[DOCTOR_FAIL]) &&
		yyjson_mut_obj_add_uint(document, root, "dropped", doctor->dropped_count);
	yyjson_mut_val *list = yyjson_mut_arr(document);
	good = good && yyjson_mut_obj_add_val(document, root, "findings", list);
	for (uint32_t i = 0; i < doctor->count; i++) {
		const struct doctor_finding *finding = &doctor->findings[i];
		yyjson_mut_val *one = yyjson_mut_arr_add_obj(document, list);
		good = good &&
			yyjson_mut_obj_add_str(document, one, "level",
				level_codes[finding->level]) &&
			yyjson_mut_obj_add_str(document, one, "check", finding->check) &&
			yyjson_mut_obj_add_str(document, one, "text", finding->text) &&
			yyjson_mut_obj_add_str(document, one, "fix", finding->fix);
	}
	CHECK(good);
	/* A file's name may be any bytes. */
	char *text = yyjson_mut_write(document, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
	CHECK(text != NULL);
	fprintf(file, "%s\n", text);
	free(text); /* yyjson's */
	yyjson_mut_doc_free(document);
}

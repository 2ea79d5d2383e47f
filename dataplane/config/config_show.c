/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_show.h"

#include <stdio.h>

#include "base/check.h"
#include "base/cursor.h"
#include "config/config_walk.h"

enum {
	/* A path has at most three labels, of which the longest is the name of a file. */
	PATH_SIZE_MAX = 2 * FILE_NAME_SIZE_MAX + 1024,
	INDENT = 2,
};

/* ---- Settings -------------------------------------------------------------------------------- */

struct settings_builder {
	struct config_arena *arena;
	struct config_setting *all; /* NULL: they are only counted */
	uint32_t count;
	char path[PATH_SIZE_MAX]; /* of the section at hand, with a '.' at its end */
	size_t sizes[CONFIG_DEPTH_MAX];
	uint32_t depth;
};

static void setting_add(struct settings_builder *builder, const struct config_visit *visit,
	const char *path, bool opens)
{
	uint32_t at = builder->count++;

	if (builder->all == NULL) return;
	const char *value = visit->text != NULL ? visit->text : "";
	builder->all[at] = (struct config_setting){
		.path = config_arena_text(builder->arena, path, strlen(path)),
		.value = config_arena_text(builder->arena, value, strlen(value)),
		.position = visit->position,
		.restart = visit->key->fixed,
		.opens = opens,
	};
}

static void settings_value(void *owner, const struct config_visit *visit)
{
	struct settings_builder *builder = owner;
	char path[PATH_SIZE_MAX + 64];

	if (visit->text == NULL) return;
	int size = snprintf(path, sizeof path, "%s%s", builder->path, visit->key->name);
	CHECK(size > 0 && (size_t)size < sizeof path);
	setting_add(builder, visit, path, false);
}

static void settings_enter(void *owner, const struct config_visit *visit)
{
	struct settings_builder *builder = owner;
	size_t size = strlen(builder->path);

	CHECK(builder->depth < CONFIG_DEPTH_MAX);
	builder->sizes[builder->depth++] = size;
	struct writer writer = writer_of(builder->path + size, sizeof builder->path - size - 1);
	write_text(&writer, visit->key->name);
	if (visit->label != NULL) {
		write_format(&writer, "[%s]", visit->label);
		builder->path[size + writer.size] = '\0';
		setting_add(builder, visit, builder->path, true);
	}
	write_text(&writer, ".");
	CHECK(!writer.failed);
	builder->path[size + writer.size] = '\0';
}

static void settings_leave(void *owner, const struct config_visit *visit)
{
	struct settings_builder *builder = owner;

	(void)visit;
	CHECK(builder->depth > 0);
	builder->path[builder->sizes[--builder->depth]] = '\0';
}

struct config_settings config_settings_of(const struct config *config, struct config_arena *arena)
{
	static const struct config_visitor visitor = { settings_value, settings_enter,
		settings_leave };
	struct settings_builder *builder = config_arena_take(arena, 1, sizeof *builder);

	builder->arena = arena;
	config_walk(config, &visitor, builder);
	builder->all = config_arena_take(arena, builder->count + 1, sizeof *builder->all);
	builder->count = 0;
	config_walk(config, &visitor, builder);
	return (struct config_settings){ builder->all, builder->count };
}

/* ---- YAML ------------------------------------------------------------------------------------ */

struct yaml_printer {
	FILE *file;
	bool defaults;
	uint32_t depth;
	bool dash; /* the next key is an element's first */
	/* Sections that were entered and have said nothing yet: without defaults, an empty one is
	 * left out. */
	const struct config_visit *waiting[CONFIG_DEPTH_MAX];
	struct config_visit visits[CONFIG_DEPTH_MAX];
	const struct config_key *list[CONFIG_DEPTH_MAX]; /* whose key line stands at this depth */
	uint32_t indents[CONFIG_DEPTH_MAX + 1];
};

static void indent_print(struct yaml_printer *printer, uint32_t indent)
{
	if (printer->dash) {
		fprintf(printer->file, "%*s- ", (int)(indent - INDENT), "");
	} else {
		fprintf(printer->file, "%*s", (int)indent, "");
	}
	printer->dash = false;
}

/* The lines of the sections around, as far as they are not there yet. */
static void open_waiting(struct yaml_printer *printer)
{
	for (uint32_t i = 0; i < printer->depth; i++) {
		const struct config_visit *visit = printer->waiting[i];
		if (visit == NULL) continue;
		printer->waiting[i] = NULL;
		if (visit->label == NULL || printer->list[i] != visit->key) {
			indent_print(printer, printer->indents[i]);
			fprintf(printer->file, "%s:\n", visit->key->name);
			printer->list[i] = visit->key;
		}
		if (visit->label != NULL) printer->dash = true;
	}
}

static void yaml_value(void *owner, const struct config_visit *visit)
{
	struct yaml_printer *printer = owner;
	const struct config_key *key = visit->key;
	bool written = visit->position.line > 0;

	if (!written && !printer->defaults) return;
	if (visit->text == NULL) {
		/* A comment cannot be an element's first line: the dash would go with it. */
		bool first = printer->depth > 0 && printer->waiting[printer->depth - 1] != NULL;
		if (key->default_text == NULL || first) return;
		fprintf(printer->file, "%*s# %s: %s\n", (int)printer->indents[printer->depth], "",
			key->name, key->default_text);
		return;
	}
	open_waiting(printer);
	indent_print(printer, printer->indents[printer->depth]);
	fprintf(printer->file, "%s: %s%s\n", key->name, visit->text, written ? "" : "  # default");
	printer->list[printer->depth] = NULL;
}

static void yaml_enter(void *owner, const struct config_visit *visit)
{
	struct yaml_printer *printer = owner;
	uint32_t depth = printer->depth;

	CHECK(depth + 1 < CONFIG_DEPTH_MAX);
	printer->visits[depth] = *visit;
	printer->visits[depth].label = visit->label == NULL ? NULL : "";
	printer->waiting[depth] = &printer->visits[depth];
	printer->list[depth + 1] = NULL;
	printer->indents[depth + 1] = printer->indents[depth] +
		(visit->label == NULL ? INDENT : 2 * INDENT);
	printer->depth++;
}

static void yaml_leave(void *owner, const struct config_visit *visit)
{
	struct yaml_printer *printer = owner;

	(void)visit;
	printer->depth--;
	printer->waiting[printer->depth] = NULL;
}

void config_show(const struct config *config, bool defaults, void *file)
{
	static const struct config_visitor visitor = { yaml_value, yaml_enter, yaml_leave };
	struct yaml_printer printer = { .file = file, .defaults = defaults };

	config_walk(config, &visitor, &printer);
}

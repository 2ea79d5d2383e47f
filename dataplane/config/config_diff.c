/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_diff.h"

#include <stdlib.h>

#include "base/check.h"

struct comparison {
	struct config_change *changes;
	uint32_t count;
	const char *element; /* that only one side has: its settings come with it; or NULL */
};

int config_path_compare(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	int left = *a == '.' ? 1 : (unsigned char)*a;
	int right = *b == '.' ? 1 : (unsigned char)*b;
	return left - right;
}

bool config_path_is_inside(const char *path, const char *around)
{
	size_t size = strlen(around);
	return strncmp(path, around, size) == 0 && path[size] == '.';
}

static int setting_compare(const void *a, const void *b)
{
	const struct config_setting *left = *(const struct config_setting *const *)a;
	const struct config_setting *right = *(const struct config_setting *const *)b;
	int order = config_path_compare(left->path, right->path);

	if (order != 0) return order;
	return strcmp(left->value, right->value);
}

static const struct config_setting **sorted(const struct config_settings *settings,
	struct config_arena *arena)
{
	const struct config_setting **all =
		config_arena_take(arena, settings->count + 1, sizeof(struct config_setting *));

	for (uint32_t i = 0; i < settings->count; i++) all[i] = &settings->all[i];
	qsort(all, settings->count, sizeof(struct config_setting *), setting_compare);
	return all;
}

/* One side alone has it. */
static void add_lone(struct comparison *comparison, const struct config_setting *setting,
	enum config_change_kind kind)
{
	bool inside = comparison->element != NULL &&
		config_path_is_inside(setting->path, comparison->element);

	if (inside && setting->position.line == 0) return;
	if (setting->opens && !inside) comparison->element = setting->path;
	comparison->changes[comparison->count++] = (struct config_change){
		.kind = kind,
		.path = setting->path,
		.before = kind == CONFIG_REMOVED ? setting->value : NULL,
		.after = kind == CONFIG_ADDED ? setting->value : NULL,
		.restart = setting->restart,
	};
}

static void add_changed(struct comparison *comparison, const struct config_setting *before,
	const struct config_setting *after)
{
	if (strcmp(before->value, after->value) == 0) return;
	comparison->changes[comparison->count++] = (struct config_change){
		.kind = CONFIG_CHANGED,
		.path = before->path,
		.before = before->value,
		.after = after->value,
		.restart = before->restart,
	};
}

struct config_difference config_diff(const struct config_settings *before,
	const struct config_settings *after, struct config_arena *arena)
{
	const struct config_setting **left = sorted(before, arena);
	const struct config_setting **right = sorted(after, arena);
	struct comparison comparison = {
		.changes = config_arena_take(arena, (size_t)before->count + after->count + 1,
			sizeof *comparison.changes),
	};

	for (uint32_t i = 0, j = 0; i < before->count || j < after->count;) {
		int order = i == before->count ? 1
			: j == after->count    ? -1
					       : config_path_compare(left[i]->path, right[j]->path);
		if (order < 0) {
			add_lone(&comparison, left[i++], CONFIG_REMOVED);
		} else if (order > 0) {
			add_lone(&comparison, right[j++], CONFIG_ADDED);
		} else {
			add_changed(&comparison, left[i++], right[j++]);
		}
	}
	return (struct config_difference){ comparison.changes, comparison.count };
}

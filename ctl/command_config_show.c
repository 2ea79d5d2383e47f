/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config_show — what a configuration says in full, and what two of them say differently.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "base/check.h"
#include "config/config_diff.h"
#include "config_file.h"
#include "json_text.h"

/* ---- config show ----------------------------------------------------------------------------- */

static void show_json(const struct config *config, bool defaults)
{
	struct config_arena *arena = config_arena_create();
	struct config_settings settings = config_settings_of(config, arena);
	struct json_text json = json_text_open("penstock.config/v1");

	json_text_add(&json, json.root, "file", config->path);
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(json.document, json.root, "settings");
	for (uint32_t i = 0; i < settings.count; i++) {
		const struct config_setting *setting = &settings.all[i];
		bool written = setting->position.line > 0;
		if (setting->opens || (!written && !defaults)) continue;
		yyjson_mut_val *one = yyjson_mut_arr_add_obj(json.document, list);
		json_text_add(&json, one, "path", setting->path);
		json_text_add(&json, one, "value", setting->value);
		json_text_add(&json, one, "origin", written ? "file" : "default");
		json_text_add_position(&json, one, setting->position);
		CHECK(yyjson_mut_obj_add_bool(json.document, one, "restart", setting->restart));
	}
	json_text_print(&json);
	config_arena_free(arena);
}

int command_config_show(const struct invocation *invocation)
{
	bool defaults = invocation_option(invocation, "effective") != NULL;
	int exit_code;

	struct config *config =
		config_file_load(invocation, config_file_path(invocation, 0), NULL, &exit_code);
	if (config == NULL) return exit_code;
	if (invocation->json) {
		show_json(config, defaults);
	} else {
		config_show(config, defaults, stdout);
	}
	config_free(config);
	return EX_OK;
}

/* ---- config diff ----------------------------------------------------------------------------- */

static const char *const kind_names[] = {
	[CONFIG_ADDED] = "added",
	[CONFIG_REMOVED] = "removed",
	[CONFIG_CHANGED] = "changed",
};

static void diff_json(const struct config_difference *changes)
{
	struct json_text json = json_text_open("penstock.config-diff/v1");

	CHECK(yyjson_mut_obj_add_bool(json.document, json.root, "same", changes->count == 0));
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(json.document, json.root, "changes");
	for (uint32_t i = 0; i < changes->count; i++) {
		const struct config_change *change = &changes->all[i];
		yyjson_mut_val *one = yyjson_mut_arr_add_obj(json.document, list);
		json_text_add(&json, one, "kind", kind_names[change->kind]);
		json_text_add(&json, one, "path", change->path);
		json_text_add(&json, one, "before", change->before);
		json_text_add(&json, one, "after", change->after);
		CHECK(yyjson_mut_obj_add_bool(json.document, one, "restart", change->restart));
	}
	json_text_print(&json);
}

static void print_value(const char *between, const char *value)
{
	if (value == NULL || value[0] == '\0') return;
	fputs(between, stdout);
	table_write_safe(stdout, value);
}

static void print_change(const struct config_change *change, bool colour)
{
	static const char *const marks[] = { "+", "-", "~" };
	static const enum table_colour colours[] = { TABLE_GREEN, TABLE_RED, TABLE_YELLOW };

	printf("%s%s ", table_colour_code(colour, colours[change->kind]), marks[change->kind]);
	table_write_safe(stdout, change->path);
	print_value(": ", change->before);
	print_value(change->kind == CONFIG_CHANGED ? " -> " : ": ", change->after);
	printf("%s%s\n", change->restart ? "  (needs a restart)" : "",
		table_colour_code(colour, TABLE_PLAIN));
}

static int diff_print(const struct invocation *invocation, const struct config_settings *before,
	const struct config_settings *after)
{
	struct config_arena *arena = config_arena_create();
	struct config_difference changes = config_diff(before, after, arena);
	bool same = changes.count == 0;

	if (invocation->json) {
		diff_json(&changes);
	} else {
		for (uint32_t i = 0; i < changes.count; i++) {
			print_change(&changes.all[i], invocation->colour);
		}
		if (same) printf("they mean the same\n");
	}
	config_arena_free(arena);
	return same ? EX_OK : EXIT_NEGATIVE;
}

/* The settings of a file, as if it stood at `as`. */
static bool file_settings(const struct invocation *invocation, const char *path, const char *as,
	struct config_arena *arena, struct config_settings *ret, int *ret_exit_code)
{
	struct config *config = config_file_load(invocation, path, as, ret_exit_code);
	if (config == NULL) return false;

	*ret = config_settings_of(config, arena);
	config_free(config);
	return true;
}

static char *text_keep(struct config_arena *arena, yyjson_val *object, const char *name)
{
	const char *text = member_text(object, name);
	return config_arena_text(arena, text, strlen(text));
}

/* Those that the daemon serves; *ret_file is what it was loaded from. */
static bool running_settings(const struct invocation *invocation, struct config_arena *arena,
	struct config_settings *ret, const char **ret_file, int *ret_exit_code)
{
	struct answer answer;
	struct client_target target = client_target_of(CONTROL_API "/config");
	bool good = answer_get_page(invocation, "GET", &target, &answer, ret_exit_code);

	if (good) {
		yyjson_val *list = member(answer.root, "settings");
		size_t count = yyjson_arr_size(list);
		struct config_setting *all = config_arena_take(arena, count + 1, sizeof *all);
		yyjson_val *one;
		size_t index;
		size_t max;
		yyjson_arr_foreach(list, index, max, one)
		{
			all[index] = (struct config_setting){
				.path = text_keep(arena, one, "path"),
				.value = text_keep(arena, one, "value"),
				.position = { (uint32_t)member_number(one, "line"),
					(uint32_t)member_number(one, "column") },
				.restart = member_bool(one, "restart"),
				.opens = strcmp(member_text(one, "origin"), "element") == 0,
			};
		}
		*ret = (struct config_settings){ all, (uint32_t)count };
		*ret_file = text_keep(arena, answer.root, "file");
	}
	answer_free(&answer);
	return good;
}

/* Before is the first file, or what the daemon serves; after the last one, as if it stood in the
 * first one's place, as it will; or the file that the daemon was started with, as it is now. */
int command_config_diff(const struct invocation *invocation)
{
	unsigned count = invocation->argument_count;
	const char *first = count == 2 ? invocation->arguments[0] : NULL;
	struct config_arena *arena = config_arena_create();
	struct config_settings before = { 0 };
	struct config_settings after = { 0 };
	int exit_code = EX_OK;

	bool good = first != NULL
		? file_settings(invocation, first, first, arena, &before, &exit_code)
		: running_settings(invocation, arena, &before, &first, &exit_code);
	if (good) {
		const char *last = count > 0 ? invocation->arguments[count - 1] : first;
		good = file_settings(invocation, last, first, arena, &after, &exit_code);
	}
	if (good) exit_code = diff_print(invocation, &before, &after);
	config_arena_free(arena);
	return exit_code;
}

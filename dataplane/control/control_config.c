/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_config — the configuration being served, setting by setting, defaults too: for comparing
 * it with a file (penstockctl config diff).
 *
 * For admins: the URLs of targets are whole, and some receivers put a secret into the path. What
 * stands in secret files is not known here.
 */
#include "config/config_show.h"
#include "control/control_internal.h"

static void write_setting(struct json *json, const struct config_setting *setting)
{
	bool written = setting->position.line > 0;

	json_object(json, NULL);
	json_text(json, "path", setting->path);
	json_text(json, "value", setting->value);
	json_text(json, "origin", setting->opens ? "element" : written ? "file" : "default");
	json_number(json, "line", setting->position.line);
	json_number(json, "column", setting->position.column);
	json_bool(json, "restart", setting->restart);
	json_object_end(json);
}

void control_handle_config(struct control_call *call)
{
	struct flow *flow = control_flow(call);
	if (flow == NULL) return;

	struct config_arena *arena = config_arena_create();
	struct config_settings settings = config_settings_of(flow->config, arena);
	struct json *json = control_answer(call, "penstock.config/v1");
	json_text(json, "file", flow->config->path);
	json_number(json, "generation", flow->generation);
	json_array(json, "settings");
	for (uint32_t i = 0; i < settings.count; i++) write_setting(json, &settings.all[i]);
	json_array_end(json);
	json_object_end(json);
	config_arena_free(arena);
	flow_release(flow);
}

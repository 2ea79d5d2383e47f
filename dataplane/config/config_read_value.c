/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_read_value — one written value into one field, by the type of its key. */
#include <stdio.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_read.h"

void config_field_store(void *field, size_t size, uint64_t value)
{
	uint32_t small = (uint32_t)value;

	if (size == sizeof small) {
		CHECK(value <= UINT32_MAX);
		memcpy(field, &small, sizeof small);
		return;
	}
	CHECK(size == sizeof value);
	memcpy(field, &value, sizeof value);
}

static bool store_text(const struct config_frame *frame, void *field, const char *text)
{
	const char *copy = config_arena_text(frame->reading->arena, text, strlen(text));
	memcpy(field, &copy, sizeof copy);
	return true;
}

static bool store_lower(const struct config_frame *frame, void *field, const char *text)
{
	char *copy = config_arena_text(frame->reading->arena, text, strlen(text));

	for (char *at = copy; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
	}
	memcpy(field, &copy, sizeof copy);
	return true;
}

/* Relative names start at the configuration file's folder. */
static bool store_file(const struct config_frame *frame, void *field, const char *text)
{
	const char *slash = strrchr(frame->reading->path, '/');

	if (text[0] == '/' || slash == NULL) return store_text(frame, field, text);

	size_t folder_size = (size_t)(slash - frame->reading->path) + 1;
	size_t text_size = strlen(text) + 1; /* with its NUL */
	char *joined = config_arena_take(frame->reading->arena, folder_size + text_size, 1);
	memcpy(joined, frame->reading->path, folder_size);
	memcpy(joined + folder_size, text, text_size);
	memcpy(field, &joined, sizeof joined);
	return true;
}

static bool read_target_url(const struct config_frame *frame, const char *text, void *object,
	struct config_fault *fault)
{
	struct config_target *target = object;
	struct config_arena *arena = frame->reading->arena;
	struct config_url url;

	if (!config_value_url(text, &url, fault)) return false;

	size_t path_size = strlen(url.path);
	bool slash_missing = url.path[0] != '/';
	char *path = config_arena_take(arena, path_size + 2, 1);
	path[0] = '/';
	memcpy(path + (slash_missing ? 1 : 0), url.path, path_size);

	target->url = config_arena_text(arena, text, strlen(text));
	target->host = config_arena_text(arena, url.host, strlen(url.host));
	target->tls = url.tls;
	target->port = url.port;
	target->path = path;
	return true;
}

static bool read_origin(const struct config_frame *frame, const char *text, void *field,
	struct config_fault *fault)
{
	struct config_url url;

	if (!config_value_url(text, &url, fault)) return false;
	if (url.path[0] != '\0') {
		return config_fault_set(fault, PS_URL, "the path is taken from the request",
			"only scheme://host[:port] may stand here");
	}
	return store_text(frame, field, text);
}

void config_key_quantity(const struct config_key *key, uint64_t value,
	char to[static CONFIG_QUANTITY_SIZE])
{
	if (key->type == CONFIG_TYPE_RATIO) {
		config_format_ratio(value, to);
		return;
	}
	switch (key->unit) {
	case CONFIG_UNIT_NONE:
		snprintf(to, CONFIG_QUANTITY_SIZE, "%llu", (unsigned long long)value);
		break;
	case CONFIG_UNIT_BYTES: config_format_size(value, to); break;
	case CONFIG_UNIT_MS: config_format_duration_ms(value, to); break;
	case CONFIG_UNIT_S: config_format_duration_ms(value * 1000, to); break;
	}
}

static bool read_quantity(const struct config_key *key, const char *text, void *field,
	struct config_fault *fault)
{
	char least[CONFIG_QUANTITY_SIZE];
	char most[CONFIG_QUANTITY_SIZE];
	uint64_t value = 0;
	bool good = key->unit == CONFIG_UNIT_NONE ? config_value_count(text, &value, fault)
		: key->unit == CONFIG_UNIT_BYTES  ? config_value_size(text, &value, fault)
						  : config_value_duration_ms(text, &value, fault);
	if (!good) return false;

	bool whole = key->unit != CONFIG_UNIT_S || value % 1000 == 0;
	if (key->unit == CONFIG_UNIT_S) value /= 1000;
	if (value < key->min || value > key->max) {
		config_key_quantity(key, key->min, least);
		config_key_quantity(key, key->max, most);
		return config_fault_set(fault, PS_RANGE, NULL, "%.40s is outside %s to %s", text,
			least, most);
	}
	if (!whole) {
		return config_fault_set(fault, PS_RANGE, NULL,
			"%.40s is not a whole number of seconds", text);
	}
	config_field_store(field, key->size, value);
	return true;
}

static bool read_ratio(const struct config_key *key, const char *text, void *field,
	struct config_fault *fault)
{
	uint64_t millionths;

	if (!config_value_ratio(text, &millionths, fault)) return false;
	config_field_store(field, key->size, millionths);
	return true;
}

static bool read_choice(const struct config_key *key, const char *text, void *field,
	struct config_fault *fault)
{
	char list[128];
	char hint[64] = "";
	struct writer writer = writer_of(list, sizeof list - 1);

	for (uint32_t i = 0; i < key->choice_count; i++) {
		if (strcmp(key->choices[i], text) == 0) {
			config_field_store(field, key->size, i);
			return true;
		}
		write_format(&writer, "%s%s",
			i == 0                               ? ""
				: i + 1 == key->choice_count ? " or "
							     : ", ",
			key->choices[i]);
	}
	list[writer.size] = '\0';
	const char *nearest = config_nearest(text, key->choices, key->choice_count);
	if (nearest != NULL) snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
	return config_fault_set(fault, PS_CHOICE, hint, "'%.40s' is not one of %s", text, list);
}

bool config_read_value(const struct config_frame *frame, const struct config_key *key,
	const char *text, void *object, void *field, struct config_fault *fault)
{
	switch (key->type) {
	case CONFIG_TYPE_NAME:
		return config_value_name(text, fault) && store_text(frame, field, text);
	case CONFIG_TYPE_WORD:
		return config_value_word(text, fault) && store_text(frame, field, text);
	case CONFIG_TYPE_FILE:
		return config_value_file(text, fault) && store_file(frame, field, text);
	case CONFIG_TYPE_PATH:
		return config_value_path(text, fault) && store_text(frame, field, text);
	case CONFIG_TYPE_HOST:
		return config_value_host(text, false, fault) && store_lower(frame, field, text);
	case CONFIG_TYPE_HOST_PATTERN:
		return config_value_host(text, true, fault) && store_lower(frame, field, text);
	case CONFIG_TYPE_TARGET_URL: return read_target_url(frame, text, object, fault);
	case CONFIG_TYPE_ORIGIN: return read_origin(frame, text, field, fault);
	case CONFIG_TYPE_ADDRESS: return config_value_address(text, field, fault);
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION: return read_quantity(key, text, field, fault);
	case CONFIG_TYPE_RATIO: return read_ratio(key, text, field, fault);
	case CONFIG_TYPE_CHOICE: return read_choice(key, text, field, fault);
	case CONFIG_TYPE_CPUS:
	case CONFIG_TYPE_SECTION:
	case CONFIG_TYPE_SECTION_OR_OFF:
	case CONFIG_TYPE_REFUSED: break;
	}
	UNREACHABLE();
}

/* ---- CPU lists ------------------------------------------------------------------------------- */

static void store_cpus(struct config_reading *reading, const struct config_cpus *cpus,
	struct config *config)
{
	uint32_t count = config_cpus_count(cpus);
	uint32_t at = 0;

	config->cpus = config_arena_take(reading->arena, count, sizeof *config->cpus);
	for (uint32_t cpu = 0; cpu < CPU_INDEX_LIMIT; cpu++) {
		if (config_cpus_has(cpus, cpu)) config->cpus[at++] = (uint16_t)cpu;
	}
	CHECK(at == count);
	/* config_check() has reported lists that are longer. */
	config->cpu_count = count;
}

void config_read_cpus_auto(struct config_reading *reading, struct config *config)
{
	struct config_cpus cpus;

	if (!config_value_cpus_auto(&cpus)) {
		config_report_add(reading->report, CONFIG_ERROR, PS_CPUS,
			(struct config_position){ 0 }, "list the CPUs: workers: { cpus: [0, 1] }",
			"the kernel does not say which CPUs this process may run on");
		return;
	}
	store_cpus(reading, &cpus, config);
	config->cpus_auto = true;
	/* More than there can be workers: the first ones do. */
	if (config->cpu_count > WORKERS_MAX) config->cpu_count = WORKERS_MAX;
}

void config_read_cpus(const struct config_frame *frame, const struct config_key *key,
	const struct config_node *node, struct config *config)
{
	struct config_cpus cpus = { 0 };
	struct config_fault fault;
	bool is_list = node->kind == NODE_LIST;
	const struct config_node *element = is_list ? node->first : node;

	if (!is_list && node->kind == NODE_SCALAR && strcmp(node->text, "auto") == 0) return;
	if (is_list && element == NULL) {
		(void)config_fault_set(&fault, PS_EMPTY_LIST, NULL, "the list is empty");
		config_read_fault(frame, key, node->position, &fault);
	}
	for (; element != NULL; element = is_list ? element->next : NULL) {
		if (element->kind == NODE_BROKEN) continue;
		(void)config_fault_set(&fault, PS_WRONG_KIND,
			"write auto, a number, a range 0-3, or a list [0, 2, 4-7]",
			"a CPU or a range of CPUs is expected");
		if (element->kind == NODE_SCALAR &&
			config_value_cpus(element->text, &cpus, &fault)) {
			continue;
		}
		config_read_fault(frame, key, element->position, &fault);
	}
	if (config_cpus_count(&cpus) > 0) store_cpus(frame->reading, &cpus, config);
}

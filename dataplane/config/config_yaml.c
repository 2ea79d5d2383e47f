/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_yaml.h"

#include <stdio.h>

#include <yaml.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_text.h"
#include "config/config_yaml_fault.h"

struct builder {
	struct config_arena *arena;
	struct config_report *report;
	struct config_node *root;
	struct config_node *open[CONFIG_DEPTH_MAX]; /* containers around the current place */
	struct config_node *last[CONFIG_DEPTH_MAX]; /* the last child of each */
	uint32_t depth;
	uint32_t node_count;
	uint32_t document_count;
	bool stopped; /* reported, and not worth going on */
};

static struct config_position position_of(const yaml_mark_t *mark)
{
	return (struct config_position){
		.line = (uint32_t)mark->line + 1,
		.column = (uint32_t)mark->column + 1,
	};
}

/* The first character that may not stand in the file, reported. */
static bool text_is_clean(struct bytes text, struct config_report *report)
{
	struct config_position position = { .line = 1, .column = 1 };

	while (text.size > 0) {
		uint32_t character;
		size_t size = config_text_next(text, &character);

		if (size == 0) {
			config_report_add(report, CONFIG_ERROR, PS_NOT_TEXT, position,
				"save the file as UTF-8", "not UTF-8 text: byte 0x%02X",
				text.data[0]);
			return false;
		}
		bool line_end = character == '\r' && text.size > 1 && text.data[1] == '\n';
		if (!line_end && !config_text_allowed(character)) {
			config_report_add(report, CONFIG_ERROR, PS_NOT_TEXT, position,
				"remove it; inside double quotes it can be written as \\uXXXX",
				"character U+%04X is not allowed here", character);
			return false;
		}
		text = bytes_from(text, size);
		position.column++;
		if (character == '\n') {
			position.line++;
			position.column = 1;
		}
	}
	return true;
}

static bool key_is_next(const struct builder *builder)
{
	if (builder->depth == 0) return false;
	const struct config_node *parent = builder->open[builder->depth - 1];
	return parent->kind == NODE_MAP && parent->child_count % 2 == 0;
}

/* Appends a node to the container that is open. NULL when there are too many. */
static struct config_node *node_add(struct builder *builder, enum config_node_kind kind,
	const yaml_mark_t *mark)
{
	struct config_position position = position_of(mark);

	if (++builder->node_count > CONFIG_NODES_MAX) {
		config_report_add(builder->report, CONFIG_ERROR, PS_TOO_LARGE, position, NULL,
			"more than %u keys and values", CONFIG_NODES_MAX);
		builder->stopped = true;
		return NULL;
	}

	bool not_a_key = key_is_next(builder) && (kind == NODE_LIST || kind == NODE_MAP);
	if (not_a_key) {
		config_report_add(builder->report, CONFIG_ERROR, PS_WRONG_KIND, position,
			"text that begins with '[' or '{' needs quotes",
			"a key must be plain text");
	}

	struct config_node *node = config_arena_take(builder->arena, 1, sizeof *node);
	node->kind = not_a_key ? NODE_BROKEN : kind;
	node->position = position;
	node->begin = mark->index;
	if (builder->depth == 0) {
		builder->root = node;
		return node;
	}

	uint32_t level = builder->depth - 1;
	if (builder->last[level] == NULL) {
		builder->open[level]->first = node;
	} else {
		builder->last[level]->next = node;
	}
	builder->last[level] = node;
	builder->open[level]->child_count++;
	return node;
}

static void container_open(struct builder *builder, enum config_node_kind kind, bool flow,
	const yaml_mark_t *mark)
{
	struct config_node *node = node_add(builder, kind, mark);
	if (node == NULL) return;
	node->flow = flow;

	if (builder->depth == CONFIG_DEPTH_MAX) {
		config_report_add(builder->report, CONFIG_ERROR, PS_TOO_LARGE, position_of(mark),
			NULL, "nested more than %u levels deep", CONFIG_DEPTH_MAX);
		builder->stopped = true;
		return;
	}
	builder->open[builder->depth] = node;
	builder->last[builder->depth] = NULL;
	builder->depth++;
}

static void container_close(struct builder *builder, const yaml_mark_t *mark)
{
	CHECK(builder->depth > 0);
	struct config_node *node = builder->open[--builder->depth];
	node->last_line = position_of(mark).line;
	node->end = mark->index;
}

/* Anchors and tags are reported; the value itself is then taken as it stands. */
static void refuse_feature(struct builder *builder, const yaml_event_t *event,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct config_position position = position_of(&event->start_mark);

	if (anchor != NULL) {
		config_report_add(builder->report, CONFIG_ERROR, PS_YAML_FEATURE, position,
			"write the value out; text that begins with '&' needs quotes",
			"YAML anchors are not accepted ('&%.40s')", (const char *)anchor);
	}
	if (tag != NULL) {
		config_report_add(builder->report, CONFIG_ERROR, PS_YAML_FEATURE, position,
			"remove it; text that begins with '!' needs quotes",
			"YAML tags are not accepted ('%.40s')", (const char *)tag);
	}
}

static void refuse_alias(struct builder *builder, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	char hint[128];

	snprintf(hint, sizeof hint, "text that begins with '*' needs quotes: '*%.40s'", name);
	config_report_add(builder->report, CONFIG_ERROR, PS_YAML_FEATURE,
		position_of(&event->start_mark), hint, "YAML aliases are not accepted ('*%.40s')",
		name);
	(void)node_add(builder, NODE_BROKEN, &event->start_mark); /* `stopped` says it */
}

/* Escapes in double quotes and block scalars can bring in what text_is_clean() keeps out. */
static bool scalar_is_clean(struct bytes text, uint32_t *ret_character)
{
	while (text.size > 0) {
		size_t size = config_text_next(text, ret_character);
		if (size == 0 || *ret_character == '\n' || *ret_character == '\t') return false;
		if (!config_text_allowed(*ret_character)) return false;
		text = bytes_from(text, size);
	}
	return true;
}

static void scalar_add(struct builder *builder, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;
	uint32_t character = 0;

	struct config_node *node = node_add(builder, NODE_SCALAR, &event->start_mark);
	if (node == NULL) return;

	node->end = event->end_mark.index;
	node->last_line = position_of(&event->end_mark).line;
	if (size > CONFIG_SCALAR_SIZE_MAX) {
		config_report_add(builder->report, CONFIG_ERROR, PS_TOO_LARGE, node->position, NULL,
			"a value of %zu bytes; the longest allowed is %u", size,
			CONFIG_SCALAR_SIZE_MAX);
		node->kind = NODE_BROKEN;
		return;
	}
	if (!scalar_is_clean(bytes_of(value, size), &character)) {
		if (character == '\n') {
			config_report_add(builder->report, CONFIG_ERROR, PS_NOT_TEXT,
				node->position, "write it on one line",
				"the value has more than one line");
		} else {
			config_report_add(builder->report, CONFIG_ERROR, PS_NOT_TEXT,
				node->position, "a value is one line of visible text",
				"the value holds the character U+%04X", character);
		}
		node->kind = NODE_BROKEN;
		return;
	}
	node->text = config_arena_text(builder->arena, value, size);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static void document_open(struct builder *builder, const yaml_event_t *event)
{
	if (++builder->document_count == 1) return;
	config_report_add(builder->report, CONFIG_ERROR, PS_YAML_FEATURE,
		position_of(&event->start_mark), "remove the line '---'",
		"a second YAML document; the file must hold one");
	builder->stopped = true;
}

static void event_take(struct builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT: break;
	case YAML_DOCUMENT_START_EVENT: document_open(builder, event); break;
	case YAML_ALIAS_EVENT: refuse_alias(builder, event); break;
	case YAML_SCALAR_EVENT:
		refuse_feature(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
		scalar_add(builder, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_feature(builder, event, event->data.sequence_start.anchor,
			event->data.sequence_start.tag);
		container_open(builder, NODE_LIST,
			event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
			&event->start_mark);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_feature(builder, event, event->data.mapping_start.anchor,
			event->data.mapping_start.tag);
		container_open(builder, NODE_MAP,
			event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
			&event->start_mark);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: container_close(builder, &event->end_mark); break;
	}
}

struct config_node *config_yaml_parse(struct bytes text, struct config_arena *arena,
	struct config_report *report)
{
	struct builder builder = { .arena = arena, .report = report };
	yaml_parser_t parser;
	bool at_end = false;

	if (!text_is_clean(text, report)) return NULL;

	CHECK(yaml_parser_initialize(&parser) == 1); /* fails only without memory */
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text.data == NULL ? (const uint8_t *)"" : text.data,
		text.size);
	while (!at_end && !builder.stopped) {
		yaml_event_t event;

		if (yaml_parser_parse(&parser, &event) != 1) {
			config_yaml_fault(&parser, text, report);
			builder.stopped = true;
			break;
		}
		event_take(&builder, &event);
		at_end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return builder.stopped ? NULL : builder.root;
}

const struct config_node *config_node_find(const struct config_node *map, const char *key)
{
	if (map->kind != NODE_MAP) return NULL;
	for (const struct config_node *node = map->first; node != NULL; node = node->next->next) {
		if (node->kind == NODE_SCALAR && strcmp(node->text, key) == 0) return node->next;
	}
	return NULL;
}

bool config_node_is_null(const struct config_node *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != NODE_SCALAR || node->quoted) return false;
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcmp(node->text, words[i]) == 0) return true;
	}
	return false;
}

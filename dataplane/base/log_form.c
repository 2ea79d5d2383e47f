/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log_form.h"

#include "base/check.h"
#include "base/json_string.h"

#define FIELD_PREFIX "PENSTOCK_"

/* Twice the message, in JSON's longest spelling, and what stands around the pairs. */
BOUND(LOG_OUTPUT_SIZE >=
	2 * 6 * LOG_MESSAGE_SIZE_MAX + LOG_PAIRS_MAX * (LOG_KEY_SIZE_MAX + 8) + 256);
BOUND(sizeof FIELD_PREFIX - 1 + LOG_KEY_SIZE_MAX <= 64);

static const char *const level_names[] = { "error", "warning", "notice", "info", "debug" };
BOUND(ARRAY_COUNT(level_names) == LOG_DEBUG + 1);

/* ---- Pairs ----------------------------------------------------------------------------------- */

struct pair {
	struct bytes key;
	struct bytes value;
};

struct pairs {
	struct pair list[LOG_PAIRS_MAX];
	unsigned count;
};

static bool key_letter(uint8_t c, bool first)
{
	return (c >= 'a' && c <= 'z') || (!first && ((c >= '0' && c <= '9') || c == '_'));
}

/* Size of the key that the text begins with, or 0 when it does not begin with `key=`. */
static size_t key_size(struct bytes text)
{
	size_t size = 0;

	while (size < text.size && key_letter(text.data[size], size == 0)) size++;
	if (size == text.size || text.data[size] != '=' || size > LOG_KEY_SIZE_MAX) return 0;
	return size;
}

/* The value at the text's start; returns what it takes there, with its quotes. A line that was
 * cut has none at the end. */
static size_t value_take(struct bytes text, struct bytes *ret)
{
	if (text.size > 0 && text.data[0] == '"') {
		struct bytes inside = bytes_from(text, 1);
		size_t size = bytes_find(inside, '"');
		*ret = bytes_of(inside.data, size);
		return size == inside.size ? text.size : size + 2;
	}
	size_t size = bytes_find(text, ' ');
	size_t value_size = size;
	/* The sentence's, not the value's. */
	while (value_size > 0 && memchr(",;\n", text.data[value_size - 1], 3) != NULL) value_size--;
	*ret = bytes_of(text.data, value_size);
	return size;
}

static void pairs_add(struct pairs *pairs, struct bytes key, struct bytes value)
{
	if (pairs->count == LOG_PAIRS_MAX) return;
	for (unsigned i = 0; i < pairs->count; i++) {
		if (bytes_equal(pairs->list[i].key, key)) return;
	}
	pairs->list[pairs->count++] = (struct pair){ .key = key, .value = value };
}

static void pairs_find(struct pairs *pairs, struct bytes text)
{
	while (text.size > 0) {
		size_t size = key_size(text);
		if (size > 0) {
			struct bytes key = bytes_of(text.data, size);
			struct bytes value;
			size += 1 + value_take(bytes_from(text, size + 1), &value);
			pairs_add(pairs, key, value);
			text = bytes_from(text, size);
		}
		/* To the next word. */
		text = bytes_from(text, bytes_find(text, ' '));
		while (text.size > 0 && text.data[0] == ' ') text = bytes_from(text, 1);
	}
}

/* ---- Text ------------------------------------------------------------------------------------ */

void log_form_text(struct writer *writer, const struct log_line *line, const char *prefix)
{
	write_text(writer, prefix);
	write_text(writer, "penstock: ");
	write_text(writer, level_names[line->level]);
	write_text(writer, ": ");
	write_bytes(writer, line->message);
	write_u8(writer, '\n');
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_member(struct writer *writer, struct bytes key, struct bytes value)
{
	write_u8(writer, ',');
	write_json_string(writer, key);
	write_u8(writer, ':');
	write_json_string(writer, value);
}

void log_form_json(struct writer *writer, const struct log_line *line)
{
	/* The object's own members; a pair of that name is not said again. */
	struct pairs pairs = { .list = { { .key = BYTES_LITERAL("time") },
				       { .key = BYTES_LITERAL("level") },
				       { .key = BYTES_LITERAL("message") } },
		.count = 3 };
	unsigned own_count = pairs.count;

	pairs_find(&pairs, line->message);
	write_text(writer, "{\"time\":");
	write_json_string(writer, bytes_of_text(line->time));
	json_member(writer, BYTES_LITERAL("level"), bytes_of_text(level_names[line->level]));
	json_member(writer, BYTES_LITERAL("message"), line->message);
	for (unsigned i = own_count; i < pairs.count; i++) {
		json_member(writer, pairs.list[i].key, pairs.list[i].value);
	}
	write_text(writer, "}\n");
}

/* ---- Journal --------------------------------------------------------------------------------- */

/* What follows the name. "NAME=value\n", or where the value has a line's end in it: the name on a
 * line of its own, the size as 64 bits, little-endian, the value, a line's end
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL). */
static void field_value(struct writer *writer, struct bytes value)
{
	if (bytes_find(value, '\n') == value.size) {
		write_u8(writer, '=');
	} else {
		write_u8(writer, '\n');
		write_u64(writer, value.size);
	}
	write_bytes(writer, value);
	write_u8(writer, '\n');
}

static void field_write(struct writer *writer, const char *name, struct bytes value)
{
	write_text(writer, name);
	field_value(writer, value);
}

static void field_pair(struct writer *writer, const struct pair *pair)
{
	write_text(writer, FIELD_PREFIX);
	for (size_t i = 0; i < pair->key.size; i++) {
		uint8_t c = pair->key.data[i];
		write_u8(writer, c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c);
	}
	field_value(writer, pair->value);
}

void log_form_journal(struct writer *writer, const struct log_line *line)
{
	/* syslog's: 3 is an error, 7 is for debugging. */
	static const char *const priorities[] = { "3", "4", "5", "6", "7" };
	struct pairs pairs = { .count = 0 };

	pairs_find(&pairs, line->message);
	field_write(writer, "MESSAGE", line->message);
	field_write(writer, "PRIORITY", bytes_of_text(priorities[line->level]));
	field_write(writer, "SYSLOG_IDENTIFIER", BYTES_LITERAL("penstockd"));
	if (line->file != NULL) {
		field_write(writer, "CODE_FILE", bytes_of_text(line->file));
		write_format(writer, "CODE_LINE=%u\n", line->line);
	}
	for (unsigned i = 0; i < pairs.count; i++) field_pair(writer, &pairs.list[i]);
}

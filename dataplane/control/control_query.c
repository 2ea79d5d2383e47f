/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_query — see the header. */
#include "control/control_query.h"

#include <stdio.h>

#include "base/cursor.h"

/* Undoes the percent escapes of a query part. False for a broken one, and for characters that
 * have no place in a name or a cursor. */
static bool unescape(struct bytes from, struct writer *writer)
{
	for (size_t i = 0; i < from.size; i++) {
		uint8_t byte = from.data[i];
		if (byte == '%') {
			size_t size;
			struct bytes digits =
				bytes_of(from.data + i + 1, from.size - i > 2 ? 2 : 0);
			if (hex_decode(digits, &byte, 1, &size) != RESULT_OK || size != 1)
				return false;
			i += 2;
		}
		if (byte < ' ' || byte == 0x7f) return false;
		write_u8(writer, byte);
	}
	write_u8(writer, '\0');
	return !writer->failed;
}

static bool list_holds(const char *list, struct bytes name)
{
	struct bytes rest = bytes_of_text(list);
	struct bytes item;
	while (rest.size > 0) {
		bytes_split(rest, ' ', &item, &rest);
		if (bytes_equal(item, name)) return true;
	}
	return false;
}

static bool take_parameter(struct control_query *query, struct writer *writer, struct bytes item,
	const char *allowed, char *error, size_t error_size)
{
	struct bytes name;
	struct bytes value;
	bytes_split(item, '=', &name, &value);
	int size = (int)(name.size > 40 ? 40 : name.size);
	const char *text = (const char *)name.data;

	if (!list_holds(allowed, name)) {
		snprintf(error, error_size, "there is no parameter \"%.*s\" here; there %s%s", size,
			text, *allowed == '\0' ? "are none" : "are: ", allowed);
		return false;
	}
	if (value.size == 0) {
		snprintf(error, error_size, "the parameter %.*s is empty", size, text);
		return false;
	}
	struct control_parameter *parameter = &query->parameters[query->count];
	parameter->name = (const char *)writer->data + writer->size;
	write_bytes(writer, name);
	write_u8(writer, '\0');
	parameter->value = (const char *)writer->data + writer->size;
	if (!unescape(value, writer)) {
		snprintf(error, error_size, "the parameter %.*s is too long or badly escaped", size,
			text);
		return false;
	}
	if (control_query_get(query, parameter->name) != NULL) {
		snprintf(error, error_size, "the parameter %.*s is there twice", size, text);
		return false;
	}
	query->count++;
	return true;
}

bool control_query_parse(struct control_query *query, struct bytes text, const char *allowed,
	char *error, size_t error_size)
{
	query->count = 0;
	struct writer writer = writer_of(query->text, sizeof query->text);
	while (text.size > 0) {
		struct bytes item;
		bytes_split(text, '&', &item, &text);
		if (query->count == CONTROL_PARAMETERS_MAX) {
			snprintf(error, error_size, "there are too many parameters");
			return false;
		}
		if (!take_parameter(query, &writer, item, allowed, error, error_size)) return false;
	}
	return true;
}

const char *control_query_get(const struct control_query *query, const char *name)
{
	for (size_t i = 0; i < query->count; i++) {
		if (strcmp(query->parameters[i].name, name) == 0) return query->parameters[i].value;
	}
	return NULL;
}

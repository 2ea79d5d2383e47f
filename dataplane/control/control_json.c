/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_json — see the header. */
#include "control/control_json.h"

#include <time.h>

#include "base/check.h"
#include "http/http_write.h"

static void write_key(struct json *json, const char *key)
{
	if (json->comma) write_u8(json->writer, ',');
	json->comma = true;
	if (key == NULL) return;
	http_write_json_string(json->writer, bytes_of_text(key));
	write_u8(json->writer, ':');
}

static void open_with(struct json *json, const char *key, char bracket)
{
	write_key(json, key);
	write_u8(json->writer, (uint8_t)bracket);
	json->depth++;
	json->comma = false;
}

static void close_with(struct json *json, char bracket)
{
	CHECK(json->depth > 0);

	write_u8(json->writer, (uint8_t)bracket);
	json->depth--;
	json->comma = true;
}

void json_object(struct json *json, const char *key)
{
	open_with(json, key, '{');
}

void json_object_end(struct json *json)
{
	close_with(json, '}');
}

void json_array(struct json *json, const char *key)
{
	open_with(json, key, '[');
}

void json_array_end(struct json *json)
{
	close_with(json, ']');
}

void json_bytes(struct json *json, const char *key, struct bytes text)
{
	write_key(json, key);
	http_write_json_string(json->writer, text);
}

void json_text(struct json *json, const char *key, const char *text)
{
	json_bytes(json, key, bytes_of_text(text));
}

void json_text_or_null(struct json *json, const char *key, struct bytes text)
{
	if (text.size == 0) {
		json_null(json, key);
	} else {
		json_bytes(json, key, text);
	}
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	write_key(json, key);
	write_decimal(json->writer, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	write_key(json, key);
	write_text(json->writer, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
	write_key(json, key);
	write_text(json->writer, "null");
}

void json_time(struct json *json, const char *key, wall_t time)
{
	if (time.us == 0) {
		json_null(json, key);
		return;
	}
	time_t seconds = (time_t)wall_seconds(time);
	struct tm tm;
	char text[40];
	if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof text, "%FT%T", &tm) == 0) {
		json_null(json, key);
		return;
	}
	write_key(json, key);
	write_format(json->writer, "\"%s.%06uZ\"", text, (unsigned)(time.us % US_PER_S));
}

void json_hex(struct json *json, const char *key, struct bytes bytes)
{
	write_key(json, key);
	write_u8(json->writer, '"');
	uint8_t *at = write_reserve(json->writer, 2 * bytes.size);
	if (at != NULL) hex_encode(bytes, (char *)at);
	write_u8(json->writer, '"');
}

void json_raw(struct json *json, const char *key, struct bytes value)
{
	write_key(json, key);
	write_bytes(json->writer, value);
}

bool json_complete(const struct json *json)
{
	return json->depth == 0 && !json->writer->failed;
}

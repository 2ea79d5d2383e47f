/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scheme — what the rest of the system may ask about a row. */
#include "verify/scheme.h"

const char *scheme_name(const struct scheme *scheme)
{
	return scheme->name;
}

const char *scheme_title(const struct scheme *scheme)
{
	return scheme->title;
}

const char *scheme_signature_header(const struct scheme *scheme)
{
	return (const char *)scheme->signature.header.data;
}

bool scheme_signs_url(const struct scheme *scheme)
{
	for (size_t i = 0; i < MESSAGE_PARTS_MAX; i++) {
		enum part_kind kind = scheme->message[i].kind;
		if (kind == PART_URL || kind == PART_URL_DECODED) return true;
	}
	return false;
}

uint32_t scheme_tolerance_s(const struct scheme *scheme)
{
	return scheme->timestamp.tolerance_s;
}

/* CloudEvents attributes in binary mode: whoever sends them means the final recipient. */
static bool is_cloud_event_field(struct bytes name)
{
	return name.size > 3 &&
		bytes_equal_ignore_case(bytes_of(name.data, 3), BYTES_LITERAL("ce-"));
}

bool scheme_forwards_field(const struct scheme *scheme, struct bytes name)
{
	if (is_cloud_event_field(name)) return true;
	if (scheme->forwards == NULL) return false;
	for (const struct bytes *field = scheme->forwards; field->size > 0; field++) {
		if (field->size == name.size && bytes_equal_ignore_case(*field, name)) return true;
	}
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_text — see the header. */
#include "json_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct json_text json_text_open(const char *schema)
{
	struct json_text json = { .document = yyjson_mut_doc_new(NULL) };

	CHECK(json.document != NULL); /* out of memory aborts, as in base/alloc.h */
	json.root = yyjson_mut_obj(json.document);
	yyjson_mut_doc_set_root(json.document, json.root);
	json_text_add(&json, json.root, "schema", schema);
	return json;
}

void json_text_print(struct json_text *json)
{
	char *text = yyjson_mut_write(json->document,
		YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);

	CHECK(text != NULL);
	(void)puts(text); /* main() looks at the stream */
	free(text);
	yyjson_mut_doc_free(json->document);
}

void json_text_add(struct json_text *json, yyjson_mut_val *object, const char *name,
	const char *text)
{
	yyjson_mut_val *value = text == NULL ? yyjson_mut_null(json->document)
					     : yyjson_mut_strcpy(json->document, text);

	CHECK(yyjson_mut_obj_add(object, yyjson_mut_str(json->document, name), value));
}

void json_text_add_position(struct json_text *json, yyjson_mut_val *object,
	struct config_position position)
{
	if (position.line == 0) {
		json_text_add(json, object, "line", NULL);
		json_text_add(json, object, "column", NULL);
		return;
	}
	CHECK(yyjson_mut_obj_add_uint(json->document, object, "line", position.line));
	CHECK(yyjson_mut_obj_add_uint(json->document, object, "column", position.column));
}

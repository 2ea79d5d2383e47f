/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Aims at json_id_find(). Whatever the document: what is found lies inside it, between quotes,
 * and has nothing odd in it; and where yyjson can read the document, it says the same.
 */
#include <stdint.h>
#include <string.h>

#include <yyjson.h>

#include "base/check.h"
#include "verify/json_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(struct bytes json, struct bytes id)
{
	if (id.size == 0) return;
	CHECK(id.data > json.data && id.data + id.size < json.data + json.size);
	CHECK(id.data[-1] == '"' && id.data[id.size] == '"');
	for (size_t i = 0; i < id.size; i++) {
		CHECK(id.data[i] >= ' ' && id.data[i] != '"' && id.data[i] != '\\');
	}
}

/* The first member of that name, as a real parser sees it. */
static void check_against_parser(struct bytes json, struct bytes id)
{
	if (json.size > JSON_ID_SCAN_SIZE_MAX) return;
	yyjson_doc *document = yyjson_read((const char *)json.data, json.size, 0);
	if (document == NULL) return;
	yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(document), "id");
	const char *text = yyjson_get_str(value);
	/* Ours may find nothing where the parser found something (escapes, depth), and then falls
	 * back to the body; it may never find something else. */
	if (id.size > 0) {
		CHECK(text != NULL);
		CHECK(bytes_equal(id, bytes_of(text, yyjson_get_len(value))));
	}
	yyjson_doc_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes json = bytes_of(data, size);
	struct bytes id = json_id_find(json, BYTES_LITERAL("id"));
	check_view(json, id);
	check_against_parser(json, id);
	return 0;
}

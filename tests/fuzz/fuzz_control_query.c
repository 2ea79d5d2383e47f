/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the parameters of a control request: refused with a sentence, or taken with names
 * that are allowed, each once, and values without control characters. */
#include <string.h>

#include "base/check.h"
#include "control/control_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "limit", "before", "after", "endpoint", "state" };
	static struct control_query query;
	char error[160] = "";
	bool taken = control_query_parse(&query, bytes_of(data, size),
		"limit before after endpoint state", error, sizeof error);
	CHECK(taken == (error[0] == '\0'));
	if (!taken) return 0;

	size_t found = 0;
	CHECK(query.count <= CONTROL_PARAMETERS_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		const char *value = control_query_get(&query, names[i]);
		if (value == NULL) continue;
		found++;
		CHECK(strlen(value) > 0 && strlen(value) < CONTROL_QUERY_SIZE_MAX);
		for (const char *c = value; *c != '\0'; c++) {
			CHECK((uint8_t)*c >= ' ' && *c != 0x7f);
		}
	}
	CHECK(found == query.count);
	return 0;
}

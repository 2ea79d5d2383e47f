/* SPDX-License-Identifier: GPL-2.0-or-later */
/* docs/metrics.md has the families that /metrics has. Not in step any more:
 *
 *   make metrics-reference
 *
 * runs this test so that it writes the table instead of comparing it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/control.h"

#define REFERENCE_FILE "docs/metrics.md"
#define MARK_BEGIN "<!-- made by: make metrics-reference -->\n"
#define MARK_END "<!-- end of what is made -->\n"

enum { TEXT_SIZE = 256 * 1024 };

static char file_text[TEXT_SIZE];
static char table[TEXT_SIZE];

static size_t file_read(void)
{
	FILE *file = fopen(REFERENCE_FILE, "r");
	assert_non_null(file);
	size_t size = fread(file_text, 1, sizeof file_text - 1, file);
	assert_int_equal(fclose(file), 0);
	assert_true(size > 0 && size < sizeof file_text - 1);
	return size;
}

static void file_write(const char *begin, const char *end)
{
	FILE *file = fopen(REFERENCE_FILE ".new", "w");
	assert_non_null(file);
	fwrite(file_text, 1, (size_t)(begin - file_text), file);
	fputs(table, file);
	fputs(end, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(REFERENCE_FILE ".new", REFERENCE_FILE), 0);
}

static void test_reference_is_current(void **state)
{
	(void)state;
	file_read();
	struct writer writer = writer_of(table, sizeof table - 1);
	control_metrics_reference(&writer);
	assert_false(writer.failed);

	char *begin = strstr(file_text, MARK_BEGIN);
	char *end = strstr(file_text, MARK_END);
	assert_non_null(begin);
	assert_non_null(end);
	begin += strlen(MARK_BEGIN);
	if (getenv("PENSTOCK_WRITE_REFERENCE") != NULL) {
		file_write(begin, end);
		return;
	}
	*end = '\0';
	if (strcmp(begin, table) != 0) {
		fail_msg(REFERENCE_FILE " is not what /metrics says: make metrics-reference");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_is_current),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

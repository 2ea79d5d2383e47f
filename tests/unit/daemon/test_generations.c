/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The history on disk: what is pushed out when it is full, and which texts stay to go back to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "daemon_generations.h"
#include "lib/folder.h"

static char folder[FOLDER_PATH_SIZE];
static struct generations *generations;
static struct control_generation rows[GENERATIONS_MAX];

static int open_new(void **state)
{
	(void)state;
	folder_make(folder);
	generations = generations_open(folder);
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	generations_close(generations);
	folder_remove(folder);
	return 0;
}

static void add(uint64_t number, enum control_outcome outcome, const char *text)
{
	struct control_generation row = { .number = number, .outcome = outcome };
	generations_add(generations, &row, bytes_of_text(text));
}

static bool has_file(uint64_t number)
{
	char path[FOLDER_PATH_SIZE + 64];

	snprintf(path, sizeof path, "%s/generations/%llu.yaml", folder, (unsigned long long)number);
	return access(path, F_OK) == 0;
}

static enum result text_of(uint64_t number)
{
	char error[256];
	uint64_t found;
	struct bytes text;

	enum result result =
		generations_text(generations, number, 0, &found, &text, error, sizeof error);
	if (result == RESULT_OK) alloc_free((void *)(uintptr_t)text.data);
	return result;
}

static void refused_ones_go_first(void **state)
{
	(void)state;
	add(1, CONTROL_OUTCOME_SERVED, "first");
	add(2, CONTROL_OUTCOME_UNCONFIRMED, "second");
	for (uint32_t i = 0; i < 2 * GENERATIONS_MAX; i++) add(2, CONTROL_OUTCOME_REFUSED, "");
	size_t count = generations_list(generations, rows, GENERATIONS_MAX);
	assert_int_equal(count, GENERATIONS_MAX);
	assert_int_equal(rows[count - 1].number, 1);
	assert_int_equal(rows[count - 2].outcome, CONTROL_OUTCOME_UNCONFIRMED);
	assert_int_equal(text_of(1), RESULT_OK);
	assert_int_equal(text_of(2), RESULT_OK);
}

static void a_text_goes_with_its_last_row(void **state)
{
	(void)state;
	add(1, CONTROL_OUTCOME_SERVED, "first");
	for (uint64_t i = 2; i <= GENERATIONS_MAX; i++) add(i, CONTROL_OUTCOME_SERVED, "other");
	assert_true(has_file(1) && has_file(2));
	add(GENERATIONS_MAX + 1, CONTROL_OUTCOME_SERVED, "other");
	assert_false(has_file(1));
	/* Others name that one, the new row too. */
	add(GENERATIONS_MAX + 2, CONTROL_OUTCOME_SERVED, "other");
	assert_true(has_file(2));
	assert_int_equal(text_of(GENERATIONS_MAX + 2), RESULT_OK);
}

static void the_new_row_keeps_the_text_of_the_one_that_goes(void **state)
{
	(void)state;
	add(1, CONTROL_OUTCOME_SERVED, "first");
	for (uint64_t i = 2; i <= GENERATIONS_MAX; i++) add(i, CONTROL_OUTCOME_SERVED, "other");
	add(GENERATIONS_MAX + 1, CONTROL_OUTCOME_SERVED, "first");
	assert_true(has_file(1));
	assert_int_equal(text_of(1), RESULT_NOT_FOUND);
	assert_int_equal(text_of(GENERATIONS_MAX + 1), RESULT_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refused_ones_go_first, open_new, close_it),
		cmocka_unit_test_setup_teardown(a_text_goes_with_its_last_row, open_new, close_it),
		cmocka_unit_test_setup_teardown(the_new_row_keeps_the_text_of_the_one_that_goes,
			open_new, close_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

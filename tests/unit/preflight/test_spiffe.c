/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is a SPIFFE id, after SPIFFE-ID section 2, and what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "preflight/preflight_internal.h"

static void ids_are_taken(void **state)
{
	static const char *const good[] = { "spiffe://example.org/a", "spiffe://a-b_c.9/x/Y.z/-_",
		"spiffe://example.org/...", "spiffe://10.0.0.1/workload" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		assert_null(spiffe_id_fault(bytes_of_text(good[i])));
	}
}

static void what_is_none_is_refused_with_a_reason(void **state)
{
	static const char *const bad[][2] = {
		{ "", "not spiffe" },
		{ "https://example.org/a", "not spiffe" },
		{ "SPIFFE://example.org/a", "not spiffe" },
		{ "spiffe:///a", "no trust domain" },
		{ "spiffe://example.org", "no path" },
		{ "spiffe://example.org/", "empty segment" },
		{ "spiffe://example.org/a/", "empty segment" },
		{ "spiffe://example.org//a", "empty segment" },
		{ "spiffe://example.org/../a", "'..' segment" },
		{ "spiffe://example.org/./a", "'..' segment" },
		{ "spiffe://Example.org/a", "trust domain may hold" },
		{ "spiffe://example.org:443/a", "trust domain may hold" },
		{ "spiffe://me@example.org/a", "trust domain may hold" },
		{ "spiffe://example.org?x/a", "trust domain may hold" },
		{ "spiffe://example.org/a?x", "path may hold" },
		{ "spiffe://example.org/%61", "path may hold" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		const char *fault = spiffe_id_fault(bytes_of_text(bad[i][0]));
		if (fault == NULL) fail_msg("%s was taken", bad[i][0]);
		if (strstr(fault, bad[i][1]) == NULL) fail_msg("%s: %s", bad[i][0], fault);
	}
}

static void both_bounds_are_kept(void **state)
{
	char id[2100] = "spiffe://";

	(void)state;
	memset(id + 9, 'd', 255);
	memcpy(id + 264, "/a", 3);
	assert_null(spiffe_id_fault(bytes_of_text(id)));
	memset(id + 9, 'd', 256);
	memcpy(id + 265, "/a", 3);
	assert_non_null(spiffe_id_fault(bytes_of_text(id)));

	memcpy(id, "spiffe://d/", 11);
	memset(id + 11, 'a', 2048 - 11);
	id[2048] = '\0';
	assert_null(spiffe_id_fault(bytes_of_text(id)));
	id[2048] = 'a';
	id[2049] = '\0';
	assert_non_null(spiffe_id_fault(bytes_of_text(id)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_taken),
		cmocka_unit_test(what_is_none_is_refused_with_a_reason),
		cmocka_unit_test(both_bounds_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

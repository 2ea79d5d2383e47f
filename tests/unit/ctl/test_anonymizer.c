/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is replaced in a support bundle, and what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../ctl/anonymizer.c"

static struct anonymizer *anonymizer;

static int set_up(void **state)
{
	(void)state;
	anonymizer = anonymizer_create();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	anonymizer_free(anonymizer);
	return 0;
}

static void add(const char *kind, const char *text)
{
	anonymizer_add(anonymizer, kind, bytes_of_text(text));
}

/* What comes out, with every alias as its kind in brackets. */
static const char *written(const char *text)
{
	static char shown[1024];
	char raw[1024] = { 0 };
	FILE *file = fmemopen(raw, sizeof raw - 1, "w");
	assert_non_null(file);
	anonymizer_write(anonymizer, bytes_of_text(text), file);
	assert_int_equal(fclose(file), 0);
	size_t size = 0;
	for (const char *at = raw; *at != '\0'; at++) {
		size_t digits = *at == '-' ? strspn(at + 1, "0123456789abcdef") : 0;
		shown[size++] = *at;
		if (digits == 2 * ALIAS_BYTES) at += digits;
	}
	shown[size] = '\0';
	return shown;
}

static void whole_words_are_replaced(void **state)
{
	(void)state;
	add("endpoint", "acme");
	add("target", "acme-orders");
	add("endpoint", "a");
	add("host", "Hooks.Example.org");
	add("path", "/");
	add("path", "");
	assert_string_equal(written("acme"), "endpoint-");
	assert_string_equal(written("acme acme-orders acme-order acmes"),
		"endpoint- target- endpoint--order acmes");
	assert_string_equal(written("{\"acme\":\"a\",\"a_b\":1,\"ab\":/acme/}"),
		"{\"endpoint-\":\"endpoint-\",\"a_b\":1,\"ab\":/endpoint-/}");
	assert_string_equal(written("https://hooks.example.ORG:443/x"), "https://host-:443/x");
	assert_string_equal(written("hooks.example.organic"), "hooks.example.organic");
	assert_string_equal(written("//"), "//");
}

/* "acme-orders-eu" is sorted between the two: the text runs past it. */
static void shorter_names_are_found_behind_longer_ones(void **state)
{
	(void)state;
	add("x", "acme");
	add("y", "acme-orders");
	add("z", "acme-orders-eu");
	assert_string_equal(written("acme-orders-us acme-ordersx acme-orders-eux"),
		"y--us x--ordersx y--eux");
	assert_string_equal(written("acme-orders-eu"), "z-");
}

static void an_alias_is_the_same_for_the_same(void **state)
{
	(void)state;
	char raw[256] = { 0 };
	char other[256] = { 0 };
	add("host", "one.example");
	add("host", "ONE.example");
	FILE *file = fmemopen(raw, sizeof raw, "w");
	anonymizer_write(anonymizer, BYTES_LITERAL("one.example=One.Example"), file);
	fclose(file);
	size_t half = strcspn(raw, "=");
	assert_memory_equal(raw, raw + half + 1, half);

	/* Under another key it is another one. */
	struct anonymizer *second = anonymizer_create();
	anonymizer_add(second, "host", BYTES_LITERAL("one.example"));
	file = fmemopen(other, sizeof other, "w");
	anonymizer_write(second, BYTES_LITERAL("one.example=One.Example"), file);
	fclose(file);
	anonymizer_free(second);
	assert_string_not_equal(raw, other);
}

static void addresses_are_found_by_their_form(void **state)
{
	(void)state;
	assert_string_equal(written("from 10.0.0.1:8443, 192.168.1.77."),
		"from address-:8443, address-.");
	assert_string_equal(written("[2001:db8::17]:443 fe80::1"), "[address-]:443 address-");
	assert_string_equal(written("18:05:36.123 1.2.3 6.18.44 v1.2.3.4x dead:beef std::x"),
		"18:05:36.123 1.2.3 6.18.44 v1.2.3.4x dead:beef std::x");
	assert_string_equal(written("1.2.3.4.5"), "address-.5");
}

static void the_table_undoes_it(void **state)
{
	(void)state;
	char table[2048] = { 0 };
	char raw[256] = { 0 };
	add("endpoint", "acme");
	FILE *file = fmemopen(raw, sizeof raw, "w");
	anonymizer_write(anonymizer, BYTES_LITERAL("acme 10.0.0.1"), file);
	fclose(file);
	file = fmemopen(table, sizeof table, "w");
	anonymizer_write_table(anonymizer, file);
	fclose(file);
	char line[300];
	snprintf(line, sizeof line, "%.*s acme\n", (int)strcspn(raw, " "), raw);
	assert_non_null(strstr(table, line));
	snprintf(line, sizeof line, "%s 10.0.0.1\n", strchr(raw, ' ') + 1);
	assert_non_null(strstr(table, line));
	assert_non_null(strstr(table, "\nkey "));
}

static void many_names(void **state)
{
	(void)state;
	char name[32];
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "name-%d", i);
		add("n", name);
	}
	assert_string_equal(written("name-7 name-1999 name-2000 name-19991"),
		"n- n- name-2000 name-19991");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_words_are_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shorter_names_are_found_behind_longer_ones, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_alias_is_the_same_for_the_same, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(addresses_are_found_by_their_form, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_table_undoes_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_names, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

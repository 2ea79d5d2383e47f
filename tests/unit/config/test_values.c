/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single values: what is taken and as what, and which hint follows what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_internal.h"
#include "config/config_text.h"
#include "config/config_values.h"

static struct config_fault fault;

static void durations_have_one_number_and_one_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t duration_ms;
	} good[] = {
		{ "0ms", 0 },
		{ "500ms", 500 },
		{ "30s", 30000 },
		{ "5m", 300000 },
		{ "24h", 86400000 },
		{ "7d", 604800000 },
		{ "007s", 7000 },
		{ "18446744073709551615ms", UINT64_MAX },
	};
	static const struct {
		const char *text;
		const char *code;
		const char *hint; /* how it begins */
	} bad[] = {
		{ "", PS_UNIT, "a whole number and ms, s, m, h or d" },
		{ "s", PS_UNIT, "a whole number" },
		{ "30", PS_UNIT_MISSING, "for example 30s" },
		{ "30 s", PS_UNIT, "write 30s" },
		{ "30S", PS_UNIT, "write 30s" },
		{ "5min", PS_UNIT, "write 5m" },
		{ "2 hours", PS_UNIT, "write 2h" },
		{ "1.5h", PS_UNIT, "a whole number" },
		{ "-1s", PS_UNIT, "a whole number" },
		{ "+1s", PS_UNIT, "a whole number" },
		{ "1h30m", PS_UNIT, "a whole number" },
		{ "5MiB", PS_UNIT, "a whole number" },
		{ "18446744073709551616ms", PS_RANGE, "" },
		{ "18446744073709551615s", PS_RANGE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		uint64_t duration_ms = 1;
		assert_true(config_value_duration_ms(good[i].text, &duration_ms, &fault));
		assert_true(duration_ms == good[i].duration_ms);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		uint64_t duration_ms;
		assert_false(config_value_duration_ms(bad[i].text, &duration_ms, &fault));
		assert_string_equal(fault.code, bad[i].code);
		assert_memory_equal(fault.hint, bad[i].hint, strlen(bad[i].hint));
	}
}

static void sizes_have_one_number_and_one_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = { { "0B", 0 }, { "512B", 512 }, { "64KiB", 65536 }, { "1MiB", 1 << 20 },
		{ "10GiB", UINT64_C(10) << 30 }, { "3TiB", UINT64_C(3) << 40 } };
	static const struct {
		const char *text;
		const char *code;
		const char *hint;
	} bad[] = {
		{ "1", PS_UNIT_MISSING, "for example 1MiB" },
		{ "1048576", PS_UNIT_MISSING, "for example 1MiB" },
		{ "1536", PS_UNIT_MISSING, "for example 1536B" },
		{ "1MB", PS_UNIT, "write 1MiB" },
		{ "1mib", PS_UNIT, "write 1MiB" },
		{ "1 GiB", PS_UNIT, "write 1GiB" },
		{ "64k", PS_UNIT, "write 64KiB" },
		{ "1.5GiB", PS_UNIT, "a whole number and B, KiB" },
		{ "0x10B", PS_UNIT, "a whole number" },
		{ "99999999TiB", PS_RANGE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		uint64_t size = 1;
		assert_true(config_value_size(good[i].text, &size, &fault));
		assert_true(size == good[i].size);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		uint64_t size;
		assert_false(config_value_size(bad[i].text, &size, &fault));
		assert_string_equal(fault.code, bad[i].code);
		assert_memory_equal(fault.hint, bad[i].hint, strlen(bad[i].hint));
	}
}

static void quantities_are_written_in_their_largest_whole_unit(void **state)
{
	char text[CONFIG_QUANTITY_SIZE];

	(void)state;
	config_format_size(0, text);
	assert_string_equal(text, "0B");
	config_format_size(1536, text);
	assert_string_equal(text, "1536B");
	config_format_size(UINT64_C(1) << 40, text);
	assert_string_equal(text, "1TiB");
	config_format_duration_ms(90000, text);
	assert_string_equal(text, "90s");
	config_format_duration_ms(86400000, text);
	assert_string_equal(text, "1d");
	config_format_duration_ms(UINT64_MAX, text);
	assert_string_equal(text, "18446744073709551615ms");
}

static void counts_are_plain_digits(void **state)
{
	uint64_t count;

	(void)state;
	assert_true(config_value_count("16384", &count, &fault));
	assert_true(count == 16384);
	assert_false(config_value_count("16_384", &count, &fault));
	assert_string_equal(fault.hint, "write 16384");
	assert_false(config_value_count("16,384", &count, &fault));
	assert_string_equal(fault.hint, "write 16384");
	assert_false(config_value_count("1e6", &count, &fault));
	assert_string_equal(fault.hint, "");
	assert_false(config_value_count("", &count, &fault));
	assert_false(config_value_count("99999999999999999999", &count, &fault));
	assert_string_equal(fault.code, PS_RANGE);
}

static void names_are_labels(void **state)
{
	static const char longest[] =
		"a123456789012345678901234567890123456789012345678901234567890123";
	static const char *const good[] = { "a", "0", "github", "a.b_c-d", longest };
	static const char *const bad[] = { "", "A", "-a", ".a", "_a", "a b", "a/b", "\xC3\xA4",
		"a12345678901234567890123456789012345678901234567890123456789012345" };

	(void)state;
	BOUND(sizeof longest - 1 == NAME_SIZE_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		assert_true(config_value_name(good[i], &fault));
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		assert_false(config_value_name(bad[i], &fault));
		assert_string_equal(fault.code, PS_NAME);
	}
	assert_false(config_value_name("My App", &fault));
	assert_string_equal(fault.hint, "for example 'my-app'");
}

static void hosts_are_names_or_addresses(void **state)
{
	static const char *const good[] = { "localhost", "a.example", "x_y.example", "1.example",
		"xn--bcher-kva.example", "127.0.0.1", "::1", "2001:db8::1" };
	static const char *const bad[] = { "", ".", "a..b", ".a", "a.", "-a", "a-", "a-.b", "a b",
		"1.2.3", "256.1.1.1", "1", "[::1]", "a:80", "https://a", "a/b", "*.a", "a*",
		"b\xC3\xBC"
		"cher.example",
		"a.0123456789012345678901234567890123456789012345678901234567890123" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		if (!config_value_host(good[i], false, &fault)) fail_msg("'%s'", good[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (config_value_host(bad[i], false, &fault)) fail_msg("'%s'", bad[i]);
		assert_string_equal(fault.code, PS_HOST);
	}
	assert_true(config_value_host("*.a.example", true, &fault));
	assert_false(config_value_host("*", true, &fault));
	assert_false(config_value_host("a.*.example", true, &fault));
}

static void urls_are_taken_apart(void **state)
{
	static const struct {
		const char *text;
		bool tls;
		const char *host;
		uint16_t port;
		const char *path;
	} good[] = {
		{ "https://a.example", true, "a.example", 443, "" },
		{ "http://a.example/", false, "a.example", 80, "/" },
		{ "HTTP://A.EXAMPLE:8080/X?Y=%20#", false, "", 0, NULL },
		{ "HTTP://A.EXAMPLE:8080/X?Y=%20", false, "a.example", 8080, "/X?Y=%20" },
		{ "https://[2001:DB8::1]:444/x", true, "2001:db8::1", 444, "/x" },
		{ "https://127.0.0.1?q=/x", true, "127.0.0.1", 443, "?q=/x" },
		{ "https://a:065535/", true, "a", 65535, "/" },
	};
	struct config_url url;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		bool taken = config_value_url(good[i].text, &url, &fault);
		assert_true(taken == (good[i].path != NULL));
		if (!taken) continue;
		assert_true(url.tls == good[i].tls);
		assert_string_equal(url.host, good[i].host);
		assert_int_equal(url.port, good[i].port);
		assert_string_equal(url.path, good[i].path);
	}
}

/* A password in a URL, a secret in the place of a file: neither may come back in a message. */
static void secrets_are_not_repeated(void **state)
{
	struct config_url url;

	(void)state;
	assert_false(config_value_url("https://me:hunter2@a.example/", &url, &fault));
	assert_null(strstr(fault.sentence, "hunter2"));
	assert_null(strstr(fault.hint, "hunter2"));
	assert_false(config_value_file("whsec_hunter2", &fault));
	assert_string_equal(fault.code, PS_SECRET_IN_FILE);
	assert_null(strstr(fault.sentence, "hunter2"));
	assert_null(strstr(fault.hint, "hunter2"));
}

static void addresses_that_are_none_get_a_hint(void **state)
{
	static const struct {
		const char *text;
		const char *hint;
	} cases[] = {
		{ "443", "write 0.0.0.0:443 for all of IPv4, '[::]:443' for all of IPv6" },
		{ "https://a:443/", "write 127.0.0.1:8443, 0.0.0.0:443 or '[::]:443'" },
		{ ":443", "write 0.0.0.0:443 for all of IPv4, '[::]:443' for all of IPv6" },
		{ "*:443", "write 0.0.0.0:443 for all of IPv4, '[::]:443' for all of IPv6" },
		{ "localhost:80", "write 127.0.0.1:80 or '[::1]:80'" },
		{ "10.0.0.1", "add the port: 10.0.0.1:443" },
		{ "::1", "add the port: '[::1]:443'" },
	};
	struct io_address address;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_false(config_value_address(cases[i].text, &address, &fault));
		assert_string_equal(fault.hint, cases[i].hint);
	}
	assert_true(config_value_address("[::]:443", &address, &fault));
	assert_true(address.is_ipv6 && address.port == 443);
}

static void cpu_ranges_add_up(void **state)
{
	struct config_cpus cpus = { 0 };

	(void)state;
	assert_true(config_value_cpus("0-2, 5", &cpus, &fault));
	assert_true(config_value_cpus("1023", &cpus, &fault));
	assert_int_equal(config_cpus_count(&cpus), 5);
	assert_true(config_cpus_has(&cpus, 1023) && config_cpus_has(&cpus, 5));
	assert_false(config_cpus_has(&cpus, 3) || config_cpus_has(&cpus, 1024));
	assert_false(config_value_cpus("4-6", &cpus, &fault));
	assert_string_equal(fault.code, PS_DUPLICATE_ELEMENT);
	static const char *const bad[] = { "", "-", "1-", "-1", "1-2-3", "a", "1,,2", "1,", "0x1" };
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct config_cpus none = { 0 };
		assert_false(config_value_cpus(bad[i], &none, &fault));
		assert_string_equal(fault.code, PS_CPUS);
	}
	assert_true(config_value_cpus_auto(&cpus));
}

static void the_nearest_word_is_the_one_meant(void **state)
{
	static const char *const words[] = { "name", "path", "secret_file", "target", "targets",
		"connect_timeout", "timeout", "certificate" };
	static const struct {
		const char *word;
		const char *meant;
	} cases[] = {
		{ "secretfile", "secret_file" },
		{ "secret-file", "secret_file" },
		{ "secretFile", "secret_file" },
		{ "Name", "name" },
		{ "nmae", "name" },
		{ "taget", "target" },
		{ "tragets", "targets" },
		{ "timeuot", "timeout" },
		{ "cert", "certificate" },
		{ "conection_timeout", NULL },
		{ "x", NULL },
		{ "host", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *nearest = config_nearest(cases[i].word, words, ARRAY_COUNT(words));
		if (cases[i].meant == NULL) {
			assert_null(nearest);
		} else {
			assert_non_null(nearest);
			assert_string_equal(nearest, cases[i].meant);
		}
	}
}

static void only_well_formed_characters_are_text(void **state)
{
	static const struct {
		const char *bytes;
		size_t size; /* 0: refused */
		uint32_t character;
	} cases[] = {
		{ "a", 1, 'a' },
		{ "\xC3\xA4", 2, 0xE4 },
		{ "\xE2\x80\xA6", 3, 0x2026 },
		{ "\xF0\x9F\x98\x80", 4, 0x1F600 },
		{ "\xF4\x8F\xBF\xBF", 4, 0x10FFFF },
		{ "\x80", 0, 0 },
		{ "\xC3", 0, 0 },
		{ "\xC0\x80", 0, 0 },
		{ "\xE0\x80\x80", 0, 0 },
		{ "\xED\xA0\x80", 0, 0 },
		{ "\xF4\x90\x80\x80", 0, 0 },
		{ "\xF8\x88\x80\x80", 0, 0 },
		{ "\xE2\x28\xA1", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t character = 0;
		assert_int_equal(config_text_next(bytes_of_text(cases[i].bytes), &character),
			cases[i].size);
		if (cases[i].size > 0) assert_int_equal(character, cases[i].character);
	}
	assert_true(config_text_allowed('\n') && config_text_allowed('\t'));
	assert_true(config_text_allowed(0xE4) && config_text_allowed(0x1F600));
	assert_false(config_text_allowed('\r') || config_text_allowed(0x1B));
	assert_false(config_text_allowed(0x85) || config_text_allowed(0x2028));
	assert_false(config_text_allowed(0x202E) || config_text_allowed(0xFEFF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_one_number_and_one_unit),
		cmocka_unit_test(sizes_have_one_number_and_one_unit),
		cmocka_unit_test(quantities_are_written_in_their_largest_whole_unit),
		cmocka_unit_test(counts_are_plain_digits),
		cmocka_unit_test(names_are_labels),
		cmocka_unit_test(hosts_are_names_or_addresses),
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(secrets_are_not_repeated),
		cmocka_unit_test(addresses_that_are_none_get_a_hint),
		cmocka_unit_test(cpu_ranges_add_up),
		cmocka_unit_test(the_nearest_word_is_the_one_meant),
		cmocka_unit_test(only_well_formed_characters_are_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

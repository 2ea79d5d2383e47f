/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: what --help teaches is all there is, and mistakes are found before anything
 * starts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/options.c"
#include "../../../bench/chaos.c"
#include "../../../bench/disk_load.c"
#include "../../../bench/help.c"

void sink_set_delay(struct sink *sink, uint32_t delay_ms)
{
	(void)sink;
	(void)delay_ms;
}

static struct options options;

/* The last command line's words, which `options` points into. */
static char words[32][256];

static void forget(void)
{
	for (size_t i = 0; options.arguments != NULL && options.arguments[i] != NULL; i++) {
		alloc_free((void *)(uintptr_t)options.arguments[i]);
	}
	alloc_free((void *)(uintptr_t)options.arguments);
	options.arguments = NULL;
}

/* A command line, cut at blanks. */
static int parse(const char *line)
{
	char *arguments[33] = { words[0] };
	int count = 1;
	struct bytes word;
	struct bytes rest = bytes_of_text(line);

	forget();
	bytes_to_text(BYTES_LITERAL("penstock-bench"), words[0], sizeof words[0]);
	while (rest.size > 0) {
		bytes_split(rest, ' ', &word, &rest);
		bytes_to_text(word, words[count], sizeof words[count]);
		arguments[count] = words[count];
		count++;
	}
	optind = 0; /* getopt begins anew */
	return options_parse(count, arguments, &options);
}

#define TARGET "--target https://localhost:8443 --endpoint /x:github:file "

/* The help's text, which the test owns. */
static char *help_made(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	assert_non_null(file);
	program_help_print(file, &help_program);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void test_help_tells_of_every_option(void **state)
{
	(void)state;
	char *help = help_made();
	for (size_t i = 0; i < help_program.option_count; i++) {
		const char *value = help_program.options[i].value;
		char text[64];
		snprintf(text, sizeof text, "--%s%s%s", help_program.options[i].name,
			value != NULL ? " " : "", value != NULL ? value : "");
		if (strstr(help, text) == NULL) print_error("--help does not tell of %s\n", text);
		assert_non_null(strstr(help, text));
	}
	alloc_free(help);
}

static void test_lines_fit_a_terminal(void **state)
{
	(void)state;
	char *help = help_made();
	struct bytes line;
	struct bytes rest = bytes_of_text(help);

	while (bytes_split(rest, '\n', &line, &rest)) assert_true(line.size <= 100);
	alloc_free(help);
}

static void test_a_command_has_what_it_needs(void **state)
{
	(void)state;
	assert_int_equal(parse("send " TARGET), -1);
	assert_int_equal(options.mode, MODE_SEND);
	assert_string_equal(options.target_host, "localhost");
	assert_int_equal(parse("find " TARGET "--p99 2.5"), -1);
	assert_float_equal(options.p99_ms, 2.5, 0);
	assert_int_equal(parse("chaos " TARGET "--listen 127.0.0.1:1 --daemon x --faults slow"),
		-1);
	assert_true(options.chaos[CHAOS_SLOW] && !options.chaos[CHAOS_KILL]);
	assert_false(options.chaos[CHAOS_SLOW_DISK]);
	/* A sink that this command does not have is not opened. */
	assert_int_equal(parse("send " TARGET "--listen 127.0.0.1:1"), -1);
	assert_int_equal(options.listen.port, 0);
}

static void test_a_target_is_a_name_or_an_address(void **state)
{
	(void)state;
#define SEND "send --endpoint /x:github:file --target "
	assert_int_equal(parse(SEND "http://127.0.0.1:80"), -1);
	assert_string_equal(options.target_host, "127.0.0.1");
	assert_int_equal(parse(SEND "https://[::1]:8443"), -1);
	assert_string_equal(options.target_host, "::1");
	assert_int_equal(options.target_port, 8443);
	assert_true(options.target_tls);
	static const char *const wrong[] = { "https://[::1]", "https://[::1]8443",
		"https://[::1:8443", "https://::1:8443", "https://[]:8443", "https://[host]:8443",
		"https://[::1]:0" };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		char line[256];
		snprintf(line, sizeof line, SEND "%s", wrong[i]);
		assert_int_equal(parse(line), EX_USAGE);
	}
}

/* That fault is one of all only where it may be made. */
static void test_a_slow_disk_needs_a_folder(void **state)
{
	(void)state;
#define CHAOS "chaos " TARGET "--listen 127.0.0.1:1 --daemon x "
	assert_int_equal(parse(CHAOS), -1);
	assert_true(options.chaos[CHAOS_KILL] && !options.chaos[CHAOS_SLOW_DISK]);
	assert_int_equal(parse(CHAOS "--disk-folder d"), -1);
	assert_true(options.chaos[CHAOS_KILL] && options.chaos[CHAOS_SLOW_DISK]);
	assert_int_equal(parse(CHAOS "--faults kill --disk-folder d"), -1);
	assert_false(options.chaos[CHAOS_SLOW_DISK]);
	assert_int_equal(parse(CHAOS "--faults slow-disk --disk-folder d"), -1);
	assert_true(options.chaos[CHAOS_SLOW_DISK] && !options.chaos[CHAOS_SLOW]);
	assert_string_equal(options.disk_folder, "d");
}

static void test_mistakes_are_found(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"",
		"send",
		"fly " TARGET,
		"find " TARGET,
		"run " TARGET,
		"chaos " TARGET "--listen 127.0.0.1:1",
		"chaos " TARGET "--listen 127.0.0.1:1 --daemon x --faults storm",
		"chaos " TARGET "--listen 127.0.0.1:1 --daemon x --faults slow-disk",
		"send " TARGET "--certificate c",
		"send " TARGET "--rate fast",
		"send " TARGET "--connections 0",
		"send " TARGET "more",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		assert_int_equal(parse(lines[i]), EX_USAGE);
	}
}

static void test_faults_are_a_list(void **state)
{
	(void)state;
	bool enabled[CHAOS_FAULTS] = { true, true, true };

	assert_true(chaos_parse("stop,kill", enabled));
	assert_true(enabled[CHAOS_KILL] && enabled[CHAOS_STOP] && !enabled[CHAOS_SLOW]);
	assert_false(chaos_parse("slow,,kill", enabled));
	assert_false(chaos_parse("", enabled));
	assert_false(enabled[CHAOS_SLOW]); /* untouched */
}

/* None is left out, whatever the seed. */
static void test_every_kind_of_fault_happens(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct chaos chaos = { .config.enabled = { true, false, true },
			.random = { seed } };
		for (unsigned i = 0; i < 10; i++) chaos.counts[choose(&chaos)]++;
		assert_int_equal(chaos.counts[CHAOS_KILL], 5);
		assert_int_equal(chaos.counts[CHAOS_STOP], 0);
		assert_int_equal(chaos.counts[CHAOS_SLOW], 5);
	}
}

static int forget_last(void **state)
{
	(void)state;
	forget();
	return 0;
}

static void test_levels_and_addresses_are_lists(void **state)
{
	(void)state;
	assert_int_equal(parse("hold " TARGET "--at 8000,20000 --address 127.0.0.1,::1"), -1);
	assert_int_equal(options.level_count, 2);
	assert_int_equal(options.levels[0], 8000);
	assert_int_equal(options.connections, 20000);
	assert_int_equal(options.address_count, 2);
	assert_int_equal(options.addresses[0].ip[0], 127);
	assert_true(options.addresses[1].is_ipv6);
	assert_int_equal(parse("hold " TARGET "--at 8000,8000"), EX_USAGE);
	assert_int_equal(parse("hold " TARGET "--at 8000,x"), EX_USAGE);
	assert_int_equal(parse("hold " TARGET "--address 127.0.0.1,localhost"), EX_USAGE);
	assert_int_equal(parse("send " TARGET "--spread 0"), EX_USAGE);
	assert_int_equal(parse("send " TARGET "--spread 1000"), -1);
	assert_int_equal(options.spread, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help_tells_of_every_option),
		cmocka_unit_test(test_lines_fit_a_terminal),
		cmocka_unit_test(test_a_command_has_what_it_needs),
		cmocka_unit_test(test_a_target_is_a_name_or_an_address),
		cmocka_unit_test(test_a_slow_disk_needs_a_folder),
		cmocka_unit_test(test_mistakes_are_found),
		cmocka_unit_test(test_levels_and_addresses_are_lists),
		cmocka_unit_test(test_faults_are_a_list),
		cmocka_unit_test(test_every_kind_of_fault_happens),
	};
	return cmocka_run_group_tests(tests, NULL, forget_last);
}

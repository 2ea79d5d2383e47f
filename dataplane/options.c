/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "program/program.h"

enum {
	OPTION_JSON = 256,
	OPTION_LEVEL,
	OPTION_ENVIRONMENT,
	OPTION_STRICT,
	OPTION_FORMAT,
};

static const struct program_option table[] = {
	{ .name = "config",
		.value = "FILE",
		.help = "the configuration",
		.otherwise = CONFIG_PATH_DEFAULT,
		.code = 'f' },
	{ .name = "test",
		.help = "check configuration, secrets, certificates; exit 0 or 78",
		.code = 't' },
	{ .name = "level",
		.value = "LEVEL",
		.help = "with --test, how far: parse, schema, meaning, files or environment",
		.otherwise = "files",
		.code = OPTION_LEVEL },
	{ .name = "environment",
		.help = "the same as --level environment: asks the kernel and disk, and connects "
			"to every target",
		.code = OPTION_ENVIRONMENT },
	{ .name = "strict", .help = "with --test: warnings are errors", .code = OPTION_STRICT },
	{ .name = "format",
		.value = "FORMAT",
		.help = "with --test: human, json or sarif",
		.otherwise = "human",
		.code = OPTION_FORMAT },
	{ .name = "json", .help = "the same as --format json", .code = OPTION_JSON },
	{ .name = "version", .help = "version and the crypto instructions in use", .code = 'V' },
	{ .name = "help", .help = "this text", .code = 'h' },
};

static const char *const synopsis[] = { "[-f FILE]",
	"[-f FILE] -t [--level LEVEL] [--strict] [--format FORMAT]", NULL };

static const struct program_entry environment[] = {
	{ CORE_DUMPS_VARIABLE, "1 allows core dumps, which hold private keys; they are off" },
	{ LOG_FORMAT_VARIABLE,
		"text, json (an object a line) or journal (fields PENSTOCK_*): the form "
		"of log lines where the configuration has no log.format; without both, what "
		"fits standard error" },
	{ "JOURNAL_STREAM",
		"set by systemd: where it is standard error, lines are sent to the "
		"journal with their fields" },
	{ NULL, NULL },
};

static const struct program_entry files[] = {
	{ CONFIG_PATH_DEFAULT, "the configuration" },
	{ "/var/lib/penstock", "the store, where the configuration's store.path says so" },
	{ NULL, NULL },
};

static const struct program_entry exits[] = {
	{ "0", "stopped as asked" },
	{ "64", "EX_USAGE: wrong options" },
	{ "65", "EX_DATAERR: the store is damaged, or newer than this program" },
	{ "69", "EX_UNAVAILABLE: somebody else has the store, the control socket or an address" },
	{ "71", "EX_OSERR: the system refused something" },
	{ "74", "EX_IOERR: the store failed" },
	{ "77", "EX_NOPERM: a file or address is not ours to use" },
	{ "78", "EX_CONFIG: the configuration is wrong, or a setting of the host" },
	{ NULL, NULL },
};

static const struct program program = {
	.name = "penstockd",
	.section = 8,
	.summary = "takes webhooks in, proves who sent them, keeps them, delivers them",
	.synopsis = synopsis,
	.text = "Runs in the foreground and logs to standard error, or to systemd's journal.\n"
		"SIGHUP reloads, SIGTERM and SIGINT stop after finishing what is under way; the\n"
		"second of them stops at once.\n"
		"Everything else is done with penstockctl; begin with: penstockctl status",
	.options = table,
	.option_count = ARRAY_COUNT(table),
	.environment = environment,
	.files = files,
	.exits = exits,
	.examples = "  penstockd -t -f penstock.yaml && penstockd -f penstock.yaml",
	.see_also = "penstockctl(1), penstock-bench(1)",
};

/* An option that takes one of some words. */
static bool word_take(struct options *options, int option, const char *word)
{
	bool good = option == OPTION_LEVEL ? preflight_level_find(word, &options->level)
					   : config_report_format_find(word, &options->format);

	if (good) return true;
	fprintf(stderr, "penstockd: '%s' is not one of %s\n", word,
		option == OPTION_LEVEL ? preflight_level_names : "human, json or sarif");
	return false;
}

enum options_verdict options_parse(int argc, char **argv, struct options *options)
{
	struct option rows[ARRAY_COUNT(table) + 1];
	char letters[PROGRAM_LETTERS_SIZE];
	/* For the build: make man completions. */
	if (argc == 3 && strcmp(argv[1], "--generate") == 0) {
		return program_generate(&program, argv[2], stdout) ? OPTIONS_DONE : OPTIONS_WRONG;
	}
	program_getopt(&program, rows);
	program_getopt_letters(&program, letters);
	int option;
	while ((option = getopt_long(argc, argv, letters, rows, NULL)) != -1) {
		switch (option) {
		case 'f': options->config_path = optarg; break;
		case 't': options->test = true; break;
		case OPTION_LEVEL:
		case OPTION_FORMAT:
			if (!word_take(options, option, optarg)) return OPTIONS_WRONG;
			break;
		case OPTION_ENVIRONMENT: options->level = PREFLIGHT_ENVIRONMENT; break;
		case OPTION_STRICT: options->strict = true; break;
		case OPTION_JSON: options->format = CONFIG_REPORT_JSON; break;
		case 'V': return OPTIONS_VERSION;
		case 'h': program_help_print(stdout, &program); return OPTIONS_DONE;
		default: program_help_print(stderr, &program); return OPTIONS_WRONG;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "penstockd: unexpected argument '%s'; try penstockd --help\n",
			argv[optind]);
		return OPTIONS_WRONG;
	}
	return OPTIONS_RUN;
}

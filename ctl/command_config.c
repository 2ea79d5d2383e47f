/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config — checks a configuration file without a daemon, as far as is asked for. */
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config_file.h"
#include "preflight/preflight.h"
#include "problem.h"
#include "tls/tls.h"

struct check {
	enum preflight_level level;
	enum config_report_format format;
	bool strict;
};

static bool usage(const struct invocation *invocation, const char *option, const char *given,
	const char *words)
{
	(void)problem_say(invocation, EX_USAGE, "usage", NULL, "--%s takes %s, not \"%.60s\"",
		option, words, given);
	return false;
}

static bool check_of(const struct invocation *invocation, struct check *ret)
{
	const char *level = invocation_option(invocation, "level");
	const char *format = invocation_option(invocation, "format");

	*ret = (struct check){
		.level = PREFLIGHT_FILES,
		.format = invocation->json ? CONFIG_REPORT_JSON : CONFIG_REPORT_HUMAN,
		.strict = invocation_option(invocation, "strict") != NULL,
	};
	if (level != NULL && !preflight_level_find(level, &ret->level)) {
		return usage(invocation, "level", level, preflight_level_names);
	}
	if (format != NULL && !config_report_format_find(format, &ret->format)) {
		return usage(invocation, "format", format, "human, json or sarif");
	}
	if (invocation_option(invocation, "environment") != NULL) {
		ret->level = PREFLIGHT_ENVIRONMENT;
	}
	return true;
}

static void print_report(const struct invocation *invocation, const struct check *check,
	const struct config_report *report)
{
	switch (check->format) {
	case CONFIG_REPORT_HUMAN:
		config_report_print(report, stderr,
			invocation->colour && isatty(STDERR_FILENO) != 0);
		break;
	case CONFIG_REPORT_JSON: config_report_print_json(report, stdout); break;
	case CONFIG_REPORT_SARIF: config_report_print_sarif(report, stdout); break;
	}
}

static int run(const struct invocation *invocation, const struct check *check)
{
	const char *path = config_file_path(invocation, 0);
	struct config_report *report = alloc_array(1, sizeof *report);
	struct preflight_summary summary;

	enum result result = preflight_run(path, check->level, report, &summary);
	bool refused = check->strict && config_report_warnings(report) > 0;
	print_report(invocation, check, report);
	int exit_code = EX_OK;
	if (result != RESULT_OK) {
		exit_code = config_file_exit_code(report);
	} else if (refused) {
		exit_code = EX_CONFIG;
	} else if (check->format == CONFIG_REPORT_HUMAN) {
		printf("%s is right", path);
		if (check->level >= PREFLIGHT_MEANING) {
			printf(": %u endpoints, %u targets", summary.endpoint_count,
				summary.target_count);
		}
		putchar('\n');
	}
	alloc_free(report);
	return exit_code;
}

int command_config_check(const struct invocation *invocation)
{
	struct check check;

	if (!check_of(invocation, &check)) return EX_USAGE;
	if (tls_library_open() != RESULT_OK) {
		return problem_say(invocation, EX_SOFTWARE, "tls_library", NULL,
			"the TLS library does not start");
	}
	int exit_code = run(invocation, &check);
	tls_library_close();
	return exit_code;
}

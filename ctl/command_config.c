/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config — checks a configuration file without a daemon: form, references, secrets. */
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "command.h"
#include "config/config_codes.h"
#include "flow/flow.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"

/* The file itself, so that nothing is known of what it says. */
static bool is_unreadable(const struct config_report *report)
{
	return report->count == 1 && strcmp(report->diagnostics[0].code, PS_FILE_UNREADABLE) == 0;
}

int command_config_check(const struct invocation *invocation)
{
	const char *path = invocation->argument_count > 0 ? invocation->arguments[0]
							  : CONFIG_PATH_DEFAULT;
	struct config *config = NULL;
	struct flow *flow = NULL;
	struct config_report *report = alloc_array(1, sizeof *report);

	enum result result = config_load(path, &config, report);
	if (result == RESULT_OK) {
		result = flow_compile(config, 1, &flow, report);
		if (result == RESULT_OK) config = NULL; /* the flow's now */
	}
	if (invocation->json) {
		config_report_print_json(report, stdout);
	} else {
		bool colour = invocation->colour && isatty(STDERR_FILENO);
		config_report_print(report, stderr, colour);
		if (result == RESULT_OK) {
			printf("%s is right: %u endpoints, %u targets\n", path,
				flow->endpoint_count, flow->target_count);
		}
	}
	int exit_code = result == RESULT_OK ? EX_OK
		: is_unreadable(report)     ? EX_NOINPUT
					    : EX_CONFIG;
	if (flow != NULL) flow_release(flow);
	if (config != NULL) config_free(config);
	alloc_free(report);
	return exit_code;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_config — checks a configuration file without a daemon: form, references, secrets. */
#include <stdio.h>

#include "base/alloc.h"
#include "config_file.h"
#include "flow/flow.h"

int command_config_check(const struct invocation *invocation)
{
	const char *path = config_file_path(invocation, 0);
	struct config *config = NULL;
	struct flow *flow = NULL;
	struct config_report *report = alloc_array(1, sizeof *report);

	enum result result = config_load(path, &config, report);
	if (result == RESULT_OK) {
		result = flow_compile(config, 1, &flow, report);
		if (result == RESULT_OK) config = NULL; /* the flow's now */
	}
	config_file_complain(invocation, report);
	if (result == RESULT_OK && !invocation->json) {
		printf("%s is right: %u endpoints, %u targets\n", path, flow->endpoint_count,
			flow->target_count);
	}
	int exit_code = result == RESULT_OK ? EX_OK : config_file_exit_code(report);
	if (flow != NULL) flow_release(flow);
	if (config != NULL) config_free(config);
	alloc_free(report);
	return exit_code;
}

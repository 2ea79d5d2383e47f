/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_file — see the header. */
#include "config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/config_codes.h"

const char *config_file_path(const struct invocation *invocation, unsigned index)
{
	return invocation->argument_count > index ? invocation->arguments[index]
						  : CONFIG_PATH_DEFAULT;
}

void config_file_complain(const struct invocation *invocation, const struct config_report *report)
{
	if (invocation->json) {
		config_report_print_json(report, stdout);
	} else {
		config_report_print(report, stderr,
			invocation->colour && isatty(STDERR_FILENO) != 0);
	}
}

int config_file_exit_code(const struct config_report *report)
{
	bool unreadable = report->count == 1 &&
		strcmp(report->diagnostics[0].code, PS_FILE_UNREADABLE) == 0;
	return unreadable ? EX_NOINPUT : EX_CONFIG;
}

struct config *config_file_load(const struct invocation *invocation, const char *path,
	const char *as, int *ret_exit_code)
{
	struct config *config = NULL;
	struct config_report *report = alloc_array(1, sizeof *report);
	/* Names of files are shown in full: what is printed may be put elsewhere. */
	char *full = as == NULL ? realpath(path, NULL) : NULL;

	if (as == NULL) as = full != NULL ? full : path;
	enum result result = config_load_as(path, as, &config, report);
	*ret_exit_code = EX_OK;
	if (result != RESULT_OK) {
		config_file_complain(invocation, report);
		*ret_exit_code = config_file_exit_code(report);
	}
	free(full);
	alloc_free(report);
	return config;
}

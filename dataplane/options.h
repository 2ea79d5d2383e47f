/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options — the command line of penstockd, parsed; its help, man page and completions. */
#pragma once

#include <stdbool.h>

#include "preflight/preflight.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"
/* "1" in this variable of the environment allows core dumps and debuggers. */
#define CORE_DUMPS_VARIABLE "PENSTOCK_CORE_DUMPS"
/* The form of log lines where the configuration says nothing of it, or is not read yet. */
#define LOG_FORMAT_VARIABLE "PENSTOCK_LOG_FORMAT"

struct options {
	const char *config_path;
	bool test;
	bool strict; /* warnings are errors */
	enum preflight_level level;
	enum config_report_format format;
};

enum options_verdict {
	OPTIONS_RUN,
	OPTIONS_VERSION, /* is asked for */
	OPTIONS_DONE,    /* help was printed */
	OPTIONS_WRONG,   /* the complaint was printed */
};
enum options_verdict options_parse(int argc, char **argv, struct options *options);

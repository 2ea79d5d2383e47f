/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_yaml_fault — what libyaml stumbled over, in words that help. */
#pragma once

#include <yaml.h>

#include "config/config.h"

/* Reports the parser's error. */
void config_yaml_fault(const yaml_parser_t *parser, struct bytes text,
	struct config_report *report);

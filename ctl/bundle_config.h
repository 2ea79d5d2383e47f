/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_config — a configuration as it is in effect, with all defaults, and the names in it.
 */
#pragma once

#include <stdio.h>

#include "anonymizer.h"
#include "config/config.h"

/* As YAML, to be read by people; files are named, not opened. */
void bundle_config_write(const struct config *config, FILE *file);
/* What a stranger must not learn: names of endpoints, targets, users and hosts, URLs and their
 * paths, addresses, paths of files. */
void bundle_config_names(const struct config *config, struct anonymizer *anonymizer);

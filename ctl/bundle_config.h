/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_config — the names in a configuration that a stranger must not learn.
 */
#pragma once

#include "anonymizer.h"
#include "config/config.h"

/* By the types of the keys, so that none is forgotten: names of endpoints, targets, users and
 * hosts, URLs and their paths, addresses, paths of files. */
void bundle_config_names(const struct config *config, struct anonymizer *anonymizer);
/* A user, unless every host has it: root, penstock. */
void bundle_config_user(struct anonymizer *anonymizer, struct bytes name);
/* The path of a file, and its folder. */
void bundle_config_path(struct anonymizer *anonymizer, const char *path);
/* With its host, its path, and the parts of it that may be tokens. */
void bundle_config_url(struct anonymizer *anonymizer, const char *url);

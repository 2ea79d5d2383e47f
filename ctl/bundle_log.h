/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_log — the names in the daemon's log that a stranger must not learn, of which neither the
 * configuration nor the daemon may know any more: users, targets that were removed, files that
 * backups went to.
 *
 * They are found by where they stand: in pairs (key="…", in JSON key=\"…\" and "key":"…"), after
 * the words that lines name them with, and by their form, as paths and URLs. Lines in which a name
 * may stand that this does not find are left out. Pure.
 */
#pragma once

#include "anonymizer.h"

/* Takes the lines out that nobody can judge, and returns how many these were. */
unsigned bundle_log_names(struct anonymizer *anonymizer, char *text, size_t *size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_string — the one piece of JSON that answers and log lines need: a string.
 *
 * Pure.
 */
#pragma once

#include "base/cursor.h"

/* With quotes; invalid UTF-8 becomes U+FFFD. At most six bytes for each of the text, and two. */
void write_json_string(struct writer *writer, struct bytes text);

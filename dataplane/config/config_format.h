/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_format — a configuration file as everybody would write it: two spaces a level, one
 * between words, sections in braces only where they fit on a line, one empty line at most.
 *
 * Order, quotes and every comment stay. The result is parsed and compared with what it was made
 * from, comment by comment, before anybody sees it. Formatting it again changes nothing.
 */
#pragma once

#include "config/config.h"

/* What a line may have before a section in braces is spread over several. */
enum { CONFIG_FORMAT_COLUMNS = 100 };

/* Writes to a FILE. RESULT_CONFIG with a report when the text is not YAML that is accepted here:
 * keys and values are not looked at. RESULT_UNSUPPORTED, and nothing written, when the result
 * would not be the same. */
MUST_USE enum result config_format(const char *path, struct bytes text, void *to,
	struct config_report *report);
/* The same for a file; *ret_same says whether it is written so already. */
MUST_USE enum result config_format_file(const char *path, void *to, bool *ret_same,
	struct config_report *report);

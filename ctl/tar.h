/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tar — writes an archive that every tar reads: POSIX ustar (IEEE Std 1003.1, pax), files only.
 */
#pragma once

#include <stdio.h>

#include "base/bytes.h"

enum { TAR_NAME_SIZE_MAX = 99 };

/* Names are relative, of TAR_NAME_SIZE_MAX characters at most; sizes below 8 GiB. Errors stick in
 * the file. */
void tar_write_file(FILE *file, const char *name, struct bytes content, uint64_t time_s);
void tar_write_end(FILE *file);

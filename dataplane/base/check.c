/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *cond, const char *file, int line, const char *func)
{
	/* Straight to stderr: the log may be what is broken. */
	fprintf(stderr, "penstock: bug: %s:%d: %s: CHECK(%s)\n", file, line, func, cond);
	abort();
}

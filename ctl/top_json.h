/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_json — figures for programs: one object in one line, schema "penstock.top/v1". What is not
 * known is null. Members are added without a new version; clients ignore what they do not know.
 */
#pragma once

#include <stdio.h>

#include "top_figures.h"

void top_json_line(const struct top_figures *figures, FILE *file);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_text — figures in as few characters as people need. Pure; what is not known is "-".
 */
#pragma once

#include "top_figures.h"
#include "units.h"

const char *top_text_of(enum top_unit unit, double value, char text[static UNITS_TEXT_SIZE]);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands — the one table of commands. */
#pragma once

#include "command.h"

extern const struct command commands[];
extern const size_t command_count;

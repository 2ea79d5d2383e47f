/* SPDX-License-Identifier: GPL-2.0-or-later */
/* version — what this build calls itself. */
#pragma once

extern const char penstock_version[];

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/version.h"

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "unknown"
#endif

const char penstock_version[] = PENSTOCK_VERSION;

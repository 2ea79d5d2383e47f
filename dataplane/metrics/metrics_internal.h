/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics_internal — what the files of this folder share and no other folder may include. */
#pragma once

#include "bounds.h"
#include "metrics/metrics.h"

/* All names beyond the slots share the last one. */
enum { METRICS_SLOT_OTHER = METRICS_SLOTS_MAX - 1 };

/* The name a slot was given out for; NULL when it was not. */
const char *metrics_endpoint_slot_name(uint32_t slot);
const char *metrics_target_slot_name(uint32_t slot);

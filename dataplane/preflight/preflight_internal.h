/* SPDX-License-Identifier: GPL-2.0-or-later */
/* preflight_internal — the parts of the level "environment", each with its own report lines.
 */
#pragma once

#include "flow/flow.h"
#include "worker/contexts.h"

/* The kernel's io_uring, the store's folder, owners of secrets. */
void preflight_host(const struct config *config, struct config_report *report);
/* Dates and SPIFFE ids of the certificates we show to others. */
void preflight_certificates(const struct config *config, uint64_t now_s,
	struct config_report *report);
/* Connects to every target and, with https, shakes hands. */
void preflight_targets(const struct flow *flow, const struct contexts *contexts,
	struct config_report *report);

/* NULL, or why it is not a SPIFFE id (SPIFFE-ID, section 2). Pure. */
const char *spiffe_id_fault(struct bytes id);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* telemetry — the thread that empties the workers' rings and posts what was in them to an
 * OpenTelemetry collector. Plain HTTP, for one on this host or in a trusted network; it speaks TLS
 * to whoever is farther away.
 *
 *   twice a second ──► spans of all rings, TELEMETRY_BATCH_SPANS at a time ──► POST ──► 2xx
 *                                                                               └──► lost, counted
 *
 * What the collector does not take is lost: traces are no record, the audit log is. In the meantime
 * nothing waits for it but this thread.
 */
#pragma once

#include "telemetry/spans.h"

struct telemetry;

struct telemetry_config {
	const char *host; /* of the collector; IPv6 without brackets */
	uint16_t port;
	uint32_t sample_ppm;
	uint32_t worker_count;
};

MUST_USE enum result telemetry_start(const struct telemetry_config *config, struct telemetry **ret);
/* A worker's ring; NULL when there is no telemetry. */
struct spans *telemetry_spans(struct telemetry *telemetry, uint32_t worker);
/* After the workers have ended: posts what is left, as long as the collector takes it. Accepts
 * NULL. */
void telemetry_stop(struct telemetry *telemetry);
